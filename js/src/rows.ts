// Shown how? One row per map and one for the photograph, the uppermost first. All of it works without the kernel.
import { valueUnder } from "./decode";
import { element } from "./dom";
import { icon } from "./icons";
import { drawRamp, tickAt } from "./legend";
import { moved } from "./resolve";
import type { RowMenu } from "./row_menu";
import { colourMenu, menuOf, rowMenu } from "./row_menu";
import { slider } from "./slider";
import type { LayerState, Probe } from "./types";
import { ordered } from "./types";

const SATURATIONS: [string, number][] = [
  ["colour", 1],
  ["muted", 0.4],
  ["grey", 0],
];
/** A press that moves less than this on a name selects, one that moves more carries the row. */
const CLICK = 4;

export interface Photograph {
  visible: boolean;
  opacity: number;
  saturation: number;
}

export interface RowsHost {
  colormaps: string[];
  /** Names of the views that whoever computes can give; none in a page without a kernel. */
  views: string[];
  change(id: string, traits: Record<string, unknown>): void;
  photograph(changes: Partial<Photograph>): void;
  /** Pins the explored map, lets go of a pinned one, opens or closes the trust panel; absent where nobody listens. */
  ask?(kind: "pin" | "unpin" | "trust", id: string): void;
}

export interface RowsHandle {
  /** `why`: the reason why nothing can be pinned, or empty; `trust`: whether that panel is "open" or "closed", or empty. */
  update(layers: LayerState[], seen: LayerState[], photo: Photograph, why?: string, trust?: string): void;
  setProbe(probe: Probe | null): void;
}

const two = (v: number) => v.toFixed(2);

/** What a row does to the list as a whole. */
export interface List {
  host: RowsHost;
  layers(): LayerState[];
  solo(id: string): void;
  select(id: string): void;
  move(id: string, by: number): void;
}

function dot(name: string): HTMLButtonElement {
  return element("button", "sw-dot", { type: "button", "aria-label": `show ${name}` });
}

/** Calls a control after the map that it changes. */
function rename(node: Element, words: string, tip = ""): void {
  if (node.getAttribute("aria-label") !== words) node.setAttribute("aria-label", words);
  node.setAttribute("title", tip ? `${words}: ${tip}` : words);
}

class Row {
  el: HTMLElement;
  private visible = dot("");
  private name = element("button", "sw-layer-name", { type: "button" });
  private opacity = slider({ range: [0, 1], step: 0.01, names: ["opacity"], text: two }, ([opacity]) => this.change({ opacity }));
  private number = element("output", "sw-number");
  private ramp = element("canvas", "", { width: "96", height: "16", "aria-hidden": "true" });
  private colours: ReturnType<typeof colourMenu>;
  private contour = element("button", "sw-contour", { type: "button" }, icon("fill"));
  private more = element("button", "sw-more", { type: "button", "aria-expanded": "false" }, icon("more"));
  private menu: RowMenu | null = null;
  private state!: LayerState;
  private seen!: LayerState;

  constructor(private list: List, private id: string) {
    this.colours = colourMenu(list.host.colormaps, (cmap_index) => this.change({ cmap_index }));
    const scale = element("span", "sw-ramp", {}, this.ramp, this.colours);
    this.el = element("div", "sw-layer", { "data-layer-id": id }, this.visible, this.name, this.opacity.el, this.number, scale, this.contour, this.more);
    this.visible.addEventListener("click", (e) => {
      if (e.altKey) return list.solo(id);
      if (this.state.solo) list.solo(id);
      this.change({ visible: !this.state.visible });
    });
    this.opacity.el.classList.add("sw-opacity");
    this.contour.addEventListener("click", () => this.change({ contour: !this.state.contour }));
    this.more.addEventListener("click", () => this.open(!this.menu));
    this.carry();
    this.el.addEventListener("keydown", (e) => this.key(e));
  }

  private change(traits: Record<string, unknown>): void {
    this.list.host.change(this.id, traits);
  }

  open(on: boolean): void {
    if (on === !!this.menu) return;
    this.more.setAttribute("aria-expanded", String(on));
    if (on) {
      this.menu = rowMenu(this.list, this.id);
      this.el.append(this.menu.el);
      this.menu.show(this.state, this.seen);
    } else {
      const inside = this.menu!.el.contains(document.activeElement);
      this.menu!.el.remove();
      this.menu = null;
      if (inside) this.more.focus();
    }
  }

  get opened(): boolean {
    return this.menu !== null;
  }

