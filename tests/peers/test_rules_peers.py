"""Backward rules on real architectures: hand-written backward passes, captum and shap where they are right, and the sums."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from saliency_widgets import Session
from saliency_widgets.model.backward_rules import Rewriting
from tests import networks
from tests.gate import Gate

SIZE = 64


@functools.cache
def network(name, size=SIZE, dtype=torch.float64):
    return networks.calibrated(name, size=size, dtype=dtype)


def ruled(model, x, target, rule, reference=None):
    """(gradient under the rule, coverage, the score's rise over the reference)"""
    model.requires_grad_(False)
    with Rewriting(rule, model) as active:
        if reference is not None:
            with active.recording():
                before = model(reference)[0, target]
        leaf = x.clone().requires_grad_(True)
        score = model(leaf.clone())[0, target]
        gradient, = torch.autograd.grad(score, leaf)
    return gradient[0], active.coverage, None if reference is None else float(score.detach() - before)


def close(ours, theirs, tolerance=1e-8):
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), rtol=0)


class GateModule(nn.Module):
    def __init__(self, guided):
        super().__init__()
        self.guided = guided

    def forward(self, x):
        return Gate.apply(x, self.guided)


@pytest.mark.parametrize("name, calls", [("googlenet", 57), ("densenet121", 121), ("resnet18", 17), ("squeezenet1_1", 26)])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_against_the_same_network_with_a_hand_written_backward_pass(name, calls, rule, monkeypatch):
    model, x, target = network(name)
    got, coverage, _ = ruled(model, x, target, rule)
    assert str(coverage) == f"{calls} of {calls} activation calls rewritten"
    guided = rule == "guided"
    twin = copy.deepcopy(model)
    for module in list(twin.modules()):
        for key, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, key, GateModule(guided))
    monkeypatch.setattr(F, "relu", lambda t, inplace=False: Gate.apply(t, guided))
    leaf = x.clone().requires_grad_(True)
    wanted, = torch.autograd.grad(twin(leaf)[0, target], leaf)
    monkeypatch.undo()
    close(got, wanted[0])


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", pytest.param("vgg11", marks=pytest.mark.slow),
                                  pytest.param("alexnet", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_against_captum_where_every_activation_is_a_module(name, rule):
    captum = pytest.importorskip("captum.attr", reason="pip install captum")
    model, x, target = network(name)
    theirs = {"guided": captum.GuidedBackprop, "deconvnet": captum.Deconvolution}[rule]
    twin = copy.deepcopy(model)
    close(ruled(model, x, target, rule)[0], theirs(twin).attribute(x.clone(), target=target)[0])


@pytest.mark.parametrize("name, calls", [
    ("mobilenet_v2", 35), ("efficientnet_b0", 49 + 16), ("shufflenet_v2_x0_5", 37), ("mnasnet0_5", 35), ("convnext_tiny", 18),
    ("inception_v3", 94)])
def test_coverage_is_complete_where_other_libraries_return_the_plain_gradient(name, calls):
    model, x, target = network(name, 96 if name == "inception_v3" else SIZE)
    got, coverage, _ = ruled(model, x, target, "guided")
    assert str(coverage) == f"{calls} of {calls} activation calls rewritten" and coverage.complete
    leaf = x.clone().requires_grad_(True)
    plain, = torch.autograd.grad(model(leaf.clone())[0, target], leaf)
    assert (got - plain).abs().max() > 1e-3 * got.abs().max()


QUICK = ["alexnet", "googlenet", "mobilenet_v2", "densenet121", "efficientnet_b0"]
SLOW = ["vgg11", "vgg11_bn", "resnet18", "resnet50", "resnext50_32x4d", "inception_v3", "mobilenet_v3_small",
        "mobilenet_v3_large", "mnasnet0_5", "mnasnet1_3", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "squeezenet1_0",
        "squeezenet1_1", "regnet_y_400mf", "regnet_x_400mf", "convnext_tiny", "efficientnet_b2", "efficientnet_v2_s", "swin_t",
        "swin_v2_t", "vit_b_32", "maxvit_t"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_deeplift_adds_up(name):
    size = {"inception_v3": 96, "maxvit_t": 224}.get(name, SIZE)
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.float64, 1e-8)):
        model, x, target = networks.calibrated(name, size=size, dtype=dtype)  # large ones: none is kept
        reference = networks.black_picture(size).to(dtype)
        multipliers, coverage, rise = ruled(model, x, target, "deeplift", reference)
        assert abs(float((multipliers * (x - reference)).sum()) - rise) < tolerance * abs(rise)
        assert coverage.complete and coverage.rewritten > 0 and multipliers.isfinite().all()


def plain_net():
    """Module ReLUs, each used once, and pooling without overlap: what captum and shap can do."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3),
                         nn.Sigmoid(), nn.Flatten(), nn.Linear(8 * 10 * 10, 4)).eval()


def test_against_captums_deeplift_without_pooling():
    captum = pytest.importorskip("captum.attr", reason="pip install captum")
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ELU(), nn.Conv2d(8, 8, 3), nn.Tanh(),
                          nn.Flatten(), nn.Linear(8 * 11 * 11, 4)).double().eval()
    x, x0 = torch.randn(2, 3, 30, 30, dtype=torch.float64)
    got = Session(model, x, target=2).map("deeplift", baseline=x0)
    close(got.values, captum.DeepLift(model).attribute(x[None], x0[None], target=2)[0], 1e-7)


@pytest.mark.filterwarnings("ignore")
def test_against_shaps_deep_explainer_with_one_background():
    shap = pytest.importorskip("shap", reason="pip install shap")
    model = plain_net()
    x, x0 = torch.randn(2, 3, 30, 30)
    got = Session(model, x, target=2).map("deep_shap", backgrounds=[x0])
    theirs = shap.DeepExplainer(model, x0[None]).shap_values(x[None], check_additivity=False)
    np.testing.assert_allclose(got.values, np.asarray(theirs)[0, ..., 2], atol=1e-4 * np.abs(got.values).max())
