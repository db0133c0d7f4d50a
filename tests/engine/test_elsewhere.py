"""Every method on a device that is not the CPU: nothing is made in the wrong place, nothing read without being brought over."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session, methods
from saliency_widgets.engine import devices
from saliency_widgets.engine import subject as subject_module
from saliency_widgets.kernels import reference
from tests.elsewhere import AWAY, elsewhere
from tests.small import small, tensor
from tests.transformers import vit

SIZE = (16, 16)
CHEAP = {"integrated_gradients": {"steps": 8}, "smoothgrad": {"n": 4}, "blur_ig": {"steps": 8}, "guided_ig": {"steps": 8},
         "xrai": {"steps": 8}, "rise": {"n": 16}, "lime": {"n": 40, "count": 9}, "kernel_shap": {"n": 40, "count": 9},
         "leave_one_out": {"grid": 3}, "occlusion": {"window": 8, "stride": 8}, "interactions": {"grid": 2},
         "greedy_order": {"grid": 2}, "meaningful_perturbation": {"iterations": 4},
         "activation_maximisation": {"iterations": 4}, "expected_gradients": {"n": 8}, "deep_shap": {}}
ATTENTION = ("attention_rollout", "gradient_x_attention")
NAMES = [name for name in methods() if name not in ATTENTION]


@pytest.fixture
def away(monkeypatch):
    """The device of `tests.elsewhere` counts as one that there is."""
    usable = devices.usable
    monkeypatch.setattr(subject_module, "usable", lambda device: AWAY if torch.device(device) == AWAY else usable(device))


@pytest.fixture
def single(away, monkeypatch):
    """The same, without float64."""
    monkeypatch.setattr(devices, "SINGLE", ("mps", AWAY.type))
    monkeypatch.setattr(reference, "_single", lambda device: torch.device(device) == AWAY)


def cheap(name):
    accepted = {parameter.name for parameter in methods()[name].parameters}
    wanted = CHEAP.get(name, {})
    assert set(wanted) <= accepted, (name, accepted)
    return wanted


def both(name, model, x):
    here = Session(model, x).map(name, **cheap(name)).values
    with elsewhere(single=x.dtype == torch.float32) as device:
        session = Session(model, x, device=device)
        assert session.device == AWAY
        return here, session.map(name, **cheap(name)).values


@pytest.mark.parametrize("name", NAMES)
def test_every_method_gives_the_same_map_on_another_device(away, name):
    here, there = both(name, small(), tensor(SIZE))
    np.testing.assert_allclose(there, here, atol=1e-9 * max(abs(here).max(), 1e-30))


@pytest.mark.parametrize("name", NAMES)
def test_every_method_runs_on_a_device_without_float64(single, name):
    here, there = both(name, small().float(), tensor(SIZE).float())
    assert there.dtype == np.float32 and there.shape == here.shape and np.isfinite(there).all()


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_read_on_another_device_too(single, name):
    here, there = both(name, vit().float(), tensor((32, 32)).float())
    np.testing.assert_allclose(there, here, atol=1e-4 * abs(here).max())


def test_edits_fills_and_noise_lie_where_the_picture_does(single):
    x = tensor(SIZE).float()
    labels = np.arange(16).reshape(4, 4).repeat(4, 0).repeat(4, 1)
    whole = Session(small().float(), x)
    with elsewhere(single=True) as device:
        session = Session(small().float(), x, device=device)
        for fill in ("black", "mean", "blur", "noise", "inpaint", 0.25, torch.zeros(3, 1, 1)):
            found = session.without(labels, [5, 6], fill=fill)
            np.testing.assert_allclose(found.logits, whole.without(labels, [5, 6], fill=fill).logits, atol=1e-4)
        assert session.inputs.image.device == AWAY
        assert session.top(2)[0][0] == whole.top(2)[0][0]
        names = {layer.name: torch.ones(2, index + 1).to(device) for index, layer in enumerate(session.layers[:3])}
        arrays = devices.all_to_host(names)
        assert {name: array.shape for name, array in arrays.items()} == {name: tuple(t.shape) for name, t in names.items()}


def test_what_mixes_devices_is_caught():
    with elsewhere() as device:
        with pytest.raises(RuntimeError, match="same device"):
            torch.ones(3, device=device) + torch.ones(3)
        with pytest.raises(RuntimeError):
            torch.ones(3, device=device).numpy()
        assert float((torch.ones(3, device=device) + torch.tensor(1.0)).sum()) == 6
    with elsewhere(single=True) as device, pytest.raises(TypeError, match="float64"):
        torch.ones(3, device=device).double()


@pytest.mark.parametrize("name, words", [("completeness", {"method": "integrated_gradients", "limit": 16}), ("road", {}),
                                         ("deletion", {"points": 3, "random": 1}), ("infidelity", {}), ("linear_estimate", {})])
def test_metrics_compute_there_too(single, name, words):
    from saliency_widgets import metrics

    with elsewhere(single=True) as device:
        session = Session(small().float(), tensor(SIZE).float(), device=device)
        given = () if {"method"} & set(words) or name == "linear_estimate" else (session.map("gradient"),)
        found = getattr(metrics, name)(session, *given, **words)
        assert isinstance(found, metrics.Measure) and np.isfinite(found.value)