  /** Keys of the row, wherever in it the focus is. */
  key(e: KeyboardEvent): void {
    const field = e.target instanceof HTMLSelectElement;
    const step = { ArrowUp: -1, ArrowDown: 1 }[e.key];
    if (e.altKey && step) this.list.move(this.id, step);
    else if (e.ctrlKey || e.metaKey || e.altKey) return;
    else if (e.key === "Escape" && this.menu) this.open(false);
    else if (e.key === "Delete" && this.state.pinned) this.list.host.ask?.("unpin", this.id);
    else if (field) return;
    else if (e.key.toLowerCase() === "s") this.list.solo(this.id);
    else if (e.key.toLowerCase() === "v") this.change({ visible: !this.state.visible });
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  /** A drag on the name carries the row; a click selects the layer. */
  private carry(): void {
    let start: number | null = null;
    let carried = false;
    this.name.addEventListener("pointerdown", (e) => {
      if (e.button) return;
      [start, carried] = [e.clientY, false];
      this.name.setPointerCapture(e.pointerId);
    });
    this.name.addEventListener("pointermove", (e) => {
      if (start === null) return;
      if (!carried && Math.abs(e.clientY - start) < CLICK) return;
      carried = true;
      this.el.classList.add("sw-carried");
      const box = this.el.getBoundingClientRect();
      const by = e.clientY < box.top - box.height / 3 ? -1 : e.clientY > box.bottom + box.height / 3 ? 1 : 0;
      if (by) this.list.move(this.id, by);
    });
    const end = () => {
      start = null;
      this.el.classList.remove("sw-carried");
    };
    this.name.addEventListener("pointerup", end);
    this.name.addEventListener("pointercancel", end);
    this.name.addEventListener("click", () => {
      if (!carried) this.list.select(this.id);
      carried = false;
    });
  }

  show(state: LayerState, seen: LayerState, spoken: boolean): void {
    const renamed = this.state?.name !== state.name || this.state?.pinned !== state.pinned;
    [this.state, this.seen] = [state, seen];
    const { name } = state;
    if (renamed) {
      rename(this.visible, `show ${name}`, "V; Alt-click or S: alone");
      rename(this.name, name, "click: legend and tag speak of it; drag or Alt ↑ ↓: order");
      this.name.replaceChildren(element("span", "", {}, name), ...(state.pinned ? [icon("pin")] : []));
      rename(this.opacity.el.querySelector(".sw-handle")!, `opacity of ${name}`);
      rename(this.colours, `colour map of ${name}`);
      rename(this.contour, `contour of ${name}`, "a line at half of the limit, or round the top of the mass");
      rename(this.more, `more about ${name}`, "view, limits, sign, threshold, blending, order");
    }
    this.visible.setAttribute("aria-pressed", String(state.visible));
    this.el.classList.toggle("sw-hidden", !seen.visible);
    this.el.classList.toggle("sw-solo", state.solo);
    this.el.classList.toggle("sw-spoken", spoken);
    this.name.setAttribute("aria-pressed", String(state.selected));
    this.opacity.show([state.opacity]);
    this.number.textContent = two(state.opacity);
    this.colours.value = String(state.cmap);
    if (this.contour.getAttribute("aria-pressed") !== String(state.contour)) {
      this.contour.setAttribute("aria-pressed", String(state.contour));
      this.contour.replaceChildren(icon(state.contour ? "outline" : "fill"));
    }
    this.menu?.show(state, seen);
  }

  /** The ramp, with a tick at the value under the probe. */
  draw(probe: Probe | null): void {
    const x = this.ramp.getContext("2d")!;
    const { width, height } = this.ramp;
    x.clearRect(0, 0, width, height);
    drawRamp(x, this.seen, 0, 0, width, height);
    const at = probe && this.seen.field && this.seen.visible ? tickAt(this.seen, valueUnder(this.seen.field, probe.x, probe.y, probe.size)) : null;
    if (at === null) return;
    const px = Math.round(Math.min(1, Math.max(0, at)) * (width - 2));
    const style = getComputedStyle(this.el);
    x.fillStyle = style.getPropertyValue("--bg");
    x.fillRect(px - 2, 0, 6, height);
    x.fillStyle = style.getPropertyValue("--ink");
    x.fillRect(px, 0, 2, height);
  }
}

class PhotoRow {
  el: HTMLElement;
  private visible = dot("photograph");
  private number = element("output", "sw-number");
  private opacity;
  private colour;
  private state: Photograph = { visible: true, opacity: 1, saturation: 1 };

