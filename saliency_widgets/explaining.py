"""One map in one call."""
from __future__ import annotations

from typing import Any

from .methods import find
from .saliency_map import SaliencyMap
from .session import Session


def explain(model: Any, img: Any, method: str, *, target: int | str | None = None, labels: Any = None,
            **keywords: Any) -> SaliencyMap:
    """One map in one call: `keywords` may be the session's (`preprocess=` …) and the method's (`steps=` …) together."""
    known = {p.name for p in find(method).parameters}
    params = {k: v for k, v in keywords.items() if k in known}
    session_keywords = {k: v for k, v in keywords.items() if k not in known}
    unknown = [k for k in session_keywords if k not in Session.__init__.__kwdefaults__]
    if unknown:
        raise TypeError(f"neither {method} nor Session takes {', '.join(map(repr, unknown))}: {method} takes "
                        f"{', '.join(sorted(known)) or 'no parameters'}")
    return Session(model, img, labels, target=target, **session_keywords).map(method, **params)
