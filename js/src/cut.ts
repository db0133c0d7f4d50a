// Regions as shapes: neighbours for the arrow keys, and how what is off is painted.
import { outlines, toPath } from "./contour";
import type { CutState, RegionMap } from "./types";
import type { View } from "./view";

/** The pixel of a region nearest to its centre of mass, as (x, y) in pixels of the map; null for none. */
export function middleOf(map: RegionMap, region: number): [number, number] | null {
  let [sx, sy, n] = [0, 0, 0];
  each(map, region, (x, y) => ((sx += x), (sy += y), n++));
  if (!n) return null;
  let [best, far]: [[number, number], number] = [[0, 0], Infinity];
  each(map, region, (x, y) => {
    const d = (x - sx / n) ** 2 + (y - sy / n) ** 2;
    if (d < far) [best, far] = [[x, y], d];
  });
  return best;
}

function each(map: RegionMap, region: number, f: (x: number, y: number) => void): void {
  for (let i = 0; i < map.labels.length; i++) if (map.labels[i] === region) f(i % map.width, Math.floor(i / map.width));
}

/** The first other region from pixel (x, y) of the map in direction (dx, dy), or −1 at the edge. */
export function nextRegion(map: RegionMap, x: number, y: number, dx: number, dy: number): number {
  const here = map.labels[y * map.width + x];
  for (; x >= 0 && y >= 0 && x < map.width && y < map.height; x += dx, y += dy) {
    const label = map.labels[y * map.width + x];
    if (label !== here) return label;
  }
  return -1;
}

/** Which regions the segments between points (x, y) run over. */
export function regionsAlong(map: RegionMap, points: number[]): Set<number> {
  const found = new Set<number>();
  for (let i = 0; i < points.length; i += 2) {
    const [x0, y0] = i ? [points[i - 2], points[i - 1]] : [points[0], points[1]];
    const steps = Math.max(1, Math.ceil(Math.hypot(points[i] - x0, points[i + 1] - y0)));
    for (let k = 0; k <= steps; k++) {
      const x = Math.floor(x0 + ((points[i] - x0) * k) / steps);
      const y = Math.floor(y0 + ((points[i + 1] - y0) * k) / steps);
      if (x >= 0 && y >= 0 && x < map.width && y < map.height) found.add(map.labels[y * map.width + x]);
    }
  }
  return found;
}

const HATCH = 6; // CSS pixels between lines

/** Paints what is off: the fill, then (over the borders of regions) a hatch and a white outline. */
export class OffPainter {
  private shape: { map: RegionMap; off: number[]; mask: OffscreenCanvas; path: Path2D } | null = null;
  private filled: { mask: unknown; fill: unknown; canvas: OffscreenCanvas } | null = null;
  private lines: { key: string; mask: unknown; canvas: OffscreenCanvas } | null = null;

  /** `x` maps the picture to the unit square. */
  fill(x: CanvasRenderingContext2D, map: RegionMap, cut: CutState): void {
    if (!cut.off.length) return;
    const { mask } = this.shapes(map, cut.off);
    if (this.filled?.mask !== mask || this.filled.fill !== cut.fill) {
      const canvas = new OffscreenCanvas(mask.width, mask.height);
      const f = canvas.getContext("2d")!;
      f.drawImage(mask, 0, 0);
      f.globalCompositeOperation = "source-in";
      if (cut.fill) f.drawImage(cut.fill, 0, 0, mask.width, mask.height);
      else f.fillRect(0, 0, mask.width, mask.height);
      this.filled = { mask, fill: cut.fill, canvas };
    }
    x.imageSmoothingEnabled = false;
    x.drawImage(this.filled.canvas, 0, 0, 1, 1);
  }

  hatch(x: CanvasRenderingContext2D, w: number, h: number, ratio: number, view: View, map: RegionMap, cut: CutState): void {
    if (!cut.off.length) return;
    const { mask, path } = this.shapes(map, cut.off);
    const key = [w, h, ratio, view.scale, view.x, view.y].join();
    if (this.lines?.key !== key || this.lines.mask !== mask) {
      const canvas = new OffscreenCanvas(w, h);
      const l = canvas.getContext("2d")!;
      l.strokeStyle = "rgba(255,255,255,.55)";
      l.lineWidth = ratio;
      for (let at = -h; at < w; at += HATCH * ratio) (l.moveTo(at, h), l.lineTo(at + h, 0));
      l.stroke();
      l.globalCompositeOperation = "destination-in";
      l.imageSmoothingEnabled = false;
      l.drawImage(mask, view.x * w, view.y * h, view.scale * w, view.scale * h);
      this.lines = { key, mask, canvas };
    }
    x.save();
    x.resetTransform();
    x.drawImage(this.lines.canvas, 0, 0);
    x.restore();
    x.save();
    x.scale(1 / map.width, 1 / map.height);
    x.lineWidth = (1.25 * ratio * map.width) / (view.scale * w);
    x.strokeStyle = "rgba(255,255,255,.9)";
    x.stroke(path);
    x.restore();
  }

  private shapes(map: RegionMap, off: number[]) {
    if (this.shape?.map !== map || this.shape.off !== off) {
      const set = new Set(off);
      const mask = new OffscreenCanvas(map.width, map.height);
      const m = mask.getContext("2d")!;
      const image = m.createImageData(map.width, map.height);
      for (let i = 0; i < map.labels.length; i++) if (set.has(map.labels[i])) image.data[4 * i + 3] = 255;
      m.putImageData(image, 0, 0);
      this.shape = { map, off, mask, path: toPath(outlines(map, (label) => set.has(label))) };
    }
    return this.shape;
  }
}
