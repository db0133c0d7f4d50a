"""Completeness: residuals, the steps that are enough, and who promises nothing."""
from dataclasses import replace

import numpy as np
import pytest

from saliency_widgets import Session
from saliency_widgets.methods import methods
from saliency_widgets.metrics import completeness
from saliency_widgets.metrics.completeness import PROMISING, _measured
from tests.small import small, tensor


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), target=2, mean=(0,) * 3, std=(1,) * 3)


def test_steps_double_until_the_tolerance(session):
    drafts, told = [], []
    got = completeness(session, "integrated_gradients", tolerance=1e-3, on_draft=drafts.append,
                       on_progress=lambda *a: told.append(a))
    d = got.details
    assert d["steps"] == [8 * 2 ** i for i in range(len(d["steps"]))] and got.n == len(d["steps"]) == len(drafts)
    assert [abs(r) <= 1e-3 for r in d["residuals"]] == [False] * (got.n - 1) + [True] and d["needed"] == d["steps"][-1]
    for steps, residual in zip(d["steps"], d["residuals"]):
        assert session.map("integrated_gradients", steps=steps).residual == residual
    rise = float(session.logits[2]) - float(Session(small(), 0 * tensor(), target=2).logits[2])
    assert d["difference"] == pytest.approx(rise) and got.value == pytest.approx((d["sum"] - rise) / abs(rise))
    assert told[-1][0] == told[-1][1] and not got.warnings


def test_finer_paths_reuse_coarser_ones(session):
    session.refresh()
    session.stats.reset()
    got = completeness(session, "integrated_gradients", baseline="white", tolerance=1e-4, limit=64)
    assert session.stats.backward_samples == got.details["steps"][-1] + 1


def test_given_steps_are_judged_and_the_search_goes_on_beside_them(session):
    got = completeness(session, "integrated_gradients", steps=3, tolerance=1e-3)
    assert got.value == session.map("integrated_gradients", steps=3).residual
    assert got.details["needed"] and 3 not in got.details["steps"] and got.details["map"].params["steps"] == 3
    assert f"{got.details['needed']} steps come within 0.1 %" in got.warnings[0]
    short = completeness(session, "integrated_gradients", tolerance=1e-9, limit=16)
    assert short.details["needed"] is None and short.details["steps"] == [8, 16]
    assert "misses the score difference" in short.warnings[0]
    far = _measured(replace(session.map("integrated_gradients", steps=3), residual=-1.25), [], [], 0.01)
    assert far.warnings == ("the map's sum misses the score difference by 125 %",)


def test_methods_without_steps_are_asked_once(session):
    got = completeness(session, "deeplift", target=1)
    assert abs(got.value) < 1e-9 and got.details["steps"] == [] and got.n == 1
    sums = got.details
    assert sums["sum"] == pytest.approx(sums["difference"]) == session.map("deeplift", target=1).details["rise"]
    lrp = completeness(session, "lrp")  # which carries no difference: it is read back from sum and residual
    assert lrp.details["difference"] == pytest.approx(float(session.logits[2]))
    assert lrp.value == pytest.approx((lrp.details["sum"] - lrp.details["difference"]) / abs(lrp.details["difference"]))


def test_who_promises_is_known(session):
    few = {"n": 20, "steps": 2, "iterations": 2, "grid": 2, "count": 8}
    for name, method in methods().items():
        takes = {p.name for p in method.parameters}
        params = {k: v for k, v in few.items() if k in takes} | ({"n": 200} if name == "kernel_shap" else {})
        try:
            m = session.map(name, **params)
        except ValueError:  # no attention here
            continue
        assert (m.residual is not None) == (name in PROMISING), name


def test_refusals_say_what_to_do(session):
    for name, keywords, error, words in (
            ("gradient", {}, ValueError, "promises no sum"), ("grad_cam", {}, ValueError, "integrated_gradients"),
            ("integrated_gradients", {"multiply": False}, ValueError, "multiply=True"),
            ("integrated_gradients", {"tolerance": 0}, ValueError, "tolerance=0"),
            ("integrated_gradients", {"stepz": 3}, TypeError, "did you mean 'steps'"),
            ("nothing", {}, LookupError, "no method")):
        with pytest.raises(error, match=words):
            completeness(session, name, **keywords)
    same = Session(small(), np.zeros((32, 32, 3), np.uint8), preprocess=None)
    with pytest.raises(ValueError, match="another baseline"):
        completeness(same, "integrated_gradients", baseline="black")
