"""The table of where methods point: its page names every method, and a part of it made anew says the same."""
import re

import numpy as np
import pytest

import saliency_widgets as sw
from tests.metrics.table import APART, PAGE, RIVALS, SETTINGS, objects, page, rows


@pytest.fixture(scope="module")
def found():
    return rows([*RIVALS, "gradient", "grad_cam", "guided_grad_cam", "deeplift"], pictures=(0, 1))


def test_the_page_names_every_method():
    text, methods = PAGE.read_text(encoding="utf-8"), sw.methods()
    titles = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:]
    assert sorted(titles) == sorted([*RIVALS, *(m.title for name, m in methods.items() if name not in APART)])
    assert all(f"`{name}`" in text for name in APART) and set(SETTINGS) <= set(methods)
    count = int(re.search(r"with (\d+) objects", text).group(1))
    assert count >= 6 and text.count(f"of {count} |") == len(titles)


def test_objects_are_those_of_the_pictures():
    asked = list(objects((0, 1)))
    assert [len(others) for *_, others in asked] == [1, 1, 0]
    for session, index, mask, others in asked:
        assert mask.shape == (224, 224) and not any((mask & o).any() for o in others) and 0 <= index < len(session.logits)


def test_methods_of_the_network_point_where_a_picture_alone_does_not(found):
    assert found["grad_cam"].hits == [1.0] * 3
    for name in ("grad_cam", "guided_grad_cam", "deeplift"):
        assert np.mean(found[name].inside) > 1.3 * np.mean(found["even map"].inside), name
    assert np.mean(found["grad_cam"].inside[:2]) > 3 * np.mean(found["grad_cam"].other)  # the object that was asked for
    assert np.mean(found["edge detector"].inside[:2]) == pytest.approx(np.mean(found["edge detector"].other))
    assert "| Grad-CAM | 3 of 3 |" in page(found)
