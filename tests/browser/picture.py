"""Make the README's picture out of what the browser tests saw: `make shots`."""
from __future__ import annotations

from PIL import Image

from .lab import ROOT
from .notebook import SHOTS

SOURCE, PICTURE = SHOTS / "composite-egyptian.png", ROOT / "notebooks" / "first-look.jpg"
MOST = 150_000  # bytes; every clone carries it


def main() -> None:
    """Write the composite of cat and cup as JPEG; an error where the tests left none or it grew too big."""
    if not SOURCE.exists():
        raise FileNotFoundError(f"no screenshot {SOURCE}: run the browser tests first, as `make shots` does (they need chromium)")
    Image.open(SOURCE).convert("RGB").save(PICTURE, quality=88, subsampling=0, optimize=True)
    size = PICTURE.stat().st_size
    if size > MOST:
        raise ValueError(f"{PICTURE.name} has {size:,} bytes, at most {MOST:,} are wanted: lower the quality")
    print(f"{PICTURE.relative_to(ROOT)}  {size:,} bytes")


if __name__ == "__main__":
    main()
