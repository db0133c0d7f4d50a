"""Fixtures of the browser tests: JupyterLab, Chromium, and notebooks that close without a page error.

They live as long as this folder's tests: a Playwright that stays open would keep an event loop in the main thread.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.chromium import launched

from .lab import Lab, running
from .notebook import DEMO, Notebook


@pytest.fixture(scope="package")
def chromium() -> Iterator:
    yield from launched()


@pytest.fixture(scope="package")
def lab(chromium) -> Iterator[Lab]:
    with running() as server:
        yield server


@pytest.fixture
def open_notebook(chromium, lab) -> Iterator[Callable[..., Notebook]]:
    """`open_notebook(cells, width=, height=, theme=, run=, **context)`: the notebook, with its Explorer in sight."""
    opened = []

    def open_it(cells=DEMO, *, theme="light", run=True, **window) -> Notebook:
        notebook = Notebook.window(chromium, lab, cells, **window)
        opened.append(notebook)
        notebook.begin(theme, run)
        return notebook

    yield open_it
    for notebook in opened:
        notebook.close()
    errors = [error for notebook in opened for error in notebook.errors]
    for notebook in opened:
        notebook.leave()
    assert errors == [], "the page raised errors"


@pytest.fixture
def demo(open_notebook) -> Notebook:
    """The Explorer on the embedded demo."""
    return open_notebook()
