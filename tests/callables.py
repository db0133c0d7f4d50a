"""Classifiers that are no torch networks: what tests hand to a session in their place."""
from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

Plain = Callable[[np.ndarray], np.ndarray]  # pictures (N, C, H, W) to scores (N, K), NumPy from end to end


def plain(pictures: np.ndarray) -> np.ndarray:
    """A small network written in NumPy: 3 × 3 means, a rectifier, a few weighted averages; float32 (N, 4)."""
    p = np.asarray(pictures, np.float32)
    near = sum(np.roll(p, (i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    edges = np.maximum(p - near, 0)
    height, width = p.shape[2:]
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    weights = np.stack([1 + y * x, np.exp(-4 * (y ** 2 + x ** 2)), np.sin(3 * y) + 0 * x, np.cos(2 * x) * (y > 0)])
    return np.einsum("nchw,khw->nk", 40 * edges * near, weights) / (height * width) + near.mean((1, 2, 3))[:, None]


class OnnxSession:
    """What an inference session of ONNX looks like from outside: named inputs and outputs, NumPy alone."""

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="pixel_values", shape=["batch", 3, "height", "width"], type="tensor(float)")]

    def run(self, outputs: list[str] | None, feed: dict[str, Any]) -> list[np.ndarray]:
        (name, array), = feed.items()
        if name != "pixel_values" or not isinstance(array, np.ndarray) or array.dtype != np.float32:
            raise RuntimeError(f"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : unexpected input {name}, {type(array)}")
        return [plain(array)]


class Remote:
    """An endpoint that answers in JSON, after a `pause` in seconds; the calls whose numbers are in `fails` time out."""

    def __init__(self, pause: float = 0.0, fails: tuple[int, ...] = ()):
        self.pause, self.fails, self.calls = pause, set(fails), 0

    def __call__(self, pictures: Any) -> Any:
        self.calls += 1
        time.sleep(self.pause)
        if self.calls in self.fails:
            raise ConnectionError("the endpoint timed out after 30 s")
        return json.loads(json.dumps({"scores": plain(np.asarray(pictures)).tolist()}))["scores"]


@cache
def digits() -> tuple[Any, torch.Tensor]:
    """A scikit-learn classifier of handwritten digits, and one of them as an input tensor (1, 8, 8)."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    data = load_digits()
    model = RandomForestClassifier(n_estimators=20, random_state=0).fit(data.data / 16, data.target)
    return model, torch.from_numpy(data.images[7][None] / 16).float()


def kinds() -> dict[str, tuple[Callable, Plain, tuple[int, int, int]]]:
    """By name: what is handed over, the same in NumPy, and the shape of its pictures."""
    session = OnnxSession()

    def sklearn(pictures: Any) -> np.ndarray:
        return digits()[0].predict_proba(np.asarray(pictures).reshape(len(pictures), -1))

    return {
        "scikit-learn": (sklearn, sklearn, (1, 8, 8)),
        "ONNX": (lambda x: session.run(None, {session.get_inputs()[0].name: np.asarray(x)}), plain, (3, 16, 16)),
        "remote": (Remote(), plain, (3, 16, 16)),
        "dict of arrays": (lambda x: {"logits": plain(x.numpy())}, plain, (3, 16, 16)),
    }
