"""A model, a picture and everything computed about them: the headless face of the engine and the methods."""
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from . import kernels
from .engine.devices import to_host
from .engine.inputs import FILL_BLUR, Inputs
from .engine.probe import Input, OnPath, Score, log_probabilities
from .engine.runner import LARGE_OUTPUT, Progress, Stopping
from .engine.stats import Stats
from .engine.subject import ModelChanged, Subject
from .methods import Method, find
from .methods.driving import drive, foresee
from .methods.protocol import Context, Draft, Knowledge, Round
from .model.head import find_head
from .model.labels import Labels
from .model.layers import Layer, find_layer
from .model.outputs import ScoreFunction
from .model.preprocessing import Picture, load_picture
from .opened import Opened, opened
from .possible import check_possible, placed
from .saliency_map import SaliencyMap
from .what_if import WhatIf, off_pixels, without

SCORES = ("logit", "probability", "log_probability", "margin")
SPACES = ("input", "pixel", "photo")
PATIENCE = 3  # how often a map is begun again because the model changed while it was computed


class Session:
    """Explain `model` on `img` without a face; runs on the caller's thread under the model's lock.

    `model` is a network, or any function from a batch of pictures, a torch tensor `(N, C, H, W)` with any N, to scores
    `(N, K)` as a tensor, an array or rows of numbers: without gradients it serves the methods of forward passes. `img` is a
    PIL image, a path, a uint8 array `(H, W, 3)` or the model's input tensor. The keywords are those of `Explorer`. With
    `space="photo"` regions cut the photograph in its own pixels, and preprocessing comes after the fill; `"pixel"` gives
    gradients per pixel value. Raises ValueError, TypeError, LookupError or FileNotFoundError that name what was wrong and
    what to do.
    """

    _shared = False  # whether another session owns the subject

    def __init__(self, model: Any, img: Any, labels: Sequence[str] | Mapping[int, str] | None = None, *,
                 preprocess: Any = "auto", target: int | str | None = None, device: Any = None,
                 score: str | Callable = "logit", output: Callable | None = None, contrast: int | str | None = None,
                 backgrounds: Any = None, truth: int | str | None = None, background: str = "white",
                 mean: Sequence[float] | None = None, std: Sequence[float] | None = None, space: str = "input",
                 backend: str = "auto"):
        if not callable(score) and score not in SCORES:
            raise ValueError(f"unknown score {score!r}: choose one of {', '.join(SCORES)}, or a function output -> (N,)")
        if space not in SPACES:
            raise ValueError(f"unknown space {space!r}: choose one of {', '.join(SPACES)}")
        if score == "margin" and contrast is None:
            raise ValueError('score="margin" compares two classes: name the other one with contrast=')
        select = ScoreFunction(score) if callable(score) else output
        self.score = "function" if callable(score) else score
        self.subject = Subject(model, device, select)
        self.backend_name, self._kernels = kernels.choose(backend, self.subject.device)
        self.stats, self.space, self.backgrounds = Stats(), space, backgrounds
        self._loading = dict(model=self.subject.model, preprocess=preprocess, mean=mean, std=std,
                             background=background, dtype=self.subject.dtype)
        with self.subject.lock:
            self._opened = self._open(self.load(img))
        self._labels = Labels(labels, self._opened.scores.numel())
        self._target = self.resolve_target(target)
        self._fixed_target = target is not None
        self.contrast = None if contrast is None else self.resolve_target(contrast)
        self.truth = None if truth is None else self.resolve_target(truth)
        self._opened.references()  # a wrong background is told now, not when it is first needed

    # ---- the picture and what the model says of it

    def _open(self, picture: Picture) -> Opened:
        return opened(self.subject, picture, self._kernels, self.stats,
                      lambda inputs: inputs.references(self.backgrounds, lambda img: load_picture(img, **self._loading)))

    def load(self, img: Any) -> Picture:
        """Prepare a picture as this session would, without opening it; raises what a wrong one raises."""
        return load_picture(img, photo=self.space == "photo", **self._loading)

    @property
    def image(self) -> Any:
        """The picture as the model saw it, a PIL image; assign anything `Session` takes to explain another one."""
        from PIL import Image

        return Image.fromarray(self._opened.picture.seen)

    @image.setter
    def image(self, img: Any) -> None:
        picture = self.load(img)
        with self.subject.lock:
            self.subject.refresh()
            self._opened = self._open(picture)
        if not self._fixed_target:
            self._target = self.resolve_target(None)

    @property
    def picture(self) -> Picture:
        """The picture with its preprocessing."""
        return self._opened.picture

    @property
    def inputs(self) -> Inputs:
        """The picture's inputs by name, as tensors of the model's input space."""
        return self._opened.inputs

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The model's layers in execution order, each once, with aliases, kind and output shape."""
        return self._opened.layers

    @property
    def cam_layers(self) -> tuple[Layer, ...]:
        """The layers with positions, for which a CAM exists."""
        return tuple(layer for layer in self.layers if layer.spatial)

    @property
    def default_layer(self) -> str | None:
        """The layer that CAM methods take by default, or None for a model without positions."""
        return self._opened.default_layer

    @property
    def logits(self) -> np.ndarray:
        """The model's scores of the picture, `(K,)`."""
        return to_host(self._opened.scores)

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the scores, `(K,)` (the scores themselves where the network ends in softmax)."""
        return self.chances(self._opened.scores)

    def chances(self, scores: torch.Tensor) -> np.ndarray:
        """The probabilities `(K,)` that scores `(K,)` of any picture mean."""
        return (scores if self._opened.softmaxed else log_probabilities(scores[None])[0].exp()).cpu().numpy()

    def top(self, count: int = 5, include: int | Sequence[int] | None = None) -> list[tuple[int, str, float]]:
        """The most probable classes as (index, label, probability); those to `include` take the last rows if not among them."""
        chances, wanted = self.probabilities, [include] if isinstance(include, int) else list(include or ())
        order = np.argsort(-chances, kind="stable")[:count].tolist()
        for index in dict.fromkeys(w for w in wanted if w not in order):
            order.remove(next(i for i in reversed(order) if i not in wanted))
            order.append(index)
        return [(i, self.label(i), float(chances[i])) for i in sorted(order, key=lambda i: (-chances[i], i))]

    @property
    def name(self) -> str:
        """The model's name: its `name` attribute where that is a string, else its class."""
        model = self.subject.model
        own = next((n for n in (getattr(model, "name", None), getattr(model, "__name__", None)) if isinstance(n, str) and n), "")
        return own if own and own != "<lambda>" else type(model).__name__

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.subject.device

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or noticed about model and picture so far, in words for the status line."""
        notes = ([] if self.picture.photo is None else [self.picture.photo.note]) + list(self.picture.notes)
        if self._opened.softmaxed:
            notes.append("the network ends in softmax: its outputs are explained as probabilities")
        return (*notes, *self.subject.notes)

    # ---- classes

    @property
    def labels(self) -> Any:
        """The names of the outputs as given: a list, a dict, or None."""
        return self._labels.names

    def label(self, index: int) -> str:
        """The name of an output, or "class 7" where there is none."""
        return self._labels.label(index)

    @property
    def target(self) -> int:
        """The explained output; assign an index or a label. Without one given it is the most probable."""
        return self._target

    @target.setter
    def target(self, value: int | str | None) -> None:
        self._target, self._fixed_target = self.resolve_target(value), value is not None

    def resolve_target(self, value: int | str | None) -> int:
        """The index of a class given by index or label; None is the most probable one.

        LookupError for an index out of range or an unknown label, with the nearest names.
        """
        return int(self._opened.scores.argmax()) if value is None else self._labels.index(value)

    def _score(self, target: int | str | None) -> Score:
        index = self._target if target is None else self.resolve_target(target)
        if self.score == "function":
            return Score("logit", 0, name="score")
        kind = "margin" if self.contrast is not None and self.score == "logit" else self.score
        if kind == "margin" and self.contrast is None:
            raise ValueError("a margin compares two classes: name the other one with contrast=")
        return Score(kind, index, self.contrast if kind == "margin" else None, self._opened.softmaxed)

    # ---- maps

    def _context(self, target: int | str | None, watched: bool) -> Context:
        o = self._opened
        known = Knowledge(o.layers, o.default_layer, o.scores.numel(), self.space, o.scores.numel() > LARGE_OUTPUT,
                          o.references, self.weights,
                          lambda: find_head(self.subject.clone, o.layers, o.inputs.image[None], self.subject.select),
                          o.runner.stored)
        return Context(o.inputs, self._score(target), known, watched)

    def weights(self, layer: str) -> torch.Tensor | None:
        """A copy of the weight of a layer's module, or None where it has none; LookupError for an unknown layer."""
        for name in (layer, *find_layer(self.layers, layer).aliases):
            weight = getattr(self.subject.clone.get_submodule(name), "weight", None)
            if isinstance(weight, torch.Tensor):
                return weight.detach().clone()
        return None

    def receptive_fields(self, ticket: Stopping | None = None) -> dict[str, int | None]:
        """Pixels of the picture's width that one position of each layer sees; measured once for a model and input size."""
        check = (lambda: None) if ticket is None else ticket.check
        found, samples = self.subject.receptive_fields(self.layers, self.inputs.image[None], check)
        self.stats.setup_samples += samples
        return found

    def _check_possible(self, method: Method) -> None:
        check_possible(method, self.subject, self.default_layer is not None, self.picture)

    def placed(self, method: Method) -> bool:
        """Whether it is known where a method's map lies in the picture that is shown."""
        return placed(method, self.picture)

    def beside(self, *, model: Any = None, picture: Picture | None = None) -> Session:
        """The same questions to another model, or about another prepared picture: a session of its own with shared `stats`."""
        other = copy.copy(self)
        other._shared = model is None
        if model is not None:
            other.subject = Subject(model, self.device, self.subject.select)
        with other.subject.lock:
            other._opened = other._open(self.picture if picture is None else picture)
        return other

    def map(self, name: str, *, target: int | str | None = None, **params: Any) -> SaliencyMap:
        """The map of method `name` for `target` (default: the session's), with the method's parameters.

        LookupError for an unknown method or class, TypeError for an unknown parameter, ValueError for a wrong value.
        """
        return self.run(name, params, target=target)

    def run(self, name: str, params: Mapping[str, Any], *, target: int | str | None = None,
            ticket: Stopping | None = None, on_map: Callable[[SaliencyMap], None] | None = None,
            on_progress: Callable[[int, int], None] | None = None) -> SaliencyMap:
        """Like `map`, telling each refinement to `on_map` and (done, planned) evaluations to `on_progress`.

        `ticket.check()` may stop it between batches. A model that changes meanwhile makes the map begin again.
        """
        method = find(name)
        values = method.validate(params)
        with self.subject.lock:
            result = self._steadily(lambda: self._run(method, values, target, ticket, on_map, on_progress))
            if on_map is not None:
                on_map(result)
            return result

    def without(self, labels: Any, regions: Iterable[int], fill: Any = "black", seed: int = 0, sigma: float = FILL_BLUR, *,
                target: int | str | None = None) -> WhatIf:
        """What the model says without some regions of a label map `(H, W)`: one evaluation, none where it is kept."""
        return without(self, off_pixels(labels, regions, self.picture.shown), fill, seed, sigma, target=target)

    def drive(self, start: Callable[[Context], Iterator[Any]], *, target: int | str | None = None, uses: Method | None = None,
              ticket: Stopping | None = None, on_draft: Callable[[Any], None] = lambda draft: None,
              on_progress: Callable[[int, int], None] | None = None) -> Any:
        """Run another generator than a map's: `start(context)` yields rounds and results, and the last result is returned.

        `uses` is a method that it runs in turn; ValueError where that cannot explain this model. The rest is as in `run`.
        """
        def once() -> Any:
            if uses is not None:
                self._check_possible(uses)
            runner, progress = self._opened.runner, Progress(tell=on_progress)
            with self.subject.running(gradients=False):
                return drive(start(self._context(target, watched=False)),
                             lambda asked: runner.evaluate(asked.probes, asked.keep, ticket, progress), on_draft)

        return self._steadily(once)

    def _steadily(self, work: Callable[[], Any]) -> Any:
        """Do the work on a model that stays the same meanwhile, or begin again; ValueError where it keeps changing."""
        with self.subject.lock:
            for _ in range(PATIENCE):
                # Another session on the same subject may have been the one that noticed.
                if self.subject.refresh() or self._opened.version is not self.subject.version:
                    self._opened = self._open(self.picture)
                try:
                    result = work()
                    self.subject.check()
                    return result
                except ModelChanged:
                    self.subject.isolate()
        raise ValueError("the model kept changing while it was explained: stop training it first, then ask again")

    def _run(self, method: Method, params: dict[str, Any], target: int | str | None, ticket: Stopping | None,
             on_map: Callable | None, on_progress: Callable | None) -> SaliencyMap:
        self._check_possible(method)
        context, runner, started = self._context(target, on_map is not None), self._opened.runner, time.perf_counter()
        self.stats.plan, self.stats.estimate = method.evaluations(context, params), None
        with self.subject.running(gradients=False):
            # What is kept whole needs no previews, so it is looked at as if nobody watched.
            kept = self._context(target, watched=False).foreseeing()
            missing, found, ready = foresee(method.run(kept, **params), self.stats.plan, runner.stored)
        progress, told = Progress(missing, tell=on_progress), 0
        if not missing:
            self.stats.store_hits += found
            return self._finish(method, params, context, ready, progress, started, final=True)

        def evaluate(asked: Round):
            return runner.evaluate(asked.probes, asked.keep, ticket, progress)

        def show(draft: Draft) -> None:
            # A refinement is worth showing only when evaluations went into it: kept stages pass silently.
            nonlocal told
            if on_map is not None and progress.done > told and progress.done < progress.planned:
                told = progress.done
                on_map(self._finish(method, params, context, draft, progress, started, final=False))

        with self.subject.running(gradients=False):
            last = drive(method.run(context, **params), evaluate, show)
            return self._finish(method, params, context, last, progress, started, final=True)

    def _finish(self, method: Method, params: dict[str, Any], context: Context, draft: Draft, progress: Progress,
                started: float, final: bool) -> SaliencyMap:
        wide = np.float64 if self.subject.dtype == torch.float64 else np.float32
        values = to_host(torch.as_tensor(draft.values)).astype(wide, copy=False)
        index = None if context.score.name else context.score.target
        return SaliencyMap(
            values=values, method=method.name, title=method.title, params=params, target=index,
            label=context.score.name or self.label(index), score=self.score, unit=draft.unit or context.score.unit,
            signed=method.signed, input_size=context.shape[1:], default_sign=draft.default_sign or method.default_sign,
            residual=draft.residual, last_change=draft.last_change, standard_error=draft.standard_error,
            coverage=None if draft.coverage is None else str(draft.coverage), warnings=draft.warnings,
            caution=method.warning or "", evaluations=progress.done,
            seconds=time.perf_counter() - started, estimate=str(self.stats.estimate or ""), final=final, regions=draft.regions,
            region_scores=draft.region_scores, details=draft.details, **self._place(method))

    def _place(self, method: Method) -> dict[str, Any]:
        photo = self.picture.photo
        return {} if photo is None else {"photo_size": photo.size, "crop": None if method.cuts else photo.crop}

    def refine(self, name: str, *, tolerance: float = 0.02, limit: int = 1024, **params: Any) -> SaliencyMap:
        """Double `steps` until the residual is below `tolerance`, up to `limit` steps; returns the last map."""
        steps = {p.name: p.default for p in find(name).parameters}.get("steps")
        if steps is None:
            raise ValueError(f"{name} has no steps to double")
        steps = params.pop("steps", steps)
        while True:
            result = self.map(name, steps=steps, **params)
            if result.residual is None or abs(result.residual) < tolerance or steps * 2 > limit:
                return result
            steps *= 2

    def estimate(self, name: str, params: Mapping[str, Any], target: int | str | None = None) -> tuple[int, float | None]:
        """Evaluations that a map still needs, and their seconds at the measured speed (None before the first)."""
        method = find(name)
        values = method.validate(params)
        self._check_possible(method)
        context, runner = self._context(target, watched=False), self._opened.runner
        with self.subject.running(gradients=False):
            planned = method.evaluations(context, values)
            count, _, first = foresee(method.run(context.foreseeing(), **values), planned, runner.stored)
        each = runner.seconds(first) if count else 0.0
        return count, None if each is None else count * each

    def gradient_at(self, name: Input, target: int | str | None = None) -> np.ndarray | None:
        """The kept gradient `(C, H, W)` at a named input, or None where none is kept."""
        found = self._opened.runner.stored(self._context(target, watched=False).gradient(name))
        return None if found is None else to_host(found.gradient)

    def gradient_on_path(self, baseline: Any, alpha: float, target: int | str | None = None) -> np.ndarray | None:
        """The kept gradient `(C, H, W)` at a grid point α of the path from `baseline`, or None where none is kept."""
        return self.gradient_at(OnPath(self.inputs.fill(baseline), alpha), target)

    def refresh(self) -> None:
        """Look at the model anew and forget what was computed for it."""
        with self.subject.lock:
            self.subject.refresh(force=True)
            self._opened = self._open(self.picture)

    def close(self) -> None:
        """Let go of the working copy and the picture's tensors; kept evaluations stay within the store's budget."""
        if not self._shared:
            self.subject.close()
