import { expect, it } from "vitest";
import { contour, outlines } from "../src/contour";

const segments = (lines: number[]) => Array.from({ length: lines.length / 4 }, (_, i) => lines.slice(i * 4, i * 4 + 4));

it("a bump has one closed line at half its height", () => {
  const n = 9;
  const square = (v: number) => v * v;
  const value = (i: number) => Math.exp(-square((i % n) - 4) / 4 - square(Math.floor(i / n) - 4) / 4);
  const lines = segments(contour(value, n, n, 0.5));
  const radius = Math.sqrt(4 * Math.LN2);
  const ends = new Map<string, number>();
  for (const [x0, y0, x1, y1] of lines) {
    for (const [x, y] of [[x0, y0], [x1, y1]]) {
      expect(Math.hypot(x - 4.5, y - 4.5)).toBeCloseTo(radius, 0);
      const key = `${x.toFixed(6)},${y.toFixed(6)}`;
      ends.set(key, (ends.get(key) ?? 0) + 1);
    }
  }
  expect(lines.length).toBeGreaterThan(8);
  expect([...ends.values()].every((count) => count === 2)).toBe(true);
});

it("lies where a linear ramp crosses the level", () => {
  const lines = segments(contour((i) => i % 4, 4, 3, 1.25));
  expect(lines).toHaveLength(2);
  for (const [x0, , x1] of lines) expect([x0, x1]).toEqual([1.75, 1.75]);
});

it("flat maps and holes have none", () => {
  expect(contour(() => 1, 5, 5, 0.5)).toEqual([]);
  expect(contour(() => NaN, 5, 5, 0.5)).toEqual([]);
});

it("opposite corners of a saddle stay apart", () => {
  expect(segments(contour((i) => [1, 0, 0, 1][i], 2, 2, 0.5))).toHaveLength(2);
  expect(segments(contour((i) => [0, 1, 1, 0][i], 2, 2, 0.5))).toHaveLength(2);
});

it("outlines a region and the borders between all", () => {
  const map = { width: 2, height: 2, labels: Uint8Array.of(0, 1, 0, 1) };
  expect(segments(outlines(map))).toEqual([
    [1, 0, 1, 1],
    [1, 1, 1, 2],
  ]);
  expect(segments(outlines(map, (label) => label === 1))).toHaveLength(6);
  expect(outlines(map, (label) => label === 7)).toEqual([]);
});
