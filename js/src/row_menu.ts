// What else can be done to a layer: view, limits, scale, sign, threshold, blending, order. Built when it is opened.
import { element } from "./dom";
import { valueAt } from "./decode";
import { plain } from "./readout";
import type { List } from "./rows";
import type { SliderHandle } from "./slider";
import { slider } from "./slider";
import type { Field, LayerState } from "./types";

export interface RowMenu {
  el: HTMLElement;
  show(state: LayerState, seen: LayerState): void;
}

const SIGNS = ["both", "positive", "negative", "absolute"];
const BLENDS = ["auto", "normal", "hard-light", "multiply", "screen"];
/** What is read as which, in words. */
const WORDS: Record<string, string> = {
  "": "as the method says",
  both: "both",
  positive: "positive only",
  negative: "negative only",
  absolute: "size alone",
  auto: "auto",
  "hard-light": "hard light",
  signed: "signed sum",
  simonyan: "simonyan: largest channel",
  pair: "pair: sum of sizes, 99 %",
  shap: "shap: red raises, blue lowers",
  cam: "cam: positive, warm is high",
};

export function menuOf(name: string, options: [string, string][], chosen: (value: string) => void): HTMLSelectElement {
  const menu = element("select", "", { "aria-label": name });
  menu.append(...options.map(([word, value]) => element("option", "", { value }, word)));
  menu.addEventListener("change", () => chosen(menu.value));
  return menu;
}

export function colourMenu(names: string[], chosen: (index: number) => void): HTMLSelectElement {
  return menuOf("colour map", names.map((name, i) => [name, String(i)]), (value) => chosen(Number(value)));
}

function line(label: string, ...parts: (Node | string)[]): HTMLElement {
  return element("div", "sw-line-of", {}, element("span", "sw-label", {}, label), ...parts);
}

function choice(label: string, name: string, values: string[], chosen: (value: string) => void): [HTMLElement, HTMLSelectElement] {
  const menu = menuOf(`${label} of ${name}`, values.map((value) => [WORDS[value] ?? value, value]), chosen);
  return [line(label, element("span", "sw-choice", {}, menu)), menu];
}

function action(word: string, key: string, act: () => void): HTMLButtonElement {
  const button = element("button", "sw-action", { type: "button" }, word, ...(key ? [element("kbd", "", {}, key)] : []));
  button.addEventListener("click", act);
  return button;
}

/** Smallest and largest value of a map. */
export function extent(field: Field): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < field.raw.length; i++) {
    const v = valueAt(field, i);
    if (v < low) low = v;
    if (v > high && v < Infinity) high = v;
  }
  return low <= high ? [Math.max(low, -1e300), high] : [0, 1];
}

/** The ends that a hand can give a scale: a signed one stays even about zero, so that its middle is no value's colour. */
export function ends(state: Pick<LayerState, "signed" | "limits" | "field">): [number, number] {
  const [low, high] = state.field ? extent(state.field) : state.limits;
  const most = Math.max(Math.abs(low), Math.abs(high), Math.abs(state.limits[0]), state.limits[1]) || 1;
  return state.signed ? [-most, most] : [Math.min(0, low), Math.max(high, state.limits[1])];
}

/** A signed scale is moved at both ends at once. */
export function evened(values: number[], moved: number, signed: boolean): [number, number] {
  if (!signed) return [values[0], values[1]];
  const end = Math.max(Math.abs(values[moved]), 1e-300);
  return [-end, end];
}

