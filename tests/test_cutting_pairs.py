"""Interactions in the Explorer: from the menu of a region, by clicks on the stage, in code, and while regions are edited."""
import json

import numpy as np
import pytest

from saliency_widgets import regions as R
from saliency_widgets.widgets.edits import Edit


@pytest.fixture
def cut(ex):
    """The Explorer with leave-one-out on a 4 × 4 grid, one region chosen."""
    ex.params["leave_one_out"].grid = 4
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == ""
    ex._edit(Edit("choose", ((3.0, 3.0),)))
    assert ex.wait()
    ex.session.stats.reset()
    return ex


def body(ex):
    return ex.face.method.bodies[ex.method]


def wanted(ex, chosen, labels):
    """Interactions of one region by a loop over the session's what-ifs."""
    def drop(*off):
        return ex.session.without(labels, off).drop

    return [0 if s == chosen else drop(chosen, s) - drop(chosen) - drop(s) for s in range(int(labels.max()) + 1)]


def test_the_menu_of_a_region_leads_to_its_interactions_and_clicks_to_those_of_others(cut):
    alone = cut.maps["leave_one_out"].region_scores
    body(cut).acts["interactions"].click()
    assert cut.wait() and cut.error == "" and cut.method == "interactions"
    assert cut.session.stats.forward_samples == 15, "single drops are known from the map"
    map = cut.maps["interactions"]
    np.testing.assert_allclose(map.region_scores, wanted(cut, 0, cut.regions.labels), atol=1e-9)
    np.testing.assert_allclose(map.details["drops"], alone, atol=1e-12)
    canvas, layer = cut.face.stage.canvas, cut.face.layers[0]
    assert canvas.editable and canvas.chosen == 0 and body(cut).region == 0
    assert layer.words == ["costs more together with region 0", "costs less together with region 0"]
    assert "with region 0: 15 regions, ranked" in body(cut).words.value
    assert cut.face.method.mark.description == "with region 0" and "Alone region 0 costs" in cut.face.method.sentence.value
    before = cut.session.stats.forward_samples
    cut._edit(Edit("toggle", ((12.0, 3.0),)))
    assert cut.wait() and cut.params["interactions"].region == 1 and not cut.regions.off and canvas.chosen == 1
    assert cut.session.stats.forward_samples == before + 14, "one of its pairs is known"
    np.testing.assert_allclose(cut.maps["interactions"].region_scores, wanted(cut, 1, cut.regions.labels), atol=1e-9)


def test_a_bar_switches_off_and_two_that_are_off_show_their_interaction(cut):
    body(cut).acts["interactions"].click()
    assert cut.wait()
    map, before = cut.maps["interactions"], cut.session.stats.forward_samples
    for region in (0, 6):
        cut._edit(Edit("toggle", region=region))
    assert cut.wait() and cut.regions.off == {0, 6} and cut.session.stats.forward_samples == before, "the pair is kept"
    found = cut.session.without(cut.regions.labels, [0, 6])
    assert found.drop - map.details["drops"][[0, 6]].sum() == pytest.approx(map.region_scores[6])
    alone = -map.details["drops"][[0, 6]].sum()
    assert f"one by one: {'−' if alone < 0 else '+'}{abs(alone):.2f}" in body(cut).numbers.value
    assert "✓ evaluated" in body(cut).numbers.value


def test_names_switches_and_fill_go_along_and_leave_one_out_keeps_its_own(cut):
    cut.params["leave_one_out"].fill = "white"
    cut.regions.rectangle(2, 2, 9, 9, "ear")
    cut.regions.off = ("ear",)
    assert cut.wait()
    cut._edit(Edit("interactions", region=cut.regions._number("ear")))
    assert cut.wait() and cut.error == "" and cut.params["interactions"].fill == "white"
    assert "ear" in cut.regions.names.values() and cut.regions.off == {cut.regions._number("ear")}
    cut.regions.merge(5, 6)
    assert cut.wait() and cut.error == ""
    cut.method = "leave_one_out"
    assert cut.wait() and len(cut.regions) == 17 and cut.regions.undoable == 2


def test_the_chosen_region_moves_along_with_edits(cut):
    cut._edit(Edit("interactions", ((20.0, 20.0),)))
    assert cut.wait() and cut.params["interactions"].region == 10
    mask = cut.regions.mask(10)
    cut.regions.merge(0, 1)
    assert cut.params["interactions"].region == 9 and np.array_equal(cut.regions.mask(9), mask)
    assert cut.wait() and cut.maps["interactions"].details["region"] == 9 and cut.face.stage.canvas.chosen == 9
    cut.regions.undo()
    assert cut.wait() and cut.params["interactions"].region == 10
    cut.params["interactions"].grid = 2
    assert cut.wait() and cut.error == "" and cut.params["interactions"].region == 3
    np.testing.assert_allclose(cut.maps["interactions"].region_scores, wanted(cut, 3, R.grid((32, 32), 2, 2)), atol=1e-9)
    cut.image = np.zeros((32, 32, 3), np.uint8)
    assert cut.wait() and cut.params["interactions"].region is None and cut.error == ""


def test_two_regions_in_code(cut):
    regions, labels = cut.regions, cut.regions.labels
    assert regions.interaction(3, 9) == pytest.approx(wanted(cut, 3, labels)[9]) == pytest.approx(regions.interaction(9, 3))
    regions.name(3, "ear")
    assert regions.interaction("ear", 9) == pytest.approx(regions.interaction(3, 9))
    with pytest.raises(ValueError, match="two different regions"):
        regions.interaction("ear", 3)
    with pytest.raises(LookupError, match="no region 99"):
        regions.interaction(3, 99)


def test_another_method_begins_without_a_chosen_region(cut):
    assert cut.face.stage.canvas.chosen == 0
    cut.params["lime"].n = 20
    cut.method = "lime"
    assert cut.wait() and cut.face.stage.canvas.chosen == -1 and body(cut).region is None


@pytest.mark.parametrize("method, word", [
    ("leave_one_out", "drop"), ("interactions", "with region 5"), ("lime", "coefficient"), ("kernel_shap", "share"),
    ("greedy_order", "in its turn"), ("xrai", "density")])
def test_the_readout_says_what_a_region_s_value_is_here_and_in_a_saved_page(ex, tmp_path, method, word):
    if ex.params[method].has_trait("grid"):
        ex.params[method].grid = 3
    if method == "interactions":
        ex.params[method].region = 5
    if method in ("lime", "kernel_shap"):
        ex.params[method].n = 220
    ex.method = method
    assert ex.wait(60) and ex.error == "" and ex._shown[0].method == method
    assert ex.face.layers[0].region_word == word
    page = ex.save(tmp_path / "page.html").read_text("utf-8")
    data = json.loads(page.split('id="sw-data">')[1].split("</script>")[0])
    assert data["layers"][0]["region_word"] == word
    assert ex.face.stage.canvas.click == ("choose" if method == "interactions" else "off / on")


def test_a_page_of_drawn_regions_says_how_many_and_no_count_of_superpixels(cut, tmp_path):
    def said():
        return cut.save(tmp_path / "page.html").read_text("utf-8").split("<body>")[1].split("<script")[0]

    assert "grid 4 × 4" in said() and "count" not in said()
    cut.regions.rectangle(2, 2, 9, 9)
    assert cut.wait() and cut.error == ""
    assert f"regions own, {len(cut.regions)} ·" in said() and "grid" not in said() and "count" not in said()
    cut.params["leave_one_out"].regions = "slic"
    assert cut.wait() and "regions slic · fill black · count 100" in said().replace("grid 4 × 4 · ", "")
