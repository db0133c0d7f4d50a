"""The same session with some layers' weights drawn anew: on a clone that owns its tensors, never on the user's model."""
from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..model.clone import working_model
from ..model.outputs import call_model

ORDERS = ("cascading", "independent")


def randomisable(session: Any) -> tuple[str, ...]:
    """The layers that `randomised` can begin at, by dotted name, the top of the network first.

    They are the modules with weights of their own; a normalisation goes with the layer before it. One forward pass finds their
    order. ValueError for a model whose modules are hidden (scripted, or a plain callable), or without weights.
    """
    return tuple(reversed([name for name, _ in _groups(_owned(session), session.inputs.image[None])]))


def randomised(session: Any, layer: str | None = None, *, order: str = "cascading", seed: int = 0) -> Any:
    """A session of the model with everything from the top down to `layer` drawn anew (Adebayo et al., 1810.03292).

    `layer` is one of `randomisable`, or any module that holds some: with a stage's name the stage is drawn whole; None draws the
    whole network. `order="independent"` draws that layer alone. Each layer is drawn by its own `reset_parameters` with a seed
    made of `seed` and its name, so that a deeper randomisation contains the shallower ones; what has no such function is
    shuffled. Target, score and picture are the session's; its model and the random state stay as they are. LookupError for
    an unknown layer, ValueError for a model whose modules are hidden.
    """
    if order not in ORDERS:
        raise ValueError(f"order={order!r} does not fit: choose one of {', '.join(map(repr, ORDERS))}")
    with session.subject.lock:
        model = _owned(session)
        groups = _groups(model, session.inputs.image[None])
        chosen = _chosen(groups, layer, order)
        _draw(model, [module for _, modules in chosen for module in modules], seed)
        return session.beside(model=model)


def _owned(session: Any) -> nn.Module:
    """A clone that owns all its tensors, so that drawing them anew reaches nobody else's."""
    subject = session.subject
    if not subject.cloned:
        raise ValueError("randomising needs the model's own layers, which a scripted model or a plain callable hides: give the "
                         "network itself")
    return working_model(subject.model, subject.device, own=True)


def _groups(model: nn.Module, x: Tensor) -> list[tuple[str, list[str]]]:
    """Layers in execution order, the input's first: the name of each, and the modules that are drawn with it."""
    names = {module: name for name, module in model.named_modules()}
    own = [name for name, module in model.named_modules() if _weights(module)]
    if not own:
        raise ValueError("the model has no weights that could be drawn anew")
    last = _last_calls(model, x, names)
    groups: list[tuple[str, list[str]]] = []
    for name in sorted(own, key=lambda name: last.get(_called(name, last), -1)):
        if groups and _goes_along(model.get_submodule(name)):
            groups[-1][1].append(name)
        else:
            groups.append((name, [name]))
    return groups


def _last_calls(model: nn.Module, x: Tensor, names: dict[nn.Module, str]) -> dict[str, int]:
    """When each module was called last, in one forward pass."""
    last: dict[str, int] = {}
    count = iter(range(1 << 60))
    hooks = [module.register_forward_pre_hook(lambda module, _: last.__setitem__(names[module], next(count)))
             for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    devices = [x.device] if x.is_cuda else []
    try:
        with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=devices):
            call_model(model, x.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return last


def _called(name: str, last: dict[str, int]) -> str:
    """The module itself, or the nearest one around it that was called: its weights may be read without a call."""
    while name and name not in last:
        name = name.rpartition(".")[0]
    return name


def _weights(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module._parameters.values() if p is not None and p.is_floating_point()]


def _goes_along(module: nn.Module) -> bool:
    """Whether the weights are only a scale and a shift by channel, which mean nothing without the layer before."""
    return hasattr(module, "reset_parameters") and all(p.dim() == 1 for p in _weights(module))


def _chosen(groups: Sequence[tuple[str, list[str]]], layer: str | None, order: str) -> Sequence[tuple[str, list[str]]]:
    if layer is None:
        return groups
    inside = [i for i, (_, modules) in enumerate(groups)
              if any(name == layer or name.startswith(f"{layer}.") for name in modules)]
    if not inside:
        raise LookupError(f"there is no layer {layer!r} with weights to draw anew: it is one of "
                          f"{', '.join(name for name, _ in reversed(groups))}, or a module that holds some of them")
    return groups[min(inside):] if order == "cascading" else [groups[i] for i in inside]


def _draw(model: nn.Module, names: Sequence[str], seed: int) -> None:
    done: set[int] = set()  # tied weights are drawn once
    with torch.inference_mode(False), torch.no_grad():
        for name in names:
            module = model.get_submodule(name)
            own = [p for p in _weights(module) if id(p) not in done]
            before = [p.clone() for p in own]
            with _Drawing(zlib.crc32(f"{seed} {name}".encode())):
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
                for parameter, old in zip(own, before):
                    # What the function did not reach, such as a reparametrised weight, or has no function at all.
                    if torch.equal(parameter, old) and parameter.numel() > 1:
                        parameter.copy_(old.flatten()[torch.randperm(old.numel(), device=old.device)].view_as(old))
            done |= {id(p) for p in own}


class _Drawing(TorchDispatchMode):
    """Within it this thread draws from generators of its own: the numbers that `torch.manual_seed(seed)` would have given.

    torch's own generators belong to the whole process: to seed them, or to put them back afterwards, would reach into what a
    cell of the user draws at the same time.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        given = kwargs.get("device") or next((a.device for a in args if isinstance(a, Tensor)), "cpu")
        device = torch.empty(0, device=given).device  # "cuda" with its number
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        drawn = _with_generator(func)
        if drawn is not None:
            return drawn(*args, **{**kwargs, "generator": self.generators[device]})
        # A few operators draw from the process's generator or not at all: it is taken for no longer than that.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(torch.randint(1 << 62, (), generator=self.generators[device], device=device)))
            return func(*args, **kwargs)


def _with_generator(func: Any) -> Any:
    """The operator's form that takes a generator by keyword; None where there is none."""
    name = func._overloadname
    for one in (func, getattr(func.overloadpacket, "generator" if name == "default" else f"{name}_generator", None)):
        if one is not None and any(a.name == "generator" and a.kwarg_only for a in one._schema.arguments):
            return one
    return None
