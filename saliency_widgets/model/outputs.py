"""From whatever a model returns to scores `(N, K)`, and the model's own errors in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .calls import RuleError
from .clone import unwrap

# Where scores are looked for in a dict or an object.
NAMES = ("logits", "out", "scores", "output", "predictions")
_HINT = "say where the scores are with output=, for example output=lambda out: out[0]"


def read_scores(output: Any, select: Callable[[Any], Any] | str | int | None = None) -> Tensor:
    """Scores `(N, K)` from a model's output: a tensor, a NumPy array, rows of numbers, or what holds one of the first two.

    It may hold them as a tuple, list, dict or object. `select` picks them: a callable, a key or an attribute, or an index.
    `(N,)` counts as one score a picture, and `(N, K, 1, 1)` is flattened. In at least float32. ValueError where there are
    none to be found, with what came.
    """
    if select is not None:
        return _rows(_selected(output, select), "output= picked")
    if as_tensor(output) is not None:
        return _rows(output, "the model returned")
    for candidate in _candidates(output):
        ragged = isinstance(output, (list, tuple)) and isinstance(candidate, (list, tuple))  # else all rows were read at once
        tensor = None if ragged else as_tensor(candidate)
        if tensor is not None and _flat(tensor) and tensor.is_floating_point():
            return _rows(candidate, "the model returned")
    raise ValueError(f"no scores (N, classes) found in the model's output: it is {describe(output)}; {_HINT}")


def as_tensor(value: Any) -> Tensor | None:
    """A tensor as it is, an array of numbers or equally long rows of them as a tensor; None for anything else."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (list, tuple)):
        rows = value if value and all(isinstance(row, (list, tuple)) for row in value) else [value]
        if not all(row and len(row) == len(rows[0]) and all(isinstance(v, Real) for v in row) for row in rows):
            return None
    elif not hasattr(value, "__array__"):
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        return None
    if array.dtype.itemsize > 8 or not array.dtype.isnative:
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    array = np.ascontiguousarray(array).reshape(array.shape)  # which makes one number a row of one
    return torch.from_numpy(array if array.flags.writeable else array.copy())


@dataclass(frozen=True)
class ScoreFunction:
    """A user's score `output -> (N,)` read as the one output of the model."""

    function: Callable[[Any], Tensor]

    def __call__(self, output: Any) -> Tensor:
        value = self.function(output)
        tensor = as_tensor(value)
        if tensor is None or tensor.ndim != 1:
            got = type(value).__name__ if tensor is None else tuple(tensor.shape)
            raise ValueError(f"the score function must give one number a picture, a tensor of shape (N,), got {got}")
        return tensor[:, None]


def _selected(output: Any, select: Callable[[Any], Any] | str | int) -> Any:
    try:
        if callable(select):
            picked = select(output)
        elif isinstance(select, str) and not isinstance(output, Mapping):
            picked = getattr(output, select)
        else:
            picked = output[select]
    except Exception as error:
        raise ValueError(
            f"output={select!r} failed on the model's output, which is {describe(output)}: {error}"
        ) from error
    if as_tensor(picked) is None:
        raise ValueError(
            f"output= must pick a tensor of scores (N, classes) or (N,), it picked {describe(picked)}"
        )
    return picked


def _candidates(output: Any) -> list[Any]:
    if isinstance(output, Mapping):
        named = [output[name] for name in NAMES if name in output]
        return named or (list(output.values()) if len(output) == 1 else [])
    if isinstance(output, (tuple, list)):
        return list(output)
    return [value for name in NAMES if (value := getattr(output, name, None)) is not None]


def _flat(tensor: Tensor) -> bool:
    return tensor.dim() >= 1 and sum(size != 1 for size in tensor.shape[1:]) <= 1


def _rows(value: Any, said: str) -> Tensor:
    tensor = as_tensor(value)
    if not tensor.is_floating_point():
        other = "" if isinstance(value, Tensor) else " (of scikit-learn predict_proba or decision_function, not predict)"
        raise ValueError(
            f"{said} {describe(value)}, not scores: floating-point scores (N, classes) are wanted, "
            f"taken before any argmax{other}; {_HINT}"
        )
    if not _flat(tensor) or tensor.numel() == 0:
        positions = (
            " (a score for every position: average them, output=lambda out: out.mean((2, 3)))"
            if tensor.dim() == 4
            else ""
        )
        raise ValueError(
            f"{said} {describe(value)}, scores (N, classes) are wanted{positions or '; ' + _HINT}"
        )
    return wide(tensor if tensor.dim() == 2 else tensor.reshape(len(tensor), -1))


