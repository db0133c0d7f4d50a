"""Pictures that this package renders itself: textured objects before a quiet background, with known masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import shapes, textures

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Kind:
    """One class of objects: a name, an outline, a surface, and the pairs of colours it comes in."""

    name: str
    outline: shapes.Outline
    texture: textures.Texture
    colours: tuple[tuple[str, str], ...]


KINDS: tuple[Kind, ...] = (
    Kind(
        "striped disc",
        shapes.disc,
        textures.stripes,
        (("#f4efe4", "#2b2d36"), ("#f6f1e7", "#b3372f"), ("#f2ead8", "#285f8f")),
    ),
    Kind(
        "brick square",
        shapes.square,
        textures.bricks,
        (("#a9492f", "#e6d9c6"), ("#8d5a3b", "#ddd0bb"), ("#71717c", "#d7d5d0")),
    ),
    Kind(
        "spotted triangle",
        shapes.triangle,
        textures.spots,
        (("#e9b63e", "#2e241c"), ("#f3ece0", "#3a6ea5"), ("#cf4b3c", "#fbf3e4")),
    ),
    Kind(
        "checked star",
        shapes.star,
        textures.checks,
        (("#f7d154", "#9c2f3f"), ("#f4efe6", "#2f7a68"), ("#f5dfa0", "#32427a")),
    ),
    Kind(
        "wooden drop",
        shapes.drop,
        textures.wood,
        (("#d8a368", "#6d3f1f"), ("#b9794a", "#4e2a17"), ("#e3c08e", "#8a5a34")),
    ),
    Kind(
        "zigzag heart",
        shapes.heart,
        textures.zigzag,
        (("#f6e3df", "#c22f4f"), ("#f3ead9", "#6d3c86"), ("#f6dcae", "#c9612a")),
    ),
    Kind(
        "scaly crescent",
        shapes.crescent,
        textures.scales,
        (("#6fc3b2", "#17404a"), ("#8fbf68", "#254d2d"), ("#86a9dd", "#24325f")),
    ),
    Kind(
        "honeycomb hexagon",
        shapes.hexagon,
        textures.honeycomb,
        (("#efb13c", "#6b3b11"), ("#f0cd7b", "#8a4f1d"), ("#b4c777", "#3f4f22")),
    ),
    Kind(
        "marbled cross",
        shapes.cross,
        textures.marble,
        (("#f1eee8", "#4b4f57"), ("#4c7f70", "#e2efe6"), ("#e8cfc4", "#6d3b34")),
    ),
    Kind(
        "rippled flower",
        shapes.flower,
        textures.ripples,
        (("#f4b9c6", "#8f2b66"), ("#f6ead0", "#d0622f"), ("#c5d6f5", "#3c4fa3")),
    ),
)
LABELS: tuple[str, ...] = tuple(kind.name for kind in KINDS)

GROUNDS = (
    ("#cfc6b4", "#a99f8b"), ("#a9b8bd", "#7f949c"), ("#9fae95", "#748569"), ("#c6b0a0", "#98806f"),
    ("#8d93a3", "#666d80"), ("#d9d2c7", "#bdb3a5"), ("#6f7d80", "#4d595d"), ("#b7a9b5", "#8d7d8c"),
    ("#5d665b", "#444c43"), ("#d6c49c", "#b5a178"),
)  # fmt: skip
OVERSAMPLE = 2


@dataclass(frozen=True)
class Object:
    """One object: class, centre and radius in pixels, angle in radians, colours, phase."""

    kind: int
    x: float
    y: float
    radius: float
    angle: float
    colours: int
    phase: float


@dataclass(frozen=True)
class Scene:
    """What is in a picture of `size` × `size` pixels; `ground` is a seed, or a flat colour as background."""

    size: int
    objects: tuple[Object, ...]
    ground: int | Rgb


def random_scene(
    rng: np.random.Generator, size: int, kinds: tuple[int, ...], radius: tuple[float, float] = (30.0, 52.0)
) -> Scene:
    """Draw places, sizes, angles and colours for objects of the given classes that do not touch."""
    while True:
        objects: list[Object] = []
        for kind in kinds:
            r = rng.uniform(*radius)
            x, y = rng.uniform(0.96 * r + 3, size - 0.96 * r - 3, 2)
            objects.append(
                Object(
                    kind,
                    x,
                    y,
                    r,
                    rng.uniform(-0.6, 0.6),
                    int(rng.integers(len(KINDS[kind].colours))),
                    rng.uniform(),
                )
            )
        pairs = [(a, b) for i, a in enumerate(objects) for b in objects[:i]]
        if all(np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius + 2 for a, b in pairs):
            return Scene(size, tuple(objects), int(rng.integers(2**31)))


def render(scene: Scene) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Paint a scene: uint8 (H, W, 3), and one boolean mask (H, W) per object."""
    canvas = _ground(scene.ground, scene.size)
    shadows = not isinstance(scene.ground, tuple)
    masks = []
    for item in scene.objects:
        masks.append(_paint(canvas, item, shadows))
    return np.clip(np.round(canvas), 0, 255).astype(np.uint8), tuple(masks)


