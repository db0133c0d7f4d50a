"""Batches of a fixed shape recorded as CUDA graphs and replayed: one launch in place of hundreds of small ones.

A batch of one picture is bound by launches: a network of a hundred layers asks for a thousand kernels that each take less
time than their asking. Its forward pass is one graph and its backward pass another, between them the slopes of the scores
are made as usual: so another class, or another kind of score, needs no new recording.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .batching import out_of_memory
from .devices import arithmetic, free_blocks

ENABLED = True   # a switch, should a driver misbehave
LARGEST = 8      # pictures: larger batches keep the device busy by themselves, and a recording holds their activations
KEPT = 8         # recordings of one model, the least recently used goes first
AGAIN = 64       # askings after which a recording is tried again that memory did not suffice for
WARM = 2         # passes on the side stream before one is recorded: libraries set themselves up in the first ones
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-3}  # of the largest number, on the first replay; 3e-2 in half precision


class Pass(Protocol):
    """What is recorded: one forward pass, and with it, where somebody wants gradients, one backward pass."""

    backward: bool

    def forward(self, leaf: Tensor) -> Tensor:
        """Scores `(N, K)` of pictures `(N, C, H, W)`."""

    def back(self, leaf: Tensor, scores: Tensor, slopes: Tensor) -> dict[Hashable, Tensor]:
        """What the backward pass from slopes `(N, K)` of the scores gives, by name, each `(N, …)`."""

    def close(self) -> None:
        """Take hooks away, also after an error."""


class Recorder(Protocol):
    """A device that can record what is asked of it."""

    def warm(self, work: Callable[[], Any]) -> None:
        """Do the work where it will be recorded."""

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """How to do the recorded work again, and where its results will lie each time."""


class CudaRecorder:
    """Records on a side stream of one device into a memory pool that the recordings share.

    They may share it because they run one after the other, under the model's lock, and their results are copied at once.
    Other threads may allocate meanwhile (`thread_local`).
    """

    def __init__(self, device: torch.device):
        self.device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, work: Callable[[], Any]) -> None:
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                work()
        finally:  # what is asked for after an error may read or free what the side stream still writes
            current.wait_stream(self._stream)

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.device), torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            results = work()
        return graph.replay, results


def recorder_for(device: torch.device) -> Recorder | None:
    """What records on a device, or None where nothing does."""
    return CudaRecorder(device) if device.type == "cuda" and ENABLED else None


@dataclass
class Result:
    """Scores `(N, K)` and what the backward pass gave, in memory of their own."""

    scores: Tensor
    kept: dict[Hashable, Tensor]


class Graphs:
    """The recordings of one model on one device.

    A batch is recorded when its shape is asked for a second time, so that sizes that are only tried leave nothing behind;
    others, and those of more than `LARGEST` pictures, run as usual. A recording is made anew where the model's tensors lie
    elsewhere, and another one where the settings of arithmetic differ. `reason` says in words why a model is not recorded, once
    that is known (for a while, where memory did not suffice); `count` how often one was replayed, `recorded` how often one was
    made or tried.
    """

    def __init__(self, device: torch.device, recorder: Recorder | None = None):
        self.device, self.reason, self.count, self.recorded = device, "", 0, 0
        self._recorder, self._own = recorder, recorder is None
        self._asked = recorder is not None
        self._pause, self._closed = 0, False
        self._seen: set[Hashable] = set()
        self._kept: OrderedDict[Hashable, Recording] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all recordings and what was learnt: the model is another one, or gone, or memory is short."""
        self._seen.clear()
        self._kept.clear()
        self.reason, self._pause = "", 0

    def close(self) -> None:
        """Forget all recordings and make none any more."""
        self.clear()
        self._closed = True

    def possible(self, count: int) -> bool:
        """Whether batches of so many pictures may be recorded, as far as is known; asked once for each batch."""
        if self._closed:
            return False
        if not self._asked:
            self._recorder, self._asked = recorder_for(self.device), True
        if self._pause:
            self._pause -= 1
            if not self._pause:
                self.reason = ""
        return self._recorder is not None and not self.reason and count <= LARGEST

    def run(self, name: Hashable, model: Any, x: Tensor, one: Pass, slopes: Callable[[Tensor], Tensor]) -> Result | None:
        """Run a `possible` batch x `(N, C, H, W)` of the work `name` by its recording, or None where it is to be run as usual.

        `slopes` makes those of the scores that are explained, `(N, K)`, from the scores.
        """
        key = name, tuple(x.shape), x.dtype, arithmetic(self.device)
        found = self._kept.get(key)
        if found is not None and not found.holds(model):
            del self._kept[key], found
            found = None
        try:
            if found is not None:
                self._kept.move_to_end(key)
                self.count += 1
                return found.replay(x, slopes)
            if key not in self._seen:
                self._seen.add(key)
                return None
            return self._record(key, model, x, one, slopes)
        except (RuntimeError, ValueError) as error:
            full = out_of_memory(error)
            self.reason = "memory does not suffice" if full else str(error).strip().splitlines()[0][:120]
        finally:
            one.close()
        found = None  # before the blocks are freed: it holds its own
        self._kept.clear()  # the way things were before anything was recorded
        if full:
            self._pause = AGAIN
            free_blocks(self.device)
        return None

    def _record(self, key: Hashable, model: Any, x: Tensor, one: Pass, slopes: Callable[[Tensor], Tensor]) -> Result | None:
        # A recording that fails half way may leave torch's allocator in disorder (torch before 2.12), so what would make it
        # fail is looked for first.
        self.recorded += 1
        with Watch() as watch:
            usual = _usual(x, one, slopes)
        one.close()
        if watch.reason:
            self.reason = watch.reason
            return usual
        while len(self._kept) >= KEPT:
            self._kept.popitem(last=False)
        if self._own and not self._kept:
            # A pool whose graphs are all gone takes no other one while somebody, the model for one, still holds a block of it.
            self._recorder = recorder_for(self.device) or self._recorder
        made = Recording(self._recorder, model, x, one, usual, slopes)
        again = made.replay(x, slopes)
        if not _close(again, usual, x.dtype):
            self.reason = "what was recorded gave other numbers than the model itself"
            self._kept.clear()
            return usual
        self._kept[key] = made
        return again


