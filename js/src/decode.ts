// Bytes from the wire → numbers, exactly as `HeatLayer.decode` reads them in Python.
import type { Field, RegionMap } from "./types";

export type Bytes = DataView | ArrayBuffer | Uint8Array;
export type Dtype = "u1" | "u2" | "f4";

const TYPES = { u1: Uint8Array, u2: Uint16Array, f4: Float32Array } as const;

/** The bytes as a view of their own kind; copied where the buffer is not aligned (comm buffers may not be). */
export function typed(bytes: Bytes, dtype: Dtype): Uint8Array | Uint16Array | Float32Array {
  const type = TYPES[dtype];
  if (!type) throw new Error(`a map is u1, u2 or f4, not ${dtype}`);
  let buffer: ArrayBufferLike = bytes instanceof ArrayBuffer ? bytes : bytes.buffer;
  let offset = bytes instanceof ArrayBuffer ? 0 : bytes.byteOffset;
  const count = Math.floor(bytes.byteLength / type.BYTES_PER_ELEMENT);
  if (offset % type.BYTES_PER_ELEMENT) {
    buffer = buffer.slice(offset, offset + bytes.byteLength);
    offset = 0;
  }
  return new type(buffer as ArrayBuffer, offset, count);
}

/** null where bytes and shape do not belong together (a message half way): nothing is painted then. */
export function decodeField(
  shape: [number, number],
  dtype: Dtype,
  bytes: Bytes | null | undefined,
  vmin: number,
  vmax: number,
): Field | null {
  if (!bytes || !bytes.byteLength) return null;
  const raw = typed(bytes, dtype);
  const [height, width] = shape;
  if (!raw.length || raw.length !== height * width) return null;
  return { height, width, raw, vmin, vmax };
}

/** The value of element `i`. The order of the operations is Python's, so that both read the same float64. */
export function valueAt(field: Field, i: number): number {
  const u = field.raw[i];
  if (field.raw instanceof Float32Array) return u;
  const steps = field.raw instanceof Uint8Array ? 255 : 65535;
  return field.vmin + (u * (field.vmax - field.vmin)) / steps;
}

/** A field whose element `u` is step `u`: what can be worked out per step need not be per pixel. */
export function stepsOf(field: Field): Field | null {
  if (field.raw instanceof Float32Array) return null;
  const raw = field.raw instanceof Uint8Array ? new Uint8Array(256) : new Uint16Array(65536);
  for (let u = 0; u < raw.length; u++) raw[u] = u;
  return { ...field, height: 1, width: raw.length, raw };
}

/** The value under pixel (x, y) of a picture of `size` (H, W): the map may have another resolution. */
export function valueUnder(field: Field, x: number, y: number, size: [number, number]): number {
  return valueAt(field, indexUnder(field, x, y, size));
}

export function indexUnder(
  grid: { height: number; width: number },
  x: number,
  y: number,
  size: [number, number],
): number {
  const column = Math.min(grid.width - 1, Math.floor((x * grid.width) / size[1]));
  const row = Math.min(grid.height - 1, Math.floor((y * grid.height) / size[0]));
  return row * grid.width + column;
}

export function decodeRegions(map: unknown): RegionMap | null {
  const { shape, dtype, data } = (map ?? {}) as { shape?: [number, number]; dtype?: Dtype; data?: Bytes };
  if (!shape || !data || !data.byteLength) return null;
  const labels = typed(data, dtype ?? "u2");
  if (labels instanceof Float32Array || labels.length !== shape[0] * shape[1]) return null;
  return { height: shape[0], width: shape[1], labels };
}
