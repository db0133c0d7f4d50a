"""Score-CAM against its definition in loops, what it costs, and its drafts."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.methods import score_cam
from saliency_widgets.methods.driving import drive
from tests.small import small, tensor
from tests.transformers import vit


def by_hand(model, x, activations, target, fill=0.0, only=None):
    """Masks enlarged and normalised, the score of each masked picture, softmax, and the weighted sum."""
    scores, kept = [], []
    for k in range(len(activations)) if only is None else only:
        mask = F.interpolate(activations[None, None, k], x.shape[1:], mode="bilinear", align_corners=False)[0, 0]
        if mask.max() > mask.min():
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            kept.append(k)
            with torch.no_grad():
                scores.append(model((mask * x + (1 - mask) * fill)[None])[0, target])
    weights = torch.stack(scores).softmax(0)
    return (weights[:, None, None] * activations[kept]).sum(0).numpy(), weights.numpy()


def features(model, x):
    with torch.no_grad():
        return model.conv2(torch.relu(model.norm(model.conv1(x[None]))))[0]


def test_it_is_its_definition():
    model, x = small(), tensor()
    got = Session(model, x).map("score_cam", layer="conv2", target=3)
    wanted, weights = by_hand(model, x, features(model, x), 3)
    np.testing.assert_allclose(got.values[0], wanted, atol=1e-10)
    assert got.values.shape == (1, 16, 16) and got.default_sign == "positive"
    np.testing.assert_allclose(got.details["weights"], weights[got.details["channels"]], atol=1e-12)
    assert got.details["weights"].sum() == pytest.approx(1)


def test_what_a_channel_hides_and_how_many_are_weighed():
    model, x = small(), tensor()
    a = features(model, x)
    white = Session(model, x, target=1).map("score_cam", layer="conv2", fill="white")
    np.testing.assert_allclose(white.values[0], by_hand(model, x, a, 1, fill=1.0)[0], atol=1e-10)
    few = explain(model, x, "score_cam", layer="conv2", target=1, limit=3)
    large = F.interpolate(a[None], (32, 32), mode="bilinear", align_corners=False)[0].flatten(1)
    varied = (large.amax(1) - large.amin(1)).argsort(descending=True)[:3].tolist()
    assert few.details["channels"].tolist() == varied
    np.testing.assert_allclose(few.values[0], by_hand(model, x, a, 1, only=varied)[0], atol=1e-10)


def test_it_runs_forward_only_and_another_class_costs_nothing():
    session = Session(small(), tensor())
    first = session.map("score_cam", target=0)
    assert first.evaluations == 13 == session.stats.plan  # the layer once, its 12 channels
    assert session.stats.backward_samples == 0
    second = session.map("score_cam", target=1)
    assert second.evaluations == 0 and session.stats.forward_samples == 13
    assert not np.allclose(first.values, second.values)


def test_drafts_sharpen_with_the_channels(monkeypatch):
    monkeypatch.setattr(score_cam, "STAGE", 2)
    session, seen = Session(small(), tensor(), target=0), []
    evaluate = session._opened.runner.evaluate
    last = drive(score_cam.score_cam(session._context(0, watched=True), layer="conv2", limit=0, fill="zero", seed=0),
                 lambda asked: evaluate(asked.probes, asked.keep), seen.append)
    assert [len(draft.details["channels"]) for draft in seen] == [2, 4, 8, 12] and seen[-1] is last
    few = session.map("score_cam", layer="conv2", limit=4).values
    np.testing.assert_allclose(seen[1].values.numpy(), few, atol=1e-12)
    np.testing.assert_array_equal(last.values.numpy(), session.map("score_cam", layer="conv2").values)
    assert session.stats.forward_samples == 13


def test_constant_channels_are_left_out():
    model = small()
    with torch.no_grad():
        model.conv2.weight[[1, 4]] = 0
    got = explain(model, tensor(), "score_cam", layer="conv2", target=0)
    assert sorted(got.details["channels"].tolist()) == [k for k in range(12) if k not in (1, 4)]
    np.testing.assert_allclose(got.values[0], by_hand(model, tensor(), features(model, tensor()), 0)[0], atol=1e-10)
    with torch.no_grad():
        model.conv2.weight.zero_()
    flat = explain(model, tensor(), "score_cam", layer="conv2", target=0)
    assert not flat.values.any() and "constant" in flat.warnings[0]


def test_tokens_and_models_without_gradients():
    got = explain(vit(), tensor(), "score_cam", target=1)
    assert got.values.shape == (1, 4, 4) and got.values.any() and len(got.details["channels"]) == 16

    class Whole(nn.Module):
        """Its scores have no gradient."""

        def __init__(self):
            super().__init__()
            self.inner = small()

        def forward(self, x):
            with torch.no_grad():
                return self.inner(x)

    np.testing.assert_allclose(explain(Whole(), tensor(), "score_cam", layer="inner.conv2", target=3).values,
                               explain(small(), tensor(), "score_cam", layer="conv2", target=3).values, atol=1e-12)
