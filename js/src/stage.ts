// The stage, independent of any notebook: `mountStage(el, state, callbacks)` paints and listens until aborted.
import { middleOf, nextRegion, regionsAlong } from "./cut";
import { indexUnder, valueUnder } from "./decode";
import { element, fit, perFrame, still, watchSize } from "./dom";
import { editKey } from "./edit_keys";
import { bindHands } from "./hands";
import { Painter, STALE } from "./heat";
import { helpPanel } from "./help";
import { drawProbe, drawRegion, drawSwipe } from "./probe";
import { readings, spoken, tagText } from "./readout";
import { DRAWS, Strokes, drawBrush } from "./strokes";
import type { EditOp, LayerState, Probe, RegionMap, StageCallbacks, StageState, Tool, ViewInfo } from "./types";
import { ordered, sides, spokenOf, topVisible } from "./types";
import type { View } from "./view";
import { FIT, centreOf, panned, pixelAt, pointAt, revealed, settled, tagPlace, zoomed } from "./view";

const FADE_MS = 80;
const SPEAK_MS = 400;

export interface StageHandle {
  /** Takes over what changed and repaints with the next frame. */
  update(changes: Partial<StageState>): void;
  setProbe(at: { x: number; y: number } | null): void;
  setTool(tool: Tool): void;
  setGrid(on: boolean): void;
  setBare(on: boolean): void;
  setSwipe(on: boolean): void;
  zoom(factor: number): void;
  /** Shows a part of the picture. */
  look(view: View): void;
  fit(): void;
  /** Does something to the region under the probe, or to the last edit. */
  edit(op: EditOp): void;
  /** Points at the middle of a region; −1 points nowhere. */
  pointAtRegion(region: number): void;
  /** What a drag that goes on would drop. */
  answered(sketch: { number?: number; text?: string }): void;
  /** Tells the current tool, zoom and modes once more. */
  announce(): void;
  /** What an element over the picture must take as its transform, whenever it changes. */
  onTransform(follow: (transform: string) => void): void;
  readonly probe: Probe | null;
  readonly view: View;
}

