"""From whatever a user calls a picture to a Pillow image in mode L or RGB, and notes on what was done."""

from __future__ import annotations

import difflib
import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

_LARGE = 40e6  # pixels; above this a JPEG is decoded at a fraction of its size
_LARGEST = 150e6  # pixels; a picture above this is refused: a small file can decode to many gigabytes
_WANTED = "a path, a PIL image, a uint8 array (H, W, 3) or the model's input tensor (C, H, W) is wanted"


def open_picture(
    img: Any, background: Any = "white", grey: bool = False
) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture as an image in mode RGB, or L with `grey`, and notes on what was changed for it.

    A file is turned upright as its EXIF says; transparency is flattened on `background`; 16-bit, palette
    and CMYK pictures are converted. FileNotFoundError for a path that is not there, ValueError for what
    cannot be read or is too large, TypeError for what is no picture.
    """
    notes: list[str] = []
    match img:
        case Image.Image():
            image = _loaded(img, "the picture")
        case np.ndarray():
            image = _from_array(img)
        case str() | os.PathLike():
            image = _from_file(img, notes)
        case bytes() | bytearray() | memoryview():
            image = _from_stream(io.BytesIO(img), "the file", notes)
        case _ if hasattr(img, "read"):
            image = _from_stream(img, "the picture file", notes)
        case _:
            raise TypeError(f"{type(img).__name__} is no picture: {_WANTED}")
    if min(image.size) == 0:
        raise ValueError(f"the picture is empty ({image.width} × {image.height} pixels)")
    image = _flattened(_eight_bits(image, notes), background, notes)
    return _channels(image, grey, notes), tuple(notes)


def _from_file(path: str | os.PathLike, notes: list[str]) -> Image.Image:
    text = os.fspath(path)
    text = os.fsdecode(text)
    if re.match(r"(?i)(https?|ftp|s3|gs|file|data):", text):
        raise ValueError(
            f"{text[:80]!r} is an address, and nothing is downloaded: save the picture and give its path"
        )
    file = Path(text).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"there is no picture at {str(file)!r}{_near(file)}")
    if file.is_dir():
        raise ValueError(f"{str(file)!r} is a folder: give the path of one picture in it")
    try:
        with open(file, "rb") as stream:
            return _from_stream(stream, repr(str(file)), notes)
    except PermissionError as error:
        raise ValueError(f"{str(file)!r} may not be read: {error.strerror}") from error


def _near(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f": the folder {str(folder)!r} does not exist either (the current one is {os.getcwd()!r})"
    close = difflib.get_close_matches(file.name, os.listdir(folder), n=1)
    if close:
        return f": did you mean {str(folder / close[0])!r}?"
    return "" if file.is_absolute() else f" (relative to {os.getcwd()!r})"


def _from_stream(stream: Any, name: str, notes: list[str]) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit speaks below
            image = Image.open(stream)
        turned = image.getexif().get(0x0112, 1)
        frames = getattr(image, "is_animated", False) and image.format != "MPO"  # phones put a preview there
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{name} is too large to open ({error}): shrink it first, most models see 224 × 224 of it"
        ) from error
    except Exception as error:  # UnidentifiedImageError, OSError, SyntaxError, struct.error, ...
        raise ValueError(
            f"{name} is not a picture that Pillow can read: save it as PNG or JPEG (its beginning may be damaged)"
        ) from error  # what Pillow said itself names an object's address; it is one "details" away
    size = image.size
    if size[0] * size[1] > _LARGE and image.format in ("JPEG", "MPO"):
        image.draft(None, (1024, 1024))
        if image.size != size:
            notes.append(f"{size[0]} × {size[1]} pixels, decoded at {image.width} × {image.height}")
    image = _loaded(image, name)
    if frames:
        notes.append("first of several frames")
    if turned in range(2, 9):
        image = ImageOps.exif_transpose(image)
        notes.append("turned upright as its EXIF says")
    return image


def _loaded(image: Image.Image, name: str) -> Image.Image:
    width, height = image.size
    if width * height > _LARGEST:
        raise ValueError(
            f"{name} has {width} × {height} pixels, {_LARGEST / 1e6:.0f} million are the limit: "
            f"shrink it first"
        )
    try:
        image.load()
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, ...
        raise ValueError(
            f"{name} is truncated or damaged ({error}): get the file again, or save it anew"
        ) from error
    return image


def _from_array(array: np.ndarray) -> Image.Image:
    shape, hint = array.shape, ""
    if array.dtype != np.uint8:
        if np.issubdtype(array.dtype, np.floating):
            hint = (
                "multiply pixels in 0..1 by 255 and use .astype('uint8'), or give what the model receives "
                "as a torch tensor (C, H, W)"
            )
        elif array.dtype == bool:
            hint = "use (array * 255).astype('uint8')"
        else:
            hint = "scale it to 0..255 and use .astype('uint8')"
        raise ValueError(f"the picture is a {array.dtype} array {shape}: uint8 (H, W, 3) is wanted; {hint}")
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and shape[2] in (3, 4))):
        if array.ndim == 3 and shape[0] in (1, 3, 4):
            hint = ": channels come last, use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = ": one picture at a time, give array[0]"
        raise ValueError(
            f"the picture is an array of shape {shape}, (H, W, 3), (H, W, 4) or (H, W) is wanted{hint}"
        )
    if array.size == 0:
        raise ValueError(f"the picture is empty (array of shape {shape})")
    return Image.fromarray(np.ascontiguousarray(array))


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """16-bit, 32-bit and floating-point grey as 8-bit grey; others as they are."""
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"the picture (mode {image.mode}) holds NaN or infinite pixels")
    low, high = values.min(), values.max()
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        values, said = values / 257, "16-bit picture shown in 8 bits"
    elif image.mode == "F" and low >= 0 and high <= 1:
        values, said = values * 255, "floating-point picture, 0..1 shown as 0..255"
    elif low >= 0 and high <= 255:
        said = f"picture of mode {image.mode} taken as 0..255"
    else:
        values = (values - low) * (255 / max(high - low, 1e-12))
        said = f"picture of mode {image.mode} scaled from {low:g}..{high:g} to 0..255"
    notes.append(said)
    return Image.fromarray(np.round(values).astype(np.uint8))


def _flattened(image: Image.Image, background: Any, notes: list[str]) -> Image.Image:
    if image.mode not in ("RGBA", "RGBa", "LA", "La", "PA") and "transparency" not in image.info:
        return image
    flat = Image.new("RGBA", image.size, (*_colour(background), 255))
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    if image.getextrema()[3][0] == 255:
        return image.convert("RGB")
    flat.alpha_composite(image)
    notes.append(f"transparency flattened on {background}")
    return flat.convert("RGB")


def _colour(background: Any) -> tuple[int, int, int]:
    try:
        if isinstance(background, str):
            return ImageColor.getrgb(background)[:3]
        red, green, blue = (int(v) for v in background)
        if all(0 <= v <= 255 for v in (red, green, blue)):
            return red, green, blue
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f"background={background!r} is no colour: a name such as 'white', '#rrggbb' "
        f"or (r, g, b) in 0..255 is wanted"
    )


def _channels(image: Image.Image, grey: bool, notes: list[str]) -> Image.Image:
    try:
        rgb = image.convert("RGB")
    except ValueError as error:
        raise ValueError(
            f"a picture of mode {image.mode} cannot be made RGB: save it as an RGB PNG or JPEG"
        ) from error
    if grey:
        bands = np.asarray(rgb)
        if image.mode not in ("L", "1") and (bands[..., :1] != bands).any():
            notes.append("made grey: the model takes 1 channel")
        return image.convert("L") if image.mode in ("L", "1") else rgb.convert("L")
    if image.mode in ("CMYK", "YCbCr", "HSV"):
        notes.append(f"{image.mode} converted to RGB")
    elif image.mode in ("L", "1"):
        notes.append("grey picture, repeated to 3 channels")
    return rgb


def plain_picture(picture: Image.Image) -> Image.Image:
    """A picture in a mode that a PNG keeps and that a fill is read in."""
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def to_uint8(pixels: Tensor) -> np.ndarray:
    """A tensor of pixels `(C, H, W)` as a picture uint8 `(H, W, 3)`, clipped to 0..1; of other than 3 channels their mean."""
    array = pixels.detach().clamp(0, 1).mul(255).round().byte().cpu().numpy().transpose(1, 2, 0)
    if array.shape[2] != 3:
        array = array.mean(2, keepdims=True).round().astype(np.uint8).repeat(3, 2)
    return array
