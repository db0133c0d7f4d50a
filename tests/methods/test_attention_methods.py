"""Attention rollout and gradient × attention against their papers' recursions written out, and what they refuse."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from saliency_widgets.methods import methods
from tests.small import small, tensor
from tests.transformers import swin, tokens, vit


def attentions(model, x, target=None):
    """Probabilities `(heads, L, L)` of every block of a torchvision transformer, and their gradients, block by block.

    Written with the projections of the blocks' own `nn.MultiheadAttention`, not with the capture that is tested.
    """
    found = []

    def attend(block, normed):
        n, length, width = normed.shape
        own, heads = block.self_attention, block.self_attention.num_heads
        q, k, v = (t.view(n, length, heads, width // heads).transpose(1, 2)
                   for t in (normed @ own.in_proj_weight.T + own.in_proj_bias).chunk(3, -1))
        probabilities = (q @ k.mT / (width // heads) ** 0.5).softmax(-1)
        if target is not None:
            probabilities.retain_grad()
        found.append(probabilities)
        return own.out_proj((probabilities @ v).transpose(1, 2).reshape(n, length, width))

    tokens = torch.cat([model.class_token, model._process_input(x[None])], 1) + model.encoder.pos_embedding
    for block in model.encoder.layers:
        tokens = tokens + attend(block, block.ln_1(tokens))
        tokens = tokens + block.mlp(block.ln_2(tokens))
    logits = model.heads(model.encoder.ln(tokens)[:, 0])
    torch.testing.assert_close(logits, model(x[None]))
    if target is not None:
        logits[0, target].backward()
    return [(p.detach()[0].numpy(), None if target is None else p.grad[0].numpy()) for p in found]


def rolled(blocks, reduce=np.mean, discard=0.0):
    relation = np.eye(blocks[0].shape[-1])
    for heads in blocks:
        fused = np.array(reduce(heads, 0))
        smallest = np.argsort(fused, axis=None)[:int(discard * fused.size)]
        fused.reshape(-1)[smallest] = 0
        mixed = fused + np.eye(len(fused))
        relation = (mixed / mixed.sum(1, keepdims=True)) @ relation
    return relation


@pytest.mark.parametrize("head, reduce", [("mean", np.mean), ("max", np.max), ("min", np.min)])
@pytest.mark.parametrize("discard", [0.0, 0.6])
def test_rollout_is_its_recursion(head, reduce, discard):
    model, x = vit(layers=3), tensor()
    blocks = [p for p, _ in attentions(model, x)]
    session = Session(model, x)
    got = session.map("attention_rollout", head=head, discard=discard)
    np.testing.assert_allclose(got.values[0], rolled(blocks, reduce, discard)[0, 1:].reshape(4, 4), atol=1e-10)
    assert session.stats.forward_samples == 1 and session.stats.backward_samples == 0
    first = session.map("attention_rollout", head=head, discard=discard, layer="encoder.layers.encoder_layer_1")
    np.testing.assert_allclose(first.values[0], rolled(blocks[:2], reduce, discard)[0, 1:].reshape(4, 4), atol=1e-10)
    assert first.evaluations == 0 and list(got.details["maps"])[:2] == list(first.details["maps"])


@pytest.mark.parametrize("target", [0, 3])
def test_gradient_x_attention_is_its_recursion(target):
    model, x = vit(layers=3), tensor()
    blocks = attentions(model, x, target)
    relation, states = np.eye(17), []
    for probabilities, gradients in blocks:
        relation = relation + np.maximum(gradients * probabilities, 0).mean(0) @ relation
        states.append((relation - np.eye(17))[0, 1:].reshape(4, 4))
    session = Session(model, x, target=target)
    got = session.map("gradient_x_attention")
    np.testing.assert_allclose(got.values[0], states[-1], atol=1e-10)
    assert got.unit == "logit" and session.stats.backward_samples == 1
    for layer, state in zip(("encoder_layer_0", "encoder_layer_1.self_attention"), states):
        early = session.map("gradient_x_attention", layer=f"encoder.layers.{layer}")
        np.testing.assert_allclose(early.values[0], state, atol=1e-10)
    assert session.stats.backward_samples == 1


def test_rollout_knows_no_class_and_gradients_do():
    session = Session(vit(), tensor())
    rollout = [session.map("attention_rollout", target=k).values for k in range(2)]
    assert np.array_equal(*rollout) and "same for every class" in methods()["attention_rollout"].warning
    aware = [session.map("gradient_x_attention", target=k).values for k in range(2)]
    assert not np.allclose(*aware)


def test_without_a_class_token_it_is_the_mean_over_the_patches():
    model, x = tokens(5), tensor()  # five registers, and the mean of all tokens is read
    seen = []
    own = model.mix.self_attn
    handle = own.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    model(x[None])
    handle.remove()
    with torch.no_grad():
        attention = own(seen[0], seen[0], seen[0], need_weights=True)[1][0].numpy()
    wanted = rolled([attention[None]])[5:].mean(0)[5:].reshape(4, 4)
    np.testing.assert_allclose(explain(model, x, "attention_rollout").values[0], wanted, atol=1e-10)
    class_token = tokens(5, pooled=False)
    assert explain(class_token, x, "attention_rollout").values.sum() < 1  # one row: the rest is the class token's own


def test_a_layer_in_a_block_stands_for_the_block():
    session = Session(vit(layers=3), tensor())
    named = session.map("attention_rollout", layer="encoder.layers.encoder_layer_1.ln_1")
    assert named.details["layer"] == "encoder.layers.encoder_layer_1.self_attention"
    last = session.map("attention_rollout", layer=session.default_layer)
    assert last.details["layer"].startswith("encoder.layers.encoder_layer_2")
    with pytest.raises(LookupError, match="no attention ran in layer 'conv_proj': choose one of encoder.layers.encoder_layer_0"):
        session.map("attention_rollout", layer="conv_proj")


class Pools(nn.Module):
    """Its one attention reads the patches from a single query."""

    def __init__(self):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 3)
        self.query, self.attend = nn.Parameter(torch.randn(1, 1, 8)), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        rows = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.attend(self.query.expand(len(x), -1, -1), rows, rows)[0][:, 0])


@pytest.mark.parametrize("name", ["attention_rollout", "gradient_x_attention"])
def test_refusals_in_words(name):
    with pytest.raises(ValueError, match="no attention ran in this model.*use grad_cam"):
        explain(small(), tensor(), name)
    with pytest.raises(ValueError, match="attention within windows: 'features.1.0.attn'.*use grad_cam"):
        explain(swin(), tensor(), name)
    with pytest.raises(ValueError, match="'attend' attends from 1 tokens to 16"):
        explain(Pools().double(), tensor(), name)


def test_a_block_that_the_score_does_not_use_is_told():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = tokens(0), nn.Conv2d(3, 4, 3).double()

        def forward(self, x):
            self.inner(x)
            return self.head(x).mean((2, 3))

    got = explain(Aside(), tensor(), "gradient_x_attention")
    assert not got.values.any() and "no attention up to this block" in got.warnings[0]