def wide(tensor: Tensor) -> Tensor:
    """The tensor in at least float32, in which everything is summed and told."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def describe(value: Any) -> str:
    """What came, in words: types, shapes and keys, without the numbers."""
    match value:
        case Tensor():
            return f"a {_short(value)}"
        case np.ndarray():
            return f"a {value.dtype} array {value.shape}"
        case Mapping():
            return "a dict with " + (
                ", ".join(f"{k!r}: {describe(v)}" for k, v in list(value.items())[:8]) or "nothing"
            )
        case tuple() | list():
            inside = ", ".join(describe(v) for v in value[:8])
            return f"a {type(value).__name__} of {len(value)}" + (f" ({inside})" if inside else "")
        case None:
            return "None"
    return f"a {type(value).__name__}"


def _short(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} tensor {tuple(tensor.shape)}"


def call_model(model: Callable[[Tensor], Any], x: Tensor) -> Any:
    """Run the model on `x` `(N, C, H, W)`.

    ValueError, with the model's own error chained, when it fails; running out of memory passes through, and so does what
    a backward rule says of the model.
    """
    try:
        return model(x)
    except (torch.OutOfMemoryError, RuleError):
        raise
    except Exception as error:
        raise ValueError(_complaint(model, x, error)) from error


def _complaint(model: Any, x: Tensor, error: Exception) -> str:
    wants, has = input_channels(model), x.shape[1] if x.dim() > 1 else None
    if wants is not None and has is not None and wants != has and "channels" in str(error):
        return (
            f"the model's first convolution wants {_channels(wants)}, the picture has {has} "
            f"(input {tuple(x.shape)}){_remedy(wants, x)}"
        )
    first = next(iter(str(error).splitlines()), "")
    tensor = next((p for p in _parameters(model) if p.is_floating_point()), None)
    if tensor is not None and (tensor.dtype != x.dtype or tensor.device != x.device):
        return (
            f"the model's weights are {_placed(tensor)}, its input {tuple(x.shape)} is {_placed(x)}, "
            f"and it failed: {type(error).__name__}: {first}"
        )
    hint = "Check the picture's size with preprocess="
    if not isinstance(unwrap(model), nn.Module):
        hint = (f"It is called with a torch tensor {tuple(x.shape)}, of which np.asarray(x) makes an array; "
                f"the number of pictures may be any")
    return f"the model failed on an input of shape {tuple(x.shape)}: {type(error).__name__}: {first}. {hint}"


def _remedy(wants: int, x: Tensor) -> str:
    if x.shape[-1] == wants and x.dim() == 4:
        return ": channels come first, use x.permute(2, 0, 1)"
    if wants == 1:
        return ": average the channels, x.mean(-3, keepdim=True), or give the picture as an image"
    if x.shape[1] == 1:
        return f": repeat it, x.expand({wants}, -1, -1), or give the picture as an image"
    return f": give the input tensor ({wants}, H, W)"


def _channels(count: int) -> str:
    return f"{count} channel" + ("s" if count != 1 else "")


def _placed(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _parameters(model: Any) -> list[Tensor]:
    return list(model.parameters()) if isinstance(model, nn.Module) else []


def input_channels(model: Any) -> int | None:
    """How many channels the first convolution takes, or None for a model without one."""
    model = unwrap(model)
    if not isinstance(model, nn.Module):
        return None
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule) and module.original_name == "Conv2d":
            return module.weight.shape[1]
        if isinstance(module, nn.Conv2d):
            return module.in_channels
        if isinstance(
            module, nn.Linear
        ):  # pictures flattened first: a later convolution says nothing of the input
            return None
    return None


def ends_in_softmax(scores: Tensor) -> bool:
    """Whether scores `(N, K)` are already probabilities: none negative, each row sums to one."""
    if scores.dim() != 2 or scores.shape[1] < 2:
        return False
    values = scores.detach().cpu().double()
    tolerance = 1e-2 if scores.dtype in (torch.float16, torch.bfloat16) else 1e-4
    return bool((values >= 0).all() and ((values.sum(1) - 1).abs() < tolerance).all())
