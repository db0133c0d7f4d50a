"""The Explorer's regions: parameters, code and hands follow one another, and an edit evaluates only what it changed."""
import numpy as np
import pytest

from saliency_widgets import regions as R
from saliency_widgets.widgets.edits import Edit

from .small import tensor


@pytest.fixture
def cut(ex):
    """The Explorer with leave-one-out on a 4 × 4 grid."""
    ex.params["leave_one_out"].grid = 4
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == ""
    ex.session.stats.reset()
    return ex


def plain_drops(ex, fill=0.0):
    """Drop of each region by a plain loop of forwards of the user's model."""
    import torch

    x, labels, model = tensor(), ex.regions.labels, ex.session.subject.model
    with torch.no_grad():
        whole = model(x[None])[0, ex.target]
        found = []
        for region in range(len(ex.regions)):
            masked = x.clone()
            masked[:, torch.from_numpy(labels == region)] = fill
            found.append(float(whole - model(masked[None])[0, ex.target]))
    return np.array(found)


def body(ex):
    return ex.face.method.bodies[ex.method]


def test_a_click_answers_with_one_evaluation_at_most(cut):
    canvas = cut.face.stage.canvas
    assert canvas.editable and "nothing is off" in body(cut).numbers.value
    cut._edit(Edit("toggle", ((3.0, 3.0),)))
    assert cut.wait() and cut.regions.off == {0} and canvas.off == [0]
    assert cut.session.stats.forward_samples == 0, "a single region is known from the map"
    assert "✓ evaluated" in body(cut).numbers.value and "1 region off, 6.2 %" in body(cut).numbers.value
    cut._edit(Edit("toggle", ((12.0, 3.0),)))
    assert cut.wait() and cut.session.stats.forward_samples == 1
    found = cut.session.without(cut.regions.labels, [0, 1])
    words = body(cut).numbers.value
    assert f"{found.before:.3f} → {found.after:.3f}" in words and "one by one" in words
    predicted = -cut.maps["leave_one_out"].region_scores[:2].sum()
    assert f"one by one: {'−' if predicted < 0 else '+'}{abs(predicted):.2f}" in words
    np.testing.assert_allclose(cut.face.classes.bars.y, [found.probabilities[i] for i in cut.face.classes.indices])
    assert "sw-changed" in cut.face.classes.body._dom_classes and cut.face.classes.ticks.value.count("<i") == 5
    assert body(cut).strip.off == [0, 1] and set(body(cut).strip.order) == set(range(len(cut.regions)))
    body(cut).all_on.click()
    assert cut.wait() and not cut.regions.off and canvas.off == []
    assert not cut.face.classes.ticks.value and "nothing is off" in body(cut).numbers.value
    assert "sw-changed" in cut.face.classes.body._dom_classes, "the bars keep their scale from one click to the next"
    assert cut.session.stats.forward_samples == 1


def test_an_edit_evaluates_what_changed_and_the_map_is_that_from_scratch(cut):
    number = cut.regions.merge(0, 1)
    assert cut.wait() and cut.session.stats.forward_samples == 1
    np.testing.assert_allclose(cut.maps["leave_one_out"].region_scores, plain_drops(cut), atol=1e-9)
    cut.regions.split(5, [(15, 11), (25, 11)])
    assert cut.wait() and cut.session.stats.forward_samples == 1 + 2
    number = cut.regions.rectangle(2, 2, 6, 6, "ear")
    assert cut.wait() and cut.session.stats.forward_samples == 3 + 2
    np.testing.assert_allclose(cut.maps["leave_one_out"].region_scores, plain_drops(cut), atol=1e-9)
    assert cut.regions.drop("ear") == pytest.approx(plain_drops(cut)[number])
    assert np.array_equal(cut.params["leave_one_out"].regions, cut.regions.labels)
    while cut.regions.undo():
        assert cut.wait()
    assert cut.session.stats.forward_samples == 5, "what was evaluated before is kept"
    assert cut.params["leave_one_out"].regions is None and np.array_equal(cut.regions.labels, R.grid((32, 32), 4, 4))


def test_parameters_cut_anew_and_that_can_be_undone(cut):
    params, control = cut.params["leave_one_out"], cut.face.method.controls["leave_one_out"]["regions"]
    assert control.widget.label == "grid 4 × 4"
    cut.regions.switch(3)
    params.grid = 7
    assert len(cut.regions) == 49 and not cut.regions.off and control.widget.label == "grid 7 × 7"
    control.widget.index = control.values.index("slic")
    assert cut.wait() and np.array_equal(cut.regions.labels, R.segment(cut.session.picture.shown, "slic"))
    assert np.array_equal(cut.maps["leave_one_out"].regions, cut.regions.labels)
    cut.regions.undo()
    assert params.regions is None and params.grid == (7, 7) and control.widget.label == "grid 7 × 7"
    cut.regions.undo()
    assert params.grid == (4, 4) and cut.regions.off == {3} and control.widget.label == "grid 4 × 4"
    control.widget.index = control.widget.options.index("grid 10 × 10")
    assert cut.wait() and len(cut.regions) == 100 and cut.maps["leave_one_out"].regions.max() == 99


