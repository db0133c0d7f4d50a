import { describe, expect, it } from "vitest";
import { decodeField, decodeRegions, indexUnder, typed, valueAt, valueUnder } from "../src/decode";
import python from "./python.json";

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const number = (v: number | string) => (typeof v === "number" ? v : v === "nan" ? NaN : v === "inf" ? Infinity : -Infinity);

describe("maps from Python", () => {
  for (const [name, map] of Object.entries(python.maps)) {
    it(`reads ${name} to the last bit`, () => {
      const field = decodeField(map.shape as [number, number], map.dtype as "u2", bytesOf(map.data), map.vmin, map.vmax)!;
      const read = Array.from(field.raw, (_, i) => valueAt(field, i));
      expect(read).toEqual(map.values.map(number));
    });
  }
});

it("copies a buffer that is not aligned", () => {
  const buffer = new ArrayBuffer(9);
  new DataView(buffer).setUint16(1, 513, true);
  const view = new DataView(buffer, 1, 8);
  const read = typed(view, "u2");
  expect(read).toHaveLength(4);
  expect(read[0]).toBe(513);
  expect(typed(new DataView(buffer, 0, 8), "u2").buffer).toBe(buffer);
});

it("gives nothing for bytes that do not fit their shape", () => {
  expect(decodeField([2, 2], "u2", new Uint8Array(6), 0, 1)).toBeNull();
  expect(decodeField([0, 0], "u2", new Uint8Array(0), 0, 1)).toBeNull();
  expect(decodeField([2, 2], "u2", null, 0, 1)).toBeNull();
  expect(() => typed(new Uint8Array(4), "f8" as never)).toThrow("u1, u2 or f4");
});

it("reads one byte per value", () => {
  const field = decodeField([1, 2], "u1", Uint8Array.of(0, 255), -2, 3)!;
  expect([valueAt(field, 0), valueAt(field, 1)]).toEqual([-2, 3]);
});

it("finds the value under a pixel of a larger picture", () => {
  const field = decodeField([2, 2], "u1", Uint8Array.of(0, 85, 170, 255), 0, 255)!;
  expect(valueUnder(field, 0, 0, [224, 224])).toBe(0);
  expect(valueUnder(field, 223, 111, [224, 224])).toBe(85);
  expect(valueUnder(field, 111, 112, [224, 224])).toBe(170);
  expect(indexUnder({ height: 2, width: 2 }, 223, 223, [224, 224])).toBe(3);
});

it("reads a label map and refuses what is none", () => {
  const data = new Uint8Array(Uint16Array.of(0, 1, 2, 3).buffer);
  expect(Array.from(decodeRegions({ shape: [2, 2], dtype: "u2", data })!.labels)).toEqual([0, 1, 2, 3]);
  expect(decodeRegions({})).toBeNull();
  expect(decodeRegions({ shape: [2, 3], dtype: "u2", data })).toBeNull();
});
