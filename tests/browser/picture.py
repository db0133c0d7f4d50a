"""Make the README's pictures out of what the browser tests saw: `make shots`."""
from __future__ import annotations

from PIL import Image

from .lab import ROOT
from .notebook import SHOTS

# Screenshot → picture, its width in pixels (None: as it is) and the bytes that it may have: every clone carries them.
PICTURES = {"regions-egyptian": ("regions", None, 160_000), "state-light": ("layers", 720, 80_000),
            "trust-panel": ("trust", None, 80_000), "compare-light": ("compare", 720, 80_000),
            "contact-sheet": ("contact-sheet", 720, 80_000)}


def main() -> None:
    """Write every picture as JPEG; an error where the tests left no screenshot of it, or it grew too big."""
    for source, (name, width, most) in PICTURES.items():
        shot, target = SHOTS / f"{source}.png", ROOT / "notebooks" / f"{name}.jpg"
        if not shot.exists():
            raise FileNotFoundError(f"no screenshot {shot}: run the browser tests as `make shots` does (it needs chromium)")
        picture = Image.open(shot).convert("RGB")
        if width is not None:
            picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        picture.save(target, quality=88 if width is None else 75, subsampling=0 if width is None else 2, optimize=True)
        size = target.stat().st_size
        if size > most:
            raise ValueError(f"{target.name} has {size:,} bytes, at most {most:,} are wanted: lower the quality")
        print(f"{target.relative_to(ROOT)}  {size:,} bytes")


if __name__ == "__main__":
    main()
