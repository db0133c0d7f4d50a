"""Any function from a batch of pictures to scores: scikit-learn, ONNX, an endpoint, each method against a plain NumPy loop."""
import numpy as np
import pytest
import torch

from saliency_widgets import Explorer, Session, methods
from saliency_widgets import regions as R
from saliency_widgets.kernels import reference
from saliency_widgets.methods.coalitions import ridge
from saliency_widgets.methods.lime import kernel
from saliency_widgets.widgets.edits import Edit

from .callables import OnnxSession, Remote, digits, kinds, plain
from .small import tensor

FORWARD = {"leave_one_out", "occlusion", "rise", "lime", "kernel_shap", "interactions", "greedy_order"}
NEAR = {"rtol": 1e-4, "atol": 2e-6}  # float32, in batches of another size


def picture(shape):
    return digits()[1] if shape == (1, 8, 8) else tensor(shape[1:], dtype=torch.float32)


@pytest.fixture(params=list(kinds()))
def kind(request):
    """The callable, its scores of one NumPy picture, the picture, and a label map of 2 × 3 regions."""
    function, same, shape = kinds()[request.param]
    x = picture(shape)
    return function, lambda p: same(p[None].astype(np.float32))[0], x, x.numpy(), R.grid(shape[1:], 2, 3)


def test_leave_one_out_is_a_plain_loop(kind):
    function, score, x, p, labels = kind
    got = Session(function, x, target=1).map("leave_one_out", grid=(2, 3), fill="black")
    wanted = [score(p)[1] - score(np.where(labels == r, 0, p))[1] for r in range(6)]
    np.testing.assert_allclose(got.region_scores, wanted, **NEAR)


def test_occlusion_is_a_plain_loop(kind):
    function, score, x, p, _ = kind
    got = Session(function, x, target=1).map("occlusion", window=4, stride=2, fill="white")
    total, cover = np.zeros(p.shape[1:]), np.zeros(p.shape[1:])
    for top in range(0, p.shape[1] - 3, 2):
        for left in range(0, p.shape[2] - 3, 2):
            masked, place = p.copy(), np.s_[top:top + 4, left:left + 4]
            masked[(slice(None), *place)] = 1
            total[place] += score(p)[1] - score(masked)[1]
            cover[place] += 1
    np.testing.assert_allclose(got.values[0], total / cover, **NEAR)


def test_rise_is_a_plain_loop(kind):
    function, score, x, p, _ = kind
    got = Session(function, x, target=1).map("rise", n=12, grid=4, fill="black", seed=3)
    masks = [reference.random_mask(3, i, 4, got.params["share"], p.shape[1:], torch.float32).numpy() for i in range(12)]
    wanted = sum(score(m * p)[1] * m for m in masks) / (12 * got.params["share"])
    np.testing.assert_allclose(got.values[0], wanted, **NEAR)


def test_lime_is_a_plain_loop(kind):
    function, score, x, p, labels = kind
    got = Session(function, x, target=1).map("lime", n=30, regions=labels, fill="black")
    shown = reference.uniform(0, 1, 180).view(30, 6).numpy() < 0.5
    shown[0] = True
    scores = np.array([score(np.where(row[labels], p, 0))[1] for row in shown], np.float64)
    fit = ridge(shown, scores, kernel(shown, 0.25), 1.0)
    np.testing.assert_allclose(got.region_scores, fit.values, **NEAR)


def test_kernel_shap_interactions_and_orders_run_as_well(kind):
    function, score, x, p, labels = kind
    session = Session(function, x, target=1)
    shap = session.map("kernel_shap", n=64, regions=labels, fill="black")
    assert shap.region_scores.sum() == pytest.approx(score(p)[1] - score(0 * p)[1], abs=1e-5) and shap.details["exact"]
    pair = session.map("interactions", grid=(2, 3), region=4).region_scores[1]
    without = [score(np.where(np.isin(labels, off), 0, p))[1] for off in ([], [1], [4], [1, 4])]
    assert pair == pytest.approx(without[1] + without[2] - without[0] - without[3], abs=1e-5)
    order = session.map("greedy_order", grid=(2, 3), steps=6).details
    assert sorted(order["order"]) == list(range(6)) and order["after"] == pytest.approx(score(0 * p)[1], abs=1e-5)


def test_the_picture_without_some_regions_is_one_call(kind):
    function, score, x, p, labels = kind
    session = Session(function, x, target=1)
    found = session.without(labels, [0, 4], fill="white")
    wanted = score(np.where(np.isin(labels, [0, 4]), 1, p))
    np.testing.assert_allclose(found.logits, wanted, **NEAR)
    assert found.drop == pytest.approx(score(p)[1] - wanted[1], abs=1e-5) and session.stats.forward_samples == 1