export function rowMenu(list: List, id: string): RowMenu {
  const { host } = list;
  const first = list.layers().find((layer) => layer.id === id)!;
  const { name } = first;
  let state = first;
  let range: [number, number] | null = null;
  let ranged: unknown = null;
  const change = (traits: Record<string, unknown>) => host.change(id, traits);

  const [viewLine, view] = choice("view", name, ["", ...host.views], (value) => change({ view: value }));
  const colours = colourMenu(host.colormaps, (cmap_index) => change({ cmap_index }));
  colours.setAttribute("aria-label", `colours of ${name}`);
  const [signLine, sign] = choice("sign", name, SIGNS, (value) => change({ sign: value }));
  const [blendLine, blend] = choice("blending", name, BLENDS, (value) => change({ blend: value }));

  const text = (v: number) => `${plain(v)} ${state.unit === "of max" ? "" : state.unit}`.trim();
  const limits: SliderHandle = slider(
    { range: [0, 1], step: 0.005, names: [`lower limit of ${name}`, `upper limit of ${name}`], text },
    (values, moved) => change({ fixed: evened(values, moved, state.signed) }),
  );
  const limitWords = element("output", "sw-number");
  const reset = element("button", "sw-link sw-reset", { type: "button", title: "limits as the method says" }, "reset");
  reset.addEventListener("click", () => change({ fixed: null }));
  const [scaleLine, scale] = choice("scale", name, ["own", "shared"], (value) => {
    // One layer alone has nobody to share with: all of its unit do.
    for (const other of list.layers()) if (!other.empty && other.unit === state.unit) host.change(other.id, { shared: value === "shared" });
  });
  scaleLine.title = "shared: all visible layers of one unit take the widest limits";

  const by = menuOf(`threshold of ${name} by`, [["of the limit", "limit"], ["of the mass", "mass"]], (value) =>
    change({ mass: value === "mass" ? 0.2 : null }),
  );
  const threshold: SliderHandle = slider(
    { range: [0, 1], step: 0.01, names: [`threshold of ${name}`], text: (v) => (state.mass === null ? v.toFixed(2) : `top ${Math.round(100 * v)} % of the mass`) },
    ([value]) => change(state.mass === null ? { threshold: value } : { mass: value }),
  );
  limits.el.classList.add("sw-limits");
  threshold.el.classList.add("sw-threshold");
  const thresholdWords = element("output", "sw-number");
  const thresholdLine = line("threshold", element("span", "sw-choice", {}, by), threshold.el, thresholdWords);

  const solo = action("solo", "S", () => list.solo(id));
  const up = action("up", "Alt ↑", () => list.move(id, -1));
  const down = action("down", "Alt ↓", () => list.move(id, 1));
  const follow = element("input", "", { type: "checkbox", "aria-label": `${name} follows the class` });
  follow.addEventListener("change", () => change({ follow: follow.checked }));
  const following = element("label", "sw-follow", {}, follow, "follow the class");
  const unpin = action("unpin", "Del", () => host.ask?.("unpin", id));
  const actions = element("div", "sw-actions", {}, solo, up, down, ...(host.ask ? [unpin] : []));
  const el = element(
    "div",
    "sw-pop",
    { role: "group", "aria-label": `how ${name} is shown` },
    ...(host.views.length ? [viewLine] : []),
    line("colours", element("span", "sw-choice", {}, colours)),
    line("limits", limits.el, limitWords, reset),
    scaleLine,
    signLine,
    thresholdLine,
    blendLine,
    ...(host.ask ? [following] : []),
    actions,
  );
  return {
    el,
    show(next, seen) {
      state = next;
      if (ranged !== next.field || !range) [range, ranged] = [ends(next), next.field];
      view.value = next.view;
      colours.value = String(next.cmap);
      sign.value = next.sign;
      sign.disabled = !next.signed;
      blend.value = next.blend;
      limits.show(next.fixed ?? next.limits, range);
      const [low, high] = seen.limits;
      limitWords.textContent = next.signed ? `± ${plain(high)}` : `${low ? `${plain(low)} – ` : ""}${plain(high)}`;
      reset.disabled = next.fixed === null;
      scale.value = next.shared ? "shared" : "own";
      by.value = next.mass === null ? "limit" : "mass";
      threshold.show([next.mass ?? next.threshold]);
      thresholdWords.textContent = next.mass === null ? next.threshold.toFixed(2) : `${Math.round(100 * next.mass)} %`;
      solo.setAttribute("aria-pressed", String(next.solo));
      following.hidden = unpin.hidden = !next.pinned;
      follow.checked = next.follow;
    },
  };
}
