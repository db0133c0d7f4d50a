"""Triton kernels for CUDA devices: functions of `reference` that pay as kernels of their own; all others are handed on.

One file a kernel, each saying which bytes move. A function looks at what it is given: what it has no kernel for (float64
where rounding differs, an empty batch, a tensor that wants gradients, mixed devices) its reference computes. Nothing of
Triton is imported before the first call.

No kernel here has been timed on a device yet: that each of them pays is what counting bytes and launches suggests. Whoever
has a device finds out with `python -m tests.benchmarks.gpu_kernels`; until then all of them are provisional, and the likely
losers (wide blurs, a single layer's Grad-CAM in float32) go to the reference, see their files. They equal their references
under Triton's interpreter and compile for sm_80 and sm_90.

What the engine calls today: `lerp`, `without_regions`, `gaussian_blur` and `gaussian_blurs`, `noisy` and the draws under it,
`weighted_sum` without a change of input or a way to take channels together, and `cam` by way of `REDUCTIONS`. What waits for a
device's measurement, to be wired or dropped: `slopes`, `prefix_sums`, `cams`, `activation_delta`, `pasted`, `tone_limits`,
`tones`, and `weighted_sum` with `change` or `reduce`. Incremental forwards, which the deltas and the pasting are for, run on CPUs
only so far.

Not written, since torch's own operation is a single pass already: `paint_regions` (one gather), the least and largest value
of a map (`aminmax`), the other reductions of `cam.REDUCTIONS` (one layer at a time, captured in the graph of the pass), and
`random_mask` (its grid is a few dozen numbers).
"""
from __future__ import annotations

import importlib
from typing import Any

import torch

from .. import reference

# Function → the file of its kernel. Files are not named as functions are: importing one would hide the function.
HOMES = {
    "lerp": "points", "gaussian_blur": "blurs", "gaussian_blurs": "blurs", "without_regions": "masking",
    "philox": "noise", "uniform": "noise", "normal": "noise", "noisy": "noise", "weighted_sum": "weighing",
    "slopes": "rising", "prefix_sums": "integrals", "cam": "layer_cams", "cams": "layer_cams", "REDUCTIONS": "layer_cams",
    "activation_delta": "deltas", "pasted": "pasting", "tone_limits": "toning", "tones": "toning",
}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    home = HOMES.get(name)
    value = getattr(reference if home is None else importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


_refusals: dict[torch.device, str] = {}


def refusal(device: torch.device) -> str:
    """Why a kernel cannot be compiled and run on a device and what to do, found by trying one; or nothing.

    The answer is kept, but for a device whose memory is full just now.
    """
    if device not in _refusals:
        found, lasting = _tried(device)
        if not lasting:
            return found
        _refusals[device] = found
    return _refusals[device]


def _tried(device: torch.device) -> tuple[str, bool]:
    """A refusal, or nothing, and whether it will be the same next time."""
    try:
        from .launch import INTERPRETED
        from .points import lerp
        if device.type != "cuda" and not INTERPRETED:
            found = 'Triton was imported before TRITON_INTERPRET=1 was set: set it before Python starts, or use backend="torch"'
            return found, True
        ends = torch.zeros(2, 1, 1, 1, device=device)
        ends[1] = 1
        if lerp(ends[0], ends[1], ends.view(-1)).flatten().tolist() == [0, 1]:
            return "", True
        return f'its first kernel gave wrong values on {device}: use backend="torch"', True
    except Exception as error:  # a missing compiler, an old device, a driver: whatever Triton says
        full = isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
        said = f"{type(error).__name__}: {str(error).strip()[:300]}"
        return f'Triton cannot run on {device} ({said}): use backend="torch"', not full
