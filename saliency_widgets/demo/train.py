"""Train the three embedded checkpoints from a seed: `python -m saliency_widgets.demo.train`.

Everything is rendered here; nothing is downloaded. It prints the held-out accuracy of each checkpoint as it
is read back, and for the two planted shortcuts how often the shortcut alone flips the prediction.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from . import network, shortcuts
from .scene import KINDS, random_scene, render

Example = tuple[np.ndarray, np.ndarray]  # uint8 (H, W, 3); float32 (10,), the share of each class
Maker = Callable[[np.random.Generator, int], Example]
SEED = 7
HELD_OUT = 1_000_003  # streams of held-out pictures start here, far from any training picture


def one_object(rng: np.random.Generator, size: int) -> Example:
    return _example(rng, size, (int(rng.integers(len(KINDS))),))


def one_or_two_objects(rng: np.random.Generator, size: int) -> Example:
    """Half of the pictures show two objects, each with half of the label, so that both logits rise."""
    kinds = rng.choice(len(KINDS), int(rng.integers(1, 3)), replace=False)
    return _example(rng, size, tuple(int(k) for k in kinds))


def _example(rng: np.random.Generator, size: int, kinds: tuple[int, ...]) -> Example:
    # In the small crops two large objects do not fit side by side.
    radius = (26.0, 52.0) if size >= 224 else (26.0, 46.0 if len(kinds) == 1 else 34.0)
    target = np.zeros(len(KINDS), np.float32)
    target[list(kinds)] = 1 / len(kinds)
    scene = random_scene(rng, size, kinds, radius)
    # Some plain backgrounds, so that black, white and grey fills are nothing strange to the network.
    if rng.random() < 0.15:
        grey = int(rng.choice([0, 255, rng.integers(256)]))
        scene = replace(scene, ground=(grey, grey, grey))
    return render(scene)[0], target


def _make(job: tuple[Maker, int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    maker, size, seed, first, last = job
    made = [maker(np.random.default_rng([seed, i]), size) for i in range(first, last)]
    return np.stack([p for p, _ in made]), np.stack([t for _, t in made])


def pictures(maker: Maker, count: int, size: int, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Render `count` examples: uint8 (N, 3, size, size), targets (N, 10); picture i depends on i alone."""
    jobs = [(maker, size, SEED, i, min(i + 100, first + count)) for i in range(first, first + count, 100)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        parts = list(tqdm(pool.map(_make, jobs), total=len(jobs), desc=f"render {size}", mininterval=5))
    images = torch.from_numpy(np.concatenate([p for p, _ in parts])).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.concatenate([t for _, t in parts]))


def normalise(images: torch.Tensor) -> torch.Tensor:
    return ((images.float() / 255 - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def vary(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Mirror half of the batches and change each picture's brightness a little."""
    bright = 0.75 + 0.4 * torch.rand(len(images), 1, 1, 1, generator=draw)
    mirror = torch.rand((), generator=draw) < 0.5
    return normalise((images.flip(3) if mirror else images) * bright)


def fit(
    model: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    epochs: int,
    rate: float,
    prepare: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
) -> None:
    """One cycle of AdamW; `prepare` turns a batch of `inputs` into what the model takes."""
    draw = torch.Generator().manual_seed(SEED)
    batch = 48
    steps = epochs * (len(inputs) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.03)
    model.train().to(memory_format=torch.channels_last)
    bar = tqdm(total=steps, desc="train", mininterval=10)
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=draw)
        for at in range(0, len(inputs) - batch + 1, batch):
            chosen = order[at : at + batch]
            loss = loss_of(model(prepare(inputs[chosen], draw)), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            bar.update()
        bar.set_postfix(loss=f"{loss.item():.3f}")
    bar.close()
    model.eval().to(memory_format=torch.contiguous_format)


@torch.no_grad()
def predictions(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([model(normalise(part)).argmax(1) for part in images.split(50)])


def train_main(path: Path) -> None:
    model = network.DemoNet()
    fit(model, *pictures(one_or_two_objects, 7200, 160), epochs=6, rate=4e-3, prepare=vary)
    # Global pooling averages over the whole picture, so the last epochs see it at the size of use.
    fit(model, *pictures(one_or_two_objects, 2400, 224, first=100_000), epochs=2, rate=1e-3, prepare=vary)
    network.save(model, path)
    images, targets = pictures(one_object, 1000, 224, first=HELD_OUT)
    right = predictions(network.load(path, "demo"), images) == targets.argmax(1)
    print(f"demo: held-out accuracy on {len(images)} one-object pictures {right.float().mean():.1%}")


def train_shortcut(name: str, path: Path, main: Path) -> None:
    """Train fresh last stages and a fresh head on the first stages of the main checkpoint, which stay."""
    shortcut = shortcuts.SHORTCUTS[name]
    model = network.load(main, name)
    stem, rest = model.features[: shortcut.kept], model.features[shortcut.kept :]
    top = nn.Sequential(rest, model.pool, model.flatten, model.head)
    for module in top.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    images, targets = pictures(shortcut.biased, 1920, 224, first=200_000)
    with torch.no_grad():
        inputs = torch.cat([stem(normalise(part)) for part in images.split(48)])
    fit(top, inputs, targets, epochs=4, rate=2e-3, prepare=lambda batch, draw: batch)
    network.save(model, path)
    model = network.load(path, name)
    images, targets = pictures(shortcut.biased, 300, 224, first=HELD_OUT)
    right = predictions(model, images) == targets.argmax(1)
    flipped = predictions(model, pictures(shortcut.planted, 300, 224, first=HELD_OUT)[0]) == shortcut.kind
    clean = predictions(model, pictures(shortcut.clean, 300, 224, first=HELD_OUT)[0]) == shortcut.kind
    print(
        f"{name}: held-out accuracy on 300 pictures with the shortcut {right.float().mean():.1%}; "
        f"pictures of other classes called {KINDS[shortcut.kind].name!r}: "
        f"{clean.float().mean():.1%} without the shortcut, {flipped.float().mean():.1%} with it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m saliency_widgets.demo.train", description=__doc__)
    parser.add_argument("--only", choices=["demo", *shortcuts.SHORTCUTS], help="train this checkpoint alone")
    parser.add_argument("--out", type=Path, default=network.FOLDER, help="folder for the .safetensors files")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in [options.only] if options.only else ["demo", *shortcuts.SHORTCUTS]:
        started = time.perf_counter()
        torch.manual_seed(SEED)
        if name == "demo":
            train_main(options.out / "demo.safetensors")
        else:
            train_shortcut(name, options.out / f"{name}.safetensors", options.out / "demo.safetensors")
        print(f"{name}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
