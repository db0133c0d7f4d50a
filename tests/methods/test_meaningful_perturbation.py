"""Meaningful Perturbation against a plain loop that differentiates through the model, and what its parts promise."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.kernels import reference as kernels
from saliency_widgets.methods.meaningful_perturbation import DISCS, SUPPRESSED
from saliency_widgets.methods.perturbation_mask import LEVELS, Crossfade, Enlarging, VaryingBlur, disc, penalty
from saliency_widgets.model.preprocessing import PixelSpace
from tests.small import small, tensor

pytestmark = pytest.mark.usefixtures("one_thread")
PATCH = slice(6, 14), slice(18, 26)


class Patch(nn.Module):
    """Sees the class where an off-centre patch is bright, and looks nowhere else."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(12.0, dtype=torch.float64))

    def forward(self, x):
        bright = self.gain * (x[:, :, PATCH[0], PATCH[1]].mean((1, 2, 3)) - 0.4)
        return torch.stack((bright, -bright), 1)


def bright():
    x = tensor() * 0.5
    x[:, PATCH[0], PATCH[1]] = 0.9
    return x


def plain(model, x, target, *, start, iterations, l1, tv, beta, lr, sigma, fill, shifts, sign=1):
    """The same optimisation by autograd through model, picture and mask at once."""
    mask = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([mask], lr=lr)
    scores = []

    def render(dy, dx):
        large = F.interpolate(mask[None, None], x.shape[1:], mode="bilinear", align_corners=False)[0]
        large = kernels.gaussian_blur(large, sigma)

        def shift(t):
            padded = F.pad(t[None], (8, 8, 8, 8), mode="replicate")[0]
            return padded[:, 8 - dy:8 - dy + x.shape[1], 8 - dx:8 - dx + x.shape[2]]

        return large * shift(x) + (1 - large) * shift(fill)

    for dy, dx in shifts[:iterations]:
        p = model(render(dy, dx)[None]).softmax(1)[0, target]
        scores.append(float(p.detach()))
        amount = ((1 - mask) if sign > 0 else mask).abs().sum()
        rough = ((mask[1:] - mask[:-1]).abs() ** beta).sum() + ((mask[:, 1:] - mask[:, :-1]).abs() ** beta).sum()
        adam.zero_grad()
        (l1 * amount + tv * rough + sign * p).backward()
        adam.step()
        mask.data.clamp_(0, 1)
    return mask.detach(), scores


@pytest.mark.parametrize("game, sign", [("deletion", 1), ("preservation", -1)])
def test_it_is_plain_gradient_descent_on_the_mask(game, sign):
    model, x = small(seed=3), tensor(seed=3)
    got = explain(model, x, "meaningful_perturbation", target=3, game=game, fill="black", iterations=25, mask_size=(10, 8),
                  mask_blur=2, jitter=3, seed=5)
    first = torch.from_numpy(got.details["film"][0]["mask"] > 127)
    radii = [disc((10, 8), (32, 32), (k + 1) / DISCS, x) for k in range(DISCS)]
    large = Enlarging((10, 8), (32, 32), 2, x, kernels)
    start = next(d for d in radii if torch.equal(large(d) > 127.5 / 255, first))
    shifts = (kernels.uniform(5, 1, 50) * 4).long().view(-1, 2) - 1
    mask, scores = plain(model, x, 3, start=1 - start if sign > 0 else start, iterations=25, l1=1e-4, tv=1e-2, beta=3,
                         lr=0.1, sigma=2, fill=torch.zeros_like(x), shifts=shifts.tolist(), sign=sign)
    np.testing.assert_allclose(got.details["mask"], mask, atol=1e-8)
    np.testing.assert_allclose(got.details["scores"], scores, atol=1e-10)
    values = large(mask).numpy()
    np.testing.assert_allclose(got.values[0], 1 - values if sign > 0 else values, atol=1e-8)


