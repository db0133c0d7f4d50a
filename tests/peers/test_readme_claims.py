"""What the README says of other libraries, in the versions at hand: each line that it marks ✓ is one test here."""
import re
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from saliency_widgets import Session
from tests.small import tensor

SECTION = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8").split("## Beside other libraries")[1]


class Functional(nn.Module):
    """Two convolutions, and a ReLU that is a call of a function."""

    def __init__(self, act=F.relu):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.conv1, self.conv2, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)
        self.act = act

    def forward(self, x):
        return self.head(self.act(self.conv2(self.act(self.conv1(x)))).mean((2, 3)))


@pytest.fixture
def network():
    return Functional().eval()


@pytest.fixture
def x():
    return tensor((24, 24), dtype=torch.float32)[None]


def plain_gradient(model, x):
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.grad(model(leaf)[0, 1], leaf)[0].numpy()


def ours(model, x, method, **params):
    return Session(model, x, target=1).map(method, **params)


def same(a, b):
    return np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


def claimed(library, package, module):
    """Import a module of a package; a skip where it is missing or not of the version that the README speaks of."""
    said = re.search(rf"\[{library}\]\([^)]*\) ([\d.]+\d)", SECTION)[1]
    found = pytest.importorskip(module, reason=f"pip install {package}")
    if version(package) != said:
        pytest.skip(f"the README speaks of {package} {said}, here is {version(package)}")
    return found


def test_our_rule_reaches_a_function(network, x):
    m = ours(network, x, "guided_backprop")
    assert m.coverage.startswith("2 of 2") and not same(m.values[None], plain_gradient(network, x))


def test_captum_has_no_insights():
    claimed("Captum", "captum", "captum")
    assert find_spec("captum.insights") is None


def test_captum_guided_backprop_passes_over_functions(network, x):
    captum = claimed("Captum", "captum", "captum.attr")
    theirs = captum.GuidedBackprop(network).attribute(x.clone(), target=1).detach().numpy()
    assert same(theirs, plain_gradient(network, x))


def test_captum_deeplift_is_wrong_on_functions(network, x):
    captum = claimed("Captum", "captum", "captum.attr")
    black = torch.zeros_like(x)
    with torch.no_grad():
        difference = float(network(x)[0, 1] - network(black)[0, 1])
    theirs = float(captum.DeepLift(network).attribute(x.clone(), black, target=1).detach().sum())
    mine = ours(network, x, "deeplift", baseline="black")
    assert abs(float(mine.values.sum()) - difference) < 1e-4 * abs(difference)
    assert abs(theirs - difference) > 0.01 * abs(difference)


def test_grad_cam_averages_the_layers(network, x):
    library = claimed("pytorch-grad-cam", "grad-cam", "pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with library.GradCAM(model=network, target_layers=[network.conv1, network.conv2]) as cam:
        got = cam(input_tensor=x, targets=[ClassifierOutputTarget(1)])
    assert got.shape == (1, 24, 24), "two layers, one map"


def test_grad_cam_guided_backprop_passes_over_functions(network, x):
    guided = claimed("pytorch-grad-cam", "grad-cam", "pytorch_grad_cam").GuidedBackpropReLUModel(model=network, device="cpu")
    assert same(guided(x.clone(), target_category=1).transpose(2, 0, 1)[None], plain_gradient(network, x))


def test_grad_cam_guided_backprop_leaves_other_modules_behind(x):
    library = claimed("pytorch-grad-cam", "grad-cam", "pytorch_grad_cam")
    model = Functional(nn.ReLU(inplace=True)).eval()
    before = model.act
    library.GuidedBackpropReLUModel(model=model, device="cpu")(x.clone(), target_category=1)
    assert model.act is not before and not model.act.inplace
    model = Functional(nn.ReLU(inplace=True)).eval()
    before = model.act
    ours(model, x, "guided_backprop")
    assert model.act is before and model.act.inplace, "ours comes back untouched"


def test_pair_has_no_guided_backprop():
    core = claimed("PAIR saliency", "saliency", "saliency.core")
    assert not [name for name in dir(core) if "guided" in name.lower() and "ig" not in name.lower()]


def test_shap_passes_over_functions_and_stops(network, x):
    shap = claimed("SHAP", "shap", "shap")
    explainer = shap.DeepExplainer(network, torch.zeros_like(x))
    with pytest.raises(AssertionError, match="do not sum up"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer.shap_values(x.clone())


def test_zennit_passes_over_functions(network, x):
    zennit = claimed("zennit", "zennit", "zennit.composites")
    attribution = pytest.importorskip("zennit.attribution")
    with attribution.Gradient(network, zennit.GuidedBackprop()) as attributor:
        _, theirs = attributor(x.clone(), torch.eye(4)[[1]])
    assert same(theirs.numpy(), plain_gradient(network, x))
