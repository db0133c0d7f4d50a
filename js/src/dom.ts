// Small helpers: elements, canvases that follow their size, one redraw per frame.

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * Makes the backing store as large as the element in device pixels; returns context, width, height, ratio.
 * null while the element has no size (a notebook takes cells out of the page while it scrolls): what was painted stays.
 */
export function fit(canvas: HTMLCanvasElement): [CanvasRenderingContext2D, number, number, number] | null {
  if (!canvas.clientWidth || !canvas.clientHeight) return null;
  const ratio = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const h = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const x = canvas.getContext("2d")!;
  x.setTransform(1, 0, 0, 1, 0, 0);
  x.clearRect(0, 0, w, h);
  return [x, w, h, ratio];
}

const RETRY_MS = 250;
const RETRIES = 8;

/**
 * Calls `draw` at most once per frame; at once where no frame comes (hidden page), so that answers still go out.
 * `draw` returns false where it had no size to draw in. Then it is tried again some times: an element that left the
 * page and came back within one frame has not changed its size for a ResizeObserver.
 */
export function perFrame(draw: () => boolean | void, signal: AbortSignal): () => void {
  let wanted = false;
  let failed = 0;
  const run = () => {
    wanted = false;
    if (signal.aborted) return;
    failed = draw() === false ? failed + 1 : 0;
    if (failed && failed <= RETRIES) setTimeout(redraw, RETRY_MS);
  };
  const redraw = () => {
    if (wanted || signal.aborted) return;
    wanted = true;
    if (document.hidden) setTimeout(run, 0);
    else requestAnimationFrame(run);
  };
  return redraw;
}

/** Calls `changed` when the element's size or the device pixel ratio changes. */
export function watchSize(node: Element, changed: () => void, signal: AbortSignal): void {
  const observer = new ResizeObserver(() => changed());
  observer.observe(node);
  signal.addEventListener("abort", () => observer.disconnect());
  const ratioChanged = () => {
    changed();
    listen();
  };
  const listen = () =>
    matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`).addEventListener("change", ratioChanged, {
      once: true,
      signal,
    });
  listen();
}

/** Calls `changed` when the page turns dark or light. */
export function watchTheme(changed: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(changed);
  const attributeFilter = ["class", "style", "data-theme", "data-jp-theme-light", "data-jp-theme-name"];
  for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true, attributeFilter });
  signal.addEventListener("abort", () => observer.disconnect());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed, { signal });
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
