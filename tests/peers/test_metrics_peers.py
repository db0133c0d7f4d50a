"""Live oracle: captum.metrics over the very same perturbations, in float64 at 1e-5."""
import functools

import numpy as np
import pytest
import torch

from saliency_widgets import Session
from saliency_widgets.engine.probe import Image, Noisy, Shaken, Without
from saliency_widgets.metrics import infidelity, sensitivity, sensitivity_max
from saliency_widgets.metrics.infidelity import DRAWS
from saliency_widgets.regions import grid
from tests.networks import calibrated
from tests.small import small, tensor

captum_metrics = pytest.importorskip("captum.metrics", reason="pip install captum")
captum_attr = pytest.importorskip("captum.attr", reason="pip install captum")
NETWORKS = ["small", "smooth", "resnet18"]
N = 8


@functools.cache
def network(name):
    """A network, its input `(1, 3, H, W)`, the class, and a session on them."""
    if name == "resnet18":
        model, x, target = calibrated(name, size=64)
    else:
        model, x, target = small(smooth=name == "smooth"), tensor()[None], 1
    return model, x, target, Session(model, x, target=target)


def handing_out(*draws):
    """A perturb_func that gives our draws instead of drawing."""
    return lambda inputs, *baselines: tuple(draws) if len(draws) > 1 else draws[0]


def close(ours, theirs):
    print(f"ours {ours.value:.12g}, captum {theirs.item():.12g}, off by {abs(ours.value / theirs.item() - 1):.1e}")
    assert theirs.item() > 0 and ours.value == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", ["gradient", "guided_backprop"])
@pytest.mark.parametrize("name", NETWORKS)
def test_infidelity_under_noise(name, method, normalize):
    model, x, target, session = network(name)
    ours = infidelity(session, session.map(method), n=N, level=0.1, seed=3, normalize=normalize)
    pictures = torch.stack([session.inputs.tensor(Noisy(Image(), 3, DRAWS + i, ours.details["sigma"])) for i in range(N)])
    phi = torch.from_numpy(session.map(method).values)[None]
    close(ours, captum_metrics.infidelity(model, handing_out(x - pictures, pictures), x, phi, target=target,
                                          n_perturb_samples=N, normalize=normalize))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_infidelity_of_parts_under_replaced_regions(name, normalize):
    """captum's own decorator turns the pictures into perturbations: the change as a share of that to the baseline."""
    model, x, target, session = network(name)
    m = session.map("integrated_gradients", steps=16, baseline="white")
    labels = grid(tuple(x.shape[2:]), 5, 4)
    ours = infidelity(session, m, n=N, regions=labels, share=0.4, normalize=normalize)
    fill, registered = session.inputs.fill("white"), session.inputs.add_labels(labels)
    pictures = session.inputs.batch([Without(registered, tuple(np.flatnonzero(gone)), fill) for gone in ours.details["gone"]])
    perturb = captum_metrics.infidelity_perturb_func_decorator(True)(lambda inputs, baselines: pictures)
    close(ours, captum_metrics.infidelity(
        model, perturb, x, torch.from_numpy(m.values)[None], baselines=session.inputs.filled(fill)[None], target=target,
        n_perturb_samples=N, normalize=normalize))


# captum's guided rule reaches activation modules only: of these networks resnet18 has no others.
@pytest.mark.parametrize("name, method", [*((name, "gradient") for name in NETWORKS), ("resnet18", "guided_backprop")])
def test_sensitivity_max(name, method):
    model, x, target, session = network(name)
    theirs = {"gradient": functools.partial(captum_attr.Saliency(model).attribute, abs=False),
              "guided_backprop": captum_attr.GuidedBackprop(model).attribute}[method]
    ours = sensitivity_max(session, method, n=N, radius=0.03, seed=2)
    pictures = torch.stack([session.inputs.tensor(Shaken(Image(), 2, sensitivity.DRAWS + i, 0.03)) for i in range(N)])
    assert float((pictures - x).abs().max()) <= 0.03
    close(ours, captum_metrics.sensitivity_max(theirs, x, handing_out(pictures), n_perturb_samples=N, target=target))


@pytest.mark.parametrize("name", NETWORKS)
def test_sensitivity_max_of_integrated_gradients(name):
    model, x, target, session = network(name)
    zero = torch.zeros(1, 1, 1)
    ours = sensitivity_max(session, "integrated_gradients", n=3, radius=0.03, steps=4, rule="midpoint", baseline=zero)
    pictures = torch.stack([session.inputs.tensor(Shaken(Image(), 0, sensitivity.DRAWS + i, 0.03)) for i in range(3)])
    theirs = functools.partial(captum_attr.IntegratedGradients(model).attribute, n_steps=4, method="riemann_middle")
    close(ours, captum_metrics.sensitivity_max(theirs, x, handing_out(pictures), n_perturb_samples=3, target=target))
