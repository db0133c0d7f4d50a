"""Layer-wise relevance propagation: the score handed back layer by layer, each share in proportion to what was given."""
from __future__ import annotations

from collections.abc import Iterator

import torch

from ..model.lrp_rules import EPSILON, GAMMA, KINDS, rule_name
from .gradient import reason_for_zero
from .parameters import Parameter
from .protocol import Context, Draft, Round
from .registry import method

UNEXPLAINED = 0.01  # a sum further than this share from the score is put into words


@method("lrp", title="LRP", family="gradient", rank=5, cost="1 evaluation", gradients=True,
        warning="relevance follows the picture's own values, which so show through; gradient leaves them out",
        paper="Bach et al.: On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation, "
              "PLoS ONE 10(7), 2015; Montavon et al.: Layer-Wise Relevance Propagation: An Overview, 2019; "
              "Achtibat et al.: AttnLRP, arXiv 2402.05602",
        parameters=(
            Parameter("rule", "choice", "composite", "composite: zᴮ at the pixels, γ in convolutions, ε in linear layers",
                      choices=KINDS),
            Parameter("epsilon", "float", EPSILON, "ε: how much the weakest outputs are damped", minimum=0.0, maximum=1.0),
            Parameter("gamma", "float", GAMMA, "γ: how much positive contributions are favoured", minimum=0.0, maximum=10.0,
                      step=0.05)))
def lrp(context: Context, *, rule: str, epsilon: float, gamma: float) -> Iterator[Round | Draft]:
    """Relevance of every input value, `(C, H, W)` in score units, by the rules of `model.lrp_rules`.

    "composite" is zᴮ where a convolution reads the picture (for pixels 0..1), γ in the other convolutions and ε in linear
    layers (Montavon et al., section 10.3; zennit's EpsilonGammaBox); "epsilon" and "gamma" are one rule everywhere; "zplus"
    and "alpha2beta1" are these in convolutions and ε in linear layers. `residual` is (Σ − score)/|score|: zero up to ε for
    networks without biases; biases, norms and softmax keep their share. ValueError, with the operation's name, for a
    model with an operation that has no rule.
    """
    channels = context.shape[0]
    low, high = (context.inputs.picture.space.to_input(torch.full((channels, 1, 1), end, dtype=torch.float64)) for end in (0, 1))
    name = rule_name(rule, epsilon, gamma, tuple(low.flatten().tolist()), tuple(high.flatten().tolist()))
    (_, evaluation), = yield Round([context.gradient(context.image, rule=name)])
    values, score = evaluation.gradient, context.score_of(evaluation)
    warnings = reason_for_zero(values)
    coverage = evaluation.coverage
    if not coverage.complete:
        warnings += (f"{coverage}: relevance did not need {', '.join(coverage.missed)}",)
    total = float(values.sum())
    residual = (total - score) / abs(score) if score else None
    if residual is not None and abs(residual) > UNEXPLAINED and not warnings:
        warnings = (f"relevance sums to {total:.4g} of a score of {score:.4g}: biases, norms and softmax keep their share",)
    yield Draft(values, residual=residual, coverage=str(coverage), warnings=warnings)
