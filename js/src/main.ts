// The one bundle of all our widgets: the trait `role` says what to draw.
import { hear, tell } from "./bus";
import { lutAt } from "./colormap";
import type { Crop } from "./crop";
import { decodeRegions, typed } from "./decode";
import { bindFills } from "./fills";
import { mountFilm } from "./film";
import { mountLegend } from "./legend";
import { mountLine } from "./line";
import { mountLink } from "./link";
import { mountRanks } from "./ranks";
import type { Model } from "./models";
import { LayerSet, pictureFrom } from "./models";
import { nameControls } from "./named";
import { focusName, leaveMenu } from "./region_menu";
import type { Photograph } from "./rows";
import { mountRows } from "./rows";
import { mountSave } from "./save";
import { mountStage } from "./stage";
import { mountScreen, mountStrip } from "./strip";
import { mountTools } from "./tools";
import { mountBox, mountPointer } from "./trust";
import type { CutState, StageState } from "./types";

interface Context {
  model: Model;
  el: HTMLElement;
  signal: AbortSignal;
}

const LARGEST_DROP = 128 * 2 ** 20;

/** Calls `changed` for each of these traits until the view ends. */
function follow(model: Model, names: string[], changed: () => void, signal: AbortSignal): void {
  for (const name of names) model.on(`change:${name}`, changed);
  signal.addEventListener("abort", () => names.forEach((name) => model.off(`change:${name}`, changed)));
}

function renderStage({ model, el, signal }: Context): void {
  const looks = (): Partial<StageState> => ({
    regionHover: model.get("region_hover"),
    photoOpacity: model.get("photo_opacity"),
    photoSaturation: model.get("photo_saturation"),
    photoVisible: model.get("photo_visible"),
    label: model.get("label"),
    help: model.get("help"),
  });
  let fill: CanvasImageSource | null = null;
  const cut = (): CutState | null => {
    const [undoable, redoable] = model.get("history") as [number, number];
    const [off, chosen, click] = [model.get("off"), model.get("chosen"), model.get("click")];
    return model.get("editable") ? { off, fill, undoable, redoable, chosen, click } : null;
  };
  const set = new LayerSet(model, () => stage.update({ layers: set.seen }), signal);
  let saving: ReturnType<typeof setTimeout> | undefined;
  /** The kernel knows zoom and place for `state`: told when they rest, not while they move. */
  const saveView = () => {
    clearTimeout(saving);
    saving = setTimeout(() => {
      const { scale, x, y } = stage.view;
      if (!generation || signal.aborted || String(model.get("view")) === String([scale, x, y])) return;
      model.set("view", [scale, x, y]);
      model.save_changes();
    }, 400);
  };
  signal.addEventListener("abort", () => clearTimeout(saving));
  const stage = mountStage(
    el,
    {
      ...(looks() as StageState),
      size: model.get("size"),
      picture: null,
      crop: null,
      layers: [],
      regions: decodeRegions(model.get("regions")),
      cut: cut(),
    },
    {
      probe: (probe) => tell(el, "sw-probe", probe),
      view: (info) => {
        tell(el, "sw-view", info);
        saveView();
      },
      painted: (acks) => model.send?.({ kind: "ack", acks }),
      key: (key) => model.send?.({ kind: "key", key }),
      edit: (edit, points) => {
        model.send?.({ kind: "edit", ...edit }, undefined, [new Float32Array(points).buffer]);
        if (edit.op === "choose") focusName(el, signal);
      },
      help: (open) => {
        model.set("help", open);
        model.save_changes();
      },
      toggle: (layer) => set.change(layer.id, { visible: !set.modelOf(layer.id)?.get("visible") }),
      drop: (file) => void send(file),
    },
    signal,
  );
  const send = async (file: File, fill = false) => {
    if (file.size > LARGEST_DROP) return;
    const bytes = await file.arrayBuffer();
    if (!signal.aborted) model.send?.({ kind: "drop", name: file.name, fill }, undefined, [bytes]);
  };
  const pointAt = (at: { x: number; y: number } | null) => {
    const [rows, columns] = model.get("size") as [number, number];
    const inside = (share: number, n: number) => Math.min(n - 1, Math.max(0, Math.floor(share * n)));
    stage.setProbe(at && { x: inside(at.x, columns), y: inside(at.y, rows) });
  };
  bindFills(el, (file) => void send(file, true), signal);
  let generation = 0;
  const picture = async () => {
    const mine = ++generation;
    const size = model.get("size") as [number, number];
    const crop = (model.get("crop").length ? model.get("crop") : null) as Crop | null;
    const shown = await pictureFrom(model.get("picture")).catch(() => null);
    if (mine !== generation || signal.aborted) return;
    stage.update({ picture: shown, size, crop });
    if (mine === 1) look();
    else saveView();
  };
  let filling = 0;
  const loadFill = async () => {
    const mine = ++filling;
    const loaded = await pictureFrom(model.get("fill")).catch(() => null);
    if (mine !== filling || signal.aborted) return;
    fill = loaded;
    stage.update({ cut: cut() });
  };
  follow(model, ["fill"], () => void loadFill(), signal);
  follow(model, ["editable", "off", "history", "chosen", "click"], () => stage.update({ cut: cut() }), signal);
  follow(model, ["swipe"], () => stage.setSwipe(model.get("swipe")), signal);
  follow(model, ["sketch"], () => stage.answered(model.get("sketch")), signal);
  follow(model, ["picture"], () => void picture(), signal);
  follow(model, ["region_hover", "photo_opacity", "photo_saturation", "photo_visible", "label", "help"], () => stage.update(looks()), signal);
  const look = () => {
    const [scale, x, y] = model.get("view") as [number, number, number];
    stage.look({ scale, x, y });
  };
  follow(model, ["view"], look, signal);
  follow(model, ["regions"], () => stage.update({ regions: decodeRegions(model.get("regions")) }), signal);
  hear(
    el,
    "sw-do",
    (wish) => {
      if (wish.action === "tool") stage.setTool(wish.tool);
      else if (wish.action === "edit") stage.edit(wish.op);
      else if (wish.action === "region") stage.pointAtRegion(wish.region);
      else if (wish.action === "zoom") stage.zoom(wish.factor);
      else if (wish.action === "grid") stage.setGrid(wish.on);
      else if (wish.action === "bare") stage.setBare(wish.on);
      else if (wish.action === "swipe") stage.setSwipe(wish.on);
      else if (wish.action === "look") stage.look(wish);
      else if (wish.action === "point") pointAt(wish.at);
      else stage.announce();
    },
    signal,
  );
  stackUnder(el, stage.onTransform, signal);
  if (model.get("swipe")) stage.setSwipe(true);
  nameControls(el, signal);
  leaveMenu(el, signal);
  void picture();
  void loadFill();
  void set.load();
}

