// The menu of a region for hands that stay on the keys: it opens with its name field ready, and Esc leads back.

const PATIENCE_MS = 3000; // the kernel opens the menu; if it does not, the hand has gone on

/** Puts the cursor into the name field of the explorer around `el` as soon as the menu is open. */
export function focusName(el: HTMLElement, signal: AbortSignal): void {
  const end = performance.now() + PATIENCE_MS;
  const began = document.activeElement;
  const look = () => {
    if (signal.aborted || performance.now() > end || document.activeElement !== began) return;
    const field = el
      .closest(".sw-explorer")
      ?.querySelector<HTMLInputElement>(".sw-region-menu .sw-menu.mod-active + .sw-pop input");
    if (!field || !field.checkVisibility()) return void requestAnimationFrame(look);
    field.focus();
    field.select();
  };
  requestAnimationFrame(look);
}

/** Esc in the menu closes it and gives the keys back to the picture. */
export function leaveMenu(el: HTMLElement, signal: AbortSignal): void {
  window.addEventListener(
    "keydown",
    (e) => {
      const menu = e.key === "Escape" && e.target instanceof Element ? e.target.closest(".sw-region-menu") : null;
      const root = el.closest(".sw-explorer");
      if (!menu || !root?.contains(menu)) return;
      e.preventDefault();
      e.stopImmediatePropagation();
      menu.querySelector<HTMLElement>(".sw-menu.mod-active")?.click();
      root.querySelector<HTMLElement>(".sw-picture .sw-over")?.focus();
    },
    { signal, capture: true },
  );
}
