"""The bodies of the method panel: each method's by what it declares, and what they show of a map."""
from types import SimpleNamespace

import numpy as np
import pytest

from saliency_widgets import methods
from saliency_widgets.saliency_map import SaliencyMap
from saliency_widgets.widgets import showing
from saliency_widgets.widgets.cam import CamPanel
from saliency_widgets.widgets.controls import Params
from saliency_widgets.widgets.cut import CutPanel
from saliency_widgets.widgets.face import close_tree
from saliency_widgets.widgets.film_panel import FilmPanel
from saliency_widgets.widgets.layers import HeatLayer
from saliency_widgets.widgets.method import ROW, MethodPanel
from saliency_widgets.widgets.path import PathPanel
from saliency_widgets.widgets.sheet_panel import SheetPanel
from saliency_widgets.widgets.views import ViewsPanel

HANDS = ("method", "run", "param", "point", "edit", "sheet")
LAYERS = [SimpleNamespace(name=name, kind="Conv2d", shape=shape, spatial=len(shape) == 3)
          for name, shape in (("a", (4, 8, 8)), ("b", (8, 4, 4)), ("head", (5,)))]
BODIES = {"gradient": ViewsPanel, "guided_ig": ViewsPanel, "integrated_gradients": PathPanel, "blur_ig": PathPanel,
          "grad_cam": CamPanel, "guided_grad_cam": CamPanel, "attention_rollout": CamPanel, "leave_one_out": CutPanel,
          "lime": CutPanel, "interactions": CutPanel, "greedy_order": FilmPanel, "rise": ViewsPanel,
          "meaningful_perturbation": FilmPanel, "activation_maximisation": FilmPanel,
          "activation": SheetPanel, "deeplift": ViewsPanel}


def a_map(values, name, params, **changes):
    method = methods()[name]
    facts = dict(values=np.asarray(values, np.float32), method=name, title=method.title, params=params, target=0, label="cat",
                 score="logit", unit="logit", signed=method.signed, input_size=(8, 8), default_sign=method.default_sign)
    return SaliencyMap(**{**facts, **changes})


@pytest.fixture
def panel():
    heard = []
    hands = {f"on_{what}": lambda *told, what=what: heard.append((what, *told)) for what in HANDS}
    made = MethodPanel(methods(), Params(methods()), layers=LAYERS, default_layer="b",
                       absent={"cam": "no head"}, **hands)
    made.heard = heard
    yield made
    close_tree([made, *made.hidden()], set())


def test_bodies_follow_what_methods_declare_and_are_made_when_asked_for(panel):
    assert len(panel.bodies) == 0
    for name, kind in BODIES.items():
        assert type(panel.bodies[name]) is kind, name
    assert set(panel.bodies) == set(BODIES)


@pytest.mark.parametrize("name", list(methods()))
def test_every_parameter_stands_in_the_body_or_in_the_menu_once(panel, name):
    panel.select(name)
    shown = {id(w) for w in panel.more.children}
    stack = list(panel.body.children)
    while stack:
        widget = stack.pop()
        shown.add(id(widget))
        stack += getattr(widget, "children", ())
    assert all(id(control.widget) in shown for control in panel.controls[name].values())
    row = [c for c in panel.controls[name].values() if c.widget not in panel.more.children and c.parameter.kind != "window"]
    assert sum(len(c.parameter.name) + 4 for c in row) <= ROW + 4


def test_a_family_opens_a_method_that_the_model_serves(panel):
    assert not any(pill.disabled for pill in panel.pills.values())
    panel.pills["cam"].click()
    assert panel.heard == [("method", "grad_cam")]
    absent = {name: "no gradients" for name, method in methods().items() if method.gradients}
    everything = MethodPanel(methods(), Params(methods()), absent=absent, **{f"on_{what}": print for what in HANDS})
    assert everything.pills["reference"].disabled and everything.pills["reference"].tooltip == "no gradients"
    assert not everything.pills["cam"].disabled and not everything.pills["cut"].disabled
    close_tree([everything, *everything.hidden()], set())


def test_evidence_of_another_method_goes_and_a_remedy_doubles_what_there_is(panel):
    params = {**panel.params["smoothgrad"].values(), "n": 25}
    panel.select("smoothgrad")
    panel.show(a_map(np.ones((3, 8, 8)), "smoothgrad", params, standard_error=0.5))
    assert panel.evidence.layout.visibility == "visible" and panel.remedy.description == "double the samples to 50"
    panel.remedy.click()
    assert panel.heard == [("param", "smoothgrad", "n", 50)]
    panel.select("gradient")
    assert panel.evidence.layout.visibility == "hidden"


