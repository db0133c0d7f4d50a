"""Build the API reference from the docstrings into build/docs: `make docs`."""
from __future__ import annotations

import sys
from pathlib import Path

import pdoc.render

from .pages import PACKAGE, pages

ROOT = Path(__file__).resolve().parents[2]


def build(target: Path) -> list[Path]:
    """Write every page, the search index and index.html into a folder; the files written."""
    pdoc.render.configure(docformat="markdown", template_directory=Path(__file__).with_name("templates"), show_source=False)
    found, written = pages(), []
    texts = {f"{name.replace('.', '/')}.html": pdoc.render.html_module(doc, found) for name, doc in found.items()}
    texts["index.html"] = f'<!doctype html><meta http-equiv="refresh" content="0; url={PACKAGE}.html"><title>{PACKAGE}</title>'
    texts["search.js"] = pdoc.render.search_index(found)
    for name, text in texts.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for file in build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"):
        print(f"{file}  {file.stat().st_size:,} bytes")
