// Lines over the picture, as flat lists x0 y0 x1 y1 … in map pixels: contours of a map, outlines of regions.
import type { RegionMap } from "./types";

/** Marching squares at `level`; the value of a pixel sits at its centre. */
export function contour(value: (i: number) => number, width: number, height: number, level: number): number[] {
  const out: number[] = [];
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      const i = y * width + x;
      const a = value(i) - level;
      const b = value(i + 1) - level;
      const c = value(i + width + 1) - level;
      const d = value(i + width) - level;
      const k = (a > 0 ? 1 : 0) | (b > 0 ? 2 : 0) | (c > 0 ? 4 : 0) | (d > 0 ? 8 : 0);
      if (k === 0 || k === 15 || Number.isNaN(a + b + c + d)) continue;
      const cx = x + 0.5;
      const cy = y + 0.5;
      const top = () => [cx + a / (a - b), cy];
      const right = () => [cx + 1, cy + b / (b - c)];
      const bottom = () => [cx + d / (d - c), cy + 1];
      const left = () => [cx, cy + a / (a - d)];
      // The two ambiguous cells (5 and 10) keep their positive corners apart.
      if (k === 1 || k === 14 || k === 5) out.push(...left(), ...top());
      if (k === 2 || k === 13 || k === 10) out.push(...top(), ...right());
      if (k === 4 || k === 11 || k === 5) out.push(...right(), ...bottom());
      if (k === 8 || k === 7 || k === 10) out.push(...left(), ...bottom());
      if (k === 3 || k === 12) out.push(...left(), ...right());
      if (k === 6 || k === 9) out.push(...top(), ...bottom());
    }
  }
  return out;
}

/** Borders between all regions, or (with `only`) the outline around some of them together. */
export function outlines(map: RegionMap, only?: (label: number) => boolean): number[] {
  const { width, height, labels } = map;
  const out: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const label = labels[i];
      if (only === undefined) {
        if (x < width - 1 && labels[i + 1] !== label) out.push(x + 1, y, x + 1, y + 1);
        if (y < height - 1 && labels[i + width] !== label) out.push(x, y + 1, x + 1, y + 1);
      } else if (only(label)) {
        if (x === 0 || !only(labels[i - 1])) out.push(x, y, x, y + 1);
        if (x === width - 1 || !only(labels[i + 1])) out.push(x + 1, y, x + 1, y + 1);
        if (y === 0 || !only(labels[i - width])) out.push(x, y, x + 1, y);
        if (y === height - 1 || !only(labels[i + width])) out.push(x, y + 1, x + 1, y + 1);
      }
    }
  }
  return out;
}

export function toPath(lines: number[]): Path2D {
  const path = new Path2D();
  for (let i = 0; i < lines.length; i += 4) {
    path.moveTo(lines[i], lines[i + 1]);
    path.lineTo(lines[i + 2], lines[i + 3]);
  }
  return path;
}
