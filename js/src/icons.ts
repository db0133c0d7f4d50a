// Line icons on a 16 px grid, drawn with strokes of 1.25 and round ends in the colour of the text.

const PATHS: Record<string, string> = {
  probe: "M8 2v3.7M8 10.3V14M2 8h3.7M10.3 8H14M8 7.99v.02",
  pan: "M8 2v12M2 8h12M6.2 3.8 8 2l1.8 1.8M6.2 12.2 8 14l1.8-1.8M3.8 6.2 2 8l1.8 1.8M12.2 6.2 14 8l-1.8 1.8",
  "zoom-in": "M8 3.5v9M3.5 8h9",
  "zoom-out": "M3.5 8h9",
  grid: "M2.5 2.5h11v11h-11zM6.2 2.5v11M9.8 2.5v11M2.5 6.2h11M2.5 9.8h11",
  swipe: "M2.5 3.5h11v9h-11zM8 2v12M10.2 6.2 12 8l-1.8 1.8M5.8 6.2 4 8l1.8 1.8",
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
