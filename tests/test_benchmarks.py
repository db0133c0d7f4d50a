"""The benchmark code itself, on a small picture and for one round: times are never looked at, maps and tables are."""
import json
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from .benchmarks.__main__ import measure, report
from .benchmarks.adaptive import errors
from .benchmarks.cases import Case
from .benchmarks.compare import compare
from .benchmarks.masked import Masked
from .benchmarks.measure import Contender, Patience, cosine, interleave, peak
from .benchmarks.peers import Peer
from .benchmarks.record import Record
from .benchmarks.suite import HEART, WORKS, Row, Work

pytest.importorskip("torchvision")
ONCE = Patience(0.0, float("inf"))  # one round whatever it takes
# What a library gives for another map than ours is told in `remark`; every other one must agree.
FEW = ("gradient", "guided_backprop", "integrated_gradients", "alpha_window", "smoothgrad", "blur_ig_pair", "grad_cam",
       "grad_cam_layers", "occlusion")


@pytest.fixture(scope="module")
def case():
    return Case("squeezenet1_1", 64)


@pytest.mark.parametrize("name", FEW)
def test_ours_and_the_peers_do_the_same(case, name):
    pytest.importorskip("captum", reason="pip install captum")
    for row in compare(case, WORKS[name], ONCE):
        ran = {peer: facts for peer, facts in row["others"].items() if "ratio" in facts}
        missing = {p.name for p in WORKS[name].peers if p.missing}
        assert {p.name for p in WORKS[name].peers} - missing <= set(ran)
        assert all(facts["same"] for facts in ran.values()), row


def test_a_map_of_another_rule_is_told_to_be_another(case):
    pytest.importorskip("saliency", reason="pip install saliency")
    (row,) = compare(case, WORKS["blur_ig"], ONCE)
    assert not row["others"]["PAIR"]["same"] and row["others"]["PAIR"]["remark"]


def test_what_follows_a_leave_one_out_map_is_the_peers_map_too(case):
    pytest.importorskip("captum", reason="pip install captum")
    whole, edited, other = compare(case, WORKS["leave_one_out"], Patience(0.0))
    assert [row["others"]["captum"]["same"] for row in (whole, edited, other)] == [True] * 3
    assert whole["ours"]["forward"] == 14 * 14 + 1 and other["ours"]["forward"] == 0


def test_the_next_window_evaluates_nothing_and_twice_the_steps_only_the_new_points(case):
    pytest.importorskip("captum", reason="pip install captum")
    (window,), (twice,) = (compare(case, WORKS[name], ONCE) for name in ("alpha_window", "twice_the_steps"))
    assert window["ours"]["forward"] == 0 and twice["ours"]["backward"] == 50


def test_a_peer_that_fails_or_is_missing_is_left_out_with_the_reason(case):
    def fail(*_):
        raise RuntimeError("It cannot. And more words")

    work = Work("w", "nothing", (Row("w", "w", lambda case, turn: np.ones(3)),), (
        Peer("failing", "torch", fail), Peer("absent", "no_such_package_here", fail),
        Peer("there", "torch", lambda *_: 2 * np.ones(3))))
    (row,) = compare(case, work, ONCE)
    assert row["others"]["failing"]["skipped"] == "RuntimeError: It cannot"
    assert "no_such_package_here" in row["others"]["absent"]["skipped"]
    assert row["others"]["there"]["cosine"] == pytest.approx(1)


def test_masked_forwards_and_full_ones_give_the_same_scores(case):
    from saliency_widgets import regions
    from saliency_widgets.model.folded import folded

    fast, reason = folded(case.model, case.x)
    assert fast is not None, reason
    masked = Masked(fast, case.x, *regions.cells(case.size, regions.windows(case.size, (16, 16), (8, 8))[0]))
    ours, full = masked.ours().numpy(), masked.full(4).numpy()
    assert ours.shape[0] == 49 and full.shape[0] == 24
    np.testing.assert_allclose(ours[:24], full, atol=1e-4 * np.abs(full).max())
    np.testing.assert_allclose(masked.through(case.session).numpy(), ours, atol=1e-4 * np.abs(ours).max())
    mine, facts = masked.against_full(masked.ours, Patience(0.0))
    assert facts["rounds"] == len(mine.seconds) == 3 and facts["cosine"] > 0.999
    assert facts["median"] == pytest.approx(facts["ratio"] * mine.median)


def test_the_adaptive_rule_is_compared_with_uniform_steps(case):
    found = errors(case.session, finest=64)
    limits = [row["error"] for row in found["uniform"].values()]
    assert list(found["uniform"]) == ["8", "16", "32", "64", "128"] and limits[:4] == sorted(limits[:4], reverse=True)
    assert limits[3] == 0 and 8 < found["uniform"]["8"]["adaptive"] <= 17
    assert found["adaptive"][-1][0] <= 129


