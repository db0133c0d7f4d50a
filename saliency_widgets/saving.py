"""What the Explorer writes: pages, pictures, raw maps, contact sheets."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from .saliency_map import SaliencyMap

WRITERS = {".html": "save_html", ".png": "save_png", ".npz": "save_npz"}  # of export.py


class Saving:
    """The Explorer's exports, and the contact sheet over its stage."""

    _sheet_open = False                     # whether the contact sheet is wanted
    _on_sheet: SaliencyMap | None = None    # the map that is on it

    def snapshot(self) -> None:
        """Display a plain PNG of what is shown, for notebooks that are saved without widget state."""
        import tempfile

        from IPython.display import Image as Shown
        from IPython.display import display

        with tempfile.TemporaryDirectory() as folder:
            display(Shown(data=Path(self.save(Path(folder) / "snapshot.png")).read_bytes()))

    def sheet(self, count: int = 25) -> Image:
        """A contact sheet of what lies behind the shown map, as a PIL picture: `count` points of a path with their gradients,
        the layers, the filters, or the stages of a film. ValueError where there is but the map.
        """
        from .contact_sheet import contact_sheet
        from .export import shown

        return contact_sheet(self.session, shown(self)[0].map, count)

    def save(self, path: str | Path, what: str = "stage") -> Path:
        """Write a stand-alone page (`.html`), a picture (`.png`) or the raw maps (`.npz`); returns the path.

        `what` a picture holds: the "stage" with its legend, the "map" alone, or the contact "sheet".
        """
        path = Path(path)
        if what not in ("stage", "map", "sheet"):
            raise ValueError(f"cannot save {what!r}: choose stage, map or sheet")
        if what != "stage":
            if path.suffix.lower() != ".png":
                raise ValueError(f"the {what} alone is a picture: end {path.name!r} in .png")
            from .export import shown

            (self.sheet() if what == "sheet" else shown(self)[0].map.to_pil()).save(path, "PNG")
            return path
        if path.suffix.lower() not in WRITERS:
            raise ValueError(f"cannot tell what to write to {path.name!r}: end it in {', '.join(WRITERS)}")
        from . import export

        getattr(export, WRITERS[path.suffix.lower()])(self, path)
        return path

    def _saved(self, what: str) -> tuple[str, bytes] | str:
        """What the menu "save" asks for: name and bytes of a file, or the code as text."""
        import tempfile

        if what == "code":
            return self.code()
        alone = what if what in ("map", "sheet") else "stage"
        name = f"{self.session.name}-{self.method}{'' if alone == 'stage' else '-' + alone}.{what if alone == 'stage' else 'png'}"
        with tempfile.TemporaryDirectory() as folder:
            return name, self.save(Path(folder) / name.replace("/", "-"), alone).read_bytes()

    def _toggle_sheet(self) -> None:
        """Open or close the contact sheet."""
        with self._lock:
            self._sheet_open = not self._sheet_open
            self._ask(hand=True)
