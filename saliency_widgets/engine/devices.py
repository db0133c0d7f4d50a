"""Where the model runs: which devices there are, what they can hold, and how results come to the host."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

SINGLE = ("mps",)       # kinds of devices without float64
SHARE = 4               # of the free memory a quarter is taken
HOST = 1 << 30          # bytes that a host lends where its free memory is not asked for

_streams: dict[torch.device, Any] = {}
_lock = threading.Lock()


def usable(device: Any) -> torch.device:
    """A device by name or number, as tensors name it; ValueError in words where torch has no such device here."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"device={device!r} is no name of a device: use \"cpu\", \"cuda\", \"cuda:1\" or \"mps\"") from error
    if found.type == "cpu":
        return torch.device("cpu")
    if found.type == "cuda":
        return _cuda(found)
    if found.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError(f"device={str(found)!r}: torch finds no Apple GPU here, use device=\"cpu\"")
        return torch.device("mps", 0)
    if found.type == "meta":
        raise ValueError("device=\"meta\" keeps shapes and no numbers, and a map needs numbers: use device=\"cpu\"")
    try:
        torch.empty(1, device=found)
    except Exception as error:  # whatever a kind of device that is not built in raises
        raise ValueError(f"device={str(found)!r}: torch finds no such device here, use device=\"cpu\"") from error
    return found


def _cuda(device: torch.device) -> torch.device:
    if not torch.cuda.is_available():
        raise ValueError(f"device={str(device)!r}: torch finds no such device here (no CUDA device, or no driver for it), "
                         f"use device=\"cpu\"")
    count = torch.cuda.device_count()
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= count:
        there = "only cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise ValueError(f"device={str(device)!r}: there is {there} here")
    return torch.device("cuda", index)


def has_double(device: torch.device) -> bool:
    """Whether a device computes in float64."""
    return device.type not in SINGLE


def arithmetic(device: torch.device) -> tuple:
    """The settings of torch that decide which numbers a device gives, `()` where there are none: TF32 and determinism."""
    if device.type != "cuda":
        return ()
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    try:
        precision = (torch.backends.fp32_precision, cudnn.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision,
                     matmul.fp32_precision)
    except AttributeError:  # a torch without these names; where it has them, the old ones raise once both kinds were set
        precision = cudnn.allow_tf32, matmul.allow_tf32
    return *precision, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()


def lent(device: torch.device) -> int:
    """Bytes that may be kept on a device: a quarter of what is free there now, 1 GiB on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // SHARE
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()) // SHARE
    return HOST


def finish(device: torch.device) -> None:
    """Wait for what was asked of a device, so that a clock read afterwards counts the work and not its asking."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def free_blocks(device: torch.device) -> None:
    """Give memory that nobody uses back to the device, before a smaller batch is tried."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def to_host(tensor: Tensor) -> np.ndarray:
    """A tensor's numbers as an array of its own, in C order."""
    tensor = tensor.detach()
    if not tensor.is_cuda:
        return np.array(tensor.cpu().numpy())
    return np.array(_pinned(tensor).numpy())


def all_to_host(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The same for many small tensors by name, brought over together: each crossing by itself would wait for the device."""
    if not any(tensor.device.type != "cpu" for tensor in tensors.values()):
        return {name: to_host(tensor) for name, tensor in tensors.items()}
    found: dict[str, np.ndarray] = {}
    groups: dict[tuple, list[str]] = {}
    for name, tensor in tensors.items():
        groups.setdefault((tensor.device, tensor.dtype), []).append(name)
    for names in groups.values():
        flat = to_host(torch.cat([tensors[name].detach().reshape(-1) for name in names]))
        parts = np.split(flat, np.cumsum([tensors[name].numel() for name in names])[:-1])
        found |= {name: part.reshape(tuple(tensors[name].shape)).copy() for name, part in zip(names, parts)}
    return {name: found[name] for name in tensors}


def _pinned(tensor: Tensor) -> Tensor:
    """Into pinned memory by a stream of its own: it waits for what made the tensor, not for what is asked for next."""
    device = tensor.device
    with _lock:
        if device not in _streams:
            _streams[device] = torch.cuda.Stream(device)
        stream = _streams[device]
    tensor = tensor.contiguous()
    stream.wait_stream(torch.cuda.current_stream(device))
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    with torch.cuda.stream(stream):
        host.copy_(tensor, non_blocking=True)
        tensor.record_stream(stream)
        done = torch.cuda.Event()
        done.record(stream)
    done.synchronize()
    return host
