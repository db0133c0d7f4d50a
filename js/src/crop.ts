// The crop of a photograph that the model sees: outlined, and what it does not see a little darker.
import { whiteOnBlack } from "./probe";
import type { View } from "./view";

const DIMMED = 0.35;

/** Top, left, bottom and right of the crop, in pixels of the picture. */
export type Crop = [number, number, number, number];

/** Draws the crop of a picture of `size` (H, W) into `w` × `h` device pixels. */
export function drawCrop(
  x: CanvasRenderingContext2D,
  w: number,
  h: number,
  ratio: number,
  view: View,
  [rows, columns]: [number, number],
  [top, left, bottom, right]: Crop,
): void {
  const across = (at: number) => Math.round((view.x + (at / columns) * view.scale) * w);
  const down = (at: number) => Math.round((view.y + (at / rows) * view.scale) * h);
  const [x0, y0, wide, tall] = [across(left), down(top), across(right) - across(left), down(bottom) - down(top)];
  x.save();
  x.resetTransform();
  x.beginPath();
  x.rect(across(0), down(0), across(columns) - across(0), down(rows) - down(0));
  x.rect(x0, y0, wide, tall);
  x.fillStyle = `rgba(0,0,0,${DIMMED})`;
  x.fill("evenodd");
  for (const [width, colour] of whiteOnBlack(ratio)) {
    x.lineWidth = width;
    x.strokeStyle = colour;
    x.strokeRect(x0 + 0.5, y0 + 0.5, wide - 1, tall - 1); // on whole pixels, and inside of the crop
  }
  x.restore();
}
