// Painting photograph, grey and heat layers. Maps become small canvases once; opacity and zoom only redraw them.
import { paintField } from "./colormap";
import { contour, outlines, toPath } from "./contour";
import { drawCrop } from "./crop";
import { OffPainter } from "./cut";
import { valueAt } from "./decode";
import { massCut } from "./mass";
import type { LayerState, RegionMap, StageState } from "./types";
import { ordered, sides } from "./types";
import type { View } from "./view";

/** A layer whose newer map is on its way keeps this share of its opacity. */
export const STALE = 0.35;

export function canvasOf(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return [canvas, canvas.getContext("2d")!];
}

/** saturate(s) brightness(b) of CSS filters, in place (canvas filters are not in every browser). */
export function desaturate(pixels: Uint8ClampedArray, s: number, b: number): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const grey = 0.213 * pixels[i] + 0.715 * pixels[i + 1] + 0.072 * pixels[i + 2];
    for (let c = i; c < i + 3; c++) pixels[c] = b * (grey + s * (pixels[c] - grey));
  }
}

/** A copy of the photograph with less colour and light. */
export function faded(picture: CanvasImageSource, [h, w]: [number, number], s: number, b: number): HTMLCanvasElement {
  const [canvas, x] = canvasOf(w, h);
  x.drawImage(picture, 0, 0, w, h);
  const image = x.getImageData(0, 0, w, h);
  desaturate(image.data, s, b);
  x.putImageData(image, 0, 0);
  return canvas;
}

/** The smallest size that shows where the mass decides, else null. */
const cutOf = (layer: LayerState) => (layer.mass === null ? null : massCut(layer.field!, layer.sign, layer.mass));

/** The canvas operation that lays a layer over what is below. */
function operation(layer: LayerState): GlobalCompositeOperation {
  const blend = layer.blend === "auto" ? (layer.signed ? "normal" : "hard-light") : layer.blend;
  return blend === "normal" ? "source-over" : blend;
}

/** The map alone as a canvas of its own resolution, at opacity 1. */
export function heatCanvas(layer: LayerState): HTMLCanvasElement {
  const field = layer.field!;
  const [canvas, x] = canvasOf(field.width, field.height);
  const image = x.createImageData(field.width, field.height);
  paintField(field, { ...layer, cut: cutOf(layer) }, image.data);
  x.putImageData(image, 0, 0);
  return canvas;
}

interface Cached {
  key: string;
  field: unknown;
  lut: unknown;
  heat: HTMLCanvasElement;
  mute: HTMLCanvasElement | null;
  lines: [Path2D, boolean][] | null;
}

export interface Look {
  view: View;
  ratio: number;
  bare: boolean;
  /** Pixels as they are, without smoothing. */
  grid: boolean;
  /** Where the swipe's line stands, as a share of the stage; null: no swipe. */
  swipe: number | null;
  /** Share of its opacity per layer id: stale maps and maps that fade in. */
  strength: (layer: LayerState) => number;
}

export class Painter {
  private cache = new Map<string, Cached>();
  private photo: { source: unknown; saturation: number; shown: CanvasImageSource; grey: HTMLCanvasElement } | null = null;
  private off = new OffPainter();
  private edges: { map: RegionMap; path: Path2D } | null = null;

