import { expect, test } from "vitest";
import { drawCrop } from "../src/crop";
import { positiveAt } from "../src/page_film";

const field = (rows: number[][]) => ({
  height: rows.length,
  width: rows[0].length,
  raw: Float32Array.from(rows.flat()),
  vmin: 0,
  vmax: 1,
});

test("a map in a crop is the map at the crop's size, with nothing around it", () => {
  const small = field([[0.5, 1], [-1, 0.25]]);
  const alone = positiveAt(small, [4, 6]);
  const placed = positiveAt(small, [9, 10], [3, 2, 7, 8]);
  expect([placed.height, placed.width]).toEqual([9, 10]);
  for (let y = 0; y < 9; y++)
    for (let x = 0; x < 10; x++) {
      const inside = y >= 3 && y < 7 && x >= 2 && x < 8;
      expect(placed.raw[y * 10 + x]).toBeCloseTo(inside ? alone.raw[(y - 3) * 6 + x - 2] : 0, 6);
    }
});

test("the outline lies on the crop, whatever the zoom, and the dimming outside of it", () => {
  const rects: number[][] = [];
  const strokes: number[][] = [];
  const fills: unknown[] = [];
  const x = {
    save() {}, restore() {}, resetTransform() {}, beginPath() {},
    rect: (...r: number[]) => rects.push(r),
    fill: (rule: unknown) => fills.push(rule),
    strokeRect: (...r: number[]) => strokes.push(r),
  } as unknown as CanvasRenderingContext2D;
  drawCrop(x, 300, 200, 1, { scale: 1, x: 0, y: 0 }, [100, 150], [10, 20, 60, 120]);
  expect(rects).toEqual([[0, 0, 300, 200], [40, 20, 200, 100]]);
  expect(fills).toEqual(["evenodd"]);
  expect(strokes).toEqual([[40.5, 20.5, 199, 99], [40.5, 20.5, 199, 99]]);
  rects.length = 0;
  drawCrop(x, 300, 200, 1, { scale: 2, x: -0.5, y: -1 }, [100, 150], [10, 20, 60, 120]);
  expect(rects).toEqual([[-150, -200, 600, 400], [-70, -160, 400, 200]]);
});
