// Over the ranked bars: what is off, what is under the pointer, and a click that switches a region.
import { element, watchSize } from "./dom";

export interface RanksHandle {
  update(order: number[], off: number[]): void;
  setRegion(region: number): void;
}

const NS = "http://www.w3.org/2000/svg";

export function mountRanks(el: HTMLElement, point: (region: number) => void, click: (region: number) => void, signal: AbortSignal): RanksHandle {
  let order: number[] = [];
  let off: number[] = [];
  let hovered = -1;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("aria-hidden", "true");
  const [ticks, arrow] = ["sw-rank-ticks", "sw-rank-arrow"].map((name) => {
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
    const at = (region: number) => ((order.indexOf(region) + 0.5) * width) / order.length;
    ticks.setAttribute("d", off.filter((r) => order.includes(r)).map((r) => `M${at(r).toFixed(1)} 68v4`).join(""));
    const shown = order.includes(hovered) && !off.includes(hovered);
    const x = Math.max(4, Math.min(width - 4, at(hovered)));
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
    update(nextOrder, nextOff) {
      [order, off] = [nextOrder, nextOff];
      draw();
    },
    setRegion(region) {
      if (region === hovered) return;
      hovered = region;
      draw();
    },
  };
}
