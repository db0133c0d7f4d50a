// The legend: log histogram, ramp, limits and words of the layer that is spoken of, with a tick at the probe.
import { histogram, position, rampAt, shownValue } from "./colormap";
import { valueAt, valueUnder } from "./decode";
import { element, fit, perFrame, watchSize, watchTheme } from "./dom";
import { plain } from "./readout";
import type { LayerState, Probe } from "./types";
import { spokenOf } from "./types";

const BINS = 118;
const RAMP = 8;
const TALLEST = 72;

/** The three words under the ramp; without room for the class (`width`, `measure` in CSS pixels) only the verb. */
export function legendWords(
  layer: LayerState,
  width: number,
  measure: (text: string) => number,
): [string, string, string] {
  const [low, high] = layer.limits;
  const digits = Math.max(high, -low) < 0.095 ? 3 : 2;
  const [up = "", down = ""] = layer.words;
  // What stands in the middle keeps its distance from both ends; where it cannot, it goes.
  const middle = (left: string, words: string, right: string) =>
    measure(words) / 2 + 8 <= width / 2 - Math.max(measure(left), measure(right));
  if (!layer.signed) {
    const own = high === (layer.own ?? layer.limits)[1];
    const ofMax = layer.unit === "of max";
    const end = ofMax ? `${plain(high, digits)}${own ? ", the maximum" : ""}` : `${plain(high, digits)} ${layer.unit}`;
    const first = low === 0 ? "0" : plain(low, digits);
    for (const last of ofMax ? [end, plain(high, digits)] : [end]) if (middle(first, up, last)) return [first, up, last];
    return [first, "", end];
  }
  const one = (left: string, words: string, right: string): [string, string, string] => [left, middle(left, words, right) ? words : "", right];
  if (layer.sign === "negative") return one(`${plain(low, digits)} ${layer.unit}`, down, "0");
  if (layer.sign === "positive") return one("0", up, `+${plain(high, digits)} ${layer.unit}`);
  if (layer.sign === "absolute") return one("0", "size, whatever the sign", `${plain(high, digits)} ${layer.unit}`);
  const zero = low < 0 && high > 0 ? "0" : "";
  const left = (words: string) => `${plain(low, digits)}  ${words}`.trim();
  const right = (words: string) => `${words}  +${plain(high, digits)} ${layer.unit}`.trim();
  const fits = (...texts: string[]) => texts.every((text) => measure(text) <= width / 2 - 14);
  if (fits(left(down), right(up))) return [left(down), zero, right(up)];
  const [short, long] = [left(verb(down, up)), right(verb(up, down))];
  if (fits(short, long)) return [short, zero, long];
  // A long unit leaves no room in the middle: the ramp itself shows where zero is.
  return measure(short) + measure(long) + 14 <= width ? [short, "", long] : [left(""), "", right("")];
}

/** What tells the two ends apart: `raises` of `raises cat`, `falls` of `without it cat falls`. */
export function verb(words: string, other: string): string {
  const [a, b] = [words.split(" "), other.split(" ")];
  const i = a.findIndex((word, k) => word !== b[k]);
  return i < 0 ? "" : i === 0 ? a[0] : a.slice(i).join(" ");
}

function* values(layer: LayerState): Generator<number> {
  const n = layer.field!.raw.length;
  // A histogram of a large map from every k-th value looks the same.
  const step = Math.max(1, Math.floor(n / 65536));
  for (let i = 0; i < n; i += step) yield shownValue(valueAt(layer.field!, i), layer.sign);
}

/** The part of the scale (0 … 1) that a layer's sign shows. */
export function span(layer: Pick<LayerState, "signed" | "sign">): [number, number] {
  if (!layer.signed || layer.sign === "both") return [0, 1];
  return layer.sign === "negative" ? [0, 0.5] : [0.5, 1];
}

/** Where a value stands along the part of the scale that shows, 0 … 1; null where the sign hides it. */
export function tickAt(layer: LayerState, v: number): number | null {
  const shown = shownValue(v, layer.sign);
  if (Number.isNaN(shown)) return null;
  const [from, to] = span(layer);
  return (position(shown, layer.limits) - from) / (to - from);
}