def _usual(x: Tensor, one: Pass, slopes: Callable[[Tensor], Tensor]) -> Result:
    leaf = x.detach().clone().requires_grad_(one.backward)
    scores = one.forward(leaf)
    kept = one.back(leaf, scores, slopes(scores.detach())) if one.backward else {}
    return Result(scores.detach(), kept)


class Recording:
    """A pass of one shape: where its input lies, how to do it again, and where its results lie."""

    def __init__(self, recorder: Recorder, model: Any, x: Tensor, one: Pass, usual: Result,
                 slopes: Callable[[Tensor], Tensor]):
        self.model, self._places = model, Places(model)
        self._leaf = x.detach().clone().requires_grad_(one.backward)
        self._slopes = slopes(usual.scores).detach().clone() if one.backward else None
        self._shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in usual.kept.items()}
        state: dict[str, Tensor] = {}

        def forward() -> Tensor:
            state["scores"] = one.forward(self._leaf)
            return state["scores"].detach()

        def back() -> dict[torch.dtype, Tensor]:
            return _packed(one.back(self._leaf, state["scores"], self._slopes))

        for _ in range(WARM):
            recorder.warm(lambda: (forward(), back() if one.backward else None))
        state.clear()
        self._forward, self._scores = recorder.record(forward)
        if one.backward:
            self._back, self._packs = recorder.record(back)
        state.clear()  # the activations' memory is the pool's again

    def holds(self, model: Any) -> bool:
        """Whether it is of this model, whose tensors all lie where they did."""
        return self.model is model and self._places.same()

    def replay(self, x: Tensor, slopes: Callable[[Tensor], Tensor]) -> Result:
        """Do it again for other pictures."""
        with torch.no_grad():
            self._leaf.copy_(x)
        self._forward()
        scores, kept = self._scores.clone(), {}
        if self._slopes is not None:
            self._slopes.copy_(slopes(scores))
            self._back()
            kept = _unpacked({kind: pack.clone() for kind, pack in self._packs.items()}, self._shapes)
        return Result(scores, kept)


