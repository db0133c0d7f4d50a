import { describe, expect, it } from "vitest";
import { legendWords, verb } from "../src/legend";
import { plain, readings, spoken, tagText, valueText, withSign } from "../src/readout";
import { stepIn } from "../src/film";
import type { LayerState } from "../src/types";
import { ordered, sides, topVisible } from "../src/types";

const layer = (changes: Partial<LayerState> = {}): LayerState => ({
  id: "a", name: "Integrated Gradients", kind: "heat", field: { height: 1, width: 2, raw: Float32Array.of(-0.02, 0.5), vmin: 0, vmax: 0 },
  unit: "logit", signed: true, limits: [-0.14, 0.14], words: ["raises Egyptian cat", "lowers Egyptian cat"], regions: null,
  before: null, after: [], opacity: 1, threshold: 0.14, sign: "both", lut: new Uint8Array(768), cmap: 0, contour: false, blend: "auto",
  order: 0, visible: true, stale: false, seq: 1, empty: false, method: "integrated_gradients", pinned: false, follow: false,
  solo: false, selected: false, shared: false, fixed: null, mass: null, view: "", ...changes,
});
const cam = layer({
  id: "b", name: "Grad-CAM", unit: "of max", signed: false, limits: [0, 0.5], order: 1, words: ["evidence for Egyptian cat"],
  field: { height: 1, width: 2, raw: Float32Array.of(0.125, 0.5), vmin: 0, vmax: 0 },
});
const at = { x: 0, y: 0, region: -1, size: [1, 2] as [number, number] };

describe("numbers", () => {
  it("have a real minus sign and a sign where it means something", () => {
    expect(withSign(-0.0204)).toBe("−0.020");
    expect(withSign(0.0131)).toBe("+0.013");
    expect(withSign(0.566)).toBe("+0.57");
    expect(withSign(12.345)).toBe("+12.35");
    expect(plain(-1.2)).toBe("−1.20");
  });
  it("say zero without a sign", () => expect([withSign(0), withSign(-0)]).toEqual(["0.000", "0.000"]));
  it("become powers of ten rather than zeros", () => {
    expect(withSign(0.000013)).toBe("+1.3 × 10⁻⁵");
    expect(withSign(-2e9)).toBe("−2.0 × 10⁹");
  });
  it("say what is no number", () => {
    expect(plain(NaN)).toBe("not a number");
    expect(withSign(Infinity)).toBe("+∞");
    expect(withSign(-Infinity)).toBe("−∞");
  });
});

describe("readings", () => {
  it("give every visible layer, uppermost first, with its exact value", () => {
    const list = readings([cam, layer()], at);
    expect(list.map((r) => [r.lead[0], r.text, r.unit])).toEqual([
      ["Integrated Gradients", "−0.020", "logit"],
      ["Grad-CAM", "0.25", "of max"],
    ]);
    expect(list[0].value).toBe(Math.fround(-0.02));
    expect(list[0].words).toBe("lowers Egyptian cat");
    expect(readings([layer({ visible: false }), cam], at)).toHaveLength(1);
  });
  it("speak of regions by number, with the probability before and after", () => {
    const cut = layer({ kind: "region", regions: { height: 1, width: 2, labels: Uint8Array.of(1, 0) }, before: 0.07, after: [0.5, 0.038] });
    const [r] = readings([cut], at);
    expect(r.lead.join("")).toBe("region 1 drop");
    expect(r.tail.join("")).toBe("probability 0.070 → 0.038");
    expect(readings([{ ...cut, names: { 1: "left ear" } }], at)[0].lead.join("")).toBe("left ear drop");
  });
  it("say what a region's value is in the words of its map, aloud as well", () => {
    const cut = layer({ kind: "region", regions: { height: 1, width: 2, labels: Uint8Array.of(1, 0) } });
    for (const [regionWord, words] of [["with region 37", "region 1 with region 37"], ["coefficient", "region 1 coefficient"], ["", "region 1 drop"]]) {
      const list = readings([{ ...cut, regionWord }], at);
      expect(list[0].lead.join("")).toBe(words);
      expect(spoken(list, at)).toBe(`0, 0; ${words} −0.020 logit, lowers Egyptian cat`);
    }
    expect(readings([{ ...cut, regionWord: "share", names: { 1: "ear" } }], at)[0].lead.join("")).toBe("ear share");
  });
  it("are one line for a screen reader", () => {
    expect(spoken(readings([layer(), cam], at), at)).toBe(
      "0, 0; Integrated Gradients −0.020 logit, lowers Egyptian cat; Grad-CAM 0.25 of max",
    );
  });
  it("and one for the tag", () => {
    expect(tagText(layer(), -0.02)).toBe("−0.020 logit");
    expect(tagText(cam, 0.35)).toBe("0.70");
    expect(valueText(layer({ signed: false }), 0.5)).toBe("0.50");
  });
});

describe("the legend", () => {
  const measure = (text: string) => text.length * 6;
  it("says what both ends mean", () => {
    expect(legendWords(layer(), 480, measure)).toEqual(["−0.14  lowers Egyptian cat", "0", "raises Egyptian cat  +0.14 logit"]);
  });
  it("keeps the verb when there is no room", () => {
    expect(legendWords(layer(), 300, measure)).toEqual(["−0.14  lowers", "0", "raises  +0.14 logit"]);
    expect(verb("without it cat falls", "without it cat rises")).toBe("falls");
  });
  it("leaves out the zero, then the words, where a long unit reaches the middle", () => {
    const long = layer({ unit: "logit per input unit" });
    expect(legendWords(long, 350, measure)).toEqual(["−0.14  lowers", "", "raises  +0.14 logit per input unit"]);
    expect(legendWords(long, 250, measure)).toEqual(["−0.14", "", "+0.14 logit per input unit"]);
  });
  it("of an unsigned map ends at the maximum", () => {
    expect(legendWords(cam, 480, measure)).toEqual(["0", "evidence for Egyptian cat", "0.50, the maximum"]);
    const middle = measure("evidence for Egyptian cat");
    for (let width = 120; width < 480; width += 10) {
      const [left, words, right] = legendWords(cam, width, measure);
      expect(words === "" || middle / 2 + Math.max(measure(left), measure(right)) < width / 2).toBe(true);
    }
    expect(legendWords(cam, 300, measure)).toEqual(["0", "evidence for Egyptian cat", "0.50"]);
    expect(legendWords(cam, 160, measure)).toEqual(["0", "", "0.50, the maximum"]);
  });
});

it("the uppermost visible layer is the one with the smallest order", () => {
  expect(ordered([cam, layer()]).map((l) => l.id)).toEqual(["a", "b"]);
  expect(topVisible([layer({ visible: false }), cam])?.id).toBe("b");
  expect(topVisible([layer({ field: null })])).toBeNull();
});

it("a swipe parts the two uppermost layers and keeps the others on both sides", () => {
  const third = layer({ id: "c", order: 2 });
  expect(sides([third, cam, layer()]).map((side) => side.map((l) => l.id))).toEqual([["a", "c"], ["b", "c"]]);
  expect(sides([cam]).map((side) => side.map((l) => l.id))).toEqual([["b"], []]);
  expect(sides([])).toEqual([[], []]);
});

it("arrow keys walk the film", () => {
  expect([stepIn(0, "ArrowRight", 8), stepIn(1, "ArrowDown", 8), stepIn(6, "ArrowDown", 8), stepIn(0, "ArrowUp", 8)]).toEqual([1, 5, 7, 0]);
});
