"""Make the README's pictures out of what the browser tests saw: `make shots`."""
from __future__ import annotations

from PIL import Image

from .lab import ROOT
from .notebook import SHOTS

PICTURES = {"composite-egyptian.png": ("first-look.jpg", 88), "regions-egyptian.png": ("regions.jpg", 80)}  # and JPEG quality
MOST = 150_000  # bytes; every clone carries it


def main() -> None:
    """Write cat and cup, whole and with regions off, as JPEG; an error where the tests left none or one grew too big."""
    for source, (name, quality) in PICTURES.items():
        shot, picture = SHOTS / source, ROOT / "notebooks" / name
        if not shot.exists():
            raise FileNotFoundError(f"no screenshot {shot}: `make shots` takes it, and needs chromium")
        Image.open(shot).convert("RGB").save(picture, quality=quality, subsampling=0, optimize=True)
        size = picture.stat().st_size
        if size > MOST:
            raise ValueError(f"{picture.name} has {size:,} bytes, at most {MOST:,} are wanted: lower the quality")
        print(f"{picture.relative_to(ROOT)}  {size:,} bytes")


if __name__ == "__main__":
    main()
