"""Infidelity against a plain loop over its own draws, its identities, and what it refuses."""
import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import saliency_widgets as sw
from saliency_widgets import Session
from saliency_widgets.kernels.reference import normal, uniform
from saliency_widgets.metrics import infidelity as measured
from saliency_widgets.metrics.infidelity import DRAWS, PARAMETERS, rounds
from saliency_widgets.regions import grid
from tests.small import small, tensor

LABELS = grid((32, 32), 4, 4)


class Linear(nn.Module):
    """w·x + b for each class, and a little of the square where asked."""

    def __init__(self, seed=0, bend=0.0, classes=3):
        super().__init__()
        draw = torch.randn(classes, 3 * 8 * 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.weight, self.bend = nn.Parameter(draw), bend

    def forward(self, x):
        flat = x.flatten(1)
        return flat @ self.weight.T + 0.5 + self.bend * flat.pow(2).sum(1, keepdim=True)


def linear(seed=0, **keywords):
    return Session(Linear(seed, **keywords), tensor((8, 8), seed), mean=(0,) * 3, std=(1,) * 3)


def session():
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)


def plain(phi, pictures, changes, target=2, model=None, x=None):
    """The definition: products, drops and the mean of the squared errors."""
    model, x = model or small(), tensor() if x is None else x
    with torch.no_grad():
        score = lambda picture: float(model(picture[None])[0, target])
        products = [float((torch.from_numpy(phi) * change).sum()) for change in changes]
        drops = [score(x) - score(picture) for picture in pictures]
    return products, drops, float(np.mean([(a - d) ** 2 for a, d in zip(products, drops)]))


def replaced(n, share, value, seed=0, labels=LABELS):
    """Perturbed pictures, and which pixels are replaced."""
    count = int(labels.max()) + 1
    gone = (uniform(seed, DRAWS, n * count).view(n, count) < share)[:, torch.from_numpy(labels).long()]
    return [torch.where(g, torch.tensor(value, dtype=torch.float64), tensor()) for g in gone], [g.double() for g in gone]


def test_noise_is_a_plain_loop():
    s = session()
    got = measured(s, s.map("gradient"), n=20, level=0.2, seed=5)
    sigma = 0.2 * float(tensor().max() - tensor().min())
    noise = [sigma * normal(5, DRAWS + i, (3, 32, 32), torch.float64) for i in range(20)]
    products, drops, wanted = plain(s.map("gradient").values, [tensor() + e for e in noise], [-e for e in noise])
    np.testing.assert_allclose(got.details["products"], products, rtol=1e-10)
    np.testing.assert_allclose(got.details["drops"], drops, atol=1e-12)
    assert got.value == float(got) == pytest.approx(wanted, rel=1e-10) and got.unit == "logit²" and got.n == 20
    errors = (np.array(products) - drops) ** 2
    assert got.standard_error == pytest.approx(errors.std(ddof=1) / 20 ** 0.5, rel=1e-9)
    assert got.details["unexplained"] == pytest.approx(wanted / np.mean(np.square(drops)), rel=1e-9)
    assert got.details["sigma"] == pytest.approx(sigma)


def test_regions_of_slopes_and_of_parts_are_plain_loops():
    s = session()
    slopes, parts = s.map("gradient"), s.map("integrated_gradients", steps=8, baseline="white")
    pictures, gone = replaced(12, 0.3, 1.0, seed=4)
    keywords = {"n": 12, "regions": LABELS, "share": 0.3, "seed": 4}
    got = measured(s, parts, **keywords)  # the fill is the map's own baseline
    assert got.value == pytest.approx(plain(parts.values, pictures, gone)[2], rel=1e-9)
    assert got.details["fill"] == "white" and got.details["perturbation"] == "regions"
    assert got.value == measured(s, parts.values, **keywords, multiplied=True, fill="white", perturbation="regions").value
    got = measured(s, slopes, perturbation="regions", fill="white", **keywords)
    assert got.value == pytest.approx(plain(slopes.values, pictures, [tensor() - p for p in pictures])[2], rel=1e-9)


@pytest.mark.parametrize("baseline, fill", [("zero", torch.zeros(1, 1, 1)), (["white"], "white"), (0.25, 0.25),
                                            (["black", "white"], "black")])
