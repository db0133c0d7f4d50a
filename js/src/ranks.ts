// Over the ranked bars: what is off, what is under the pointer, and a click that switches a region.
import { element, watchSize } from "./dom";

export interface RanksHandle {
  /** `bars` are where each bar begins and ends, in pixels from above. */
  update(order: number[], off: number[], bars: Float32Array): void;
  setRegion(region: number): void;
}

const BAR = 0.8; // of its place; the bars below take 0.75
const NS = "http://www.w3.org/2000/svg";

export function mountRanks(el: HTMLElement, point: (region: number) => void, click: (region: number) => void, signal: AbortSignal): RanksHandle {
  let order: number[] = [];
  let places = new Map<number, number>(); // of regions among the bars
  let off: number[] = [];
  let bars: Float32Array = new Float32Array();
  let hovered = -1;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("aria-hidden", "true");
  const [inked, ticks, arrow] = ["sw-rank-off", "sw-rank-ticks", "sw-rank-arrow"].map((name) => {
    const path = document.createElementNS(NS, "path");
    path.setAttribute("class", name);
    svg.append(path);
    return path;
  });
  const hit = element("div", "sw-rank-hit");
  el.replaceChildren(svg, hit);

  const draw = () => {
    const width = el.clientWidth;
    if (!width) return;
    svg.setAttribute("viewBox", `0 0 ${width} 76`);
    const middle = (i: number) => ((i + 0.5) * width) / order.length;
    const out = off.map((r) => places.get(r) ?? -1).filter((i) => i >= 0);
    const wide = Math.max(1, (BAR * width) / order.length);
    const bar = (i: number) =>
      `M${(middle(i) - wide / 2).toFixed(2)} ${bars[2 * i]}h${wide.toFixed(2)}V${bars[2 * i + 1]}h-${wide.toFixed(2)}z`;
    inked.setAttribute("d", out.filter((i) => 2 * i + 1 < bars.length).map(bar).join(""));
    ticks.setAttribute("d", out.map((i) => `M${middle(i).toFixed(1)} 68v4`).join(""));
    const shown = places.has(hovered) && !off.includes(hovered);
    const x = Math.max(4, Math.min(width - 4, middle(places.get(hovered) ?? 0)));
    arrow.setAttribute("d", shown ? `M${(x - 4).toFixed(1)} 74h8l-4-6z` : "");
  };
  const under = (e: PointerEvent | MouseEvent) => {
    const box = el.getBoundingClientRect();
    return order[Math.max(0, Math.min(order.length - 1, Math.floor(((e.clientX - box.left) / box.width) * order.length)))] ?? -1;
  };
  hit.addEventListener("pointermove", (e) => order.length && point(under(e)), { signal });
  hit.addEventListener("pointerleave", () => point(-1), { signal });
  hit.addEventListener("click", (e) => order.length && click(under(e)), { signal });
  watchSize(el, draw, signal);
  return {
    update(nextOrder, nextOff, nextBars) {
      [order, off, bars] = [nextOrder, nextOff, nextBars];
      places = new Map(order.map((region, place) => [region, place]));
      draw();
    },
    setRegion(region) {
      if (region === hovered) return;
      hovered = region;
      draw();
    },
  };
}
