"""Copy as code: the lines run, and give the shown map bit for bit, for every method of the registry."""
import numpy as np
import pytest
import torch

import saliency_widgets as sw
from saliency_widgets import Explorer
from saliency_widgets.methods.registry import find

from .registry import cheap, drawing, everything
from .small import pixels, small, tensor

METHODS = list(sw.methods())


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def executed(code, model, img):
    """What the lines give, run in a namespace of `model` and `img` alone."""
    names = {"model": model, "img": img}
    exec(compile(code, "copied", "exec"), names)
    return names["m"]


@pytest.mark.parametrize("params", [cheap, drawing], ids=["cheap", "drawn"])
@pytest.mark.parametrize("name", METHODS)
def test_the_lines_give_the_shown_map(name, params):
    model, img = everything(), tensor()
    ex = Explorer(model, img, target=2)
    try:
        for parameter, value in params(name).items():
            setattr(ex.params[name], parameter, value)
        ex.method = name
        assert ex.wait(120) and not ex.error
        code, shown = ex.code(), ex.maps[name]
        again = executed(code, model, img)
        assert again.method == name and again.target == 2 and again.values.dtype == shown.values.dtype
        np.testing.assert_array_equal(again.values, shown.values)
        # For another model object nothing is kept: batches may be others, and sums are rounded otherwise.
        fresh = executed(code, everything(), img)
        np.testing.assert_allclose(fresh.values, shown.values, rtol=0, atol=1e-12 * np.abs(shown.values).max())
        assert {k for k in again.params} == {k for k in shown.params}
    finally:
        ex.close()


def test_every_keyword_that_changes_values_is_remembered(ex):
    elsewhere = {"target", "contrast", "device", "backend", "truth"}  # in the call, or of no effect on the values
    assert set(ex._given) == set(sw.Session.__init__.__kwdefaults__) - elsewhere


def test_only_what_differs_is_written(ex):
    assert ex.code() == f'import saliency_widgets as sw\n\nm = sw.explain(model, img, "grad_cam", target={ex.target})  # ' \
                        f'{ex.session.label(ex.target)}\n'
    ex.contrast, ex.params["integrated_gradients"].alpha = (ex.target + 1) % 5, (0.25, 0.5)
    ex.method = "integrated_gradients"
    assert f'"integrated_gradients", target={ex.target}, contrast={ex.contrast}, alpha=(0.25, 0.5))' in ex.code()


def test_drawn_regions_and_pictures_are_in_the_lines():
    model, img = small(), tensor()
    ex = Explorer(model, img)
    ex.params["leave_one_out"].grid = 3
    ex.params["leave_one_out"].fill = pixels(seed=5)
    ex.method = "leave_one_out"
    ex.regions.rectangle(4, 4, 20, 12, "an eye")
    code = ex.code()
    again = executed(code, model, img)
    np.testing.assert_array_equal(again.values, ex.maps["leave_one_out"].values)
    assert "10 regions of 32 × 32 pixels" in code and "a picture, 32 × 32" in code and "..." not in code
    ex.params["leave_one_out"].fill = tensor(seed=6)
    np.testing.assert_array_equal(executed(ex.code(), model, img).values, ex.maps["leave_one_out"].values)
    ex.close()


def test_the_session_keywords_are_written_and_what_is_yours_is_named():
    model, img = small(), tensor()
    ex = Explorer(model, img, score="probability", space="pixel", backgrounds=["white", "noise"])
    np.testing.assert_array_equal(executed(ex.code(), small(), img).values, ex.maps["grad_cam"].values)
    ex.params["expected_gradients"].n = 6
    ex.params["expected_gradients"].backgrounds = ["black"]
    ex.method = "expected_gradients"
    code = ex.code()
    assert "session = sw.Session(model, img, " in code
    assert 'backgrounds=["black"]' in code and 'backgrounds=["white", "noise"]' in code
    np.testing.assert_array_equal(executed(code, small(), img).values, ex.maps["expected_gradients"].values)
    ex.close()

    def brightest(output):
        return output.max(1).values

    ex = Explorer(small(), img, score=brightest)
    assert "score = ...  # yours, as you gave it to the Explorer: a function brightest" in ex.code()
    assert "target=" not in ex.code()
    ex.params["integrated_gradients"].baseline = torch.zeros(3, 100, 100, dtype=torch.float64)
    ex.close()


def test_an_array_that_is_too_large_is_named(ex):
    from saliency_widgets.as_code import Code

    code = Code()
    assert code.say("fill", np.zeros((3, 200, 200))) == "fill"
    assert code.say("fill", [1, (2,), {"a": None}]) == '[1, (2,), {"a": None}]'
    assert code.made == ["fill = ...  # yours, as you gave it to the Explorer: array (3, 200, 200) float64"]
    assert code.say("fill", np.zeros(3)) == "fill_2" and "np.load(" in code.made[1]


def test_without_a_map_there_is_no_code(ex):
    ex._shown[0] = None
    with pytest.raises(ValueError, match="no map to write as code"):
        ex.code()
    assert find("grad_cam").name == "grad_cam"
