"""SmoothGrad against plain means over its own noise, over every base, and what it keeps."""
import gc

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain, methods
from saliency_widgets.engine.store import STORE
from saliency_widgets.kernels.reference import normal
from saliency_widgets.methods.nesting import together
from saliency_widgets.methods.protocol import Draft, Round
from saliency_widgets.methods.sampling import Moments, doubling
from saliency_widgets.methods.smoothgrad import BASES
from tests.small import small, tensor


def copies(x, n, level, seed=0):
    sigma = level * float(x.max() - x.min())
    return [x + sigma * normal(seed, i, tuple(x.shape), x.dtype) for i in range(n)]


def maps(base, params=None, n=4, level=0.2, seed=0):
    """The base's own maps of each noisy copy, one by one."""
    model, x = small(), tensor()
    target = Session(model, x).target
    return np.stack([explain(model, copy, base, target=target, mean=(0,) * 3, std=(1,) * 3, **(params or {})).values
                     for copy in copies(x, n, level, seed)])


def smooth(session=None, **params):
    session = session or Session(small(), tensor(), mean=(0,) * 3, std=(1,) * 3)
    return session.map("smoothgrad", **{"n": 4, "level": 0.2, **params})


def test_it_is_the_mean_over_its_noise():
    wanted = maps("gradient", seed=3).mean(0)
    np.testing.assert_allclose(smooth(seed=3).values, wanted, atol=1e-12 * np.abs(wanted).max())


def test_squared_and_variance():
    single = maps("gradient")
    squared, variance = smooth(variant="squared"), smooth(variant="variance")
    np.testing.assert_allclose(squared.values, (single ** 2).mean(0), atol=1e-12)
    np.testing.assert_allclose(variance.values, single.var(0), atol=1e-12)
    assert squared.unit == variance.unit == "(logit per input unit)²"
    assert smooth(base="gradient_x_input", variant="squared").unit == "logit²"


@pytest.mark.parametrize("base, params", [
    ("gradient_x_input", {}), ("integrated_gradients", {"steps": 5}), ("integrated_gradients", {"steps": 6, "rule": "adaptive"}),
    ("integrated_gradients", {"steps": 3, "rule": "midpoint", "multiply": False}), ("blur_ig", {"steps": 5, "sigma": (1, 9)}),
    ("blur_ig", {"rule": "pair"}), ("guided_ig", {"steps": 4}),
    ("expected_gradients", {"n": 3, "backgrounds": ["black", "white"]})])
