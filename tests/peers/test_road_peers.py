"""Live oracle: pytorch-grad-cam's ROAD over the very same noise, at 1e-5."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session
from saliency_widgets.kernels.reference import normal
from saliency_widgets.metrics import road
from saliency_widgets.metrics.road import DRAWS
from tests.networks import calibrated
from tests.small import small, tensor

theirs = pytest.importorskip("pytorch_grad_cam.metrics.road", reason="pip install grad-cam")
targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", reason="pip install grad-cam")
PERCENTILES = [20, 40, 60, 80]


def network(name):
    if name == "resnet18":
        model, x, target = calibrated(name, size=64, dtype=torch.float32)
        return model, x, target
    return small().float(), tensor(dtype=torch.float32)[None], 1


@pytest.mark.parametrize("name", ["small", "resnet18"])
@pytest.mark.parametrize("score, chosen", [("logit", "ClassifierOutputTarget"), ("probability", "ClassifierOutputSoftmaxTarget")])
def test_the_same_noise_gives_the_same_number(name, score, chosen, monkeypatch):
    model, x, target = network(name)
    session = Session(model, x, target=target, score=score)
    heat = session.map("gradient_x_input").heatmap()
    ours = road(session, heat, percentiles=PERCENTILES, seed=3)
    removed = iter(_draws(heat, x.shape[1:]))
    monkeypatch.setattr(theirs.torch, "randn_like", lambda like: next(removed).to(like))
    ask = [getattr(targets, chosen)(target)]
    least = theirs.ROADLeastRelevantFirstAverage(PERCENTILES)(x, heat[None], ask, model)
    most = theirs.ROADMostRelevantFirstAverage(PERCENTILES)(x, heat[None], ask, model)
    wanted = float((least - most)[0]) / 2
    scale = max(1.0, float(np.abs(ours.details["most"]).max()))
    print(f"ours {ours.value:.9g}, grad-cam {wanted:.9g}")
    assert wanted != 0 and ours.value == pytest.approx(wanted, abs=1e-5 * scale)
    assert ours.details["most"].mean() == pytest.approx(float(most[0]), abs=1e-5 * scale)
    assert next(removed, None) is None


def _draws(heat, shape):
    """Our noise at the pixels that they will impute, in the order in which they ask: least relevant first, then most."""
    for side, signed in ((1, 1 - heat), (0, heat)):
        for number, percentile in enumerate(PERCENTILES):
            gone = torch.from_numpy(signed >= np.percentile(signed, percentile))
            yield normal(3, DRAWS + 2 * number + side, tuple(shape), torch.float64)[:, gone].float()


def test_their_combined_number_lies_within_the_spread_of_our_seeds():
    model, x, target = network("small")
    session = Session(model, x, target=target)
    heat = session.map("gradient_x_input").heatmap()
    ours = [road(session, heat, percentiles=PERCENTILES, seed=seed).value for seed in range(12)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wanted = float(theirs.ROADCombined(PERCENTILES)(x, heat[None], [targets.ClassifierOutputTarget(target)], model)[0])
    assert abs(wanted - np.mean(ours)) <= 5 * np.std(ours, ddof=1)
