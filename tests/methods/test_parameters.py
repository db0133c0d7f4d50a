"""Validation gives canonical values, or a sentence with the name, what came and what is wanted."""

import re

import numpy as np
import pytest

from saliency_widgets import methods
from saliency_widgets.methods.parameters import KINDS, Parameter


@pytest.mark.parametrize(
    "kind, extra, value, wanted",
    [
        ("int", {"minimum": 1}, np.int64(4), 4),
        ("int", {}, 8.0, 8),
        ("float", {}, 2, 2.0),
        ("window", {"minimum": 0, "maximum": 1}, [0.25, 1], (0.25, 1.0)),
        ("choice", {"choices": ("a", "b")}, "b", "b"),
        ("bool", {}, np.True_, True),
        ("layer", {}, None, None),
        ("layer", {}, "features.3", "features.3"),
        ("grid", {"minimum": 1}, 7, (7, 7)),
        ("grid", {"minimum": 1}, (3, 5), (3, 5)),
        ("fill", {"choices": ("black",)}, "black", "black"),
        ("fill", {}, 0.5, 0.5),
        ("regions", {}, None, None),
    ],
)
def test_canonical_values(kind, extra, value, wanted):
    got = Parameter("p", kind, None, "help", **extra).validate(value)
    assert got == wanted and type(got) is type(wanted)


@pytest.mark.parametrize(
    "kind, extra, value, error",
    [
        ("int", {"minimum": 1}, 0, ValueError),
        ("int", {}, 2.5, TypeError),
        ("int", {}, True, TypeError),
        ("float", {"maximum": 1, "minimum": 0}, float("nan"), ValueError),
        ("window", {"minimum": 0, "maximum": 1}, (0.8, 0.2), ValueError),
        ("window", {"minimum": 0, "maximum": 1}, (0, 1.5), ValueError),
        ("window", {}, 0.5, TypeError),
        ("choice", {"choices": ("a",)}, "c", ValueError),
        ("bool", {}, 1, TypeError),
        ("layer", {}, 3, TypeError),
        ("grid", {"minimum": 1}, (2, 3, 4), TypeError),
        ("grid", {"minimum": 1}, 0, ValueError),
        ("fill", {"choices": ("black",)}, "blak", ValueError),
        ("regions", {}, "slik", (TypeError, ValueError)),
        ("method", {"choices": ("gradient",)}, "gradeint", ValueError),
        ("mapping", {}, [1], TypeError),
        ("mapping", {}, {1: 2}, TypeError),
        ("index", {}, -1, ValueError),
        ("index", {}, 1.5, TypeError),
        ("backgrounds", {}, 3, TypeError),
        ("backgrounds", {}, [], ValueError),
    ],
)
def test_wrong_values_are_named(kind, extra, value, error):
    with pytest.raises(error, match="p="):
        Parameter("p", kind, None, "help", **extra).validate(value)


def test_every_registered_method_declares_itself_whole():
    found = methods()
    assert set(found) >= {"gradient", "integrated_gradients", "grad_cam", "leave_one_out"}
    for name, method in found.items():
        assert method.name == name and method.title and method.cost
        assert re.search(r"arXiv \d{4}\.\d{4,5}| (19|20)\d\d\b", method.paper)
        for parameter in method.parameters:
            assert parameter.kind in KINDS and parameter.help
            parameter.validate(parameter.default)
        with pytest.raises(TypeError, match="nonsense"):
            method.validate({"nonsense": 1})
