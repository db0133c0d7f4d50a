"""Names of the model's outputs: from an index to a label and back."""
from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any


class Labels:
    """The names of `outputs` outputs: a list with one for each, a dict from index to name, or none at all.

    TypeError for anything else, ValueError for a list of another length.
    """

    def __init__(self, names: Any, outputs: int):
        if names is not None and not isinstance(names, Mapping):
            if isinstance(names, (str, bytes)) or not hasattr(names, "__len__"):
                raise TypeError(f"labels must be a list of names or a dict from index to name, got {type(names).__name__}")
            if len(names) != outputs:
                raise ValueError(f"labels holds {len(names)} names but the model has {outputs} outputs: give one for each")
            names = list(names)
        self.names, self.outputs = names, outputs

    def label(self, index: int) -> str:
        """The name of an output, or "class 7" where there is none."""
        if isinstance(self.names, Mapping):
            return str(self.names.get(index, f"class {index}"))
        return f"class {index}" if self.names is None else str(self.names[index])

    def index(self, value: int | str) -> int:
        """The output given by index (negative ones count from the end) or by label, whatever its case.

        LookupError for an index out of range or an unknown label, with the nearest names; TypeError otherwise.
        """
        if isinstance(value, str):
            return self._named(value)
        if isinstance(value, (bool, float)) or not hasattr(value, "__index__"):
            raise TypeError(f"a target is a class index or a label, got {value!r}")
        index = value.__index__()
        if not -self.outputs <= index < self.outputs:
            raise LookupError(f"target {index} is out of range: the model has {self.outputs} outputs, 0 to {self.outputs - 1}")
        return index % self.outputs

    def _named(self, value: str) -> int:
        # The first of several outputs with the same name wins.
        indices = {self.label(i).lower(): i for i in reversed(range(self.outputs))}
        if value.lower() in indices:
            return indices[value.lower()]
        if self.names is None:
            raise LookupError(f"no class is called {value!r}: give labels= or an index from 0 to {self.outputs - 1}")
        near = difflib.get_close_matches(value.lower(), indices, 3)
        hint = f": did you mean {', '.join(repr(self.label(indices[n])) for n in near)}?" if near else ""
        raise LookupError(f"no class is called {value!r}{hint}")