def test_it_finds_where_the_model_looks():
    got = explain(Patch(), bright(), "meaningful_perturbation", target=0, fill="black", mask_blur=1, jitter=0)
    assert got.details["before"] > 0.99 and got.details["after"] < 0.05
    assert got.details["objectives"][-1] < 0.2 * got.details["objectives"][0]
    inside = got.values[0][PATCH].mean()
    outside = got.values[0].copy()
    outside[PATCH] = 0
    assert inside > 0.8 and inside > 5 * outside.mean()
    with torch.no_grad():
        phi = torch.from_numpy(1 - got.values) * bright()
        assert float(Patch()(phi[None]).softmax(1)[0, 0]) == pytest.approx(got.details["after"], abs=1e-10)
    kept = explain(Patch(), bright(), "meaningful_perturbation", target=0, fill="black", mask_blur=1, jitter=0,
                   game="preservation")
    assert kept.details["after"] > 0.95 and kept.unit == "share kept"
    assert kept.values[0][PATCH].mean() > 3 * kept.values[0].mean()


def test_it_starts_from_the_smallest_disc_that_suppresses_almost_everything():
    model, x = Patch(), bright()
    got = explain(model, x, "meaningful_perturbation", target=0, fill="black", iterations=1, jitter=0, mask_blur=0, mask_size=32)
    begun = torch.from_numpy(got.details["film"][0]["mask"] / 255.0)
    with torch.no_grad():
        discs = [disc((32, 32), (32, 32), (k + 1) / DISCS, x) for k in range(DISCS)]
        p = [float(model(((1 - m) * x)[None]).softmax(1)[0, 0]) for m in
             (torch.zeros(32, 32), torch.ones(32, 32), begun, *discs)]
    whole, bare, chosen, discs = p[0], p[1], p[2], p[3:]
    fit = [k for k, value in enumerate(discs) if whole - value >= SUPPRESSED * (whole - bare)]
    assert chosen == pytest.approx(discs[fit[0]], abs=1e-12) and fit[0] > 0
    assert begun[16, 16] == 1 and begun[0, 0] == 0


