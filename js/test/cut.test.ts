import { expect, it, vi } from "vitest";
import { middleOf, nextRegion, regionsAlong } from "../src/cut";
import { editKey } from "../src/edit_keys";
import { Strokes } from "../src/strokes";
import type { EditMessage } from "../src/types";

// 0 0 1
// 0 2 1
// 3 3 3
const MAP = { height: 3, width: 3, labels: Uint8Array.of(0, 0, 1, 0, 2, 1, 3, 3, 3) };

it("finds the pixel in the middle of a region, in the region", () => {
  expect(middleOf(MAP, 3)).toEqual([1, 2]);
  expect(middleOf(MAP, 2)).toEqual([1, 1]);
  expect(MAP.labels[middleOf(MAP, 0)![1] * 3 + middleOf(MAP, 0)![0]]).toBe(0);
  expect(middleOf(MAP, 9)).toBeNull();
});

it("walks to the next region, and stops at the edge", () => {
  expect(nextRegion(MAP, 0, 0, 1, 0)).toBe(1);
  expect(nextRegion(MAP, 0, 0, 0, 1)).toBe(3);
  expect(nextRegion(MAP, 0, 0, -1, 0)).toBe(-1);
});

it("knows which regions a stroke runs over, inside the picture", () => {
  expect([...regionsAlong(MAP, [0.5, 0.5, 2.5, 0.5])]).toEqual([0, 1]);
  expect([...regionsAlong(MAP, [1.5, 1.5])]).toEqual([2]);
  expect([...regionsAlong(MAP, [-5, -5, -1, -1])]).toEqual([]);
});

function drawing() {
  const sent: [EditMessage, number[]][] = [];
  return { sent, strokes: new Strokes((edit, points) => sent.push([edit, [...points]]), () => {}) };
}

it("a drag asks one question at a time, and ends as one edit", () => {
  const { sent, strokes } = drawing();
  strokes.begin("rectangle", 1, 2);
  strokes.move(5, 6);
  strokes.move(7, 8);
  expect(sent).toHaveLength(1);
  const first = sent[0][0].sketch!;
  expect(sent[0][1]).toEqual([1, 2, 5, 6]);
  strokes.answered({ number: first - 1, text: "old" });
  expect([strokes.text, sent.length]).toEqual(["", 1]);
  strokes.answered({ number: first, text: "−1.20 logit" });
  expect(strokes.text).toBe("−1.20 logit");
  expect(sent[1]).toEqual([{ op: "rectangle", radius: 6, sketch: first + 1 }, [1, 2, 7, 8]]);
  strokes.end();
  expect(sent[2]).toEqual([{ op: "rectangle", radius: 6, after: first + 1 }, [1, 2, 7, 8]]);
  expect(strokes.active).toBe(false);
});

it("an answer that does not come is not waited for", () => {
  const now = vi.spyOn(performance, "now");
  now.mockReturnValue(1000);
  const { sent, strokes } = drawing();
  strokes.begin("lasso", 0, 0);
  strokes.move(5, 0);
  now.mockReturnValue(1500);
  strokes.move(5, 5);
  expect(sent).toHaveLength(1);
  now.mockReturnValue(2100);
  strokes.move(0, 5);
  expect(sent).toHaveLength(2);
  now.mockRestore();
});

it("a press without a drag draws only with brush, eraser and split", () => {
  for (const [op, does] of [["brush", "brush"], ["split", "split"], ["lasso", "cancel"], ["rectangle", "cancel"], ["merge", "cancel"]] as const) {
    const { sent, strokes } = drawing();
    strokes.begin(op, 3, 3);
    strokes.end();
    expect(sent.map(([edit]) => edit.op)).toEqual([does]);
  }
  const { sent, strokes } = drawing();
  strokes.cancel();
  strokes.end();
  strokes.move(1, 1);
  expect(sent).toEqual([]);
});

it("keys choose tools and edit; what is not theirs goes on", () => {
  const done: string[] = [];
  const keys = { tool: (t: string) => void done.push(t), edit: (op: string) => void done.push(op), size: (f: number) => void done.push(f > 1 ? "+" : "-") };
  const press = (key: string, more = {}) => editKey({ key, altKey: false, ctrlKey: false, metaKey: false, shiftKey: false, ...more } as KeyboardEvent, keys);
  for (const key of ["r", "R", "u", "U", "]", "[", "<", "Delete", "o"]) expect(press(key)).toBe(true);
  expect(press("z", { ctrlKey: true })).toBe(true);
  expect(press("Z", { metaKey: true, shiftKey: true })).toBe(true);
  expect(done).toEqual(["rectangle", "rectangle", "undo", "redo", "+", "-", "shrink", "remove", "on", "undo", "redo"]);
  for (const key of ["f", "F", "i", "n"]) press(key);
  expect(done.slice(-4)).toEqual(["finer", "coarser", "interactions", "choose"]);
  for (const key of ["b", "v", "ArrowLeft", "?", "Enter"]) expect(press(key)).toBe(false);
  expect(press("s", { ctrlKey: true })).toBe(false);
  expect(press("r", { altKey: true })).toBe(false);
});
