// Stages side by side: where a hand points on one, how it zooms, and what it hides, the others follow in the browser.
import type { Events } from "./bus";

export interface Linked {
  crosshair: boolean;
  zoom: boolean;
  /** Number of the cell whose panel is shown. */
  chosen: number;
}

const say = <K extends keyof Events>(to: Element | null | undefined, name: K, detail: Events[K]) =>
  to?.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));

/**
 * Passes events between the cells of the comparison around `el` until aborted. A cell (`.sw-cell`) is an explorer of its
 * own to the parts in it; so is the panel of the chosen one (`.sw-chosen`).
 */
export function mountLink(el: HTMLElement, links: () => Linked, signal: AbortSignal): void {
  const root = () => el.closest(".sw-compare");
  const cells = () => [...(root()?.querySelectorAll(".sw-cell") ?? [])];
  const panel = () => root()?.querySelector(".sw-chosen");
  let passing = false; // what the others say while they follow is not passed on
  const pass = (work: () => void) => {
    if (passing) return;
    passing = true;
    try {
      work();
    } finally {
      passing = false;
    }
  };
  /** The cell that an event comes from; null for the header and its tools. undefined: none of ours. */
  const source = (event: Event): Element | null | undefined => {
    const from = event.target as Element;
    if (!el.isConnected || root() === null) return undefined;
    if (from === root() || from === panel()) return null;
    return cells().includes(from) ? from : undefined;
  };
  const listen = <K extends keyof Events>(name: K, heard: (detail: Events[K], from: Element | null) => void) =>
    document.addEventListener(
      name,
      (event) => {
        const from = source(event);
        if (from !== undefined) pass(() => heard((event as CustomEvent).detail, from));
      },
      { signal },
    );

  listen("sw-probe", (probe, from) => {
    if (!from) return;
    const at = probe && { x: (probe.x + 0.5) / probe.size[1], y: (probe.y + 0.5) / probe.size[0] };
    if (links().crosshair)
      for (const cell of cells()) if (cell !== from) say(cell, "sw-do", { action: "point", at });
    if (from === cells()[links().chosen]) say(panel(), "sw-probe", probe);
  });
  listen("sw-view", (info, from) => {
    if (!from) return;
    for (const cell of cells()) {
      if (cell === from) continue;
      if (links().zoom) say(cell, "sw-do", { action: "look", scale: info.scale, x: info.x, y: info.y });
      say(cell, "sw-do", { action: "bare", on: info.bare });
    }
    say(root(), "sw-view", { ...info, tool: info.tool === "pan" ? "pan" : "probe", edits: null });
  });
  listen("sw-do", (wish, from) => {
    if (from) return;
    // Editing and pointing at regions concern the chosen cell, looking concerns all.
    const to = wish.action === "edit" || wish.action === "region" ? [cells()[links().chosen]] : cells();
    for (const cell of to) say(cell, "sw-do", wish);
    if (wish.action === "zoom" || wish.action === "grid" || wish.action === "bare" || wish.action === "tool")
      say(to[0], "sw-do", { action: "hello" });
  });
}
