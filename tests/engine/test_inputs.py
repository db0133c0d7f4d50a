"""Names of inputs to tensors: fills are named in pixel space, inputs compose, chunking changes nothing."""

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from saliency_widgets.engine import probe as P
from saliency_widgets.engine.inputs import Inputs
from saliency_widgets.kernels import reference
from saliency_widgets.model.preprocessing import load_picture
from tests.small import pixels, tensor

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture
def inputs():
    x = (tensor() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    picture = load_picture(x, mean=MEAN, std=STD, dtype=torch.float64)
    return Inputs(picture, torch.device("cpu"), torch.float64, reference)


def pixels_of(inputs, fill):
    return inputs.picture.space.to_pixels(inputs.filled(inputs.fill(fill)))


def test_fills_are_named_in_pixel_space(inputs):
    for fill, level in (("black", 0), ("white", 1), (0.25, 0.25)):
        assert torch.allclose(pixels_of(inputs, fill), torch.tensor(level, dtype=torch.float64), atol=1e-7)
    mean = tensor().mean((1, 2), keepdim=True).expand(3, 32, 32)
    assert torch.allclose(pixels_of(inputs, "mean"), mean, atol=1e-6)
    assert pixels_of(inputs, "blur").std() < tensor().std()
    noise = pixels_of(inputs, "noise")
    assert noise.min() >= -1e-6 and noise.max() <= 1 + 1e-6 and noise.std() > 0.2


def test_pictures_and_tensors_as_fills(inputs):
    array = pixels(seed=5)
    wanted = torch.from_numpy(array).permute(2, 0, 1) / 255
    assert torch.allclose(pixels_of(inputs, array).float(), wanted, atol=1e-6)
    assert torch.allclose(pixels_of(inputs, PILImage.fromarray(array)).float(), wanted, atol=1e-6)
    own = torch.full((3, 1, 1), 0.7)
    assert torch.allclose(inputs.filled(inputs.fill(own)), torch.tensor(0.7, dtype=torch.float64), atol=1e-6)
    assert inputs.fill(own) == inputs.fill(own.clone())  # named by content, so kept evaluations are found again


@pytest.mark.parametrize(
    "wrong, error",
    [
        ("grey", ValueError),
        (1.5, ValueError),
        (True, TypeError),
        (np.zeros((4, 4, 3), np.uint8), ValueError),
        (torch.zeros(3, 4, 4), ValueError),
        (torch.tensor(float("nan")), ValueError),
        (None, TypeError),
    ],
)
def test_wrong_fills_are_named(inputs, wrong, error):
    with pytest.raises(error):
        inputs.fill(wrong)


def test_a_batch_is_its_members(inputs):
    black, labels = inputs.fill("black"), inputs.add_labels(np.arange(1024).reshape(32, 32) // 256)
    for names in (
        [P.OnPath(black, a) for a in (0.0, 0.3, 1.0)],
        [P.Without(labels, r, black) for r in ((0,), (1, 3), ())],
        [P.Image(), P.Blurred(2.0), P.Noisy(P.OnPath(black, 0.5), 1, 2, 0.1), inputs.add_tensor(torch.ones(3, 32, 32))],
    ):
        together = inputs.batch(names)
        for row, name in zip(together, names):
            assert torch.equal(row, inputs.tensor(name))
    assert torch.equal(inputs.tensor(P.OnPath(black, 1.0)), inputs.image)
    assert torch.equal(inputs.tensor(P.Without(labels, (), black)), inputs.image)


def test_noise_on_top_of_any_input_is_the_seeds_draw(inputs):
    name = P.Noisy(P.Image(), 3, 7, 0.5)
    draw = (inputs.tensor(name) - inputs.image) / 0.5
    assert torch.allclose(draw, reference.normal(3, 7, (3, 32, 32), torch.float64), atol=1e-12)
    assert hash(name) == hash(P.Noisy(P.Image(), 3, 7, 0.5)) and "Noisy" in repr(name)


def test_shaking_stays_within_its_radius_and_is_the_seeds_draw(inputs):
    name = P.Shaken(P.Blurred(2.0), 3, 7, 0.25)
    draw = (inputs.tensor(name) - inputs.tensor(P.Blurred(2.0))) / 0.25
    uniform = reference.uniform(3, 7, 3 * 32 * 32).view(3, 32, 32)
    assert torch.allclose(draw, 2 * uniform - 1, atol=1e-12)
    assert -1 < float(draw.min()) < -0.99 and 0.99 < float(draw.max()) < 1
    other = P.Noisy(name, 3, 8, 0.1)  # the last draw is remembered: another name must not get it
    assert torch.equal(inputs.tensor(name), inputs.batch([other, name])[1]) and not torch.equal(*inputs.batch([other, name]))


def test_inputs_compose_on_another_picture(inputs):
    """A noisy picture may stand for the picture: the path, the blur and the cut then start from it."""
    noisy = P.Noisy(P.Image(), seed=3, number=1, deviation=0.1)
    x, black = inputs.tensor(noisy), inputs.filled(inputs.fill("black"))
    assert not torch.equal(x, inputs.image)
    assert torch.allclose(inputs.tensor(P.OnPath(inputs.fill("black"), 0.25, of=noisy)), black + 0.25 * (x - black))
    assert torch.equal(inputs.tensor(P.Blurred(2.0, of=noisy)), reference.gaussian_blur(x, 2.0))
    labels = inputs.add_labels(np.arange(32 * 32).reshape(32, 32) // 512)
    cut = inputs.batch([P.Without(labels, regions, inputs.fill("black"), of=noisy) for regions in ((0,), ())])
    assert torch.equal(cut[0, :, :16], black[:, :16]) and torch.equal(cut[0, :, 16:], x[:, 16:]) and torch.equal(cut[1], x)


def test_a_mask_reveals_the_picture_over_the_fill(inputs):
    fill = inputs.fill("white")
    half = torch.tensor([[1.0, 0.0]])
    seen = inputs.tensor(P.Revealed(inputs.add_mask(half), fill))
    m = torch.nn.functional.interpolate(half[None, None].double(), (32, 32), mode="bilinear", align_corners=False)[0, 0]
    assert torch.allclose(seen, m * inputs.image + (1 - m) * inputs.filled(fill))
    drawn = P.RandomMask(seed=0, number=5, cells=4, share=0.5)
    assert torch.equal(inputs.mask(drawn), reference.random_mask(0, 5, 4, 0.5, (32, 32), torch.float64))


def test_a_given_tensor_is_let_go_of_and_a_fill_is_not(inputs):
    tensor_name, fill = inputs.add_tensor(inputs.image + 1), inputs.fill(inputs.image + 1)
    inputs.release([tensor_name, P.Image()])
    assert torch.equal(inputs.filled(fill), inputs.image + 1)
    with pytest.raises(KeyError):
        inputs.tensor(tensor_name)


def test_references_are_said_and_pictures_are_prepared(inputs):
    fills, note = inputs.references(None, load=None)
    assert [f.kind for f in fills] == ["black", "white", "mean", "blur"] and "black, white" in note
    picture = load_picture(torch.full((3, 32, 32), 0.5), dtype=torch.float64)
    fills, note = inputs.references(["white", 0.25, "file"], load=lambda name: picture)
    assert note == "3 backgrounds given" and torch.equal(inputs.filled(fills[2]), picture.x[0])
    with pytest.raises(ValueError, match="at least one"):
        inputs.references([], load=None)


def test_a_cut_is_named_by_its_pixels(inputs):
    """Two cuts are the same input exactly when they replace the same pixels by the same fill of the same picture."""
    coarse, fine = np.zeros((32, 32), np.int32), np.arange(32 * 32, dtype=np.int32).reshape(32, 32) // 128
    coarse[16:], black, white = 1, inputs.fill("black"), inputs.fill("white")
    one, two = inputs.add_labels(coarse), inputs.add_labels(fine)
    named = inputs.by_pixels
    lower = named(P.Without(one, (1,), black))
    assert lower == named(P.Without(two, (4, 5, 6, 7), black)) == named(P.Without(two, (7, 6, 5, 4), black))
    others = [P.Without(one, (0,), black), P.Without(one, (1,), white), P.Without(one, (0, 1), black), P.Without(one, (), black),
              P.Without(one, (1,), black, P.Blurred(2.0)), *(P.Without(two, (r,), black) for r in range(8))]
    assert len({named(name) for name in others} | {lower}) == len(others) + 1
    assert named(P.Without(one, (0, 1), black)) == named(P.Without(two, tuple(range(8)), black))