def test_the_editor_answers(kind):
    function, score, x, p, _ = kind
    ex = Explorer(function, x, target=1)
    try:
        assert ex.wait() and ex.error == "" and ex.method == "leave_one_out"
        ex.params["leave_one_out"].grid = (2, 3)
        assert ex.wait() and ex.error == ""
        before = ex.session.stats.forward_samples
        ex._edit(Edit("toggle", ((0.5, 0.5),)))
        ex._edit(Edit("toggle", ((p.shape[2] - 0.5, 0.5),)))
        assert ex.wait() and ex.regions.off == {0, 2} and ex.session.stats.forward_samples - before <= 1
        wanted = score(np.where(np.isin(ex.regions.labels, [0, 2]), 0, p))
        np.testing.assert_allclose(ex._found.logits, wanted, **NEAR)
        before = ex.session.stats.forward_samples
        number = ex.regions.merge(3, 4)
        assert ex.wait() and ex.error == "" and ex.session.stats.forward_samples - before <= 2
        labels = ex.regions.labels
        drops = [score(p)[1] - score(np.where(labels == r, 0, p))[1] for r in range(5)]
        np.testing.assert_allclose(ex.maps["leave_one_out"].region_scores, drops, **NEAR)
        assert ex.regions.drop(number) == pytest.approx(drops[number], abs=1e-5)
    finally:
        ex.close()


def test_what_needs_gradients_or_layers_is_absent_and_says_why():
    ex = Explorer(Remote(), tensor((16, 16), dtype=torch.float32))
    try:
        assert ex.wait() and set(methods()) - set(ex._absent()) == FORWARD
        assert "gives no gradients" in ex.face.method.pills["gradient"].tooltip and ex.face.method.pills["inside"].disabled
        assert not ex.face.method.pills["cut"].disabled
        assert any("without gradients" in note for note in ex.session.notes)
        for name in set(methods()) - FORWARD:
            with pytest.raises(ValueError, match="gradients|layer|attention"):
                ex.session.map(name)
        ex.method = "gradient"
        assert ex.wait() and "this callable's scores have none" in ex.error
        ex.method = "leave_one_out"
        assert ex.wait() and ex.error == ""
    finally:
        ex.close()


def test_a_callable_in_torch_keeps_its_gradients():
    weights = torch.rand(3, 16, 16)
    session = Session(lambda x: (x * weights).sum((1, 2, 3))[:, None], tensor((16, 16), dtype=torch.float32))
    np.testing.assert_allclose(session.map("gradient").values, weights, rtol=1e-6)

    def in_place(x):
        x -= 0.5
        return (x * weights).sum((1, 2, 3))[:, None]

    changed = Session(in_place, tensor((16, 16), dtype=torch.float32))
    np.testing.assert_allclose(changed.map("gradient").values, weights, rtol=1e-6)


def test_a_module_that_wraps_something_else_is_asked_for_gradients_too():
    class Wraps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = OnnxSession()

        def forward(self, x):
            return self.inside.run(None, {"pixel_values": x.numpy()})[0]

    session = Session(Wraps(), tensor((16, 16), dtype=torch.float32))
    with pytest.raises(ValueError, match="gradient needs gradients"):
        session.map("gradient")
    assert session.map("leave_one_out", grid=2).values.any()


# ---- what goes wrong


def test_an_endpoint_that_fails_now_and_then_is_told_and_what_it_answered_is_kept():
    ex = Explorer(Remote(fails=(6,)), tensor((16, 16), dtype=torch.float32), target=0)
    try:
        assert ex.wait()
        assert "ConnectionError: the endpoint timed out" in ex.error and "np.asarray(x)" in ex.error
        done = ex.session.stats.forward_samples
        ex.params["leave_one_out"].grid = 13
        assert ex.wait() and ex.error == "" and ex.session.stats.forward_samples > done > 0
        labels, p = ex.regions.labels, tensor((16, 16), dtype=torch.float32).numpy()
        wanted = [float(plain(p[None])[0, 0] - plain(np.where(labels == r, 0, p)[None])[0, 0]) for r in range(len(ex.regions))]
        np.testing.assert_allclose(ex.maps["leave_one_out"].region_scores, wanted, **NEAR)
    finally:
        ex.close()


def test_evaluations_before_a_failure_are_not_asked_for_again():
    remote = Remote(fails=(6,))
    session = Session(remote, tensor((16, 16), dtype=torch.float32), target=0)
    with pytest.raises(ValueError, match="timed out") as refused:
        session.map("leave_one_out", grid=16)
    assert isinstance(refused.value.__cause__, ConnectionError)
    known = session.stats.forward_samples
    assert session.map("leave_one_out", grid=16).final and session.stats.forward_samples == 1 + 256 and known > 0


