"""Declared parameters: name, kind, range, default, unit and help, once, for validation, controls and documentation."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

KINDS = ("int", "float", "window", "choice", "bool", "layer", "grid", "fill", "regions", "method", "mapping", "index",
         "backgrounds")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method.

    `kind` is one of `KINDS`: a window is a pair of floats in order, a layer a dotted module name or None, a grid a
    number or (rows, columns), a fill as METHODS names baselines, regions a label map or None; a method is another
    method's name, a mapping a dict for code only, an index a channel or None, backgrounds a list of fills or a batch.
    `words` name its control where the name alone says too little, which is there only while the method's parameter `where`
    holds a word.
    """

    name: str
    kind: str
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    words: str = ""
    where: str = ""

    def validate(self, value: Any) -> Any:
        """The canonical value; TypeError or ValueError with the name, what came, and what is wanted."""
        return getattr(self, f"_{self.kind}")(value)

    def _wrong(self, value: Any, wanted: str) -> str:
        return f"{self.name}={value!r} does not fit: {wanted}"

    def _bounds(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f" from {self.minimum:g} to {self.maximum:g}"
        return "" if self.minimum is None else f" of at least {self.minimum:g}"

    def _inside(self, value: Any, given: Any, wanted: str) -> Any:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:  # also refuses NaN
            raise ValueError(self._wrong(given, wanted))
        return value

    def _int(self, value: Any) -> int:
        wanted = f"a whole number{self._bounds()}"
        whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
        if isinstance(value, bool) or not whole:
            raise TypeError(self._wrong(value, wanted))
        return self._inside(int(value), value, wanted)

    def _float(self, value: Any) -> float:
        wanted = f"a number{self._bounds()}"
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(self._wrong(value, wanted))
        return self._inside(float(value), value, wanted)

    def _window(self, value: Any) -> tuple[float, float]:
        wanted = f"a pair (start, end){self._bounds()}, the start first"
        if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or len(value) != 2:
            raise TypeError(self._wrong(value, wanted))
        if not all(isinstance(v, Real) and not isinstance(v, bool) for v in value):
            raise TypeError(self._wrong(value, wanted))
        start, end = (self._inside(float(v), value, wanted) for v in value)
        if start > end:
            raise ValueError(self._wrong(value, wanted))
        return start, end

    def _choice(self, value: Any) -> Any:
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(self._wrong(value, f"choose one of {', '.join(map(repr, self.choices))}"))
        return value

    def _bool(self, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(self._wrong(value, "True or False"))
        return bool(value)

    def _layer(self, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise TypeError(self._wrong(value, "a dotted module name as in session.layers, or None for the default"))
        return value

    def _grid(self, value: Any) -> tuple[int, int]:
        wanted = f"a whole number{self._bounds()}, or a pair (rows, columns) of them"
        pair = (value, value) if not hasattr(value, "__len__") else value
        if isinstance(value, (str, bytes)) or len(pair) != 2:
            raise TypeError(self._wrong(value, wanted))
        if not all(isinstance(v, Integral) and not isinstance(v, bool) for v in pair):
            raise TypeError(self._wrong(value, wanted))
        rows, columns = (self._inside(int(v), value, wanted) for v in pair)
        return rows, columns

    def _fill(self, value: Any) -> Any:
        if isinstance(value, str) and self.choices and value not in self.choices:
            raise ValueError(self._wrong(value, f"choose one of {', '.join(self.choices)}, a pixel value from 0 to 1, "
                                                f"a picture, or a tensor in the input space"))
        return value  # numbers, pictures and tensors are checked against the picture by engine.inputs

    def _regions(self, value: Any) -> Any:
        words = f"one of {', '.join(map(repr, self.choices))}, or " if self.choices else ""
        wanted = f"{words}a label map: an integer array (H, W)" + (", or None for the grid" if self.default is None else "")
        if isinstance(value, str):
            if value not in self.choices:
                raise ValueError(self._wrong(value, wanted))
            return value
        if (value is None and self.default is not None) or (value is not None and not hasattr(value, "__array__")):
            raise TypeError(self._wrong(value, wanted))
        return None if value is None else np.asarray(value)

    def _method(self, value: Any) -> str:
        return self._choice(value)

    def _mapping(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            raise TypeError(self._wrong(value, "a dict of parameters by name, {} for the defaults"))
        return dict(value)

    def _index(self, value: Any) -> int | None:
        if value is None:
            return None
        wanted = "a whole number counted from 0, or None"
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(self._wrong(value, wanted))
        if value < 0:
            raise ValueError(self._wrong(value, wanted))
        return int(value)

    def _backgrounds(self, value: Any) -> Any:
        if value is not None and (isinstance(value, (str, bytes)) or not hasattr(value, "__len__")):
            raise TypeError(self._wrong(value, "a list of fills, a batch tensor (N, C, H, W), or None for the session's"))
        if value is not None and len(value) == 0:
            raise ValueError(self._wrong("[]", "at least one background"))
        return value  # each is checked against the picture by engine.inputs
