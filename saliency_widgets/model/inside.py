"""One output inside the network, with its gradient history: what activation maximisation explains."""
from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Inside:
    """Takes the output of the module `name` of a clone while it runs inside the `with` block.

    `output` is a copy that carries the gradient history, since an in-place operation may overwrite the original; of a
    module that runs twice the last call counts. ValueError where the module did not run or gave no single tensor.
    """

    def __init__(self, clone: nn.Module, name: str):
        self.name, self._module = name, clone.get_submodule(name)
        self._output: Tensor | None = None

    def __enter__(self) -> Inside:
        self._handle = self._module.register_forward_hook(self._take)
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()

    def _take(self, module: nn.Module, inputs: tuple, output: Any) -> None:
        self._output = output.clone() if isinstance(output, Tensor) else None

    @property
    def output(self) -> Tensor:
        """The output `(N, …)` of the last call."""
        if self._output is None:
            raise ValueError(f"layer {self.name!r} gave no single tensor: take a layer inside it, or one that runs")
        return self._output
