"""The model under study: its working clone, its version, its lock, and how its output is read."""
from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..model.clone import has_own_hooks, is_script, working_model
from ..model.folded import Folded, folded
from ..model.layers import Layer
from ..model.outputs import call_model, read_scores
from ..model.receptive import HIDDEN, receptive_fields
from ..model.version import version_of
from .batching import out_of_memory
from .devices import arithmetic, has_double, usable
from .graphs import Graphs
from .store import STORE

_uids = itertools.count(1)
_known: "weakref.WeakKeyDictionary[Any, tuple[int, threading.RLock]]" = weakref.WeakKeyDictionary()
_known_lock = threading.Lock()


def _identity(model: Any) -> tuple[int, threading.RLock]:
    """One number and one lock for each user's model, shared by all sessions on it; the store forgets it at its end."""
    with _known_lock:
        try:
            if model not in _known:
                uid = next(_uids)
                _known[model] = uid, threading.RLock()
                weakref.finalize(model, STORE.forget, uid)
            return _known[model]
        except TypeError:  # a callable without weak references or hash: known to this session only
            return next(_uids), threading.RLock()


class ModelChanged(Exception):
    """The user's model changed while a batch ran: the batch is discarded and the map begun again."""


class Subject:
    """A user's model as the engine sees it: a clone that may be hooked and run, never the user's own objects.

    `select` reads the scores from the output. A ScriptModule is copied whole and serves forward-only methods; a plain
    callable is run as it is, under the lock. TypeError when `model` cannot be called.
    """

    def __init__(self, model: Any, device: torch.device | str | None = None, select: Callable | None = None):
        if not callable(model):
            raise TypeError(f"model must be a torch.nn.Module or a callable, got {type(model).__name__}")
        self.model, self.select = model, select
        self.uid, self.lock = _identity(model)
        tensors = self._tensors()
        self.device = usable(device if device is not None else tensors[0].device if tensors else "cpu")
        floating = [t.dtype for t in tensors if t.is_floating_point()]
        if torch.float64 in floating and not has_double(self.device):
            raise ValueError(f"the model holds float64 numbers, which {self.device.type} cannot compute with: "
                             f"give model.float(), or device=\"cpu\"")
        self.dtype = floating[0] if floating else torch.float32
        self.script = is_script(model)
        self.cloned = isinstance(model, nn.Module) and not self.script
        self.version: Any = None
        self._own = False
        self._clone, self._looked = model, True
        self._views: dict = {}  # of the user's tensors, for the version
        self._fast: dict[tuple, tuple[Folded | None, str]] = {}
        self.differentiable = not self.script  # as far as is known; what is no network shows it with the first picture
        self.fields: dict[tuple, dict[str, int | None]] = {}  # receptive fields by the input's shape
        self.agrees: bool | None = None  # whether the fast copy's gradient is the plain one, once that is known
        self.hooked = False
        self.graphs = Graphs(self.device)
        self.refresh()

    def _tensors(self) -> list[Tensor]:
        if not isinstance(self.model, nn.Module):
            return []
        return [*self.model.parameters(), *self.model.buffers()]

    @property
    def clone(self) -> Any:
        """The working copy that may be hooked and run; whoever asks for it counts as having looked at the model."""
        self._looked = True
        return self._clone

    @clone.setter
    def clone(self, value: Any) -> None:
        self._clone = value

    @property
    def key(self) -> tuple:
        """What the store knows the model by: its number, version, device, how its output is read, and the device's arithmetic."""
        return self.uid, self.version, str(self.device), self.select, self._arithmetic

    def refresh(self, force: bool = False) -> bool:
        """Look at the model again; rebuild the clone and say True when it changed since the last look."""
        self._arithmetic = arithmetic(self.device)
        if not isinstance(self.model, nn.Module):
            if force:
                STORE.forget(self.uid)
            return False
        self._looked = False
        version = version_of(self.model, views=self._views)
        if version == self.version and not force:
            return False
        if force:
            STORE.forget(self.uid)
        self.version = version
        self._fast, self.agrees, self.fields = {}, None, {}
        self.graphs.clear()
        self.hooked = has_own_hooks(self.model)
        self.clone = working_model(self.model, self.device, own=self._own)
        self._cheap = version_of(self.model, content=False)
        return True

    def isolate(self) -> None:
        """Give the clone tensors of its own from now on: a model that rewrites itself as it runs must not reach the user's."""
        self._own, self.version = True, None

    # ---- the fast copy

    def tried(self, x: Tensor) -> bool:
        """Whether a fast copy was made, or could not be made, for pictures like x `(1, C, H, W)`."""
        return tuple(x.shape) in self._fast

    def make_fast(self, x: Tensor) -> None:
        """Make the fast copy, or learn why there is none."""
        with self.running(gradients=False):
            try:
                made = folded(self.clone, x.clone(), self.select)
            except Exception as error:  # whatever it is, the plain way goes on, or meets it again and raises it
                made = None, f"{type(error).__name__} while it was traced: {next(iter(str(error).splitlines()), '')[:120]}"
        self._fast, self.agrees = {tuple(x.shape): made}, None

    def fast(self, x: Tensor) -> Folded | None:
        """The fast copy for pictures like x `(1, C, H, W)`: scores `(N, K)` and input gradients, nothing inside."""
        return self._fast.get(tuple(x.shape), (None, ""))[0]

    @property
    def reason(self) -> str:
        """Why there is no fast copy, in words; empty while nobody asked for one."""
        return "".join(reason for _, reason in self._fast.values())

    @property
    def recordable(self) -> bool:
        """Whether batches may be recorded and replayed: a network without hooks of the user's, which may do anything."""
        return self.cloned and not self.hooked

    @property
    def notes(self) -> list[str]:
        """What was noticed about the model so far, in words for the status line."""
        notes = ["the model's own hooks run on the working copy"] if self.hooked else []
        if self.script:
            notes.append("a scripted model runs as it is: forward-only methods")
        elif not self.differentiable:
            notes.append("a callable without gradients: forward-only methods")
        elif self.reason:
            notes.append(f"full forwards only: {self.reason}")
        if self.graphs.reason:
            notes.append(f"no CUDA graphs: {self.graphs.reason}")
        return notes

    def close(self) -> None:
        """Let go of the working copies and what was recorded of them, once a batch that runs is done."""
        with self.lock:
            self.clone, self._fast = None, {}
            self.graphs.close()
            self._views.clear()

    def receptive_fields(self, layers: Sequence[Layer], x: Tensor,
                         check: Callable[[], None]) -> tuple[dict[str, int | None], int]:
        """What positions of the layers see of pictures like x `(1, C, H, W)`, and how many forward passes that took just now."""
        shape = tuple(x.shape)
        if shape in self.fields or not self.cloned:
            return self.fields.get(shape, {}), 0
        with self.lock, self.running(gradients=False):
            # A copy of its own: what a forward pass writes down of NaN must not stay in the working one.
            found = receptive_fields(working_model(self.model, self.device, own=True), layers, x, check)
            self.fields[shape] = found
        return found, HIDDEN

    def check(self) -> None:
        """Look at the content after a map: ModelChanged where training went past what the watch over batches sees.

        What was kept meanwhile bears the old version's name, so all of the model's evaluations are forgotten. A map of kept
        evaluations alone, for which nobody asked the model, is that of the version it began with.
        """
        if isinstance(self.model, nn.Module) and self._looked and version_of(self.model, views=self._views) != self.version:
            STORE.forget(self.uid)
            raise ModelChanged

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Watch over a batch: ModelChanged when the user's tensors are not those of the version after it."""
        if not isinstance(self.model, nn.Module):
            yield
            return
        self._looked = True
        yield  # what changed before the batch is seen after it, too
        if version_of(self.model, content=False) != self._cheap:
            raise ModelChanged

    @contextmanager
    def running(self, gradients: bool) -> Iterator[None]:
        """Run the model in grad, autocast and RNG state of our own, whatever the caller's is."""
        kind, devices = self.device.type, [self.device] if self.device.type == "cuda" else []
        lower = torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
        with torch.inference_mode(False), torch.set_grad_enabled(gradients), lower, torch.random.fork_rng(devices=devices):
            yield

    def first_scores(self, x: Tensor) -> Tensor:
        """The scores of a picture `(1, C, H, W)`, and whether they have a gradient: a callable may be anything.

        What cannot take an input that wants a gradient, since it goes on in NumPy, is run again without.
        """
        scores = self.try_gradient(x)
        if scores is None:
            with self.running(gradients=False):
                scores = self.scores(x)
        return scores.detach()

    def try_gradient(self, x: Tensor) -> Tensor | None:
        """Learn whether the scores of x `(1, C, H, W)` have a gradient; they, or None where the model fails on such an input.

        A model that only ran out of memory may still have one.
        """
        try:
            with self.running(gradients=not self.script):
                scores = self.scores(x.clone().requires_grad_(not self.script).clone())
        except Exception as error:
            self.differentiable = self.differentiable and out_of_memory(error)
            return None
        self.differentiable = scores.requires_grad
        return scores

    def scores(self, x: Tensor) -> Tensor:
        """Run the clone on `(N, C, H, W)` and read the scores `(N, K)` from its output."""
        scores = read_scores(call_model(self.clone, x), self.select)
        if len(scores) != len(x):
            raise ValueError(f"the model gave {len(scores)} rows for {len(x)} pictures: it must keep the batch apart "
                             f"(use output= to pick the scores)")
        return scores