  /** Draws everything below the probe into `x`, `w` × `h` device pixels. */
  draw(x: CanvasRenderingContext2D, w: number, h: number, state: StageState, look: Look): void {
    x.setTransform(1, 0, 0, 1, 0, 0);
    x.clearRect(0, 0, w, h);
    x.imageSmoothingQuality = "high";
    const { scale } = look.view;
    x.setTransform(scale * w, 0, 0, scale * h, look.view.x * w, look.view.y * h);
    const photo = this.photograph(state);
    if (photo && state.photoVisible) {
      x.imageSmoothingEnabled = !look.grid;
      x.globalAlpha = state.photoOpacity;
      x.drawImage(photo.shown, 0, 0, 1, 1);
      x.globalAlpha = 1;
    }
    const grey = photo && state.photoVisible && state.photoSaturation > 0.4 ? photo.grey : null;
    const visible = ordered(state.layers).filter((l) => l.visible && l.field);
    if (!look.bare && look.swipe === null) this.layers(x, w, h, state, visible, grey, look);
    else if (!look.bare) {
      const split = Math.round(look.swipe! * w);
      sides(visible).forEach((layers, right) => {
        x.save();
        x.resetTransform();
        x.beginPath();
        x.rect(right ? split : 0, 0, right ? w - split : split, h);
        x.clip();
        x.setTransform(scale * w, 0, 0, scale * h, look.view.x * w, look.view.y * h);
        this.layers(x, w, h, state, layers, grey, look);
        x.restore();
      });
    }
    if (state.crop && !look.bare) drawCrop(x, w, h, look.ratio, look.view, state.size, state.crop);
    if (look.grid) pixelGrid(x, w, h, state.size, look);
    x.setTransform(1, 0, 0, 1, 0, 0);
  }

  private layers(
    x: CanvasRenderingContext2D,
    w: number,
    h: number,
    state: StageState,
    layers: LayerState[],
    grey: HTMLCanvasElement | null,
    look: Look,
  ): void {
    const fills = layers.filter((l) => !l.contour).reverse();
    if (grey) this.greyUnder(x, state, fills, grey, look);
    for (const layer of fills) this.fill(x, layer, look);
    for (const layer of layers.filter((l) => l.contour).reverse()) this.line(x, w, layer, look);
    const cut = layers.find((l) => l.kind === "region");
    const map = state.regions ?? cut?.regions ?? null;
    if (map && state.cut) this.off.fill(x, map, state.cut);
    if (map && (cut || state.regionHover)) this.borders(x, w, map, look);
    if (map && state.cut) this.off.hatch(x, w, h, look.ratio, look.view, map, state.cut);
  }

  /** Forgets layers that are gone. */
  keep(layers: LayerState[]): void {
    const ids = new Set(layers.map((l) => l.id));
    for (const id of this.cache.keys()) if (!ids.has(id)) this.cache.delete(id);
  }

  private photograph(state: StageState) {
    if (!state.picture) return null;
    const saturation = state.photoSaturation;
    if (this.photo?.source !== state.picture || this.photo.saturation !== saturation) {
      const same = this.photo?.source === state.picture ? this.photo.grey : null;
      const grey = same ?? faded(state.picture, state.size, 0.1, 0.8);
      const shown = saturation < 1 ? faded(state.picture, state.size, saturation, 1) : state.picture;
      if (!same) for (const cached of this.cache.values()) cached.mute = null;
      this.photo = { source: state.picture, saturation, shown, grey };
    }
    return this.photo;
  }

  private cached(layer: LayerState): Cached {
    const key = [layer.limits, layer.signed, layer.sign, layer.kind, layer.threshold, layer.mass].join();
    let entry = this.cache.get(layer.id);
    if (!entry || entry.key !== key || entry.field !== layer.field || entry.lut !== layer.lut) {
      entry = { key, field: layer.field, lut: layer.lut, heat: heatCanvas(layer), mute: null, lines: null };
      this.cache.set(layer.id, entry);
    }
    return entry;
  }

  /** Under heat, not under regions, the photograph turns grey: where the map is opaque, and as much. */
  private greyUnder(
    x: CanvasRenderingContext2D,
    state: StageState,
    fills: LayerState[],
    grey: HTMLCanvasElement,
    look: Look,
  ): void {
    for (const layer of fills) {
      if (layer.kind === "region") continue;
      const entry = this.cached(layer);
      if (!entry.mute) {
        const [mute, m] = canvasOf(Math.max(grey.width, entry.heat.width), Math.max(grey.height, entry.heat.height));
        m.imageSmoothingQuality = "high";
        m.drawImage(entry.heat, 0, 0, mute.width, mute.height);
        m.globalCompositeOperation = "source-in";
        m.drawImage(grey, 0, 0, mute.width, mute.height);
        entry.mute = mute;
      }
      x.imageSmoothingEnabled = !look.grid;
      // Hard light lets the photograph through, so unsigned maps need more grey below them.
      const strength = layer.opacity * look.strength(layer) * (layer.signed ? 1 : 1.6);
      x.globalAlpha = Math.min(1, strength) * state.photoOpacity;
      x.drawImage(entry.mute, 0, 0, 1, 1);
      x.globalAlpha = 1;
    }
  }

