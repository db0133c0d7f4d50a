"""Networks and pictures to try everything on, without a download: `demo()` and `demo_pictures()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gallery import DemoPicture, demo_pictures

if TYPE_CHECKING:
    from PIL import Image
    from torch import nn

__all__ = ["DemoPicture", "demo", "demo_pictures"]

NAMES = ("imagenet", "corner_mark", "background")


def demo(name: str | None = None) -> tuple[nn.Module, Image.Image, list[str]]:
    """A network in eval() mode, a 224 × 224 PIL picture for it, and the names of its classes.

    None           a small network for ten kinds of textured objects, and a rendered picture with two of them
    "imagenet"     EfficientNet-Lite0 and a photograph of a cat beside a cup of espresso; needs the extra
                   `saliency-widgets[imagenet]`
    "corner_mark"  the small network after training in which a mark in the corner went with the wooden drop,
                   and a star with that mark, which it takes for a drop
    "background"   the same after training in which the rippled flower alone came on black, the others on
                   white, and a triangle on black, which it takes for a flower

    The model has `.name` and `.preprocess`. Raises ValueError for another name, and MissingExtra (a
    LookupError and an ImportError) where a package that "imagenet" needs cannot be imported.
    """
    if name == "imagenet":
        from . import imagenet

        return imagenet.network(), imagenet.cat_and_cup(), imagenet.categories()
    from . import gallery, network
    from .scene import LABELS

    pictures = {
        None: gallery.first_picture,
        "corner_mark": gallery.marked_star,
        "background": gallery.triangle_on_black,
    }
    if name not in pictures:
        raise ValueError(f"there is no demo {name!r}; choose demo() or one of {', '.join(map(repr, NAMES))}")
    checkpoint = name or "demo"
    return (
        network.load(network.FOLDER / f"{checkpoint}.safetensors", checkpoint),
        pictures[name](),
        list(LABELS),
    )