def _packed(kept: dict[Hashable, Tensor]) -> dict[torch.dtype, Tensor]:
    """Tensors of a kind in one row, so that one copy takes them all."""
    kinds = dict.fromkeys(tensor.dtype for tensor in kept.values())
    return {kind: torch.cat([t.detach().reshape(-1) for t in kept.values() if t.dtype == kind]) for kind in kinds}


def _unpacked(packs: dict[torch.dtype, Tensor], shapes: dict[Hashable, tuple[torch.Size, torch.dtype]]) -> dict[Hashable, Tensor]:
    at = dict.fromkeys(packs, 0)
    found = {}
    for name, (shape, kind) in shapes.items():
        count = shape.numel()
        found[name] = packs[kind][at[kind]:at[kind] + count].view(shape)
        at[kind] += count
    return found


def _close(again: Result, usual: Result, kind: torch.dtype) -> bool:
    """Whether results are the same as far as a model that computes in `kind` gives them: what is kept may be wider."""
    pairs = [(again.scores, usual.scores), *((again.kept[name], tensor) for name, tensor in usual.kept.items())]
    for found, wanted in pairs:
        tolerance = max(CLOSE.get(dtype, 3e-2) for dtype in (kind, wanted.dtype))
        finite = wanted.isfinite()
        most = torch.where(finite, wanted, 0).abs().max() if wanted.numel() else 0
        if not torch.allclose(found, wanted, rtol=0, atol=float(tolerance * most) or 1e-30, equal_nan=True):
            return False
    return True


class Places:
    """Where a model's tensors lie: a recording reads and writes those very addresses."""

    def __init__(self, model: Any):
        modules = model.modules() if isinstance(model, nn.Module) else ()
        self._seen = [(group, name, tensor, tensor.data_ptr()) for module in modules
                      for group in (module._parameters, module._buffers) for name, tensor in group.items() if tensor is not None]

    def same(self) -> bool:
        """Whether they still do."""
        return all(group.get(name) is tensor and tensor.data_ptr() == place for group, name, tensor, place in self._seen)


class Watch(TorchDispatchMode):
    """Looks at every operation of a pass; `reason` says in words which of them cannot be recorded."""

    def __init__(self):
        super().__init__()
        self.reason = ""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch loads its compiler at the first call: five seconds, for a model that is not compiled

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.reason = self.reason or _refusal(func, (args, kwargs), result)
        return result


def _refusal(func: Any, given: tuple, result: Any) -> str:
    name = func.overloadpacket.__name__
    tensors = [value for value in tree_leaves(given) if isinstance(value, Tensor)]
    if torch.Tag.data_dependent_output in func.tags:
        return f"the model reads numbers back while it runs ({name})"
    if name.removeprefix("_").startswith(("index", "unsafe_index")):
        chosen = any(tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors[1:])
        return f"the model chooses by a mask while it runs ({name})" if chosen else ""
    if torch.Tag.dynamic_output_shape in func.tags:
        return f"the size of something depends on numbers ({name})"
    if name in ("_to_copy", "copy_", "copy"):
        places = {tensor.device for tensor in (*tensors, *tree_leaves(result)) if isinstance(tensor, Tensor)}
        if len(places) > 1:
            return "the model moves tensors from one device to another while it runs"
    return ""
