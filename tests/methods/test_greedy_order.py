"""Deletion and insertion in greedy order against a plain Python loop, its identities, its film, and what it costs."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_widgets import Session, regions
from tests.small import pixels, small, tensor

LABELS = regions.grid((32, 32), 3, 3)


def plain(model, x, game, steps, fill=0.0, target=1):
    """Exact greedy order and scores, by one forward of the user's model at a time."""
    def score(taken):
        hidden = np.isin(LABELS, list(taken)) == (game == "deletion")
        with torch.no_grad():
            return float(model(torch.where(torch.from_numpy(hidden), torch.tensor(fill, dtype=x.dtype), x)[None])[0, target])

    order, scores = [], [score(())]
    for _ in range(steps):
        tried = {r: score((*order, r)) for r in range(9) if r not in order}
        best = (min if game == "deletion" else max)(tried, key=tried.get)
        order.append(best)
        scores.append(tried[best])
    return order, scores


@pytest.mark.parametrize("game", ["deletion", "insertion"])
@pytest.mark.parametrize("steps", [1, 5, 9])
def test_exact_greedy_is_a_plain_loop(game, steps):
    model, x = small(), tensor()
    got = Session(model, x, target=1).map("greedy_order", grid=3, game=game, steps=steps, candidates=0)
    order, scores = plain(model, x, game, steps)
    assert got.details["order"].tolist() == order and got.details["exact"]
    np.testing.assert_allclose(got.details["scores"], scores, atol=1e-9)
    assert got.details["area"] == pytest.approx(np.mean(scores)) and got.details["after"] == pytest.approx(scores[-1])
    moves = np.zeros(9)
    moves[order] = np.diff(scores) * (-1 if game == "deletion" else 1)
    np.testing.assert_allclose(got.region_scores, moves, atol=1e-9)
    np.testing.assert_allclose(got.values[0], moves[LABELS], atol=1e-9)


def test_both_games_run_between_the_picture_and_the_bare_fill():
    session = Session(small(), tensor(), target=2)
    away, back = (session.map("greedy_order", grid=3, game=game, steps=20, fill="mean").details
                  for game in ("deletion", "insertion"))
    assert len(away["order"]) == len(back["order"]) == 9, "more steps than regions end with the regions"
    assert away["before"] == pytest.approx(back["after"]) and away["after"] == pytest.approx(back["before"])
    np.testing.assert_array_equal(away["film"][-1]["picture"], back["film"][0]["picture"])
    assert back["area"] >= away["area"] or away["before"] < away["after"]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["deletion", "insertion"]), st.integers(0, 4))