def test_a_map_brings_its_own_baseline(baseline, fill):
    s = session()
    name = "gradient_x_input" if baseline == "zero" else "integrated_gradients"
    m = s.map(name, baseline=baseline, **({} if baseline == "zero" else {"steps": 4}))
    assert measured(s, m, n=6, regions=LABELS).value == measured(s, m, n=6, regions=LABELS, fill=fill).value


def test_everything_replaced_is_the_map_against_the_whole_drop():
    s = session()
    m = s.map("integrated_gradients", steps=4)
    got = measured(s, m, n=3, share=1.0)
    assert got.value == pytest.approx((m.residual * m.details["rise"]) ** 2, rel=1e-6) and got.standard_error < 1e-12


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10 ** 6), st.integers(1, 12), st.floats(0.01, 1))
def test_linear_models_are_foretold_exactly(seed, n, level):
    s = linear(seed)
    assert measured(s, s.map("gradient"), n=n, level=level, seed=seed).value < 1e-18 * float(s.logits[0] ** 2 + 1e6)
    for name in ("gradient_x_input", "integrated_gradients"):
        m = s.map(name, baseline="white", **({"steps": 2} if "steps" in s.map(name).params else {}))
        assert measured(s, m, n=n, regions=grid((8, 8), 3, 3), share=1.0, seed=seed).value < 1e-12


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_normalised_it_knows_no_scale_and_is_never_larger(factor, seed):
    s = linear(seed, bend=2.0)
    phi = s.map("gradient").values
    one, other = (measured(s, f * phi, n=6, normalize=True, seed=seed) for f in (1, factor))
    assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-12)
    assert other.details["beta"] * factor == pytest.approx(one.details["beta"], rel=1e-9)
    assert one.value <= measured(s, phi, n=6, seed=seed).value + 1e-15 and one.details["unexplained"] <= 1 + 1e-12


def test_more_draws_reuse_the_first_and_are_told_as_they_come():
    s, seen = session(), []
    m = s.map("gradient")
    s.stats.reset()
    few = measured(s, m, n=10)
    assert s.stats.forward_samples == 10 and s.stats.backward_samples == 0  # the picture itself is known from its map
    more = measured(s, m, n=16)
    assert s.stats.forward_samples == 16
    np.testing.assert_array_equal(more.details["drops"][:10], few.details["drops"])
    rival = s.map("integrated_gradients", steps=4, multiply=False)
    s.stats.reset()
    np.testing.assert_array_equal(measured(s, rival, n=16).details["drops"], more.details["drops"])
    assert s.stats.forward_samples == 0  # another map meets the same pictures
    knobs = {p.name: p.default for p in PARAMETERS} | {"n": 20, "multiplied": None}
    last = s.drive(lambda context: rounds(context, m, **knobs), on_draft=seen.append)
    assert [measure.n for measure in seen] == [8, 16, 20] and seen[-1] is last
    assert seen[1].value == more.value


def test_a_map_is_not_judged_on_the_pictures_it_is_made_of():
    s = session()
    m = s.map("smoothgrad", n=4, level=0.1)
    s.stats.reset()
    measured(s, m, n=4, level=0.1)
    assert s.stats.forward_samples == 5  # four new pictures, and the picture itself, which SmoothGrad does not see


def test_the_maps_own_target_and_the_pixel_space():
    s = session()
    m = s.map("gradient", target=4)
    assert measured(s, m, n=5).value == measured(s, m, n=5, target=4).value != measured(s, m, n=5, target=2).value
    std = (0.2, 0.3, 0.5)
    plain_space, pixels = (Session(small(), tensor(), target=2, mean=(0.4,) * 3, std=std, space=space)
                           for space in ("input", "pixel"))
    assert pixels.map("gradient").unit == "logit per pixel value"
    wanted = measured(plain_space, plain_space.map("gradient"), n=5).value
    assert measured(pixels, pixels.map("gradient"), n=5).value == pytest.approx(wanted, rel=1e-9)