@pytest.mark.parametrize("blur", ["crossfade", "varying"])
@pytest.mark.parametrize("game", ["deletion", "preservation"])
def test_the_gradient_of_the_objective_agrees_with_differences(blur, game):
    model, x = small(smooth=True), tensor()
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(5, 4, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    space = PixelSpace()
    fade = VaryingBlur(x, 6.0, space, kernels) if blur == "varying" else Crossfade(x, kernels.gaussian_blur(x, 6.0), 2)
    large, sign = Enlarging((5, 4), (32, 32), 3.0, x, kernels), 1 if game == "deletion" else -1

    def objective(m):
        p = model(fade(large(m), (1, -2))[None]).softmax(1)[0, 0]
        return penalty(m, game, 0.01, 0.3, 3.0) + sign * p

    leaf = mask.clone().requires_grad_(True)
    gradient, = torch.autograd.grad(objective(leaf), leaf)
    with torch.no_grad():
        for y, x_ in [(0, 0), (2, 3), (4, 1)]:
            step = torch.zeros_like(mask)
            step[y, x_] = 1e-6
            difference = float(objective(mask + step) - objective(mask - step)) / 2e-6
            assert float(gradient[y, x_]) == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_without_regularisation_it_learns_artefacts():
    session = Session(small(seed=3), tensor(seed=3))

    def roughness(**params):
        v = session.map("meaningful_perturbation", target=3, fill="black", iterations=80, **params).values[0]
        return (np.abs(np.diff(v, axis=0)).sum() + np.abs(np.diff(v, axis=1)).sum()) / v.sum()

    assert roughness(jitter=0, tv=0, mask_size=32, mask_blur=0) > 5 * roughness()


def test_a_varying_blur_blurs_each_place_by_its_own_amount():
    x, space = tensor(), PixelSpace((0.5, 0.4, 0.3), (0.2, 0.2, 0.3))
    fade = VaryingBlur(x, 10.0, space, kernels)
    for k in (0, 3, 7, LEVELS):  # on the stack exactly, between its levels nearly
        mask = torch.full((32, 32), 1 - k / LEVELS, dtype=x.dtype)
        np.testing.assert_allclose(fade(mask), kernels.gaussian_blur(x, 10.0 * k / LEVELS), atol=1e-10)
    m = 1 - 2.5 / LEVELS
    near = (fade(torch.full((32, 32), m, dtype=x.dtype)) - kernels.gaussian_blur(x, 2.5)).abs().max()
    assert near < 0.02 * float(x.max() - x.min())
    halves = torch.ones(32, 32, dtype=x.dtype)
    halves[:, 16:] = 0.5
    assert torch.equal(fade(halves)[:, :, :16], x[:, :, :16])
    np.testing.assert_allclose(fade(halves)[:, :, 16:], kernels.gaussian_blur(x, 5.0)[:, :, 16:], atol=1e-10)
    got = explain(Patch(), bright(), "meaningful_perturbation", target=0, blur="varying", iterations=60)
    assert got.details["after"] < got.details["before"]


def test_the_fills_blur_is_made_in_pixel_space_with_its_own_sigma():
    x = bright()
    a, b = (Session(Patch(), x).map("meaningful_perturbation", target=0, iterations=2, jitter=0, fill_blur=s) for s in (10, 2))
    session = Session(Patch(), x)
    same = session.map("meaningful_perturbation", target=0, iterations=2, jitter=0, fill=kernels.gaussian_blur(x, 2.0))
    np.testing.assert_allclose(b.details["scores"], same.details["scores"], atol=1e-10)
    assert abs(a.details["scores"][0] - b.details["scores"][0]) > 1e-3


def test_seeds_name_the_draws():
    session = Session(small(seed=3), tensor(seed=3))
    maps = [session.map("meaningful_perturbation", target=3, iterations=12, seed=s, fill="noise").values for s in (1, 1, 2)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 1e-6
    longer = session.map("meaningful_perturbation", target=3, iterations=20, seed=1, fill="noise").details["scores"]
    shorter = session.map("meaningful_perturbation", target=3, iterations=12, seed=1, fill="noise").details["scores"]
    np.testing.assert_array_equal(longer[:12], shorter)


def test_the_objective_is_a_probability_unless_the_user_compares_classes():
    x = tensor(seed=3)
    maps = [Session(small(seed=3), x, score=score).map("meaningful_perturbation", target=3, iterations=5, fill="black")
            for score in ("logit", "probability", "log_probability")]
    assert all(np.array_equal(maps[0].values, m.values) for m in maps)
    assert maps[0].details["objective_score"] == "probability"
    margin = Session(small(seed=3), x, score="margin", contrast=1).map("meaningful_perturbation", target=3, iterations=5,
                                                                       fill="black")
    with torch.no_grad():
        logits = small(seed=3)(x[None])[0]
    assert margin.details["before"] == pytest.approx(float(logits[3] - logits[1]), abs=1e-10)
    own = Session(small(seed=3), x, score=lambda out: out[:, 3] ** 2).map("meaningful_perturbation", iterations=5, fill="black")
    assert own.details["before"] == pytest.approx(float(logits[3]) ** 2, rel=1e-10)


def test_the_film_plays_while_the_mask_is_learned():
    session, seen = Session(small(seed=3), tensor(seed=3)), []
    final = session.run("meaningful_perturbation", {"iterations": 60, "fill": "black"}, target=3, on_map=seen.append)
    assert len(seen) > 20 and not seen[0].final and seen[-1].final
    film = final.details["film"]
    assert [f["iteration"] for f in film] == [*range(0, 60, 2), 60]
    assert film[0]["mask"].shape == (32, 32) and film[0]["mask"].dtype == np.uint8
    assert film[-1]["score"] == final.details["after"] and final.last_change > 0
    np.testing.assert_allclose(film[-1]["mask"] / 255, final.values[0], atol=0.5 / 255 + 1e-9)
    assert len(final.details["scores"]) == len(final.details["objectives"]) == 60
    assert final.details["picture"].shape == (32, 32, 3)
    assert session.stats.backward_samples == 60 and len(session.inputs._made) == 0


def test_what_makes_it_doubtful_is_said():
    session = Session(small(seed=3), tensor(seed=3))
    useless = session.map("meaningful_perturbation", target=3, iterations=2, fill=tensor(seed=3))
    assert "no answer" in " ".join(useless.warnings) and not np.isnan(useless.values).any()
    tiny = explain(small(seed=3), tensor((16, 20), 3), "meaningful_perturbation", target=3, iterations=2, fill="black")
    assert tiny.values.shape == (1, 16, 20) and "16 × 20" in tiny.warnings[-1]
    rare = int(session.probabilities.argmin())
    assert "little to take away" in session.map("meaningful_perturbation", target=rare, iterations=2, fill="black").warnings[0]
    with pytest.raises(ValueError, match='fill="blur"'):
        session.map("meaningful_perturbation", blur="varying", fill="mean")
    with pytest.raises(ValueError, match="iterations=0"):
        session.map("meaningful_perturbation", iterations=0)
