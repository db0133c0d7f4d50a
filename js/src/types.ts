// What the stage and the parts beside it speak of. Nothing here knows anywidget or the kernel.

import type { Crop } from "./crop";

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

export type Blend = "auto" | "normal" | "hard-light" | "multiply" | "screen";
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
  /** Names by number, of the regions that have one. */
  names?: Record<string, string>;
  /** What a region's value is, after its name: `drop`, `with region 37`. */
  regionWord?: string;
  before: number | null;
  after: number[];
  opacity: number;
  threshold: number;
  sign: Sign;
  /** 256 colours, 768 bytes. */
  lut: Uint8Array;
  /** The same as a place among the names of the colour maps. */
  cmap: number;
  contour: boolean;
  blend: Blend;
  order: number;
  visible: boolean;
  /** No map: nothing is drawn, and no row is shown. */
  empty: boolean;
  /** The registry's name of the method. */
  method: string;
  /** Kept while another map is explored. */
  pinned: boolean;
  /** A pinned map that is computed anew for every class. */
  follow: boolean;
  /** Only this layer is seen. */
  solo: boolean;
  /** Legend and tag speak of this layer, where it is visible, instead of the uppermost one. */
  selected: boolean;
  /** Visible layers of one unit take the widest of their limits. */
  shared: boolean;
  /** Ends of the scale that a hand has set; null: as the method says. */
  fixed: [number, number] | null;
  /** Share of the mass that the largest values shown hold, in place of `threshold`; null: `threshold` counts. */
  mass: number | null;
  /** A preset of the map's reduction and sign; empty: the method's own. */
  view: string;
  /** The limits as the method says, in a layer that `resolve` has seen. */
  own?: [number, number];
  stale: boolean;
  seq: number;
}

/** Regions that can be edited: what is off, what it shows, and how far the edits go back and forth. */
export interface CutState {
  off: number[];
  fill: CanvasImageSource | null;
  undoable: number;
  redoable: number;
  /** The region drawn or clicked last, or −1. */
  chosen: number;
  /** What a click or Enter does to a region, in words. */
  click?: string;
  /** There to look at only: no kernel hears an edit. */
  fixed?: boolean;
}

export interface StageState {
  /** Height and width of the picture in its own pixels. */
  size: [number, number];
  picture: CanvasImageSource | null;
  /** What the model sees of a photograph; null: all of it. */
  crop: Crop | null;
  layers: LayerState[];
  regions: RegionMap | null;
  regionHover: boolean;
  /** null where the regions are there to look at only. */
  cut: CutState | null;
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

export type Tool = "probe" | "pan" | "pointer" | "rectangle" | "lasso" | "brush" | "erase" | "split" | "merge";

export type EditOp =
  | "toggle" | "rectangle" | "lasso" | "brush" | "erase" | "split" | "merge"
  | "remove" | "grow" | "shrink" | "finer" | "coarser" | "interactions" | "undo" | "redo" | "on" | "choose" | "cancel";

/** What the kernel is asked to do with regions; its points travel as float32 pairs (x, y) in pixels of the picture. */
export interface EditMessage {
  op: EditOp;
  radius?: number;
  /** Numbers a drag that goes on: nothing is edited yet, its drop is asked for. */
  sketch?: number;
  /** The last of these numbers: messages may overtake one another on their way, and later answers are not wanted. */
  after?: number;
}

/** What the tools show as pressed. */
export interface ViewInfo {
  tool: Tool;
  grid: boolean;
  bare: boolean;
  /** The two uppermost layers side by side, split where the pointer is. */
  swipe: boolean;
  scale: number;
  /** Where the picture's corner lies, in shares of the stage. */
  x: number;
  y: number;
  /** Edits that can be undone and redone; null where regions cannot be edited. */
  edits: { undoable: number; redoable: number; click: string } | null;
}

/** What the stage tells its host; all optional. */
export interface StageCallbacks {
  probe?(probe: Probe | null): void;
  painted?(acks: [string, number][]): void;
  drop?(file: File): void;
  key?(key: string): void;
  edit?(edit: EditMessage, points: number[]): void;
  toggle?(layer: LayerState): void;
  view?(info: ViewInfo): void;
  help?(open: boolean): void;
}

/** Uppermost first. */
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

/** The layer that legend, tag and words speak of: the selected one, else the uppermost. */
export function spokenOf(layers: LayerState[]): LayerState | null {
  return layers.find((layer) => layer.selected && layer.visible && layer.field) ?? topVisible(layers);
}

export function topVisible(layers: LayerState[]): LayerState | null {
  return ordered(layers).find((layer) => layer.visible && layer.field) ?? null;
}
