"""Guided backpropagation and deconvnet: the gradient with only what argues for the class let through each activation."""
from __future__ import annotations

from collections.abc import Iterator

from ..engine.probe import Coverage
from .gradient import per_value, reason_for_zero
from .protocol import Context, Draft, Round
from .registry import method

RANDOMISED = ("changes little when the model's weights are randomised (arXiv 1810.03292): read it as a drawing of edges, "
              "not as evidence")


@method("guided_backprop", title="Guided backprop", family="gradient", rank=3, cost="1 evaluation", gradients=True,
        warning=RANDOMISED,
        paper="Springenberg et al.: Striving for Simplicity: The All Convolutional Net, arXiv 1412.6806")
def guided_backprop(context: Context) -> Iterator[Round | Draft]:
    """The gradient with g·[x > 0]·[g > 0] at each ReLU, `(C, H, W)`, in the gradient's unit.

    ReLU6 also asks x < 6. Smooth activations (SiLU, GELU, sigmoid, …) pass the positive part of g times their own
    derivative, a heuristic that the map's warnings name. Softmax and normalisation are no activations and keep their own
    gradient. `coverage` says how many calls were rewritten. ValueError where none could be.
    """
    yield from _ruled(context, "guided", "the gradient that is positive at every activation")


@method("deconvnet", title="Deconvnet", family="gradient", rank=4, cost="1 evaluation", gradients=True, warning=RANDOMISED,
        paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, arXiv 1311.2901")
def deconvnet(context: Context) -> Iterator[Round | Draft]:
    """The gradient with g·[g > 0] at each ReLU, whatever its input was, `(C, H, W)`, in the gradient's unit.

    Smooth activations count as in `guided_backprop`. `coverage` says how many calls were rewritten. ValueError where none
    could be.
    """
    yield from _ruled(context, "deconvnet", "the signal that deconvnet passes back")


def _ruled(context: Context, rule: str, what: str) -> Iterator[Round | Draft]:
    (_, evaluation), = yield Round([context.gradient(context.image, rule=rule)])
    values, unit = per_value(context, evaluation.gradient)
    warnings = rectified(evaluation.coverage)
    if not bool(values.any()):
        warnings += (f"the map is zero everywhere: {what} does not get to the picture",)
    reason_for_zero(values)
    yield Draft(values, unit=unit, coverage=str(evaluation.coverage), warnings=warnings)


def rectified(coverage: Coverage) -> tuple[str, ...]:
    """The same as `reached` for a rule at activations, which leaves a model without any as it is: that is said, too."""
    if not coverage.calls:
        return ("this model calls no activation function, so the map is its plain gradient",)
    return reached(coverage)


def reached(coverage: Coverage) -> tuple[str, ...]:
    """Words for what a backward rule missed, and for the calls where it is a heuristic; empty where all is as defined."""
    words = ()
    if not coverage.complete:
        words += (f"{coverage}; these kept their own gradient: {', '.join(coverage.missed)}",)
    if coverage.heuristic:
        words += (f"at {', '.join(coverage.heuristic)} the rule is a heuristic: the positive part of their own gradient",)
    return words
