// The keys of the stage, on request.
import { element } from "./dom";

const LOOKING: [string, string][] = [
  ["← ↑ → ↓", "move the probe; Shift: ten pixels"],
  ["wheel, + −", "zoom; double-click or 0: fit"],
  ["Space, drag", "pan"],
  ["B", "bare picture, while held"],
  ["V", "show or hide the uppermost layer"],
  ["G", "the model’s own pixels"],
  ["W", "swipe between the two uppermost layers"],
  ["S, V, Alt ↑ ↓, Del", "in a layer’s row: alone, show, order, unpin"],
];
const CUTTING: [string, string][] = [
  ["Enter", "regions: off or on (or choose); a drawing tool: begin, end"],
  ["C R L D E S M", "regions: pointer, rectangle, lasso, draw, erase, split, merge"],
  ["U, Shift U", "regions: undo, redo (Ctrl Z, Ctrl Shift Z)"],
  ["Ctrl Z, Ctrl Shift Z", "undo, redo: class, method, parameters, looks"],
  ["[ ] < > Del O", "brush size; shrink, grow, remove; all on"],
  ["F, Shift F, I", "regions: finer, coarser, interactions"],
  ["N, Shift-click", "regions: name, and what else can be done to one"],
];
const RUNNING: [string, string][] = [
  ["Esc", "stop the running evaluation, or leave"],
  ["PgUp PgDn", "previous, next picture"],
  ["T", "can I trust this map?"],
  ["drop, paste", "explain another picture"],
];

export function helpPanel(close: () => void): HTMLElement {
  const list = element("dl");
  // A page without a kernel has neither regions to edit nor anything to stop.
  for (const [keys, kind] of [[LOOKING, ""], [CUTTING, "sw-live"], [RUNNING, "sw-live"]] as const)
    for (const [key, words] of keys) list.append(element("dt", kind, {}, key), element("dd", kind, {}, words));
  const panel = element("div", "sw-help", { role: "dialog", "aria-label": "keys of the stage" }, list);
  const button = element("button", "sw-link", { type: "button" }, "close");
  button.addEventListener("click", close);
  panel.append(button);
  panel.hidden = true;
  return panel;
}
