"""Live oracles for the forward-only methods: captum's ablations, LIME and Shapley values, shap's KernelExplainer; float64."""
import functools

import numpy as np
import pytest
import torch

from saliency_widgets import Session, regions
from saliency_widgets.kernels import reference
from tests.networks import calibrated

SIZE = 64
ZERO = torch.zeros(1, 1, 1)
CUT = regions.grid((SIZE, SIZE), 2, 2)


@functools.cache
def network(name):
    return calibrated(name, size=SIZE)


@functools.cache
def session(name):
    model, x, target = network(name)
    return Session(model, x, target=target)


def close(ours, theirs, tolerance=1e-8):
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), rtol=0)


@pytest.fixture
def captum(monkeypatch):
    """captum.attr, which rounds samples to float32 whatever the model's dtype: not here."""
    attr = pytest.importorskip("captum.attr", reason="pip install captum")
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    return attr


def mask(labels):
    return torch.from_numpy(labels.astype(np.int64))[None, None]


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_leave_one_out_on_superpixels_is_captums_ablation(name, captum):
    model, x, target = network(name)
    labels = regions.segment(session(name).picture.shown, "slic", 30)
    theirs = captum.FeatureAblation(model).attribute(x, 0, target, feature_mask=mask(labels), perturbations_per_eval=4)
    close(session(name).map("leave_one_out", regions=labels, fill=ZERO).values[0], theirs[0, 0].detach())


@pytest.mark.parametrize("window, stride", [((16, 16), (12, 12)), ((20, 31), (20, 7)), ((64, 9), (1, 9))])
def test_occlusion_with_its_edges_is_captums(window, stride, captum):
    model, x, target = network("squeezenet1_1")
    theirs = captum.Occlusion(model).attribute(x, (3, *window), (3, *stride), 0, target, perturbations_per_eval=4)
    close(session("squeezenet1_1").map("occlusion", window=window, stride=stride, fill=ZERO).values[0], theirs[0, 0].detach())


def test_the_published_occlusion_values_are_captums(captum):
    from tests.methods.test_occlusion import Captums

    x = torch.tensor([[20.0, 50.0, 30.0]])
    for window, baseline, wanted in ((1, 0, [80, 200, 120]), (2, 10, [200, 220, 240])):
        assert captum.Occlusion(Captums()).attribute(x, (window,), baselines=baseline, target=0)[0].tolist() == wanted


def test_lime_is_captums_with_the_same_samples(captum):
    pytest.importorskip("sklearn", reason="pip install scikit-learn")
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    model, x, target = network("resnet18")
    shown = torch.from_numpy(reference.uniform(5, 1, 60 * 4).view(60, 4).numpy() < 0.5).double()
    shown[0] = 1
    exponential = get_exp_kernel_similarity_function("cosine", kernel_width=0.3)

    def samples(original, **_):
        yield from shown[:, None]

    def similarity(original, masked, row, **_):
        return exponential(torch.ones_like(row), row, None) if row.any() else float(np.exp(-1 / (2 * 0.3 ** 2)))

    theirs = captum.LimeBase(lambda v: model(v)[:, target], SkLearnRidge(alpha=0.7), similarity, samples, True,
                             lambda row, original, **_: original * row[0][torch.from_numpy(CUT).long()], None)
    ours = session("resnet18").map("lime", n=60, regions=CUT, fill=ZERO, kernel_width=0.3, alpha=0.7, seed=5)
    close(ours.region_scores, theirs.attribute(x, n_samples=60)[0], 1e-6)


def test_kernel_shap_with_every_coalition_is_captums_shapley_values(captum):
    model, x, target = network("resnet18")
    theirs = captum.ShapleyValues(model).attribute(x, 0, target, feature_mask=mask(CUT), perturbations_per_eval=4)
    ours = session("resnet18").map("kernel_shap", regions=CUT, fill=ZERO)
    close(ours.values[0], theirs[0, 0].detach(), 1e-6)  # captum adds them up in float32


def test_kernel_shap_is_shaps_kernel_explainer():
    shap = pytest.importorskip("shap", reason="pip install shap")
    model, x, target = network("squeezenet1_1")
    labels = regions.grid((SIZE, SIZE), 2, 3)

    def scores(rows):
        with torch.no_grad():
            return model(torch.cat([x * torch.from_numpy(row[labels]) for row in rows]))[:, target].numpy()

    explainer = shap.KernelExplainer(scores, np.zeros((1, 6)))
    theirs = explainer.shap_values(np.ones(6), nsamples=1000, l1_reg=False, silent=True)
    ours = session("squeezenet1_1").map("kernel_shap", regions=labels, fill=ZERO)
    close(ours.region_scores, theirs)
    assert ours.details["exact"]


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_in_float32_the_maps_point_the_same_way(name):
    model, x, target = calibrated(name, size=SIZE, dtype=torch.float32)
    narrow = Session(model, x, target=target)
    for method, params in (("occlusion", {"window": 32, "stride": 32}), ("rise", {"n": 20, "centred": True}),
                           ("lime", {"n": 40, "regions": CUT}), ("kernel_shap", {"regions": CUT})):
        a, b = (s.map(method, **params).values.astype(np.float64).ravel() for s in (session(name), narrow))
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999, method
