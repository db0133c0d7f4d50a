"""Cards of the trust panel that ask the network about changed pictures: sums, curves, forecasts, slopes, and a region."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from .controls import named
from .pictures import Pictured, paint_signed, paint_size
from .trust_card import Card, Choice, Reading, TrustHands
from .trust_plot import Box, Plot
from .words import number, percent, plain, signed

if TYPE_CHECKING:
    from ..metrics import Measure
    from ..saliency_map import SaliencyMap

FILLS = ("black", "mean", "blur", "noise")


def grid(*children: ipywidgets.Widget, columns: int) -> ipywidgets.Box:
    """Children side by side in equal columns."""
    box = ipywidgets.Box(list(children))
    box.add_class("sw-trust-grid")
    box.add_class(f"sw-trust-grid-{columns}")
    return box


def painted(map: SaliencyMap) -> np.ndarray:
    """A map alone as pixels at the size of its picture: in our two ramps, each up to its own end."""
    heat = map.heatmap(size=map.size, sign=map.default_sign)
    return paint_signed(heat) if map.signed and map.default_sign == "both" else paint_size(heat)


def over(photograph: np.ndarray, map: SaliencyMap) -> np.ndarray:
    """A map over the greyed photograph uint8 `(H, W, 3)`: positive values alone, as the region metrics read them."""
    heat = np.maximum(map.heatmap(size=photograph.shape[:2], sign=map.default_sign), 0)
    rgb, share = paint_size(heat).astype(float), np.clip(heat / (np.percentile(heat, 99.2) or heat.max() or 1), 0, 1)
    grey = photograph.mean(2, keepdims=True).repeat(3, 2) * 0.8
    alpha = 0.85 * np.clip((share - 0.04) / 0.96, 0, 1)[..., None] ** 0.7
    return np.rint(grey * (1 - alpha) + rgb * alpha).astype(np.uint8)


class SumCard(Card):
    """Two bars, what the map sums to and what the score gains, and the residual while the steps double."""

    tab = "completeness"

    def __init__(self, hands: TrustHands):
        self.bars = ipywidgets.HTML()
        self.bars.add_class("sw-trust-bars")
        self.plot = Plot("residual against steps", height=96)
        super().__init__(hands, [self.bars, self.plot], [Reading(["completeness"], hands.measure, "find the steps for 1 %")])

    def picture(self, photograph: np.ndarray, map: SaliencyMap | None) -> None:
        reading = self.readings[0]
        word = "check the sum" if map is not None and "steps" not in map.params else "find the steps for 1 %"
        if word != reading.word:
            reading.word = word
            reading.empty()  # nothing is forgotten: the button says it

    def draw(self, measure: Measure) -> None:
        d = measure.details
        total, gain = float(d["sum"]), float(d["difference"])
        end = max(abs(total), abs(gain)) or 1.0
        self.bars.value = "".join(
            f"<div><span>{words}</span><i class='sw-trust-bar{' sw-own' if own else ''}' style='width:"
            f"calc({100 * abs(v) / end:.2f}% - {1.6 * abs(v) / end:.2f} * 100px)'></i><b>{plain(v)}</b></div>"
            for words, v, own in (("map sums to", total, True), ("score gains", gain, False)))
        steps, residuals = list(d.get("steps", ())), np.abs(np.asarray(d.get("residuals", ()), np.float64))
        self.plot.layout.display = "" if len(steps) > 1 else "none"
        if len(steps) > 1:
            at = np.arange(len(steps), dtype=float)
            ticks = [(i, f"{count}{' steps' if i == len(steps) - 1 else ''}") for i, count in enumerate(steps)
                     if len(steps) < 7 or i % 2 == (len(steps) - 1) % 2]
            limits = (0.0, max(float(100 * residuals.max()) * 1.06, 1.5))
            self.plot.draw(at, [("residual, %", 100 * residuals), ("1 %", np.ones(len(steps)))], "%", ticks, limits=limits)

    def clear(self, metric: str) -> None:
        self.bars.value, self.plot.layout.display = "", "none"


class CurveCard(Card):
    """Deletion and insertion side by side, and the picture where somebody points at a curve."""

    tab = "deletion"

    def __init__(self, hands: TrustHands):
        self.plots = {game: Plot(f"{game} curve: picture at a fraction of the pixels",
                                 lambda at, game=game: self._point(game, at)) for game in ("deletion", "insertion")}
        self.seen = Pictured("point at a curve", "the picture at that fraction")
        self._photograph: np.ndarray | None = None
        self._pointed: tuple[str, float] | None = None
        self.fill = Choice("fill", FILLS, "what a deleted pixel shows", lambda value: hands.set("fill", value))
        super().__init__(hands, [grid(*self.plots.values(), self.seen, columns=3)],
                         [Reading(["deletion", "insertion"], hands.measure)], [self.fill])
        for game in self.plots:
            self.clear(game)

    def draw(self, measure: Measure) -> None:
        d, name = measure.details, measure.metric
        self.plots[name].layout.visibility = "visible"
        lines = [(f"this map <b>{number(float(measure.value))}</b>", d["scores"])]
        band, random = None, np.asarray(d["random_scores"])
        if len(random):
            error = float(d.get("random_error") or 0)
            spread = f" ± {number(error)}" if error >= 5e-4 else ""
            lines.append((f"random <b>{number(float(d['random_area']))}</b>{spread}", random.mean(0)))
            band = random.min(0), random.max(0)
        if d.get("edges_scores") is not None:
            lines.append((f"edges <b>{number(float(d['edges_area']))}</b>", d["edges_scores"]))
        word = "gone" if name == "deletion" else "back"
        self.plots[name].draw(100 * np.asarray(d["fractions"]), lines, measure.unit,
                              [(0.0, "0"), (100.0, f"100 % {word}")], band)

    def clear(self, metric: str) -> None:
        self.plots[metric].layout.visibility = "hidden"

    def picture(self, photograph: np.ndarray, map: SaliencyMap | None) -> None:
        if self._photograph is not photograph:
            self._photograph = photograph
            if self._pointed is None:
                self._rest()

    def _rest(self) -> None:
        if self._photograph is not None:
            self.seen.show(self._photograph, "point at a curve")

    def _point(self, game: str, at: float | None) -> None:
        """Show the picture at a fraction; the photograph again when nobody points."""
        found = self.shown.get(game)
        self._pointed = None if at is None or found is None else (game, at)
        if self._pointed is None:
            self.plots[game].along.text = ""
            return self._rest()
        measure, stale = found
        scores, fractions = np.asarray(measure.details["scores"]), np.asarray(measure.details["fractions"])
        score = float(np.interp(at, fractions, scores))
        words = f"{percent(at)} {'gone' if game == 'deletion' else 'back'}: {number(score)} {measure.unit}"
        self.plots[game].along.text = words
        pixels = None if stale else self.hands.picture_at(measure, at)
        if pixels is not None:
            self.seen.show(pixels, f"<b>{words}</b>")

    def settings(self, settings: Mapping[str, Any], mask: np.ndarray | None) -> None:
        self.fill.put(settings["fill"])


class ForecastCard(Card):
    """What the map foretold of perturbed pictures against what happened, and two more numbers."""

    tab = "noise"

    def __init__(self, hands: TrustHands):
        self.plot = Plot("what the map foretold against what happened", dots=True, height=104)
        self.roads = [Pictured("", "the picture without the most relevant pixels") for _ in range(4)]
        pictures = ipywidgets.Box(self.roads)
        pictures.add_class("sw-trust-roads")
        super().__init__(hands, [self.plot, pictures],
                         [Reading([m], hands.measure) for m in ("infidelity", "sensitivity_max", "road")])

    def draw(self, measure: Measure) -> None:
        if measure.metric == "infidelity":
            self.plot.scatter(measure.details["products"], measure.details["drops"], "foretold by the map →",
                              "↑ what the score lost")
        elif measure.metric == "road":
            d = measure.details
            for seen, pixels, removed, change in zip(self.roads, d["pictures"], d["removed_most"], d["most"]):
                seen.show(pixels, f"{percent(float(removed))} gone: <b>{signed(float(change))}</b>")
        self._there()

    def clear(self, metric: str) -> None:
        self._there()

    def _there(self) -> None:
        for part, metric in ((self.visual.children[0], "infidelity"), (self.visual.children[1], "road")):
            part.layout.display = "" if metric in self.shown else "none"


class SlopeCard(Card):
    """Gradient times change against the exact drop, region by region."""

    tab = "linear_estimate"

    def __init__(self, hands: TrustHands):
        self.plot = Plot("gradient times change against the exact drop of each region", dots=True, height=176)
        self.fill = Choice("fill", FILLS, "what a missing region shows", lambda value: hands.set("missing", value))
        super().__init__(hands, [self.plot], [Reading(["linear_estimate"], hands.measure)], [self.fill])

    def draw(self, measure: Measure) -> None:
        self.plot.scatter(measure.details["estimates"], measure.details["drops"], "gradient · change →", "↑ exact drop")

    def clear(self, metric: str) -> None:
        self.plot.scatter(np.zeros(0), np.zeros(0), "", "")

    def settings(self, settings: Mapping[str, Any], mask: np.ndarray | None) -> None:
        self.fill.put(settings["missing"])


class RegionCard(Card):
    """The map with a rectangle that is drawn on it, or a region of the cut."""

    tab = "region"

    def __init__(self, hands: TrustHands):
        self.seen = Pictured("", "the map's positive values over the photograph")
        self.box = Box(label="region that the map should lie on: drag, or arrow keys; Shift changes its size, Del removes it")
        self.box.observe(self._drawn, "box")
        self.box.on_msg(lambda _, content, buffers: content.get("kind") == "none" and hands.box([]))  # Del without a frame
        self._syncing, self._about = False, (None, None, None)
        frame = ipywidgets.Box([self.seen, self.box])
        frame.add_class("sw-trust-frame")
        self.chosen, self.off, self.none = (ipywidgets.Button(description=word) for word in
                                            ("the chosen region", "what is off", "none"))
        for button, tip, act in ((self.chosen, "the region that was clicked or drawn last in a Cut method", "chosen"),
                                 (self.off, "all regions that are switched off", "off"), (self.none, "no region", "")):
            button.add_class("sw-link")
            named(button, button.description, tip)
            button.on_click(lambda _, act=act: hands.region(act) if act else hands.box([]))
        what = ipywidgets.HTML("<p>Drag a rectangle round the thing, or take</p>")
        source = ipywidgets.VBox([what, self.chosen, self.off, self.none])
        source.add_class("sw-trust-source")
        super().__init__(hands, [grid(frame, source, columns=2)], [Reading(["pointing_game", "energy"], hands.measure)])
        self.remove_class("sw-unmeasured")

    def picture(self, photograph: np.ndarray, map: SaliencyMap | None) -> None:
        self._photograph, self._map = photograph, map

    def settings(self, settings: Mapping[str, Any], mask: np.ndarray | None) -> None:
        about = (self._photograph, self._map, mask)
        if all(a is b for a, b in zip(about, self._about)):
            return
        self._about = about
        photograph, map = self._photograph, self._map
        pixels = photograph if map is None else over(photograph, map)
        words = "no region yet" if mask is None else f"region: <b>{percent(float(mask.mean()))}</b> of the picture"
        if mask is not None:
            outside = ~mask
            pixels = pixels.copy()
            pixels[outside] = (pixels[outside] * 0.45).astype(np.uint8)
        self.seen.show(pixels, words)
        self._syncing = True
        try:
            self.box.box = rectangle(mask)
        finally:
            self._syncing = False

    def _drawn(self, change: dict) -> None:
        if not self._syncing:
            self.hands.box(list(change["new"]))

    def _dim(self) -> None:
        super()._dim()
        self.remove_class("sw-unmeasured")  # the picture is there before any number is, and always of what is shown
        self.visual.remove_class("sw-stale")


def rectangle(mask: np.ndarray | None) -> list[float]:
    """The edges (top, left, bottom, right) of a mask that is one rectangle, in shares of the picture; else empty."""
    if mask is None or not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    whole = bool(mask[top:bottom, left:right].all())
    return [top / mask.shape[0], left / mask.shape[1], bottom / mask.shape[0], right / mask.shape[1]] if whole else []
