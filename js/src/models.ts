// anywidget models → the plain states that the stage and the other parts take.
import { lutAt } from "./colormap";
import type { Bytes } from "./decode";
import { decodeField, decodeRegions } from "./decode";
import { resolve } from "./resolve";
import type { Field, LayerState, RegionMap } from "./types";

/** As much of a widget model as we use (anywidget's proxy and Backbone's both have it). */
export interface Model {
  model_id?: string;
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(name: string, callback: (...args: any[]) => void): void;
  off(name?: string | null, callback?: ((...args: any[]) => void) | null): void;
  send?(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  widget_manager?: { get_model(id: string): Promise<Model> };
}

/** The heat layers that a part's trait `layers` names, followed while they change. */
export class LayerSet {
  states: LayerState[] = [];
  /** The same, as they are seen beside one another. */
  seen: LayerState[] = [];
  private models: Model[] = [];
  private decoded = new WeakMap<object, { key: string; field: Field | null }>();
  private regions = new WeakMap<object, RegionMap | null>();
  private generation = 0;

  constructor(
    private part: Model,
    private changed: () => void,
    private signal: AbortSignal,
  ) {
    const reload = () => void this.load();
    part.on("change:layers", reload);
    part.on("change:luts", this.refresh);
    signal.addEventListener("abort", () => {
      part.off("change:layers", reload);
      part.off("change:luts", this.refresh);
      this.release();
    });
  }

  async load(): Promise<void> {
    const generation = ++this.generation;
    const entries: unknown[] = this.part.get("layers") ?? [];
    const found = await Promise.all(entries.map((entry) => this.resolve(entry)));
    // A newer list, or the view's end, may have come while we waited.
    if (generation !== this.generation || this.signal.aborted) return;
    this.release();
    this.models = found.filter((m): m is Model => m !== null);
    for (const model of this.models) model.on("change", this.refresh);
    this.refresh();
  }

  /** The model behind a state. */
  modelOf(id: string): Model | undefined {
    return this.models.find((m) => m.model_id === id);
  }

  /** Changes how a layer is shown, here at once and in the kernel when it listens. */
  change(id: string, traits: Record<string, unknown>): void {
    const model = this.modelOf(id);
    for (const [name, value] of Object.entries(traits)) model?.set(name, value);
    model?.save_changes();
  }

  private async resolve(entry: unknown): Promise<Model | null> {
    if (typeof entry !== "string") return entry as Model;
    try {
      return (await this.part.widget_manager?.get_model(entry.replace(/^IPY_MODEL_/, ""))) ?? null;
    } catch {
      return null; // closed in the meantime
    }
  }

  private release(): void {
    for (const model of this.models) model.off("change", this.refresh);
    this.models = [];
  }

  private refresh = (): void => {
    if (this.signal.aborted) return;
    const luts = this.part.get("luts") as Bytes | null;
    this.states = this.models.map((model) => this.state(model, luts));
    this.seen = resolve(this.states);
    this.changed();
  };

  private state(model: Model, luts: Bytes | null): LayerState {
    const get = (name: string) => model.get(name);
    const index = get("cmap_index") ?? 0;
    return {
      id: model.model_id ?? "",
      name: get("name"),
      kind: get("kind"),
      field: this.field(model),
      unit: get("unit"),
      signed: get("signed"),
      limits: get("limits"),
      words: get("words") ?? [],
      regions: this.regionMap(get("regions")),
      names: get("region_names") ?? {},
      regionWord: get("region_word"),
      before: get("before") ?? null,
      after: get("after") ?? [],
      opacity: get("opacity"),
      threshold: get("threshold"),
      sign: get("sign"),
      lut: this.lut(luts, index),
      cmap: index,
      contour: get("contour"),
      blend: get("blend"),
      order: get("order"),
      visible: get("visible"),
      empty: get("empty"),
      method: get("method"),
      pinned: get("pinned"),
      follow: get("follow"),
      solo: get("solo"),
      selected: get("selected"),
      shared: get("shared"),
      fixed: get("fixed") ?? null,
      mass: get("mass") ?? null,
      view: get("view"),
      stale: get("stale"),
      seq: get("seq"),
    };
  }

  private tables: { luts: Bytes | null; byIndex: Map<number, Uint8Array> } = { luts: null, byIndex: new Map() };

  /** The same colours are the same object, so that painters see what changed. */
  private lut(luts: Bytes | null, index: number): Uint8Array {
    if (this.tables.luts !== luts) this.tables = { luts, byIndex: new Map() };
    let table = this.tables.byIndex.get(index);
    if (!table) this.tables.byIndex.set(index, (table = lutAt(luts, index)));
    return table;
  }

  private field(model: Model): Field | null {
    const data = model.get("data") as Bytes | null;
    if (!data) return null;
    const [shape, dtype, vmin, vmax] = ["shape", "dtype", "vmin", "vmax"].map((name) => model.get(name));
    const key = [shape, dtype, vmin, vmax].join();
    let entry = this.decoded.get(data as object);
    if (entry?.key !== key) {
      entry = { key, field: decodeField(shape, dtype, data, vmin, vmax) };
      this.decoded.set(data as object, entry);
    }
    return entry.field;
  }

  private regionMap(map: any): RegionMap | null {
    const data = map?.data;
    if (!data) return null;
    if (!this.regions.has(data)) this.regions.set(data, decodeRegions(map));
    return this.regions.get(data) ?? null;
  }
}

/** PNG bytes → a picture that can be drawn; null for none. */
export async function pictureFrom(bytes: Bytes | null | undefined): Promise<CanvasImageSource | null> {
  if (!bytes || !bytes.byteLength) return null;
  const part = bytes instanceof ArrayBuffer ? bytes : new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  // Without conversion: a picture is shown with the very numbers that the model saw.
  return createImageBitmap(new Blob([part], { type: "image/png" }), { colorSpaceConversion: "none" });
}
