"""Activation maximisation: the painter's mathematics, what the ascent reaches, and what it refuses."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.methods.activation_maximisation import CLIP, Painter, roughness
from tests.small import small, tensor

pytestmark = pytest.mark.usefixtures("one_thread")


class Linear(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(2, channels, 12, 12, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return torch.einsum("nchw,kchw->nk", x, self.weight)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_linear_models_optimum_has_the_sign_of_its_weights(channels):
    model = Linear(channels)
    x = torch.full((channels, 12, 12), 0.5, dtype=torch.float64)
    got = explain(model, x, "activation_maximisation", target=1, jitter=0, tv=0, iterations=300, lr=0.4)
    weight = model.weight[1].detach().numpy()
    heavy = np.abs(weight) > 0.5
    assert (np.sign(got.values - 0.5)[heavy] == np.sign(weight)[heavy]).mean() > 0.95
    best = np.maximum(weight, 0).sum()  # pixels stay in 0..1
    assert best > got.details["after"] > 0.9 * best
    assert got.values.min() >= 0 and got.values.max() <= 1 and got.details["picture"].shape == (12, 12, 3)


@pytest.mark.parametrize("params", [{}, {"layer": "conv2", "channel": 3}, {"layer": "conv2", "channel": 3, "row": 4, "column": 5},
                                    {"layer": "head", "channel": 2}, {"start": "picture"}, {"layer": "conv2"}])
def test_the_unit_rises_above_the_start_and_the_picture(params):
    got = Session(small(), tensor()).map("activation_maximisation", iterations=64, **params)
    d = got.details
    assert d["after"] > d["started"] + 0.25 * abs(d["started"]) and d["after"] > d["before"] and not got.warnings
    model, x = small(), torch.from_numpy(got.values)[None]
    with torch.no_grad():
        if "layer" not in params:
            value = model(x)[0, got.target]
        elif params["layer"] == "head":
            value = model(x)[0, 2]
        else:
            seen = {}
            model.conv2.register_forward_hook(lambda m, i, o: seen.update(out=o.clone()))
            model(x)
            channel = seen["out"][0, d["channel"]]
            value = channel[4, 5] if "row" in params else channel.mean()
    assert d["after"] == pytest.approx(float(value), abs=1e-9)


def test_without_a_channel_the_most_active_one_is_taken():
    model, x = small(), tensor()
    seen = {}
    model.conv2.register_forward_hook(lambda m, i, o: seen.update(out=o.clone()))
    session = Session(model, x)
    mean = session.map("activation_maximisation", layer="conv2", iterations=1).details["channel"]
    there = session.map("activation_maximisation", layer="conv2", row=2, column=9, iterations=1).details["channel"]
    with torch.no_grad():
        model(x[None])
    assert mean == int(seen["out"][0].mean((1, 2)).argmax())
    assert there == int(seen["out"][0, :, 2, 9].argmax())


def test_the_painter_paints_what_it_read_and_stays_in_range():
    for shape in ((3, 20, 21), (1, 7, 8), (4, 9, 9)):
        like = torch.zeros(shape, dtype=torch.float64)
        painter, generator = Painter(like), torch.Generator().manual_seed(3)
        pixels = torch.rand(shape, generator=generator, dtype=torch.float64) * (1 - 2 * CLIP) + CLIP
        assert torch.allclose(painter(painter.spectrum(pixels)), pixels, atol=1e-12)
        wild = painter(100 * torch.randn(painter.shape, generator=generator, dtype=torch.float64))
        assert 0 <= wild.min() and wild.max() <= 1


def test_the_start_is_the_picture_or_seeded_noise_of_falling_frequencies():
    session = Session(small(), tensor())
    from_picture = session.map("activation_maximisation", start="picture", iterations=1).details["film"][0]["picture"]
    assert np.abs(from_picture.astype(int) - np.asarray(session.image)).max() <= 255 * CLIP + 1
    a, b, c = (session.map("activation_maximisation", iterations=6, seed=s).values for s in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.01
    noise = session.map("activation_maximisation", iterations=1, lr=1e-4).values[0]
    power = np.abs(np.fft.fft2(noise - noise.mean())) ** 2
    assert power[1:4, 1:4].mean() > 20 * power[12:16, 12:16].mean()


def test_a_price_on_roughness_makes_it_smoother():
    session = Session(small(), tensor())
    rough, smooth = (torch.from_numpy(session.map("activation_maximisation", iterations=50, tv=tv, jitter=2).values)
                     for tv in (0, 30))
    assert roughness(smooth) < 0.5 * roughness(rough)


def test_the_class_means_its_logit_whatever_the_score():
    got = [Session(small(), tensor(), score=score).map("activation_maximisation", iterations=4, target=2)
           for score in ("logit", "probability")]
    np.testing.assert_array_equal(got[0].values, got[1].values)
    margin = Session(small(), tensor(), score="margin", contrast=1).map("activation_maximisation", iterations=1, target=2)
    with torch.no_grad():
        logits = small()(tensor()[None])[0]
    assert margin.details["before"] == pytest.approx(float(logits[2] - logits[1]), abs=1e-10)


def test_the_film_shows_how_it_was_painted():
    session, seen = Session(small(), tensor()), []
    final = session.run("activation_maximisation", {"iterations": 60}, on_map=seen.append)
    film = final.details["film"]
    assert len(seen) > 20 and [f["iteration"] for f in film] == list(range(0, 61, 2))
    assert film[-1]["picture"].dtype == np.uint8 and np.array_equal(film[-1]["picture"], final.details["picture"])
    assert len(final.details["scores"]) == 60 and final.last_change > 0
    assert session.stats.backward_samples == 62 and len(session.inputs._made) == 0


@pytest.mark.parametrize("params, words", [
    ({"channel": 2}, "name it with layer="), ({"row": 1, "column": 1}, "name it with layer="),
    ({"layer": "conv2", "channel": 12}, "has 12, 0 to 11"), ({"layer": "conv2", "row": 1}, "give both"),
    ({"layer": "conv2", "row": 16, "column": 0}, "16 × 16 positions"),
    ({"layer": "head", "row": 0, "column": 0}, "without positions"),
    ({"iterations": 0}, "iterations=0"), ({"start": "noise"}, "start='noise'")])
def test_what_is_not_there_is_refused(params, words):
    with pytest.raises(ValueError, match=words):
        Session(small(), tensor()).map("activation_maximisation", **params)


def test_an_unknown_layer_and_a_dead_unit_are_said():
    with pytest.raises(LookupError, match="conv2"):
        Session(small(), tensor()).map("activation_maximisation", layer="conv3")
    model = small()
    with torch.no_grad():
        model.head.weight[1] = 0
    dead = Session(model, tensor()).map("activation_maximisation", target=1, iterations=2)
    assert "found nothing above" in dead.warnings[0]
