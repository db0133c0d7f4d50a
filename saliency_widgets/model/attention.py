"""Attention taken apart: the softmax and products inside composite calls, and the probabilities of every attention call."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .calls import CallMode, Places, in_backward, spelling

# Calls that hand an attention's probabilities on unchanged, up to shape.
_CARRIES = {"dropout", "view", "reshape", "flatten", "unflatten", "contiguous", "to", "type", "type_as", "float", "half", "clone",
            "expand", "expand_as", "squeeze", "unsqueeze", "feature_dropout", "alpha_dropout"}
_PRODUCTS = {"matmul", "__matmul__", "baddbmm"}


def decomposed_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
                         is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """softmax(query keyᵀ · scale + mask) value, `(…, L, E)`: `scaled_dot_product_attention` in its steps, without dropout.

    Written in calls that a function mode sees one by one; arguments are those of the composite. Vaswani et al., equation 1.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = torch.matmul(query * scale, key.transpose(-2, -1))
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value)


class AttentionCapture:
    """Reads the attention probabilities of every attention call while the clone runs inside the `with` block.

    `values[name]` is `(N, heads, L, S)`, each row sums to one over S; where windows are attended to one by one (Swin) it is
    `(N, windows, heads, L, S)`. In order of the calls; `name` is the module that attends ("… (2)" for its second call), or
    "attention 1", … where no module is known. In a backward pass the gradient with respect to the probabilities goes to
    `on_gradient(name, value, gradient)` as it arrives and the value is let go; without `on_gradient` it is kept in
    `gradients[name]`. What is left in `values` then, no gradient reached.

    Found are `nn.MultiheadAttention`, `scaled_dot_product_attention`, Swin's windows, and a softmax over the last axis whose
    result (through dropout or a change of shape) is multiplied with something: attention written by hand. The model's
    numbers stay what they are up to rounding. Names of calls in order are in `names`. Code that a function mode cannot see
    (scripted, traced) gives no calls.
    """

    def __init__(self, clone: Any = None, on_gradient: Callable[[str, Tensor, Tensor], None] | None = None):
        self.values: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self.names: list[str] = []
        self._on_gradient = on_gradient
        self._places, self._mode = Places(clone), _Reader(self)
        self._open = False

    def __enter__(self) -> AttentionCapture:
        self._places.__enter__()
        self._mode.__enter__()
        self._open = True
        return self

    def __exit__(self, *error: object) -> None:
        self._open = False
        self._mode.__exit__(*error)
        self._places.__exit__(*error)
        self._mode.candidates.clear()

    def _name(self) -> str:
        place = self._places.here
        if not place:
            return f"attention {len(self.names) + 1}"
        count = sum(name == place or name.startswith(f"{place} (") for name in self.names)
        return f"{place} ({count + 1})" if count else place

    def _shape(self, probabilities: Tensor) -> tuple[int, ...]:
        """The shape with the batch, windows and heads apart."""
        shape = tuple(probabilities.shape)
        if len(shape) == 3:  # (N · heads, L, S) inside of a composite that knows them, else one head
            shape = (*(self._mode.heads() or (shape[0], 1)), *shape[1:])
        elif len(shape) == 2:
            shape = (1, 1, *shape)
        batch = self._places.batch
        if len(shape) == 4 and batch and shape[0] > batch and shape[0] % batch == 0:
            shape = (batch, shape[0] // batch, *shape[1:])
        return shape

    def found(self, probabilities: Tensor) -> None:
        """An attention call used these probabilities; no other tensor is to be made of them in place from here on."""
        name, shape = self._name(), self._shape(probabilities)
        self.names.append(name)
        self.values[name] = probabilities.detach().clone().view(shape)
        if probabilities.requires_grad:
            probabilities.register_hook(lambda gradient: self._arrived(name, gradient.detach().reshape(shape)))

    def _arrived(self, name: str, gradient: Tensor) -> None:
        if not self._open:
            return
        if self._on_gradient is None:
            self.gradients[name] = gradient.clone()
        else:
            self._on_gradient(name, self.values.pop(name), gradient)


class _Reader(CallMode):
    """Follows each softmax over the last axis to the product that uses it."""

    def __init__(self, capture: AttentionCapture):
        super().__init__()
        self.capture = capture
        self.candidates: dict[int, tuple[Tensor, Tensor]] = {}  # id → (the tensor, held so that ids stay theirs; its softmax)

    def call(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        name, in_place = spelling(function)
        if name == "scaled_dot_product_attention" and kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0) == 0.0:
            with self:
                return decomposed_attention(*args, **kwargs)
        result = function(*args, **kwargs)
        if not in_backward():
            self._follow(name, in_place, args, kwargs, result)
        return result

    def heads(self) -> tuple[int, int] | None:
        """Batch and heads of the multi-head attention that is running."""
        for function, args in reversed(self.open):
            if function.__name__ == "multi_head_attention_forward":
                return args[0].shape[1] if args[0].dim() == 3 else 1, args[4]
        return None

    def _follow(self, name: str, in_place: bool, args: tuple, kwargs: dict, result: Any) -> None:
        if name in ("softmax", "_safe_softmax") and isinstance(result, Tensor) and result.dim() >= 2:
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if axis in (-1, result.dim() - 1):
                self.candidates[id(result)] = result, result
            return
        known = self._candidate(args[0]) if args else None
        if name in _CARRIES and known is not None and isinstance(result, Tensor) and not in_place:
            self.candidates.setdefault(id(result), (result, known))
        elif name in _PRODUCTS or name == "einsum":
            factors = args[1:] if name in ("einsum", "baddbmm") else args[:2]
            factors = factors[0] if factors and isinstance(factors[0], (tuple, list)) else factors
            for factor in factors:
                known = self._candidate(factor)
                if known is not None:
                    self.capture.found(known)
                    self.candidates = {k: c for k, c in self.candidates.items() if c[1] is not known}

    def _candidate(self, value: Any) -> Tensor | None:
        held = self.candidates.get(id(value))
        return None if held is None else held[1]
