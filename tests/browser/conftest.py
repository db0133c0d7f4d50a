"""Fixtures of the browser tests: JupyterLab, Chromium, and notebooks that close without a page error.

They live as long as this folder's tests: a Playwright that stays open would keep an event loop in the main thread.
"""
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chromium import launched

from .lab import Lab
from .notebook import DEMO, PRELUDE, Notebook


@pytest.fixture(scope="package")
def chromium() -> Iterator:
    yield from launched()


@pytest.fixture(scope="package")
def lab(chromium) -> Iterator[Lab]:
    folder = Path(tempfile.mkdtemp(prefix="sw-lab-"))
    server = Lab(folder)
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_notebook(chromium, lab) -> Iterator[Callable[..., Notebook]]:
    """`open_notebook(cells, width=, height=, theme=, run=, **context)`: the notebook, with its Explorer in sight."""
    opened = []

    def open_it(cells=DEMO, *, width=1070, height=1000, theme="light", run=True, **context) -> Notebook:
        frame = chromium.new_context(viewport={"width": width, "height": height}, **context)
        notebook = Notebook(frame.new_page(), lab, lab.write([PRELUDE, *cells]))
        opened.append((frame, notebook))
        notebook.open()
        notebook.set_theme(theme)
        if run:
            notebook.run_all()
            notebook.first_sight()
        return notebook

    yield open_it
    for _, notebook in opened:
        notebook.close()
    errors = [error for _, notebook in opened for error in notebook.errors]
    for frame, _ in opened:
        frame.close()
    assert errors == [], "the page raised errors"


@pytest.fixture
def demo(open_notebook) -> Notebook:
    """The Explorer on the embedded demo."""
    return open_notebook()
