// Line icons on a 16 px grid, drawn with strokes of 1.25 and round ends in the colour of the text.

const PATHS: Record<string, string> = {
  probe: "M8 2v3.7M8 10.3V14M2 8h3.7M10.3 8H14M8 7.99v.02",
  pan: "M8 2v12M2 8h12M6.2 3.8 8 2l1.8 1.8M6.2 12.2 8 14l1.8-1.8M3.8 6.2 2 8l1.8 1.8M12.2 6.2 14 8l-1.8 1.8",
  "zoom-in": "M8 3.5v9M3.5 8h9",
  "zoom-out": "M3.5 8h9",
  grid: "M2.5 2.5h11v11h-11zM6.2 2.5v11M9.8 2.5v11M2.5 6.2h11M2.5 9.8h11",
  swipe: "M2.5 3.5h11v9h-11zM8 2v12M10.2 6.2 12 8l-1.8 1.8M5.8 6.2 4 8l1.8 1.8",
  pointer: "m4 2.5 8.500 5-3.800 1L7 12.200z",
  rectangle: "M2.800 3.800h2.200M7 3.800h2.200M11.200 3.800h2v2M13.200 7.500v1.500M13.200 10.700v1.500h-2M9 12.200H7M5 12.200H2.800v-1.500M2.800 9V7.300M2.800 5.500V3.800",
  lasso: "M4.500 10.500C2.500 9.500 1.800 7.800 2.600 6c1-2.300 4.300-3.500 7.300-2.800 3 .8 4.300 3.300 3 5.300-1.200 1.900-4.200 2.700-7 2.300M4.800 9.300c1-.2 1.900.5 1.800 1.400-.1 1-1.100 1.300-1.900.9-.9-.5-.9-2 .1-2.300zM5.300 12c-.1.900-.6 1.500-1.400 1.900",
  brush: "M13.500 2.500 7.300 8.700M5.200 9.300c1.400-.3 2.600.8 2.300 2.200-.4 1.800-2.600 2.400-5 1.700 1.300-.8 1-3.500 2.700-3.900z",
  erase: "M9.500 3 13 6.500l-6 6H4.700L2.500 10.300zM6 6.500 9.500 10M7 12.500h6.500",
  split: "M2.800 3.300h10.400v9.400H2.800zM9.800 3.300 6.200 12.700",
  merge: "M2.800 3.300h4v9.400h-4zM9.200 3.300h4v9.400h-4zM5 8h6M9.600 6.600 11 8 9.600 9.400",
  undo: "M3 6h6.500a3.500 3.500 0 0 1 0 7H6M5.500 3.500 3 6l2.500 2.500",
  redo: "M13 6H6.500a3.500 3.500 0 0 0 0 7H10M10.500 3.500 13 6l-2.500 2.500",
  fill: "M3 3h10v10H3zM3 9l6-6M3 13 13 3M7 13l6-6",
  outline:
    "M8 2.5c3.5 0 5.5 2 5.5 5s-2 6-5.5 6-5.5-2.5-5.5-5.5 2-5.5 5.5-5.5zM8 6c1.4 0 2.2.8 2.2 2S9.4 10.3 8 10.3 5.8 9.4 5.8 8.2 6.6 6 8 6z",
  more: "M3.5 8v.01M8 8v.01M12.5 8v.01",
  pin: "M5.500 2.500h5M6.500 2.500v4L4.500 9h7L9.500 6.500v-4M8 9v4.500",
  save: "M8 2.800v7.500M5 7.500 8 10.500 11 7.500M2.800 10.500v3h10.400v-3",
  bare: "M2 8c1.5-2.6 3.5-3.9 6-3.9s4.5 1.3 6 3.9c-1.5 2.6-3.5 3.9-6 3.9S3.5 10.6 2 8zM6.2 8a1.8 1.8 0 1 0 3.6 0 1.8 1.8 0 1 0-3.6 0",
};

const NS = "http://www.w3.org/2000/svg";

export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "sw-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(NS, "path");
  path.setAttribute("d", PATHS[name] ?? "");
  svg.append(path);
  return svg;
}
