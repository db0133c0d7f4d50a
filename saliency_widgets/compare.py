"""`Compare`: explorers side by side, with one pointer, one zoom, one class and one scale."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import traitlets
from PIL import Image, ImageDraw

from .engine.worker import Ticket, Worker
from .explorer import Explorer
from .metrics.agreement import difference, rank_correlation
from .saliency_map import SaliencyMap
from .widgets import showing
from .widgets.compare_face import DIFFERENCE, SIDE, VIEWS, CompareFace
from .widgets.controls import same
from .widgets.face import close_tree
from .widgets.layers import comparable
from .widgets.words import plain

MOST = 12  # cells; more are too small to see
LINKS = (("crosshair", "pointer", "pointing at one picture points at all"),
         ("zoom", "zoom", "zooming and panning one picture zooms all"),
         ("target", "class", "choosing a class here explains it everywhere it is known"),
         ("method", "method", "choosing a method or a parameter here does so everywhere"),
         ("scale", "scale", "maps of one unit share the ends of their colour scale"))
OURS = (*(f"link_{name}" for name, *_ in LINKS), "view", "pair", "chosen")  # keywords of `Compare.of` that are its own
STRETCHED = "the second is stretched over the first's picture"
VARIED = ("model", "img", "method", "target", "contrast", "layer")  # keywords of `Compare.of` that may be lists


class Compare(ipywidgets.VBox):
    """Two or more explorers in a grid that is looked at as one: methods, classes, layers, pictures or models.

    `Compare(ex1, ex2)` takes explorers of any models and pictures; they stay usable by themselves and are not closed with it.
    `Compare.of(model, img, method=["grad_cam", "integrated_gradients"])` makes them. Every trait may be assigned, observed
    and linked: `link_crosshair`, `link_zoom`, `link_target`, `link_method` and `link_scale` say what is one for all, `view`
    is "side by side", "difference" or "swipe", `pair` the two cells that these compare, `chosen` whose controls are shown.
    ValueError for fewer than two explorers or more than twelve, TypeError for anything else.
    """

    link_crosshair = traitlets.Bool(True, help="pointing at one picture points at all")
    link_zoom = traitlets.Bool(True, help="zooming one picture zooms all")
    link_target = traitlets.Bool(True, help="all explain one class; at first only where they do so when they are given")
    link_method = traitlets.Bool(False, help="all use one method and its parameters; at first where only the models differ")
    link_scale = traitlets.Bool(True, help="maps of one unit share the ends of their colour scale")
    view = traitlets.Enum(list(VIEWS), SIDE, help="side by side, with a difference, or one over the other")
    pair = traitlets.Tuple(traitlets.Int(), traitlets.Int(), default_value=(0, 1), help="numbers of the two that are compared")
    chosen = traitlets.Int(0, help="number of the explorer whose controls are shown")

    _ready = False

    def __init__(self, *explorers: Explorer, **links: Any):
        if not 2 <= len(explorers) <= MOST:
            raise ValueError(f"Compare takes 2 to {MOST} explorers, got {len(explorers)}: Compare(ex1, ex2)")
        for one in explorers:
            if not isinstance(one, Explorer):
                raise TypeError(f"Compare takes explorers, got {type(one).__name__}: Compare(Explorer(model, img), …), or "
                                f"Compare.of(model, img, method=[…])")
        if len(set(map(id, explorers))) < len(explorers):
            raise ValueError("Compare got the same explorer twice: make another one on the same model, what it has evaluated "
                             "is shared")
        self.explorers, self._owned = tuple(explorers), False
        self._lock, self._wishes = threading.RLock(), threading.Lock()
        self._own: dict[int, tuple[int, tuple[float, float]]] = {}  # each uppermost map's own limits, by layer: number and ends
        self._worker = Worker("saliency-widgets-compare", on_error=self._failed)
        self.face = CompareFace([ex.face for ex in explorers], LINKS, lambda name, on: setattr(self, f"link_{name}", on),
                                lambda view: setattr(self, "view", view), lambda *pair: setattr(self, "pair", pair),
                                lambda number: setattr(self, "chosen", number))
        links.setdefault("link_target", len({self._class(ex) for ex in explorers}) == 1)
        links.setdefault("link_method", len({ex.session.subject.uid for ex in explorers}) > 1
                         and len({ex.method for ex in explorers}) == 1)
        super().__init__(children=self.face.children, **links)
        for name in ("sw-explorer", "sw-compare"):
            self.add_class(name)
        self._heard: list[tuple[Explorer, Callable[[SaliencyMap], None]]] = []
        for ex in explorers:
            def hear(map: SaliencyMap, ex: Explorer = ex) -> None:
                self._arrived(ex)

            ex.on_map(hear)
            self._heard.append((ex, hear))
            ex.observe(self._led, ["target", "contrast", "method"])
            for name in ex.params:
                ex.params[name].observe(self._led, traitlets.All)
        self._ready = True
        self._show()
        self._refresh()

    @classmethod
    def of(cls, model: Any, img: Any, labels: Any = None, **keywords: Any) -> Compare:
        """Make the explorers from lists: one each for the entries of `model`, `img`, `method`, `target`, `contrast` or `layer`.

        Lists of one length go together entry by entry; everything else is the same for all, as `Explorer` takes it. A list
        of labels for each model is given as a list of lists. They are closed with the comparison.
        """
        layer = keywords.pop("layer", None)
        ours = {name: keywords.pop(name) for name in OURS if name in keywords}
        values = {"model": model, "img": img, "layer": layer, **keywords}
        lists = {name: list(values[name]) for name in VARIED if isinstance(values.get(name), (list, tuple))}
        lengths = {len(one) for one in lists.values()}
        if not lists or len(lengths) > 1:
            said = ", ".join(f"{name}: {len(one)}" for name, one in lists.items()) or "none"
            raise ValueError(f"Compare.of wants at least one list of {', '.join(VARIED)}, all of one length (given: {said})")
        count, made = lengths.pop(), []
        if labels is not None and not isinstance(labels, dict) and len(labels) == count and not isinstance(labels[0], str):
            lists["labels"] = list(labels)
        values["labels"] = labels
        try:
            for number in range(count):
                one = {name: lists[name][number] if name in lists else value for name, value in values.items()}
                layer = one.pop("layer")
                ex = Explorer(one.pop("model"), one.pop("img"), one.pop("labels"), **one)
                made.append(ex)
                if layer is not None:
                    ex.params[ex.method].layer = layer
                ex._pay(ex.method)  # who writes a method down wants its map, whatever it costs
            compared = cls(*made, **ours)
        except BaseException:
            for ex in made:
                ex.close()
            raise
        compared._owned = True
        return compared

    # ---- the public face

    def __repr__(self) -> str:
        return f"<Compare {' | '.join(self.titles)}>"

    def __getitem__(self, number: int) -> Explorer:
        return self.explorers[number]

    def __len__(self) -> int:
        return len(self.explorers)

    @property
    def titles(self) -> list[str]:
        """What each cell shows, in the words in which they differ."""
        facts = [(ex.session.name, self._title(ex), self._class(ex)) for ex in self.explorers]
        differ = [len({fact[place] for fact in facts}) > 1 for place in range(3)]
        differ[1] = differ[1] or not (differ[0] or differ[2])
        titles = [" · ".join(words for words, use in zip(fact, differ) if use) for fact in facts]
        return titles if len(set(titles)) == len(titles) else [f"{number + 1} · {title}" for number, title in enumerate(titles)]

    def difference(self) -> tuple[np.ndarray, str]:
        """The first map of the `pair` minus the second, float64 `(H, W)`, and its unit; ValueError before both are there."""
        first, second = self._maps()
        return difference(first, second)

    def save(self, path: str | Path, columns: int = 3) -> Path:
        """Write all cells as one picture (`.png`), each with its title and legend, in rows of so many; returns the path."""
        from .export import stage_picture
        from .painting import cut, font, written

        path = Path(path)
        if path.suffix.lower() != ".png":
            raise ValueError(f"a comparison is saved as a picture: end {path.name!r} in .png")
        cells, gap, line = [stage_picture(ex, 448) for ex in self.explorers], 16, 32
        columns = min(columns, len(cells))
        wide, tall = max(cell.width for cell in cells), max(cell.height for cell in cells) + line
        rows = -(-len(cells) // columns)
        sheet = Image.new("RGB", (columns * (wide + gap) + gap, rows * (tall + gap) + gap), "white")
        draw = ImageDraw.Draw(sheet)
        for number, (cell, title) in enumerate(zip(cells, self.titles)):
            x, y = gap + number % columns * (wide + gap), gap + number // columns * (tall + gap)
            draw.text((x, y), cut(written(title), wide, 18), (33, 33, 33), font(18))
            sheet.paste(cell, (x, y + line))
        sheet.save(path, "PNG")
        return path

    def wait(self, timeout: float | None = 30) -> bool:
        """Wait until all explorers have settled and the comparison shows it; False when the time was up first."""
        end = None if timeout is None else time.monotonic() + timeout
        # What leads one explorer may set others to work, which the comparison then shows.
        return all(one.wait(None if end is None else max(0.0, end - time.monotonic()))
                   for _ in range(2) for one in (*self.explorers, self._worker))

    def close(self) -> None:
        """Close the comparison; explorers that it made itself are closed, too."""
        if not self._ready:
            return super().close()
        self._ready = False
        self._worker.close()
        for ex, hear in self._heard:
            if ex._ready:
                ex.on_map(hear, remove=True)
                ex.unobserve(self._led, ["target", "contrast", "method"])
                for name in ex.params:
                    ex.params[name].unobserve(self._led, traitlets.All)
        self.face.close()
        close_tree(self.layout, set())
        if self._owned:
            for ex in self.explorers:
                ex.close()
        super().close()

    # ---- what traits accept

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self.explorers):
            raise traitlets.TraitError(f"there is no explorer {proposal['value']}: they are 0 to {len(self.explorers) - 1}")
        return proposal["value"]

    @traitlets.validate("pair")
    def _check_pair(self, proposal: Any) -> tuple[int, int]:
        if not all(0 <= number < len(self.explorers) for number in proposal["value"]):
            raise traitlets.TraitError(f"a pair are two numbers from 0 to {len(self.explorers) - 1}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("link_crosshair", "link_zoom", "link_target", "link_method", "link_scale", "view", "pair", "chosen")
    def _changed(self, change: Any) -> None:
        if not self._ready:
            return
        self._show()
        if change["name"] in ("link_target", "link_method") and change["new"]:
            self._lead(self.explorers[self.chosen])
        if change["name"] in ("link_scale", "view", "pair"):
            self._refresh()

    # ---- one leads, the others follow

    def _arrived(self, ex: Explorer) -> None:
        """A map is there: whoever agreed to its price agreed for all that follow."""
        with self._wishes:
            self._settled = ex
        self._refresh()

    def _led(self, change: Any) -> None:
        """An explorer's class, method or parameter changed: the others follow, on a thread that holds no explorer's lock."""
        if not self._ready or threading.get_ident() == self._follower:  # one that follows does not lead
            return
        owner = change["owner"]
        self._lead(next(ex for ex in self.explorers if ex is owner or any(p is owner for p in ex.params.values())))

    def _lead(self, leader: Explorer) -> None:
        with self._wishes:
            self._following = leader
        self._refresh()

    _following: Explorer | None = None  # whom the others are to follow
    _settled: Explorer | None = None    # whose map arrived
    _follower: int | None = None        # the thread on which they do

    def _follow(self, leader: Explorer) -> None:
        for ex in self.explorers:
            if ex is leader:
                continue
            if self.link_method and ex.method != leader.method:
                ex._by_hand("method", leader.method)  # which waits for a click where it is dear
            if self.link_method:
                mine = ex.params[leader.method]
                for name, value in leader.params[leader.method].values().items():
                    if self._fits(name, value, leader, ex) and not same(getattr(mine, name), value):
                        ex._set_param(leader.method, name, value)
            if self.link_target:
                index = self._index(leader, leader.target, ex)
                if index is not None and ex.target != index:
                    ex.target = index
                if leader.contrast is None or self._index(leader, leader.contrast, ex) is not None:
                    ex.contrast = None if leader.contrast is None else self._index(leader, leader.contrast, ex)

    @staticmethod
    def _fits(name: str, value: Any, leader: Explorer, ex: Explorer) -> bool:
        """Whether a parameter means something for another explorer, too: a layer that it has, arrays of its picture's size."""
        if name == "layer" and value is not None:
            return any(value in (layer.name, *layer.aliases) for layer in ex.session.layers)
        alike = leader.session.picture.shown.shape == ex.session.picture.shown.shape
        return alike or not any(hasattr(one, "shape") for one in (value if isinstance(value, (list, tuple)) else (value,)))

    @staticmethod
    def _index(leader: Explorer, index: int, ex: Explorer) -> int | None:
        """A class of one explorer as another counts it: by its label where both have labels, else by its number."""
        ours, theirs = leader.session, ex.session
        if ours.labels is not None and theirs.labels is not None:
            try:
                return theirs.resolve_target(ours.label(index))
            except LookupError:
                return None
        return index if index < len(theirs.logits) else None

    # ---- what is shown

    @staticmethod
    def _class(ex: Explorer) -> str:
        return ex._subject(ex.target, ex.contrast)

    @staticmethod
    def _title(ex: Explorer) -> str:
        from .methods.registry import find

        title, params = find(ex.method).title, ex.params[ex.method]
        layer = params.layer if params.has_trait("layer") else None
        return f"{title} at {layer}" if layer else title

    def _show(self) -> None:
        with self._lock:
            links = {name: getattr(self, f"link_{name}") for name, *_ in LINKS}
            self.face.show(self.view, self.pair, self.chosen, links, self.titles)

    def _refresh(self) -> None:
        if self._ready:
            self._worker.submit(self._work)

    def _work(self, ticket: Ticket) -> None:
        """Let the others follow, level the scales, and compare."""
        with self._wishes:
            leader, self._following = self._following, None
            settled, self._settled = self._settled, None
        self._follower = threading.get_ident()
        try:
            if leader is not None:
                self._follow(leader)
            for ex in self.explorers if settled is not None and self.link_method else ():
                if ex.method == settled.method and ex.method not in ex.maps and not ex._worker.busy:
                    ex._pay(ex.method)
        finally:
            self._follower = None
        with self._lock:
            if not self._ready:
                return
            self._show()
            self._level()
            if self.view != SIDE:
                self._compare()

    def _level(self) -> None:
        """Give the uppermost maps of one unit and kind one scale, or each its own again."""
        shown = [ex.face.layers[0] for ex in self.explorers]
        layers = [layer for layer in shown if layer.seq and not (layer.empty or layer.stale)]
        own = {}
        for layer in layers:
            with layer.whole():
                if id(layer) not in self._own or self._own[id(layer)][0] != layer.seq:
                    self._own[id(layer)] = layer.seq, layer.limits  # as they came with the map
                own[id(layer)] = self._own[id(layer)][1]

        def kind(layer: Any) -> tuple:
            return comparable(layer), layer.signed, layer.kind

        for _, group in groupby(sorted(layers, key=kind), kind):
            alike = list(group)
            shared = tuple(float(end(own[id(layer)][side] for layer in alike)) for side, end in ((0, min), (1, max)))
            for layer in alike:
                limits = shared if self.link_scale else own[id(layer)]
                with layer.whole():
                    if self._own[id(layer)][0] == layer.seq and not np.allclose(layer.limits, limits, rtol=1e-9, atol=0):
                        layer.limits = limits

    def _maps(self) -> tuple[SaliencyMap, SaliencyMap]:
        pair = [self.explorers[number] for number in self.pair]
        for ex in pair:
            if ex.method not in ex.maps:
                raise ValueError(f"{self._title(ex)} has no map yet: wait() for it")
        return tuple(ex.maps[ex.method] for ex in pair)

    def _compare(self) -> None:
        try:
            first, second = self._maps()
        except ValueError:
            return  # the map is on its way
        one, other = (self.explorers[number] for number in self.pair)
        names = [self.titles[number] for number in self.pair]
        photograph = one.session.picture.shown
        crop = None if one.session.picture.photo is None else one.session.picture.photo.crop
        fits = other.session.picture.shown.shape == photograph.shape
        if self.view == DIFFERENCE:
            values, unit = difference(first, second)
            agreement = rank_correlation(first, second)
            fact = "" if agreement is None else f"rank correlation {plain(agreement)}"
            fact = " · ".join(words for words in (fact, "" if fits else STRETCHED) if words)
            self.face.difference.layers[0].show(values, name="difference", unit=unit, signed=True,
                                                words=[f"more in {names[0]}", f"more in {names[1]}"])
            self.face.difference.show(f"{names[0]} − {names[1]}", fact, photograph, crop)
        else:
            for layer, map, name, ex in zip(self.face.swipe.layers, (first, second), names, (one, other)):
                showing.put(layer, map, self._class(ex))
                layer.name = name
            self.face.swipe.show(" | ".join(names), "" if fits else STRETCHED, photograph, crop)

    def _failed(self, error: BaseException) -> None:
        self.explorers[self.chosen]._say(error)