def _paint(canvas: np.ndarray, item: Object, shadow: bool) -> np.ndarray:
    """Lay one object over the canvas, in place, and return where it is."""
    size, kind = canvas.shape[0], KINDS[item.kind]
    reach = int(np.ceil(item.radius * 1.35))
    top, left = max(0, int(item.y) - reach), max(0, int(item.x) - reach)
    bottom, right = min(size, int(item.y) + reach), min(size, int(item.x) + reach)
    # Pixel centres of a grid OVERSAMPLE times as dense, in units of the radius.
    ys = (np.arange((bottom - top) * OVERSAMPLE, dtype=np.float32) + 0.5) / OVERSAMPLE + top - item.y
    xs = (np.arange((right - left) * OVERSAMPLE, dtype=np.float32) + 0.5) / OVERSAMPLE + left - item.x
    dy, dx = np.meshgrid(ys / item.radius, xs / item.radius, indexing="ij")
    u, v = _turn(dx, dy, item.angle)
    distance = kind.outline(u, v)
    pixel = 1 / (item.radius * OVERSAMPLE)
    cover = np.clip(0.5 - distance / pixel, 0, 1)

    first, second = (_rgb(c) for c in kind.colours[item.colours])
    mix = np.clip(kind.texture(u, v, item.phase), 0, 1)[..., None]
    colour = first * (1 - mix) + second * mix
    edge = np.clip(-distance / 0.22, 0, 1)  # a soft bevel, and light that falls from the upper left
    colour = colour * (0.72 + 0.28 * np.sqrt(edge) - 0.09 * (dx + dy) * edge)[..., None]

    patch = canvas[top:bottom, left:right]
    if shadow:
        away = _coarse(kind.outline(*_turn(dx - 0.09, dy - 0.13, item.angle)))
        patch *= (1 - 0.42 * np.clip(0.55 - away / 0.32, 0, 1) ** 1.5)[..., None]
    # Averaging colour × cover, not colour: the background must not bleed into the object's own pixels.
    alpha = _coarse(cover)[..., None]
    patch += _coarse(colour * cover[..., None]) - patch * alpha
    mask = np.zeros((size, size), dtype=bool)
    mask[top:bottom, left:right] = _coarse(distance < 0) > 0.5
    return mask


def _ground(ground: int | Rgb, size: int) -> np.ndarray:
    """A flat colour, or a quiet two-tone texture (clouds, linen, sand, waves, plaster) drawn from a seed."""
    if isinstance(ground, tuple):
        return np.broadcast_to(np.float32(ground), (size, size, 3)).copy()
    rng = np.random.default_rng([ground, 77])
    light, dark = (_rgb(c) for c in GROUNDS[rng.integers(len(GROUNDS))])
    style = rng.integers(5)
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    clouds = _clouds(rng, size, first=3)
    if style == 0:
        tone = clouds
    elif style == 1:
        tone = (
            0.55 * clouds + 0.25 + 0.13 * np.sin(xs * 1.3 + 2 * clouds) + 0.13 * np.sin(ys * 1.3 + 2 * clouds)
        )
    elif style == 2:
        tone = 0.6 * clouds + 0.2 + 0.16 * rng.standard_normal((size, size), dtype=np.float32)
    elif style == 3:
        angle = rng.uniform(0, np.pi)
        tone = 0.4 * clouds + 0.3 + 0.22 * np.sin((np.cos(angle) * xs + np.sin(angle) * ys) / 11 + 5 * clouds)
    else:
        tone = 0.5 * clouds + 0.5 * _clouds(rng, size, first=24)
    tone = np.clip(tone + rng.uniform(-0.2, 0.2), 0, 1)[..., None]
    fall = (1.06 - 0.16 * np.hypot(xs / size - 0.4, ys / size - 0.35))[..., None]
    grain = rng.normal(0, 2.2, (size, size, 1)).astype(np.float32)
    return (light * tone + dark * (1 - tone)) * fall + grain


def _clouds(rng: np.random.Generator, size: int, first: int) -> np.ndarray:
    """Noise in octaves, (size, size) in 0..1."""
    total, weight = np.zeros((size, size), dtype=np.float32), 0.0
    for octave in range(4):
        cells = first * 2**octave
        if cells > size // 2:
            break
        coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        share = 0.55**octave
        total += share * np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
        weight += share
    return np.clip(0.5 + 1.5 * (total / weight - 0.5), 0, 1)


def _turn(x: np.ndarray, y: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * x + sine * y, cosine * y - sine * x


def _coarse(fine: np.ndarray) -> np.ndarray:
    """Average OVERSAMPLE × OVERSAMPLE blocks."""
    height, width = fine.shape[0] // OVERSAMPLE, fine.shape[1] // OVERSAMPLE
    return fine.reshape(height, OVERSAMPLE, width, OVERSAMPLE, *fine.shape[2:]).mean((1, 3), dtype=np.float32)


def _rgb(colour: str) -> np.ndarray:
    return np.float32([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
