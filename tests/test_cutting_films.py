"""Deletion and insertion in the Explorer: the film grows while it runs, the playhead shows each step, from what is kept."""
import numpy as np
import pytest


@pytest.fixture
def film(ex):
    """The Explorer with the greedy order of a 3 × 3 grid."""
    ex.params["greedy_order"].grid, ex.params["greedy_order"].steps = 3, 5
    ex.method = "greedy_order"
    assert ex.wait() and ex.error == ""
    ex.session.stats.reset()
    return ex


def test_the_playhead_shows_the_regions_that_are_gone_by_then(film):
    body, layer, map = film.face.method.bodies["greedy_order"], film.face.layers[0], film.maps["greedy_order"]
    order, scores = map.details["order"], map.details["scores"]
    assert body.plot.end == 5 and body.point == 5 and "5 steps" in body.plot.axis.value
    np.testing.assert_allclose(layer.decode(), map.values[0], atol=1e-3 * np.abs(map.values).max())
    assert layer.words[0].endswith("falls") and "→" in film.face.method.mark.description
    body.plot.playhead.value = 40
    assert film.wait() and film.error == "" and film.session.stats.forward_samples == 0
    gone = np.isin(map.regions, order[:2])
    np.testing.assert_allclose(layer.decode(), np.where(gone, map.values[0], 0), atol=1e-3 * np.abs(map.values).max())
    assert "at step <b>2</b>" in body.seen.caption.value and f"last: region {order[1]}" in body.numbers.value
    assert f"{scores[0]:.2f} → {scores[2]:.2f}".replace("-", "−") in body.numbers.value
    body.plot.playhead.value = 0
    assert film.wait() and not layer.decode().any() and "last: region" not in body.numbers.value


def test_the_other_game_and_more_steps_go_on_from_what_is_kept(film):
    film.params["greedy_order"].steps = 7
    assert film.wait() and film.session.stats.forward_samples == 4 + 3
    film.params["greedy_order"].game = "insertion"
    assert film.wait() and film.error == "" and film.face.layers[0].words[0].endswith("rises")
    assert len(film.maps["greedy_order"].details["film"]) == 8
    film.params["greedy_order"].fill = "inpaint"
    assert film.wait() and "insertion begins with nothing around" in film.error
    film.params["greedy_order"].fill = "mean"
    assert film.wait() and film.error == ""


def test_the_stage_outlines_its_regions_which_are_not_edited(film):
    canvas = film.face.stage.canvas
    assert not canvas.editable and canvas.regions["shape"] == [32, 32]
    assert film.regions.drop(*film.maps["greedy_order"].details["order"][:3]) == pytest.approx(
        film.maps["greedy_order"].region_scores[film.maps["greedy_order"].details["order"][:3]].sum())
    assert film.session.stats.forward_samples == 0
