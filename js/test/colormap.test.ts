import { describe, expect, it } from "vitest";
import { alphaOf, alphaTable, colourIndex, histogram, lutAt, magnitude, paint, paintField, position, rampAt, shownValue } from "../src/colormap";
import { valueAt } from "../src/decode";
import python from "./python.json";

const names = Object.keys(python.colormaps);
const tables = Object.values(python.colormaps).map((hex) => Uint8Array.from(hex.match(/../g)!, (h) => parseInt(h, 16)));
const luts = Uint8Array.from(tables.flatMap((t) => [...t]));
const hex = (table: Uint8Array, i: number) => [...table.subarray(i * 3, i * 3 + 3)].map((v) => v.toString(16).padStart(2, "0")).join("");

describe("colour maps", () => {
  it("come in Python's order", () => {
    names.forEach((name, i) => expect([name, ...lutAt(luts, i)]).toEqual([name, ...tables[i]]));
    expect(names[0]).toBe("signed");
  });
  it("ours runs from blue over light grey to red", () => {
    const ours = lutAt(luts, 0);
    expect(hex(ours, 0)).toBe("0b4a94");
    expect(hex(ours, 255)).toBe("a30f26");
    expect(Math.min(...ours.subarray(127 * 3, 128 * 3))).toBeGreaterThan(230);
  });
  it("falls back to grey without any", () => {
    expect([...lutAt(null, 3).subarray(0, 6)]).toEqual([0, 0, 0, 1, 1, 1]);
  });
});

describe("alpha", () => {
  it("starts at the threshold and ends at one", () => {
    expect(alphaOf(0.139, "heat", 0.14)).toBe(0);
    expect(alphaOf(0.57, "heat", 0.14)).toBeCloseTo(Math.pow(0.5, 0.7), 12);
    expect(alphaOf(1, "heat", 0.14)).toBe(1);
    expect(alphaOf(0.52, "heat", 0.04)).toBeCloseTo(Math.pow(0.5, 0.7), 12);
    expect(alphaOf(1, "heat", 1)).toBe(1);
    expect(alphaOf(NaN, "heat", 0)).toBe(0);
  });
  it("of regions has no floor of its own", () => {
    expect(alphaOf(0.05, "region", 0)).toBeCloseTo(Math.pow(0.05, 0.8), 12);
    expect(alphaOf(0.05, "region", 0.1)).toBe(0);
  });
  it("never falls", () => {
    const table = alphaTable("heat", 0.14);
    expect(table.every((v, i) => i === 0 || v >= table[i - 1])).toBe(true);
  });
});

describe("the scale", () => {
  it("has zero in the middle when it is symmetric", () => {
    expect(position(0, [-2, 2])).toBe(0.5);
    expect(colourIndex(-9, [-2, 2])).toBe(0);
    expect(colourIndex(9, [-2, 2])).toBe(255);
    expect(position(1, [1, 1])).toBe(0);
  });
  it("measures each side by its own end", () => {
    expect(magnitude(-1, [-2, 4], true)).toBe(0.5);
    expect(magnitude(1, [-2, 4], true)).toBe(0.25);
    expect(magnitude(-1, [0, 4], true)).toBe(0);
    expect(magnitude(3, [1, 5], false)).toBe(0.5);
  });
  it("shows the chosen sign", () => {
    expect(shownValue(-1, "positive")).toBeNaN();
    expect(shownValue(1, "negative")).toBeNaN();
    expect(shownValue(-1, "absolute")).toBe(1);
    expect(shownValue(-1, "both")).toBe(-1);
  });
});

it("paints colour by sign and alpha by size; holes stay clear", () => {
  const values = [-1, 0, 1, NaN, 5];
  const out = new Uint8ClampedArray(20);
  const layer = { limits: [-1, 1] as [number, number], signed: true, sign: "both" as const, kind: "heat" as const, threshold: 0.14, lut: lutAt(luts, 0) };
  paint({ raw: values }, (i) => values[i], layer, out);
  expect([...out.subarray(0, 4)]).toEqual([0x0b, 0x4a, 0x94, 255]);
  expect(out[7]).toBe(0);
  expect([...out.subarray(8, 12)]).toEqual([0xa3, 0x0f, 0x26, 255]);
  expect(out[15]).toBe(0);
  expect(out[19]).toBe(255);
});

it("paints a large map as it paints a small one", () => {
  const layer = { limits: [-1, 1] as [number, number], signed: true, sign: "both" as const, kind: "heat" as const, threshold: 0.14, lut: lutAt(luts, 0) };
  const raw = Uint16Array.from({ length: 120_000 }, (_, i) => (i * 7919) % 65536);
  const field = { height: 300, width: 400, raw, vmin: -1.5, vmax: 1.2 };
  const [fast, slow] = [new Uint8ClampedArray(480_000), new Uint8ClampedArray(480_000)];
  paintField(field, layer, fast);
  paint(field, (i) => valueAt(field, i), layer, slow);
  expect(fast.every((v, i) => v === slow[i])).toBe(true);
});

it("counts values over the scale", () => {
  expect([...histogram([-1, -0.6, 0, 0.99, 1, 7, NaN], [-1, 1], 4)]).toEqual([2, 0, 1, 2]);
});

it("draws the ramp clear where the map is clear", () => {
  const ours = { lut: lutAt(luts, 0), signed: true };
  expect(rampAt(ours, 0.5)[3]).toBe(0);
  expect(rampAt(ours, 1)).toEqual([0xa3, 0x0f, 0x26, 1]);
  expect(rampAt({ lut: lutAt(luts, 1), signed: false }, 0)[3]).toBe(0);
});
