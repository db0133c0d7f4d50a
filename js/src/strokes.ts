// Drawing on the stage: a press, a drag and a release become one edit; what a drawing would drop is asked for meanwhile.
import type { EditMessage, EditOp, Tool } from "./types";
import type { View } from "./view";

/** Tools that draw, and the edits they ask for. */
export const DRAWS: Partial<Record<Tool, EditOp>> = {
  rectangle: "rectangle",
  lasso: "lasso",
  brush: "brush",
  erase: "erase",
  split: "split",
  merge: "merge",
};
const SKETCHED = new Set<EditOp>(["rectangle", "lasso", "brush"]);
const MOST_POINTS = 8000;
const STEP = 0.5; // pixels of the picture that a hand must move for another point
const PATIENCE_MS = 1000; // an answer that does not come is waited for no longer

export class Strokes {
  op: EditOp | null = null;
  points: number[] = [];
  radius = 6;
  /** What the region drawn so far would drop, in words. */
  text = "";
  /** The number of the question that `text` answers. */
  told = 0;
  private number = Date.now(); // grows from one load of the page to the next
  private asked = 0; // when the question that waits for its answer was sent
  private moved = false; // since then

  constructor(
    private send: (edit: EditMessage, points: number[]) => void,
    private changed: () => void,
  ) {}

  get active(): boolean {
    return this.op !== null;
  }

  begin(op: EditOp, x: number, y: number): void {
    this.op = op;
    this.points = op === "rectangle" ? [x, y, x, y] : [x, y];
    this.text = "";
    this.asked = 0;
    this.changed();
  }

  move(x: number, y: number): void {
    if (!this.op) return;
    const n = this.points.length;
    if (this.op !== "rectangle") {
      if (Math.hypot(x - this.points[n - 2], y - this.points[n - 1]) < STEP || n >= 2 * MOST_POINTS) return;
      this.points.push(x, y);
    } else this.points.splice(2, 2, x, y);
    this.ask();
    this.changed();
  }

  /** The hand let go: the edit happens. A click with a tool that needs a drag does nothing. */
  end(): void {
    const [op, points] = [this.op, this.points];
    if (!op) return;
    this.op = null;
    const still = points.length < 4 || (points.length === 4 && points[0] === points[2] && points[1] === points[3]);
    if (!still || ["brush", "erase", "split"].includes(op)) this.send({ op, radius: this.radius, after: this.number }, points);
    else this.send({ op: "cancel", after: this.number }, []);
    this.changed();
  }

  cancel(): void {
    if (!this.op) return;
    this.op = null;
    this.send({ op: "cancel", after: this.number }, []);
    this.changed();
  }

  /** One question at a time: the next one goes when its answer is there. */
  private ask(): void {
    if (!this.op || !SKETCHED.has(this.op)) return;
    this.moved = true;
    if (this.asked && performance.now() - this.asked < PATIENCE_MS) return;
    this.asked = performance.now();
    this.moved = false;
    this.send({ op: this.op, radius: this.radius, sketch: ++this.number }, this.points);
  }

  /** An answer came; one to an older question is dropped. */
  answered(sketch: { number?: number; text?: string }): void {
    if (!this.op || sketch.number !== this.number) return;
    this.text = sketch.text ?? "";
    this.told = this.number;
    this.asked = 0;
    if (this.moved) this.ask();
    this.changed();
  }

  /** Draws the live outline, `w` × `h` device pixels, for a picture of `size` (H, W). */
  draw(x: CanvasRenderingContext2D, w: number, h: number, ratio: number, view: View, [rows, columns]: [number, number]): void {
    if (!this.op) return;
    const sx = (view.scale * w) / columns;
    const sy = (view.scale * h) / rows;
    const px = (i: number) => view.x * w + this.points[i] * sx;
    const py = (i: number) => view.y * h + this.points[i + 1] * sy;
    x.save();
    x.lineJoin = x.lineCap = "round";
    x.beginPath();
    if (this.op === "rectangle") {
      const [left, right] = [this.points[0], this.points[2]].sort((a, b) => a - b);
      const [top, bottom] = [this.points[1], this.points[3]].sort((a, b) => a - b);
      const snap = (low: number, offset: number, s: number) => offset + low * s;
      const [l, r] = [snap(Math.floor(left), view.x * w, sx), snap(Math.ceil(right), view.x * w, sx)];
      const [t, b] = [snap(Math.floor(top), view.y * h, sy), snap(Math.ceil(bottom), view.y * h, sy)];
      x.rect(l, t, r - l, b - t);
    } else {
      x.moveTo(px(0), py(0));
      for (let i = 2; i < this.points.length; i += 2) x.lineTo(px(i), py(i));
      if (this.points.length === 2) x.lineTo(px(0) + 0.01, py(0));
    }
    const wide = this.op === "brush" || this.op === "erase";
    if (wide) {
      x.lineWidth = 2 * this.radius * sx;
      x.strokeStyle = this.op === "brush" ? "rgba(255,255,255,.4)" : "rgba(0,0,0,.45)";
      x.stroke();
    } else {
      for (const [width, colour] of [
        [3.5, "rgba(0,0,0,.5)"],
        [1.5, "#fff"],
      ] as const) {
        x.lineWidth = width * ratio;
        x.strokeStyle = colour;
        x.stroke();
      }
      if (this.op === "lasso" && this.points.length > 4) {
        x.setLineDash([3 * ratio, 4 * ratio]);
        x.beginPath();
        x.moveTo(px(this.points.length - 2), py(this.points.length - 2));
        x.lineTo(px(0), py(0));
        x.stroke();
      }
    }
    x.restore();
  }
}

/** The brush or eraser under the pointer at (cx, cy), in shares of the stage. */
export function drawBrush(x: CanvasRenderingContext2D, w: number, h: number, ratio: number, cx: number, cy: number, r: number): void {
  for (const [width, colour] of [
    [3, "rgba(0,0,0,.45)"],
    [1.25, "#fff"],
  ] as const) {
    x.beginPath();
    x.arc(cx * w, cy * h, Math.max(2 * ratio, r), 0, 2 * Math.PI);
    x.lineWidth = width * ratio;
    x.strokeStyle = colour;
    x.stroke();
  }
}