/** The ramp into (x0, y0, w, h) of a canvas: colour and alpha as on the stage. */
export function drawRamp(
  x: CanvasRenderingContext2D,
  layer: Pick<LayerState, "lut" | "signed" | "sign">,
  x0: number,
  y0: number,
  w: number,
  h: number,
): void {
  const [from, to] = span(layer);
  for (let i = 0; i < w; i++) {
    const [r, g, b, a] = rampAt(layer, from + ((to - from) * i) / Math.max(1, w - 1));
    x.fillStyle = `rgba(${r},${g},${b},${a})`;
    x.fillRect(x0 + i, y0, 1, h);
  }
}

export interface LegendHandle {
  update(layers: LayerState[]): void;
  setProbe(probe: Probe | null): void;
}

export function mountLegend(el: HTMLElement, signal: AbortSignal): LegendHandle {
  const canvas = element("canvas", "", { role: "img" });
  const words = [element("span"), element("span"), element("span")];
  el.replaceChildren(canvas, element("div", "sw-legend-words", { "aria-hidden": "true" }, ...words));
  let layers: LayerState[] = [];
  let probe: Probe | null = null;
  let counted: { field: unknown; scale: string; counts: Float64Array } | null = null;

  const draw = () => {
    const layer = spokenOf(layers);
    const sized = fit(canvas);
    if (!sized) return false;
    const [x, w, h, d] = sized;
    if (!layer) {
      words.forEach((word) => (word.textContent = ""));
      canvas.setAttribute("aria-label", "legend: no layer is visible");
      return true;
    }
    const style = getComputedStyle(el);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const [from, to] = span(layer);
    const scale = [...layer.limits, layer.sign].join();
    if (counted?.field !== layer.field || counted.scale !== scale) {
      const whole = Math.round(BINS / (to - from));
      const counts = histogram(values(layer), layer.limits, whole).slice(from ? whole / 2 : 0, to < 1 ? whole / 2 : whole);
      counted = { field: layer.field, scale, counts };
    }
    const rampTop = h - RAMP * d;
    const room = Math.max(0, Math.min(rampTop - 2 * d, TALLEST * d));
    const most = Math.log1p(counted.counts.reduce((a, b) => Math.max(a, b), 1));
    const step = w / BINS;
    x.fillStyle = colour("--bar");
    counted.counts.forEach((n, i) => {
      const tall = Math.round((Math.log1p(n) / most) * room);
      x.fillRect(Math.round(i * step), rampTop - 2 * d - tall, Math.max(1, Math.round(step * 0.66)), tall);
    });
    drawRamp(x, layer, 0, rampTop, w, RAMP * d);
    x.strokeStyle = colour("--track");
    x.lineWidth = d;
    x.strokeRect(d / 2, rampTop + d / 2, w - d, RAMP * d - d);
    if (probe && layer.field) {
      const at = tickAt(layer, valueUnder(layer.field, probe.x, probe.y, probe.size));
      const px = Math.round((at ?? 0) * (w - d) + d / 2);
      const top = rampTop - room - 2 * d;
      if (at !== null) {
        x.fillStyle = colour("--bg");
        x.fillRect(px - 1.5 * d, top, 3 * d, h - top);
        x.fillStyle = colour("--ink");
        x.fillRect(px - d / 2, top, d, h - top);
      }
      el.dataset.tick = at === null ? "" : String(at); // for whoever must know from outside
    } else delete el.dataset.tick;
    x.font = `11px ${style.fontFamily}`;
    const texts = legendWords(layer, w / d, (text) => x.measureText(text).width);
    texts.forEach((text, i) => (words[i].textContent = text));
    canvas.setAttribute("aria-label", `legend of ${layer.name}: ${texts.filter(Boolean).join(", ")}`);
    return true;
  };
  const redraw = perFrame(draw, signal);
  watchSize(el, redraw, signal);
  watchTheme(redraw, signal);
  return {
    update(next) {
      layers = next;
      redraw();
    },
    setProbe(next) {
      probe = next;
      redraw();
    },
  };
}
