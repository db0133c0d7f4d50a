"""The trust panel without a browser: nothing before it is asked for, what is stale, what stops, what it says."""
from dataclasses import replace

import ipywidgets
import numpy as np
import pytest

from saliency_widgets import Compare, Explorer, metrics
from saliency_widgets.widgets.trust_words import TABS
from tests.explorers import LABELS, open_widgets
from tests.small import small, tensor
from tests.trusting import measured, reading

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def shared():
    """One Explorer with its panel open, for tests that leave it as they found it."""
    explorer = Explorer(small(), tensor(), LABELS)
    assert explorer.wait()
    explorer.trust.open = True
    yield explorer
    explorer.close()


# ---- what it costs not to be opened


def test_nothing_is_made_before_it_is_opened_and_nothing_is_left(ex):
    before = open_widgets()
    assert ex.trust.panel is None and not ex.trust.open and not ex.trust.results
    ex.target = 2
    assert ex.wait()
    assert {type(ipywidgets.widgets.widget._instances[i]).__name__ for i in open_widgets() - before} <= {"HeatLayer"}
    blocks = ex.children
    samples = ex.session.stats.forward_samples
    ex.trust.open = True
    assert ex.children == (*blocks, ex.trust.panel) and ex.face.rows.trust == "open"
    for tab in TABS:
        ex.trust.choose(tab)
    assert ex.session.stats.forward_samples == samples and not ex.trust.results, "looking costs no evaluation"
    ex.trust.open = False
    assert ex.children == blocks and ex.face.rows.trust == "closed"


def test_the_button_and_the_key_open_and_close_it(ex):
    ex.face.rows._receive(None, {"kind": "trust", "layer": ""}, [])
    assert ex.trust.open
    ex.face.stage.canvas._receive(None, {"kind": "key", "key": "trust"}, [])
    assert not ex.trust.open


# ---- measures


def test_a_measure_is_that_of_the_metric_and_no_other_is_taken(ex):
    found = measured(ex, "deletion")
    assert list(found) == ["deletion"]
    direct = metrics.deletion(ex.session, ex.maps["grad_cam"], fill="blur")
    assert found["deletion"].value == direct.value
    np.testing.assert_array_equal(found["deletion"].details["random_scores"], direct.details["random_scores"])
    samples = ex.session.stats.forward_samples
    measured(ex, "deletion")
    assert ex.session.stats.forward_samples == samples, "what is known is not computed again"


@pytest.mark.parametrize("metric", ["sensitivity_max", "road", "sanity_check", "invariance", "linear_estimate"])
def test_every_number_stands_with_its_words(shared, metric):
    found = measured(shared, metric)
    assert found[metric].metric == metric and shared.error == ""
    words, number = reading(shared, metric).words.value, reading(shared, metric).number.value
    assert len(words) > 60 and "not measured" not in number and "<b>" in number
    assert reading(shared, metric).note.value == ""


def test_a_map_of_the_input_foretells_and_adds_up(ex):
    ex.method = "integrated_gradients"
    assert ex.wait(60)
    found = measured(ex, "completeness", "infidelity", "agreement")
    assert abs(found["completeness"].value) == pytest.approx(abs(ex.maps["integrated_gradients"].residual), abs=1e-9)
    assert found["completeness"].details["needed"] and "bring it below" in reading(ex, "completeness").words.value
    assert "±" in reading(ex, "infidelity").number.value and "logit²" in reading(ex, "infidelity").number.value
    card = ex.trust.panel.cards["agreement"]
    between = metrics.rank_correlation(ex.maps["grad_cam"], ex.maps["integrated_gradients"])
    assert found["agreement"].value == pytest.approx(between)
    assert card.table.value.count("<th scope=row>") == 2 and f"{abs(between):.2f}" in card.table.value


def test_a_method_without_steps_adds_up_too(ex):
    ex.method = "deeplift"
    assert ex.wait(60)
    assert measured(ex, "completeness")["completeness"].details["steps"] == []
    assert "no steps to double: the sum holds" in reading(ex, "completeness").words.value
    assert reading(ex, "completeness").button.description == "check the sum"


def test_what_cannot_be_is_said_on_its_card(shared):
    measured(shared, "completeness")
    assert "completeness" not in shared.trust.results and shared.error == ""
    assert "does not promise" in reading(shared, "completeness").words.value
    assert reading(shared, "completeness").row.layout.display == "none", "no button for what cannot be measured"


def test_wrong_wishes(shared):
    with pytest.raises(LookupError, match="'truth'.*deletion"):
        shared.trust.show("truth")
    with pytest.raises(ValueError, match="fill cannot be 'tartan'.*black"):
        shared.trust.show("deletion", fill="tartan")
    with pytest.raises(TypeError, match="no setting 'colour'"):
        shared.trust.show("deletion", colour="red")
    for mask in (np.ones((3, 3), bool), np.ones((32, 32)), np.zeros((32, 32), bool)):
        with pytest.raises(ValueError, match="32 × 32"):
            shared.trust.mask = mask