export function mountStage(
  el: HTMLElement,
  initial: StageState,
  callbacks: StageCallbacks = {},
  signal: AbortSignal = new AbortController().signal,
): StageHandle {
  let state = initial;
  let probe: Probe | null = null;
  let view: View = FIT;
  let info: Omit<ViewInfo, "scale" | "x" | "y"> = { tool: "probe", grid: false, bare: false, swipe: false, edits: null };
  let swipeAt = 0.5;
  const painter = new Painter();
  const followers: ((transform: string) => void)[] = [];
  const acked = new Map<string, number>();
  const shown = new Map<string, { seq: number; stale: boolean; since: number }>();

  const base = element("canvas", "sw-base", { "aria-hidden": "true" });
  const over = element("canvas", "sw-over", { tabindex: "0", role: "application" });
  const tag = element("div", "sw-tag", { "aria-hidden": "true" });
  const status = element("div", "sw-status-line", { role: "status", "aria-live": "polite" });
  const hint = element("div", "sw-drop-hint", { "aria-hidden": "true" }, "drop a picture to explain it");
  const help = helpPanel(() => setHelp(false));
  el.classList.add("sw-picture");
  el.replaceChildren(base, over, tag, hint, help, status);
  signal.addEventListener("abort", () => el.replaceChildren());

  // ---- painting ----
  const paintBase = () => {
    const now = performance.now();
    let fading = false;
    const strength = (layer: LayerState) => {
      const last = shown.get(layer.id);
      if (layer.stale) return STALE;
      const t = last?.since ? Math.min(1, (now - last.since) / FADE_MS) : 1;
      if (t < 1) fading = true;
      return STALE + (1 - STALE) * t;
    };
    for (const layer of state.layers) {
      const last = shown.get(layer.id);
      const arrived = last?.stale && !layer.stale && !still();
      if (!last || last.seq !== layer.seq || last.stale !== layer.stale)
        shown.set(layer.id, { seq: layer.seq, stale: layer.stale, since: arrived ? now : 0 });
    }
    const sized = fit(base);
    if (sized) {
      const [x, w, h, ratio] = sized;
      painter.draw(x, w, h, state, { view, ratio, bare: info.bare, grid: info.grid, swipe: info.swipe ? swipeAt : null, strength });
      paintOver();
    }
    const acks = state.layers.filter((l) => l.seq > 0 && l.seq !== acked.get(l.id)).map((l) => [l.id, l.seq] as [string, number]);
    for (const [id, seq] of acks) acked.set(id, seq);
    // Also for whoever must know from outside what is on screen.
    const painted = state.layers.map((l) => l.seq).join(" ");
    if (state.layers.some((l) => l.seq > 0) && el.dataset.painted !== painted) el.dataset.painted = painted;
    if (acks.length) callbacks.painted?.(acks);
    if (fading) redraw();
    return sized !== null;
  };
  const regionMap = (): RegionMap | null => state.regions ?? topVisible(state.layers)?.regions ?? null;
  const paintOver = () => {
    const sized = fit(over);
    if (!sized) return;
    const [x, w, h, ratio] = sized;
    const top = info.bare ? null : spokenOf(state.layers);
    if (!probe) tag.classList.remove("sw-shown");
    if (info.swipe && !info.bare) {
      const names = sides(state.layers.filter((l) => l.visible && l.field)).map((side) => side[0]?.name ?? "nothing");
      drawSwipe(x, w, h, ratio, swipeAt, names as [string, string]);
    }
    const map = regionMap();
    if (map && state.cut && state.cut.chosen >= 0 && !info.bare && !state.cut.off.includes(state.cut.chosen))
      drawRegion(x, w, h, ratio, view, map, (label) => label === state.cut!.chosen, true);
    if (strokes.active) {
      const touched = strokes.op === "merge" && map ? regionsAlong(map, strokes.points) : null;
      if (touched) drawRegion(x, w, h, ratio, view, map!, (label) => touched.has(label));
      strokes.draw(x, w, h, ratio, view, state.size);
    }
    if (!probe) return;
    const wide = info.tool === "brush" || info.tool === "erase";
    const cut = state.regionHover && map && probe.region >= 0 && !info.bare;
    if (wide) {
      const [cx, cy] = centreOf(view, state.size, probe.x, probe.y);
      drawBrush(x, w, h, ratio, cx, cy, (strokes.radius * view.scale * w) / state.size[1]);
    } else if (cut && info.tool !== "rectangle" && info.tool !== "lasso") {
      if (!strokes.active) drawRegion(x, w, h, ratio, view, map, (label) => label === probe!.region);
    } else drawProbe(x, w, h, ratio, view, state.size, probe);
    const text = strokes.active ? strokes.text : top ? tagText(top, valueUnder(top.field!, probe.x, probe.y, state.size)) : "";
    tag.classList.toggle("sw-shown", text !== "");
    tag.dataset.drag = strokes.active && text ? String(strokes.told) : ""; // for whoever must know from outside
    if (text) placeTag(text, w / ratio, h / ratio);
  };
  const placeTag = (text: string, w: number, h: number) => {
    tag.textContent = text;
    const [cx, cy] = centreOf(view, state.size, probe!.x, probe!.y);
    const place = tagPlace(cx * w, cy * h, w, state.cut ? w / 28 + 8 : 10);
    tag.style.left = place.left === null ? "" : `${place.left}px`;
    tag.style.right = place.right === null ? "" : `${place.right}px`;
    tag.style.top = `${place.top}px`;
  };
  const redraw = perFrame(paintBase, signal);
  const redrawOver = perFrame(paintOver, signal);

  // ---- editing ----
  const strokes = new Strokes((edit, points) => callbacks.edit?.(edit, points), redrawOver);
  const editable = () => state.cut !== null && !state.cut.fixed;
  const edit = (op: EditOp) => {
    if (!editable()) return;
    const alone = op === "undo" || op === "redo" || op === "on";
    if (!alone && !probe) return;
    strokes.cancel();
    callbacks.edit?.({ op }, alone ? [] : [probe!.x + 0.5, probe!.y + 0.5]);
  };
  const setTool = (tool: Tool) => {
    strokes.cancel();
    setInfo({ tool });
  };
  const pointAtRegion = (region: number) => {
    const map = regionMap();
    const at = map && region >= 0 ? middleOf(map, region) : null;
    if (!at) return setProbe(null);
    const [rows, columns] = state.size;
    const x = Math.floor(((at[0] + 0.5) * columns) / map!.width);
    const y = Math.floor(((at[1] + 0.5) * rows) / map!.height);
    setView(revealed(view, state.size, x, y));
    setProbe({ x, y });
  };
  /** Arrow keys of the pointer lead from region to region. */
  const stepRegion = (dx: number, dy: number): boolean => {
    const map = regionMap();
    if (!editable() || info.tool !== "pointer" || !map || !probe) return false;
    const i = indexUnder(map, probe.x, probe.y, state.size);
    const next = nextRegion(map, i % map.width, Math.floor(i / map.width), dx, dy);
    if (next >= 0) pointAtRegion(next);
    return true;
  };

  // ---- probe ----
  let speaking: ReturnType<typeof setTimeout> | undefined;
  const speak = () => {
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      status.textContent = probe ? spoken(readings(state.layers, probe), probe) : "";
    }, SPEAK_MS);
  };
  signal.addEventListener("abort", () => clearTimeout(speaking));
  const regionAt = (x: number, y: number) => {
    const map = regionMap();
    return map ? map.labels[indexUnder(map, x, y, state.size)] : -1;
  };
  const setProbe = (at: { x: number; y: number } | null) => {
    if (!at && !probe) return;
    if (at && probe && at.x === probe.x && at.y === probe.y && regionAt(at.x, at.y) === probe.region) return;
    probe = at && { x: at.x, y: at.y, region: regionAt(at.x, at.y), size: state.size };
    redrawOver();
    speak();
    callbacks.probe?.(probe);
  };

  // ---- view ----
  const setView = (next: View) => {
    if (next.scale === view.scale && next.x === view.x && next.y === view.y) return false;
    view = next;
    follow();
    announce();
    redraw();
    return true;
  };
  const transform = () =>
    view.scale === 1 ? "" : `translate(${100 * view.x}%, ${100 * view.y}%) scale(${view.scale})`;
  const follow = () => followers.forEach((f) => f(transform()));
  const announce = () => callbacks.view?.({ ...info, ...view });
  const setInfo = (changes: Partial<typeof info>) => {
    info = { ...info, ...changes };
    el.classList.toggle("sw-panning", info.tool === "pan");
    announce();
    redraw();
  };
  const setHelp = (open: boolean) => {
    state = { ...state, help: open };
    help.hidden = !open;
    callbacks.help?.(open);
  };

  bindHands(
    el,
    over,
    {
      point: (fx, fy) => {
        const [x, y] = pixelAt(view, state.size, fx, fy);
        if (info.swipe) {
          swipeAt = Math.min(1, Math.max(0, fx));
          redraw();
        }
        setProbe({ x, y });
      },
      leave: () => setProbe(null),
      click: (shift) => edit(shift ? "choose" : "toggle"),
      stroke: (phase, fx, fy) => {
        const op = DRAWS[info.tool];
        const [x, y] = pointAt(view, state.size, fx, fy);
        if (phase === "begin" && op && editable()) strokes.begin(op, x, y);
        else if (phase === "move") strokes.move(x, y);
        else if (phase === "end") strokes.end();
        else if (phase === "cancel") strokes.cancel();
        return strokes.active;
      },
      editKey: (e) =>
        editable() &&
        editKey(e, {
          tool: setTool,
          edit,
          size: (factor) => {
            strokes.radius = Math.min(Math.max(...state.size) / 2, Math.max(0.75, strokes.radius * factor));
            redrawOver();
          },
        }),
      step: (dx, dy, pixels) => {
        if (pixels === 1 && stepRegion(dx, dy)) return;
        const [rows, columns] = state.size;
        const from = probe ?? { x: (columns >> 1) - dx, y: (rows >> 1) - dy };
        const x = Math.min(columns - 1, Math.max(0, from.x + dx * pixels));
        const y = Math.min(rows - 1, Math.max(0, from.y + dy * pixels));
        setView(revealed(view, state.size, x, y));
        setProbe({ x, y });
        strokes.move(x + 0.5, y + 0.5);
      },
      zoom: (factor, fx, fy) => setView(zoomed(view, factor, fx, fy)),
      pan: (dx, dy) => void setView(panned(view, dx, dy)),
      fit: () => void setView(FIT),
      tool: () => info.tool,
      grabbing: (on) => void el.classList.toggle("sw-grabbing", on),
      bare: (on) => info.bare !== on && setInfo({ bare: on }),
      toggleTop: () => {
        const top = ordered(state.layers).find((l) => l.field && !l.empty);
        if (top) callbacks.toggle?.(top);
      },
      toggleGrid: () => setInfo({ grid: !info.grid }),
      toggleSwipe: () => setInfo({ swipe: !info.swipe }),
      escape: () => {
        if (state.help) return setHelp(false);
        if (strokes.active) return strokes.cancel();
        if (editable() && info.tool !== "pointer") return setTool("pointer");
        setProbe(null);
        callbacks.key?.("Escape");
      },
      enter: () => {
        const op = editable() && DRAWS[info.tool];
        if (!editable() || !probe) callbacks.key?.("Enter");
        else if (!op) edit("toggle");
        else if (strokes.active) strokes.end();
        else strokes.begin(op, probe.x + 0.5, probe.y + 0.5);
      },
      help: () => setHelp(!state.help),
      drop: (file) => callbacks.drop?.(file),
      undo: (which) => callbacks.key?.(which),
      turn: (steps) => callbacks.key?.(steps > 0 ? "PageDown" : "PageUp"),
      trust: () => callbacks.key?.("trust"),
      dropping: (on) => void el.classList.toggle("sw-dropping", on),
    },
    signal,
  );
  watchSize(el, redraw, signal);

  const update = (changes: Partial<StageState>) => {
    state = { ...state, ...changes };
    const [rows, columns] = state.size;
    el.style.aspectRatio = `${columns} / ${rows}`;
    over.setAttribute("aria-label", state.label);
    help.hidden = !state.help;
    if (changes.layers) painter.keep(state.layers);
    if (changes.cut !== undefined) {
      const cut = editable() ? state.cut : null;
      if (!cut) strokes.cancel();
      const tool = cut && info.tool === "probe" ? "pointer" : !cut && info.tool !== "pan" ? "probe" : info.tool;
      const edits = cut && { undoable: cut.undoable, redoable: cut.redoable, click: cut.click ?? "off / on" };
      // Only what changed is told: whoever listens may not be there yet.
      if (tool !== info.tool || JSON.stringify(edits) !== JSON.stringify(info.edits)) setInfo({ tool, edits });
    }
    if (changes.size) view = FIT;
    if (changes.size) follow();
    if (probe && (probe.x >= columns || probe.y >= rows)) setProbe(null);
    else if (probe) {
      probe = { ...probe, region: regionAt(probe.x, probe.y) };
      speak();
    }
    redraw();
  };
  update(initial);

  return {
    update,
    setProbe,
    setTool,
    edit,
    pointAtRegion,
    answered: (sketch) => strokes.answered(sketch),
    setGrid: (grid) => setInfo({ grid }),
    setBare: (bare) => bare !== info.bare && setInfo({ bare }),
    setSwipe: (swipe) => setInfo({ swipe }),
    zoom: (factor) => void setView(zoomed(view, factor, 0.5, 0.5)),
    look: (next) => void setView(settled(next)),
    fit: () => void setView(FIT),
    announce,
    onTransform: (f) => {
      followers.push(f);
      f(transform());
    },
    get probe() {
      return probe;
    },
    get view() {
      return view;
    },
  };
}
