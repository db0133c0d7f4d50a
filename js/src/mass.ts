// Which values make up the top of a map: the largest sizes that together hold a share of the mass.
import { shownValue } from "./colormap";
import { valueAt } from "./decode";
import type { Field, Sign } from "./types";

interface Sorted {
  /** Sizes, the largest first, and their running sums. */
  sizes: Float64Array;
  sums: Float64Array;
}

// A map is sorted once for each sign: after that a drag is a search among its sums.
const known = new WeakMap<Field, Map<Sign, Sorted>>();

function sorted(field: Field, sign: Sign): Sorted {
  let bySign = known.get(field);
  if (!bySign) known.set(field, (bySign = new Map()));
  let entry = bySign.get(sign);
  if (!entry) {
    const sizes = new Float64Array(field.raw.length);
    for (let i = 0; i < sizes.length; i++) {
      const size = Math.abs(shownValue(valueAt(field, i), sign));
      sizes[i] = Number.isFinite(size) ? size : 0;
    }
    sizes.sort().reverse();
    const sums = new Float64Array(sizes.length);
    let sum = 0;
    for (let i = 0; i < sizes.length; i++) sums[i] = sum += sizes[i];
    bySign.set(sign, (entry = { sizes, sums }));
  }
  return entry;
}

/** The smallest size in the smallest set of largest values that holds `share` (0 … 1) of the mass; 0 for a map of zeros. */
export function massCut(field: Field, sign: Sign, share: number): number {
  const { sizes, sums } = sorted(field, sign);
  const wanted = share * sums[sums.length - 1];
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] >= wanted) high = middle;
    else low = middle + 1;
  }
  return sizes[low];
}