def test_a_blur_path_has_its_own_axis(panel):
    body, params = panel.bodies["blur_ig"], {**panel.params["blur_ig"].values(), "sigma": (0.0, 10.0)}
    sigmas = np.array([0.0, 5.0, 10.0, 50.0])
    body.show(a_map(np.ones((3, 8, 8)), "blur_ig", params, details={
        "sigmas": sigmas, "scores": np.array([3.0, 2.0, 1.0, 0.0]), "accumulated": np.array([0.0, 1.0, 2.0, 3.0])}))
    assert body.plot.end == 50 and "score 3.0 → 0.0" in body.words.value and body.hint.startswith("any σ")
    np.testing.assert_allclose(body.plot.dashed.y, body.plot.strong.y)  # the sum falls with the score: no gap
    assert body.gap.value == "" and 0 <= body.point <= 10
    assert "10.0" in body.plot.axis.value


def test_a_film_shows_the_stage_at_its_playhead(panel):
    body, params = panel.bodies["meaningful_perturbation"], panel.params["meaningful_perturbation"].values()
    film = [{"iteration": i, "score": 0.5 - i / 1000, "objective": 1 - i / 1000, "mask": np.full((8, 8), i % 256, np.uint8),
             "picture": np.zeros((8, 8, 3), np.uint8)} for i in (0, 150, 300)]
    body.show(a_map(np.ones((1, 8, 8)), "meaningful_perturbation", params, unit="share taken away",
                    details={"film": film, "before": 0.6, "after": 0.2, "objective_score": "probability"}))
    assert body.point == 300 and "0.600 → 0.200" in body.numbers.value and "<b>300</b>" in body.seen.caption.value
    body.plot.playhead.value = 45
    assert panel.heard == [("point", 135.0)] and body.show_stage(body.point) is film[1]
    assert "<b>150</b>" in body.seen.caption.value and body.mask in body.pictures.children
    painted = panel.bodies["activation_maximisation"]
    painted.show(a_map(np.ones((3, 8, 8)), "activation_maximisation", {"iterations": 300}, details={
        "film": [{k: s[k] for k in ("iteration", "score", "picture")} for s in film], "layer": "b", "channel": 3, "after": 0.2}))
    assert painted.first in painted.pictures.children and "b, channel 3" in painted.numbers.value


def test_a_contact_sheet_has_pages_and_finds_the_chosen_filter(panel):
    body, order = panel.bodies["activation"], np.array([4, 9, 1, 0, 2, 3, 5, 6, 7, 8, 10])
    details = {"layer": "b", "sheet": np.random.default_rng(0).random((11, 4, 4)), "order": order,
               "activity": np.arange(11.0), "channel": 4}
    shown = a_map(np.ones((1, 4, 4)), "activation", {"layer": None, "channel": None}, unit="activation", details=details)
    body.show(shown)
    assert body.film.names == [f"№ {k}" for k in order[:8]] and body.film.selected == 0 and "1–8 of 11" in body.place.value
    assert body.back.disabled and not body.on.disabled and panel.heard == []
    body.on.click()
    assert body.film.names == ["№ 7", "№ 8", "№ 10"] and body.film.selected == -1 and body.on.disabled
    body.film.selected = 1
    assert panel.heard == [("param", "activation", "channel", 8)]
    body.show(a_map(np.ones((1, 4, 4)), "activation", {}, details={**details, "channel": 9}))
    assert body.page == 0 and body.film.selected == 1


def test_views_are_those_of_papers_and_a_curve_where_there_is_a_path(panel):
    body = panel.bodies["guided_ig"]
    plain = a_map(np.random.default_rng(0).normal(size=(3, 8, 8)), "guided_ig", {})
    body.show(plain)
    assert [view.caption.value for view in body.views] == ["signed sum", "largest channel", "sum of sizes, 99 %"]
    assert body.children[0] is body.source and "multiplies by the picture" in body.source.value
    body.show(a_map(plain.values, "guided_ig", {}, details={"alphas": np.array([0, 1.0]), "scores": np.array([0.0, 2.0]),
                                                            "accumulated": np.array([0.0, 1.9])}))
    assert body.children[0] is body.curve and "0.0 → 2.0" in body.curve.words.value
    one = panel.bodies["rise"]
    one.show(a_map(np.ones((1, 8, 8)), "rise", {}))
    assert [view.caption.value for view in one.views] == ["signed", "above zero", "below zero"]