def test_on_a_linear_model_it_sorts_the_drops(seed, game, candidates):
    """And however few candidates are tried, since no effect depends on what went before."""
    generator = torch.Generator().manual_seed(seed)
    weights, x = (torch.randn(3, 4, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    session = Session(lambda z: (z * weights).sum((1, 2, 3))[:, None], x)
    alone = session.map("leave_one_out", grid=(2, 3), fill=torch.zeros(1, 1, 1)).region_scores
    got = session.map("greedy_order", grid=(2, 3), fill=torch.zeros(1, 1, 1), game=game, candidates=candidates)
    assert got.details["order"].tolist() == np.argsort(-alone, kind="stable").tolist()
    np.testing.assert_allclose(got.region_scores, alone, atol=1e-9)


def test_known_answers_of_models_whose_regions_depend_on_one_another():
    """Of z0·z1 the first one takes all; of max(z0, z1) the first takes nothing and the second all."""
    for function, moves in ((lambda z: z[:, 0] * z[:, 1], [1, 0, 0, 0]), (lambda z: z[:, :2].amax(1), [0, 1, 0, 0])):
        session = Session(lambda x, f=function: f(x[:, 0].flatten(1))[:, None], torch.ones(1, 2, 2, dtype=torch.float64))
        got = session.map("greedy_order", grid=2, fill=torch.zeros(1, 1, 1), candidates=0)
        assert got.region_scores.tolist() == moves and got.details["order"].tolist() == [0, 1, 2, 3], "of equal ones the first"


def test_few_candidates_cost_less_and_everything_is_kept():
    session = Session(small(), tensor(), target=1)
    session.map("leave_one_out", grid=5)
    session.stats.reset()
    planned = session.estimate("greedy_order", {"grid": 5, "steps": 4, "candidates": 3})[0]
    got = session.map("greedy_order", grid=5, steps=4, candidates=3)
    assert session.stats.forward_samples == planned == 9 and not got.details["exact"]
    assert got.details["order"][0] == session.map("leave_one_out", grid=5).region_scores.argmax()
    session.map("greedy_order", grid=5, steps=4, candidates=3, target=2)
    again = session.stats.forward_samples
    session.map("greedy_order", grid=5, steps=4, candidates=3)
    assert session.stats.forward_samples == again, "what was evaluated is kept"
    session.map("greedy_order", grid=5, steps=6, candidates=3)
    assert session.stats.forward_samples == again + 6, "two more steps are six more pictures"


def test_candidates_are_those_that_did_most_when_they_were_tried_last():
    session = Session(small(), tensor(), target=1)
    got = session.map("greedy_order", grid=3, steps=3, candidates=4).details
    effect = session.map("leave_one_out", grid=3).region_scores.copy()
    taken = [int(effect.argmax())]
    for _ in range(2):
        left = [r for r in range(9) if r not in taken]
        tried = sorted(sorted(left, key=lambda r: -effect[r])[:4])
        for r in tried:
            effect[r] = session.without(LABELS, taken).score - session.without(LABELS, [*taken, r]).score
        taken.append(max(tried, key=lambda r: effect[r]))
    assert got["order"].tolist() == taken


@pytest.mark.parametrize("game", ["deletion", "insertion"])
def test_the_film_grows_and_shows_what_the_model_saw(game):
    session, seen = Session(small(), tensor(), target=1), []
    final = session.run("greedy_order", {"grid": 3, "steps": 4, "game": game}, on_map=seen.append)
    film = final.details["film"]
    assert [len(m.details["film"]) for m in seen] == [2, 3, 4, 5] and [m.final for m in seen] == [False] * 3 + [True]
    assert [stage["iteration"] for stage in film] == [0, 1, 2, 3, 4] and film[0]["region"] is None
    for stage, number in zip(film, range(5)):
        taken = np.isin(LABELS, final.details["order"][:number])
        np.testing.assert_array_equal(stage["mask"], taken * np.uint8(255))
        hidden = taken if game == "deletion" else ~taken
        np.testing.assert_allclose(stage["picture"], np.where(hidden[..., None], 0, pixels()), atol=1)
        off = sorted(set(LABELS[hidden].tolist()))
        found = session.without(LABELS, off)
        assert stage["score"] == pytest.approx(found.score) and stage["probability"] == pytest.approx(found.after)
        assert final.details["probabilities"][number] == stage["probability"]


def test_what_cannot_be_played_is_said():
    session = Session(small(), tensor())
    with pytest.raises(ValueError, match="insertion begins with nothing around"):
        session.map("greedy_order", game="insertion", fill="inpaint")
    grown = session.map("greedy_order", grid=4, fill="inpaint", steps=3)
    assert np.isfinite(grown.details["scores"]).all() and len(grown.details["order"]) == 3
    with pytest.raises(ValueError, match="at most 25% of the picture, 31% would be off"):
        session.map("greedy_order", grid=4, fill="inpaint", steps=5)
    with pytest.raises(ValueError, match="infinite or NaN"):
        Session(lambda x: x.mean((1, 2, 3)).log()[:, None], tensor()).map("greedy_order", grid=1)
    same = Session(lambda x: x.sum((1, 2, 3))[:, None] * 0, tensor()).map("greedy_order", grid=2)
    assert not same.values.any() and "zero everywhere" in same.warnings[0]
