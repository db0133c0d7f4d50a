// The classes of the stand-alone page: a row whose maps are in the page is a button that shows them.
import type { FilmData } from "./page_film";

export interface ClassData {
  target: number;
  /** What changes of each layer; null: it keeps its class; false: hidden. Missing for the class that the page was written for. */
  layers?: (Record<string, any> | null | false)[];
  film?: FilmData | null;
  /** Title, class and evidence of the first map. */
  made?: string[] | null;
}

export function mountClasses(classes: ClassData[], target: number, choose: (entry: ClassData) => void, signal: AbortSignal): void {
  const rows = [...document.querySelectorAll<HTMLElement>(".sw-class[data-class]")];
  const mark = (chosen: number) => {
    for (const row of rows) {
      const own = Number(row.dataset.class) === chosen;
      row.classList.toggle("sw-on", own);
      if (row.getAttribute("role")) row.setAttribute("aria-pressed", String(own));
    }
  };
  if (classes.length < 2) return;
  for (const row of rows) {
    const entry = classes.find((one) => one.target === Number(row.dataset.class));
    if (!entry) continue;
    row.setAttribute("role", "button");
    row.tabIndex = 0;
    row.title = "show the maps of this class";
    const pick = () => {
      mark(entry.target);
      choose(entry);
    };
    row.addEventListener("click", pick, { signal });
    row.addEventListener("keydown", (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), pick()), { signal });
  }
  mark(target);
}
