// All Grad-CAM layers of the stand-alone page: eight thumbnails and a menu; the map of any of them without a kernel.
import type { Crop } from "./crop";
import { decodeField, valueAt } from "./decode";
import type { Dtype } from "./decode";
import { element } from "./dom";
import { mountFilm } from "./film";
import type { Thumb } from "./film";
import type { Field, LayerState } from "./types";

interface Frame {
  name: string;
  title: string;
  shape: [number, number];
  dtype: Dtype;
  data: string;
  vmin: number;
  vmax: number;
}

export interface FilmData {
  /** Index of the heat layer that shows the chosen map. */
  layer: number;
  chosen: string;
  frames: Frame[];
  /** The names that get a thumbnail, in order. */
  thumbs: string[];
  /** Where the maps lie in a photograph, and what the model saw of it; else they cover the picture. */
  crop?: Crop | null;
  seen?: string;
}

/**
 * What is positive of a map, bilinearly at `size`, pixel centres aligned as in Python; a larger map stays as it is.
 * With a `crop` of the picture it lies there, at `size`, and around it nothing.
 */
export function positiveAt(field: Field, [rows, columns]: [number, number], crop: Crop | null = null): Field {
  const { height: h, width: w } = field;
  const value = (y: number, x: number) => Math.max(0, valueAt(field, y * w + x));
  const enlarge = crop !== null || (h <= rows && w <= columns);
  const [top, left, bottom, right] = crop ?? [0, 0, rows, columns];
  const [height, width] = enlarge ? [rows, columns] : [h, w];
  const raw = new Float32Array(height * width);
  const at = (i: number, n: number, m: number) => Math.min(Math.max(((i + 0.5) * n) / m - 0.5, 0), n - 1);
  const [tall, wide] = crop ? [bottom - top, right - left] : [height, width];
  for (let y = 0; y < height; y++) {
    if (crop && (y + 0.5 <= top || y + 0.5 >= bottom)) continue;
    const fy = at(crop ? y - top : y, h, tall);
    const y0 = Math.floor(fy);
    const y1 = Math.min(h - 1, y0 + 1);
    for (let x = 0; x < width; x++) {
      if (crop && (x + 0.5 <= left || x + 0.5 >= right)) continue;
      const fx = at(crop ? x - left : x, w, wide);
      const x0 = Math.floor(fx);
      const x1 = Math.min(w - 1, x0 + 1);
      const high = value(y0, x0) + (fx - x0) * (value(y0, x1) - value(y0, x0));
      const low = value(y1, x0) + (fx - x0) * (value(y1, x1) - value(y1, x0));
      raw[y * width + x] = high + (fy - y0) * (low - high);
    }
  }
  return { height, width, raw, vmin: 0, vmax: largest(raw) };
}

const largest = (values: Float32Array) => values.reduce((a, b) => (b > a ? b : a), 0);

export function mountLayerFilm(
  data: FilmData,
  layer: LayerState,
  picture: CanvasImageSource | null,
  size: [number, number],
  bytes: (text: string) => Uint8Array,
  changed: () => void,
  signal: AbortSignal,
): void {
  const fields = new Map(
    data.frames.map((f) => [f.name, decodeField(f.shape, f.dtype, bytes(f.data), f.vmin, f.vmax)!]),
  );
  // The map that was shown when the page was written stays exactly that map.
  const original = { field: layer.field, limits: layer.limits };
  const thumbs: Thumb[] = [];
  const small: number[] = [];
  for (const name of data.thumbs) {
    const frame = data.frames.find((f) => f.name === name)!;
    const [h, w] = frame.shape;
    thumbs.push({ name, title: frame.title, caption: h === w ? `${h}²` : `${h} × ${w}`, shape: [h, w], offset: small.length });
    const values = positiveAt(fields.get(name)!, [h, w]);
    for (const v of values.raw) small.push(values.vmax > 0 ? Math.round((255 * v) / values.vmax) : 0);
  }
  const shown = Uint8Array.from(small);
  const place = document.getElementById("sw-film-menu")!;
  const menu = element("select", "", { "aria-label": "layer of the network" });
  menu.append(...data.frames.map((f) => element("option", "", { value: f.name }, f.name)));
  place.replaceChildren(menu);

  let chosen = data.chosen;
  const film = mountFilm(document.getElementById("sw-film")!, (i) => choose(data.thumbs[i]), signal);
  const update = () => {
    menu.value = chosen;
    film.update({ thumbs, data: shown, picture, pictureSize: [168, 168], lut: layer.lut, selected: data.thumbs.indexOf(chosen), label: "layer" });
  };
  const choose = (name: string) => {
    chosen = name;
    if (name === data.chosen) Object.assign(layer, original);
    else {
      const field = positiveAt(fields.get(name)!, size, data.crop);
      Object.assign(layer, { field, limits: [0, field.vmax || 1] });
    }
    layer.seq += 1;
    update();
    changed();
  };
  menu.addEventListener("change", () => choose(menu.value), { signal });
  update();
}
