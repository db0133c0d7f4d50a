// From a value to a place on the scale, a colour and an alpha.
import type { Bytes } from "./decode";
import { stepsOf, typed, valueAt } from "./decode";
import type { Field, LayerState, Sign } from "./types";

export const LUT_BYTES = 768;

/** The 256 colours of map number `index`; grey where the host sent none. */
export function lutAt(luts: Bytes | null | undefined, index: number): Uint8Array {
  const at = index * LUT_BYTES;
  if (luts && luts.byteLength >= at + LUT_BYTES) return (typed(luts, "u1") as Uint8Array).subarray(at, at + LUT_BYTES);
  return Uint8Array.from({ length: LUT_BYTES }, (_, i) => Math.floor(i / 3));
}

const clamp = (v: number, low: number, high: number) => (v < low ? low : v > high ? high : v);

/** `cut`: the smallest size that shows, where the mass decides; then `threshold` does not count. */
export type Scale = Pick<LayerState, "limits" | "signed" | "sign" | "kind" | "threshold"> & { cut?: number | null };

/** The value that is shown for `v`: NaN where the chosen sign hides it. */
export function shownValue(v: number, sign: Sign): number {
  if (sign === "absolute") return Math.abs(v);
  if ((sign === "positive" && v < 0) || (sign === "negative" && v > 0)) return NaN;
  return v;
}

/** 0 … 1 along the scale; where it has both signs, 0.5 is zero whatever its ends. */
export function position(v: number, [low, high]: [number, number]): number {
  if (low < 0 && high > 0 && low !== -high) return v < 0 ? 0.5 - 0.5 * clamp(v / low, 0, 1) : 0.5 + 0.5 * clamp(v / high, 0, 1);
  return high > low ? clamp((v - low) / (high - low), 0, 1) : 0;
}

/** 0 … 1: how large `v` is beside the limit of its side. */
export function magnitude(v: number, [low, high]: [number, number], signed: boolean): number {
  if (!signed) return position(v, [low, high]);
  const end = v < 0 ? -low : high;
  return end > 0 ? clamp(Math.abs(v) / end, 0, 1) : 0;
}

/** Alpha follows the magnitude, so that the dark or pale end of a colour map never hides the picture. */
export function alphaOf(a: number, kind: "heat" | "region", threshold: number): number {
  if (!(a > 0) || a < threshold) return 0;
  if (kind === "region") return Math.pow(a, 0.8);
  return threshold >= 1 ? 1 : Math.pow((a - threshold) / (1 - threshold), 0.7);
}

const STEPS = 1023;

/** `alphaOf` as a table of 0 … 255 over the magnitude: a power per pixel would cost more than the drawing. */
export function alphaTable(kind: "heat" | "region", threshold: number): Uint8Array {
  const table = new Uint8Array(STEPS + 1);
  for (let i = 0; i <= STEPS; i++) table[i] = Math.round(255 * alphaOf(i / STEPS, kind, threshold));
  return table;
}

/** Index into the 256 colours. */
export function colourIndex(v: number, limits: [number, number]): number {
  return Math.round(255 * position(v, limits));
}

/** The ramp of the legend and of the layer rows: colour and alpha at place p (0 … 1). */
export function rampAt(layer: Pick<LayerState, "lut" | "signed">, p: number): [number, number, number, number] {
  const k = Math.round(255 * clamp(p, 0, 1)) * 3;
  const alpha = layer.signed ? Math.pow(Math.abs(2 * p - 1), 0.45) : Math.pow(p, 0.6);
  return [layer.lut[k], layer.lut[k + 1], layer.lut[k + 2], alpha];
}

/** Counts of the values over the scale, for the histogram; values outside are left out. */
export function histogram(values: Iterable<number>, limits: [number, number], bins: number): Float64Array {
  const counts = new Float64Array(bins);
  const [low, high] = limits;
  const slack = 0.0001 * (high - low);
  for (const v of values) {
    const p = position(v, limits);
    if (v >= low && v <= high + slack) counts[Math.min(bins - 1, Math.floor(p * bins))]++;
  }
  return counts;
}

/** Paints a map into RGBA pixels, opacity 1; a large one through a table of its steps. */
export function paintField(field: Field, layer: Scale & Pick<LayerState, "lut">, out: Uint8ClampedArray): void {
  const steps = field.raw.length > 100_000 ? stepsOf(field) : null;
  if (!steps) return paint(field, (i) => valueAt(field, i), layer, out);
  const table = new Uint8ClampedArray(steps.raw.length * 4);
  paint(steps, (u) => valueAt(steps, u), layer, table);
  const colours = new Uint32Array(table.buffer);
  const pixels = new Uint32Array(out.buffer, out.byteOffset, field.raw.length);
  const raw = field.raw;
  for (let i = 0; i < raw.length; i++) pixels[i] = colours[raw[i]];
}

/** The same from any values. */
export function paint(
  field: { raw: ArrayLike<number> },
  value: (i: number) => number,
  layer: Scale & Pick<LayerState, "lut">,
  out: Uint8ClampedArray,
): void {
  const { limits, signed, sign, kind, threshold, lut, cut = null } = layer;
  const alphas = alphaTable(kind, cut === null ? threshold : 0);
  for (let i = 0, o = 0; i < field.raw.length; i++, o += 4) {
    const v = shownValue(value(i), sign);
    const a = magnitude(v, limits, signed);
    if (!(a > 0) || (cut !== null && Math.abs(v) < cut)) {
      out[o + 3] = 0;
      continue;
    }
    const k = colourIndex(v, limits) * 3;
    out[o] = lut[k];
    out[o + 1] = lut[k + 1];
    out[o + 2] = lut[k + 2];
    out[o + 3] = alphas[Math.round(a * STEPS)];
  }
}
