"""Superpixels nested in one another: fine ones, of which the two neighbours that differ least become one, again and again."""
from __future__ import annotations

import hashlib
import heapq
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from .regions import areas, as_labels, neighbours

FINE = 250  # superpixels aimed at, at the bottom
LARGE = 250_000  # pixels; of much larger pictures edges are followed at a part of their resolution, which takes seconds else
KEPT = 8    # hierarchies of pictures that were cut last
_kept: OrderedDict[tuple, "Hierarchy"] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Fine superpixels `leaves` int32 `(H, W)` 0..L−1, each in one piece, and the `merges` int64 `(L−1, 2)` that join them.

    Merge k makes one of two neighbouring nodes, numbered L + k; nodes below L are leaves.
    """

    leaves: np.ndarray
    merges: np.ndarray

    def __len__(self) -> int:
        return len(self.merges) + 1

    def cut(self, count: int) -> np.ndarray:
        """The label map int32 `(H, W)` of `count` superpixels (all leaves, where there are fewer).

        Each is in one piece. Cuts are nested: a superpixel of a coarser one is a union of superpixels of any finer one.
        """
        return as_labels(self._joined(self.merges[:max(0, len(self) - max(1, count))])[self.leaves], self.leaves.shape)

    def parts(self, mask: np.ndarray, count: int) -> np.ndarray | None:
        """Cut the pixels of a mask bool `(H, W)` along the hierarchy into `count` parts or as many as there are.

        Returns int32 `(H, W)` numbers, different in different parts and of no meaning elsewhere; None where the mask is no
        union of two leaves or more.
        """
        inside = np.zeros(len(self), bool)
        inside[self.leaves[mask]] = True
        if inside.sum() < 2 or not np.array_equal(inside[self.leaves], mask):
            return None
        whole = list(inside)  # of each node, whether all of it is inside
        for low, high in self.merges.tolist():
            whole.append(whole[low] and whole[high])
        own = self.merges[np.array(whole[len(self):], bool)]
        return self._joined(own[:max(0, int(inside.sum()) - count)])[self.leaves]

    def _joined(self, merges: np.ndarray) -> np.ndarray:
        """The lowest leaf of each leaf's node after some of the merges, int32 `(L,)`."""
        members = {leaf: [leaf] for leaf in range(len(self))}
        made = {(low, high): len(self) + k for k, (low, high) in enumerate(self.merges.tolist())}
        for pair in map(tuple, merges.tolist()):
            members[made[pair]] = members.pop(pair[0]) + members.pop(pair[1])
        lowest = np.empty(len(self), np.int32)
        for leaves in members.values():
            lowest[leaves] = min(leaves)
        return lowest


def hierarchy(picture: np.ndarray, how: str, fine: int = FINE, make: bool = True) -> Hierarchy | None:
    """The superpixels of a picture uint8 `(H, W, 3)` or `(H, W)`, about `fine` at the bottom; the same picture gives the same.

    "slic" (Achanta et al. 2012) grows compact cells, "felzenszwalb" (Felzenszwalb, Huttenlocher 2004) follows edges, both by
    scikit-image; neighbours are joined by Ward's criterion (1963) on their mean colours in CIELAB: those first whose
    union adds least to the squared distances of pixels from their superpixel's mean. `make=False` gives None where the
    picture was not cut so before.
    """
    picture = np.ascontiguousarray(picture, dtype=np.uint8)
    key = hashlib.sha256(picture.tobytes()).digest(), picture.shape, how, fine
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    if not make:
        return None
    made = _made(picture, how, fine)
    with _lock:
        _kept[key] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made


def parts(picture: np.ndarray, mask: np.ndarray, count: int, ways: tuple[str, ...]) -> np.ndarray | None:
    """`Hierarchy.parts` of whichever way the picture was cut before, if the mask is a union of its superpixels; else None."""
    for how in ways:
        known = hierarchy(picture, how, make=False)
        found = None if known is None or known.leaves.shape != mask.shape else known.parts(mask, count)
        if found is not None:
            return found
    return None


