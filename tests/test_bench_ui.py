"""The figures of `make bench-ui` from what a page noted: what is counted, and that nothing is measured on nothing."""
import json

import pytest

from .benchmarks.ui import keep, median
from .benchmarks.ui_controls import CONTROLS
from .benchmarks.ui_meter import Unseen, figures

DRAG = [["slid", 1000.0], ["map", 1100.0, "5 1"], ["bytes", 1090.0, 700], ["slid", 1250.0], ["map", 1300.0, "6 1"],
        ["map", 1320.0, "6 2"], ["slid", 1500.0], ["bytes", 1590.0, 300], ["map", 1600.0, "7 2"], ["map", 1900.0, "8 2"]]
FOUND = {"log": DRAG, "painted": "8 2", "stage": True, "panel": True, "forward": 65, "error": ""}


def test_a_drag_in_figures():
    got = figures(FOUND, "map", "slid", True)
    assert got == {"rate": 4.0, "events": 4.0, "first": 100.0, "delay": 400.0, "bytes": 1000, "evaluations": 65}


def test_a_click_has_no_rate_and_a_panel_waits_for_its_last_picture():
    log = [["panel", 50.0, 0], ["pointerup", 100.0], ["panel", 180.0, 0], ["panel", 230.0, 2], ["look", 110.0], ["look", 400.0]]
    found = {**FOUND, "log": log}
    assert figures(found, "panel", "pointerup", False) == {"delay": 130.0, "bytes": 0, "evaluations": 65}
    assert figures(found, "look", "pointerup", False)["delay"] == 10.0


def test_class_bars_are_there_when_they_stay():
    log = [["pointerup", 100.0], ["bars", 130.0, "old numbers, new ticks"], ["bars", 160.0, "new"], ["bars", 170.0, "longer"],
           ["bars", 190.0, "new"]]
    found = {**FOUND, "log": log, "bars": "new", "before": "old"}
    assert figures(found, "bars", "pointerup", False) == {"first": 30.0, "delay": 90.0, "bytes": 0, "evaluations": 65}
    with pytest.raises(Unseen, match="nothing new"):
        figures({**found, "bars": "new", "before": "new"}, "bars", "pointerup", False)


def test_the_drop_of_a_drawing_counts_from_the_first_move():
    log = [["dragged", 100.0], ["tag", 150.0, "7"], ["tag", 155.0, "7"], ["dragged", 180.0], ["tag", 190.0, "8"],
           ["dragged", 200.0], ["tag", 260.0, "9"], ["tag", 300.0, "10"]]
    assert figures({**FOUND, "log": log}, "tag", "dragged", True) == {
        "first": 50.0, "delay": 100.0, "rate": 20.0, "events": 20.0, "bytes": 0, "evaluations": 65}


@pytest.mark.parametrize("change, words", [
    ({"log": [e for e in DRAG if e[0] != "slid"]}, "no slid reached"), ({"log": DRAG[:1] + DRAG[-1:]}, "no drag"),
    ({"painted": "9 2"}, "nothing new"), ({"painted": "6 2"}, "before the last position"), ({"stage": False}, "looks as before"),
    ({"error": "no such layer"}, "no such layer")])
def test_what_did_not_answer_has_no_figures(change, words):
    with pytest.raises(Unseen, match=words):
        figures({**FOUND, **change}, "map", "slid", True)


def test_parts_of_a_run_are_merged_into_one_table(tmp_path):
    first, second = CONTROLS[3], CONTROLS[10]
    row = median(second, [{"delay": d, "bytes": 2500, "evaluations": 0, "rate": d / 10, "events": 30.0} for d in (80, 20, 50)])
    assert row["delay"] == 50 and row["rate"] == 5 and len(row["drags"]) == 3
    keep({"embedded": {second.name: row, "page": {"title": "the page", "error": "x"}}}, tmp_path)
    parts = keep({"embedded": {first.name: {"title": first.title, "error": "a | b"}}, "imagenet": {second.name: row}}, tmp_path)
    assert json.loads((tmp_path / "bench-ui.json").read_text()) == parts
    assert list(parts["networks"]["embedded"]) == [first.name, second.name], "in the order of the controls, an old failure gone"
    text = (tmp_path / "bench-ui.md").read_text()
    assert text.count(f"| {second.title} | 5.0 of 30/s | – | 50 ms | 2.5 kB | 0 |") == 2 and "**a / b**" in text
