"""Controls from declarations: one widget for every parameter of every method, kept equal to its trait."""
import numpy as np
import pytest

from saliency_widgets import methods
from saliency_widgets.methods.parameters import Parameter
from saliency_widgets.widgets.controls import Control, Params, ladder, pace, say, slides

DECLARED = [(name, p) for name, method in methods().items() for p in method.parameters]


@pytest.mark.parametrize("name, parameter", DECLARED, ids=lambda value: getattr(value, "name", value))
def test_every_declared_parameter_has_a_named_control(name, parameter):
    control = Control(parameter, Params(methods())[name], lambda *_: None, ("a", "a.b"), "a.b")
    assert "sw-named" in control.widget._dom_classes and control.widget.tooltip
    assert parameter.help in control.widget.tooltip
    if control.parameter.kind in ("int", "float", "choice", "method", "fill") and control.listed:
        assert 2 <= len(control.values) <= 14 and parameter.default in control.values


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


def test_a_channel_is_written_as_a_number_or_left_to_the_method():
    heard = []
    it, params = control(Parameter("channel", "index", None, "which filter"), heard)
    assert it.widget.value == "" and it.widget.placeholder == "auto"
    it.widget.value = "12"
    assert params.channel == 12 and heard == [("channel", 12)]
    it.widget.value = ""
    assert params.channel is None
    params.channel = 3
    assert it.widget.value == "3" and len(heard) == 2
    with pytest.raises(TypeError, match="whole number"):
        it.widget.value = "seven"
    seed, params = control(Parameter("seed", "int", 0, "names the draws", minimum=0), heard)
    seed.widget.value = "41"
    assert params.seed == 41
    seed.widget.value = ""
    assert params.seed == 41 and seed.widget.value == "41"


def test_regions_are_a_grid_superpixels_or_ones_own():
    params, heard = Params(methods())["leave_one_out"], []
    it = Control(params.traits()["regions"].parameter, params,
                 lambda name, value: (heard.append((name, value)), setattr(params, name, value)))
    assert it.widget.label == "grid 14 × 14" and it.widget.options[-2:] == ("slic", "felzenszwalb")
    it.widget.index = it.values.index("slic")
    assert params.regions == "slic"
    params.regions = np.zeros((4, 4), int)
    assert it.widget.label == "own" and heard == [("regions", "slic")]
    it.widget.index = it.widget.options.index("grid 7 × 7")
    assert params.regions is None and params.grid == (7, 7) and heard[1:] == [("grid", (7, 7)), ("regions", None)]
    params.grid = (3, 5)
    assert it.widget.label == "grid 3 × 5"
    lime = Params(methods())["lime"]
    it = Control(lime.traits()["regions"].parameter, lime, lambda name, value: None)
    assert list(it.widget.options) == ["slic", "felzenszwalb"], "no grid where the method knows none"


def test_floats_slide_where_the_range_can_be_walked():
    wide = Parameter("l1", "float", 1e-4, "price", minimum=0, maximum=1)
    assert not slides(wide) and {0.0, 1e-5, 1e-4, 1e-3, 0.01} <= set(ladder(wide))
    near = Parameter("level", "float", 0.15, "noise", minimum=0.0, maximum=2.0)
    assert slides(near) and pace(near) == pytest.approx(0.02)
    it, params = control(near, [])
    it.widget.value = 0.5
    assert params.level == 0.5 and not it.widget.continuous_update
    assert slides(Parameter("gamma", "float", 0.25, "rule", minimum=0.0, maximum=10.0, step=0.05))


def test_a_window_ends_where_another_parameter_says():
    method = methods()["blur_ig"]
    params = Params({"blur_ig": method})["blur_ig"]
    heard = []
    it = Control(next(p for p in method.parameters if p.name == "sigma"), params,
                 lambda n, v: heard.append(v) or setattr(params, n, v))
    assert it.widget.max == 50 and it.widget.value == (0, 50)
    params.sigma_max = 80.0
    assert it.widget.max == 80 and params.sigma == (0, 50) and heard == []
    params.sigma_max = 20.0
    assert it.widget.max == 20 and params.sigma == (0, 20)


def test_what_only_code_can_give_is_shown():
    it, params = control(Parameter("base_params", "mapping", {}, "of the base"), [])
    assert it.widget.disabled and it.widget.value == "defaults"
    params.base_params = {"steps": 16}
    assert it.widget.value == "steps 16"
    it, params = control(Parameter("backgrounds", "backgrounds", None, "references"), [])
    assert it.widget.disabled and it.widget.value == "the session's"
    params.backgrounds = ["black", "white"]
    assert it.widget.value == "2 given"


def test_none_is_a_line_of_its_own_where_it_is_no_layer():
    heard = []
    it, params = control(Parameter("layer", "layer", None, "where"), heard, layers=("a", "b"))
    assert it.widget.value == "none" and list(it.widget.options) == ["none", "a", "b"]
    it.widget.value = "b"
    it.widget.value = "none"
    assert params.layer is None and heard == [("layer", "b"), ("layer", None)]


def test_superpixels_are_counted_only_where_a_word_says_how_to_cut_them():
    method = methods()["leave_one_out"]
    params = Params(methods())["leave_one_out"]
    count = Control(next(p for p in method.parameters if p.name == "count"), params, lambda *_: None)
    assert count.widget.description == "superpixels" and count.widget.layout.display == "none"
    params.regions = "slic"
    assert count.widget.layout.display is None
    params.regions = np.zeros((4, 4), int)
    assert count.widget.layout.display == "none"
