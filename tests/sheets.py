"""Contact sheets of the progression that tutorials on saliency maps show, into build/sheets; run with `make sheets`.

On the ImageNet demo, and, where the local folder shared/data is beside the checkout, on a photograph of a Doberman with
SqueezeNet. Beside each sheet the numbers behind what it shows are printed.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import saliency_widgets as sw
from saliency_widgets import SaliencyMap, Session
from saliency_widgets.colormaps import table

OUT = Path("build/sheets")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LEVELS = (0.0, 0.05, 0.10, 0.20, 0.50)
EDGE, GAP, WORDS = 224, 8, 20


def tile(picture: Image.Image, title: str, found: SaliencyMap | None = None, kind: str = "grey") -> Image.Image:
    """The picture with its map: grey as papers print gradients, signed, over the picture."""
    square = picture.convert("RGB").resize((EDGE, EDGE))
    if found is not None and kind == "grey":
        heat = found.heatmap(reduce="abs_sum", clip=99, size=(EDGE, EDGE))
        square = Image.fromarray(table("grey")[np.rint(255 * heat / (heat.max() or 1)).astype(int)])
    elif found is not None:
        heat = found.heatmap(sign="positive" if kind == "cam" else "both", clip=99.5, size=(EDGE, EDGE))
        limit = np.abs(heat).max() or 1
        share = heat / limit if kind == "cam" else (heat / limit + 1) / 2
        colour = table("magma" if kind == "cam" else "signed")[np.rint(255 * share).astype(int)]
        alpha = 0.75 * np.abs(heat / limit)[..., None] ** 0.7
        base = np.asarray(square.convert("L").convert("RGB"), float)
        square = Image.fromarray((base * (1 - alpha) + colour * alpha).astype(np.uint8))
    whole = Image.new("RGB", (EDGE, EDGE + WORDS), "white")
    whole.paste(square, (0, WORDS))
    ImageDraw.Draw(whole).text((2, 2), title.replace("×", "x"), fill="black", font=ImageFont.load_default(13))
    return whole


def sheet(name: str, rows: list[list[Image.Image]]) -> None:
    """Write rows of tiles as one picture."""
    columns = max(map(len, rows))
    size = (columns * (EDGE + GAP) + GAP, len(rows) * (EDGE + WORDS + GAP) + GAP)
    page = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, square in enumerate(row):
            page.paste(square, (GAP + x * (EDGE + GAP), GAP + y * (EDGE + WORDS + GAP)))
    OUT.mkdir(parents=True, exist_ok=True)
    page.save(OUT / f"{name}.png")
    print(f"{OUT / name}.png")


def inside(found: SaliencyMap, region: np.ndarray, sign: str = "positive") -> float:
    """The share of a map's mass inside a region `(H, W)`."""
    heat = np.abs(found.heatmap(sign=sign, size=region.shape)) if found.values.shape[0] == 1 else found.heatmap(
        reduce="abs_sum", size=region.shape)
    return float(heat[region].sum() / heat.sum())


def gini(found: SaliencyMap) -> float:
    """How concentrated a map is: 0 even, 1 one pixel."""
    mass = np.sort(found.heatmap(reduce="abs_sum").ravel().astype(float))
    return float(1 - 2 * ((mass.cumsum() - mass / 2) / mass.sum()).mean())


def leaving_out(session: Session, name: str, region: np.ndarray) -> None:
    """Leave-one-out from a coarse grid to superpixels."""
    row = [tile(session.image, f"{name}: the picture")]
    for title, params in (("3 × 3 grid", {"grid": 3}), ("28 × 28 grid", {"grid": 28}), ("superpixels", {"regions": "slic"})):
        found = session.map("leave_one_out", fill="mean", **params)
        print(f"  leave-one-out, {title}: {inside(found, region):.2f} of the positive drops inside (area {region.mean():.2f})")
        row.append(tile(session.image, f"leave-one-out, {title}", found, "signed"))
    sheet(f"{name}-1-leave-one-out", [row])


