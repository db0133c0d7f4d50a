"""Fixtures of the browser tests: JupyterLab, Chromium, and notebooks that close without a page error.

They live as long as this folder's tests: a Playwright that stays open would keep an event loop in the main thread.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.chromium import launched

from .cutting import SCORES, begin_anew
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


@pytest.fixture(scope="module")
def shared(chromium, lab) -> Iterator[Notebook]:
    """One notebook for a whole file: the embedded demo with leave-one-out on the 14 × 14 grid."""
    notebook = Notebook.window(chromium, lab, DEMO)
    notebook.begin()
    notebook.choose_family("Cut")
    notebook.run(SCORES)
    yield notebook
    notebook.close()
    notebook.leave()
    assert notebook.errors == [], "the page raised errors"


@pytest.fixture
def cut(shared) -> Notebook:
    """Leave-one-out as at the beginning, in a notebook that a file's tests share."""
    begin_anew(shared)
    return shared