def most_similar(labels: np.ndarray, region: int, picture: np.ndarray) -> int:
    """The neighbour of a region that Ward's criterion joins to it first; ValueError for the only region."""
    pairs = neighbours(labels)
    beside = pairs[(pairs == region).any(1)].sum(1) - region
    if not beside.size:
        raise ValueError("the only region has no neighbour to be joined with")
    size, colour = areas(labels).astype(np.float64), _colours(labels, _lab(_rgb(picture)))
    return int(beside[np.argmin([_price(size[region], size[s], colour[region], colour[s]) for s in beside.tolist()])])


def _made(picture: np.ndarray, how: str, fine: int) -> Hierarchy:
    from skimage.measure import label

    picture = _rgb(picture)
    rough = (_slic if how == "slic" else _felzenszwalb)(picture, min(fine, picture.shape[0] * picture.shape[1]))
    leaves = as_labels(label(rough, connectivity=1, background=-1), picture.shape[:2])  # one may touch itself at a corner only
    return Hierarchy(leaves, _ward(areas(leaves), _colours(leaves, _lab(picture)), neighbours(leaves)))


def _rgb(picture: np.ndarray) -> np.ndarray:
    grey = picture.size == picture.shape[0] * picture.shape[1]
    return np.repeat(picture.reshape(*picture.shape[:2], -1)[..., :1], 3, 2) if grey else picture


def _lab(picture: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return rgb2lab(picture)


def _colours(labels: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """Mean colour of each region: float64 `(R, 3)`."""
    count = int(labels.max()) + 1
    sums = np.stack([np.bincount(labels.ravel(), lab[..., c].ravel(), minlength=count) for c in range(3)], 1)
    return sums / areas(labels)[:, None]


def _price(a: float, b: float, one: np.ndarray, other: np.ndarray) -> float:
    """What joining two regions adds to the squared distances from the mean; rounded, so that equal ones tie."""
    return round(float(a * b / (a + b) * ((one - other) ** 2).sum()), 6)


def _ward(size: np.ndarray, colour: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """All merges int64 `(L−1, 2)`, the cheapest pair of neighbours first; of equally cheap ones the smallest."""
    size, colour, count = list(size.astype(np.float64)), list(colour), len(size)
    beside: list[set[int]] = [set() for _ in range(count)]
    for low, high in pairs.tolist():
        beside[low].add(high)
        beside[high].add(low)

    def entry(low: int, high: int) -> tuple:
        return _price(size[low], size[high], colour[low], colour[high]), size[low] + size[high], low, high

    heap, gone, merges = [entry(low, high) for low, high in pairs.tolist()], set(), []
    heapq.heapify(heap)
    while len(merges) < count - 1:
        _, _, low, high = heapq.heappop(heap)
        if low in gone or high in gone:
            continue
        new, total = count + len(merges), size[low] + size[high]
        merges.append((low, high))
        gone |= {low, high}
        colour.append((size[low] * colour[low] + size[high] * colour[high]) / total)
        size.append(total)
        beside.append((beside[low] | beside[high]) - {low, high})
        for other in beside[new]:
            beside[other] = beside[other] - {low, high} | {new}
            heapq.heappush(heap, entry(other, new))
    return np.array(merges, np.int64).reshape(-1, 2)


def _slic(picture: np.ndarray, count: int) -> np.ndarray:
    from skimage.segmentation import slic

    for compactness in (10, 30, 100):  # in a picture of noise only compact cells survive
        labels = slic(picture, n_segments=count, compactness=compactness, sigma=1, start_label=0)
        if len(np.unique(labels)) >= count / 2:
            break
    return labels


def _felzenszwalb(picture: np.ndarray, count: int) -> np.ndarray:
    from skimage.segmentation import felzenszwalb
    from skimage.transform import downscale_local_mean

    size = picture.shape[:2]
    step = max(1, round((size[0] * size[1] / LARGE) ** 0.5))
    if step > 1:
        picture = downscale_local_mean(picture, (step, step, 1)) / 255
    # No parameter of it is a count: a scale that parts whatever differs, and pieces of at least a quarter of the mean size.
    labels = felzenszwalb(picture, scale=10, sigma=0.8, min_size=max(1, picture[..., 0].size // (4 * count)))
    return labels.repeat(step, 0).repeat(step, 1)[:size[0], :size[1]]