  constructor(host: RowsHost) {
    this.visible.addEventListener("click", () => host.photograph({ visible: !this.state.visible }));
    this.visible.title = "show photograph";
    this.opacity = slider({ range: [0, 1], step: 0.01, names: ["opacity of photograph"], text: two }, ([opacity]) => host.photograph({ opacity }));
    this.colour = menuOf("colour of the photograph", SATURATIONS.map(([word, share]) => [word, String(share)]), (share) =>
      host.photograph({ saturation: Number(share) }),
    );
    const name = element("span", "sw-layer-name", {}, "photograph");
    const menu = element("span", "sw-choice", {}, this.colour);
    this.opacity.el.classList.add("sw-opacity");
    this.el = element("div", "sw-layer sw-photo", {}, this.visible, name, this.opacity.el, this.number, menu);
  }

  show(state: Photograph): void {
    this.state = state;
    this.visible.setAttribute("aria-pressed", String(state.visible));
    this.el.classList.toggle("sw-hidden", !state.visible);
    this.opacity.show([state.opacity]);
    this.number.textContent = two(state.opacity);
    this.colour.value = String(state.saturation);
  }
}

export function mountRows(el: HTMLElement, host: RowsHost): RowsHandle {
  const pin = element("button", "sw-pin", { type: "button" }, icon("pin"), "pin this map");
  const trust = element("button", "sw-trust-button", { type: "button", title: "measure how far this map can be trusted (T on the picture)" }, "can I trust this map?");
  const head = element("div", "sw-rows-head", {}, element("span", "", {}, "shown how?"));
  const photo = new PhotoRow(host);
  const box = element("div", "sw-row-list", { role: "group", "aria-label": "layers" });
  const rows = new Map<string, Row>();
  let layers: LayerState[] = [];
  let seen: LayerState[] = [];
  let probe: Probe | null = null;
  if (host.ask) {
    head.append(trust, pin);
    trust.addEventListener("click", () => host.ask!("trust", ""));
    pin.addEventListener("click", () => host.ask!("pin", ""));
  }
  el.replaceChildren(head, box, photo.el);
  // The keys of rows and menus are not the notebook's.
  el.dataset.lmSuppressShortcuts = "true";

  const list: List = {
    host,
    layers: () => layers,
    solo: (id) => {
      const alone = layers.find((layer) => layer.id === id)?.solo;
      for (const layer of layers) if (layer.solo !== (layer.id === id && !alone)) host.change(layer.id, { solo: !layer.solo });
    },
    select: (id) => {
      for (const layer of layers) {
        const selected = layer.id === id && !layer.selected;
        if (layer.selected !== selected) host.change(layer.id, { selected });
      }
    },
    move: (id, by) => {
      const at = ordered(layers.filter((layer) => !layer.empty)).findIndex((layer) => layer.id === id);
      const ids = moved(layers, id, at + by);
      ids.forEach((other, order) => {
        if (layers.find((layer) => layer.id === other)!.order !== order) host.change(other, { order });
      });
    },
  };
  // A menu closes when a hand goes elsewhere.
  box.addEventListener("focusout", (e) => {
    const to = e.relatedTarget as Node | null;
    for (const row of rows.values()) if (row.opened && to && !row.el.contains(to)) row.open(false);
  });

  const draw = () => rows.forEach((row) => row.draw(probe));
  return {
    update(next, nextSeen, photograph, why = "", trusting = "") {
      [layers, seen] = [next, nextSeen];
      trust.hidden = !trusting;
      trust.setAttribute("aria-expanded", String(trusting === "open"));
      const shown = ordered(layers.filter((layer) => !layer.empty));
      for (const [id, row] of rows)
        if (!shown.some((layer) => layer.id === id)) {
          row.el.remove();
          rows.delete(id);
        }
      const speaks = seen.find((layer) => layer.selected && layer.visible);
      shown.forEach((layer, i) => {
        let row = rows.get(layer.id);
        if (!row) rows.set(layer.id, (row = new Row(list, layer.id)));
        row.show(layer, seen.find((other) => other.id === layer.id)!, speaks?.id === layer.id);
        if (box.children[i] !== row.el) {
          const focused = row.el.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
          box.insertBefore(row.el, box.children[i] ?? null);
          focused?.focus();
        }
      });
      pin.disabled = why !== "";
      pin.title = why || "keep this map while another one is explored";
      photo.show(photograph);
      draw();
    },
    setProbe(next) {
      probe = next;
      draw();
    },
  };
}