def test_settings_are_part_of_what_a_measure_is_of(shared):
    black = measured(shared, "insertion", fill="black")["insertion"]
    assert black.details["fill"] != measured(shared, "insertion", fill="mean")["insertion"].details["fill"]
    shared.trust.fill = "black"
    assert shared.trust.results["insertion"] is black
    shared.trust.fill = "blur"


# ---- what is stale


def test_another_class_dims_what_was_measured_and_the_first_brings_it_back(ex):
    first = ex.target
    value = measured(ex, "deletion")["deletion"]
    card = ex.trust.panel.card
    assert "sw-stale" not in card.visual._dom_classes
    ex.target = (first + 1) % 5
    assert ex.wait(60)
    assert "deletion" not in ex.trust.results
    assert "sw-stale" in card.visual._dom_classes
    assert f"of Grad-CAM of {ex.session.label(first)}" in card.readings[0].note.value
    assert card.readings[0].button.description == "measure again"
    ex.target = first
    assert ex.wait(60)
    assert ex.trust.results["deletion"] is value and "sw-stale" not in card.visual._dom_classes


# ---- by hand


def test_pointing_at_a_curve_shows_the_picture_there_and_leaving_restores(shared):
    shared.trust.show("deletion")
    shared.trust.show("insertion")
    assert shared.wait(60)
    card = shared.trust.panel.card
    rest = card.seen.image.value
    card.plots["deletion"].along.at = 0.25
    assert card.seen.image.value != rest and "25\xa0%" in card.seen.caption.value.replace(" %", "\xa0%")
    assert "probability" in card.plots["deletion"].along.text
    card.plots["insertion"].along.at = 0.25
    assert "back" in card.seen.caption.value
    card.plots["insertion"].along.at = -1
    assert card.seen.image.value == rest and card.plots["insertion"].along.text == ""


def test_the_sanity_slider_walks_from_the_trained_network_down(shared):
    measure = measured(shared, "sanity_check")["sanity_check"]
    card = shared.trust.panel.card
    layers = measure.details["layers"]
    assert card.slider.max == len(layers) and card.slider.value == len(layers), "all of it is shown to begin with"
    last = card.pictures[1].image.value
    card.slider.value = 1
    assert layers[0] in card.pictures[1].caption.value and card.pictures[1].image.value != last
    card.slider.value = 0
    assert card.pictures[1].image.value.split("src")[1] == card.pictures[0].image.value.split("src")[1]
    card.plot.along.at = 1.0
    assert card.pictures[1].image.value == last, "pointing looks ahead"
    card.plot.along.at = -1
    assert "trained" in card.pictures[1].caption.value


def test_the_standing_warning_is_beside_the_sanity_check(ex):
    ex.method = "guided_backprop"
    assert ex.wait(60)
    ex.trust.choose("sanity_check")
    ex.trust.open = True
    assert "Guided backprop changes little" in ex.trust.panel.card.warning.value
    ex.method = "gradient"
    assert ex.wait(60) and ex.trust.panel.card.warning.value == ""


def test_a_region_by_hand_by_the_cut_and_in_code(shared):
    shared.trust.choose("region")
    card = shared.trust.panel.card
    card.box.box = [0.25, 0.5, 0.75, 1.0]
    assert shared.wait(60)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 16:] = True
    np.testing.assert_array_equal(shared.trust.mask, mask)
    assert shared.trust.results["energy"].value == metrics.energy(shared.maps["grad_cam"], mask).value
    assert "pointing_game" in shared.trust.results
    shared.regions.off = [3, 4]
    card.off.click()
    assert shared.wait(60)
    np.testing.assert_array_equal(shared.trust.mask, np.isin(shared.regions.labels, [3, 4]))
    shared.regions.off = []
    ring = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
    shared.trust.show("energy", mask=ring)
    assert shared.wait(60) and card.box.box == [], "what is no rectangle has no frame"
    card.none.click()
    assert shared.trust.mask is None and "No region yet" in card.readings[0].note.value


def test_the_change_is_chosen_by_a_menu(shared):
    shared.trust.choose("invariance")
    card = shared.trust.panel.card
    card.change.index = 2
    assert shared.trust.change == "blur"
    card.readings[0].button.click()
    assert shared.wait(60)
    assert shared.trust.results["invariance"].details["change"] == "blur" and "px" in card.pictures[0].caption.value
    shared.trust.change = "rotate"
    assert card.change.index == 0


def test_a_rectangle_on_a_wide_picture_is_where_it_was_drawn():
    ex = Explorer(small(), tensor((32, 48)), LABELS)
    assert ex.wait()
    ex.trust.choose("region")
    ex.trust.open = True
    ex.trust.panel.card.box.box = [0.5, 0.25, 1.0, 0.75]
    assert ex.wait(60)
    expected = np.zeros((32, 48), bool)
    expected[16:, 12:36] = True
    np.testing.assert_array_equal(ex.trust.mask, expected)
    ex.image = tensor()
    assert ex.wait(60) and ex.trust.mask is None, "a region of another picture is none of this one"
    ex.close()


