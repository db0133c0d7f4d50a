"""Fixtures for all tests."""

import ipywidgets
import pytest
import torch

from saliency_widgets import Explorer
from saliency_widgets.widgets.face import SHARED

from .explorers import LABELS, open_widgets
from .small import small, tensor


@pytest.fixture
def ex():
    """An Explorer on a small network that leaves no widget open when it is closed."""
    before = open_widgets()
    explorer = Explorer(small(), tensor(), LABELS)
    assert explorer.wait()
    yield explorer
    explorer.close()
    left = [type(ipywidgets.widgets.widget._instances[i]).__name__ for i in open_widgets() - before]
    assert [name for name in left if name not in SHARED] == []


@pytest.fixture
def one_thread():
    """Tensors this small lose their time to the threads' meetings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