def test_any_base_runs_on_the_noisy_pictures(base, params):
    wanted = maps(base, params).mean(0)
    got = smooth(base=base, base_params=params)
    np.testing.assert_allclose(got.values, wanted, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("base", BASES)
def test_no_noise_is_the_base_itself(base):
    if base not in methods():
        pytest.skip(f"needs the method {base}")
    params = {p.name: 3 for p in methods()[base].parameters if p.name in ("steps", "n")}
    session = Session(small(), tensor())
    got, alone = session.map("smoothgrad", base=base, base_params=params, level=0.0), session.map(base, **params)
    np.testing.assert_array_equal(got.values, alone.values)
    assert (got.unit, got.coverage) == (alone.unit, alone.coverage) and any("σ is 0" in w for w in got.warnings)
    noisy = session.map("smoothgrad", base=base, base_params=params, n=2)
    assert noisy.coverage == alone.coverage
    if base != "deconvnet":  # which sees the picture only where it is max-pooled
        assert np.abs(noisy.values - alone.values).max() > 0


def test_raising_n_adds_samples():
    session = Session(small(), tensor())
    smooth(session, n=10)
    assert session.stats.backward_samples == 10
    more = smooth(session, n=16)
    assert session.stats.backward_samples == 16
    fresh = smooth(n=16).values  # on the folded copy from the first sample on: another order of the same sums
    np.testing.assert_allclose(more.values, fresh, rtol=0, atol=1e-12 * np.abs(fresh).max())
    session.stats.reset()
    for variant in ("squared", "variance"):
        smooth(session, n=16, variant=variant)
    assert session.stats.forward_samples == 0


def test_gradients_of_long_bases_are_never_kept():
    session = Session(small(), tensor(seed=4))
    gc.collect()  # models of other tests must not be forgotten meanwhile
    before, items = STORE.nbytes, len(STORE)
    smooth(session, base="integrated_gradients", base_params={"steps": 16}, n=6)
    assert session.stats.backward_samples == session.stats.plan == 17 * 6
    assert session.stats.batches <= 17 * 6 / 4 + 8  # batches fill across the copies
    assert STORE.nbytes == before and len(STORE) == items
    smooth(session, base="guided_ig", base_params={"steps": 6}, n=8)
    assert len(STORE) == items and not session.inputs._made


def test_the_standard_error_is_that_of_the_mean():
    single, got = maps("gradient", n=6), smooth(n=6)
    error = single.std(0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(got.details["standard_error"], error, atol=1e-12)
    assert got.standard_error == pytest.approx(error.sum() / np.abs(got.values).sum())
    assert got.details["sum_standard_error"] == pytest.approx(single.sum((1, 2, 3)).std(ddof=1) / np.sqrt(6))
    assert smooth(n=1).standard_error is None and smooth(variant="variance").standard_error is None


def test_the_noise_level_is_told_in_both_units():
    x = tensor()
    session = Session(small(), (x - 0.5) / 0.25, mean=(0.5,) * 3, std=(0.2, 0.25, 0.3))
    got = session.map("smoothgrad", n=2, level=0.1)
    span = float(x.max() - x.min()) / 0.25
    assert got.details["sigma"] == pytest.approx(0.1 * span) and got.details["sigma_pixels"] == pytest.approx(0.1 * span * 0.25)


def test_drafts_grow():
    session = Session(small(), tensor())
    session.run("smoothgrad", {"n": 20}, on_map=(seen := []).append)
    assert [m.final for m in seen] == [False, False, True] and [m.details["n"] for m in seen] == [8, 16, 20]


def test_what_the_base_refuses_is_refused():
    session = Session(small(), tensor())
    with pytest.raises(TypeError, match="integrated_gradients has no parameter 'step'.*'steps'"):
        session.map("smoothgrad", base="integrated_gradients", base_params={"step": 3})
    with pytest.raises(ValueError, match="base='grad_cam' does not fit"):
        session.map("smoothgrad", base="grad_cam")
    with pytest.raises(ValueError, match="infinite or NaN"):
        explain(Logarithm(), tensor((8, 8)) + 1, "smoothgrad", base="integrated_gradients", n=2, level=0.01)

    class Detached(nn.Module):
        def forward(self, x):
            return x.detach().mean((2, 3))

    with pytest.raises(ValueError, match="smoothgrad needs gradients"):
        explain(Detached(), tensor(), "smoothgrad", n=2)


class Logarithm(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)).log()


def test_empty_maps_say_why():
    class Dead(nn.Module):
        def forward(self, x):
            return torch.relu(x.mean((2, 3)) - 100)

    got = explain(Dead(), tensor(), "smoothgrad", n=3)
    assert len(got.warnings) == 1 and "zero everywhere" in got.warnings[0]
    flat = explain(small(), torch.full((3, 8, 8), 0.5, dtype=torch.float64), "smoothgrad", n=3)
    assert "of one value" in flat.warnings[0] and flat.values.any()
    assert "single copy" in smooth(n=1, variant="variance").warnings[0]


def test_generators_in_lock_step_read_their_own_slices():
    read = []

    def asking(name, rounds, skip):
        for number in range(rounds):
            reply = yield Round([f"{name}{number}a", f"{name}{number}b"])
            read.append(next(reply) if skip else list(reply))
            yield Draft(f"draft {name}{number}")

    joint, rounds, reply = together([asking("x", 2, False), asking("y", 3, True), asking("z", 0, False)]), [], None
    with pytest.raises(StopIteration) as end:
        while True:
            asked = joint.send(reply)
            rounds.append(asked.probes)
            reply = iter(asked.probes)
    assert rounds == [["x0a", "x0b", "y0a", "y0b"], ["x1a", "x1b", "y1a", "y1b"], ["y2a", "y2b"]]
    assert read == [["x0a", "x0b"], "y0a", ["x1a", "x1b"], "y1a", "y2a"]
    assert [draft and draft.values for draft in end.value.value] == ["draft x1", "draft y2", None]


def test_moments_are_numpys():
    samples = np.random.default_rng(0).normal(100, 1, (7, 2, 3)).astype(np.float32)
    moments = Moments()
    for sample in samples:
        moments.add(torch.from_numpy(sample))
    np.testing.assert_allclose(moments.mean, samples.mean(0), rtol=1e-6)
    np.testing.assert_allclose(moments.variance, samples.astype(float).var(0), rtol=1e-3)
    assert [list(stage) for stage in doubling(3)] == [[0, 1, 2]]
    assert [len(stage) for stage in doubling(20)] == [8, 8, 4]
