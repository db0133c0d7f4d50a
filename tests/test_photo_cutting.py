"""Pairs, orders, counts and finer or coarser regions of a whole photograph, against plain loops of preprocessing and forwards."""
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T

from saliency_widgets import Explorer
from saliency_widgets import regions as R
from saliency_widgets.widgets.edits import Edit

from .explorers import LABELS
from .small import pixels, small

SIZE = (60, 90)
PHOTO = pixels(SIZE)
TRANSFORM = T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor()])
MODEL = small()
LABELLED = R.grid(SIZE, 3, 4)


@pytest.fixture
def ex():
    explorer = Explorer(MODEL, PHOTO, LABELS, preprocess=TRANSFORM, space="photo", method="leave_one_out")
    explorer.params["leave_one_out"].regions = LABELLED
    assert explorer.wait() and explorer.error == ""
    explorer.session.stats.reset()
    yield explorer
    explorer.close()


def score(target, off=None):
    """The logit of the photograph with some pixels black, by its own preprocessing and one forward."""
    photo = PHOTO if off is None else np.where(off[..., None], 0, PHOTO).astype(np.uint8)
    with torch.no_grad():
        return float(MODEL(TRANSFORM(Image.fromarray(photo))[None].double())[0, target])


def drop(target, labels, *off):
    return score(target) - score(target, np.isin(labels, off))


def drops(ex):
    labels = np.array(ex.regions.labels)
    return [drop(ex.target, labels, r) for r in range(labels.max() + 1)]


def test_pairs(ex):
    ex._edit(Edit("interactions", ((40.0, 30.0),)))
    assert ex.wait() and ex.error == "" and ex.method == "interactions"
    found, chosen, t = ex.maps["interactions"], int(LABELLED[30, 40]), ex.target
    alone = [drop(t, LABELLED, r) for r in range(12)]
    expected = [0 if s == chosen else drop(t, LABELLED, chosen, s) - alone[chosen] - alone[s] for s in range(12)]
    np.testing.assert_allclose(found.region_scores, expected, atol=1e-8)
    np.testing.assert_allclose(found.values[0], np.array(expected)[LABELLED], atol=1e-8)
    assert found.details["region"] == chosen and found.values.shape == (1, *SIZE) and ex.session.stats.forward_samples <= 11
    ex._edit(Edit("toggle", ((70.0, 30.0),)))
    assert ex.wait() and ex.error == "" and ex.maps["interactions"].details["region"] == LABELLED[30, 70] and not ex.regions.off


@pytest.mark.parametrize("game", ["deletion", "insertion"])
def test_orders(ex, game):
    params = ex.params["greedy_order"]
    params.game, params.regions, params.steps, params.candidates = game, LABELLED, 4, 0
    ex.method = "greedy_order"
    assert ex.wait() and ex.error == ""
    start, sign = (None, 1) if game == "deletion" else (np.ones(SIZE, bool), -1)
    taken, scores = [], [score(ex.target, start)]
    for _ in range(4):
        found = {}
        for r in (r for r in range(12) if r not in taken):
            gone = np.isin(LABELLED, [*taken, r])
            found[r] = score(ex.target, gone if game == "deletion" else ~gone)
        best = min(found, key=lambda r: sign * found[r])
        taken, scores = [*taken, best], [*scores, found[best]]
    details = ex.maps["greedy_order"].details
    assert details["order"].tolist() == taken and details["exact"]
    np.testing.assert_allclose(details["scores"], scores, atol=1e-8)
    last = details["film"][-1]
    assert np.array_equal(last["mask"] > 0, np.isin(LABELLED, taken)) and last["mask"].shape == SIZE
    gone = np.isin(LABELLED, taken) if game == "deletion" else ~np.isin(LABELLED, taken)
    seen = TRANSFORM(Image.fromarray(np.where(gone[..., None], 0, PHOTO).astype(np.uint8))).permute(1, 2, 0).numpy()
    assert np.abs(last["picture"] - 255 * seen).max() <= 0.51, "the film shows what the model saw"


def test_counts_of_superpixels(ex):
    params = ex.params["leave_one_out"]
    params.regions, params.count = "slic", 14
    assert ex.wait() and ex.error == ""
    fine = np.array(ex.regions.labels)
    assert np.array_equal(fine, R.segment(PHOTO, "slic", 14)) and fine.max() == 13
    np.testing.assert_allclose(ex.maps["leave_one_out"].region_scores, drops(ex), atol=1e-8)
    ex.session.stats.reset()
    params.count = 12
    assert ex.wait() and ex.error == ""
    coarse, known = np.array(ex.regions.labels), {(fine == r).tobytes() for r in range(14)}
    new = sum((coarse == r).tobytes() not in known for r in range(12))
    assert all(len(np.unique(coarse[fine == r])) == 1 for r in range(14)), "unions of the finer ones"
    assert ex.session.stats.forward_samples <= new <= 2
    np.testing.assert_allclose(ex.maps["leave_one_out"].region_scores, drops(ex), atol=1e-8)


@pytest.mark.parametrize("op", ["finer", "coarser"])
def test_one_region_finer_or_coarser(ex, op):
    ex._edit(Edit("choose", ((40.0, 30.0),)))
    body = ex.face.method.bodies["leave_one_out"]
    assert ex.wait() and body.region == LABELLED[30, 40]
    ex.session.stats.reset()
    body.acts[op].click()
    assert ex.wait() and ex.error == ""
    after, known = np.array(ex.regions.labels), {(LABELLED == r).tobytes() for r in range(12)}
    new = [r for r in range(after.max() + 1) if (after == r).tobytes() not in known]
    inside = LABELLED == LABELLED[30, 40]
    if op == "finer":
        assert 2 <= len(new) <= 5 and set(np.unique(after[inside])) == set(new) and not np.isin(after[~inside], new).any()
    else:
        assert after.max() == 10 and len(new) == 1 and (after == new[0])[inside].all()
    assert ex.session.stats.forward_samples <= len(new)
    np.testing.assert_allclose(ex.maps["leave_one_out"].region_scores, drops(ex), atol=1e-8)
    ex.regions.undo()
    assert ex.wait() and np.array_equal(ex.regions.labels, LABELLED)
