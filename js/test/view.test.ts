import { describe, expect, it } from "vitest";
import { FIT, LARGEST, centreOf, panned, pixelAt, revealed, tagPlace, zoomed } from "../src/view";

const SIZE: [number, number] = [100, 200];

describe("zoom", () => {
  it("keeps what lies under the pointer", () => {
    const before = pixelAt(FIT, SIZE, 0.3, 0.7);
    const view = zoomed(FIT, 4, 0.3, 0.7);
    expect(pixelAt(view, SIZE, 0.3, 0.7)).toEqual(before);
    expect(view.scale).toBe(4);
  });
  it("never shows an empty border and stays in its range", () => {
    let view = zoomed(FIT, 3, 0, 0);
    view = panned(view, 5, 5);
    expect([view.x, view.y]).toEqual([0, 0]);
    view = panned(view, -50, -50);
    expect([view.x, view.y]).toEqual([-2, -2]);
    expect(zoomed(view, 1e9, 0.5, 0.5).scale).toBe(LARGEST);
    expect(zoomed(view, 1e-9, 0.5, 0.5)).toEqual(FIT);
  });
});

describe("pixels", () => {
  it("are inside the picture wherever the pointer is", () => {
    expect(pixelAt(FIT, SIZE, -1, 2)).toEqual([0, 99]);
    expect(pixelAt(FIT, SIZE, 0.999999, 0)).toEqual([199, 0]);
  });
  it("and their centres agree", () => {
    const view = zoomed(FIT, 5, 0.4, 0.2);
    for (const [x, y] of [[80, 20], [79, 21]]) expect(pixelAt(view, SIZE, ...centreOf(view, SIZE, x, y))).toEqual([x, y]);
  });
  it("come into sight when the probe walks there", () => {
    const view = zoomed(FIT, 8, 0, 0);
    const next = revealed(view, SIZE, 150, 80);
    const [cx, cy] = centreOf(next, SIZE, 150, 80);
    expect(cx > 0 && cx < 1 && cy > 0 && cy < 1).toBe(true);
    expect(revealed(next, SIZE, 150, 80)).toBe(next);
  });
});

describe("the tag", () => {
  it("sits above, to the right", () => expect(tagPlace(200, 200, 500)).toEqual({ left: 210, right: null, top: 172 }));
  it("flips at the right edge", () => expect(tagPlace(450, 200, 500)).toEqual({ left: null, right: 60, top: 172 }));
  it("goes below at the upper edge", () => expect(tagPlace(200, 10, 500).top).toBe(20));
});
