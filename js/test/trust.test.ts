import { describe, expect, it } from "vitest";
import { boxOf, nudged, snapped } from "../src/trust";

describe("a pointer along an axis", () => {
  it("stops at the places that there are", () => {
    expect(snapped(0.26, 4)).toBe(0.25);
    expect(snapped(0.99, 24)).toBe(1);
  });
});

describe("a rectangle on a picture", () => {
  it("has its corners in any order, and is none where it is but a click", () => {
    expect(boxOf([0.6, 0.2], [0.1, 0.9])).toEqual([0.2, 0.1, 0.9, 0.6]);
    expect(boxOf([0.6, 0.2], [0.602, 0.9])).toEqual([]);
  });
  it("is moved and sized by keys, within the picture", () => {
    expect(nudged([0, 0.25, 0.5, 0.75], 0, -0.1, false)).toEqual([0, 0.25, 0.5, 0.75]);
    expect(nudged([0.25, 0.25, 0.5, 0.5], 0.125, 0, false)).toEqual([0.25, 0.375, 0.5, 0.625]);
    expect(nudged([0.25, 0.25, 0.5, 0.5], 1, 0.125, true)).toEqual([0.25, 0.25, 0.625, 1]);
  });
});
