// Numbers and words of the readout: real minus sign, sign where it means something, unit always.
import { indexUnder, valueUnder } from "./decode";
import type { LayerState, Probe } from "./types";
import { ordered } from "./types";

const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const raised = (n: number) => (n < 0 ? "⁻" : "") + [...String(Math.abs(n))].map((c) => SUPER[+c]).join("");

/** Digits that a number of this size needs: 2 from 0.1 up, 3 below. */
export const digitsFor = (v: number) => (Math.abs(v) >= 0.1 ? 2 : 3);

/** A number without plus: `−0.02`, `1.3 × 10⁻⁵`, `∞`, `not a number`. */
export function plain(v: number, digits = digitsFor(v)): string {
  if (Number.isNaN(v)) return "not a number";
  const minus = v < 0 ? "−" : "";
  const a = Math.abs(v);
  if (a === Infinity) return minus + "∞";
  if (a === 0) return (0).toFixed(digits);
  // Too small for the digits, or too long: as a power of ten.
  if (a < 0.5 * 10 ** -digits || a >= 1e5) {
    const [m, e] = a.toExponential(1).split("e");
    return `${minus}${m} × 10${raised(+e)}`;
  }
  return minus + a.toFixed(digits);
}

/** The same with its sign always written: `+0.013`. */
export function withSign(v: number, digits = digitsFor(v)): string {
  return v > 0 ? "+" + plain(v, digits) : plain(v, digits);
}

export interface Reading {
  layer: LayerState;
  /** Full precision: what `heatmap` has there, within half a step. */
  value: number;
  region: number;
  /** `Integrated Gradients`, or `region 32 drop` (in words of the map). */
  lead: [string, string, string];
  text: string;
  unit: string;
  /** `probability 0.070 → 0.038`, or empty. */
  tail: [string, string];
  /** `raises Egyptian cat`, or empty. */
  words: string;
}

/** Share of the maximum, for maps that are read so. */
const ofMax = (layer: LayerState) => layer.unit === "of max";

export function valueText(layer: LayerState, v: number): string {
  const most = (layer.own ?? layer.limits)[1];
  if (ofMax(layer)) return plain(most > 0 ? v / most : v, 2);
  return layer.signed ? withSign(v) : plain(v);
}

/** The text of the tag beside the probe. */
export function tagText(layer: LayerState, v: number): string {
  return ofMax(layer) ? valueText(layer, v) : `${valueText(layer, v)} ${layer.unit}`;
}

export function wordsFor(layer: LayerState, v: number): string {
  if (!layer.signed || !v) return "";
  return (v > 0 ? layer.words[0] : layer.words[1]) ?? "";
}

/** Every visible layer at the probe, uppermost first. */
export function readings(layers: LayerState[], probe: Probe): Reading[] {
  return ordered(layers)
    .filter((layer) => layer.visible && layer.field)
    .map((layer) => {
      const value = valueUnder(layer.field!, probe.x, probe.y, probe.size);
      const region = layer.regions ? layer.regions.labels[indexUnder(layer.regions, probe.x, probe.y, probe.size)] : -1;
      const cut = layer.kind === "region" && region >= 0;
      const after = layer.after[region];
      const name = layer.names?.[region];
      const word = ` ${layer.regionWord || "drop"}`;
      const known = cut && layer.before !== null && after !== undefined;
      return {
        layer,
        value,
        region,
        lead: !cut ? [layer.name, "", ""] : name ? ["", name, word] : ["region ", String(region), word],
        text: valueText(layer, value),
        unit: layer.unit,
        tail: known ? ["probability ", `${plain(layer.before!, 3)} → ${plain(after, 3)}`] : ["", ""],
        words: wordsFor(layer, value),
      } as Reading;
    });
}

/** One line for a screen reader. */
export function spoken(list: Reading[], probe: Probe): string {
  const parts = list.map((r) => `${r.lead.join("")} ${r.text} ${r.unit}${r.words ? `, ${r.words}` : ""}`);
  return [`${probe.x}, ${probe.y}`, ...parts].join("; ");
}
