"""The clone computes what the user's model computes, and the user's model never notices."""

import copy
import functools
import threading
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from saliency_widgets.model.clone import structural_clone, unwrap, working_model


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
    )


def picture(size: int = 12) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(7))


def scores_in_eval(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a deep copy of the model gives in eval(), the definition of what the clone must give."""
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        return twin(x)


def snapshot(model: nn.Module) -> list:
    """Everything that must be the same afterwards: objects, memory, bytes, modes, hooks, flags and
    attributes.
    """
    seen = []
    for name, module in model.named_modules():
        plain = {
            k: id(v) for k, v in module.__dict__.items() if k not in ("_parameters", "_buffers", "_modules")
        }
        hooks = {
            k: (list(v), [id(f) for f in v.values()])
            for k, v in module.__dict__.items()
            if k.endswith("_hooks")
        }
        seen.append((name, id(module), module.training, plain, hooks))
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        seen.append(
            (
                name,
                id(t),
                t.data_ptr(),
                t.dtype,
                t.device,
                t.stride(),
                t.requires_grad,
                t.grad is None,
                t._version,
                t.detach().numpy().tobytes(),
            )
        )
        if t.grad is not None:
            seen.append((name, t.grad.data_ptr(), t.grad.numpy().tobytes()))
    return seen


def drive(model: nn.Module, clone: nn.Module) -> None:
    """Use a clone in every way the engine does."""
    clone(picture())
    x = picture().requires_grad_(True)
    handle = clone.register_forward_hook(lambda *_: None)
    torch.autograd.grad(clone(x).sum(), x)
    handle.remove()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("build", [structural_clone, working_model])
def test_computes_the_same_and_leaves_the_original_alone(build, training):
    model = small().train(training)
    model[0].weight.requires_grad_(False)
    model(picture()).sum().backward()
    state = snapshot(model)
    clone = build(model)
    assert not any(m.training for m in clone.modules())
    torch.testing.assert_close(clone(picture()), scores_in_eval(model, picture()), rtol=0, atol=0)
    drive(model, clone)
    assert snapshot(model) == state


def test_shares_parameters_and_owns_buffers():
    model = small()
    clone = structural_clone(model)
    ours = dict(clone.named_parameters())
    assert ours.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert ours[name].data_ptr() == parameter.data_ptr() and not ours[name].requires_grad
    for (_, a), (_, b) in zip(model.named_buffers(), clone.named_buffers(), strict=True):
        assert a.data_ptr() != b.data_ptr() and torch.equal(a, b)


def test_what_is_done_to_the_clone_does_not_reach_the_parameters():
    model = small()
    state = snapshot(model)
    clone = structural_clone(model)
    clone.requires_grad_(True)
    clone(picture()).sum().backward()
    clone.double()
    assert snapshot(model) == state


class WeightNormed(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.conv = wrap(nn.Conv2d(3, 4, 3))
        self.head = wrap(nn.Linear(4, 3))

    def forward(self, x):
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


def old_weight_norm(module):
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(module)


@pytest.mark.parametrize(
    "wrap",
    [
        old_weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.orthogonal,
    ],
    ids=["old weight_norm", "old spectral_norm", "weight_norm", "spectral_norm", "orthogonal"],
)
@pytest.mark.parametrize("ran", [False, True])
def test_reparametrised_weights(wrap, ran):
    torch.manual_seed(0)
    model = WeightNormed(wrap)
    if ran:
        model(
            picture()
        ).sum().backward()  # now old-style `weight` is a non-leaf attribute that deepcopy refuses
    state = snapshot(model)
    clone = structural_clone(model)
    scores = clone(picture())
    drive(model, clone)
    assert snapshot(model) == state
    torch.testing.assert_close(scores, model.eval()(picture()), rtol=0, atol=0)


def test_old_weight_norm_follows_the_shared_weights():
    torch.manual_seed(0)
    model = WeightNormed(old_weight_norm).eval()
    clone = structural_clone(model)
    with torch.no_grad():
        model.conv.weight_g.mul_(3)
    torch.testing.assert_close(clone(picture()), model(picture()), rtol=0, atol=0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.twice = nn.ReLU()
        self.again = self.twice

    def forward(self, x):
        x = x.mean((2, 3)).repeat(1, 2)
        return self.again(self.second(self.twice(self.first(x))))


def test_tied_weights_and_a_module_used_twice():
    model = Tied()
    clone = structural_clone(model)
    assert clone.first.weight is clone.second.weight and clone.twice is clone.again
    assert clone.twice is not model.twice
    owned = working_model(model, own=True)
    assert (
        owned.first.weight is owned.second.weight
        and owned.first.weight.data_ptr() != model.first.weight.data_ptr()
    )
    torch.testing.assert_close(owned(picture()), scores_in_eval(model, picture()))


class Writes(nn.Module):
    """Writes to itself in every forward, in eval, too."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last, self.calls, self.history, self.seen = None, 0, [], {}
        self.plain, self.array = torch.zeros(()), np.zeros(1)
        self.lock = threading.Lock()
        self.generator = torch.Generator().manual_seed(3)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("replaced", torch.zeros(2))

    def forward(self, x):
        with self.lock:
            self.last = self.conv(x)
            self.calls += 1
            self.history.append(self.last)
            self.seen["x"] = x
            self.plain += 1
            self.array += 1
            self.count += 1
            self.replaced = torch.ones(2)
            return self.last.mean((2, 3)) + torch.rand(1, generator=self.generator)


@pytest.mark.parametrize("ran", [False, True])
def test_what_a_model_writes_to_itself_lands_on_the_clone(ran):
    model = Writes()
    if ran:
        model(picture())  # a cached activation with a graph: deepcopy raises
    state, plain = snapshot(model), model.plain.clone()
    history, seen, generator = len(model.history), dict(model.seen), model.generator.get_state()
    clone = structural_clone(model)
    drive(model, clone)
    assert clone.calls == model.calls + 2 and len(clone.history) == history + 2 and clone.lock is model.lock
    assert snapshot(model) == state and torch.equal(model.plain, plain)
    assert clone.array == model.array + 2 == clone.plain.numpy()
    assert len(model.history) == history and model.seen.keys() == seen.keys()
    assert torch.equal(model.generator.get_state(), generator)


class Pointers(nn.Module):
    """Keeps references to its modules in plain attributes, lists, dicts, bound methods and closures."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.steps = [self.a, (self.b, "relu")]
        self.by_name = {"b": self.b}
        self.forward = self.forward_v2
        self.method = functools.partial(self.scaled, factor=2.0)
        self.closure = lambda x: self.a(x)
        self.back = weakref.ref(self.a)
        self.hidden = [nn.Linear(3, 3)]  # not registered: not in parameters()
        self.__dict__["parent"] = self

    def scaled(self, x, factor):
        return self.b(x) * factor

    def forward_v2(self, x):
        x = self.steps[1][0](self.steps[0](x.mean((2, 3))))
        return self.closure(self.method(x)) + self.hidden[0](self.back()(x))


def test_references_in_plain_attributes_point_into_the_clone():
    model = Pointers()
    clone = structural_clone(model)
    assert (
        clone.steps[0] is clone.a
        and clone.steps[1][0] is clone.b is clone.by_name["b"]
        and clone.parent is clone
    )
    assert (
        clone.forward.__self__ is clone and clone.back() is clone.a and clone.hidden[0] is not model.hidden[0]
    )
    ran = []
    for module in model.modules():
        module.register_forward_hook(lambda *_: ran.append("the user's"))
    model.hidden[0].register_forward_hook(lambda *_: ran.append("the user's"))
    scores = clone(picture())
    assert not ran
    torch.testing.assert_close(scores, model(picture()))


class HooksItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.kept = None
        self.body.register_forward_hook(self.keep)

    def keep(self, module, inputs, output):
        self.kept = module, output

    def forward(self, x):
        self.body(x)
        return self.kept[1].mean((2, 3))


def test_hooks_are_kept_and_act_on_the_clone():
    model = HooksItself()
    modules = []
    model.register_forward_pre_hook(lambda module, inputs: (modules.append(module), (inputs[0] * 2,))[1])
    handle = model.register_forward_hook(lambda module, inputs, output, **kw: output + 1, with_kwargs=False)
    clone = structural_clone(model)
    torch.testing.assert_close(clone(picture()), model.body(picture() * 2).mean((2, 3)) + 1)
    assert modules == [clone] and clone.kept[0] is clone.body and model.kept[0] is model.body
    handle.remove()  # the user's own removal must not reach the clone, nor ours the user's
    assert len(clone._forward_hooks) == 1 and not model._forward_hooks


class MergesOnEval(nn.Module):
    """As LoRA layers do: train(False) folds the update into the weight, in place."""

    def __init__(self):
        super().__init__()
        self.weight, self.update, self.merged = (
            nn.Parameter(torch.ones(3, 3)),
            nn.Parameter(torch.ones(3, 3)),
            False,
        )

    def train(self, mode=True):
        super().train(mode)
        if not mode and not self.merged:
            self.weight.data += self.update
            self.merged = True
        return self

    def forward(self, x):
        x = x.mean((2, 3))
        return x @ self.weight if self.merged else x @ (self.weight + self.update)


def test_an_overridden_train_is_not_called():
    model = MergesOnEval()
    clone = structural_clone(model)
    assert torch.equal(model.weight, torch.ones(3, 3)) and not clone.training
    torch.testing.assert_close(clone(picture()), model(picture()))


def test_wrappers_are_taken_off():
    model = small()
    compiled = torch.compile(model)
    assert unwrap(nn.DataParallel(compiled)) is model
    clone = structural_clone(nn.DataParallel(compiled))
    assert type(clone) is nn.Sequential and [n for n, _ in clone.named_modules()] == [
        n for n, _ in model.named_modules()
    ]
    inside = nn.Sequential(torch.compile(small()), nn.ReLU())
    torch.testing.assert_close(
        structural_clone(inside)(picture()), scores_in_eval(inside[0]._orig_mod, picture()).relu()
    )


def test_a_model_compiled_in_place_runs_uncompiled():
    model = small()
    model.compile()
    assert structural_clone(model)._compiled_call_impl is None and model._compiled_call_impl is not None


def test_recurrent_weights_stay_one():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(12, 5, batch_first=True)

        def forward(self, x):
            return self.rnn(x[:, 0])[0][:, -1]

    model = Rows()
    clone = structural_clone(model)
    assert clone.rnn._flat_weights[0] is clone.rnn.weight_ih_l0 is not model.rnn.weight_ih_l0
    torch.testing.assert_close(clone(picture()), model(picture()))