def test_rounds_are_interleaved_and_end():
    order, patience = [], Patience(0.0)
    contenders = [Contender(name, lambda turn, name=name: order.append(name)) for name in "ab"]
    interleave(contenders, patience)
    assert order == ["a", "b"] * 3 and all(len(c.seconds) == 3 for c in contenders)
    many = [Contender("c", lambda turn: None)]
    interleave(many, Patience(float("inf")))
    assert len(many[0].seconds) == 7
    once = [Contender("e", lambda turn: None), Contender("f", lambda turn: None, once=True)]
    interleave(once, patience)
    assert [len(c.seconds) for c in once] == [3, 1]
    slow = [Contender("d", lambda turn: time.sleep(0.01))]
    interleave(slow, Patience(0.001, time.monotonic() + 60))
    assert len(slow[0].seconds) == 1


def test_the_peak_of_a_piece_of_work_is_what_it_held_at_most():
    with peak() as memory:
        held = np.ones(20 << 20, np.uint8)
        del held
    if memory.mib is None:
        pytest.skip("the system does not tell a process's peak")
    assert 19 < memory.mib < 40


def test_maps_are_compared_up_to_a_factor():
    ours = np.arange(6.0).reshape(1, 2, 3)
    assert cosine(ours, 51 / 50 * ours) == pytest.approx(1) and cosine(ours, -ours) == pytest.approx(-1)
    assert cosine(ours, 0 * ours) == 0 and cosine(0 * ours, 0 * ours) == 1
    with pytest.raises(ValueError, match="cannot be compared"):
        cosine(ours, ours[..., :2])


def test_cells_are_kept_one_by_one_and_shown_in_tables_and_a_plot(tmp_path, capsys):
    pytest.importorskip("captum", reason="pip install captum")
    record = Record(tmp_path)
    assert measure(record, "heart", [("squeezenet1_0", "gradient"), ("squeezenet1_0", "memory")], ONCE, 64) == []
    left = measure(record, "heart", [("squeezenet1_0", "deeplift")], Patience(0.0, time.monotonic() - 1), 64)
    assert left == ["squeezenet1_0 deeplift"] and "captum" in capsys.readouterr().out
    again = Record(tmp_path)
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert kept["head"]["threads"] > 0 and set(again.cells()["squeezenet1_0"]) == {"gradient", "memory"}
    rows = {"64": {"error": 0.05, "adaptive": 41}, "128": {"error": 0.02, "adaptive": None}}
    again.part("adaptive")["coffee"] = {"uniform": rows}
    again.part("zoo").update(alexnet={"incremental": True, "estimated": 2.4, "ratio": 1.6, "windows": 169},
                             vit_l_32={"incremental": False, "reason": "full"},
                             regnet_y_128gf={"incremental": True, "estimated": 1.3})
    report(again, tmp_path)
    text = (tmp_path / "bench.md").read_text()
    assert "| squeezenet1_0 |" in text and "captum" in text and "bench.svg" in text and "200 steps" in text
    assert "| coffee | 64 | 0.050 | 41 evaluations |" in text and "more than 128" in text
    assert "The least ratio is 1.60×, on alexnet." in text
    assert "| regnet_y_128gf | incremental | 1.30× | by the choice alone |" in text
    texts = [e.text for e in ElementTree.parse(tmp_path / "bench.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "squeezenet1_0" in texts and any(t.endswith("×") and "." in t for t in texts)


def test_the_full_run_replaces_the_heart_in_the_tables(tmp_path):
    record = Record(tmp_path)
    record.part("heart")["resnet18"] = {"gradient": 1, "occlusion": 2}
    record.part("full")["resnet18"] = {"gradient": 3}
    assert record.cells() == {"resnet18": {"gradient": 3, "occlusion": 2}}


def test_latencies_of_a_drag_are_told_beside_what_to_aim_for(tmp_path, capsys):
    from .benchmarks import gpu

    assert gpu.main(["--device", "cpu", "--quick", "--folder", str(tmp_path)]) == 0
    text = (tmp_path / "bench-gpu.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    lines = text.partition("| | ours |")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    table = {cells[0]: cells[1:] for cells in rows}
    assert set(gpu.TARGETS) <= set(table) and all(table[name][0].endswith(" ms") for name in gpu.TARGETS)
    assert table["another α window"][2] == "0 / 0" and table["one edited region"][2] == "2 / 0"
    assert table["leave-one-out, 14 × 14"][2] == "197 / 0" and table["Integrated Gradients, 64 steps"][2] == "65 / 65"
    assert table["Grad-CAM of all layers"][2] == table["gradient"][2] == "1 / 1"
    assert "| captum |" in text or "captum is not installed" in text


def test_edits_of_a_drag_are_all_different(case):
    from .benchmarks.gpu import edited

    assert len({edited(case, turn).tobytes() for turn in range(60)}) == 60


def test_what_a_benchmark_of_a_device_lacks_is_told(monkeypatch, capsys):
    import torch

    from .benchmarks import gpu

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 0 and "no CUDA device" in capsys.readouterr().out
    assert gpu.missing("cpu") == ""


def test_the_heart_names_works_that_there_are():
    from .benchmarks.own import OWN

    assert {work for _, work in HEART} <= {*WORKS, *OWN} and len(set(HEART)) == len(HEART)
    names = [row.name for work in WORKS.values() for row in work.rows]
    assert len(set(names)) == len(names) and all(work.rows[0].name == name for name, work in WORKS.items())