def smoothing(session: Session, name: str, region: np.ndarray, bases: tuple[str, ...]) -> None:
    """Gradient-type maps, each smoothed with more and more noise."""
    rows = []
    for base in bases:
        row = []
        for level in LEVELS:
            found = session.map("smoothgrad", base=base, level=level, n=25)
            row.append(tile(session.image, f"{base}, {level:.0%} noise", found))
            print(f"  {base}, {level:.0%} noise: {inside(found, region):.2f} inside, Gini {gini(found):.2f}")
        rows.append(row)
    sheet(f"{name}-2-smoothing", rows)


def paths(session: Session, name: str, region: np.ndarray) -> None:
    """Integrated Gradients and Blur IG, plain and smoothed."""
    rows = []
    for base, params in (("integrated_gradients", {"steps": 32}), ("blur_ig", {"steps": 32})):
        plain = session.map(base, **params)
        smooth = session.map("smoothgrad", base=base, base_params={"steps": 16}, n=10)
        shares = f"{inside(plain, region):.2f} inside, smoothed {inside(smooth, region):.2f}"
        print(f"  {base}: {shares}; residual {plain.residual:+.1%}")
        rows.append([tile(session.image, base, plain), tile(session.image, base, plain, "signed"),
                     tile(session.image, f"{base}, smoothed", smooth), tile(session.image, "the same, signed", smooth, "signed")])
    sheet(f"{name}-3-paths", rows)


def rules(session: Session, name: str, regions: dict[str, np.ndarray]) -> None:
    """Which object each of the rules lights, class by class."""
    rows = []
    for label, region in regions.items():
        row = []
        for method, kind in (("gradient", "grey"), ("deconvnet", "grey"), ("guided_backprop", "grey"), ("grad_cam", "cam"),
                             ("guided_grad_cam", "grey")):
            found = session.map(method, target=label)
            row.append(tile(session.image, f"{method}, {label}", found, kind))
            if not found.values.any():
                print(f"  {method} of {label}: {found.warnings[0]}")
                continue
            print(f"  {method} of {label}: {inside(found, region):.2f} inside its region, Gini {gini(found):.2f}")
        rows.append(row)
    sheet(f"{name}-4-rules", rows)


def imagenet() -> tuple[Session, dict[str, np.ndarray]]:
    """The demo's cat (left half) and cup (right half)."""
    session = Session(*sw.demo("imagenet"), target="Egyptian cat")
    left = np.zeros(session.picture.shown.shape[:2], bool)
    left[:, :left.shape[1] // 2] = True
    return session, {"Egyptian cat": left, "espresso": ~left}


def doberman() -> tuple[Session, dict[str, np.ndarray]] | None:
    """A dog before grass, in the box drawn by eye; None where the local data is absent."""
    if not DATA.exists():
        print("no folder shared/data beside the checkout: the Doberman is left out")
        return None
    import torchvision
    from safetensors.torch import load_file

    model = torchvision.models.squeezenet1_0(weights=None)
    model.load_state_dict({n: v.float() for n, v in load_file(DATA / "squeezenet1_0_imagenet.safetensors").items()})
    picture = Image.open(DATA / "images" / "doberman.png").convert("RGB")
    labels = torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1.meta["categories"]
    session = Session(model.eval(), picture.resize((224, 224)), labels, target="Doberman",
                      preprocess=torchvision.transforms.Compose([
                          torchvision.transforms.ToTensor(),
                          torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]))
    box = np.zeros((224, 224), bool)
    (left, top, right, bottom), (width, height) = (80, 50, 272, 299), picture.size
    box[224 * top // height:224 * bottom // height, 224 * left // width:224 * right // width] = True
    return session, {"Doberman": box}


def main() -> None:
    """Write all sheets."""
    subjects: dict[str, Callable[[], Any]] = {"cat-and-cup": imagenet, "doberman": doberman}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="*", default=list(subjects))
    for name in parser.parse_args().subjects:
        found = subjects[name]()
        if found is None:
            continue
        session, regions = found
        first = next(iter(regions.values()))
        leaving_out(session, name, first)
        smoothing(session, name, first, ("gradient", "guided_backprop"))
        paths(session, name, first)
        rules(session, name, regions)


if __name__ == "__main__":
    main()
