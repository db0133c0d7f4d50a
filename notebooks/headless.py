"""Execute a notebook without a browser and save the Explorer it made, `ex`, as a stand-alone page and a picture."""
from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(notebook: str, stem: str) -> None:
    """Run `notebook`, then write `stem`.html and `stem`.png; an error in a cell ends with that cell's traceback."""
    target = Path(stem).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    content = nbformat.read(notebook, as_version=4)
    save = f"ex.wait(120)\nfor suffix in ('.html', '.png'):\n    print(ex.save({str(target)!r} + suffix))\nex.close()"
    content.cells.append(nbformat.v4.new_code_cell(save))
    NotebookClient(content, timeout=600, kernel_name="python3", resources={"metadata": {"path": Path(notebook).parent}}).execute()
    for suffix in (".html", ".png"):
        print(f"{stem}{suffix}  {target.with_suffix(suffix).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
