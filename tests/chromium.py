"""Debian's Chromium, driven by Playwright, for all that needs a browser."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]


@contextmanager
def browser() -> Iterator:
    """One browser while inside; FileNotFoundError or ModuleNotFoundError say how to get what is missing."""
    if not CHROMIUM.exists():
        raise FileNotFoundError(f"{CHROMIUM} is missing: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise ModuleNotFoundError("playwright is missing: pip install playwright") from None
    with sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


def launched() -> Iterator:
    """One browser while the fixture that yields from this lives; a skip where something is missing."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(browser())
        except (FileNotFoundError, ModuleNotFoundError) as missing:
            pytest.skip(str(missing))
        yield opened
