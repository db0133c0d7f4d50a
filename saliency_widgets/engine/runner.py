"""Evaluates what is missing: looks probes up, runs the rest in batches, keeps what is worth keeping."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..model.attention import AttentionCapture
from ..model.backward_rules import Rewriting
from ..model.capture import Capture
from ..model.folded import Folded
from ..model.inside import Inside
from ..model.layers import Layer, to_grid
from ..model.outputs import wide
from .batching import SIZES, out_of_memory
from .devices import finish, free_blocks
from .fast import Changes, Fast
from .inputs import Inputs
from .passes import ProbePass, recordable
from .prepared import Elsewhere
from .probe import Evaluation, Pair, Probe, Unit, Without
from .stats import Stats
from .store import STORE
from .subject import Subject

LARGE_OUTPUT = 100_000  # outputs of more numbers than this keep their score only


class Stopping(Protocol):
    """Whatever can stop a job between batches by raising from `check`."""

    def check(self) -> None: ...


@dataclass
class Progress:
    """Evaluations done of those planned, told after each batch."""

    planned: int = 0
    done: int = 0
    tell: Callable[[int, int], None] | None = None

    def advance(self, count: int) -> None:
        """Count evaluations and tell whoever listens."""
        self.done += count
        self.planned = max(self.planned, self.done)
        if self.tell is not None:
            self.tell(self.done, self.planned)


class Runner:
    """Evaluates probes of one picture on one model.

    `layers` are the model's; "layers" probes read those with positions unless they name others. Results come in the
    order asked for.
    """

    def __init__(self, subject: Subject, inputs: Inputs, layers: Sequence[Layer], stats: Stats):
        self.subject, self.inputs, self.stats = subject, inputs, stats
        self._fast = Fast(subject, inputs, stats)
        self._whole = False  # once memory ran out for changed regions: full forwards for as long as the picture is open
        self.layers = {layer.name: layer for layer in layers}
        self._positions = tuple(layer.name for layer in layers if layer.spatial)

    def _key(self, probe: Probe) -> tuple:
        uid, *rest = self.subject.key
        if isinstance(probe.input, Without):
            probe = replace(probe, input=self.inputs.by_pixels(probe.input))
        return uid, (*rest, self.inputs.picture.content, probe)

    def stored(self, probe: Probe) -> Evaluation | None:
        """What the store has for a probe."""
        return STORE.get(self._key(probe))

    def evaluate(self, probes: Sequence[Probe], keep: bool = True, ticket: Stopping | None = None,
                 progress: Progress | None = None) -> Iterator[tuple[Probe, Evaluation]]:
        """Yield each probe with its evaluation, running the model in batches as the results are consumed."""
        ready: dict[Probe, Evaluation] = {}
        check = ticket.check if ticket is not None else lambda: None
        missing = list(dict.fromkeys(p for p in probes if self.stored(p) is None))
        # How much there is to do, here and in the rounds to come, says whether preparing for it pays.
        samples = max(len(missing), progress.planned - progress.done if progress is not None else 0)
        changes = None if self._whole else self._fast.changes(missing, samples)
        try:
            for position, probe in enumerate(probes):
                if probe not in ready:
                    found = self.stored(probe)
                    if found is not None:
                        self.stats.store_hits += 1
                        ready[probe] = found
                    else:
                        check()
                        for done in self._next(probe, probes[position:], ready, changes, samples, check):
                            ready |= done
                            for each, evaluation in done.items() if keep else ():
                                self._keep(each, evaluation)
                            if progress is not None:
                                progress.advance(len(done))
                yield probe, ready.pop(probe)
        finally:
            if not keep:
                self.inputs.release(probe.input for probe in probes)

    def _next(self, probe: Probe, rest: Sequence[Probe], ready: dict[Probe, Evaluation], changes: Changes | None, samples: int,
              check: Callable[[], None]) -> Iterator[dict[Probe, Evaluation]]:
        """Evaluate a missing probe, together with whatever of the rest goes with it best."""
        if changes is not None and probe in changes.members and not self._whole:
            yield from self._changed(changes, check)
        if probe not in ready:
            fast = self._fast.copy(probe, samples)
            work = self._work(probe, "plain" if fast is None else "folded")
            SIZES.on(work, self.inputs.image.device.type)
            batch = self._next_batch(rest, ready, changes, SIZES.size(work))
            yield dict(zip(batch, self._run(batch, fast, work)))

    def _changed(self, changes: Changes, check: Callable[[], None]) -> Iterator[dict[Probe, Evaluation]]:
        """Evaluate all changed regions of a round; what memory does not suffice for is left to full forwards.

        So is what a preprocessing changes that does more than it seemed to.
        """
        started = time.perf_counter()
        try:
            for part in changes.run(check):
                finish(self.inputs.image.device)
                SIZES.measured(self._work(part[0][0], "changed"), len(part), time.perf_counter() - started)
                yield {probe: Evaluation(logits) for probe, logits in part}
                started = time.perf_counter()
        except (RuntimeError, ValueError) as error:
            if isinstance(error, Elsewhere):
                self.stats.estimate = f"full forwards: {error}"
            elif not out_of_memory(error):
                raise
            self._whole = True

    def _keep(self, probe: Probe, evaluation: Evaluation) -> None:
        STORE.put(self._key(probe), evaluation)
        if probe.keep != "logits" and evaluation.logits is not None and not isinstance(probe.input, Pair):
            # The forward pass of a gradient answers whoever asks for the logits of the same input; a backward rule
            # changes gradients only.
            STORE.put(self._key(Probe(probe.input)), Evaluation(evaluation.logits))

    def _next_batch(self, probes: Sequence[Probe], ready: dict[Probe, Evaluation], changes: Changes | None,
                    size: int) -> list[Probe]:
        first = probes[0]
        apart = changes.members if changes is not None and not self._whole else ()
        batch: dict[Probe, None] = {}
        for probe in probes:
            if len(batch) == size or replace(probe, input=first.input) != first:
                break
            if probe is first or (probe not in ready and probe not in apart and self.stored(probe) is None):
                batch[probe] = None
        return list(batch)

    def _work(self, probe: Probe, way: str) -> tuple:
        shape = tuple(self.inputs.image.shape)
        return self.subject.uid, shape, str(self.inputs.image.device), probe.keep, probe.rule, way

    def seconds(self, probe: Probe) -> float | None:
        """Measured seconds for one evaluation like this one, or None where none was run yet."""
        alike = [probe]
        if probe.keep != "logits":  # another backward pass, or a forward one, says more than nothing
            alike.append(Probe(probe.input, "gradient" if probe.backward else "logits"))
        ways = ("changed", "folded", "plain") if isinstance(probe.input, Without) and not self._whole else ("folded", "plain")
        found = (SIZES.seconds(self._work(each, way)) for each in alike for way in ways)
        return next((seconds for seconds in found if seconds is not None), None)

    def _run(self, probes: list[Probe], fast: Folded | None, work: tuple) -> list[Evaluation]:
        size, done, device = len(probes), [], self.inputs.image.device
        while len(done) < len(probes):
            part = probes[len(done):len(done) + size]
            results, made = None, self.subject.graphs.recorded
            try:
                started = time.perf_counter()
                with self.subject.unchanged():
                    results = self._batch(part, fast)
                finish(device)
            except (RuntimeError, ValueError) as error:
                if not out_of_memory(error):
                    raise
                size = SIZES.too_large(work, len(part))
            if results is None:  # out here: the error, which held on to tensors, is gone
                self.subject.graphs.clear()
                free_blocks(device)
                continue
            if self.subject.graphs.recorded == made:  # a batch that was recorded tells nothing of the next one
                SIZES.measured(work, len(part), time.perf_counter() - started)
            done += results
            samples = sum(p.samples for p in part)
            self.stats.batches += 1
            self.stats.forward_samples += samples
            self.stats.backward_samples += samples if part[0].backward else 0
        return done

    def _batch(self, probes: list[Probe], fast: Folded | None) -> list[Evaluation]:
        first = probes[0]
        paired = isinstance(first.input, Pair)
        with self.subject.running(gradients=first.backward):
            x = self.inputs.batch([p.input.first if paired else p.input for p in probes], fast is not None)
            found = self._replayed(first, x, fast)
            if found is not None:
                return found
            if first.keep in ("gradient", "layers", "attention"):
                return self._differentiated(probes, x, fast)
            return self._scored(first, (fast or self.subject.scores)(x))

    @staticmethod
    def _scored(probe: Probe, scores: Tensor) -> list[Evaluation]:
        if probe.keep == "score":
            return [Evaluation(None, value) for value in probe.score.of(scores).tolist()]
        return [Evaluation(row) for row in scores.detach().clone()]

    def _replayed(self, first: Probe, x: Tensor, fast: Folded | None) -> list[Evaluation] | None:
        """Evaluate a batch by a recording of such batches, or None where there is none."""
        graphs = self.subject.graphs
        if not graphs.possible(len(x)) or not recordable(first) or not self.subject.recordable:
            return None

        def slopes(scores: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = scores.detach().requires_grad_()
                return torch.autograd.grad(first.score.of(leaf).sum(), leaf)[0]

        def reduce(name: str, activation: Tensor, gradient: Tensor | None) -> dict[str, Tensor]:
            return self._reduced(first, name, activation, gradient)

        one = ProbePass(first, fast or self.subject.scores, lambda stack, take: self._watch(stack, first, take), reduce)
        name = "folded" if fast is not None else "plain", first.keep, first.reductions, first.at
        found = graphs.run(name if first.backward else name[:1], fast or self.subject.clone, x, one, slopes)
        if found is None:
            return None
        if not first.backward:
            return self._scored(first, found.scores)
        gradient, values = found.kept.pop("gradient", None), first.score.of(found.scores).tolist()
        results = []
        for i, value in enumerate(values):
            layers: dict[str, dict[str, Tensor]] = {}
            for (layer, reduction), tensor in found.kept.items():
                layers.setdefault(layer, {})[reduction] = self._row(tensor, i)
            results.append(self._evaluation(found.scores[i], value, layers=layers or None,
                                            gradient=None if gradient is None else self._row(gradient, i)))
        return results

    @staticmethod
    def _row(batch: Tensor, i: int) -> Tensor:
        """What one picture of a batch keeps, in memory that goes when it goes."""
        return batch[i].clone() if len(batch) > 1 else batch[i]

    def _reduced(self, probe: Probe, name: str, activation: Tensor, gradient: Tensor | None) -> dict[str, Tensor]:
        """What a probe keeps of a layer or an attention call, `(N, …)` by reduction."""
        if probe.keep == "layers":
            activation = to_grid(activation, self.layers[name])
            gradient = None if gradient is None else to_grid(gradient, self.layers[name])
        with torch.no_grad():
            return {r: self.inputs.kernels.REDUCTIONS[r](activation, gradient) for r in probe.reductions}

    def _differentiated(self, probes: list[Probe], x: Tensor, fast: Folded | None) -> list[Evaluation]:
        """Evaluate probes that read gradients or the inside of the network, under their backward rule."""
        first, kept = probes[0], {}
        paired = isinstance(first.input, Pair)
        other = self.inputs.batch([p.input.second for p in probes]) if paired else None

        def reduce(name: str, activation: Tensor, gradient: Tensor | None) -> None:
            kept[name] = self._reduced(first, name, activation, gradient)

        with ExitStack() as stack:
            active = stack.enter_context(Rewriting(first.rule, self.subject.clone)) if first.rule else None
            references = None
            if paired:
                with active.recording():
                    references = first.score.of(self.subject.scores(other))
            seen = self._watch(stack, first, reduce)
            leaf, scores, value = self._forward(x, first, active, fast or self.subject.scores)
            gradient = None
            if first.backward:
                gradient, = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
        if seen is not None:
            for name, activation in list(seen.values.items()):  # what the score does not depend on
                reduce(name, activation, torch.zeros_like(activation) if first.backward else None)
        if first.keep == "gradient":
            gradient = torch.zeros_like(leaf) if gradient is None else gradient
        coverage = active.coverage if active is not None else None
        values = [None] * len(probes) if value is None else value.detach().tolist()  # one look at the device for all
        references = [None] * len(probes) if references is None else references.detach().tolist()
        return [self._evaluation(
            scores[i].detach(), values[i],
            gradient=wide(gradient[i].clone()) if first.keep == "gradient" else None,
            layers={n: {r: wide(t[i].clone()) for r, t in terms.items()} for n, terms in kept.items()} if kept else None,
            reference=references[i], coverage=coverage)
            for i in range(len(probes))]

    def _watch(self, stack: ExitStack, probe: Probe, reduce: Callable) -> Capture | AttentionCapture | None:
        """Start reading what the probe wants of the inside, until the stack closes."""
        if probe.keep == "layers":
            return stack.enter_context(Capture(self.subject.clone, probe.at or self._positions, on_gradient=reduce))
        if probe.keep == "attention":
            return stack.enter_context(AttentionCapture(self.subject.clone, on_gradient=reduce))
        return None

    def _forward(self, x: Tensor, probe: Probe, active: Rewriting | None,
                 model: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        leaf = x.detach().requires_grad_(probe.backward)
        with ExitStack() as stack:
            inside = stack.enter_context(Inside(self.subject.clone, probe.score.layer)) if isinstance(probe.score, Unit) else None
            # A copy goes in: a model that changes its input in place must not meet a leaf.
            scores = model(leaf.clone() if active is None else active.enter(leaf))
        if probe.score is None:
            return leaf, scores, None
        explained = scores if inside is None else inside.output
        if active is not None:
            active.leave(explained)
        value = probe.score.of(explained if inside is None else to_grid(explained, self.layers[probe.score.layer]))
        if not value.requires_grad:
            raise ValueError("the model's output has no gradient with respect to its input (a scripted no-grad model, "
                             "integer arithmetic, or a detach inside): use a forward-only method such as leave_one_out")
        return leaf, scores, value

    @staticmethod
    def _evaluation(scores: Tensor, value: float | None, **kept) -> Evaluation:
        return Evaluation(scores.clone() if scores.numel() <= LARGE_OUTPUT else None, value, **kept)
