"""Grad-CAM against its formula, published values, and the promise of all layers from one evaluation."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from tests.small import small, tensor


class OneConv(nn.Module):
    """The test network whose Grad-CAM values METHODS lists."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.relu1 = nn.ReLU()
        self.fc = nn.Linear(8, 1)
        with torch.no_grad():
            self.conv1.weight.fill_(1)
            self.conv1.bias.copy_(torch.tensor([-50.0, -75.0]))
            self.fc.weight.copy_(torch.tensor([[1.0] * 5 + [-1.0] * 3]))
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(self.relu1(self.conv1(x)).flatten(1))


def test_values_that_must_be_reproduced():
    model, x = OneConv().double(), torch.arange(16, dtype=torch.float64).view(1, 4, 4)
    session = Session(model, x)
    wanted = {"conv1": [[11.25, 13.5], [20.25, 22.5]], "relu1": [[0, 4], [28, 32.5]]}
    for layer, values in wanted.items():
        got = session.map("grad_cam", layer=layer).heatmap(sign="positive")
        np.testing.assert_allclose(got, values, atol=1e-6)


def test_all_layers_come_from_one_forward_and_backward():
    session = Session(small(), tensor())
    for layer in session.cam_layers:
        got = session.map("grad_cam", layer=layer.name)
        assert got.values.shape == (1, *layer.shape[1:])
    assert session.stats.forward_samples == session.stats.backward_samples == 1
    for layer in session.cam_layers:
        session.map("grad_cam", layer=layer.name, gradients="guided")
    assert session.stats.forward_samples == session.stats.backward_samples == 2
    assert set(got.details["maps"]) == {layer.name for layer in session.cam_layers}


@pytest.mark.parametrize("gradients", ["all", "guided"])
def test_it_is_its_formula_also_before_an_in_place_activation(gradients):
    model, x = small(), tensor()
    got = Session(model, x).map("grad_cam", layer="norm", gradients=gradients, target=1)
    activation = model.norm(model.conv1(x[None])).detach().requires_grad_(True)
    hidden = torch.relu(model.conv2(torch.relu(activation)))
    gradient, = torch.autograd.grad(model.head(hidden.mean((2, 3)))[0, 1], activation)
    if gradients == "guided":
        gradient = gradient * (activation > 0) * (gradient > 0)
    wanted = (gradient.mean((2, 3), keepdim=True) * activation).sum(1)[0]
    np.testing.assert_allclose(got.values[0], wanted.detach().numpy(), atol=1e-12)


def test_aliases_name_the_same_layer_and_wrong_layers_are_refused():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    session = Session(model, tensor(dtype=torch.float32))
    np.testing.assert_array_equal(session.map("grad_cam").values, session.map("grad_cam", layer="0.1").values)
    assert session.stats.forward_samples == 1
    with pytest.raises(LookupError, match="0.7"):
        session.map("grad_cam", layer="0.7")
    with pytest.raises(ValueError, match="without positions"):
        session.map("grad_cam", layer="3")


def test_a_model_without_positions_says_what_to_use():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    with pytest.raises(ValueError, match="no layer with positions.*leave_one_out"):
        explain(model, tensor(dtype=torch.float32), "grad_cam")


def test_a_map_without_positive_values_says_so():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[4].weight.fill_(-1)
        model[0].bias.fill_(1)
    assert "negative" in explain(model, tensor(dtype=torch.float32), "grad_cam", target=0).warnings[0]


def test_a_layer_that_the_score_does_not_depend_on_has_a_zero_map_with_its_reason():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.aside = small(), nn.Conv2d(3, 2, 3).double()

        def forward(self, x):
            self.aside(x)
            return self.inner(x)

    got = explain(Aside(), tensor(), "grad_cam", layer="aside")
    assert not got.values.any() and "no gradient at this layer" in got.warnings[0]


def test_no_relu_follows_guided_gradients():
    session = Session(small(), tensor())
    plain, guided = (session.map("grad_cam", gradients=kind) for kind in ("all", "guided"))
    assert (plain.default_sign, guided.default_sign) == ("positive", "both")
    assert session.stats.forward_samples == 2
