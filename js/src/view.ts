// Zoom and pan: the picture lies in the stage at `scale` with its corner at (x, y), in shares of the stage.

export interface View {
  scale: number;
  x: number;
  y: number;
}

export const FIT: View = { scale: 1, x: 0, y: 0 };
export const LARGEST = 32;

/** The picture always covers the stage: no empty border comes into sight. */
export function settled(view: View): View {
  const scale = Math.min(LARGEST, Math.max(1, view.scale));
  const keep = (offset: number) => Math.min(0, Math.max(1 - scale, offset)) + 0; // + 0: no −0
  return { scale, x: keep(view.x), y: keep(view.y) };
}

/** Zooms by `factor` and keeps what lies under (cx, cy), in shares of the stage, where it is. */
export function zoomed(view: View, factor: number, cx: number, cy: number): View {
  const scale = Math.min(LARGEST, Math.max(1, view.scale * factor));
  const k = scale / view.scale;
  return settled({ scale, x: cx - (cx - view.x) * k, y: cy - (cy - view.y) * k });
}

export function panned(view: View, dx: number, dy: number): View {
  return settled({ scale: view.scale, x: view.x + dx, y: view.y + dy });
}

/** Pixel of the picture, of `size` (H, W), at (fx, fy) in shares of the stage; inside the picture always. */
export function pixelAt(view: View, size: [number, number], fx: number, fy: number): [number, number] {
  const inside = (f: number, offset: number, n: number) =>
    Math.min(n - 1, Math.max(0, Math.floor(((f - offset) / view.scale) * n)));
  return [inside(fx, view.x, size[1]), inside(fy, view.y, size[0])];
}

/** Point of the picture, of `size` (H, W), at (fx, fy) in shares of the stage; outside of it, too. */
export function pointAt(view: View, size: [number, number], fx: number, fy: number): [number, number] {
  return [((fx - view.x) / view.scale) * size[1], ((fy - view.y) / view.scale) * size[0]];
}

/** Centre of pixel (x, y) in shares of the stage. */
export function centreOf(view: View, size: [number, number], x: number, y: number): [number, number] {
  return [view.x + ((x + 0.5) / size[1]) * view.scale, view.y + ((y + 0.5) / size[0]) * view.scale];
}

/** Moves the view just enough that pixel (x, y) is in sight. */
export function revealed(view: View, size: [number, number], x: number, y: number): View {
  const [cx, cy] = centreOf(view, size, x, y);
  const margin = 0.04;
  const shift = (c: number) => (c < margin ? margin - c : c > 1 - margin ? 1 - margin - c : 0);
  const dx = shift(cx);
  const dy = shift(cy);
  return dx || dy ? panned(view, dx, dy) : view;
}

export interface TagPlace {
  left: number | null;
  right: number | null;
  top: number;
}

/** Where the value tag goes: right above the probe, flipped where the edge is near. All in CSS pixels. */
export function tagPlace(x: number, y: number, width: number, gap = 10, room = 96): TagPlace {
  const flip = x > width - room;
  return {
    left: flip ? null : x + gap,
    right: flip ? width - x + gap : null,
    top: y < 32 ? y + gap : y - gap - 18,
  };
}
