// The strip of pictures, as a radio group; and the button that lets the explorer fill the screen.
import { rootOf } from "./bus";
import { element } from "./dom";
import { icon } from "./icons";

export interface StripState {
  thumbs: (DataView | Uint8Array)[];
  names: string[];
  selected: number;
}

const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

export function mountStrip(el: HTMLElement, choose: (number: number) => void, signal: AbortSignal) {
  const group = element("div", "sw-strip-row", { role: "radiogroup", "aria-label": "picture" });
  el.replaceChildren(group);
  let state: StripState = { thumbs: [], names: [], selected: 0 };
  const urls = new Map<object, string>();
  const url = (png: DataView | Uint8Array): string => {
    let known = urls.get(png);
    if (!known) urls.set(png, (known = URL.createObjectURL(new Blob([png as BlobPart], { type: "image/png" }))));
    return known;
  };
  const forget = (keep: Set<object>) => {
    for (const [png, address] of urls)
      if (!keep.has(png)) {
        URL.revokeObjectURL(address);
        urls.delete(png);
      }
  };
  signal.addEventListener("abort", () => forget(new Set()));
  const go = (number: number, focus: boolean) => {
    if (number < 0 || number >= state.thumbs.length) return;
    if (focus) (group.children[number] as HTMLElement).focus();
    if (number !== state.selected) choose(number);
  };
  group.addEventListener(
    "keydown",
    (e) => {
      const step = STEPS[e.key];
      if (!step) return;
      e.preventDefault();
      e.stopPropagation();
      const at = [...group.children].indexOf(document.activeElement as Element);
      go((at < 0 ? state.selected : at) + step, true);
    },
    { signal },
  );
  return {
    update(next: StripState): void {
      state = next;
      while (group.children.length > next.thumbs.length) group.lastElementChild!.remove();
      while (group.children.length < next.thumbs.length) {
        const number = group.children.length;
        const button = element("button", "sw-thumb", { type: "button", role: "radio" });
        button.addEventListener("click", () => go(number, false));
        group.append(button);
      }
      next.thumbs.forEach((png, i) => {
        const button = group.children[i] as HTMLElement;
        button.title = next.names[i] ?? "";
        button.setAttribute("aria-label", next.names[i] ?? "");
        button.setAttribute("aria-checked", String(i === next.selected));
        button.tabIndex = i === next.selected ? 0 : -1;
        const image = png.byteLength ? `url("${url(png)}")` : "";
        if (button.style.backgroundImage !== image) button.style.backgroundImage = image;
      });
      forget(new Set(next.thumbs));
      group.children[next.selected]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  };
}

/** Fills the screen with the explorer around the button; where the page may not, it takes the page's whole width. */
export function mountScreen(el: HTMLElement, signal: AbortSignal): void {
  const button = element("button", "sw-screen-button", { type: "button", "aria-pressed": "false" }, icon("screen"));
  el.replaceChildren(button);
  const root = () => rootOf(el);
  const show = () => {
    const full = document.fullscreenElement === root() || root().classList.contains("sw-wide");
    root().classList.toggle("sw-full", full);
    button.setAttribute("aria-pressed", String(full));
    button.title = full ? "back into the notebook (Esc)" : "full screen";
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", async () => {
    if (document.fullscreenElement === root()) await document.exitFullscreen();
    else if (root().classList.contains("sw-wide")) root().classList.remove("sw-wide");
    else {
      const entered = root().requestFullscreen?.().then(() => true, () => false);
      if (!(await entered)) root().classList.add("sw-wide"); // not allowed here, or not known
    }
    show();
  });
  document.addEventListener("fullscreenchange", show, { signal });
  const leave = (e: KeyboardEvent) => {
    if (e.key !== "Escape" || !root().classList.contains("sw-wide")) return;
    root().classList.remove("sw-wide");
    show();
  };
  document.addEventListener("keydown", leave, { signal });
  show();
}
