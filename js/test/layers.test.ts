import { describe, expect, it } from "vitest";
import { histogram, paint, position } from "../src/colormap";
import { legendWords, span, tickAt } from "../src/legend";
import { massCut } from "../src/mass";
import { valueText } from "../src/readout";
import { moved, resolve } from "../src/resolve";
import { ends, evened, extent } from "../src/row_menu";
import type { Field, LayerState, Sign } from "../src/types";
import { spokenOf } from "../src/types";

const field = (...values: number[]): Field => ({ height: 1, width: values.length, raw: Float32Array.from(values), vmin: 0, vmax: 0 });
const layer = (changes: Partial<LayerState> = {}): LayerState => ({
  id: "a", name: "Integrated Gradients", kind: "heat", field: field(-0.5, 0.25), unit: "logit", signed: true, limits: [-1, 1],
  words: ["raises cat", "lowers cat"], regions: null, before: null, after: [], opacity: 1, threshold: 0.14, sign: "both",
  lut: new Uint8Array(768), cmap: 0, contour: false, blend: "auto", order: 0, visible: true, stale: false, seq: 1, empty: false,
  method: "integrated_gradients", pinned: false, follow: false, solo: false, selected: false, shared: false, fixed: null, mass: null,
  view: "", ...changes,
});

describe("layers beside one another", () => {
  it("a solo hides the others, and again brings all back", () => {
    const [a, b, c] = [layer(), layer({ id: "b", visible: false }), layer({ id: "c" })];
    expect(resolve([a, { ...b, solo: true }, c]).map((l) => l.visible)).toEqual([false, true, false]);
    expect(resolve([a, b, c]).map((l) => l.visible)).toEqual([true, false, true]);
  });
  it("what is empty neither shows nor hides others", () => {
    expect(resolve([layer({ empty: true, solo: true }), layer({ id: "b" })]).map((l) => l.visible)).toEqual([false, true]);
  });
  it("a shared scale is the widest of those that show and share its unit", () => {
    const all = [layer({ shared: true }), layer({ id: "b", shared: true, limits: [-2, 3] }), layer({ id: "c", shared: true, visible: false, limits: [-9, 9] }),
      layer({ id: "d", shared: true, unit: "of max", limits: [0, 7] }), layer({ id: "e", limits: [-5, 5] })];
    expect(resolve(all).map((l) => l.limits)).toEqual([[-2, 3], [-2, 3], [-9, 9], [0, 7], [-5, 5]]);
    expect(all[0].limits).toEqual([-1, 1]);
  });
  it("limits set by hand hold, and shares of the maximum stay what they are", () => {
    const [one] = resolve([layer({ unit: "of max", signed: false, limits: [0, 0.5], fixed: [0, 0.25] })]);
    expect([one.limits, one.own]).toEqual([[0, 0.25], [0, 0.5]]);
    expect(valueText(one, 0.25)).toBe("0.50");
    expect(legendWords(one, 400, (t) => 6 * t.length)[2]).toBe("0.25");
  });
  it("move up and down and stop at the ends", () => {
    const all = [layer({ id: "x", order: 4 }), layer({ id: "y", order: 1 }), layer({ id: "z", order: 2 }), layer({ id: "gone", empty: true })];
    expect(moved(all, "x", 1)).toEqual(["y", "x", "z"]);
    expect(moved(all, "y", -3)).toEqual(["y", "z", "x"]);
    expect(moved(all, "y", 9)).toEqual(["z", "x", "y"]);
    expect(moved(all, "gone", 0)).toEqual(["y", "z", "x"]);
  });
  it("the selected one is spoken of while it is visible", () => {
    const [a, b] = [layer(), layer({ id: "b", order: 1, selected: true })];
    expect(spokenOf([a, b])?.id).toBe("b");
    expect(spokenOf([a, { ...b, visible: false }])?.id).toBe("a");
  });
});

describe("the top of the mass", () => {
  const map = field(4, -3, 2, -1, NaN, Infinity);
  it("is the smallest set of largest values that holds the share", () => {
    expect([0, 0.4, 0.41, 0.7, 0.71, 0.9, 1].map((share) => massCut(map, "both", share))).toEqual([4, 4, 3, 3, 2, 2, 1]);
    expect(massCut(map, "positive", 0.5)).toBe(4);
    expect(massCut(map, "negative", 0.8)).toBe(1);
    expect(massCut(field(0, 0), "both", 0.5)).toBe(0);
  });
  it("decides what is painted, whatever the threshold", () => {
    const out = new Uint8ClampedArray(16);
    const values = [0.9, -0.6, 0.3, -0.05];
    paint({ raw: values }, (i) => values[i], { ...layer({ threshold: 0.99 }), cut: 0.3 }, out);
    expect([3, 7, 11, 15].map((i) => out[i] > 0)).toEqual([true, true, true, false]);
  });
});

describe("scales", () => {
  it("keep zero in the middle", () => {
    expect([-1, -0.5, 0, 1, 3].map((v) => position(v, [-1, 3]))).toEqual([0, 0.25, 0.5, 0.5 + 0.5 / 3, 1]);
    expect([...histogram([-1, 0, 2.9], [-1, 3], 2)]).toEqual([1, 2]);
  });
  it("show the part that the sign shows", () => {
    const of = (sign: Sign) => [span(layer({ sign })), tickAt(layer({ sign }), -0.5), tickAt(layer({ sign }), 0.25)];
    expect(of("both")).toEqual([[0, 1], 0.25, 0.625]);
    expect(of("positive")).toEqual([[0.5, 1], null, 0.25]);
    expect(of("negative")).toEqual([[0, 0.5], 0.5, null]);
    expect(of("absolute")).toEqual([[0.5, 1], 0.5, 0.25]);
  });
  it("say which sign they show", () => {
    const words = (sign: Sign) => legendWords(layer({ sign }), 400, (t) => 6 * t.length);
    expect(words("positive")).toEqual(["0", "raises cat", "+1.00 logit"]);
    expect(words("negative")).toEqual(["−1.00 logit", "lowers cat", "0"]);
    expect(words("absolute")).toEqual(["0", "size, whatever the sign", "1.00 logit"]);
  });
  it("of signed maps move at both ends at once", () => {
    expect(evened([-0.3, 1], 0, true)).toEqual([-0.3, 0.3]);
    expect(evened([-1, 0.4], 1, true)).toEqual([-0.4, 0.4]);
    expect(evened([0.1, 0.4], 1, false)).toEqual([0.1, 0.4]);
    expect(ends(layer({ field: field(-3, 1) }))).toEqual([-3, 3]);
    expect(ends(layer({ signed: false, field: field(0.2, 0.5), limits: [0, 0.5] }))).toEqual([0, 0.5]);
    expect(extent(field(NaN, 2, -1, Infinity))).toEqual([-1, 2]);
  });
});
