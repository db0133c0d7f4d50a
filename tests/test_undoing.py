"""Undo of class, method, parameters and looks: a drag is one step, nothing that is kept is computed again."""
import time

import numpy as np
import pytest
import torch

from saliency_widgets import Explorer, undoing

from .explorers import LABELS
from .small import small, tensor


@pytest.fixture
def ex():
    torch.set_num_threads(1)
    explorer = Explorer(small(), tensor(), LABELS)
    explorer.wait()
    yield explorer
    explorer.close()


def pause():
    """A hand rests: what comes now is another step."""
    time.sleep(undoing.PAUSE * 1.1)


def test_each_kind_of_change_goes_back_and_forth(ex):
    assert not ex.undo() and not ex.redo() and ex.face.status.undo.disabled
    states = [ex.state]
    changes = [lambda: setattr(ex, "target", (ex.target + 1) % 5), lambda: setattr(ex, "contrast", (ex.target + 2) % 5),
               lambda: setattr(ex.params["grad_cam"], "layer", "conv1"), lambda: setattr(ex.layers[0], "opacity", 0.25),
               lambda: setattr(ex.layers[0], "cmap", "viridis"), lambda: setattr(ex, "method", "integrated_gradients"),
               lambda: setattr(ex.params["integrated_gradients"], "alpha", (0.0, 0.5)),
               lambda: setattr(ex.layers[0], "threshold", 0.5), lambda: setattr(ex.layers[0], "fixed", (-1.0, 1.0)),
               lambda: setattr(ex.face.stage.canvas, "photo_opacity", 0.5)]
    for change in changes:
        change()
        assert ex.wait() and not ex.face.status.undo.disabled
        states.append(ex.state)

    def essence(state):
        return {**{k: state[k] for k in ("target", "contrast", "method", "params", "photograph")},
                "looks": {k: v for k, v in state["layers"]["explored"].items() if k != "order"}}

    for state in reversed(states[:-1]):
        assert ex.undo() and ex.wait() and ex.error == ""
        assert essence(ex.state) == essence(state)
    assert not ex.undo() and ex.face.status.undo.disabled
    for state in states[1:]:
        assert ex.redo() and ex.wait() and ex.error == ""
        assert essence(ex.state) == essence(state)
    assert not ex.redo()


def test_the_map_comes_back_without_an_evaluation(ex):
    before = ex.maps["grad_cam"].values
    ex.target = (ex.target + 1) % 5
    ex.wait()
    other = ex.maps["grad_cam"].values
    assert np.abs(before - other).max() > 0
    ex.session.stats.reset()
    ex.undo()
    ex.wait()
    np.testing.assert_array_equal(ex.maps["grad_cam"].values, before)
    assert ex.session.stats.forward_samples == ex.session.stats.backward_samples == 0


def test_a_drag_is_one_step_and_a_rest_ends_it(ex):
    first = ex.layers[0].opacity
    for opacity in (0.6, 0.5, 0.4):
        ex.layers[0].opacity = opacity
    pause()
    for opacity in (0.3, 0.2):
        ex.layers[0].opacity = opacity
    assert ex.undo() and ex.layers[0].opacity == 0.4
    assert ex.undo() and ex.layers[0].opacity == first and not ex.undo()
    assert ex.redo() and ex.layers[0].opacity == 0.4
    ex.layers[0].cmap = "viridis"
    assert not ex.redo(), "what is done anew takes the place of what was undone"


def test_there_and_back_is_no_step(ex):
    ex.layers[0].opacity, first = 0.2, ex.layers[0].opacity
    ex.layers[0].opacity = first
    assert not ex.undo()


def test_solo_is_one_step_for_all_layers(ex):
    ex.pin()
    ex.method = "gradient"
    ex.wait()
    first, last = ex.layers[0], ex.layers[-1]
    first.solo = True
    pause()
    last.solo = True
    assert not first.solo
    assert ex.undo() and first.solo and not last.solo
    assert ex.undo() and not first.solo and not last.solo


def test_a_pinned_layer_that_went_is_passed_over_and_a_new_state_begins_anew(ex):
    layer = ex.pin()
    layer.opacity = 0.1
    ex.unpin()
    assert ex.undo() and ex.error == ""
    ex.layers[0].opacity = 0.3
    ex.state = ex.state
    assert not ex.undo() and not ex.redo()


def test_the_newest_hundred_are_kept(ex):
    for i in range(undoing.MOST + 20):
        ex.layers[0].cmap = ("viridis", "magma")[i % 2]
        ex.layers[0].blend = ("normal", "screen")[i % 2]
    count = 0
    while ex.undo():
        count += 1
    assert count == undoing.MOST
