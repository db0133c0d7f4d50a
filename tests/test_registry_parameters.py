"""What every registered method declares, and that a wrong parameter is refused in a sentence that names it."""
import re

import numpy as np
import pytest
import torch

import saliency_widgets as sw
from saliency_widgets import Session
from saliency_widgets.methods.registry import FAMILIES

from .registry import SIZE, cheap, everything
from .small import tensor

METHODS = list(sw.methods())
ALL = [(name, p.name) for name, method in sw.methods().items() for p in method.parameters]

# The names and defaults that are promised; a method may have more.
PROMISED = {
    "gradient": {}, "gradient_x_input": {"baseline": "zero"}, "guided_backprop": {}, "deconvnet": {},
    "integrated_gradients": {"steps": 64, "alpha": (0.0, 1.0), "baseline": "black", "rule": "trapezoid", "multiply": True},
    "blur_ig": {"steps": 64, "sigma": (0.0, 50.0), "sigma_max": 50.0, "spacing": "log", "rule": "secant"},
    "guided_ig": {"steps": 64, "baseline": "black"}, "xrai": {"steps": 64, "baseline": "black"},
    "expected_gradients": {"n": 200, "backgrounds": None, "smoothing": 0.0, "layer": None, "seed": 0},
    "deep_shap": {"backgrounds": None, "seed": 0},
    "smoothgrad": {"base": "gradient", "base_params": {}, "n": 25, "level": 0.15, "variant": "mean", "seed": 0},
    "deeplift": {"baseline": "black"}, "lrp": {"rule": "composite"},
    "cam": {"layer": None}, "grad_cam": {"layer": None, "gradients": "all"}, "grad_cam_plus_plus": {"layer": None},
    "hires_cam": {"layer": None}, "layer_cam": {"layer": None}, "xgrad_cam": {"layer": None}, "eigen_cam": {"layer": None},
    "score_cam": {"layer": None}, "guided_grad_cam": {"layer": None},
    "leave_one_out": {"grid": 14, "regions": None, "fill": "black"}, "occlusion": {"window": 32, "stride": 16, "fill": "black"},
    "rise": {"n": 1000, "grid": 7, "fill": "mean", "seed": 0}, "lime": {"n": 1000, "regions": "slic", "fill": "mean", "seed": 0},
    "interactions": {"region": None, "grid": 14, "regions": None, "count": 100, "fill": "black", "seed": 0},
    "greedy_order": {"game": "deletion", "steps": 12, "candidates": 12, "grid": 7, "regions": None, "count": 100,
                     "fill": "black", "seed": 0},
    "kernel_shap": {"n": 1000, "regions": "slic", "fill": "mean", "seed": 0},
    "meaningful_perturbation": {
        "game": "deletion", "fill": "blur", "iterations": 300, "l1": 1e-4, "tv": 1e-2, "beta": 3.0, "lr": 0.1, "mask_size": 28,
        "mask_blur": 5.0, "fill_blur": 10.0, "blur": "crossfade", "jitter": 3, "seed": 0},
    "activation": {"layer": None, "channel": None}, "activation_maximisation": {"layer": None, "iterations": 256, "seed": 0},
    "attention_rollout": {"layer": None}, "gradient_x_attention": {"layer": None},
}
CHOICES = {
    ("integrated_gradients", "rule"): ("trapezoid", "gauss_legendre", "midpoint", "right", "endpoints", "adaptive"),
    ("blur_ig", "spacing"): ("log", "quadratic", "linear"), ("blur_ig", "rule"): ("secant", "pair"),
    ("smoothgrad", "variant"): ("mean", "squared", "variance"), ("grad_cam", "gradients"): ("all", "guided"),
    ("meaningful_perturbation", "game"): ("deletion", "preservation"), ("lrp", "rule"): ("epsilon", "gamma", "composite"),
    ("meaningful_perturbation", "blur"): ("crossfade", "varying"), ("leave_one_out", "regions"): ("slic", "felzenszwalb"),
    ("greedy_order", "game"): ("deletion", "insertion"),
}
RANDOMISED = {"guided_backprop", "deconvnet", "guided_grad_cam"}  # change little when the weights are randomised
MULTIPLYING = {"gradient_x_input", "integrated_gradients", "guided_ig", "expected_gradients", "deeplift", "deep_shap", "lrp",
               "xrai"}


@pytest.fixture(scope="module")
def session():
    return Session(everything(), tensor(), target=1)


def parameter(method, name):
    return next(p for p in sw.methods()[method].parameters if p.name == name)


# ---- what is declared


def test_every_promised_method_is_there():
    assert set(PROMISED) <= set(METHODS)


