"""Copy as code: the few lines that compute the shown map again, with only what differs from the defaults."""
from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from .methods.registry import find
from .model.pictures import plain_picture
from .session import Session
from .widgets.controls import same

if TYPE_CHECKING:
    from .saliency_map import SaliencyMap

MOST = 65_536  # bytes of an array that are written into the code; a larger one is named, and yours to fill in


class Code:
    """Collects what the lines need: imports and, by name, values that no literal can say."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.made: list[str] = []
        self._names: set[str] = set()

    def say(self, name: str, value: Any) -> str:
        """An expression for a value; what it takes beforehand goes into `made`."""
        if isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        if value is None or isinstance(value, (bool, int, float)):
            return repr(value)
        if isinstance(value, np.generic):
            return repr(value.item())
        if isinstance(value, (list, tuple)):
            parts = [self.say(name, v) for v in value]
            inside = ", ".join(parts)
            return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(parts) == 1 else ''})"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{json.dumps(k)}: {self.say(k, v)}" for k, v in value.items()) + "}"
        return self._make(name, value)

    def _make(self, name: str, value: Any) -> str:
        name = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in self._names)
        self._names.add(name)
        if isinstance(value, torch.Tensor):
            about = f"tensor {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
            made = self._array(value.detach().cpu().numpy(), about)
            if made:
                self.imports.add("import torch")
                return self._line(name, f"torch.from_numpy({made})", about)
        elif isinstance(value, Image.Image) or (isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3
                                                    and value.shape[2] == 3):
            picture = plain_picture(value) if isinstance(value, Image.Image) else Image.fromarray(value)
            return self._line(name, self._png(picture), f"a picture, {picture.width} × {picture.height}")
        elif is_label_map(value) and value.dtype != np.uint8:
            about = f"{len(np.unique(value))} regions of {value.shape[0]} × {value.shape[1]} pixels, as drawn or given"
            return self._line(name, f"np.asarray({self._png(Image.fromarray(value.astype(np.uint16)))})", about)
        elif isinstance(value, np.ndarray):
            about = f"array {value.shape} {value.dtype}"
            made = self._array(value, about)
            if made:
                return self._line(name, made, about)
        else:
            about = f"a {type(value).__name__}" + (f" {value.__name__}" if hasattr(value, "__name__") else "")
        self.made.append(f"{name} = ...  # yours, as you gave it to the Explorer: {about}")
        return name

    def _line(self, name: str, expression: str, about: str) -> str:
        self.made.append(f"{name} = {expression}  # {about}")
        return name

    def _bytes(self, data: bytes) -> str:
        self.imports.update(("import base64", "import io"))
        return f'io.BytesIO(base64.b64decode("{base64.b64encode(data).decode()}"))'

    def _png(self, picture: Image.Image) -> str:
        file = io.BytesIO()
        picture.save(file, "PNG")
        self.imports.update(("import numpy as np", "from PIL import Image"))
        return f"Image.open({self._bytes(file.getvalue())})"

    def _array(self, array: np.ndarray, about: str) -> str:
        if array.nbytes > MOST:
            return ""
        file = io.BytesIO()
        np.save(file, array)
        self.imports.add("import numpy as np")
        return f"np.load({self._bytes(file.getvalue())})"


def is_label_map(value: Any) -> bool:
    """Whether a 16-bit PNG holds the value: whole numbers (H, W)."""
    return (isinstance(value, np.ndarray) and value.dtype.kind in "iub" and value.ndim == 2 and value.size > 0
            and 0 <= value.min() and value.max() < 2**16)


def code_for(map: "SaliencyMap", contrast: int | None, given: Mapping[str, Any]) -> str:
    """The lines that compute `map` again from `model` and `img`; `given` are the session's keywords as they were given."""
    code, method = Code(), find(map.method)
    defaults = Session.__init__.__kwdefaults__
    keywords = {name: value for name, value in {**given, "contrast": contrast}.items() if not same(value, defaults[name])}
    params = {p.name: map.params[p.name] for p in method.parameters if not same(map.params[p.name], p.validate(p.default))}
    target = {} if map.target is None else {"target": map.target}
    known = {p.name for p in method.parameters}
    apart = bool(known & set(keywords))  # a name that session and method both take: each must get its own

    def written(values: Mapping[str, Any]) -> str:
        return "".join(f", {name}={code.say(name, value)}" for name, value in values.items())

    label = f"  # {' '.join(map.label.split())}" if map.target is not None else ""
    if apart:
        calls = [f"session = sw.Session(model, img{written(keywords)})",
                 f'm = session.map("{map.method}"{written({**target, **params})})']
    else:
        calls = [f'm = sw.explain(model, img, "{map.method}"{written({**target, **keywords, **params})})']
    calls[-1] += label
    imports = sorted(code.imports, key=lambda line: (line.startswith("from"), line))
    head = [*imports, *([""] if imports else []), "import saliency_widgets as sw", ""]
    return "\n".join([*head, *code.made, *([""] if code.made else []), *calls]) + "\n"
