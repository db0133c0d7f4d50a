"""What Python and the browser must agree on, as one JSON file that the tests of both sides read.

Run this file to write it anew after a change of the colour maps or of the encoding.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from saliency_widgets.colormaps import COLORMAPS, lut
from saliency_widgets.widgets.layers import decode, default_limits, encode

PATH = Path(__file__).parents[2] / "js" / "test" / "python.json"


def maps() -> dict[str, np.ndarray]:
    """Maps that try the encoding: ordinary, tiny, huge, constant, with holes."""
    rng = np.random.default_rng(7)
    ordinary = (rng.standard_t(3, size=(6, 5)) * 0.02).astype(np.float32)
    holes = ordinary.copy()
    holes[0, 0], holes[1, 1], holes[2, 2] = np.nan, np.inf, -np.inf
    return {
        "ordinary": ordinary,
        "tiny": ordinary * np.float32(1e-12),
        "huge": ordinary * np.float32(1e30),
        "positive": np.abs(ordinary),
        "constant": np.full((3, 4), 0.3, np.float32),
        "zero": np.zeros((2, 2), np.float32),
        "holes": holes,
    }


def build() -> dict:
    """The agreement: colours in order, and per map what is sent and what is read."""
    entries = {}
    for name, values in maps().items():
        dtype, data, vmin, vmax = encode(values)
        read = decode(values.shape, dtype, data, vmin, vmax)
        entries[name] = {
            "shape": list(values.shape),
            "dtype": dtype,
            "data": base64.b64encode(data).decode(),
            "vmin": vmin,
            "vmax": vmax,
            "limits": list(default_limits(values, signed=name != "positive")),
            "values": [v if np.isfinite(v) else str(v) for v in read.ravel().tolist()],
        }
    return {"colormaps": {name: lut(name).hex() for name in COLORMAPS}, "maps": entries}


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n")