def test_a_rectangle_keeps_its_size_on_its_way_and_is_a_pixel_at_least(shared):
    shared.trust.choose("region")
    box = shared.trust.panel.card.box
    box.box = [0.1, 0.1, 0.41, 0.3]
    first = shared.trust.mask.sum()
    for _ in range(12):
        box.box = [edge + 0.02 for edge in box.box]
        assert shared.trust.mask.sum() == first
    assert not shared.trust.mask[:8].any(), "and it moved"
    box.box = [0.999, 0.999, 1.0, 1.0]
    assert shared.trust.mask.sum() == 1
    shared.trust.mask = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
    assert box.box == []
    box._handle_custom_msg({"kind": "none"}, [])
    assert shared.trust.mask is None, "Del takes away what has no frame, too"
    assert shared.wait(60)


def test_a_comparison_gives_the_button_back_as_it_was(ex):
    other = Explorer(small(seed=1), tensor(), LABELS)
    assert other.wait()
    ex.trust.open = True
    both = Compare(ex, other)
    ex.face.stage.canvas._receive(None, {"kind": "key", "key": "trust"}, [])
    other.face.stage.canvas._receive(None, {"kind": "key", "key": "trust"}, [])
    assert ex.trust.open and not other.trust.open, "T where nobody would see it does nothing"
    both.close()
    assert ex.face.rows.trust == "open" and other.face.rows.trust == "closed"
    both = Compare(ex, other)
    ex.trust.open = False
    assert ex.face.rows.trust == ""
    both.close()
    assert ex.face.rows.trust == "closed"
    other.close()


def test_the_plot_of_changes_has_probabilities_or_the_score_as_it_is(shared):
    measure = measured(shared, "invariance")["invariance"]
    card = shared.trust.panel.cards["invariance"]
    np.testing.assert_array_equal(card.plot.lines[0].y, measure.details["probabilities"])
    assert "probability" in card.plot.legend.value
    negative = replace(measure, details={**measure.details, "probabilities": None, "scores": measure.details["scores"] - 100})
    card.curves(negative)
    np.testing.assert_array_equal(card.plot.lines[0].y, negative.details["scores"])
    assert "score, logit" in card.plot.legend.value


def test_a_callable_has_what_asks_for_forward_passes_and_the_reason_for_the_rest():
    net = small().float()
    ex = Explorer(lambda x: net(x).detach().numpy(), tensor().float(), LABELS)
    assert ex.wait(60)
    assert {"deletion", "road"} <= set(measured(ex, "deletion", "road", "sanity_check", "linear_estimate"))
    assert "plain callable hides" in reading(ex, "sanity_check").note.value
    assert "gradients" in reading(ex, "linear_estimate").note.value and ex.error == ""
    ex.close()


# ---- what is kept, and what is written


def test_the_panel_is_part_of_the_state(ex):
    assert ex.state["trust"] == {"open": False, "tab": "deletion", "fill": "blur", "missing": "black", "change": "rotate"}
    ex.trust.choose("invariance")
    ex.trust.change, ex.trust.open = "shift", True
    state = ex.state
    ex.trust.open, ex.trust.change = False, "blur"
    ex.state = state
    assert ex.trust.open and ex.trust.change == "shift" and ex.trust.panel.tab == "invariance"
    with pytest.warns(UserWarning, match=r"trust 'colour': not known.*tab cannot be 'no such tab'.*fill cannot be \['black'\]"):
        ex.state = {**state, "trust": {"open": False, "tab": "no such tab", "fill": ["black"], "colour": 1}}
    assert not ex.trust.open and ex.trust.panel.tab == "invariance"
    ex.state = {key: value for key, value in state.items() if key != "trust"}
    assert not ex.trust.open, "a state from before there was a panel leaves it alone"


def test_the_report_says_its_price_first_and_is_saved_as_the_menu_saves(shared, monkeypatch, tmp_path):
    written, sent = [], []

    def report(session, methods, path, *, mask=None, target=None, settings=None, ticket=None, on_progress=None):
        written.append(dict(methods))
        assert settings["deletion"] == {"fill": shared.trust.fill}
        path.write_text("<html>all of it</html>")
        return path

    monkeypatch.setattr(metrics, "report", report)
    monkeypatch.setattr(shared.face.status.save, "send", lambda content, buffers=None: sent.append((content, buffers)))
    button = shared.trust.panel.report
    button.click()
    assert not written and "evaluations" in shared.trust.panel.said.value and button.description == "write it"
    button.click()
    assert shared.wait(60)
    assert written == [{"grad_cam": shared.params["grad_cam"].values()}]
    (content, buffers), = sent
    assert content["kind"] == "file" and content["name"].endswith("-trust.html") and buffers == [b"<html>all of it</html>"]
    assert button.description == "report…" and "saved as" in shared.trust.panel.said.value
    assert shared.trust.report(tmp_path / "mine.html").read_text() == "<html>all of it</html>"


