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

/** Makes the backing store as large as the element in device pixels; returns context, width, height, ratio. */
export function fit(canvas: HTMLCanvasElement): [CanvasRenderingContext2D, number, number, number] {
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

/** Calls `draw` at most once per frame; at once where no frame comes (hidden page), so that answers still go out. */
export function perFrame(draw: () => void, signal: AbortSignal): () => void {
  let wanted = false;
  const run = () => {
    wanted = false;
    if (!signal.aborted) draw();
  };
  return () => {
    if (wanted || signal.aborted) return;
    wanted = true;
    if (document.hidden) setTimeout(run, 0);
    else requestAnimationFrame(run);
  };
}

/** Calls `changed` when the element's size or the device pixel ratio changes. */
export function watchSize(node: Element, changed: () => void, signal: AbortSignal): void {
  const observer = new ResizeObserver(changed);
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
