"""Max-sensitivity against a plain loop over its own draws, where it is known in closed form, and what it refuses."""
import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.kernels.reference import uniform
from saliency_widgets.methods import find
from saliency_widgets.metrics import sensitivity_max
from saliency_widgets.metrics.sensitivity import DRAWS, PARAMETERS, rounds
from tests.small import small, tensor


class Square(nn.Module):
    """Half the sum of the squares, whose gradient is the picture; `power` 1 gives the sum, of constant gradient."""

    def __init__(self, power=2):
        super().__init__()
        self.power, self.one = power, nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x):
        total = self.one * x.flatten(1).pow(self.power).sum(1, keepdim=True) / self.power
        return torch.cat((total, 0 * total), 1)


def steps(n, radius, seed=0, shape=(3, 32, 32)):
    return [radius * (2 * uniform(seed, DRAWS + i, int(np.prod(shape))).view(shape) - 1) for i in range(n)]


def session(**keywords):
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3, **keywords)


@pytest.mark.parametrize("method, params", [
    ("gradient", {}), ("integrated_gradients", {"steps": 4}), ("deeplift", {"baseline": "white"}), ("grad_cam", {}),
    ("guided_grad_cam", {}), ("leave_one_out", {"grid": 3})])
def test_it_is_a_plain_loop(method, params):
    got = sensitivity_max(session(), method, n=9, radius=0.05, seed=3, **params)
    one = lambda x: explain(small(), x, method, target=2, mean=(0,) * 3, std=(1,) * 3, **params).values
    phi = one(tensor())
    others = [one(tensor() + step) for step in steps(9, 0.05, 3)]
    wanted = [np.linalg.norm(other - phi) / np.linalg.norm(phi) for other in others]
    np.testing.assert_allclose(got.details["changes"], wanted, rtol=1e-6)
    assert got.value == float(got) == max(got.details["changes"]) > 0 and got.n == 9
    np.testing.assert_allclose(got.details["worst"], others[int(np.argmax(wanted))], atol=1e-9 * np.abs(phi).max())
    assert got.details["norm"] == pytest.approx(np.linalg.norm(phi)) and got.details["radius_pixels"] == 0.05


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10 ** 6), st.integers(1, 12), st.floats(1e-4, 1))
def test_known_answers(seed, n, radius):
    x = tensor((6, 5), seed)
    got = sensitivity_max(Session(Square(), x, target=0), "gradient", n=n, radius=radius, seed=seed)
    wanted = max(float(step.norm() / x.norm()) for step in steps(n, radius, seed, (3, 6, 5)))
    assert got.value == pytest.approx(wanted, rel=1e-9)
    assert sensitivity_max(Session(Square(1), x, target=0), "gradient", n=n, radius=radius, seed=seed).value == 0


def test_more_draws_reuse_the_first_and_never_lower_it():
    s, seen = session(), []
    few = sensitivity_max(s, "gradient", n=6)
    assert s.stats.backward_samples == 7
    more = sensitivity_max(s, "gradient", n=12)
    assert s.stats.backward_samples == 13 and more.value >= few.value
    np.testing.assert_array_equal(more.details["changes"][:6], few.details["changes"])
    last = s.drive(lambda context: rounds(context, find("gradient"), {}, n=12, radius=0.02, seed=0), on_draft=seen.append)
    assert [measure.n for measure in seen if hasattr(measure, "metric")] == [8, 12] and last.value == more.value
    s.stats.reset()
    s.map("gradient")
    assert s.stats.backward_samples == 0  # the picture's own map is kept


def test_parameters_whose_names_are_taken_and_another_class():
    s = session()
    got = sensitivity_max(s, "smoothgrad", n=3, params={"n": 2, "seed": 7}, level=0.1)
    assert got.n == 3 and {"n": 2, "seed": 7, "level": 0.1}.items() <= got.details["params"].items()
    # Averaged over noise far wider than the ball, the map moves less.
    assert sensitivity_max(s, "smoothgrad", n=3, params={"n": 8}, level=0.3).value < sensitivity_max(s, "gradient", n=3).value
    assert sensitivity_max(s, "gradient", n=2, target=0).value != sensitivity_max(s, "gradient", n=2, target=4).value
    assert sensitivity_max(session(space="pixel"), "gradient", n=2).value == pytest.approx(
        sensitivity_max(s, "gradient", n=2).value, rel=1e-9)


def test_refusals_say_what_to_do():
    s = session()
    for method, keywords, error, words in (
        ("gradeint", {}, LookupError, "did you mean 'gradient'"),
        ("gradient", {"steps": 3}, TypeError, "has no parameter 'steps'"),
        ("gradient", {"radius": 0}, ValueError, "radius=0 does not fit"),
        ("gradient", {"n": 2.5}, TypeError, "n=2.5"),
        ("integrated_gradients", {"params": {"steps": 0}}, ValueError, "steps=0"),
    ):
        with pytest.raises(error, match=words):
            sensitivity_max(s, method, **keywords)
    dead = Session(Square(), torch.zeros(3, 6, 5, dtype=torch.float64), target=0)
    with pytest.raises(ValueError, match="gradient map is zero everywhere, so a relative change"):
        sensitivity_max(dead, "gradient")
    scripted = Session(torch.jit.script(small()), tensor())
    with pytest.raises(ValueError, match="a scripted model hides"):
        sensitivity_max(scripted, "gradient")
    assert sensitivity_max(scripted, "leave_one_out", n=2, grid=2).value > 0


def test_the_model_that_trains_on_is_noticed_and_comes_back():
    model = small()
    s = Session(model, tensor(), target=2)
    before = sensitivity_max(s, "gradient", n=2).value
    with torch.no_grad():
        model.conv1.weight.mul_(1.5)
    after = sensitivity_max(s, "gradient", n=2).value
    assert after == sensitivity_max(Session(model, tensor(), target=2), "gradient", n=2).value != before
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_its_settings_are_declared_once():
    signature = inspect.signature(sensitivity_max)
    assert {p.name: p.default for p in PARAMETERS}.items() <= {k: v.default for k, v in signature.parameters.items()}.items()


def test_who_is_told_and_who_may_stop_it():
    s, told, seen = Session(small(), tensor(), target=1), [], []
    last = sensitivity_max(s, "gradient", n=10, on_progress=lambda *a: told.append(a), on_draft=seen.append)
    assert told[-1] == (11, 11) and all(a <= b for a, b in told) and seen[-1] is last and seen[-1].n == 10

    class Stop:
        def check(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sensitivity_max(s, "gradient", n=2, seed=5, ticket=Stop())
