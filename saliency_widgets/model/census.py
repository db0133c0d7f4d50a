"""The independent count under the rewriting: what a dispatcher mode sees, whoever made the call."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .calls import in_backward, tensors_of

# (operation without "aten::", its arguments, does a value depend on the input?) → is this a call the rule speaks of
Counted = Callable[[str, tuple, Callable[[Any], bool]], bool]


@dataclass(frozen=True)
class Coverage:
    """How many of the activation calls that ran a backward rule rewrote, and the names of those that it missed.

    `heuristic` names the operations that were rewritten although the rule is defined for others only.
    """

    rewritten: int
    calls: int
    missed: tuple[str, ...] = ()
    heuristic: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the rule reached every call."""
        return self.rewritten == self.calls and not self.missed

    def __str__(self) -> str:
        return f"{self.rewritten} of {self.calls} activation calls rewritten"


class Census(TorchDispatchMode):
    """Counts the operations that a rule speaks of among those that depend on the model's input.

    A tensor depends on it when it needs a gradient (the clone's parameters need none), or was made from such a tensor
    where gradients are off or cannot be (comparisons, the inside of a custom `autograd.Function`).
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch loads its compiler at the first call: five seconds, for a model that is not compiled

    def __init__(self, counted: Counted, here: Callable[[], str]):
        super().__init__()
        self.counted, self.here = counted, here
        self.calls, self.missed = 0, {}
        self.quiet, self.asleep = 0, 0
        self._claims: list[int] = []
        self._made: dict[int, Tensor] = {}  # by id, and held, so that ids stay theirs

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Count nothing but what is claimed: a rule's own arithmetic."""
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1

    @contextmanager
    def sleep(self) -> Iterator[None]:
        """Count nothing, claimed or not: the reference's run, the inside of a call that is counted as one."""
        self.asleep += 1
        try:
            yield
        finally:
            self.asleep -= 1

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Count what runs inside as one call that a rule rewrote, or as none if nothing counts in there."""
        quiet, self.quiet = self.quiet, 0
        self._claims.append(0)
        try:
            yield
        finally:
            self.quiet = quiet
            self.calls += bool(self._claims.pop()) and not self.asleep

    def miss(self, name: str) -> None:
        """Note a call that the rule could not rewrite."""
        if self.asleep:
            return
        place = self.here()
        self.calls += 1
        self.missed[f"{name} in {place}" if place else name] = None

    def forget(self) -> None:
        """Let go of the tensors that were held, once nothing more is counted."""
        self._made.clear()

    def depends(self, value: Any) -> bool:
        """Whether a tensor, or any inside a list, depends on the input."""
        return any(t.requires_grad or id(t) in self._made for t in tensors_of(value))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        if self.asleep or self.quiet or in_backward() or not self.depends((args, kwargs)):
            return out
        name = function._schema.name.removeprefix("aten::")
        if name == "detach":
            return out
        carried = torch.is_grad_enabled() and any(t.requires_grad for t in tensors_of((args, kwargs)))
        for made in tensors_of(out):
            if not (carried and made.is_floating_point()):
                self._made[id(made)] = made
        if self.counted(name, args, self.depends):
            if self._claims:
                self._claims[-1] += 1
            else:
                self.miss(name)
        return out
