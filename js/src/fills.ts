// Another picture to fill regions with: from a menu's last line, or dropped on the small picture of what the model sees.

/** As Python calls the line. */
const A_FILE = "picture…";
const TARGET = ".sw-trip .sw-pictured:first-child";

/** Opens the file chooser while the hand is still on the menu, as browsers demand; `drop` hears a file that is dropped. */
export function bindFills(el: HTMLElement, drop: (file: File) => void, signal: AbortSignal): void {
  const inside = (node: EventTarget | null): Element | null => {
    const root = el.closest(".sw-explorer");
    return root && node instanceof Element && root.contains(node) ? root : null;
  };
  document.addEventListener(
    "change",
    (event) => {
      const menu = event.target;
      const root = inside(menu);
      if (root && menu instanceof HTMLSelectElement && menu.selectedOptions[0]?.textContent === A_FILE)
        root.querySelector<HTMLElement>(".sw-fill-upload")?.click();
    },
    { signal },
  );
  const over = (event: DragEvent) => {
    const place = inside(event.target) && (event.target as Element).closest<HTMLElement>(TARGET);
    return place && event.dataTransfer?.types.includes("Files") ? place : null;
  };
  let marked: HTMLElement | null = null;
  const mark = (place: HTMLElement | null) => {
    marked?.classList.remove("sw-dropping");
    place?.classList.add("sw-dropping");
    marked = place;
  };
  document.addEventListener(
    "dragover",
    (event) => {
      const place = over(event);
      if (place !== marked) mark(place);
      if (!place) return;
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer!.dropEffect = "copy";
    },
    { signal, capture: true },
  );
  document.addEventListener(
    "drop",
    (event) => {
      const file = over(event) && event.dataTransfer?.files[0];
      mark(null);
      if (!file) return;
      event.preventDefault();
      event.stopPropagation();
      drop(file);
    },
    { signal, capture: true },
  );
}
