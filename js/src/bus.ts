// Parts in one explorer talk through DOM events on its root: each widget loads its own copy of this module.
import type { EditOp, Probe, Tool, ViewInfo } from "./types";

export interface Events {
  /** The probe moved (or left). */
  "sw-probe": Probe | null;
  /** A tool button asks the stage for something. */
  "sw-do":
    | { action: "tool"; tool: Tool }
    | { action: "edit"; op: EditOp }
    | { action: "region"; region: number }
    | { action: "zoom"; factor: number }
    | { action: "grid" | "bare" | "swipe"; on: boolean }
    | { action: "hello" }
    /** Point at (x, y) in shares of the picture, or nowhere. */
    | { action: "point"; at: { x: number; y: number } | null }
    /** Show this part of the picture. */
    | { action: "look"; scale: number; x: number; y: number };
  /** The stage's tool, zoom and modes changed. */
  "sw-view": ViewInfo;
}

/** The explorer around an element; the page where there is none. Looked up late: views render detached. */
export function rootOf(el: Element): Element {
  return el.closest(".sw-explorer") ?? document.body;
}

export function tell<K extends keyof Events>(el: Element, name: K, detail: Events[K]): void {
  if (el.isConnected) rootOf(el).dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
}

export function hear<K extends keyof Events>(
  el: Element,
  name: K,
  heard: (detail: Events[K]) => void,
  signal: AbortSignal,
): void {
  const listener = (event: Event) => {
    if (el.isConnected && event.target === rootOf(el)) heard((event as CustomEvent).detail);
  };
  document.addEventListener(name, listener, { signal });
}