def test_label_maps_are_assigned_and_wrong_ones_change_nothing(cut):
    labels = np.arange(32)[:, None].repeat(32, 1) // 8 * 5
    cut.regions = labels
    assert cut.wait() and len(cut.regions) == 4 and np.array_equal(np.asarray(cut.regions) * 5, labels)
    assert np.array_equal(cut.maps["leave_one_out"].regions * 5, labels)
    for wrong, kind in ((labels[:5], ValueError), (labels * 1.5, TypeError), ("triangles", ValueError)):
        with pytest.raises(kind):
            cut.regions = wrong
    assert len(cut.regions) == 4 and cut.regions.undoable == 1
    cut.regions = "slic"
    assert cut.wait() and len(cut.regions) > 4


def test_each_method_has_its_own_regions(cut):
    cut.regions.rectangle(1, 1, 9, 9)
    cut.method = "lime"
    assert cut.wait() and cut.error == "" and cut.face.stage.canvas.editable
    assert np.array_equal(cut.regions.labels, R.segment(cut.session.picture.shown, "slic")) and cut.regions.undoable == 0
    cut._edit(Edit("toggle", ((3.0, 3.0),)))
    assert cut.wait() and "by the map" in body(cut).numbers.value
    cut.method = "grad_cam"
    assert cut.wait() and not cut.face.stage.canvas.editable and not cut.face.stage.canvas.regions
    assert "sw-changed" not in cut.face.classes.body._dom_classes
    cut._edit(Edit("toggle", ((3.0, 3.0),)))
    assert cut.regions.off == set() and len(cut.regions) == 17, "leave-one-out's, where the method cuts along none"
    cut.method = "occlusion"
    assert cut.wait() and not cut.face.stage.canvas.editable


def test_what_is_off_stays_while_class_and_fill_change(cut):
    cut.regions.off = (2, 5)
    cut.target = (cut.target + 1) % 5
    assert cut.wait()
    found = cut.session.without(cut.regions.labels, [2, 5], target=cut.target)
    assert f"{found.before:.3f} → {found.after:.3f}" in body(cut).numbers.value
    first = cut.face.stage.canvas.fill
    cut.params["leave_one_out"].fill = "white"
    assert cut.wait() and cut.face.stage.canvas.fill != first
    found = cut.session.without(cut.regions.labels, [2, 5], "white", target=cut.target)
    assert f"{found.before:.3f} → {found.after:.3f}" in body(cut).numbers.value
    np.testing.assert_allclose(cut.maps["leave_one_out"].region_scores, plain_drops(cut, 1.0), atol=1e-9)


def test_another_picture_begins_anew(cut):
    cut.regions.rectangle(3, 3, 9, 9)
    cut.regions.off = (1,)
    cut.image = tensor(seed=3)
    assert cut.wait() and cut.error == ""
    assert np.array_equal(cut.regions.labels, R.grid((32, 32), 4, 4)) and not cut.regions.off and not cut.regions.undoable
    assert cut.face.stage.canvas.off == [] and cut.params["leave_one_out"].regions is None
    cut.image = tensor((24, 40), seed=3)
    assert cut.wait() and cut.regions.size == (24, 40)


def test_what_cannot_be_done_is_said(cut):
    cut._edit(Edit("split", ((4.0, 3.0), (4.0, 5.2))))
    assert cut.wait() and "does not cut" in cut.error and cut.regions.undoable == 0
    cut._edit(Edit("toggle", ((3.0, 3.0),)))
    assert cut.wait() and cut.error == ""
    body(cut).menu.value = True
    body(cut).name.value = "ear"
    assert cut.regions.names == {0: "ear"} and "ear" in body(cut).which.value
    body(cut).acts["grow"].click()
    assert cut.wait() and cut.regions.mask("ear").sum() > 64
    body(cut).acts["remove"].click()
    assert cut.wait() and "ear" not in cut.regions.names.values() and cut.error == ""


