"""Controls from declarations: one widget for every parameter of every method, kept equal to its trait."""
import numpy as np
import pytest

from saliency_widgets import methods
from saliency_widgets.methods.parameters import Parameter
from saliency_widgets.widgets.controls import Control, Params, say

DECLARED = [(name, p) for name, method in methods().items() for p in method.parameters if p.kind != "regions"]


@pytest.mark.parametrize("name, parameter", DECLARED, ids=lambda value: getattr(value, "name", value))
def test_every_declared_parameter_has_a_named_control(name, parameter):
    control = Control(parameter, Params(methods())[name], lambda *_: None, ("a", "a.b"), "a.b")
    assert "sw-named" in control.widget._dom_classes and control.widget.tooltip
    assert parameter.help in control.widget.tooltip


def control(parameter, heard, **layers):
    method = type("M", (), {"parameters": (parameter,)})
    params = Params({"m": method})["m"]
    return Control(parameter, params, lambda n, v: heard.append((n, v)) or setattr(params, n, v), **layers), params


def test_a_hand_and_code_see_the_same_value():
    heard = []
    it, params = control(Parameter("steps", "int", 64, "intervals", minimum=1, maximum=1024), heard)
    it.widget.value = "128"
    assert params.steps == 128 and heard == [("steps", 128)]
    params.steps = 32
    assert it.widget.value == "32" and len(heard) == 1


def test_a_value_only_code_can_give_gets_its_own_line():
    heard = []
    it, params = control(Parameter("steps", "int", 64, "intervals", minimum=1, maximum=1024), heard)
    params.steps = 50
    assert it.widget.value == "50"
    params.steps = 64
    assert it.widget.value == "64" and "50" not in it.widget.options and heard == []
    it, params = control(Parameter("fill", "fill", "black", "fill", choices=("black", "blur")), heard)
    params.fill = np.zeros((4, 4, 3), np.uint8)
    assert it.widget.value == "own" and heard == []
    params.fill = "blur"
    assert it.widget.value == "blur" and len(it.widget.options) == 2


def test_grids_windows_and_layers():
    heard = []
    it, params = control(Parameter("grid", "grid", 14, "cells", minimum=1, maximum=64, choices=(7, 14)), heard)
    assert it.widget.value == "14 × 14"
    params.grid = (3, 5)
    assert it.widget.value == "3 × 5" and params.grid == (3, 5)
    it.widget.index = 0
    assert params.grid == (7, 7)
    it, params = control(Parameter("alpha", "window", (0.0, 1.0), "part", minimum=0.0, maximum=1.0, step=0.01), heard)
    it.widget.value = (0.2, 0.8)
    assert params.alpha == pytest.approx((0.2, 0.8)) and it.widget.continuous_update
    it, params = control(Parameter("layer", "layer", None, "where"), heard, layers=("a", "b"), default_layer="b")
    assert it.widget.value == "b" and params.layer is None
    it.widget.value = "a"
    assert params.layer == "a"


def test_words_of_values():
    assert [say(v) for v in ("gauss_legendre", None, 0.5, True, (3, 4))] == ["gauss–legendre", "default", "0.5", "yes", "3 × 4"]