def test_a_slow_endpoint_is_stopped_between_batches_and_the_newest_wish_wins():
    ex = Explorer(Remote(pause=0.05), tensor((16, 16), dtype=torch.float32))
    try:
        for size in (3, 4, 5, 6):
            ex.params["leave_one_out"].grid = size
        assert ex.wait() and ex.error == "" and len(ex.maps["leave_one_out"].region_scores) == 36
    finally:
        ex.close()


def test_an_endpoint_that_was_changed_is_asked_again_by_refresh():
    level = [1.0]
    ex = Explorer(lambda x: plain(x.numpy()) * level[0], tensor((16, 16), dtype=torch.float32), target=0)
    try:
        ex.params["leave_one_out"].grid = 2
        assert ex.wait()
        before = ex.maps["leave_one_out"].region_scores
        level[0] = 2.0
        ex.refresh()
        assert ex.wait() and ex.error == ""
        np.testing.assert_allclose(ex.maps["leave_one_out"].region_scores, 2 * before, **NEAR)
    finally:
        ex.close()


def numbers(x):
    return plain(x.numpy())


@pytest.mark.parametrize("function, words", [
    (lambda x: numbers(x).argmax(1), "int64 array .*predict_proba or decision_function"),
    (lambda x: np.array(["cat"] * len(x)), "<U3 array"),
    (lambda x: [["cat"]] * len(x), "list of 1"),
    (lambda x: [[0.1, 0.2], [0.3]], "no scores"),
    (lambda x: numbers(x).astype(object), "object array"),
    (lambda x: numbers(x)[0], r"gave 4 rows for 1 pictures"),
    (lambda x: numbers(x) * np.nan, "NaN or infinity"),
    (lambda x: x.numpy(), "a score for every position"),
    (lambda x: None, "None"),
    (lambda x: digits()[0].predict_proba(x), r"dim 4.*torch tensor \(1, 3, 16, 16\), of which np.asarray\(x\) makes an array"),
])
def test_what_are_no_scores_is_said(function, words):
    with pytest.raises(ValueError, match=words):
        Session(function, tensor((16, 16), dtype=torch.float32))


@pytest.mark.parametrize("function, words", [
    (lambda x: numbers(x)[:1], "1 rows for"),
    (lambda x: np.where(x.numpy().min((1, 2, 3))[:, None] == 0, np.nan, numbers(x)), "infinite or NaN for a masked picture"),
    (lambda x: numbers(x) if len(x) == 1 else numbers(x).argmax(1), "int64 array"),
])
def test_what_goes_wrong_with_masked_pictures_is_said_and_the_explorer_goes_on(function, words):
    x = tensor((16, 16), dtype=torch.float32) * 0.9 + 0.05
    session = Session(function, x)
    for name, params in (("leave_one_out", {"grid": 4}), ("occlusion", {"window": 4, "stride": 4}),
                         ("lime", {"n": 30, "fill": "black", "count": 20}), ("rise", {"n": 30, "fill": "black"})):
        with pytest.raises(ValueError, match=words if name in ("leave_one_out", "lime") or "rows" in words or "int" in words
                           else "infinite or NaN"):
            session.map(name, **params)
    ex = Explorer(function, x)
    try:
        assert ex.wait() and ex.error
        ex.regions.off = (1,)
        ex.params["leave_one_out"].fill = "white"
        assert ex.wait()
        assert ex.face.stage.canvas.size == (16, 16)
    finally:
        ex.close()


@pytest.mark.parametrize("array", [
    np.float16([[1, 2]]), np.float32([[1, 2]]), np.longdouble([[1, 2]]), np.array([[1, 2]], ">f4"), np.float64([[1, 2]])[:, ::-1],
    [[1.0, 2.0]], ([1.0, 2.0],), [np.float32([[1, 2]])], [np.array([7]), np.float32([[1, 2]])],
    np.broadcast_to(np.float32([1, 2]), (1, 2))])
def test_scores_come_in_any_kind_of_array(array):
    got = Session(lambda x: array, tensor((16, 16), dtype=torch.float32)).logits
    assert sorted(got.tolist()) == [1, 2] and got.dtype in (np.float32, np.float64)


def test_a_score_of_ones_own_and_a_choice_of_output_may_be_arrays():
    x = tensor((16, 16), dtype=torch.float32)
    session = Session(lambda x: (numbers(x), 3), x, score=lambda out: out[0][:, 2])
    assert session.map("leave_one_out", grid=2).values.any()
    twice = Session(lambda x: {"a": numbers(x), "b": numbers(x) * 2}, x, output="b")
    np.testing.assert_allclose(twice.logits, 2 * plain(x.numpy()[None])[0], rtol=1e-6)
    assert Session(lambda x: {"scores": numbers(x).tolist()}, x).logits.shape == (4,)
    with pytest.raises(ValueError, match="one number a picture"):
        Session(lambda x: numbers(x), x, score=lambda out: out)
