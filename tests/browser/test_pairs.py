"""Interactions from the menu of a region with a real pointer, and the film of deletion with its playhead."""
import numpy as np
import pytest


@pytest.fixture
def cut(demo):
    """The embedded demo with leave-one-out on a 7 × 7 grid."""
    demo.run("ex.params['leave_one_out'].grid = 7")
    demo.choose_family("Cut")
    demo.settle()
    return demo


def test_a_region_leads_to_its_interactions_and_a_click_to_those_of_another(cut):
    page = cut.page
    cut.run("ex._edit(__import__('saliency_widgets.widgets.edits', fromlist=['Edit']).Edit('choose', ((112., 112.),)))")
    cut.settle()
    buttons = page.locator(".sw-explorer .sw-region-menu .sw-pop button")
    words = buttons.all_inner_texts()
    assert words[-1] == "interactions" and "coarser" in words and "finer" in words
    cut.shot("pairs-menu-light")
    cut.run("ex.session.stats.reset()")
    buttons.last.click()
    cut.until("ex.method == 'interactions' and ex.wait(60) and ex._shown[0].method == 'interactions' and ex._shown[0].final")
    cut.settle()
    assert cut.value("ex.error") == "" and cut.value("ex.session.stats.forward_samples") == 48
    assert cut.value("ex.face.stage.canvas.chosen") == 24
    cut.shot("pairs-light")
    page.mouse.click(*cut.place(80, 112))
    cut.until("ex.params['interactions'].region == 23 and ex.wait(60) and ex._shown[0].details['region'] == 23")
    cut.settle()
    assert cut.value("ex.regions.off == set()") and cut.value("ex.session.stats.forward_samples") == 48 + 47
    scores, r = cut.array("ex.maps['interactions'].region_scores"), np.arange(49)
    both = cut.array("[ex.session.without(ex.regions.labels, {23, s}).drop for s in range(49)]")
    alone = cut.array("[ex.session.without(ex.regions.labels, {s}).drop for s in range(49)]")
    np.testing.assert_allclose(scores, np.where(r == 23, 0, both - alone - alone[23]), atol=1e-4)
    cut.set_theme("dark")
    cut.settle()
    cut.shot("pairs-dark")
    cut.set_theme("light")


def test_the_film_of_deletion_plays(cut):
    cut.run("ex.method = 'greedy_order'")
    cut.until("ex.wait(120) and ex._shown[0].method == 'greedy_order' and ex._shown[0].final")
    cut.settle()
    assert cut.value("ex.error") == ""
    cut.shot("order-light")
    handle = cut.page.locator(".sw-explorer .sw-playhead .noUi-handle:visible").first
    cut.drag(handle, -cut.box(".sw-plot")["width"] / 2)
    cut.until("ex.wait(60) and ex.face.method.bodies['greedy_order'].plot.playhead.value < 70")
    cut.settle()
    cut.until("(ex.face.layers[0].decode() != 0).mean() < (ex.maps['greedy_order'].values != 0).mean()")
    cut.shot("order-half-light")
