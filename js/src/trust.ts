// What the trust panel lays over its plots and pictures: a pointer along an axis, and a rectangle drawn by hand or keys.
import { element } from "./dom";
import type { Model } from "./models";

const share = (v: number, from: number, size: number) => Math.min(1, Math.max(0, (v - from) / (size || 1)));
const KEYS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The nearest of `steps` + 1 places along an axis of length 1. */
export const snapped = (at: number, steps: number) => Math.round(at * steps) / steps;

/** Two corners in any order as (top, left, bottom, right); empty where they enclose nothing. */
export function boxOf([ax, ay]: [number, number], [bx, by]: [number, number], least = 0.01): number[] {
  const box = [Math.min(ay, by), Math.min(ax, bx), Math.max(ay, by), Math.max(ax, bx)];
  return box[2] - box[0] < least || box[3] - box[1] < least ? [] : box;
}

/** A box moved, or with its lower right corner moved, by keys; it stays within the picture. */
export function nudged(box: number[], dx: number, dy: number, size: boolean): number[] {
  const [top, left, bottom, right] = box;
  const fit = (v: number, low: number, high: number) => Math.min(high, Math.max(low, v));
  if (size) return [top, left, fit(bottom + dy, top + 0.02, 1), fit(right + dx, left + 0.02, 1)];
  const [x, y] = [fit(dx, -left, 1 - right), fit(dy, -top, 1 - bottom)];
  return [top + y, left + x, bottom + y, right + x];
}

/** A line that follows the pointer or the arrow keys; the trait `at` is 0 … 1, or −1 when nobody points. */
export function mountPointer(el: HTMLElement, model: Model, signal: AbortSignal): void {
  const line = element("i");
  const area = element("div", "sw-along", { tabindex: "0", role: "slider", "aria-valuemin": "0" }, line);
  const draw = () => {
    const [at, steps] = [model.get("at") as number, model.get("steps") as number];
    line.hidden = at < 0;
    line.style.left = `${100 * at}%`;
    area.setAttribute("aria-label", model.get("label"));
    area.setAttribute("aria-valuemax", String(steps));
    area.setAttribute("aria-valuenow", String(Math.round(Math.max(0, at) * steps)));
    area.setAttribute("aria-valuetext", model.get("text") || "nothing is pointed at");
  };
  const go = (at: number) => {
    if (at === model.get("at")) return;
    model.set("at", at);
    model.save_changes();
    draw();
  };
  area.addEventListener("pointermove", (e) => {
    const box = area.getBoundingClientRect();
    go(snapped(share(e.clientX, box.left, box.width), model.get("steps")));
  });
  area.addEventListener("pointerleave", () => go(-1));
  area.addEventListener("blur", () => go(-1));
  area.addEventListener("keydown", (e) => {
    const step = { Home: -Infinity, End: Infinity }[e.key] ?? (KEYS[e.key] ? KEYS[e.key][0] - KEYS[e.key][1] : 0);
    const steps = model.get("steps") as number;
    if (e.key === "Escape") go(-1);
    else if (!step) return;
    else go(Math.min(steps, Math.max(0, Math.round(Math.max(0, model.get("at")) * steps) + step)) / steps);
    e.preventDefault();
    e.stopPropagation();
  });
  el.dataset.lmSuppressShortcuts = "true";
  el.replaceChildren(area);
  for (const name of ["at", "steps", "label", "text"]) model.on(`change:${name}`, draw);
  signal.addEventListener("abort", () => ["at", "steps", "label", "text"].forEach((name) => model.off(`change:${name}`, draw)));
  draw();
}

/** A rectangle over a picture: drag, or arrow keys (Shift: its size, Del: none); the trait `box` is in shares of the picture. */
export function mountBox(el: HTMLElement, model: Model, signal: AbortSignal): void {
  const frame = element("i");
  const area = element("div", "sw-boxed", { tabindex: "0", role: "group" }, frame);
  let from: [number, number] | null = null;
  let drawn: number[] | null = null;
  const place = (e: PointerEvent): [number, number] => {
    const box = area.getBoundingClientRect();
    return [share(e.clientX, box.left, box.width), share(e.clientY, box.top, box.height)];
  };
  const draw = () => {
    const box = drawn ?? (model.get("box") as number[]);
    frame.hidden = box.length !== 4;
    area.setAttribute("aria-label", model.get("label"));
    if (frame.hidden) return;
    const [top, left, bottom, right] = box.map((v) => `${100 * v}%`);
    Object.assign(frame.style, { top, left, width: `calc(${right} - ${left})`, height: `calc(${bottom} - ${top})` });
  };
  const set = (box: number[]) => {
    drawn = null;
    model.set("box", box);
    model.save_changes();
    draw();
  };
  area.addEventListener("pointerdown", (e) => {
    if (e.button) return;
    from = place(e);
    area.setPointerCapture(e.pointerId);
    e.preventDefault();
    area.focus({ preventScroll: true });
  });
  area.addEventListener("pointermove", (e) => {
    if (!from) return;
    drawn = boxOf(from, place(e));
    draw();
  });
  area.addEventListener("pointerup", (e) => {
    if (!from) return;
    const box = boxOf(from, place(e));
    from = null;
    if (box.length === 4) return set(box);
    drawn = null; // a click, or nearly one: what was drawn before stays
    draw();
  });
  area.addEventListener("pointercancel", () => {
    from = drawn = null;
    draw();
  });
  area.addEventListener("keydown", (e) => {
    const key = KEYS[e.key];
    const box = model.get("box") as number[];
    if (e.key === "Delete" || e.key === "Backspace") {
      if (box.length) set([]);
      else model.send?.({ kind: "none" }); // a region without a frame: the trait would not change
    }
    else if (!key) return;
    else set(box.length === 4 ? nudged(box, 0.02 * key[0], 0.02 * key[1], e.shiftKey) : [0.25, 0.25, 0.75, 0.75]);
    e.preventDefault();
    e.stopPropagation();
  });
  el.dataset.lmSuppressShortcuts = "true";
  el.replaceChildren(area);
  for (const name of ["box", "label"]) model.on(`change:${name}`, draw);
  signal.addEventListener("abort", () => ["box", "label"].forEach((name) => model.off(`change:${name}`, draw)));
  draw();
}
