"""What every registered method promises, method by method: the model untouched, seeds, batches, and its words.

New methods are covered by themselves; `tests/registry.py` keeps them quick.
"""
import contextlib
import random
import re

import numpy as np
import pytest
import torch

import saliency_widgets as sw
from saliency_widgets import Session, explain
from saliency_widgets.engine.batching import BatchSizes
from saliency_widgets.engine.worker import Cancelled

from .registry import cheap, drawing, everything
from .small import tensor

METHODS = list(sw.methods())
SEEDED = [name for name, method in sw.methods().items() if "seed" in {p.name for p in method.parameters}]
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bits(tensor):
    return None if tensor is None else tensor.detach().clone().numpy().tobytes()


def state_of(model):
    """Everything about a model and the process that a map must leave as it was."""
    tensors = {n: (id(t), t.data_ptr(), t.dtype, t.stride(), t.requires_grad, t.is_leaf, t.grad_fn, t._version, bits(t),
                   id(t.grad), bits(t.grad)) for n, t in (*model.named_parameters(), *model.named_buffers())}
    modules = {n: (id(m), type(m), m.training, [list(getattr(m, hook)) for hook in HOOKS], sorted(m.__dict__))
               for n, m in model.named_modules()}
    kind, words, *rest = np.random.get_state()
    draws = bits(torch.get_rng_state()), random.getstate(), (kind, words.tobytes(), *rest)
    modes = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(), torch.get_num_threads(),
             torch.is_autocast_enabled("cpu"), torch.are_deterministic_algorithms_enabled())
    return {"tensors": tensors, "modules": modules, "draws of torch, Python, NumPy": draws, "modes": modes}


def unchanged(before, model):
    after = state_of(model)
    return [part for part in before if before[part] != after[part]]


