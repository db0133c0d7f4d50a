"""What must hold between the methods, on small random models: METHODS, "Identities to test on random models"."""
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from saliency_widgets import Session, explain
from tests.small import small, tensor
from tests.teaching import features, saturating

ZERO = torch.zeros(1, 1, 1)
seeds = st.integers(0, 10_000)
few = settings(max_examples=12, deadline=None)


def linear(seed, size=5, channels=2, classes=3):
    """A random linear model and a picture for it."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model, torch.randn(channels, size, size, generator=generator, dtype=torch.float64)


def relu_net(seed, bias=True, smooth=False):
    """A random convolutional network, bias-free if wanted."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        act = nn.Softplus if smooth else nn.ReLU
        model = nn.Sequential(nn.Conv2d(3, 6, 3, bias=bias), act(), nn.Conv2d(6, 6, 3, stride=2, bias=bias), act(), nn.Flatten(),
                              nn.Linear(6 * 4 * 4, 3, bias=bias)).double()
        for module in model:
            if hasattr(module, "weight"):
                nn.init.normal_(module.weight, std=1.5 / module.weight[0].numel() ** 0.5)
    return model.eval(), tensor((11, 11), seed % 97)


@few
@given(seeds)
def test_on_a_linear_model_gradient_times_input_is_every_path_integral_and_the_one_pixel_drop(seed):
    model, x = linear(seed)
    session = Session(model, x)
    product = session.map("gradient_x_input").values
    size = np.abs(product).max()
    for method, params in (("integrated_gradients", {"steps": 1}), ("integrated_gradients", {"steps": 3, "rule": "midpoint"}),
                           ("guided_ig", {"steps": 5, "max_dist": 0.3}), ("deeplift", {})):
        got = session.map(method, baseline=ZERO, **params)
        np.testing.assert_allclose(got.values, product, atol=1e-9 * size)
        assert abs(got.residual) < 1e-6 or abs(got.details["rise"]) < 1e-6 * size
    drops = session.map("leave_one_out", grid=(5, 5), fill=ZERO).values
    np.testing.assert_allclose(drops[0], product.sum(0), atol=1e-9 * size)
    for method, params in (("expected_gradients", {"n": 2}), ("deep_shap", {})):
        got = session.map(method, backgrounds=[ZERO], **params)
        np.testing.assert_allclose(got.values, product, atol=1e-9 * size)


@few
@given(seeds)
def test_on_a_linear_model_the_blur_path_only_depends_on_its_ends(seed):
    model, x = linear(seed)
    session = Session(model, x)
    fine, coarse = (session.map("blur_ig", steps=steps).values for steps in (4, 1))
    np.testing.assert_allclose(fine, coarse, atol=1e-9 * np.abs(fine).max())


@few
@given(seeds)
def test_gradient_times_input_sums_to_the_score_without_biases(seed):
    model, x = relu_net(seed, bias=False)
    session = Session(model, x)
    total, score = session.map("gradient_x_input").values.sum(), float(session.logits[session.target])
    assert abs(total - score) < 1e-9 * max(1, abs(score))


@few
@given(seeds, st.sampled_from(["gradient", "gradient_x_input", "integrated_gradients", "blur_ig"]))
def test_smoothgrad_without_noise_is_its_base(seed, base):
    model, x = relu_net(seed)
    session, params = Session(model, x), {"steps": 3} if base.endswith("ig") or base.startswith("int") else {}
    got = session.map("smoothgrad", base=base, base_params=params, level=0.0)
    np.testing.assert_array_equal(got.values, session.map(base, **params).values)


@few
@given(seeds)
def test_smoothgrad_of_a_linear_model_is_its_gradient(seed):
    model, x = linear(seed)
    session = Session(model, x)
    got = session.map("smoothgrad", n=5)
    np.testing.assert_allclose(got.values, session.map("gradient").values, atol=1e-12)
    assert session.map("smoothgrad", n=5, variant="variance").values.max() < 1e-24


@settings(max_examples=2, deadline=None)
@given(seeds)
def test_paths_are_complete_on_smooth_networks(seed):
    """Within 1 % of the score difference at 512 steps."""
    model, x = relu_net(seed, smooth=True)
    session = Session(model, x)
    for method in ("integrated_gradients", "blur_ig"):
        got = session.map(method, steps=512)
        moved = np.abs(np.diff(got.details["scores"])).sum()
        # A share of next to nothing says nothing: below a tenth of the way up and down that tenth counts.
        assert abs(got.values.sum() - got.details["rise"]) < 0.01 * max(abs(got.details["rise"]), 0.1 * moved)


@few
@given(seeds)
def test_two_ways_of_writing_a_function_have_one_map(seed):
    """Batch norm folded into the convolution or not: implementation invariance."""
    apart, together = small(seed=seed % 50), small(seed=seed % 50)
    scale = together.norm.weight / (together.norm.running_var + together.norm.eps).sqrt()
    with torch.no_grad():
        together.conv1.weight.mul_(scale.view(-1, 1, 1, 1))
        together.conv1.bias.sub_(together.norm.running_mean).mul_(scale).add_(together.norm.bias)
    together.norm = nn.Identity()
    for method in ("integrated_gradients", "blur_ig"):
        one, two = (explain(model, tensor((12, 12)), method, steps=6, target=0).values for model in (apart, together))
        np.testing.assert_allclose(one, two, atol=1e-10 * np.abs(one).max())


@few
@given(st.lists(st.floats(-1, 2), min_size=2, max_size=5), st.integers(1, 40))
def test_a_minimum_written_in_two_ways_has_one_map(values, steps):
    """min(1, Σ) and 1 − ReLU(1 − Σ): the same function, but at the kink, where either slope may be taken."""
    x = features(*values)
    one, two = (explain(saturating(form), x, "integrated_gradients", baseline=ZERO, steps=steps) for form in ("minimum", "relu"))
    if not any(abs(alpha * sum(values) - 1) < 1e-12 for alpha in one.details["alphas"]):
        np.testing.assert_allclose(one.values, two.values, atol=1e-12)


@few
@given(seeds)
def test_one_changed_pixel_that_changes_the_score_is_seen(seed):
    """Sensitivity (a): also where the gradient at the picture is zero."""
    rng = np.random.default_rng(seed)
    place = tuple(int(v) for v in (rng.integers(3), rng.integers(6), rng.integers(6)))

    class Saturated(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("wide", torch.zeros(1, dtype=torch.float64))

        def forward(self, x):
            return (1 - torch.relu(0.5 - x[(slice(None), *place)]))[:, None]

    baseline = tensor((6, 6), seed % 31) * 0.4
    x = baseline.clone()
    x[place] += 0.5
    session = Session(Saturated(), x)
    assert not session.map("gradient").values.any()
    got = session.map("integrated_gradients", steps=16, baseline=baseline).values
    assert got[place] > 0 and np.count_nonzero(got) == 1