def test_attention_has_a_film_of_its_own_places(panel):
    body = panel.bodies["attention_rollout"]
    body.show(a_map(np.ones((1, 4, 4)), "attention_rollout", {"layer": None}, details={
        "layer": "blocks.1.attn", "maps": {"blocks.0.attn": np.ones((4, 4)), "blocks.1.attn": np.ones((4, 4))}}))
    assert body.film.names == ["blocks.0.attn", "blocks.1.attn"] and body.film.selected == 1
    assert list(body.choice.widget.options) == ["none", "blocks.0.attn", "blocks.1.attn"]
    body.film.selected = 0
    assert panel.heard == [("param", "attention_rollout", "layer", "blocks.0.attn")]


def test_another_layer_lets_go_of_the_channel_of_the_old_one(panel):
    panel.controls["activation"]["layer"].widget.value = "a"
    assert panel.heard == [("param", "activation", "channel", None), ("param", "activation", "layer", "a")]


def test_what_fitted_regions_mean_is_not_a_drop(panel):
    regions = np.repeat([[0, 1]], 8, 0).repeat(4, 1)
    shown = a_map(np.ones((1, 8, 8)), "lime", {}, regions=regions, region_scores=np.array([1.0, -2.0]),
                  details={"r2": 0.9, "before": 0.5})
    body, layer = panel.bodies["lime"], HeatLayer()
    body.show(shown)
    body.show_off(regions, frozenset([0]), None, regions == 0, np.zeros((8, 8, 3), np.uint8))
    assert body.words.value.startswith("share of 2 regions") and "≈ by the map" in body.numbers.value
    assert "≈ −1.00" in body.numbers.value and "0.500 → …" in body.numbers.value
    showing.put(layer, shown)
    assert layer.words == ["raises cat", "lowers cat"]


def test_a_picture_of_its_own_does_not_cover_the_photograph():
    layer = HeatLayer()
    showing.begin(layer, "inside", a_map(np.ones((3, 8, 8)), "activation_maximisation", {}, unit="input unit",
                                         details={"picture": np.zeros((8, 8, 3), np.uint8)}))
    assert not layer.visible
    showing.begin(layer, "cut", a_map(np.ones((1, 8, 8)), "meaningful_perturbation", {}, details={"picture": None}))
    assert layer.visible
    showing.put(layer, a_map(np.ones((1, 8, 8)), "activation", {}, unit="activation"))
    assert layer.words == ["activation above zero", "activation below zero"]


def test_the_noise_of_a_smoothed_map_is_told_in_input_units_and_in_pixels(panel):
    body = panel.bodies["smoothgrad"]
    assert "what would change the score" in body.source.value and "1706.03825" in body.source.value
    details = {"n": 25, "sigma": 0.5, "sigma_pixels": 0.1125}
    body.show(a_map(np.ones((3, 8, 8)), "smoothgrad", {"n": 25, "level": 0.15}, details=details))
    assert "σ 0.5 input units: 0.113 of the pixel range, or 29 of 255" in body.source.value and "1706.03825" in body.source.value


def test_a_map_that_comes_late_does_not_take_the_film_back(panel):
    body, params = panel.bodies["grad_cam"], panel.params["grad_cam"]
    names = [name for name in body.layers]
    maps = {name: np.ones((2, 2)) for name in names}
    body.show(a_map(np.ones((1, 2, 2)), "grad_cam", params.values(), details={"layer": "b", "maps": maps}))
    assert body.film.names[body.film.selected] == "b"
    params.layer = "a"  # the hand has moved on; the map of "b" for another class arrives after that
    body.show(a_map(np.ones((1, 2, 2)), "grad_cam", {"layer": "b"}, details={"layer": "b", "maps": maps}))
    assert body.film.names[body.film.selected] == "a"


def test_the_sum_so_far_is_that_of_the_point_or_nothing(panel):
    body, picture = panel.bodies["integrated_gradients"], np.zeros((4, 4, 3), np.uint8)
    body.show_point(0.4, 0.2, picture, None, np.ones((4, 4)))
    assert "0.20 – 0.40" in body.total.caption.value
    before = body.total.image.value
    body.show_point(0.2, 0.2, picture, None, None)
    assert "0.20 – 0.20" in body.total.caption.value and body.total.image.value != before
    body.show_point(0.6, 0.2, picture, None, None)
    assert "no sum" in body.total.caption.value