  private fill(x: CanvasRenderingContext2D, layer: LayerState, look: Look): void {
    x.imageSmoothingEnabled = layer.kind !== "region" && !look.grid;
    x.globalAlpha = layer.opacity * look.strength(layer);
    x.globalCompositeOperation = operation(layer);
    x.drawImage(this.cached(layer).heat, 0, 0, 1, 1);
    x.globalCompositeOperation = "source-over";
    x.globalAlpha = 1;
  }

  private line(x: CanvasRenderingContext2D, w: number, layer: LayerState, look: Look): void {
    const entry = this.cached(layer);
    const field = layer.field!;
    if (!entry.lines) {
      const value = (i: number) => valueAt(field, i);
      const [low, high] = layer.limits;
      const { sign } = layer;
      // Round the top of the mass where the mass decides, else at half of the limits.
      const cut = cutOf(layer);
      const size = sign === "absolute" ? (i: number) => Math.abs(value(i)) : value;
      const above = sign === "negative" ? [] : contour(size, field.width, field.height, cut ?? high / 2);
      const both = layer.signed && (sign === "both" || sign === "negative");
      const below = both ? contour((i) => -value(i), field.width, field.height, cut ?? -low / 2) : [];
      entry.lines = [
        [toPath(above), false],
        [toPath(below), true],
      ];
    }
    x.save();
    x.scale(1 / field.width, 1 / field.height);
    const px = (look.ratio * field.width) / (look.view.scale * w);
    x.lineCap = "round";
    const strength = layer.opacity * look.strength(layer);
    for (const [path, dashed] of entry.lines) {
      x.setLineDash(dashed ? [3 * px, 3 * px] : []);
      x.globalAlpha = strength * 0.45;
      x.strokeStyle = "#000";
      x.lineWidth = 2.75 * px;
      x.stroke(path);
      x.globalAlpha = strength;
      x.strokeStyle = "#fff";
      x.lineWidth = 1.25 * px;
      x.stroke(path);
    }
    x.restore();
  }

  private borders(x: CanvasRenderingContext2D, w: number, map: RegionMap, look: Look): void {
    if (this.edges?.map !== map) this.edges = { map, path: toPath(outlines(map)) };
    x.save();
    x.scale(1 / map.width, 1 / map.height);
    x.lineWidth = (look.ratio * map.width) / (look.view.scale * w);
    x.strokeStyle = "rgba(255,255,255,.28)";
    x.stroke(this.edges.path);
    x.restore();
  }
}

/** The picture's own pixels, drawn where they are large enough to tell apart. */
function pixelGrid(x: CanvasRenderingContext2D, w: number, h: number, [rows, columns]: [number, number], look: Look) {
  const cell = (look.view.scale * w) / columns / look.ratio;
  if (cell < 5) return;
  x.setTransform(1, 0, 0, 1, 0, 0);
  x.lineWidth = look.ratio;
  x.strokeStyle = `rgba(255,255,255,${Math.min(0.28, (cell - 4) * 0.04)})`;
  x.beginPath();
  const { scale, x: ox, y: oy } = look.view;
  for (let i = 0; i <= columns; i++) {
    const at = Math.round((ox + (i / columns) * scale) * w) + look.ratio / 2;
    if (at >= 0 && at <= w) x.moveTo(at, 0), x.lineTo(at, h);
  }
  for (let i = 0; i <= rows; i++) {
    const at = Math.round((oy + (i / rows) * scale) * h) + look.ratio / 2;
    if (at >= 0 && at <= h) x.moveTo(0, at), x.lineTo(w, at);
  }
  x.stroke();
}
