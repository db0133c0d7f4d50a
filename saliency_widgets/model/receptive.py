"""How much of the picture one position of a layer sees: the receptive field, measured on the network itself."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .layers import Layer, to_grid
from .outputs import call_model

OFFSETS = tuple(range(0, 40, 5))  # columns where the part that is hidden begins; their remainders by 2, 4, 8 are all there are
HIDDEN = 2 * len(OFFSETS)  # pictures that are evaluated
BATCH = 4


def receptive_fields(clone: nn.Module, layers: Sequence[Layer], x: Tensor,
                     check: Callable[[], None] = lambda: None) -> dict[str, int | None]:
    """Pixels of the picture's width that one position of each spatial layer depends on, by the layer's name.

    Parts of `x` `(1, C, H, W)` to the right, then to the left, of some columns are made NaN, which every operation that reads
    them passes on: sixteen pictures in small batches, `check()` between them. Exact where neighbouring positions are up to
    eight pixels apart, else up to five pixels too small on either side. The width itself stands for layers that see all of it
    (attention, pooling over everything), None for those that NaN does not reach. Errors of the model leave the dict empty.
    """
    width, named = x.shape[-1], {layer.name: layer for layer in layers if layer.spatial}
    begins = [width // 2 + offset - OFFSETS[-1] // 2 for offset in OFFSETS]
    if min(begins) < 1 or max(begins) > width - 1 or not named:
        return {}
    columns = torch.arange(width, device=x.device)
    hidden = torch.stack([columns >= b for b in begins] + [columns <= width - 1 - b for b in begins])
    rows: dict[str, list[Tensor]] = {name: [] for name in named}

    def look(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: Any) -> None:
            grid = to_grid(output, named[name])
            rows[name].append(grid[:, :, grid.shape[2] // 2].isnan().any(1).cpu())
        return hook

    handles = [clone.get_submodule(name).register_forward_hook(look(name)) for name in named]
    try:
        with torch.inference_mode(False), torch.no_grad():
            for part in hidden.split(BATCH):
                check()
                call_model(clone, torch.where(part[:, None, None], torch.nan, x))
    except (RuntimeError, ValueError):
        return {}
    finally:
        for handle in handles:
            handle.remove()
    return {name: _width(torch.cat(found).numpy(), begins, width) for name, found in rows.items() if found}


def _width(reached: np.ndarray, begins: Sequence[int], width: int) -> int | None:
    """The field's width from which positions `(2·n, w)` the hidden right and left parts reach."""
    half, positions = len(begins), reached.shape[1]
    if len(reached) != 2 * half or not reached.any(1).all():
        return None  # used several times in one pass, or NaN does not come through
    right, left = reached[:half].argmax(1), positions - 1 - reached[half:, ::-1].argmax(1)
    if (right == 0).any() or (left == positions - 1).any():
        return width
    # Where positions are cut off at the edges, their number times the stride is not the width; strides are products of twos.
    stride = width // positions if width % positions == 0 else 2 ** round(math.log2(width / positions))
    # Position j reads columns start + stride·j to end + stride·j: the first one that a part hides, and the last one.
    end = max(begin - stride * at for begin, at in zip(begins, right.tolist()))
    start = min(width - 1 - begin - stride * at for begin, at in zip(begins, left.tolist()))
    return min(width, end - start + 1)
