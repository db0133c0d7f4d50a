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
import { layerRow, photoRow } from "./page_rows";
import type { FilmData } from "./page_film";
import { mountLayerFilm } from "./page_film";
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
  film: FilmData | null;
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
  const rows = layers.map((layer, i) =>
    layerRow(layer, { names: data.colormaps, chosen: data.layers[i].cmap_index, luts }, () => changed()),
  );
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
      },
      view: (info) => tools.show(info),
      toggle: (layer) => {
        const own = layers.find((l) => l.id === layer.id);
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

  const photo = photoRow(data.photo, (looks) => stage.update(looks));
  place("sw-rows").append(...rows.map((row) => row.el), photo);
  const changed = () => {
    // Painters keep what they made of a layer's own parts, so a shallow copy costs nothing.
    const now = layers.map((layer) => ({ ...layer }));
    stage.update({ layers: now });
    legend.update(now);
    line.update(now, "point at the picture to read every visible layer");
    rows.forEach((row) => row.show());
  };
  if (data.film) {
    const seen = data.film.seen ? await pictureFrom(bytes(data.film.seen)) : picture;
    mountLayerFilm(data.film, layers[data.film.layer], seen, data.size, bytes, changed, signal);
  }
  changed();
  document.documentElement.dataset.ready = "true";
}

void start();
