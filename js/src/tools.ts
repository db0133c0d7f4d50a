// The row of tools under the stage. It only asks (`sw-do`) and shows what the stage says it does (`sw-view`).
import type { Events } from "./bus";
import { element } from "./dom";
import { icon } from "./icons";
import type { Tool, ViewInfo } from "./types";

type Wish = Events["sw-do"];

export interface ToolsHandle {
  show(info: ViewInfo): void;
}

const KEYS = [
  ["← ↑ → ↓", "move"],
  ["B", "bare"],
  ["V", "layer"],
  ["?", "keys"],
];
const EDIT_KEYS = [
  ["Enter", ""], // what it does there
  ["[ ]", "size"],
  ["?", "keys"],
];
const EDIT_TOOLS: [Tool, string][][] = [
  [
    ["pointer", "switch regions off and on (C)"],
    ["rectangle", "rectangle: a new region (R)"],
    ["lasso", "lasso: a new region (L)"],
    ["brush", "brush: a new region, or more of the one drawn last; [ ] size (D)"],
    ["erase", "eraser: takes from the region where it begins (E)"],
  ],
  [
    ["split", "split by a stroke, or by a click in four (S)"],
    ["merge", "merge: drag across regions (M)"],
  ],
];

export function mountTools(el: HTMLElement, ask: (wish: Wish) => void): ToolsHandle {
  const row = element("div", "sw-tool-row", { role: "toolbar", "aria-label": "stage tools" });
  const edits = element("div", "sw-tool-row", { role: "toolbar", "aria-label": "region tools" });
  const buttons: Record<string, HTMLButtonElement> = {};
  let info: ViewInfo = { tool: "probe", grid: false, bare: false, swipe: false, scale: 1, x: 0, y: 0, edits: null };
  const add = (to: HTMLElement, name: string, title: string, pressed: boolean, press?: () => void) => {
    const button = element("button", "sw-tool", { type: "button", title, "aria-label": title }, icon(name));
    if (pressed) button.setAttribute("aria-pressed", "false");
    if (press) button.addEventListener("click", press);
    buttons[name] = button;
    to.append(button);
    return button;
  };
  const gap = (to: HTMLElement) => to.append(element("span", "sw-gap"));
  const hints = (to: HTMLElement, keys: string[][]) => {
    const line = element("span", "sw-keys", { "aria-hidden": "true" });
    const words = keys.map(([, word]) => element("span", "", {}, word));
    keys.forEach(([key], i) => line.append(i ? "\u2002" : "", element("kbd", "", {}, key), " ", words[i]));
    to.append(line);
    return words;
  };

  add(row, "probe", "probe (arrows move it)", true, () => ask({ action: "tool", tool: "probe" }));
  add(row, "pan", "pan (hold Space)", true, () => ask({ action: "tool", tool: "pan" }));
  gap(row);
  add(row, "zoom-out", "zoom out", false, () => ask({ action: "zoom", factor: 1 / 1.5 }));
  add(row, "zoom-in", "zoom in (wheel)", false, () => ask({ action: "zoom", factor: 1.5 }));
  add(row, "grid", "model’s own pixels (G)", true, () => ask({ action: "grid", on: !info.grid }));
  gap(row);
  const bare = add(row, "bare", "bare picture (hold B)", true);
  add(row, "swipe", "swipe between two layers (W)", true, () => ask({ action: "swipe", on: !info.swipe }));
  // Held like the key: pressing shows the bare picture, letting go brings the layers back.
  const hold = (on: boolean) => ask({ action: "bare", on });
  bare.addEventListener("pointerdown", (e) => {
    bare.setPointerCapture(e.pointerId);
    hold(true);
  });
  for (const name of ["pointerup", "pointercancel", "blur"] as const) bare.addEventListener(name, () => info.bare && hold(false));
  bare.addEventListener("keydown", (e) => e.key === " " && !e.repeat && hold(true));
  bare.addEventListener("keyup", (e) => e.key === " " && hold(false));
  hints(row, KEYS);

  for (const group of EDIT_TOOLS) {
    for (const [tool, title] of group) add(edits, tool, title, true, () => ask({ action: "tool", tool }));
    gap(edits);
  }
  add(edits, "undo", "undo (U, Ctrl Z)", false, () => ask({ action: "edit", op: "undo" }));
  add(edits, "redo", "redo (Shift U, Ctrl Shift Z)", false, () => ask({ action: "edit", op: "redo" }));
  const [enter] = hints(edits, EDIT_KEYS);
  edits.hidden = true;
  el.replaceChildren(row, edits);

  return {
    show(next) {
      info = next;
      const press = (name: string, on: boolean) => buttons[name].setAttribute("aria-pressed", String(on));
      [row.hidden, edits.hidden] = [next.edits !== null, next.edits === null];
      for (const tool of ["probe", "pan", ...EDIT_TOOLS.flat().map(([name]) => name)]) press(tool, next.tool === tool);
      press("grid", next.grid);
      press("bare", next.bare);
      press("swipe", next.swipe);
      buttons["zoom-out"].disabled = next.scale <= 1;
      if (next.edits) {
        enter.textContent = next.edits.click;
        const title = next.edits.click === "choose" ? "choose a region (C)" : "switch regions off and on (C)";
        buttons.pointer.title = title;
        buttons.pointer.setAttribute("aria-label", title);
      }
      buttons.undo.disabled = !next.edits?.undoable;
      buttons.redo.disabled = !next.edits?.redoable;
    },
  };
}