/** The canvas above (ipycanvas) takes no events and moves with the picture. It may be rendered after us. */
function stackUnder(el: HTMLElement, onTransform: (f: (transform: string) => void) => void, signal: AbortSignal): void {
  let transform = "";
  const adopt = () => {
    const box = el.closest(".sw-stage");
    for (const other of box?.children ?? []) {
      if (other === el || !(other instanceof HTMLElement)) continue;
      other.inert = true;
      other.style.pointerEvents = "none";
      other.style.transformOrigin = "0 0";
      other.style.transform = transform;
    }
    return box;
  };
  onTransform((next) => {
    transform = next;
    adopt();
  });
  const seen = new MutationObserver(adopt);
  // Views are built detached: the box around us is known once we have a size.
  const attached = new ResizeObserver(() => {
    const box = adopt();
    if (!box) return;
    attached.disconnect();
    seen.observe(box, { childList: true });
  });
  attached.observe(el);
  signal.addEventListener("abort", () => {
    attached.disconnect();
    seen.disconnect();
  });
}

function renderLegend({ model, el, signal }: Context): void {
  const legend = mountLegend(el, signal);
  const set = new LayerSet(model, () => legend.update(set.seen), signal);
  hear(el, "sw-probe", (probe) => legend.setProbe(probe), signal);
  void set.load();
}

function renderReadout({ model, el, signal }: Context): void {
  const line = mountLine(el);
  const update = () => line.update(set.seen, model.get("hint"));
  const set = new LayerSet(model, update, signal);
  hear(el, "sw-probe", (probe) => line.setProbe(probe), signal);
  follow(model, ["hint"], update, signal);
  update();
  void set.load();
}

