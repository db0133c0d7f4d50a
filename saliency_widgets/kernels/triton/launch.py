"""How kernels are started: what they take, on which device, and the small tables that tell them where things lie."""
from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
KINDS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float64: tl.float64}
# As it stood when Triton was imported: its own functions were made for it then.
INTERPRETED = triton.knobs.runtime.interpret if hasattr(triton, "knobs") else os.environ.get("TRITON_INTERPRET") == "1"
BY_HAND = tl.constexpr(INTERPRETED)
LARGE = 1 << 31
KEPT = 16  # tables

_every = False
_tables: OrderedDict[tuple, Tensor] = OrderedDict()
_lock = threading.Lock()


@triton.jit
def narrowed(x, KIND: tl.constexpr):
    """float32 in a dtype, to the nearest number, halves to the even one: devices do so, the interpreter cuts bf16 off."""
    if BY_HAND and KIND == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        x = tl.where(x == x, nearest.to(tl.float32, bitcast=True), x)
    return x.to(KIND)


def fits(*tensors: Tensor, dtypes: Sequence[torch.dtype] = FLOATS) -> bool:
    """Whether kernels may take these: some values, one device that runs them, known dtypes, no gradients to record."""
    device = tensors[0].device
    return (device.type == "cuda" or INTERPRETED) and all(
        t.device == device and t.numel() and t.dtype in dtypes and not (t.requires_grad and torch.is_grad_enabled())
        for t in tensors)


def launch(kernel: Any, programs: int, like: Tensor, *args: Any, **options: Any) -> None:
    """Start so many programs of a kernel on the device of a tensor, which need not be the current one.

    Sums are rounded as the reference rounds them: no products are fused into them unless `enable_fp_fusion` says so.
    """
    with torch.cuda.device(like.device) if like.is_cuda else nullcontext():
        kernel[(programs,)](*args, **{"enable_fp_fusion": False} | options)


def take_every(on: bool) -> None:
    """Whether kernels are taken where no gain is expected of them, too: for whoever measures or tests them."""
    global _every
    _every = on


def taken(gains: bool) -> bool:
    """Whether a kernel is taken that is expected to gain, or not."""
    return gains or _every


def indices(size: int) -> Any:
    """The integers in which positions up to a size are counted."""
    return tl.int32 if size < LARGE - 65536 else tl.int64


def capturing(device: torch.device) -> bool:
    """Whether a CUDA graph is being recorded, in which no table may be sent: its replay would read memory long reused."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def sent(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers on a device, without waiting for it."""
    made = torch.as_tensor(values, dtype=dtype)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)


def table(numbers: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same, kept for the next time these numbers are asked for on this stream."""
    key = numbers, dtype, device, torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
    with _lock:
        found = _tables.pop(key, None)
        if found is None:
            found = sent(numbers, dtype, device)
            while len(_tables) >= KEPT:
                _tables.popitem(last=False)
        _tables[key] = found
    return found


def frames_at(frames: Sequence[Tensor] | Tensor) -> tuple[list[Tensor], Tensor, bool]:
    """Frames in one order of memory, where they begin, and whether they lie one behind the other.

    A stack's beginning is its own memory; that of single tensors an int64 table of addresses, so that they need not be
    stacked. The frames must be held until the kernel is started; the allocator keeps their memory from other uses until
    the stream has passed it.
    """
    first = frames[0]
    if isinstance(frames, Tensor):
        frames = frames if frames.stride(0) == first.numel() and dense(first) else frames.contiguous()
        return [frames[0]], frames, True
    if not dense(first):
        first = first.contiguous()
    same = [f if f.stride() == first.stride() and f.dtype == first.dtype else torch.empty_like(first).copy_(f) for f in frames]
    return same, table(tuple(f.data_ptr() for f in same), torch.int64, first.device), False


def dense(tensor: Tensor) -> bool:
    """Whether a tensor fills its memory without holes, in whatever order."""
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape) if n > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def batch_like(picture: Tensor, count: int, channels_last: bool, dtype: torch.dtype | None = None) -> Tensor:
    """Memory for so many pictures `(C, H, W)`."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(count, *picture.shape, dtype=dtype or picture.dtype, device=picture.device, memory_format=order)
