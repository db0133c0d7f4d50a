"""Every torchvision classifier × every method: what gives a map, what refuses in words, how complete the rules are.

    python -m tests.zoo.survey                 all that is not known yet: build/zoo.json, then tests/zoo/SUPPORT.md
    python -m tests.zoo.survey resnet18 vgg11  these architectures again
    python -m tests.zoo.survey --table         write the table from what is known

Networks are seeded and calibrated (tests/networks.py), pictures small, and methods take few evaluations: what is shown is
that a method reaches an architecture, not how good the map is.
"""
from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from saliency_widgets import Session, methods
from tests.networks import calibrated
from tests.registry import cheap

RECORD = Path("build/zoo.json")
SLOW_LAST = ("regnet_y_128gf", "vit_h_14", "regnet_y_32gf", "regnet_x_32gf", "efficientnet_v2_l", "efficientnet_b7",
             "convnext_large", "vit_l_16", "vit_l_32", "efficientnet_b6", "efficientnet_v2_m", "resnext101_64x4d")
REFERENCES = ["black", "blur"]  # what calibration has seen or nearly so: random weights blow up on a white picture
# The default is 64 pixels, which leaves 2 × 2 positions where a network divides by 32.
SIZES = {"inception_v3": 139, "vit_h_14": 56, "maxvit_t": 224}


def architectures() -> list[str]:
    """Every classification architecture of torchvision, the large ones last."""
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    return sorted(names, key=lambda n: (SLOW_LAST[::-1].index(n) + 1 if n in SLOW_LAST else 0, n))


def refusal_is_listed(method: str, message: str) -> bool:
    """Whether METHODS allows this method to refuse an eager classifier, and it did so in its own words."""
    listed = {
        "cam": "grad_cam", "attention_rollout": "attention", "gradient_x_attention": "attention", "lrp": "rule",
    }
    return method in listed and listed[method] in message


def wrong_shape(method: Any, values: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Whether a map has another shape than its kind has."""
    if values.ndim != 3:
        return True
    if method.family in ("cam", "inside"):
        return values.shape[0] not in (1, shape[0])
    if method.family == "cut" or method.name == "xrai":
        return values.shape != (1, *shape[1:])
    return values.shape not in (shape, (1, *shape[1:]))


def examine(session: Session, name: str, size: int) -> dict[str, Any]:
    """One method on one open network."""
    method, started = methods()[name], time.perf_counter()
    params = cheap(name, size)
    if any(p.name == "backgrounds" for p in method.parameters):
        params["backgrounds"] = REFERENCES
    try:
        found = session.map(name, **params)
    except (ValueError, TypeError, LookupError) as error:
        return {"status": "refused" if refusal_is_listed(name, str(error)) else "failed", "message": str(error)}
    problems = []
    if not np.isfinite(found.values).all():
        problems.append("not finite")
    if wrong_shape(method, found.values, (3, size, size)):
        problems.append(f"shape {found.values.shape}")
    if not found.values.any():
        problems.append("all zero: " + " ".join(found.warnings))
    facts = {"status": "failed" if problems else "map", "seconds": round(time.perf_counter() - started, 2)}
    if problems:
        facts["message"] = ", ".join(problems)
    if found.coverage is not None:
        facts["coverage"] = found.coverage
    if found.residual is not None:
        facts["residual"] = float(f"{found.residual:.2e}")
    return facts


def survey(architecture: str, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every method on one architecture in float32, and DeepLIFT's residual in float64; what a `known` row has is taken over."""
    try:
        return _survey(architecture, known or {})
    finally:
        gc.collect()  # networks are cycles, and large ones must not wait for the collector's next turn


def _survey(architecture: str, known: dict[str, Any]) -> dict[str, Any]:
    size, started = SIZES.get(architecture, 64), time.perf_counter()
    model, x, target = calibrated(architecture, size, dtype=torch.float32)
    session = Session(model, x, target=target)
    row: dict[str, Any] = {"size": size, "parameters": sum(p.numel() for p in model.parameters())}
    held = known.get("methods", {})
    row["methods"] = {name: held[name] if name in held else examine(session, name, size) for name in methods()}
    session.close()
    if "deeplift64" in known:
        row["deeplift64"] = known["deeplift64"]
    else:
        double = Session(model.double(), x.double(), target=target)
        row["deeplift64"] = float(f"{double.map('deeplift').residual:.2e}")
        double.close()
    row["seconds"] = round(known.get("seconds", 0) + time.perf_counter() - started, 1)
    return row


def load() -> dict[str, Any]:
    """What earlier runs found out."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def main() -> None:
    """Survey what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="architectures to survey again; by default what is not yet known")
    parser.add_argument("--table", action="store_true", help="write the table from what is known, and nothing else")
    given = parser.parse_args()
    from .table import write

    known = load()
    if not given.table:
        missing = [n for n in architectures() if set(known.get(n, {}).get("methods", ())) != set(methods())]
        for name in tqdm(given.names or missing):
            known[name] = survey(name, None if given.names else known.get(name))
            RECORD.parent.mkdir(exist_ok=True)
            RECORD.write_text(json.dumps(known, indent=1))
    write(known)


if __name__ == "__main__":
    main()
