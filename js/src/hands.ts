// Pointer, touch, wheel and keys on the stage → what the person wants.
import type { Tool } from "./types";

export interface Wishes {
  /** Probe at (fx, fy), in shares of the stage. */
  point(fx: number, fy: number): void;
  leave(): void;
  click(shift: boolean): void;
  /** A stroke of the tool at hand; at its beginning false where the tool does not draw. */
  stroke(phase: "begin" | "move" | "end" | "cancel", fx: number, fy: number): boolean;
  /** Whether the key belongs to editing, and was used there. */
  editKey(e: KeyboardEvent): boolean;
  /** An arrow key: a direction, and how many pixels. */
  step(dx: number, dy: number, pixels: number): void;
  /** Zooms around a point; false where nothing changed (the page may scroll then). */
  zoom(factor: number, fx: number, fy: number): boolean;
  pan(dx: number, dy: number): void;
  fit(): void;
  tool(): Tool;
  grabbing(on: boolean): void;
  bare(on: boolean): void;
  toggleTop(): void;
  toggleGrid(): void;
  toggleSwipe(): void;
  /** Take back the last change, or do it again. */
  undo(which: "undo" | "redo"): void;
  escape(): void;
  enter(): void;
  help(): void;
  drop(file: File): void;
  /** The next picture (1) or the previous one (−1). */
  turn(steps: number): void;
  /** Opens or closes the trust panel. */
  trust(): void;
  dropping(on: boolean): void;
}

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
/** A press that moves less than this is a click, in CSS pixels. */
const CLICK = 4;

export function bindHands(el: HTMLElement, focusable: HTMLElement, wish: Wishes, signal: AbortSignal): void {
  bindPointer(el, focusable, wish, signal);
  bindKeys(focusable, wish, signal);
  bindDrop(el, wish, signal);
}

let spaceHeld = false;

function bindPointer(el: HTMLElement, focusable: HTMLElement, wish: Wishes, signal: AbortSignal): void {
  const down = new Map<number, { x: number; y: number }>();
  let start: { x: number; y: number; pan: boolean; draw: boolean; moved: boolean } | null = null;
  const share = (e: { clientX: number; clientY: number }): [number, number] => {
    const r = el.getBoundingClientRect();
    return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height];
  };
  const on = <K extends keyof HTMLElementEventMap>(name: K, f: (e: HTMLElementEventMap[K]) => void, options = {}) =>
    el.addEventListener(name, f, { signal, ...options });

  on("pointerdown", (e) => {
    if (e.button > 1 || !isPicture(e.target)) return;
    // A hand on the picture sees where it is: the ring is for the keyboard.
    focusable.focus({ preventScroll: true, focusVisible: false } as FocusOptions);
    el.setPointerCapture(e.pointerId);
    down.set(e.pointerId, { x: e.clientX, y: e.clientY });
    const pan = spaceHeld || e.button === 1 || wish.tool() === "pan";
    if (start?.draw) wish.stroke("cancel", 0, 0); // a second finger zooms
    start = { x: e.clientX, y: e.clientY, pan, draw: false, moved: down.size > 1 };
    if (pan) {
      wish.grabbing(true);
      e.preventDefault();
    } else {
      wish.point(...share(e));
      start.draw = down.size === 1 && wish.stroke("begin", ...share(e));
      if (start.draw) e.preventDefault();
    }
  });
  on("pointermove", (e) => {
    if (!isPicture(e.target) && !down.size) return;
    const last = down.get(e.pointerId);
    if (start && Math.hypot(e.clientX - start.x, e.clientY - start.y) > CLICK) start.moved = true;
    if (last && down.size === 2) pinch(e, last);
    else if (last && start?.pan) {
      const r = el.getBoundingClientRect();
      wish.pan((e.clientX - last.x) / r.width, (e.clientY - last.y) / r.height);
    } else if (down.size < 2) {
      wish.point(...share(e));
      if (last && start?.draw) wish.stroke("move", ...share(e));
    }
    if (last) down.set(e.pointerId, { x: e.clientX, y: e.clientY });
  });
  const pinch = (e: PointerEvent, last: { x: number; y: number }) => {
    const other = [...down].find(([id]) => id !== e.pointerId)![1];
    const before = Math.hypot(last.x - other.x, last.y - other.y);
    const after = Math.hypot(e.clientX - other.x, e.clientY - other.y);
    const [fx, fy] = share({ clientX: (e.clientX + other.x) / 2, clientY: (e.clientY + other.y) / 2 });
    const r = el.getBoundingClientRect();
    wish.pan((e.clientX - last.x) / 2 / r.width, (e.clientY - last.y) / 2 / r.height);
    if (before > 0) wish.zoom(after / before, fx, fy);
  };
  const up = (e: PointerEvent) => {
    if (!down.delete(e.pointerId)) return;
    wish.grabbing(false);
    if (start?.draw) wish.stroke(e.type === "pointerup" ? "end" : "cancel", ...share(e));
    else if (e.type === "pointerup" && start && !start.moved && !start.pan) wish.click(e.shiftKey);
    if (!down.size) start = null;
  };
  on("pointerup", up);
  on("pointercancel", up);
  // After a touch the probe stays where the finger was; a mouse that leaves takes it along.
  on("pointerleave", (e) => e.pointerType !== "touch" && !down.size && wish.leave());
  on("dblclick", (e) => isPicture(e.target) && wish.fit());
  on(
    "wheel",
    (e) => {
      const step = e.deltaMode === 1 ? e.deltaY * 16 : e.deltaY;
      if (wish.zoom(Math.exp(-Math.max(-120, Math.min(120, step)) / 300), ...share(e))) {
        e.preventDefault();
        e.stopPropagation();
        wish.point(...share(e));
      }
    },
    { passive: false },
  );
}

