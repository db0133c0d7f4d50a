"""Floating-point operations of what runs, counted as it goes by.

`torch.utils.flop_counter` has the same counts, but imports all of Triton where it is installed: seconds, for a table.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def _product(a: Tensor, b: Tensor, *rest: Any, result: Any) -> int:
    return 2 * a.numel() * b.shape[-1]


def _product_added(added: Tensor, a: Tensor, b: Tensor, *rest: Any, result: Any) -> int:
    return _product(a, b, result=result)


def _convolution(x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *rest: Any,
                 result: Tensor) -> int:
    return 2 * (x if transposed else result).numel() * math.prod(weight.shape[1:])


def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, result: Any) -> int:
    return 2 * query.numel() * key.shape[-2] + 2 * math.prod(query.shape[:-1]) * key.shape[-2] * value.shape[-1]


# Operations that multiply much: the counts of everything else do not matter beside them.
COUNTS: dict[str, Callable[..., int]] = {
    "mm": _product, "bmm": _product, "addmm": _product_added, "baddbmm": _product_added,
    "convolution": _convolution, "_convolution": _convolution,
    "_scaled_dot_product_flash_attention_for_cpu": _attention, "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention, "_scaled_dot_product_cudnn_attention": _attention,
}


class Counting(TorchDispatchMode):
    """Counts floating-point operations of what runs in this thread (a hook on every module would reach the others)."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch loads its compiler at the first call: five seconds, for a model that is not compiled

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name, _, _ = function._schema.name.removeprefix("aten::").partition(".")
        if function.namespace == "aten" and name in COUNTS:
            self.flops += COUNTS[name](*args, result=result)
        return result
