"""Attention probabilities and their gradients: from torch's composites, from Swin's windows, from code written by hand."""
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from saliency_widgets.model.attention import AttentionCapture, decomposed_attention
from saliency_widgets.model.backward_rules import Rewriting

torch.manual_seed(0)
Q, K, V = torch.randn(3, 2, 4, 5, 6, dtype=torch.float64)
MASK = torch.rand(5, 5) > 0.4
MASK.fill_diagonal_(True)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"attn_mask": MASK}, {"scale": 0.3},
                                     {"attn_mask": torch.randn(2, 1, 5, 5, dtype=torch.float64)}],
                         ids=["plain", "causal", "mask", "scale", "bias"])
def test_the_steps_give_what_the_composite_gives(options):
    torch.testing.assert_close(decomposed_attention(Q, K, V, **options), F.scaled_dot_product_attention(Q, K, V, **options))


def test_the_steps_share_keys_among_groups_of_heads():
    options = {"enable_gqa": True}
    wanted = F.scaled_dot_product_attention(Q, K[:, :2], V[:, :2], **options)
    torch.testing.assert_close(decomposed_attention(Q, K[:, :2], V[:, :2], **options), wanted)


class ByHand(nn.Module):
    """Attention as timm writes it: softmax, dropout, product."""

    def __init__(self, how="hand", heads=2, width=6):
        super().__init__()
        self.how, self.heads = how, heads
        self.qkv, self.drop, self.out = nn.Linear(width, 3 * width), nn.Dropout(0.3), nn.Linear(width, 3)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if self.how == "fused":
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            p = self.drop(((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1))
            self.seen = p
            y = torch.einsum("nhls,nhse->nhle", p, v) if self.how == "einsum" else p @ v
        return self.out(y.transpose(1, 2).reshape(n, length, width).mean(1))


def read(model, x, target=1, **options):
    with AttentionCapture(model, **options) as seen:
        leaf = x.clone().requires_grad_(True)
        out = model(leaf.clone())
        gradient, = torch.autograd.grad(out[:, target].sum(), leaf)
    return seen, out.detach(), gradient


def frozen(model):
    return model.double().eval().requires_grad_(False)


@pytest.mark.parametrize("how", ["hand", "einsum", "fused"])
def test_probabilities_and_gradients_are_those_of_the_formula(how):
    torch.manual_seed(1)
    reference = frozen(ByHand())
    model = frozen(ByHand(how))
    model.load_state_dict(reference.state_dict())
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    seen, out, gradient = read(model, x)
    leaf = x.clone().requires_grad_(True)
    score = reference(leaf)[:, 1].sum()
    wanted, to_input = torch.autograd.grad(score, (reference.seen, leaf))
    name, = seen.names
    assert name == "attention 1"  # the attention is the whole model: it has no name of its own
    torch.testing.assert_close(seen.values[name], reference.seen.detach())
    torch.testing.assert_close(seen.gradients[name], wanted)
    torch.testing.assert_close(gradient, to_input)
    torch.testing.assert_close(out, model(x))


class Blocks(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.first, self.again = nn.MultiheadAttention(6, 3, batch_first=True), ByHand()
        self.need_weights, self.weights = need_weights, []

    def forward(self, x):
        for _ in range(2):
            x, weights = self.first(x, x, x, need_weights=self.need_weights, average_attn_weights=False)
            self.weights.append(weights)
        return self.again(x)


@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention_of_torch_in_order_by_name(need_weights):
    model = frozen(Blocks(need_weights))
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    seen, out, _ = read(model, x)
    assert seen.names == list(seen.values) == ["first", "first (2)", "again"]
    assert all(seen.values[n].shape == seen.gradients[n].shape == (2, h, 5, 5) for n, h in zip(seen.names, (3, 3, 2)))
    torch.testing.assert_close(out, model(x))
    model.need_weights, model.weights = True, []
    model(x)
    torch.testing.assert_close(seen.values["first"], model.weights[0])
    torch.testing.assert_close(seen.values["first (2)"], model.weights[1])
    seen, _, _ = read(lambda t: model(t), x)  # a callable: no modules are known
    assert seen.names == ["attention 1", "attention 2", "attention 3"]


def test_gradients_go_to_the_callback_and_what_none_reached_is_left():
    class Ignoring(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = ByHand(), ByHand()

        def forward(self, x):
            self.unused(x)
            return self.used(x)

    got = {}
    seen, _, _ = read(frozen(Ignoring()), torch.randn(2, 5, 6, dtype=torch.float64),
                      on_gradient=lambda name, value, gradient: got.update({name: (value, gradient)}))
    assert list(got) == ["used"] and list(seen.values) == ["unused"] and not seen.gradients
    assert got["used"][0].shape == got["used"][1].shape == (2, 2, 5, 5)


def test_it_reads_without_gradients_too():
    model = frozen(ByHand("fused"))
    with AttentionCapture(model) as seen, torch.no_grad():
        model(torch.randn(1, 5, 6, dtype=torch.float64))
    torch.testing.assert_close(seen.values["attention 1"].sum(-1), torch.ones(1, 2, 5, dtype=torch.float64))


def test_a_softmax_that_attends_to_nothing_is_none():
    model = frozen(nn.Sequential(nn.Linear(6, 4), nn.Softmax(-1), nn.ReLU()))
    assert read(model, torch.randn(2, 6, dtype=torch.float64))[0].names == []


def test_swin_has_windows_between_batch_and_heads():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torchvision.models.swin_transformer.SwinTransformer([4, 4], 12, [2, 2], [2, 4], [4, 4], num_classes=3)
    model, x = model.eval().requires_grad_(False), torch.randn(2, 3, 32, 32)
    seen, out, gradient = read(model, x)
    assert seen.names == [f"features.{stage}.{block}.attn" for stage in (1, 3) for block in (0, 1)]
    assert [tuple(seen.values[n].shape) for n in seen.names] == [(2, 4, 2, 16, 16)] * 2 + [(2, 4, 16, 16)] * 2
    for row in range(2):  # the first axis is the picture's
        alone = read(model, x[row:row + 1])[0]
        name = seen.names[1]
        torch.testing.assert_close(alone.values[name][0], seen.values[name][row], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(out, model(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_scripted_code_shows_none_and_hooks_go():
    model = frozen(ByHand("fused"))
    assert read(torch.jit.trace(model, torch.randn(1, 5, 6).double()), torch.randn(1, 5, 6).double())[0].names == []
    with pytest.raises(RuntimeError, match="stop"):
        with AttentionCapture(model):
            raise RuntimeError("stop")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_attention_adds_up_under_deeplift():
    model = frozen(Blocks(False))
    x, x0 = torch.randn(2, 2, 5, 6, dtype=torch.float64)
    with Rewriting("deeplift", model) as active:
        with active.recording():
            before = model(x0)[:, 0]
        leaf = x.clone().requires_grad_(True)
        after = model(leaf)[:, 0]
        multipliers, = torch.autograd.grad(after.sum(), leaf)
    torch.testing.assert_close((multipliers * (x - x0)).sum((1, 2)), (after - before).detach())
    assert active.coverage.complete and active.coverage.calls == 5  # two fused calls; two products and a softmax by hand
