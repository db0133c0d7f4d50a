"""Live oracle: the grad-cam library's raw maps, at layers that nothing in place follows (elsewhere it reads what was
overwritten), in float64.

The library adds 1e-6 and 1e-7 below its fractions and rounds some results to float32; scores are scaled up so that neither
shows.
"""
import functools

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session
from tests.networks import calibrated
from tests.small import small, tensor
from tests.transformers import vit

library = pytest.importorskip("pytorch_grad_cam", reason="pip install grad-cam")
targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", reason="pip install grad-cam")

PEERS = {"grad_cam": library.GradCAM, "grad_cam_plus_plus": library.GradCAMPlusPlus, "hires_cam": library.HiResCAM,
         "layer_cam": library.LayerCAM, "xgrad_cam": library.XGradCAM, "eigen_cam": library.EigenCAM}
SCALE = 1e6


class Scaled(nn.Module):
    """A network with its scores scaled up."""

    def __init__(self, inner, scale=SCALE):
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, x):
        return self.scale * self.inner(x)


@functools.cache
def real(name):
    model, x, _ = calibrated(name, 64)
    return model, x[0]


# name: its network and input, a layer that nothing in place follows, and how the library is told to see tokens
CASES = {
    "small": (lambda: (small(), tensor()), "conv1", None),
    "resnet18": (lambda: real("resnet18"), "layer4", None),
    "resnet18 early": (lambda: real("resnet18"), "maxpool", None),
    "squeezenet": (lambda: real("squeezenet1_0"), "features.12", None),
    "vit": (lambda: (vit(), tensor()), "encoder.layers.encoder_layer_1.ln_1",
            lambda t: t[:, 1:].transpose(1, 2).reshape(len(t), -1, 4, 4)),
}


@functools.cache
def network(case):
    make, layer, reshape = CASES[case]
    inner, x = make()
    model = Scaled(inner).eval()
    with torch.no_grad():
        target = int(model(x[None])[0].argmax())
    return model, x, layer, reshape, target, Session(model, x, target=target)


def raw(peer, case):
    """The library's `get_cam_image`: before its ReLU, scaling and enlarging."""
    model, x, layer, reshape, target, _ = network(case)
    with peer(model, [model.inner.get_submodule(layer)], reshape) as cam:
        chosen = [targets.ClassifierOutputTarget(target)]
        cam(x[None].clone(), chosen)
        read = cam.activations_and_grads
        gradients = read.gradients[0].numpy() if read.gradients else None
        return cam.get_cam_image(x[None], cam.target_layers[0], chosen, read.activations[0].numpy(), gradients, False)[0]


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("case", CASES)
def test_raw_maps(case, name):
    theirs = raw(PEERS[name], case)
    ours = network(case)[-1].map(name, layer=f"inner.{network(case)[2]}").values[0]
    if name == "eigen_cam" and (ours * theirs).sum() < 0:
        theirs = -theirs  # a singular vector has no sign
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_score_cam_at_full_resolution():
    """Where a layer is as large as the picture, the libraries' ways of enlarging are the same: none."""
    model, x = small(), tensor()
    ours = Session(model, x, target=2).map("score_cam", layer="conv1").values[0]
    with library.ScoreCAM(model, [model.conv1]) as cam, torch.no_grad():
        chosen = [targets.ClassifierOutputTarget(2)]
        activations = model.conv1(x[None]).numpy()
        cam.batch_size = 8
        theirs = cam.get_cam_image(x[None], model.conv1, chosen, activations, None, False)[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
