"""The benchmark's meter on a real page: a drag has figures, a hand that does nothing is an error."""
from dataclasses import replace

import pytest

from tests.benchmarks.ui import measure
from tests.benchmarks.ui_controls import CONTROLS


@pytest.mark.slow
def test_a_drag_is_measured_and_a_still_hand_is_an_error(chromium, lab):
    control = next(c for c in CONTROLS if c.name == "film_click")
    still = replace(control, name="still", hand=lambda notebook, turn: "True")
    wrong = replace(control, name="wrong", hand=lambda notebook, turn: control.hand(notebook, turn) and "ex.method == 'lrp'")
    rows = measure(lab, chromium, "embedded", [control, still, wrong], drags=1)
    assert rows["film_click"]["delay"] > 0 and rows["film_click"]["bytes"] > 2 * 224 * 224, "a map of u2 and what is around it"
    assert rows["film_click"]["evaluations"] == 0
    assert "no pointerup" in rows["still"]["error"] and "did not arrive" in rows["wrong"]["error"]
    assert set(rows) == {"film_click", "still", "wrong"}, "no error of the page"