@pytest.mark.parametrize("name", PROMISED)
def test_names_and_defaults_are_those_promised(name):
    declared = {p.name: p.default for p in sw.methods()[name].parameters}
    assert {n: declared.get(n, "missing") for n in PROMISED[name]} == PROMISED[name]
    for (method, of), choices in CHOICES.items():
        if method == name:
            assert set(choices) <= set(parameter(name, of).choices)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is_where_it_comes_from_and_what_it_costs(name):
    method = sw.methods()[name]
    assert method.title and method.family in FAMILIES and re.search(r"evaluation|forward pass|times", method.cost)
    assert re.search(r"arXiv \d{4}\.\d{4,5}|(19|20)\d\d", method.paper), method.paper
    assert method.run.__doc__ and re.search(r"\((1|C|N|K|h|H)?,? ?[\w ,·×/]*\)|shape|unit", method.run.__doc__)
    assert name not in RANDOMISED or "1810.03292" in method.warning
    assert name not in MULTIPLYING or "picture" in method.warning
    for p in method.parameters:
        assert p.help and not p.help.endswith("."), p.name
        assert p.kind not in ("int", "float") or p.minimum is not None, f"{p.name} has no least value"
        assert p.kind not in ("choice", "method") or p.default in p.choices


def test_titles_are_told_apart():
    titles = [method.title for method in sw.methods().values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_accepted_and_stay_what_they_are(name):
    method = sw.methods()[name]
    values = method.validate({})
    assert set(values) == {p.name for p in method.parameters}
    again = method.validate(values)
    assert {k: v for k, v in again.items()} == values


@pytest.mark.parametrize("name", METHODS)
def test_the_cost_is_foreseen(name):
    fresh = Session(everything(), tensor(), target=1)
    planned, _ = fresh.estimate(name, cheap(name))
    got = fresh.map(name, **cheap(name))
    assert 1 <= got.evaluations <= planned
    assert fresh.estimate(name, cheap(name))[0] <= planned  # what was kept is not planned again
    assert not fresh.inputs._made  # nothing that was made for one evaluation outlives it, nor what was only foreseen


# ---- what is refused


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_parameter_is_told_with_those_that_exist(name, session):
    with pytest.raises(TypeError, match=f"{name} has no parameter 'nonsense'"):
        session.map(name, nonsense=1)
    with pytest.raises(LookupError, match="9"):
        session.map(name, target=9)


def wrong_values(p):
    """Values that do not fit a parameter, of the wrong type and out of its range."""
    wrong = {"int": ["many", 1.5, True, float("nan")], "float": ["much", True, float("nan"), None], "bool": [1, "yes"],
             "choice": ["nonsense", 3, None], "method": ["nonsense", 3], "mapping": [3, "x"], "index": [-1, 1.5, "first"],
             "window": [1.0, (1.0, 0.5), ("a", "b"), (0.0, 1.0, 2.0)], "grid": [0, -1, "many", (1, 2, 3), 1.5],
             "layer": [3], "fill": ["purple", -0.5, 1.5, object(), torch.zeros(3, SIZE + 1, SIZE), torch.tensor(float("nan"))],
             "regions": ["nonsense", np.zeros((SIZE + 1, SIZE), int), np.zeros((SIZE, SIZE)) + 0.5, 3],
             "backgrounds": [[], ["purple"], 3, torch.zeros(2, 3, SIZE + 1, SIZE)]}[p.kind]
    if p.kind in ("int", "float"):
        wrong += [p.minimum - 1] + ([p.maximum + 1] if p.maximum is not None else [])
    if p.kind == "window" and p.minimum is not None:
        wrong += [(p.minimum - 1, p.minimum)]
    if p.kind == "fill":
        wrong.append(np.zeros((SIZE, SIZE + 1, 3), np.uint8))
    return wrong


@pytest.mark.parametrize("method, name", ALL)
def test_wrong_values_are_refused_in_a_sentence(method, name, session):
    p = parameter(method, name)
    for value in wrong_values(p):
        with pytest.raises((ValueError, TypeError, LookupError)) as refused:
            session.map(method, **{**cheap(method), name: value})
        sentence = str(refused.value)
        assert len(sentence) > 30, (value, sentence)
        assert re.search(rf"\b{name}\b|fill|baseline|background|label|regions|picture", sentence), (value, sentence)
        assert type(refused.value) in (ValueError, TypeError, LookupError), (value, refused.type)
    assert np.isfinite(session.map(method, **cheap(method)).values).all()


@pytest.mark.parametrize("method", [m for m, p in ALL if parameter(m, p).kind == "layer"])
def test_a_layer_that_does_not_exist_or_has_no_positions(method, session):
    with pytest.raises(LookupError, match="no.such"):
        session.map(method, **{**cheap(method), "layer": "no.such"})
    if sw.methods()[method].family == "cam":
        with pytest.raises(ValueError, match="positions|pooling"):
            session.map(method, **{**cheap(method), "layer": "head"})


@pytest.mark.parametrize("method, name", [(m, p) for m, p in ALL if parameter(m, p).kind == "index"])
def test_a_channel_that_does_not_exist(method, name, session):
    inside = {k: v for k, v in {"layer": "last", "channel": 0, "row": 0, "column": 0}.items() if (method, k) in ALL}
    with pytest.raises((ValueError, LookupError), match="1000") as refused:
        session.map(method, **{**cheap(method), **inside, name: 1000})
    assert name in str(refused.value)
