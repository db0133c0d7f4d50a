"""The gradient against autograd, closed forms, and in pixel space."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from tests.small import small, tensor


@pytest.mark.parametrize("score", ["logit", "probability", "log_probability", "margin"])
def test_it_is_autograds(score):
    model, x = small(), tensor()
    got = explain(model, x, "gradient", score=score, target=2, contrast=3 if score == "margin" else None)
    leaf = x.clone().requires_grad_(True)
    logits = model(leaf[None])[0]
    value = {"logit": logits[2], "probability": logits.softmax(0)[2], "log_probability": logits.log_softmax(0)[2],
             "margin": logits[2] - logits[3]}[score]
    wanted, = torch.autograd.grad(value, leaf)
    np.testing.assert_allclose(got.values, wanted.numpy(), atol=1e-12 * float(wanted.abs().max()))


def test_log_probability_is_minus_the_cross_entropy():
    model, x = small(), tensor()
    got = explain(model, x, "gradient", score="log_probability", target=1)
    leaf = x.clone().requires_grad_(True)
    loss = nn.functional.cross_entropy(model(leaf[None]), torch.tensor([1]))
    np.testing.assert_allclose(got.values, -torch.autograd.grad(loss, leaf)[0].numpy(), atol=1e-12)


def test_any_scalar_function_of_the_output():
    model, x = small(), tensor()
    got = explain(model, x, "gradient", score=lambda out: out[:, 0] * out[:, 1])
    leaf = x.clone().requires_grad_(True)
    out = model(leaf[None])
    np.testing.assert_allclose(got.values, torch.autograd.grad(out[0, 0] * out[0, 1], leaf)[0].numpy(), atol=1e-12)
    assert got.target is None and got.label == "score"
    with pytest.raises(ValueError, match="one number a picture"):
        explain(model, x, "gradient", score=lambda out: out)


def test_pixel_space_is_the_gradient_of_the_picture():
    model, x = small(), tensor()
    keywords = dict(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), target=0)
    inputs = (x - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    plain = explain(model, inputs, "gradient", **keywords)
    pixel = explain(model, inputs, "gradient", space="pixel", **keywords)
    np.testing.assert_allclose(pixel.values, plain.values / np.array([0.2, 0.25, 0.3]).reshape(3, 1, 1), rtol=1e-6)


def test_a_dead_score_gives_its_reason_and_a_detached_one_is_refused():
    class Dead(nn.Module):
        def forward(self, x):
            return torch.relu(x.mean((2, 3)) - 100)

    assert "zero everywhere" in explain(Dead(), tensor(), "gradient").warnings[0]

    class Detached(nn.Module):
        def forward(self, x):
            return x.detach().mean((2, 3))

    with pytest.raises(ValueError, match="needs gradients.*leave_one_out"):
        explain(Detached(), tensor(), "gradient")


def test_a_linear_classifiers_gradient_is_the_same_for_every_picture():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)).double()
    maps = [explain(model, tensor((8, 8), seed), "gradient", target=1).values for seed in (0, 1)]
    np.testing.assert_array_equal(*maps)
    ig = Session(model, tensor((8, 8))).map("integrated_gradients", steps=4, target=1).values
    np.testing.assert_allclose(ig, maps[0] * tensor((8, 8)).numpy(), atol=1e-12)


def test_gradient_times_input_counts_from_zero_of_the_input_space_or_from_a_fill():
    model, x = small(), (tensor() - 0.5) / 0.25
    session = Session(model, x, mean=(0.5,) * 3, std=(0.25,) * 3)
    slope = session.map("gradient").values
    np.testing.assert_allclose(session.map("gradient_x_input").values, slope * x.numpy(), atol=1e-12)
    np.testing.assert_allclose(session.map("gradient_x_input", baseline="black").values, slope * (x.numpy() + 2), atol=1e-12)
    np.testing.assert_allclose(session.map("gradient_x_input", baseline=1.0).values, slope * (x.numpy() - 2), atol=1e-12)
    np.testing.assert_allclose(session.map("gradient_x_input", baseline=x / 2).values, slope * x.numpy() / 2, atol=1e-12)
    assert session.stats.backward_samples == 1 and session.map("gradient_x_input").unit == "logit"
    noise = [session.map("gradient_x_input", baseline="noise", seed=s).values for s in (0, 1)]
    assert np.abs(noise[0] - noise[1]).max() > 0
    same = session.map("gradient_x_input", baseline=x)
    assert not same.values.any() and "picture equals the baseline" in same.warnings[0]
    with pytest.raises(ValueError, match="baseline='grey' does not fit.*zero, black"):
        session.map("gradient_x_input", baseline="grey")
