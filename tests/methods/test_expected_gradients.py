"""Expected gradients against a plain loop, completeness as a statistical test, and layers."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session, explain
from saliency_widgets.kernels.reference import normal, uniform
from tests.small import small, tensor
from tests.teaching import Function

PICTURES = [tensor(seed=s) for s in (7, 8, 9)]


def draws(n, count, seed=0):
    """The background's number and t of each draw, as the method makes them."""
    for number in range(n):
        which, t = uniform(seed, number, 2).tolist()
        yield number, int(which * count), t


def gradient(model, x, target, at=None):
    """The gradient with respect to the input, or to a module's output."""
    leaf, seen = x.clone().requires_grad_(True), []
    # A copy goes on, because what follows may change it in place.
    handle = at.register_forward_hook(lambda module, args, out: seen.append(out) or out.clone()) if at else None
    score = model(leaf[None])[0, target]
    if handle:
        handle.remove()
    return torch.autograd.grad(score, seen[0] if at else leaf)[0].squeeze(0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_it_is_the_mean_over_its_draws(smoothing):
    model, x = small(), tensor()
    got = explain(model, x, "expected_gradients", n=12, backgrounds=PICTURES, smoothing=smoothing, seed=2)
    samples = []
    for number, which, t in draws(12, 3, seed=2):
        noisy = x + smoothing * normal(2, (1 << 32) + number, tuple(x.shape), x.dtype)
        point = PICTURES[which] + t * (noisy - PICTURES[which])
        samples.append(((noisy - PICTURES[which]) * gradient(model, point, got.target)).numpy())
    wanted = np.mean(samples, 0)
    np.testing.assert_allclose(got.values, wanted, atol=1e-12 * np.abs(wanted).max())
    error = np.std(samples, 0, ddof=1) / np.sqrt(12)
    np.testing.assert_allclose(got.details["standard_error"], error, atol=1e-12)
    assert got.standard_error == pytest.approx(error.sum() / np.abs(wanted).sum())
    assert got.details["sum_standard_error"] == pytest.approx(np.std([s.sum() for s in samples], ddof=1) / np.sqrt(12))
    assert got.unit == "logit"


def test_it_is_complete_within_three_standard_errors():
    session = Session(small(), tensor())
    within = []
    for seed in range(8):
        got = session.map("expected_gradients", n=60, backgrounds=PICTURES, seed=seed)
        with torch.no_grad():
            scores = [float(session.subject.clone(p[None])[0, got.target]) for p in (tensor(), *PICTURES)]
        rise = scores[0] - np.mean(scores[1:])
        assert got.details["rise"] == pytest.approx(rise)
        assert got.residual == pytest.approx((got.values.sum() - rise) / abs(rise), abs=1e-9)
        within.append(abs(got.values.sum() - rise) < 3 * got.details["sum_standard_error"])
    assert all(within)  # one in 370 misses by chance, and these seeds are fixed


def test_with_one_background_it_nears_integrated_gradients():
    session = Session(small(smooth=True), tensor())
    path = session.map("integrated_gradients", steps=128).values
    got = session.map("expected_gradients", n=400, backgrounds=["black"])
    distance = np.abs(got.values - path)
    assert (distance < 4 * got.details["standard_error"] + 1e-12).mean() > 0.99


def test_raising_n_adds_samples():
    session = Session(small(), tensor())
    few = session.map("expected_gradients", n=10, backgrounds=PICTURES)
    assert session.stats.backward_samples == 10 and session.stats.forward_samples == session.stats.plan == 14
    session.stats.reset()
    session.map("expected_gradients", n=25, backgrounds=PICTURES)
    assert session.stats.forward_samples == session.stats.backward_samples == 15
    session.stats.reset()
    again = session.map("expected_gradients", n=10, backgrounds=PICTURES)
    assert session.stats.forward_samples == 0
    np.testing.assert_array_equal(again.values, few.values)
    session.run("expected_gradients", {"n": 60, "backgrounds": PICTURES, "seed": 5}, on_map=(seen := []).append)
    assert [m.details["n"] for m in seen] == [8, 16, 32, 60]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_at_a_layer_it_multiplies_the_change_of_its_activations(smoothing):
    model, x = small(), tensor()
    session = Session(model, x)
    got = session.map("expected_gradients", layer="conv2", n=9, backgrounds=PICTURES, smoothing=smoothing)
    assert session.stats.forward_samples <= session.stats.plan
    samples = []
    for number, which, t in draws(9, 3):
        noisy = x + smoothing * normal(0, (1 << 32) + number, tuple(x.shape), x.dtype)
        with torch.no_grad():
            ours, theirs = (model.conv2(model.act(model.norm(model.conv1(p[None])))) for p in (noisy, PICTURES[which]))
        point = PICTURES[which] + t * (noisy - PICTURES[which])
        samples.append(((ours - theirs)[0] * gradient(model, point, got.target, model.conv2)).numpy())
    wanted = np.mean(samples, 0)
    np.testing.assert_allclose(got.details["channels"], wanted, atol=1e-12 * np.abs(wanted).max())
    np.testing.assert_allclose(got.values, wanted.sum(0)[None], atol=1e-11 * np.abs(wanted).max())
    assert got.values.shape == (1, 16, 16) and got.details["layer"] == "conv2" and got.residual is None
    assert got.details["standard_error"].shape == (1, 16, 16)


def test_which_backgrounds_were_used_is_said():
    session = Session(small(), tensor())
    named = session.map("expected_gradients", n=2)
    assert named.details["backgrounds"] in named.warnings and "black" in named.details["backgrounds"]
    given = session.map("expected_gradients", n=2, backgrounds=torch.stack(PICTURES))
    assert "3 backgrounds" in given.details["backgrounds"]
    own = Session(small(), tensor(), backgrounds=torch.stack(PICTURES)).map("expected_gradients", n=2)
    np.testing.assert_array_equal(own.values, given.values)


def test_reasons_and_refusals():
    x = tensor()
    session = Session(small(), x)
    same = session.map("expected_gradients", n=3, backgrounds=[x])
    assert not same.values.any() and "backgrounds equal the picture" in same.warnings[-1]
    with pytest.raises(ValueError, match="at least one background"):
        session.map("expected_gradients", backgrounds=[])
    with pytest.raises(LookupError, match="conv9"):
        session.map("expected_gradients", layer="conv9")
    with pytest.raises(ValueError, match="without positions"):
        session.map("expected_gradients", layer="head")
    with pytest.raises(ValueError, match="infinite or NaN.*leave it out"):
        explain(Function(lambda x: (x.std(1) - 0.1).sqrt()), tensor((16, 16)), "expected_gradients", backgrounds=["black"])


def test_a_noise_background_is_drawn_by_the_seed():
    session = Session(small(), tensor())
    got = session.map("expected_gradients", n=1, backgrounds=["noise"], seed=5)
    baseline = session.inputs.filled(session.inputs.fill("noise", 5))
    (_, _, t), = draws(1, 1, 5)
    wanted = (tensor() - baseline) * gradient(session.subject.clone, baseline + t * (tensor() - baseline), got.target)
    np.testing.assert_allclose(got.values, wanted.numpy(), atol=1e-12)
