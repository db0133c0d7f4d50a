"""Inputs by name to tensors: materialises what a probe names, in the model's input space."""
from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image as PILImage
from torch import Tensor

from ..inpainting import inpainted
from ..model.outputs import wide
from ..model.pictures import to_uint8
from ..model.preprocessing import Picture
from . import probe as P
from .cutout import FILL_BLUR as FILL_BLUR
from .cutout import GROWN as GROWN
from .cutout import Cutout
from .store import STORE

FILLS = ("black", "white", "mean", "blur", "noise")
REFERENCES = ("black", "white", "mean", "blur")  # backgrounds where none are given


def digest(array: np.ndarray | Tensor) -> str:
    """Name an array by its content, shape and dtype."""
    array = wide(array.detach()).cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    return hashlib.sha256(f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()[:24]


def _is_picture(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8


def _signatures(labels: np.ndarray) -> list[int]:
    """A number of 128 bits for each region 0..R−1 of a label map, made of its pixels alone; 0 for one without pixels."""
    numbers = np.random.default_rng(0).integers(0, 1 << 64, (labels.size, 2), dtype=np.uint64)
    order = np.argsort(labels.ravel(), kind="stable")
    present, starts = np.unique(labels.ravel()[order], return_index=True)
    found = [0] * (int(labels.max()) + 1)
    for region, (high, low) in zip(present.tolist(), np.bitwise_xor.reduceat(numbers[order], starts, axis=0).tolist()):
        found[region] = high << 64 | low
    return found


class Inputs:
    """The picture on its device, with everything that can be composed from it.

    `add_labels`, `add_tensor` and `fill` register content by digest; `tensor(name)` gives `(C, H, W)`.
    """

    def __init__(self, picture: Picture, device: torch.device, dtype: torch.dtype, kernels: Any):
        self.picture, self.kernels = picture, kernels
        self.image = picture.x[0].to(device=device, dtype=dtype)
        self.cutout = None if picture.photo is None else Cutout(picture.photo, kernels, len(self.image))
        self._token = object()  # of what lies in the store for as long as the picture is open
        weakref.finalize(self, STORE.forget, self._token)
        self._labels: dict[str, Tensor] = {}
        self._cells: dict[str, np.ndarray] = {}  # the same on the host
        self._signatures: dict[str, list[int]] = {}  # of each region of a label map
        self._by_pixels: dict[P.Without, P.Without] = {}
        self._given: dict[str, Tensor] = {}  # fills, for as long as the picture is open
        self._made: dict[str, Tensor] = {}   # what methods make, until released
        self._fills: dict[P.Fill, Tensor] = {}
        self._masks: dict[str, Tensor] = {}
        # The last one drawn: a path asks for the same at each point.
        self._noisy: tuple[P.Noisy | P.Shaken | None, Tensor | None] = (None, None)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture that regions cut: the photograph's, or else the model's input's."""
        return tuple(self.image.shape[1:]) if self.cutout is None else self.cutout.photo.size

    def add_labels(self, labels: np.ndarray) -> str:
        """Register a label map int `(H, W)`; returns its name."""
        name = digest(labels)
        if name not in self._labels:
            self._cells[name] = labels.astype(np.int64)
            self._labels[name] = torch.from_numpy(self._cells[name]).to(self.image.device)
            self._signatures[name] = _signatures(labels)
        return name

    def forget_labels(self, name: str) -> None:
        """Let go of a label map: nothing will ask for its regions by this name again."""
        self._labels.pop(name, None)
        self._cells.pop(name, None)
        self._signatures.pop(name, None)

    def by_pixels(self, name: P.Without) -> P.Without:
        """The same input named by the pixels that are replaced, whatever label map they were cut with.

        So a region that an edit leaves alone keeps its evaluation. Signatures are Zobrist's: each pixel has a random
        number of 128 bits, and a set of pixels has the exclusive or of theirs.
        """
        found = self._by_pixels.get(name)
        if found is None:
            signature = 0
            for region in name.regions:
                signature ^= self._signatures[name.labels][region]
            found = self._by_pixels[name] = P.Without(f"{signature:032x}", (), name.fill, name.of)
        return found

    def labels(self, name: str) -> Tensor:
        """A registered label map, int64 `(H, W)`."""
        return self._labels[name]

    def cells(self, name: str) -> np.ndarray:
        """The same on the host."""
        return self._cells[name]

    def add_tensor(self, tensor: Tensor) -> P.Given:
        """Register a tensor `(C, H, W)` of the input space until it is released; returns its name."""
        name = digest(tensor)
        self._made[name] = tensor.detach().to(self.image)
        return P.Given(name)

    def add_mask(self, mask: Tensor) -> P.GivenMask:
        """Register a mask `(h, w)` of values 0..1; returns its name."""
        name = digest(mask)
        self._masks[name] = mask.detach().to(self.image)
        return P.GivenMask(name)

    def release(self, names: Iterable[P.Input]) -> None:
        """Forget given tensors: nothing will ask for these evaluations again."""
        for name in names:
            if isinstance(name, P.Given):
                self._made.pop(name.content, None)

    def mask(self, name: P.GivenMask | P.RandomMask) -> Tensor:
        """The named mask at the picture's size, `(H, W)` of values 0..1."""
        height, width = self.image.shape[1:]
        if isinstance(name, P.RandomMask):
            return self.kernels.random_mask(name.seed, name.number, name.cells, name.share, (height, width),
                                            self.image.dtype, self.image.device)
        mask = self._masks[name.content]
        if mask.shape == (height, width):
            return mask
        return F.interpolate(mask[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]

    def fill(self, value: Any, seed: int = 0, sigma: float = FILL_BLUR) -> P.Fill:
        """Name a fill or baseline given as METHODS says: a word, a pixel value 0..1, a picture or an input tensor.

        `sigma` in pixels is that of "blur"; "inpaint" fills regions, and is no picture of its own. ValueError or TypeError
        for anything else.
        """
        if isinstance(value, P.Fill):
            return value
        if isinstance(value, str):
            if value == GROWN:
                return P.Fill(GROWN)
            if value == "blur" and sigma != FILL_BLUR:
                return P.Fill("blur", value=float(sigma))
            if value not in FILLS:
                raise ValueError(f"unknown fill {value!r}: choose one of {', '.join(FILLS)}, a pixel value from 0 to 1, "
                                 f"a picture, or a tensor in the input space")
            return P.Fill(value, seed=seed if value == "noise" else 0)
        if isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool):
            if not 0 <= value <= 1:
                raise ValueError(f"a fill given as a number is a pixel value from 0 (black) to 1 (white), got {value!r}")
            return P.Fill("value", value=float(value))
        if self.cutout is not None and (isinstance(value, PILImage.Image) or _is_picture(value)):
            name = digest(pixels := self.cutout.pixels(value))
            self._given[name] = self.cutout.give(name, pixels).to(self.image)
            return P.Fill("given", content=name)
        if isinstance(value, PILImage.Image):
            value = np.asarray(value.convert("RGB").resize(self.image.shape[:0:-1], PILImage.Resampling.BICUBIC))
        if _is_picture(value):
            tensor = self._from_pixels(value)
        elif isinstance(value, Tensor):
            tensor = self._from_tensor(value)
        else:
            raise TypeError(f"a fill is one of {', '.join(FILLS)}, a number, a PIL picture, a uint8 array or a tensor, "
                            f"got {type(value).__name__}")
        name = digest(tensor)
        self._given[name] = tensor
        return P.Fill("given", content=name)

    def references(self, given: Any, load: Callable[[Any], Picture]) -> tuple[tuple[P.Fill, ...], str]:
        """Reference pictures as fills, and a phrase that says which: words, numbers, or whatever `load` prepares.

        None stands for black, white, mean and blurred pictures. ValueError for none at all.
        """
        if given is None:
            return tuple(map(self.fill, REFERENCES)), f"backgrounds: {', '.join(REFERENCES)} pictures"
        given = [given] if isinstance(given, (str, Path)) else list(given)
        if not given:
            raise ValueError(f"backgrounds=[] holds no background: give at least one, or None for {', '.join(REFERENCES)}")
        words = [isinstance(one, (int, float)) or (isinstance(one, str) and one in FILLS) for one in given]
        fills = tuple(self.fill(one if word else load(one).x) for one, word in zip(given, words))
        return fills, f"{len(fills)} background{'s' if len(fills) > 1 else ''} given"

    def _from_pixels(self, array: np.ndarray) -> Tensor:
        channels, height, width = self.image.shape
        if array.shape[:2] != (height, width):
            raise ValueError(f"a baseline or fill picture must have the model's picture size {(height, width)}, "
                             f"got {array.shape[:2]}: resize it first")
        pixels = torch.from_numpy(np.atleast_3d(array).astype(np.float32) / 255).movedim(2, 0)
        if pixels.shape[0] != channels:
            pixels = pixels.mean(0, keepdim=True).expand(channels, -1, -1)
        return self.picture.space.to_input(pixels.to(self.image))

    def _from_tensor(self, tensor: Tensor) -> Tensor:
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError("the baseline or fill tensor holds NaN or infinity: clean it first")
        tensor = tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor
        try:
            return tensor.to(self.image).expand(self.image.shape).clone()
        except RuntimeError as error:
            raise ValueError(f"a baseline or fill tensor must broadcast to the input {tuple(self.image.shape)}, "
                             f"got {tuple(tensor.shape)}") from error

    def filled(self, fill: P.Fill) -> Tensor:
        """A whole picture of the fill, `(C, H, W)` in the input space."""
        if fill.kind == "given":
            return self._given[fill.content]
        if fill.kind == GROWN:
            raise ValueError("inpainting fills regions of a picture and is no picture of its own: use another fill here")
        if fill not in self._fills:
            space, image = self.picture.space, self.image
            pixels = space.to_pixels(image)
            if fill.kind in ("black", "white", "value"):
                level = {"black": 0.0, "white": 1.0}.get(fill.kind, fill.value)
                pixels = torch.full_like(image, level)
            elif fill.kind == "mean":
                pixels = pixels.mean((1, 2), keepdim=True).expand_as(pixels)
            elif fill.kind == "blur":
                pixels = self.kernels.gaussian_blur(pixels, FILL_BLUR if fill.value is None else fill.value)
            elif fill.kind == "noise":
                draw = self.kernels.uniform(fill.seed, 0, image.numel(), image.device)
                pixels = draw.view(image.shape).to(image.dtype)
            self._fills[fill] = space.to_input(pixels)
        return self._fills[fill]

    def fill_shown(self, fill: P.Fill) -> np.ndarray:
        """A whole picture of the fill as the stage shows it, uint8 `(H, W, 3)` of the size that is cut."""
        return to_uint8(self.picture.space.to_pixels(self.filled(fill))) if self.cutout is None else self.cutout.fill(fill)

    def cut(self, name: P.Without) -> np.ndarray:
        """The picture without regions, uint8 `(H, W, 3)` of the size that is cut."""
        if name.of == P.Photograph():
            return self.cutout.without(self._off(name), name.fill)
        shown, off = to_uint8(self.picture.space.to_pixels(self.tensor(name))), self._off(name)
        return np.where(off[..., None], shown, self.picture.seen)

    def _off(self, name: P.Without) -> np.ndarray:
        off = np.zeros(len(self._signatures[name.labels]), dtype=bool)
        off[list(name.regions)] = True
        return off[self._cells[name.labels]]

    def batch(self, names: list[P.Input], channels_last: bool = False) -> Tensor:
        """The named inputs as one batch `(N, C, H, W)`, each kernel called once per kind where names allow it.

        `channels_last` lays it out so where a kernel can; who needs it must look.
        """
        first = names[0]
        if all(isinstance(n, (P.Without, P.Filled)) and n.of == P.Photograph() for n in names):
            # Masked photographs are large: one at a time.
            pictures = (self.cutout.fill(n.fill) if isinstance(n, P.Filled) else self.cut(n) for n in names)
            return self.cutout.prepared(pictures, self.image)
        if all(isinstance(n, P.OnPath) and (n.baseline, n.of) == (first.baseline, first.of) for n in names):
            alphas = torch.tensor([n.alpha for n in names], dtype=self.image.dtype, device=self.image.device)
            return self.kernels.lerp(self.filled(first.baseline), self.tensor(first.of), alphas, channels_last)
        if all(isinstance(n, P.Without) and n.fill.kind == GROWN and n.of != P.Photograph() for n in names):
            return torch.stack([self._grown(name) for name in names])
        if all(isinstance(n, P.Without) and (n.labels, n.fill, n.of) == (first.labels, first.fill, first.of) for n in names):
            labels = self.labels(first.labels)
            sets = torch.zeros(len(names), len(self._signatures[first.labels]), dtype=torch.bool)
            for row, name in enumerate(names):
                sets[row, list(name.regions)] = True
            return self.kernels.without_regions(self.tensor(first.of), self.filled(first.fill), labels, sets.to(labels.device),
                                                channels_last)
        if all(isinstance(n, P.Blurred) and n.of == first.of for n in names):
            return torch.stack(self._blurs(names))
        if len(names) > 1 and all(isinstance(n, P.Noisy) and replace(n, number=first.number) == first for n in names):
            numbers = [n.number for n in names]
            return self.kernels.noisy(self.tensor(first.base), first.deviation, first.seed, numbers, channels_last)
        return torch.stack([self._single(name) for name in names])

    def _single(self, name: P.Input) -> Tensor:
        match name:
            case P.Image():
                return self.image
            case P.Filled(_, P.Photograph()):
                return self.batch([name])[0]
            case P.Filled(fill):
                return self.filled(fill)
            case P.OnPath() | P.Without():
                return self.batch([name])[0]
            case P.Blurred():
                return self._blurs([name])[0]
            case P.Noisy() | P.Shaken():
                known, noisy = self._noisy
                if known != name:
                    noisy = self._drawn(name)
                    self._noisy = name, noisy
                return noisy
            case P.Revealed(mask, fill, of):
                shown = self.mask(mask)
                return shown * self.tensor(of) + (1 - shown) * self.filled(fill)
            case P.Given(content):
                return self._made[content]
        raise TypeError(f"{name!r} names no single input")

    def _blurs(self, names: Sequence[P.Blurred]) -> list[Tensor]:
        """One picture blurred with several σ: those that are not kept yet all at once."""
        found = {name: STORE.get((self._token, name)) for name in names}
        missing = [name for name, kept in found.items() if kept is None]
        if missing:
            made = self.kernels.gaussian_blurs(self.tensor(missing[0].of), [name.sigma for name in missing])
            for name, blurred in zip(missing, made):
                found[name] = blurred.clone()  # each leaves the store by itself
                if name.of == P.Image():  # a path asks for it again with each window
                    STORE.put((self._token, name), found[name])
        return [found[name] for name in names]

    def _grown(self, name: P.Without) -> Tensor:
        """The picture with regions filled by what is around them."""
        x, off = self.tensor(name.of), self._off(name)
        pixels = self.picture.space.to_pixels(x).movedim(0, 2).cpu().double().numpy()
        grown = torch.from_numpy(inpainted(pixels, off)).movedim(2, 0).to(x)
        return torch.where(torch.from_numpy(off).to(x.device), self.picture.space.to_input(grown), x)

    def _drawn(self, name: P.Noisy | P.Shaken) -> Tensor:
        base, shape, device = self.tensor(name.base), tuple(self.image.shape), self.image.device
        if isinstance(name, P.Noisy):
            return base + name.deviation * self.kernels.normal(name.seed, name.number, shape, self.image.dtype, device)
        draw = self.kernels.uniform(name.seed, name.number, self.image.numel(), device).view(shape)
        return base + (name.radius * (2 * draw - 1)).to(self.image.dtype)

    def tensor(self, name: P.Input) -> Tensor:
        """The named input, `(C, H, W)`."""
        return self._single(name)
