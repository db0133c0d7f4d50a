// A slider with one or two handles, the same in a notebook and in a page without one.
import { element } from "./dom";

export interface SliderHandle {
  el: HTMLElement;
  /** Shows values without telling; a drag that goes on keeps its own. */
  show(values: number[], range?: [number, number]): void;
}

export interface SliderOptions {
  range: [number, number];
  step: number;
  /** The accessible name of every handle. */
  names: string[];
  /** What the value is in words. */
  text(value: number): string;
}

const clamp = (v: number, low: number, high: number) => Math.min(high, Math.max(low, v));

/** `input(values, handle)` hears every move of a hand, by pointer or by key. */
export function slider(options: SliderOptions, input: (values: number[], handle: number) => void): SliderHandle {
  let { range } = options;
  let values = options.names.map(() => range[0]);
  let held = -1;
  const fill = element("i", "sw-slider-fill");
  const handles = options.names.map((name) => element("b", "sw-handle", { role: "slider", tabindex: "0", "aria-label": name }));
  const el = element("span", "sw-slider", {}, element("i", "sw-slider-track"), fill, ...handles);

  const share = (v: number) => (range[1] > range[0] ? clamp((v - range[0]) / (range[1] - range[0]), 0, 1) : 0);
  const step = () => options.step * (range[1] - range[0]);
  const draw = () => {
    handles.forEach((handle, i) => {
      handle.style.left = `${100 * share(values[i])}%`;
      handle.setAttribute("aria-valuemin", String(range[0]));
      handle.setAttribute("aria-valuemax", String(range[1]));
      handle.setAttribute("aria-valuenow", String(values[i]));
      handle.setAttribute("aria-valuetext", options.text(values[i]));
    });
    const from = values.length > 1 ? share(values[0]) : 0;
    fill.style.left = `${100 * from}%`;
    fill.style.width = `${100 * (share(values[values.length - 1]) - from)}%`;
  };
  const set = (i: number, wanted: number) => {
    const rounded = range[0] + Math.round((wanted - range[0]) / step()) * step();
    const low = i > 0 ? values[i - 1] : range[0];
    const high = i < values.length - 1 ? values[i + 1] : range[1];
    // Digits beyond the step are rounding of the arithmetic.
    const value = Number(clamp(rounded, low, high).toPrecision(12));
    if (value === values[i]) return;
    values = values.map((v, k) => (k === i ? value : v));
    draw();
    input([...values], i);
  };
  const at = (e: PointerEvent) => {
    const box = el.getBoundingClientRect();
    return range[0] + ((e.clientX - box.left) / box.width) * (range[1] - range[0]);
  };
  el.addEventListener("pointerdown", (e) => {
    if (e.button) return;
    const v = at(e);
    const nearest = values.map((value, i) => [Math.abs(value - v), i]).sort((a, b) => a[0] - b[0])[0][1];
    const grabbed = handles.indexOf(e.target as HTMLElement);
    held = grabbed >= 0 ? grabbed : nearest;
    el.setPointerCapture(e.pointerId);
    handles[held].focus({ focusVisible: false } as FocusOptions);
    set(held, v);
    e.preventDefault();
  });
  el.addEventListener("pointermove", (e) => held >= 0 && set(held, at(e)));
  for (const name of ["pointerup", "pointercancel"] as const)
    el.addEventListener(name, () => {
      held = -1;
    });
  handles.forEach((handle, i) =>
    handle.addEventListener("keydown", (e) => {
      if (e.altKey || e.ctrlKey || e.metaKey) return;
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[e.key];
      if (by) set(i, values[i] + by * step());
      else if (e.key === "Home") set(i, range[0]);
      else if (e.key === "End") set(i, range[1]);
      else return;
      e.preventDefault();
      e.stopPropagation();
    }),
  );
  draw();
  return {
    el,
    show(next, nextRange = range) {
      range = nextRange;
      if (held < 0) values = next;
      draw();
    },
  };
}
