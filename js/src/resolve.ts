// How layers are seen beside one another: a solo hides the others, and layers on a shared scale take the widest limits.
import type { LayerState } from "./types";
import { ordered } from "./types";

/** Layers whose values can be compared: of one unit, and, where that is a share of the maximum, of one method. */
const comparable = (layer: LayerState) => (layer.unit === "of max" ? `of max ${layer.method}` : layer.unit);

/** Copies with what holds in the end: `visible` beside a solo, `limits` as set by hand, shared, or as the method says. */
export function resolve(layers: LayerState[]): LayerState[] {
  const alone = layers.some((layer) => layer.solo && !layer.empty);
  const seen = layers.map((layer) => ({
    ...layer,
    visible: !layer.empty && (alone ? layer.solo : layer.visible),
    own: layer.limits,
    limits: layer.fixed ?? layer.limits,
  }));
  const widest = new Map<string, [number, number]>();
  const sharing = seen.filter((layer) => layer.shared && layer.visible);
  for (const layer of sharing) {
    const [low, high] = widest.get(comparable(layer)) ?? layer.limits;
    widest.set(comparable(layer), [Math.min(low, layer.limits[0]), Math.max(high, layer.limits[1])]);
  }
  for (const layer of sharing) layer.limits = widest.get(comparable(layer))!;
  return seen;
}

/** The ids from top to bottom when layer `id` goes to place `to`. */
export function moved(layers: LayerState[], id: string, to: number): string[] {
  const ids = ordered(layers.filter((layer) => !layer.empty)).map((layer) => layer.id);
  const from = ids.indexOf(id);
  if (from < 0) return ids;
  ids.splice(Math.min(ids.length - 1, Math.max(0, to)), 0, ...ids.splice(from, 1));
  return ids;
}
