// What the stage and the parts beside it speak of. Nothing here knows anywidget or the kernel.

/** A map as it lies in memory: raw steps or floats, and how to read them. */
export interface Field {
  height: number;
  width: number;
  raw: Uint8Array | Uint16Array | Float32Array;
  vmin: number;
  vmax: number;
}

export interface RegionMap {
  height: number;
  width: number;
  labels: Uint8Array | Uint16Array;
}

export type Sign = "both" | "positive" | "negative" | "absolute";

/** One heat layer: its map, what it means, how it is shown. */
export interface LayerState {
  id: string;
  name: string;
  kind: "heat" | "region";
  field: Field | null;
  unit: string;
  signed: boolean;
  limits: [number, number];
  words: string[];
  regions: RegionMap | null;
  before: number | null;
  after: number[];
  opacity: number;
  threshold: number;
  sign: Sign;
  /** 256 colours, 768 bytes. */
  lut: Uint8Array;
  contour: boolean;
  blend: "auto" | "normal" | "hard-light";
  order: number;
  visible: boolean;
  stale: boolean;
  seq: number;
}

export interface StageState {
  /** Height and width of the picture in its own pixels. */
  size: [number, number];
  picture: CanvasImageSource | null;
  layers: LayerState[];
  regions: RegionMap | null;
  regionHover: boolean;
  photoOpacity: number;
  photoSaturation: number;
  photoVisible: boolean;
  label: string;
  help: boolean;
}

export interface Probe {
  x: number;
  y: number;
  /** Number of the region there, or −1. */
  region: number;
  /** Height and width of the picture that x and y count in. */
  size: [number, number];
}

export type Tool = "probe" | "pan";

/** What the tools show as pressed. */
export interface ViewInfo {
  tool: Tool;
  grid: boolean;
  bare: boolean;
  /** The two uppermost layers side by side, split where the pointer is. */
  swipe: boolean;
  scale: number;
}

/** What the stage tells its host; all optional. */
export interface StageCallbacks {
  probe?(probe: Probe | null): void;
  painted?(acks: [string, number][]): void;
  drop?(file: File): void;
  key?(key: string): void;
  region?(region: number): void;
  toggle?(layer: LayerState): void;
  view?(info: ViewInfo): void;
  help?(open: boolean): void;
}

/** Uppermost first: the first visible one is what legend, tag and probe speak of. */
export function ordered(layers: LayerState[]): LayerState[] {
  return layers
    .map((layer, i) => ({ layer, i }))
    .sort((a, b) => a.layer.order - b.layer.order || a.i - b.i)
    .map((entry) => entry.layer);
}

/** What a swipe shows left and right of its line: all but the second layer, and all but the first. */
export function sides(visible: LayerState[]): [LayerState[], LayerState[]] {
  const [first, second, ...rest] = ordered(visible);
  return [first ? [first, ...rest] : [], second ? [second, ...rest] : rest];
}

export function topVisible(layers: LayerState[]): LayerState | null {
  return ordered(layers).find((layer) => layer.visible && layer.field) ?? null;
}