function renderTools({ el, signal }: Context): void {
  const tools = mountTools(el, (wish) => tell(el, "sw-do", wish));
  hear(el, "sw-view", (info) => tools.show(info), signal);
  tools.show({ tool: "probe", grid: false, bare: false, swipe: false, scale: 1, x: 0, y: 0, edits: null });
}

function renderRanks({ model, el, signal }: Context): void {
  const ranks = mountRanks(
    el,
    (region) => tell(el, "sw-do", { action: "region", region }),
    (region) => model.send?.({ region }),
    signal,
  );
  const update = () => ranks.update(model.get("order"), model.get("off"), typed(model.get("bars"), "f4") as Float32Array);
  hear(el, "sw-probe", (probe) => ranks.setRegion(probe?.region ?? -1), signal);
  follow(model, ["order", "off", "bars"], update, signal);
  update();
}

function renderFilm({ model, el, signal }: Context): void {
  let generation = 0;
  let picture: CanvasImageSource | null = null;
  const film = mountFilm(
    el,
    (index) => {
      model.set("selected", index);
      model.save_changes();
    },
    signal,
  );
  const update = () =>
    film.update({
      thumbs: model.get("thumbs"),
      data: typed(model.get("data"), "u1") as Uint8Array,
      picture,
      pictureSize: [168, 168],
      lut: lutAt(model.get("luts"), model.get("cmap_index")),
      selected: model.get("selected"),
      label: model.get("label"),
    });
  const load = async () => {
    const mine = ++generation;
    const next = await pictureFrom(model.get("picture")).catch(() => null);
    if (mine !== generation || signal.aborted) return;
    picture = next;
    update();
  };
  follow(model, ["thumbs", "data", "selected", "label", "cmap_index"], update, signal);
  follow(model, ["picture"], () => void load(), signal);
  update();
  void load();
}

function renderRows({ model, el, signal }: Context): void {
  const photograph = (): Photograph => ({
    visible: model.get("photo_visible"),
    opacity: model.get("photo_opacity"),
    saturation: model.get("photo_saturation"),
  });
  const rows = mountRows(el, {
    colormaps: model.get("colormaps"),
    views: model.get("views"),
    change: (id, traits) => set.change(id, traits),
    photograph: (changes) => {
      for (const [name, value] of Object.entries(changes)) model.set(`photo_${name}`, value);
      model.save_changes();
    },
    ask: (kind, id) => model.send?.({ kind, layer: id }),
  });
  const update = () => rows.update(set.states, set.seen, photograph(), model.get("pinnable"), model.get("trust"));
  const set = new LayerSet(model, update, signal);
  hear(el, "sw-probe", (probe) => rows.setProbe(probe), signal);
  follow(model, ["photo_visible", "photo_opacity", "photo_saturation", "pinnable", "trust"], update, signal);
  void set.load();
}

function renderLink({ model, el, signal }: Context): void {
  mountLink(el, () => ({ crosshair: model.get("crosshair"), zoom: model.get("zoom"), chosen: model.get("chosen") }), signal);
  nameControls(el, signal);
}

function renderStrip({ model, el, signal }: Context): void {
  const strip = mountStrip(el, (picture) => model.send?.({ picture }), signal);
  const update = () => strip.update({ thumbs: model.get("thumbs"), names: model.get("names"), selected: model.get("selected") });
  follow(model, ["thumbs", "names", "selected"], update, signal);
  update();
}

const RENDER: Record<string, (context: Context) => void> = {
  stage: renderStage,
  legend: renderLegend,
  readout: renderReadout,
  tools: renderTools,
  film: renderFilm,
  ranks: renderRanks,
  rows: renderRows,
  save: ({ model, el, signal }) => mountSave(el, model, signal),
  link: renderLink,
  strip: renderStrip,
  along: ({ model, el, signal }) => mountPointer(el, model, signal),
  box: ({ model, el, signal }) => mountBox(el, model, signal),
  screen: ({ el, signal }) => mountScreen(el, signal),
};

export default {
  render({ model, el, signal: given }: { model: Model; el: HTMLElement; signal?: AbortSignal }) {
    const end = new AbortController();
    given?.addEventListener("abort", () => end.abort());
    RENDER[model.get("role")]?.({ model, el, signal: end.signal });
    return () => end.abort();
  },
};