def test_a_drag_tells_what_its_drawing_would_drop(cut):
    corners = ((2.0, 2.0), (14.0, 10.0))
    cut._edit(Edit("rectangle", corners, sketch=7))
    assert cut.wait() and cut.regions.undoable == 0
    mask = np.zeros((32, 32), int)
    mask[2:10, 2:14] = 1
    change = cut.session.without(mask, [1]).change
    assert cut.face.stage.canvas.sketch == {"number": 7, "text": f"{'−' if change < 0 else '+'}{abs(change):.2f} logit"}
    assert cut.session.stats.forward_samples == 1
    cut._edit(Edit("lasso", ((2.0, 2.0), (3.0, 3.0)), sketch=8))
    assert cut.wait() and cut.face.stage.canvas.sketch == {"number": 8, "text": ""} and cut.error == ""
    cut._edit(Edit("rectangle", corners))
    assert cut.wait() and cut.regions.undoable == 1 and len(cut.regions) == 17
    cut.regions.off = (16,)
    assert cut.wait() and cut.session.stats.forward_samples == 1 + 4, "the drawn region was known; four cells lost pixels"


@pytest.mark.parametrize("seed", range(3))
def test_after_any_edits_the_live_map_is_that_from_scratch(cut, seed):
    rng, held = np.random.default_rng(seed), cut.regions.state
    for op in rng.choice(["rectangle", "lasso", "brush", "erase", "merge", "split", "grow", "toggle", "undo"], 8):
        points = tuple(map(tuple, rng.uniform(0, 32, (2 if op == "rectangle" else 4, 2)).tolist()))
        before = cut.regions.state
        cut._edit(Edit(str(op), points, radius=float(rng.uniform(1, 5))))
        assert cut.regions.state is not before or cut.error or op == "undo"
        assert np.array_equal(np.unique(cut.regions.labels), np.arange(len(cut.regions)))
    assert cut.wait()
    shown, drops = cut.maps["leave_one_out"], plain_drops(cut)
    assert np.array_equal(shown.regions, cut.regions.labels)
    np.testing.assert_allclose(shown.region_scores, drops, atol=1e-9)
    if cut.regions.off:
        found = cut.session.without(cut.regions.labels, cut.regions.off)
        assert f"{found.before:.3f} → {found.after:.3f}" in body(cut).numbers.value
    while cut.regions.undo():
        pass
    assert cut.regions.state.same(held) and cut.wait()
    np.testing.assert_allclose(cut.maps["leave_one_out"].region_scores, plain_drops(cut), atol=1e-9)


def test_superseded_questions_of_a_drag_are_dropped(cut):
    cut._edit(Edit("rectangle", ((1.0, 1.0), (9.0, 9.0)), after=12))
    cut._edit(Edit("rectangle", ((1.0, 1.0), (8.0, 9.0)), sketch=12))
    assert cut.wait() and cut.face.stage.canvas.sketch == {} and cut.maps["leave_one_out"].regions.max() == len(cut.regions) - 1
    cut._edit(Edit("rectangle", ((1.0, 1.0), (8.0, 9.0)), sketch=13))
    assert cut.wait() and cut.face.stage.canvas.sketch["number"] == 13
    cut._edit(Edit("cancel", after=13))
    assert cut.wait() and cut.regions.undoable == 1


def test_hands_and_code_at_once_end_on_one_state(cut):
    import threading

    def switch(region):
        for _ in range(6):
            cut._edit(Edit("toggle", region=region))

    threads = [threading.Thread(target=switch, args=(region,)) for region in range(4)]
    [t.start() for t in threads]
    cut.regions.rectangle(20, 20, 28, 28)
    [t.join(20) for t in threads]
    assert not any(t.is_alive() for t in threads) and cut.wait() and cut.error == ""
    assert cut.face.stage.canvas.off == sorted(cut.regions.off)
    assert np.array_equal(cut.maps["leave_one_out"].regions, cut.regions.labels)


def test_a_trained_model_is_asked_again(cut):
    import torch

    cut.regions.off = (2, 3)
    assert cut.wait()
    before = body(cut).numbers.value
    with torch.no_grad():
        cut.session.subject.model.head.weight.add_(0.3 * torch.randn(5, 12, dtype=torch.float64))
    cut.refresh()
    assert cut.wait() and cut.error == ""
    found = cut.session.without(cut.regions.labels, [2, 3])
    assert f"{found.before:.3f} → {found.after:.3f}" in body(cut).numbers.value != before
    np.testing.assert_allclose(cut.maps["leave_one_out"].region_scores, plain_drops(cut), atol=1e-9)


def test_parameters_that_do_not_fit_are_said_and_good_ones_go_on(cut):
    cut.params["leave_one_out"].regions = np.zeros((5, 5), int)
    assert cut.wait() and "size" in cut.error
    with pytest.raises(ValueError, match="size"):
        assert len(cut.regions)
    cut.params["leave_one_out"].regions = None
    assert cut.wait() and cut.error == "" and len(cut.regions) == 16 and cut.face.stage.canvas.editable
    with pytest.raises(LookupError, match="triangles|unknown|no region"):
        cut.regions.drop("triangles")