@pytest.fixture(scope="module")
def wanted():
    """The map of each method on a model in eval mode, made when first asked for."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = explain(everything(), tensor(), name, target=2, **cheap(name)).values
            assert made[name].any(), "a map of zeros would show nothing"
        return made[name]
    return of


def as_trained(model):
    """As it comes out of a training loop: in train mode, with gradients, a part of it frozen."""
    model.train()
    model(tensor()[None]).sum().backward()
    model.conv2.requires_grad_(False)
    model.act.eval()
    return model


# ---- the model comes back untouched


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("handed_over", ["in eval mode", "from training", "in train mode under no_grad",
                                         "frozen under inference_mode"])
def test_the_model_comes_back_untouched_and_the_map_is_the_same(name, handed_over, wanted):
    model = everything()
    around = contextlib.nullcontext()
    if handed_over == "from training":
        statistics = model.norm.running_mean.clone(), model.norm.running_var.clone()
        as_trained(model)
        for buffer, value in zip((model.norm.running_mean, model.norm.running_var), statistics):
            buffer.copy_(value)
    elif handed_over == "in train mode under no_grad":
        model, around = model.train(), torch.no_grad()
    elif handed_over == "frozen under inference_mode":
        model, around = model.requires_grad_(False), torch.inference_mode()
    reference = wanted(name)
    with around:
        before = state_of(model)
        got = explain(model, tensor(), name, target=2, **cheap(name))
        assert unchanged(before, model) == []
    np.testing.assert_allclose(got.values, reference, rtol=0, atol=1e-12 * np.abs(reference).max())


class Fuse:
    """Lets activations through until it blows: in forward pass number `after`, or in the backward pass."""

    def __init__(self):
        self.after, self.backward, self.blown = None, False, False

    def __call__(self, x):
        if self.after is None:
            return x
        self.after -= 1
        if self.after == 0 and not self.backward:
            self._blow()
        if self.backward and x.requires_grad:
            x.register_hook(self._blow)
        return x

    def _blow(self, *gradient):
        self.blown = True
        raise RuntimeError("the fuse blew")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("where", ["first forward", "second forward", "backward"])
def test_an_error_in_the_middle_leaves_the_model_untouched_and_the_session_working(name, where, wanted):
    fuse = Fuse()
    model = as_trained(everything(between=fuse)) if where == "first forward" else everything(between=fuse)
    if where == "first forward":
        model.load_state_dict(everything().state_dict())
    session = Session(model, tensor(), target=2)
    before = state_of(model)
    fuse.after, fuse.backward = 2 if where == "second forward" else 1, where == "backward"
    with contextlib.suppress(ValueError, RuntimeError):
        session.map(name, **cheap(name))
        # A model that fails while it is traced is run plainly, and the status line says why.
        assert not fuse.blown or "the fuse blew" in session.subject.reason, "the error was swallowed"
    assert fuse.blown or where != "first forward", "no forward pass was made"
    assert unchanged(before, model) == []
    fuse.after = None
    again = session.map(name, **cheap(name)).values
    np.testing.assert_allclose(again, wanted(name), rtol=0, atol=1e-12 * np.abs(again).max())


class Stop:
    """A ticket that is cancelled at its check number `after`."""

    def __init__(self, after):
        self.left = after

    def check(self):
        self.left -= 1
        if self.left < 0:
            raise Cancelled


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("after", [0, 1])
def test_cancelling_leaves_the_model_untouched_and_the_session_working(name, after, wanted):
    model = everything().train()
    session = Session(model, tensor(), target=2)
    before = state_of(model)
    with contextlib.suppress(Cancelled):
        session.run(name, cheap(name), ticket=Stop(after))
        assert after, "nothing asked whether to go on"
    assert unchanged(before, model) == []
    again = session.map(name, **cheap(name)).values
    np.testing.assert_allclose(again, wanted(name), rtol=0, atol=1e-12 * np.abs(again).max())


# ---- half precision


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", METHODS)
def test_a_model_of_half_precision_has_maps_in_float32_that_point_the_same_way(name, kind, wanted):
    got, wide = explain(everything().to(kind), tensor(dtype=kind), name, target=2, **cheap(name)).values, wanted(name)
    assert got.dtype == np.float32 and np.isfinite(got).all()
    least = {"xrai": 0.5, "guided_grad_cam": 0.7}.get(name, 0.9)  # one turns on choices of regions, one on single ReLUs twice
    assert (got * wide).sum() > least * np.linalg.norm(got) * np.linalg.norm(wide)


# ---- batches and seeds


@pytest.mark.parametrize("name", METHODS)
def test_maps_do_not_depend_on_how_probes_are_batched(name, monkeypatch):
    maps = []
    for size in (1, 3, 64):
        monkeypatch.setattr(BatchSizes, "size", lambda self, key, size=size: size)
        maps.append(explain(everything(), tensor(), name, target=2, **cheap(name)).values)
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=0, atol=1e-8 * np.abs(maps[0]).max())


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_random_but_what_the_seed_draws(name):
    maps = []
    for outside in (1, 2):
        torch.manual_seed(outside), np.random.seed(outside), random.seed(outside)
        maps.append(explain(everything(), tensor(), name, target=2, **drawing(name)).values)
    np.testing.assert_array_equal(*maps)
    if name in SEEDED:
        other = explain(everything(), tensor(), name, target=2, **drawing(name), seed=1).values
        assert not np.array_equal(other, maps[0])


def test_methods_that_draw_take_a_seed():
    for name, method in sw.methods().items():
        if {"fill", "backgrounds"} & {p.kind for p in method.parameters}:
            assert name in SEEDED, f"{name} takes noise as a fill and no seed for it"


# ---- scripted models, models without gradients, scores without gradients


@pytest.fixture(scope="module")
def scripted():
    from .small import small

    return small(), torch.jit.script(small())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", METHODS)
def test_scripted_models_serve_forward_only_methods_and_the_others_say_why_not(name, scripted):
    eager, script = scripted
    method = sw.methods()[name]
    if method.gradients or method.positions or "attention" in name:
        with pytest.raises(ValueError, match="scripted|no layer with positions") as refused:
            explain(script, tensor(), name, target=2, **cheap(name))
        assert "use " in str(refused.value)
    else:
        ours, theirs = (explain(model, tensor(), name, target=2, **cheap(name)).values for model in (script, eager))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())


class Detached(torch.nn.Module):
    """A model whose output has no gradient with respect to its input."""

    def __init__(self):
        super().__init__()
        self.inner = everything()

    def forward(self, x):
        return self.inner(x.detach())


@pytest.mark.parametrize("name", METHODS)
def test_a_model_without_gradients_is_refused_by_those_that_need_them(name):
    model = Detached()
    if sw.methods()[name].gradients:
        with pytest.raises(ValueError, match="no gradient|none of the .* could be rewritten") as refused:
            explain(model, tensor(), name, target=2, **cheap(name))
        assert len(str(refused.value)) > 40
    else:
        assert explain(model, tensor(), name, target=2, **cheap(name)).values.any()


class Dead(torch.nn.Module):
    """A model with attention and positions whose score nothing changes here."""

    def __init__(self):
        super().__init__()
        self.inner = everything()

    def forward(self, x):
        return torch.relu(self.inner(x) - 1000)


@pytest.mark.parametrize("name", METHODS)
def test_a_map_of_zeros_carries_its_reason(name):
    try:
        got = explain(Dead(), tensor(), name, target=2, **cheap(name))
    except ValueError as refused:
        assert name == "cam" and "grad_cam" in str(refused)
        return
    if not got.values.any():
        assert re.search("zero everywhere|no gradient|the same", " ".join(got.warnings)), got.warnings
    # Deconvnet has no forward mask, and the two that search look beyond the picture.
    if sw.methods()[name].gradients and name not in ("deconvnet", "meaningful_perturbation", "activation_maximisation"):
        assert not got.values.any()


class Steps(torch.nn.Module):
    """A model whose score is flat almost everywhere: it counts in whole numbers inside."""

    def __init__(self):
        super().__init__()
        self.inner = everything()

    def forward(self, x):
        return self.inner(torch.round(x * 255) / 255)


@pytest.mark.parametrize("name", METHODS)
def test_whole_numbers_inside_give_zeros_with_a_reason_or_a_refusal_in_words(name):
    try:
        got = explain(Steps(), tensor(), name, target=2, **cheap(name))
    except ValueError as refused:
        assert name == "lrp" and "round" in str(refused), refused
        return
    if not got.values.any():
        assert re.search("zero everywhere|no gradient", " ".join(got.warnings)), got.warnings
    else:
        assert np.isfinite(got.values).all()
        # DeepLIFT's slope between two pictures is not the gradient; CAMs and searches do not go back to the picture.
        family = sw.methods()[name].family
        assert family not in ("gradient", "path") and name != "expected_gradients", "a gradient where there is none"
