// The readout line: every visible layer at the probe, with sign and unit.
import { element } from "./dom";
import { readings } from "./readout";
import type { LayerState, Probe } from "./types";

export interface LineHandle {
  update(layers: LayerState[], hint: string): void;
  setProbe(probe: Probe | null): void;
}

const muted = (text: string) => element("span", "sw-muted", {}, text);

export function mountLine(el: HTMLElement): LineHandle {
  const line = element("div", "sw-line");
  el.replaceChildren(line);
  let layers: LayerState[] = [];
  let probe: Probe | null = null;
  let hint = "";

  const draw = () => {
    if (!probe) {
      line.replaceChildren(muted(hint));
      line.title = "";
      return;
    }
    const list = readings(layers, probe);
    line.replaceChildren(element("span", "sw-at", {}, `(${probe.x}, ${probe.y})`), " ");
    list.forEach((r, i) => {
      if (i) line.append(muted("\u2002·\u2002"));
      const [lead, number, rest] = r.lead;
      line.append(muted(lead));
      if (number) line.append(number, muted(rest));
      const value = element("b", "sw-value", { "data-layer": r.layer.name, "data-value": String(r.value) }, r.text);
      line.append(" ", value, " ", muted(r.unit));
      if (r.tail[0]) line.append(muted(`\u2002${r.tail[0]}`), r.tail[1]);
    });
    line.title = list
      .filter((r) => r.words)
      .map((r) => `${r.layer.name}: ${r.words}`)
      .join(" · ");
  };
  return {
    update(nextLayers, nextHint) {
      layers = nextLayers;
      hint = nextHint;
      draw();
    },
    setProbe(next) {
      probe = next;
      draw();
    },
  };
}
