// The rows "shown how?" of the stand-alone page: visible, opacity, colour map, fill or contour.
import { lutAt } from "./colormap";
import { element } from "./dom";
import { drawRamp } from "./legend";
import type { LayerState, StageState } from "./types";

const FILLED = "M3 3h10v10H3zM3 9l6-6M3 13 13 3M7 13l6-6";
const OUTLINED =
  "M8 2.5c3.5 0 5.5 2 5.5 5s-2 6-5.5 6-5.5-2.5-5.5-5.5 2-5.5 5.5-5.5zM8 6c1.4 0 2.2.8 2.2 2S9.4 10.3 8 10.3 5.8 9.4 5.8 8.2 6.6 6 8 6z";
const SATURATIONS: [string, number][] = [
  ["colour", 1],
  ["muted", 0.4],
  ["grey", 0],
];

function drawing(): [SVGSVGElement, SVGPathElement] {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  const path = document.createElementNS(ns, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "sw-icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return [svg, path];
}

function dot(name: string, press: () => void): HTMLButtonElement {
  const button = element("button", "sw-dot", { type: "button", "aria-label": `show ${name}`, title: `show ${name}` });
  button.addEventListener("click", press);
  return button;
}

function opacity(name: string, value: number, set: (value: number) => void): [HTMLInputElement, HTMLOutputElement] {
  const slider = element("input", "", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": `opacity of ${name}` });
  const number = element("output", "", {}, value.toFixed(2));
  slider.value = String(value);
  slider.addEventListener("input", () => {
    number.textContent = slider.valueAsNumber.toFixed(2);
    set(slider.valueAsNumber);
  });
  return [slider, number];
}

export interface Colours {
  names: string[];
  chosen: number;
  luts: Uint8Array;
}

/** One heat layer. The controls change `layer` itself and call `changed`; `show` follows what changed elsewhere. */
export function layerRow(layer: LayerState, colours: Colours, changed: () => void): { el: HTMLElement; show(): void } {
  const visible = dot(layer.name, () => {
    layer.visible = !layer.visible;
    changed();
  });
  const [slider, number] = opacity(layer.name, layer.opacity, (value) => {
    layer.opacity = value;
    changed();
  });
  const ramp = element("canvas", "", { width: "96", height: "16", "aria-hidden": "true" });
  const menu = element("select", "", { "aria-label": `colour map of ${layer.name}`, title: "colour map" });
  menu.append(...colours.names.map((name, i) => element("option", "", { value: String(i) }, name)));
  menu.value = String(colours.chosen);
  menu.addEventListener("change", () => {
    layer.lut = lutAt(colours.luts, Number(menu.value));
    changed();
  });
  const contour = element("button", "sw-contour", { type: "button", "aria-label": `contour of ${layer.name}` });
  contour.title = "a line at half of the maximum";
  contour.addEventListener("click", () => {
    layer.contour = !layer.contour;
    changed();
  });
  const [svg, path] = drawing();
  contour.append(svg);
  const el = element("div", "sw-layer", {}, visible, element("span", "", { title: layer.name }, layer.name), slider, number);
  el.append(element("span", "sw-colours", {}, ramp, menu), contour);
  return {
    el,
    show() {
      visible.setAttribute("aria-pressed", String(layer.visible));
      contour.setAttribute("aria-pressed", String(layer.contour));
      path.setAttribute("d", layer.contour ? OUTLINED : FILLED);
      const x = ramp.getContext("2d")!;
      x.clearRect(0, 0, ramp.width, ramp.height);
      drawRamp(x, layer, 0, 0, ramp.width, ramp.height);
    },
  };
}

/** The photograph: visible, opacity, how much of its colour stays. */
export function photoRow(
  photo: { opacity: number; saturation: number; visible: boolean },
  set: (looks: Partial<StageState>) => void,
): HTMLElement {
  let on = photo.visible;
  const visible = dot("photograph", () => {
    on = !on;
    visible.setAttribute("aria-pressed", String(on));
    set({ photoVisible: on });
  });
  visible.setAttribute("aria-pressed", String(on));
  const [slider, number] = opacity("photograph", photo.opacity, (photoOpacity) => set({ photoOpacity }));
  const menu = element("select", "", { "aria-label": "colour of the photograph" });
  menu.append(...SATURATIONS.map(([word, share]) => element("option", "", { value: String(share) }, word)));
  menu.value = String(photo.saturation);
  menu.addEventListener("change", () => set({ photoSaturation: Number(menu.value) }));
  const colour = element("span", "sw-param", {}, menu);
  return element("div", "sw-layer sw-photo", {}, visible, element("span", "", {}, "photograph"), slider, number, colour);
}