const isPicture = (target: EventTarget | null) => target instanceof Element && !target.closest(".sw-help");

function bindKeys(focusable: HTMLElement, wish: Wishes, signal: AbortSignal): void {
  const undoKey = (e: KeyboardEvent): boolean => {
    const letter = e.key.toLowerCase();
    if (!(e.ctrlKey || e.metaKey) || e.altKey || (letter !== "z" && letter !== "y")) return false;
    wish.undo(letter === "y" || e.shiftKey ? "redo" : "undo");
    return true;
  };
  const handle = (e: KeyboardEvent): boolean => {
    if (wish.editKey(e)) return true;
    if (undoKey(e)) return true;
    if (e.ctrlKey || e.metaKey || e.altKey) return false;
    const arrow = ARROWS[e.key];
    const k = e.shiftKey ? 10 : 1;
    if (arrow) wish.step(arrow[0], arrow[1], k);
    else if (e.key === " ") {
      spaceHeld = true;
      wish.grabbing(true);
    } else if (e.key === "b" || e.key === "B") {
      if (!e.repeat) wish.bare(true);
    } else if (e.key === "v" || e.key === "V") wish.toggleTop();
    else if (e.key === "g" || e.key === "G") wish.toggleGrid();
    else if (e.key === "w" || e.key === "W") wish.toggleSwipe();
    else if (e.key === "t" || e.key === "T") wish.trust();
    else if (e.key === "+" || e.key === "=") wish.zoom(1.5, 0.5, 0.5);
    else if (e.key === "-") wish.zoom(1 / 1.5, 0.5, 0.5);
    else if (e.key === "0") wish.fit();
    else if (e.key === "PageUp" || e.key === "PageDown") wish.turn(e.key === "PageDown" ? 1 : -1);
    else if (e.key === "Escape") wish.escape();
    else if (e.key === "Enter") {
      if (e.shiftKey) return false;
      wish.enter();
    } else if (e.key === "?") wish.help();
    else return false;
    return true;
  };
  const release = () => {
    if (spaceHeld) wish.grabbing(false);
    spaceHeld = false;
    wish.bare(false);
  };
  // JupyterLab listens on the document while the event goes down, so ours must be caught before, at the window.
  window.addEventListener(
    "keydown",
    (e) => {
      // Pasting is the browser's: it must reach us as an event, and the notebook not at all.
      if (e.target === focusable && (e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "v") e.stopImmediatePropagation();
      else if (e.target === focusable && handle(e)) {
        e.preventDefault();
        e.stopImmediatePropagation();
      }
    },
    { signal, capture: true },
  );
  focusable.addEventListener("keyup", (e) => (e.key === " " || e.key.toLowerCase() === "b") && release(), { signal });
  focusable.addEventListener("blur", release, { signal });
}

function bindDrop(el: HTMLElement, wish: Wishes, signal: AbortSignal): void {
  let depth = 0;
  const files = (e: DragEvent) => [...(e.dataTransfer?.types ?? [])].includes("Files");
  const on = (name: "dragenter" | "dragover" | "dragleave" | "drop", f: (e: DragEvent) => void) =>
    el.addEventListener(
      name,
      (e) => {
        if (!files(e)) return;
        e.preventDefault();
        e.stopPropagation();
        f(e);
      },
      { signal },
    );
  el.addEventListener(
    "paste",
    (e) => {
      const file = e.clipboardData?.files[0];
      if (!file) return;
      e.preventDefault();
      e.stopPropagation();
      wish.drop(file);
    },
    { signal },
  );
  on("dragenter", () => wish.dropping(++depth > 0));
  on("dragover", (e) => {
    if (e.dataTransfer) e.dataTransfer.dropEffect = "copy";
  });
  on("dragleave", () => wish.dropping(--depth > 0));
  on("drop", (e) => {
    depth = 0;
    wish.dropping(false);
    const file = e.dataTransfer?.files[0];
    if (file) wish.drop(file);
  });
}
