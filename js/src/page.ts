// The stand-alone page that `Explorer.save("page.html")` writes: stage, legend, readout and controls without a kernel.
import { lutAt } from "./colormap";
import type { Crop } from "./crop";
import { decodeField, decodeRegions } from "./decode";
import { mountLegend } from "./legend";
import { mountLine } from "./line";
import { pictureFrom } from "./models";
import { mountStage } from "./stage";
import { mountTools } from "./tools";
import type { LayerState, Probe, StageState } from "./types";
import { resolve } from "./resolve";
import { mountRows } from "./rows";
import type { ClassData } from "./page_classes";
import { mountClasses } from "./page_classes";
import type { FilmData } from "./page_film";
import { mountLayerFilm } from "./page_film";
import type { PathData } from "./page_path";
import { mountPath } from "./page_path";
import { element } from "./dom";
import "./page.css";

type Packed<T> = Omit<T, "data"> & { data: string };

interface PageData {
  size: [number, number];
  picture: string;
  crop: number[];
  label: string;
  photo: { opacity: number; saturation: number; visible: boolean };
  regions: Packed<{ shape: [number, number]; dtype: "u2"; data: Uint8Array }> | null;
  region_hover: boolean;
  off: number[];
  fill: string;
  luts: string;
  colormaps: string[];
  layers: any[];
  target: number | null;
  film: FilmData | null;
  classes: ClassData[];
  path: PathData | null;
}

const bytes = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const regionsFrom = (map: any) => (map?.data ? decodeRegions({ ...map, data: bytes(map.data) }) : null);

function layerFrom(given: any, luts: Uint8Array, index: number): LayerState {
  return {
    ...given,
    id: String(index),
    field: decodeField(given.shape, given.dtype, bytes(given.data), given.vmin, given.vmax),
    regions: regionsFrom(given.regions),
    names: given.region_names,
    regionWord: given.region_word,
    lut: lutAt(luts, given.cmap_index),
    cmap: given.cmap_index,
    empty: false,
    stale: false,
    seq: 1,
  };
}

const place = (id: string) => document.getElementById(id)!;

async function start(): Promise<void> {
  const data = JSON.parse(place("sw-data").textContent!) as PageData;
  const luts = bytes(data.luts);
  const { signal } = new AbortController();
  const layers = data.layers.map((given, i) => layerFrom(given, luts, i));
  const [picture, fill] = await Promise.all([data.picture, data.fill].map((png) => pictureFrom(bytes(png))));

  const legend = mountLegend(place("sw-legend"), signal);
  const line = mountLine(place("sw-readout"));
  const rows = mountRows(place("sw-rows"), {
    colormaps: data.colormaps,
    views: [],
    change: (id, traits) => {
      const own = layers.find((layer) => layer.id === id)!;
      Object.assign(own, traits);
      if ("cmap_index" in traits) Object.assign(own, { cmap: traits.cmap_index, lut: lutAt(luts, traits.cmap_index as number) });
      changed();
    },
    photograph: (looks) => {
      Object.assign(data.photo, looks);
      stage.update({ photoOpacity: data.photo.opacity, photoSaturation: data.photo.saturation, photoVisible: data.photo.visible });
      changed();
    },
  });
  const state: StageState = {
    size: data.size,
    picture,
    crop: data.crop.length ? (data.crop as Crop) : null,
    layers,
    regions: regionsFrom(data.regions),
    regionHover: data.region_hover,
    cut: data.off.length ? { off: data.off, fill, undoable: 0, redoable: 0, chosen: -1, fixed: true } : null,
    photoOpacity: data.photo.opacity,
    photoSaturation: data.photo.saturation,
    photoVisible: data.photo.visible,
    label: data.label,
    help: false,
  };
  const stage = mountStage(
    place("sw-stage"),
    state,
    {
      probe: (probe: Probe | null) => {
        legend.setProbe(probe);
        line.setProbe(probe);
        rows.setProbe(probe);
      },
      view: (info) => tools.show(info),
      toggle: (layer) => {
        const own = layers.find((other) => other.id === layer.id);
        if (own) own.visible = !own.visible;
        changed();
      },
    },
    signal,
  );
  const tools = mountTools(place("sw-tools"), (wish) => {
    if (wish.action === "tool") stage.setTool(wish.tool);
    else if (wish.action === "zoom") stage.zoom(wish.factor);
    else if (wish.action === "grid") stage.setGrid(wish.on);
    else if (wish.action === "bare") stage.setBare(wish.on);
    else if (wish.action === "swipe") stage.setSwipe(wish.on);
  });
  stage.announce();

  const changed = () => {
    // Painters keep what they made of a layer's own parts, so a shallow copy costs nothing.
    const now = resolve(layers);
    stage.update({ layers: now });
    legend.update(now);
    line.update(now, "point at the picture to read every visible layer");
    rows.update(layers.map((layer) => ({ ...layer })), now, data.photo);
  };
  const seen = data.film?.seen ? await pictureFrom(bytes(data.film.seen)) : picture;
  const section = (id: string) => document.getElementById(id)?.closest("section");
  let chosen = new AbortController(); // ends what belongs to the class that was shown
  const parts = (film: FilmData | null | undefined, path: PathData | null) => {
    chosen.abort();
    chosen = new AbortController();
    for (const [id, there] of [["sw-film", film], ["sw-path", path]] as const) section(id)?.toggleAttribute("hidden", !there);
    if (film) mountLayerFilm(film, layers[film.layer], seen, data.size, bytes, changed, chosen.signal);
    if (path) mountPath(path, place("sw-path"), layers[0], bytes, changed, chosen.signal);
  };
  const hidden = new Map<number, boolean>(); // layers without a map of the chosen class, and whether they were shown
  const originals = layers.map((layer) => ({ ...layer }));
  const made = [...place("sw-made").childNodes];
  const block = (lines: string[]) =>
    element("div", "sw-made", {}, element("h3", "", {}, lines[0]), ...lines.slice(1).map((line) => element("p", "", {}, line)));
  mountClasses(
    data.classes,
    data.target ?? -1,
    (entry) => {
      layers.forEach((layer, i) => {
        const given = entry.layers?.[i];
        if (given === null) return;
        const first = originals[i];
        if (given === false) {
          if (!hidden.has(i)) hidden.set(i, layer.visible);
          layer.visible = false;
          return;
        }
        if (hidden.has(i)) layer.visible = hidden.get(i)!;
        hidden.delete(i);
        const fresh = given ? layerFrom({ ...data.layers[i], ...given }, luts, i) : first;
        // What a hand changed about how the layer looks stays.
        const { field, limits, words, unit, signed, kind, regions, before, after, name, names, regionWord } = fresh;
        const meaning = { field, words, unit, signed, kind, regions, before, after, name, names, regionWord };
        Object.assign(layer, meaning, layer.fixed ? {} : { limits });
        layer.seq += 1;
      });
      place("sw-made").replaceChildren(...(entry.made ? [block(entry.made)] : made));
      const own = entry.target === data.target;
      parts(own ? data.film : entry.film, own ? data.path : null);
      changed();
    },
    signal,
  );
  parts(data.film, data.path);
  changed();
  document.documentElement.dataset.ready = "true";
}

void start();
