"""Probes that look inside: layers read with and without gradients, a unit as the explained number, what is let go of."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session
from saliency_widgets.engine.probe import Unit
from saliency_widgets.methods.protocol import Round
from tests.small import small, tensor


@pytest.fixture
def opened():
    session = Session(small(), tensor())
    return session, session._context(None, watched=False), session._opened.runner


def one(runner, probe, keep=True):
    (_, evaluation), = runner.evaluate([probe], keep)
    return evaluation


def test_activations_alone_cost_a_forward_and_answer_for_the_logits(opened):
    session, context, runner = opened
    found = one(runner, context.read(("activation",), at=("conv2",), gradients=False))
    assert list(found.layers) == ["conv2"] and session.stats.backward_samples == 0
    seen = {}
    session.subject.clone.conv2.register_forward_hook(lambda m, i, o: seen.update(a=o.detach().clone()))
    with torch.no_grad():
        session.subject.clone(session.inputs.image[None])
    assert torch.equal(found.layers["conv2"]["activation"], seen["a"][0])
    session.stats.reset()
    logits = one(runner, context.forward(context.image)).logits
    assert session.stats.store_hits == 1 and np.array_equal(logits.numpy(), session.logits)


def test_a_unit_is_explained_by_its_own_gradient(opened):
    """In place activations follow conv1 in `Small`: the unit is what the convolution gave, before they overwrote it."""
    session, context, runner = opened
    for unit in (Unit("conv1", 3), Unit("norm", 2, (4, 5)), Unit("head", 1)):
        found = one(runner, context.gradient(context.image, score=unit))
        x = session.inputs.image[None].clone().requires_grad_(True)
        model, a = session.subject.clone, None
        a = model.conv1(x)
        if unit.layer != "conv1":
            a = model.norm(a)
        if unit.layer == "head":
            a = model(x.clone())
        value = unit.of(a)[0]
        wanted, = torch.autograd.grad(value, x)
        assert found.score == pytest.approx(float(value), abs=1e-12)
        assert torch.allclose(found.gradient, wanted[0], atol=1e-12) and found.gradient.any()


def test_what_a_method_made_is_let_go_of_after_a_round_that_is_not_kept(opened):
    session, context, runner = opened
    asked = Round([context.gradient(context.given(session.inputs.image + i)) for i in range(6)], keep=False)
    replies = list(runner.evaluate(asked.probes, asked.keep))
    assert len(replies) == 6 and not session.inputs._made
    assert all(runner.stored(probe) is None for probe in asked.probes)


def test_backgrounds_are_known_to_methods():
    session = Session(small(), tensor(), backgrounds=tensor(seed=4)[None])
    fills, note = session._context(None, watched=False).backgrounds
    assert note == "1 background given" and torch.equal(session.inputs.filled(fills[0]), tensor(seed=4))
    with pytest.raises(ValueError, match="at least one"):
        Session(small(), tensor(), backgrounds=[])
    with pytest.raises(FileNotFoundError):
        Session(small(), tensor(), backgrounds=["nowhere.png"])
