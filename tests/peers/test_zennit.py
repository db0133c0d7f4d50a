"""Live oracle: zennit's rules and composites on calibrated networks, in float64 at 1e-6."""

import functools

import numpy as np
import pytest
import torch

from saliency_widgets import Session
from tests.networks import calibrated

composites = pytest.importorskip("zennit.composites", reason="pip install zennit")
attribution = pytest.importorskip("zennit.attribution")
canonizers = pytest.importorskip("zennit.torchvision")
rules = pytest.importorskip("zennit.rules")
types = pytest.importorskip("zennit.types")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STABILISER = 1e-12  # zennit adds it to every sum, we only where a rule divides


@functools.cache
def network(name):
    model, x, target = calibrated(name, size=64)
    for module in model.modules():
        # zennit's merged batch norm still divides by √(1 + eps): without an eps it is the identity that is meant.
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var += module.eps
            module.eps = 0.0
    mean, std = (torch.tensor(v, dtype=x.dtype).view(3, 1, 1) for v in (MEAN, STD))
    pixels = (x[0] * 0.2 + 0.5).clamp(0, 1)
    return model, ((pixels - mean) / std)[None], target


def low_and_high():
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    return -mean / std, (1 - mean) / std


def theirs(rule, merge):
    base, keywords = composites.layer_map_base(STABILISER), {"canonizers": [merge()]}
    numbers = {"epsilon": 1e-6, "stabilizer": STABILISER, **keywords}
    match rule:
        case "epsilon":
            return composites.LayerMapComposite([*base, (types.Linear, rules.Epsilon(1e-6))], **keywords)
        case "gamma":
            return composites.LayerMapComposite([*base, (types.Linear, rules.Gamma(0.25, stabilizer=STABILISER))], **keywords)
        case "zplus":
            return composites.EpsilonPlus(**numbers)
        case "alpha2beta1":
            return composites.EpsilonAlpha2Beta1(**numbers)
        case "composite":
            return composites.EpsilonGammaBox(*low_and_high(), **numbers)


RULES = ["composite", "epsilon", "gamma", "zplus", "alpha2beta1"]
CASES = [(name, rule) for name in ("resnet18", "squeezenet1_1") for rule in RULES]
# The linear layers of vgg11 have 120 million weights: half a minute.
HEAVY = [pytest.param("vgg11", rule, marks=pytest.mark.slow) for rule in RULES]


@pytest.mark.parametrize("name, rule", [*CASES, *HEAVY])
def test_relevance(name, rule):
    model, x, target = network(name)
    merge = canonizers.ResNetCanonizer if name.startswith("resnet") else canonizers.VGGCanonizer
    with attribution.Gradient(model, theirs(rule, merge)) as attributor:
        output, wanted = attributor(x.clone(), lambda out: out * torch.eye(out.shape[1], dtype=out.dtype)[[target]])
    got = Session(model, x, mean=MEAN, std=STD, target=target).map("lrp", rule=rule)
    np.testing.assert_allclose(got.values, wanted[0].detach(), atol=1e-6 * float(wanted.abs().max()), rtol=0)
    rewritten, _, calls, *_ = got.coverage.split()
    assert rewritten == calls
