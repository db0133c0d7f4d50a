// The row of tools under the stage. It only asks (`sw-do`) and shows what the stage says it does (`sw-view`).
import type { Events } from "./bus";
import { element } from "./dom";
import { icon } from "./icons";
import type { ViewInfo } from "./types";

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

export function mountTools(el: HTMLElement, ask: (wish: Wish) => void): ToolsHandle {
  const row = element("div", "sw-tool-row", { role: "toolbar", "aria-label": "stage tools" });
  const buttons: Record<string, HTMLButtonElement> = {};
  let info: ViewInfo = { tool: "probe", grid: false, bare: false, swipe: false, scale: 1 };
  const add = (name: string, title: string, pressed: boolean, press?: () => void) => {
    const button = element("button", "sw-tool", { type: "button", title, "aria-label": title }, icon(name));
    if (pressed) button.setAttribute("aria-pressed", "false");
    if (press) button.addEventListener("click", press);
    buttons[name] = button;
    row.append(button);
    return button;
  };
  const gap = () => row.append(element("span", "sw-gap"));

  add("probe", "probe (arrows move it)", true, () => ask({ action: "tool", tool: "probe" }));
  add("pan", "pan (hold Space)", true, () => ask({ action: "tool", tool: "pan" }));
  gap();
  add("zoom-out", "zoom out", false, () => ask({ action: "zoom", factor: 1 / 1.5 }));
  add("zoom-in", "zoom in (wheel)", false, () => ask({ action: "zoom", factor: 1.5 }));
  add("grid", "model’s own pixels (G)", true, () => ask({ action: "grid", on: !info.grid }));
  gap();
  const bare = add("bare", "bare picture (hold B)", true);
  add("swipe", "swipe between two layers (W)", true, () => ask({ action: "swipe", on: !info.swipe }));
  // Held like the key: pressing shows the bare picture, letting go brings the layers back.
  const hold = (on: boolean) => ask({ action: "bare", on });
  bare.addEventListener("pointerdown", (e) => {
    bare.setPointerCapture(e.pointerId);
    hold(true);
  });
  for (const name of ["pointerup", "pointercancel", "blur"] as const) bare.addEventListener(name, () => info.bare && hold(false));
  bare.addEventListener("keydown", (e) => e.key === " " && !e.repeat && hold(true));
  bare.addEventListener("keyup", (e) => e.key === " " && hold(false));

  const keys = element("span", "sw-keys", { "aria-hidden": "true" });
  KEYS.forEach(([key, word], i) => keys.append(i ? "\u2002" : "", element("kbd", "", {}, key), ` ${word}`));
  row.append(keys);
  el.replaceChildren(row);

  return {
    show(next) {
      info = next;
      const press = (name: string, on: boolean) => buttons[name].setAttribute("aria-pressed", String(on));
      press("probe", next.tool === "probe");
      press("pan", next.tool === "pan");
      press("grid", next.grid);
      press("bare", next.bare);
      press("swipe", next.swipe);
      buttons["zoom-out"].disabled = next.scale <= 1;
    },
  };
}
