"""The exact levers: a folded copy of the model for scores and input gradients, and changed regions that travel alone."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.folded import Folded
from .incremental import Incremental, Regions
from .inputs import GROWN, Inputs
from .prepared import Prepared
from .probe import Fill, Image, Photograph, Probe, Score, Without
from .stats import Stats
from .store import STORE
from .subject import Subject

MAKING = 13     # pictures that go through the network while the copy is made and checked
WORTH = 3 * MAKING  # forward passes from which making it is thought to pay
BACKWARD = 3    # a gradient in forward passes
AGREE = 0.999   # cosine of its gradient with the plain one; folding may move activations at zero to the other side
SHARE = 0.5     # of the store's budget that base activations may take


class Fast:
    """What a subject's fast copy may answer for one picture, decided before anything runs."""

    def __init__(self, subject: Subject, inputs: Inputs, stats: Stats):
        self.subject, self.inputs, self.stats = subject, inputs, stats
        # Base activations lie in the store, within its budget, and leave it with this picture or version of the model.
        self._base = (object(), "base")
        weakref.finalize(self, STORE.forget, self._base[0])

    def copy(self, probe: Probe, samples: int) -> Folded | None:
        """The copy for probes like this one, where it reads what they read; made where `samples` evaluations pay for it."""
        scored = isinstance(probe.score, Score) and probe.rule is None
        if not (probe.keep in ("logits", "score") or (probe.keep == "gradient" and scored)):
            return None
        x = self.inputs.image[None]
        if not self.subject.tried(x):
            if samples * (BACKWARD if probe.backward else 1) < WORTH:
                return None
            self.subject.make_fast(x)
            self.stats.setup_samples += MAKING if self.subject.cloned else 0  # of a callable nothing is tried
        model = self.subject.fast(x)
        if model is None or probe.keep != "gradient":
            return model
        if self.subject.agrees is None:
            self.stats.setup_samples += 2
            self.subject.agrees = self._agreement(model, probe.score) > AGREE
        return model if self.subject.agrees else None

    def _agreement(self, model: Folded, score: Score) -> float:
        """Cosine between the gradients of the copy and of the clone, for the picture."""
        found = []
        with self.subject.running(gradients=True):
            for forward in (self.subject.scores, model):
                leaf = self.inputs.image[None].clone().requires_grad_()
                value = score.of(forward(leaf.clone()))
                if not value.requires_grad:
                    return 0.0  # the plain way says what is wrong
                found.append(torch.autograd.grad(value.sum(), leaf)[0].flatten())
        same = bool((found[0] == found[1]).all())  # a gradient of zeros has no direction
        return 1.0 if same else float(F.cosine_similarity(*found, dim=0))

    # ---- changed regions

    def changes(self, probes: Sequence[Probe], samples: int) -> Changes | None:
        """Those of the missing probes that change regions of the picture and cost less as changes, or None."""
        first = next((p for p in probes if _changed(p)), None)
        if first is None:
            return None
        if first.input.of == Photograph() and self.inputs.cutout.photo.crop is None:
            self.stats.estimate = f"full forwards: {self.inputs.cutout.photo.unknown}"
            return None
        model = self.copy(first, samples)
        if model is None:
            self.stats.estimate = f"full forwards: {self.subject.reason or 'too few to prepare anything for'}"
            return None
        alike = [p for p in probes if _changed(p) and _cut(p) == _cut(first)]
        engine = STORE.get(self._base)
        if engine is None or engine.model is not model:
            engine = Incremental(model, self.inputs.image, int(STORE.share(self.inputs.image.device) * SHARE))
        change, members = self._regions(alike), alike
        estimate = engine.plan(change.boxes).estimate
        pays = np.ones(1, dtype=bool) if len(alike) == 1 else engine.worthwhile(change.boxes)
        if 0 < pays.sum() < len(alike):  # without those that reach too much the others may do better
            some = [p for p, one in zip(alike, pays) if one]
            part = self._regions(some)
            apart = engine.plan(part.boxes).estimate
            rest = estimate.full_seconds - apart.full_seconds
            if apart.incremental and not (estimate.incremental and estimate.seconds < apart.seconds + rest):
                change, members, estimate = part, some, apart
        self.stats.estimate = estimate
        return Changes(self.subject, self.stats, engine, self._base, change, members) if estimate.incremental else None

    def _regions(self, probes: Sequence[Probe]) -> Regions | Prepared:
        first: Without = probes[0].input
        if first.of == Photograph():
            return Prepared(self.inputs, [p.input for p in probes])
        fill: Fill = first.fill
        return Regions(self.inputs.image, self.inputs.filled(fill), self.inputs.labels(first.labels),
                       [p.input.regions for p in probes])


def _changed(probe: Probe) -> bool:
    if probe.keep != "logits" or not isinstance(probe.input, Without):
        return False
    # What is grown into the input's regions is no one picture of a fill; photographs are compared whole.
    return probe.input.of == Photograph() or (probe.input.of == Image() and probe.input.fill.kind != GROWN)


def _cut(probe: Probe) -> tuple:
    return probe.input.labels, probe.input.fill, probe.input.of


class Changes:
    """Pictures with changed regions, evaluated by what their changes reach."""

    def __init__(self, subject: Subject, stats: Stats, engine: Incremental, name: tuple, change: Regions | Prepared,
                 probes: list[Probe]):
        self.subject, self.stats, self.engine, self.name = subject, stats, engine, name
        self.change, self.probes, self.members = change, probes, frozenset(probes)

    def run(self, check: Callable[[], None]) -> Iterator[list[tuple[Probe, Tensor]]]:
        """Yield the probes with their logits `(K,)` in parts, as they are ready; `check` may stop it in between."""
        parts = self.engine.parts(self.change, check)
        while True:
            passes = self.engine.base_passes
            try:
                with self.subject.running(gradients=False), self.subject.unchanged():
                    part = next(parts, None)
            finally:
                self.stats.setup_samples += self.engine.base_passes - passes
                STORE.put(self.name, self.engine)
            if part is None:
                return
            rows, scores = part
            if isinstance(self.change, Prepared):
                self.change.confirm(rows.tolist(), check)
            self.stats.batches += 1
            self.stats.forward_samples += len(rows)
            self.stats.masked_samples += len(rows)
            yield [(self.probes[row], logits.clone()) for row, logits in zip(rows.tolist(), scores)]
