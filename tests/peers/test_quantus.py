"""Live oracle, where it is installed: Quantus over the very same perturbations, in float64 at 1e-5."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session
from saliency_widgets.engine.probe import Image, Noisy, Shaken
from saliency_widgets.metrics import energy, infidelity, pointing_game, sensitivity_max
from saliency_widgets.metrics.infidelity import DRAWS
from saliency_widgets.metrics.road import imputed
from saliency_widgets.metrics.sensitivity import DRAWS as SHAKEN
from tests.small import small, tensor

# Its own requirements would replace opencv; it needs none of them here.
quantus = pytest.importorskip("quantus", reason="pip install --no-deps quantus")
TARGET = 2


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), target=TARGET, mean=(0,) * 3, std=(1,) * 3)


class Widened(torch.nn.Module):
    """The network for inputs that Quantus makes float32."""

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        return self.inner(x.double())


def handing_out(pictures):
    """A perturb_func that gives our pictures instead of drawing."""
    left = iter(pictures)
    return lambda arr, indices=None, **more: next(left).numpy().reshape(arr.shape)


def asked(metric, session, m, **more):
    found = metric(model=Widened().eval(), x_batch=tensor()[None].numpy(), y_batch=np.array([TARGET]),
                   a_batch=m.values[None].copy(), softmax=False, channel_first=True, device="cpu", **more)
    return float(np.ravel(found)[0])


def test_infidelity(session):
    m = session.map("gradient")
    ours = infidelity(session, m, n=16)  # as many as it has patches of 8 pixels
    pictures = [session.inputs.tensor(Noisy(Image(), 0, DRAWS + i, ours.details["sigma"])) for i in range(16)]
    theirs = asked(quantus.Infidelity(perturb_func=handing_out(pictures), perturb_patch_sizes=[8], n_perturb_samples=1,
                                      disable_warnings=True), session, m)
    assert theirs > 0 and ours.value == pytest.approx(theirs, rel=1e-5)


def test_max_sensitivity(session):
    m = session.map("gradient")
    ours = sensitivity_max(session, "gradient", n=5, radius=0.05)
    pictures = [session.inputs.tensor(Shaken(Image(), 0, SHAKEN + i, 0.05)) for i in range(5)]

    def explain(model, inputs, targets, **more):
        x = torch.as_tensor(np.asarray(inputs), dtype=torch.float64).requires_grad_()
        model(x)[torch.arange(len(x)), torch.as_tensor(targets)].sum().backward()
        return x.grad.numpy()

    theirs = asked(quantus.MaxSensitivity(nr_samples=5, perturb_func=handing_out(pictures), disable_warnings=True,
                                          lower_bound=0.05), session, m, explain_func=explain)
    assert theirs > 0 and ours.value == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.8])
def test_the_imputation_of_road(share):
    from quantus.functions.perturb_func import noisy_linear_imputation

    x, removed = tensor((16, 20)), np.random.default_rng(1).random((16, 20)) < share
    theirs = noisy_linear_imputation(x.numpy(), np.flatnonzero(removed), noise=0.0)
    np.testing.assert_allclose(imputed(x, removed).numpy(), theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["gradient", "grad_cam", "integrated_gradients", "leave_one_out"])
def test_pointing_game_and_energy(session, name):
    heat = session.map(name, target=TARGET).heatmap(size=(32, 32)).astype(float)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mask = np.zeros((32, 32), bool)
        top, left = rng.integers(0, 16, 2)
        mask[top:top + 16, left:left + 16] = True
        said = dict(model=None, x_batch=np.zeros((1, 1, 32, 32)), y_batch=np.array([0]), s_batch=mask[None, None],
                    channel_first=True)
        hit = quantus.PointingGame(abs=False, normalise=False, disable_warnings=True)(a_batch=heat[None, None].copy(), **said)
        if (heat == heat.max()).sum() == 1:
            assert pointing_game(heat, mask, tolerance=0).value == float(np.ravel(hit)[0])
        mass = quantus.RelevanceMassAccuracy(abs=False, normalise=False, disable_warnings=True)(
            a_batch=np.maximum(heat, 0)[None, None].copy(), **said)
        assert energy(heat, mask).value == pytest.approx(float(np.ravel(mass)[0]), rel=1e-9)
