// What lies over the maps while the pointer or the arrow keys are there: crosshair, edge ticks, region outline.
import { outlines, toPath } from "./contour";
import type { Probe, RegionMap } from "./types";
import type { View } from "./view";
import { centreOf } from "./view";

const ARM = 28;
const GAP = 7;
const TICK = 10;

/** Width and colour of the two strokes of a line that is seen on any picture. */
export const whiteOnBlack = (ratio: number) =>
  [
    [3 * ratio, "rgba(0,0,0,.45)"],
    [1.25 * ratio, "#fff"],
  ] as const;

/** Draws the crosshair at the probed pixel into `w` × `h` device pixels. */
export function drawProbe(
  x: CanvasRenderingContext2D,
  w: number,
  h: number,
  ratio: number,
  view: View,
  size: [number, number],
  probe: Probe,
): void {
  const [cx, cy] = centreOf(view, size, probe.x, probe.y);
  const px = Math.round(cx * w);
  const py = Math.round(cy * h);
  const cell = Math.max(3 * ratio, (view.scale * w) / size[1]);
  // In a zoomed picture the arms start outside of the pixel.
  const gap = Math.max(GAP * ratio, cell / 2 + 4 * ratio);
  const arm = gap + (ARM - GAP) * ratio;
  const tick = TICK * ratio;
  const lines = [
    [px - arm, py, px - gap, py],
    [px + gap, py, px + arm, py],
    [px, py - arm, px, py - gap],
    [px, py + gap, px, py + arm],
    [0, py, tick, py],
    [w - tick, py, w, py],
    [px, 0, px, tick],
    [px, h - tick, px, h],
  ];
  x.lineCap = "butt";
  for (const [width, colour] of whiteOnBlack(ratio)) {
    x.lineWidth = width;
    x.strokeStyle = colour;
    x.beginPath();
    for (const [x0, y0, x1, y1] of lines) {
      x.moveTo(x0, y0);
      x.lineTo(x1, y1);
    }
    x.stroke();
    const edge = cell + ratio;
    x.strokeRect(px - edge / 2, py - edge / 2, edge, edge);
  }
}

/** The line of a swipe at `share` of the width, with the names of what lies on its two sides. */
export function drawSwipe(
  x: CanvasRenderingContext2D,
  w: number,
  h: number,
  ratio: number,
  share: number,
  names: [string, string],
): void {
  const at = Math.round(share * w);
  for (const [width, colour] of whiteOnBlack(ratio)) {
    x.fillStyle = colour;
    x.fillRect(at - width / 2, 0, width, h);
  }
  x.font = `${11 * ratio}px system-ui, sans-serif`;
  x.textBaseline = "middle";
  const [pad, tall, top] = [6 * ratio, 18 * ratio, h - 28 * ratio];
  names.forEach((name, right) => {
    const wide = x.measureText(name).width + 2 * pad;
    const left = right ? at + 8 * ratio : at - 8 * ratio - wide;
    x.fillStyle = "rgba(17,17,17,.82)";
    x.fillRect(left, top, wide, tall);
    x.fillStyle = "#fff";
    x.fillText(name, left + pad, top + tall / 2);
  });
}

/** The outline around regions, white on black. */
export function drawRegion(
  x: CanvasRenderingContext2D,
  w: number,
  h: number,
  ratio: number,
  view: View,
  map: RegionMap,
  inside: (label: number) => boolean,
  thin = false,
): void {
  const path = toPath(outlines(map, inside));
  const unit = map.width / (view.scale * w);
  x.save();
  x.translate(view.x * w, view.y * h);
  x.scale((view.scale * w) / map.width, (view.scale * h) / map.height);
  x.lineCap = "square";
  x.strokeStyle = "rgba(0,0,0,.7)";
  x.lineWidth = (thin ? 2.5 : 4) * ratio * unit;
  x.stroke(path);
  x.strokeStyle = "#fff";
  x.lineWidth = (thin ? 1 : 2) * ratio * unit;
  if (thin) x.setLineDash([4 * ratio * unit, 3 * ratio * unit]);
  x.stroke(path);
  x.restore();
}
