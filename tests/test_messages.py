"""Whatever comes from the page, nothing is raised into the message handler, and kernel, regions and map go on."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saliency_widgets import regions as R
from saliency_widgets.widgets.edits import ANY, PLACES, STROKES, Edit

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
                    max_leaves=8)
WORDS = st.sampled_from((*STROKES, *PLACES, *ANY))
FIELDS = {"kind": st.sampled_from(["edit", "edit", "edit", "drop", "key", "ack"]) | JSON, "op": WORDS | JSON, "radius": JSON,
          "sketch": JSON, "after": JSON, "name": JSON, "acks": JSON, "key": JSON, "fill": JSON, "region": JSON}
CONTENT = st.fixed_dictionaries({}, optional=FIELDS) | JSON
POINTS = st.lists(st.floats(-40, 80, width=32), min_size=2, max_size=12).map(
    lambda v: np.array(v[:len(v) // 2 * 2], "<f4").tobytes())
BUFFERS = st.lists(POINTS | st.binary(max_size=40), max_size=2)


@pytest.fixture
def cut(ex):
    ex.params["leave_one_out"].grid = 4
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == ""
    return ex


@given(st.dictionaries(st.sampled_from(["op", "radius", "sketch", "after", "name"]), WORDS | JSON), BUFFERS)
@settings(max_examples=150, deadline=None)
def test_reading_refuses_by_value_errors_alone(content, buffers):
    try:
        edit = Edit.read(content, buffers, (32, 32))
    except ValueError as error:
        assert str(error)
    else:
        assert edit.op in (*STROKES, *PLACES, *ANY) and np.isfinite(edit.points).all()


def test_any_messages_leave_a_live_explorer(cut):
    canvas, strip = cut.face.stage.canvas, cut.face.method.bodies["leave_one_out"].strip

    @given(st.lists(st.tuples(CONTENT, BUFFERS), min_size=1, max_size=4))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def send(messages):
        for content, buffers in messages:
            canvas._handle_custom_msg(content, buffers)
            strip._handle_custom_msg(content, buffers)
        assert np.array_equal(np.unique(cut.regions.labels), np.arange(len(cut.regions)))
        assert cut.regions.off <= set(range(len(cut.regions)))

    send()
    assert cut.wait(60)
    cut.method = "leave_one_out"
    cut.regions.cut(4)
    canvas._handle_custom_msg({"kind": "edit", "op": "toggle"}, [np.array([4, 4], "<f4").tobytes()])
    assert cut.wait(60) and cut.error == ""
    assert np.array_equal(cut.maps["leave_one_out"].regions, R.grid((32, 32), 4, 4)) and len(cut.regions.off) == 1


@pytest.mark.parametrize("labels, words", [
    (np.zeros((31, 32), int), "31"), (np.zeros((32, 32)), "whole numbers"), (np.zeros((32, 32, 1), int), "32"),
    (np.array([["a"]]), "whole numbers"), (np.zeros((0, 0), int), "0"), ("voronoi", "voronoi"),
    ([[0, 1], [1]], "")])
def test_wrong_label_maps_are_refused_in_words_and_change_nothing(cut, labels, words):
    before = np.array(cut.regions.labels)
    with pytest.raises((ValueError, TypeError), match=words) as refused:
        cut.regions = labels
    assert str(refused.value) and cut.error
    assert np.array_equal(cut.regions.labels, before) and cut.regions.undoable == 0
    cut.regions.off = {1}
    assert cut.wait(60) and cut.error == ""


def test_thousands_of_regions_are_refused_with_the_way_out(cut):
    big = np.arange(32 * 32).reshape(32, 32)
    cut.regions = big
    assert cut.wait(120) and len(cut.regions) == 1024 and cut.error == "", "a thousand are evaluated"
    many = R.as_labels(np.arange(80 * 80).reshape(80, 80), (80, 80))
    from saliency_widgets.editing import Regions

    regions = Regions(R.grid((80, 80), 4, 4))
    with pytest.raises(ValueError, match="6,400 regions are more than .* cut coarser"):
        regions.labels = many
    assert len(regions) == 16


def test_labels_with_gaps_and_drawings_that_overlap_are_handled(cut):
    cut.regions = np.where(R.grid((32, 32), 2, 2) == 1, 70, 5)  # numbers without pixels
    assert cut.wait(60) and len(cut.regions) == 2
    first = cut.regions.rectangle(4, 4, 20, 20, "first")
    second = cut.regions.rectangle(10, 10, 28, 28, "second")
    assert cut.regions.mask("second").sum() == 18 * 18 and cut.regions.mask("first").sum() == 16 * 16 - 10 * 10
    assert first != second and cut.wait(60) and cut.error == ""
    with pytest.raises(ValueError, match="pixel"):
        cut.regions.draw(np.zeros((32, 32), bool))