def test_float32_and_other_scores():
    for keywords, unit in (({"target": 2, "score": "probability"}, "probability²"),
                           ({"target": 1, "score": "log_probability"}, "nat²"),
                           ({"target": 2, "contrast": 1}, "logit²"), ({"score": lambda out: out[:, 0]}, "score²")):
        wide, narrow = (Session(model, tensor(dtype=dtype), **keywords)
                        for model, dtype in ((small(), torch.float64), (small().float(), torch.float32)))
        got, wanted = (measured(s, s.map("gradient"), n=4) for s in (narrow, wide))
        assert got.unit == wanted.unit == unit
        np.testing.assert_allclose(got.details["products"], wanted.details["products"], rtol=1e-2)
        np.testing.assert_allclose(got.details["drops"], wanted.details["drops"], atol=1e-5)


def test_empty_maps_and_deaf_scores_are_told():
    s = session()
    empty = measured(s, np.zeros((3, 32, 32)), n=6)
    assert empty.details["unexplained"] == 1.0 and "foretells no change" in empty.warnings[0]
    assert measured(s, np.zeros((3, 32, 32)), n=6, normalize=True).value == empty.value
    deaf = Session(Linear(bend=0.0), tensor((8, 8)), target=0)
    with torch.no_grad():
        deaf.subject.model.weight.zero_()
    told = measured(deaf, np.ones((3, 8, 8)), n=4)
    assert told.details["unexplained"] is None and "nothing to foretell" in told.warnings[0]


def test_refusals_say_what_to_do():
    s = session()
    gradient, parts = s.map("gradient"), s.map("integrated_gradients", steps=2)
    for map_, keywords, error, words in (
        (s.map("grad_cam"), {}, ValueError, r"each number of the input \(3, 32, 32\), the grad_cam map has \(1, 16, 16\)"),
        (s.map("leave_one_out", grid=2), {}, ValueError, "use a map such as gradient"),
        (s.map("smoothgrad", n=2, variant="squared"), {}, ValueError, r"in '\(logit per input unit\)²'.*multiplied="),
        (parts, {"perturbation": "noise"}, ValueError, 'use perturbation="regions".*multiply=False'),
        (gradient, {"perturbation": "dust"}, ValueError, "choose one of 'auto', 'noise', 'regions'"),
        (gradient, {"n": 0}, ValueError, "n=0 does not fit"),
        (gradient, {"level": -1}, ValueError, "level=-1"),
        (gradient, {"normalize": 1}, TypeError, "True or False"),
        (gradient, {"multiplied": "yes"}, TypeError, "multiplied='yes'"),
        (gradient, {"perturbation": "regions", "regions": "tiles"}, ValueError, "'slic'"),
        (gradient, {"perturbation": "regions", "fill": "purple"}, ValueError, "black, white"),
        (gradient, {"perturbation": "regions", "share": 0.0}, ValueError, "no draw changes the picture: raise"),
        ("gradient", {}, TypeError, "a SaliencyMap or an array"),
        (np.full((3, 32, 32), np.nan), {}, ValueError, "NaN"),
        (gradient, {"target": 99}, LookupError, "99"),
    ):
        with pytest.raises(error, match=words):
            measured(s, map_, **keywords)
    with pytest.raises(ValueError, match="explains the score 'logit', the session 'probability'"):
        measured(Session(small(), tensor(), score="probability"), gradient)
    assert measured(s, parts, perturbation="noise", multiplied=False, n=3).n == 3


def test_its_settings_are_declared_once():
    signature = inspect.signature(measured)
    assert {p.name: p.default for p in PARAMETERS}.items() <= {k: v.default for k, v in signature.parameters.items()}.items()


def test_the_metrics_come_without_widgets():
    assert sw.metrics.infidelity is measured and "metrics" in dir(sw)
    code = ("import sys, saliency_widgets as sw; assert 'saliency_widgets.metrics' not in sys.modules; sw.metrics.infidelity; "
            "assert not {'ipywidgets', 'bqplot', 'ipycanvas'} & set(sys.modules), 'imported too much'")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_who_is_told_and_who_may_stop_it():
    s, told, seen = session(), [], []
    m = s.map("gradient")
    last = measured(s, m, n=12, seed=77, on_progress=lambda *a: told.append(a), on_draft=seen.append)
    assert told[-1] == (13, 13) and all(a <= b for a, b in told) and [d.n for d in seen] == [8, 12] and seen[-1] is last

    class Stop:
        def check(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(s, m, n=4, seed=78, ticket=Stop())
