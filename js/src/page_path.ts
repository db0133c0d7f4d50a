// The path of the stand-alone page: the map summed up to a point, with the picture and the gradient there.
import { decodeField } from "./decode";
import { element } from "./dom";
import type { LayerState } from "./types";

interface Frame {
  at: number;
  data: string;
  vmin: number;
  vmax: number;
  limits: [number, number];
  /** JPEG in base64; the gradient is empty where none was kept. */
  picture: string;
  gradient: string;
}

export interface PathData {
  axis: string;
  shape: [number, number];
  frames: Frame[];
}

const PLAY_MS = 3200;

export function mountPath(
  data: PathData,
  el: HTMLElement,
  layer: LayerState,
  bytes: (text: string) => Uint8Array,
  changed: () => void,
  signal: AbortSignal,
): void {
  // The map that was shown when the page was written stays exactly that map.
  const original = { field: layer.field, limits: layer.limits };
  const last = data.frames.length - 1;
  const slider = element("input", "", { type: "range", min: "0", max: String(last), step: "1", value: String(last), "aria-label": `end of the ${data.axis} window` });
  const value = element("b");
  const play = element("button", "sw-link", { type: "button" }, "play");
  const tiles = ["picture there", "gradient there"].map((words) => ({ image: element("img", "", { alt: words }), words }));
  const pictures = element("div", "sw-along-pictures");
  for (const { image, words } of tiles) pictures.append(element("figure", "", {}, image, element("figcaption", "sw-muted", {}, words)));
  const name = element("span", "sw-muted", {}, `${data.axis} from ${data.frames[0].at.toFixed(2)} to `);
  el.replaceChildren(element("div", "sw-along-row", {}, element("span", "", {}, name, value), slider, play), pictures);

  const show = (i: number) => {
    const frame = data.frames[i];
    slider.value = String(i);
    value.textContent = frame.at.toFixed(2);
    slider.setAttribute("aria-valuetext", frame.at.toFixed(2));
    tiles[0].image.src = `data:image/jpeg;base64,${frame.picture}`;
    tiles[1].image.hidden = !frame.gradient;
    if (frame.gradient) tiles[1].image.src = `data:image/jpeg;base64,${frame.gradient}`;
    if (i === last) Object.assign(layer, original);
    else {
      const field = decodeField(data.shape, "u1", bytes(frame.data), frame.vmin, frame.vmax);
      Object.assign(layer, layer.fixed ? { field } : { field, limits: frame.limits });
    }
    layer.seq += 1;
    changed();
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    play.textContent = "play";
  };
  play.addEventListener(
    "click",
    () => {
      if (timer !== undefined) return stop();
      let i = Number(slider.value) === last ? 0 : Number(slider.value);
      play.textContent = "stop";
      timer = setInterval(() => {
        show(i);
        if (i++ >= last) stop();
      }, PLAY_MS / last);
    },
    { signal },
  );
  slider.addEventListener("input", () => (stop(), show(Number(slider.value))), { signal });
  signal.addEventListener("abort", stop);
  show(last);
}
