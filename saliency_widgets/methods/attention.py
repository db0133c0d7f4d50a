"""Attention rollout and gradient × attention: where the tokens that a vision transformer reads come from."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine.devices import all_to_host
from ..engine.probe import Evaluation
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

_LAYER = Parameter("layer", "layer", None, "the block after which to stop; by default the last")


@dataclass(frozen=True)
class Tokens:
    """How the tokens lie: `prefix` of them, then the patches of `grid`; `read` says that the first alone is read at the end."""

    grid: tuple[int, int]
    prefix: int
    read: bool

    def map(self, relation: Tensor) -> Tensor:
        """What the token that is read has of every patch, or all patches in the mean: `(L, L)` to `(h, w)`."""
        row = relation[0] if self.read else relation[self.prefix:].mean(0)
        return row[self.prefix:].unflatten(0, self.grid)


@method("attention_rollout", title="Attention rollout", family="inside", rank=2, cost="1 forward pass", signed=False,
        warning="the same for every class: it follows attention, not what speaks for the class",
        paper="Abnar, Zuidema: Quantifying Attention Flow in Transformers, arXiv 2005.00928",
        parameters=(_LAYER,
                    Parameter("head", "choice", "mean", "how the heads of a block are put together",
                              choices=("mean", "max", "min")),
                    Parameter("discard", "float", 0.0, "share of each block's smallest attention values to leave out",
                              minimum=0.0, maximum=0.99, step=0.05)))
def attention_rollout(context: Context, *, layer: str | None, head: str, discard: float) -> Iterator[Round | Draft]:
    """Products of (A + I) / 2 over the blocks, rows summing to one, as the class token sees the patches: `(1, h, w)`.

    A is a block's attention over its heads (equation 1; half of each row stands for the skip connection). Where no class
    token is read at the end, the mean over the patches' rows. `details["maps"]` holds the map after every block.
    ValueError for a model without attention, or whose attention stays within windows; LookupError for a wrong layer.
    """
    (_, evaluation), = yield Round([context.attention((f"attention_{head}",), gradients=False)])
    blocks = _blocks(evaluation, f"attention_{head}", layer)
    tokens, relation, maps = _tokens(context, blocks), None, {}
    for name, attention in blocks:
        mixed = _kept(attention, discard) + torch.eye(len(attention)).to(attention)
        mixed = mixed / mixed.sum(1, keepdim=True)
        relation = mixed if relation is None else mixed @ relation
        maps[name] = tokens.map(relation)
    yield _draft(maps, "attention")


@method("gradient_x_attention", title="Gradient × attention", family="inside", rank=3, cost="1 evaluation", gradients=True,
        signed=False,
        paper="Chefer, Gur, Wolf: Generic Attention-model Explainability, arXiv 2103.15679",
        parameters=(_LAYER,))
def gradient_x_attention(context: Context, *, layer: str | None) -> Iterator[Round | Draft]:
    """R ← R + Ā R over the blocks from R = I, Ā = mean over heads of relu(∂score/∂A ⊙ A): `(1, h, w)` in score units.

    The rule for self-attention (equations 5 and 6), read at the class token's row without itself, or at the mean of the
    patches' rows where no class token is read. `details["maps"]` holds the map after every block; errors as for
    attention_rollout.
    """
    (_, evaluation), = yield Round([context.attention(("attention_relevance",))])
    # Gradients arrive from the last block on; a block that the score does not depend on adds nothing, wherever it stands.
    blocks = _blocks(evaluation, "attention_relevance", layer, backwards=True)
    tokens, maps = _tokens(context, blocks), {}
    relation = start = torch.eye(len(blocks[0][1])).to(blocks[0][1])
    for name, relevance in blocks:
        relation = relation + relevance @ relation
        maps[name] = tokens.map(relation - start)
    yield _draft(maps, context.score.unit)


def _blocks(evaluation: Evaluation, reduction: str, layer: str | None, backwards: bool = False) -> list[tuple[str, Tensor]]:
    """The attention of the blocks in order, `(L, L)` each, up to those in `layer` or the block around it."""
    calls = [(name, terms[reduction]) for name, terms in (evaluation.layers or {}).items()]
    calls = calls[::-1] if backwards else calls
    if not calls:
        raise ValueError("no attention ran in this model (or in code that cannot be looked into: scripted, traced): use "
                         "grad_cam or integrated_gradients")
    for name, attention in calls:
        if attention.ndim != 2:
            raise ValueError(f"attention within windows: {name!r} lets tokens of one window see one another only, so there is no "
                             f"way to follow it over the whole picture; use grad_cam, which works at this model's layers")
        if len(set((*attention.shape, len(calls[0][1])))) > 1:
            raise ValueError(f"{name!r} attends from {attention.shape[0]} tokens to {attention.shape[1]}, and the model's first "
                             f"attention has {len(calls[0][1])}: only attention among the same tokens can be followed; "
                             f"use grad_cam")
    if layer is None:
        return calls
    last = _last_within([name for name, _ in calls], layer.removeprefix("module.").removeprefix("_orig_mod."))
    if last is None:
        raise LookupError(f"no attention ran in layer {layer!r}: choose one of {', '.join(name for name, _ in calls)}, "
                          f"or a block that holds one")
    return calls[:last + 1]


def _last_within(names: Sequence[str], layer: str) -> int | None:
    """The last attention call in a layer, or in the smallest block around it that does not hold them all."""
    around = layer
    while around:
        fit = [i for i, name in enumerate(names) if name == around or name.startswith((f"{around}.", f"{around} ("))]
        if fit and (around == layer or len(fit) < len(names)):
            return fit[-1]
        around = around.rpartition(".")[0]
    return None


def _tokens(context: Context, blocks: Sequence[tuple[str, Tensor]]) -> Tokens:
    """How as many tokens as attend lie on the picture, from the layers that have as many."""
    length, fit = len(blocks[0][1]), None
    for layer in context.layers:
        if layer.spatial and layer.prefix + layer.positions[0] * layer.positions[1] == length:
            if fit is None or layer.grid is not None:
                fit = layer
    if fit is None:
        raise ValueError(f"the {length} tokens of this model's attention are no grid over the picture: use grad_cam or "
                         f"integrated_gradients")
    return Tokens(fit.positions, fit.prefix, bool(fit.prefix) and any(layer.idle for layer in context.layers))


def _kept(attention: Tensor, discard: float) -> Tensor:
    """Attention with the share `discard` of its smallest values set to zero."""
    count = int(discard * attention.numel())
    if not count:
        return attention
    flat = attention.flatten()
    return flat.scatter(0, flat.topk(count, largest=False).indices, 0).view_as(attention)


def _draft(maps: dict[str, Tensor], unit: str) -> Draft:
    name = list(maps)[-1]
    values = maps[name]
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"the attention or its gradient became infinite or NaN up to {name!r}: try another picture or score")
    warnings = ()
    if not bool(values.any()):
        warnings = ("the map is zero everywhere: no attention up to this block raises the score",)
    return Draft(values[None], unit=unit, warnings=warnings,
                 details={"layer": name, "maps": all_to_host({n: v.float() for n, v in maps.items()})})
