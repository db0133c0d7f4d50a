// The film strip: small maps over the grey photograph, as a radio group.
import { paint } from "./colormap";
import { element, fit, perFrame, watchSize } from "./dom";
import { canvasOf, faded } from "./heat";

export interface Thumb {
  name: string;
  caption: string;
  title: string;
  shape: [number, number];
  offset: number;
}

export interface FilmState {
  thumbs: Thumb[];
  data: Uint8Array;
  picture: CanvasImageSource | null;
  pictureSize: [number, number];
  lut: Uint8Array;
  selected: number;
  label: string;
}

export interface FilmHandle {
  update(state: FilmState): void;
}

const COLUMNS = 4;
const STEPS: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS };

/** Where an arrow key leads from `at`; stays inside. */
export function stepIn(at: number, key: string, count: number): number {
  return Math.min(count - 1, Math.max(0, at + (STEPS[key] ?? 0)));
}

export function mountFilm(el: HTMLElement, select: (index: number) => void, signal: AbortSignal): FilmHandle {
  const group = element("div", "sw-thumbs", { role: "radiogroup" });
  el.replaceChildren(group);
  let state: FilmState | null = null;
  let grey: { picture: unknown; canvas: HTMLCanvasElement } | null = null;

  const choose = (index: number, focus: boolean) => {
    if (!state || index < 0 || index >= state.thumbs.length) return;
    if (index !== state.selected) select(index);
    if (focus) (group.children[index] as HTMLElement | undefined)?.focus();
  };
  const build = () => {
    group.setAttribute("aria-label", state!.label);
    group.replaceChildren(
      ...state!.thumbs.map((thumb, i) => {
        const name = element("em", "", {}, shortened(thumb.name));
        const caption = element("span", "", {}, name, thumb.caption);
        const button = element("button", "", { type: "button", role: "radio", title: thumb.title }, element("canvas"), caption);
        button.addEventListener("click", () => choose(i, false));
        return button;
      }),
    );
  };
  const mark = () => {
    const { selected, thumbs } = state!;
    thumbs.forEach((_, i) => {
      const button = group.children[i];
      button.setAttribute("aria-checked", String(i === selected));
      button.setAttribute("tabindex", i === Math.max(0, selected) ? "0" : "-1");
    });
  };
  const draw = () => {
    if (!state) return true;
    let sized = true;
    const { picture, pictureSize, lut, data } = state;
    if (picture && grey?.picture !== picture) grey = { picture, canvas: faded(picture, pictureSize, 0, 0.8) };
    state.thumbs.forEach((thumb, i) => {
      const canvas = group.children[i]?.querySelector("canvas");
      if (!canvas) return;
      const fitted = fit(canvas);
      if (!fitted) {
        sized = false;
        return;
      }
      const [x, w, h] = fitted;
      x.imageSmoothingQuality = "high";
      if (picture && grey) x.drawImage(grey.canvas, 0, 0, w, h);
      const [rows, columns] = thumb.shape;
      const raw = data.subarray(thumb.offset, thumb.offset + rows * columns);
      if (raw.length !== rows * columns || !raw.length) return;
      const [map, m] = canvasOf(columns, rows);
      const image = m.createImageData(columns, rows);
      const scale = { limits: [0, 255] as [number, number], signed: false, sign: "both", kind: "heat", threshold: 0.04, lut } as const;
      paint({ raw }, (k) => raw[k], scale, image.data);
      m.putImageData(image, 0, 0);
      x.globalAlpha = 0.95;
      x.globalCompositeOperation = "hard-light";
      x.drawImage(map, 0, 0, w, h);
    });
    return sized;
  };
  const redraw = perFrame(draw, signal);
  watchSize(el, redraw, signal);
  group.addEventListener(
    "keydown",
    (e) => {
      if (!state || !(e.key in STEPS)) return;
      e.preventDefault();
      e.stopPropagation();
      choose(stepIn(Math.max(0, state.selected), e.key, state.thumbs.length), true);
    },
    { signal },
  );
  return {
    update(next) {
      const rebuild = state?.thumbs !== next.thumbs || state.label !== next.label;
      state = next;
      if (rebuild) build();
      mark();
      redraw();
    },
  };
}

/** The end of a dotted name says more than its beginning: "features.3.conv1" becomes "…3.conv1". */
export function shortened(name: string, room = 10): string {
  if (name.length <= room) return name;
  const parts = name.split(".");
  while (parts.length > 1 && parts.join(".").length >= room) parts.shift();
  return `…${parts.join(".").slice(1 - room)}`;
}
