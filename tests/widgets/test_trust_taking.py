"""When the trust panel takes its measures: what stops them, what stays theirs, what they cost, what a report is of."""
import inspect
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from saliency_widgets import Explorer, metrics, trust_plans
from saliency_widgets.metrics.changing import CHANGES
from saliency_widgets.metrics.invariance import CHECKS
from saliency_widgets.metrics.report import SHOWN
from saliency_widgets.trust_asking import frozen
from saliency_widgets.widgets.trust_words import read
from tests.explorers import LABELS
from tests.small import small, tensor
from tests.trusting import measured, reading

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("value, words", [(0.9, "nearly"), (0.5, "roughly"), (-0.1, "says little"), (-0.8, "wrong way round"),
                                          (float("nan"), "nothing can be said")])
def test_a_correlation_below_zero_or_none_is_not_read_as_good(value, words):
    measure = metrics.Measure("linear_estimate", value, "correlation", 4, None, (), {"drops": np.zeros(4)})
    assert words in read(measure)


def test_parameters_are_compared_by_content():
    def params(change=0.0, colour="red"):
        grounds = [torch.ones(3, 40, 40, dtype=torch.float64), np.ones((40, 40))]
        grounds[0][0, 20, 20] += change
        return {"backgrounds": grounds, "fill": Image.new("RGB", (4, 4), colour), "alpha": (0.0, 1.0), "more": {"a": 1}}

    assert frozen(params()) == frozen(params())
    assert frozen(params()) != frozen(params(change=1e-9)) and frozen(params()) != frozen(params(colour="blue"))
    assert hash(frozen(params())) == hash(frozen(params()))


@pytest.mark.parametrize("newer", ["a wish", "esc"])
def test_a_newer_wish_or_esc_stops_a_measure_at_once(ex, monkeypatch, newer):
    heard = []

    def sanity_check(session, method, *, target, params, ticket, on_progress, on_draft):
        while True:
            heard.append(on_progress(len(heard), 1000))
            if len(heard) == 5:
                if newer == "esc":
                    ex.cancel()
                else:
                    ex.target = (ex.target + 1) % 5
            ticket.check()
            assert len(heard) < 10, "nobody stopped it"

    monkeypatch.setattr(metrics, "sanity_check", sanity_check)
    ex.trust.show("sanity_check")
    assert ex.wait(60)
    assert len(heard) == 5 and "sanity_check" not in ex.trust.results
    assert reading(ex, "sanity_check").note.value.startswith("stopped")
    assert not reading(ex, "sanity_check").button.disabled
    assert ex.maps["grad_cam"].target == ex.target and ex.error == ""


class Held:
    """Stands for a metric that is in the middle of a batch until it is let go; it notes the settings that it hears."""

    def __init__(self, monkeypatch, name):
        self.real, self.began, self.go, self.calls = getattr(metrics, name), threading.Event(), threading.Event(), []
        monkeypatch.setattr(metrics, name, self.measure)

    def measure(self, session, map, *, fill="black", ticket=None, on_progress=None, on_draft=None):
        self.calls.append(fill)
        if len(self.calls) == 1:
            measure = self.real(session, map, fill=fill)
            on_draft(measure)
            self.began.set()
            assert self.go.wait(30)
            return measure
        return self.real(session, map, fill=fill, ticket=ticket)


@pytest.mark.parametrize("newer", ["a class", "esc"])
@pytest.mark.parametrize("asked", ["road", "deletion"])
def test_what_was_stopped_leaves_alone_what_was_asked_for_since(ex, monkeypatch, newer, asked):
    held = Held(monkeypatch, "deletion")
    ex.trust.show("deletion")
    assert held.began.wait(30)
    if newer == "esc":
        ex.cancel()
    else:
        ex.target = (ex.target + 1) % 5
    ex.trust.show(asked)
    held.go.set()
    assert ex.wait(60) and ex.error == ""
    assert asked in ex.trust.results and len(held.calls) == 1 + (asked == "deletion" and newer != "esc")
    assert not reading(ex, asked).button.disabled and "stopped" not in reading(ex, asked).note.value


def test_a_setting_changed_meanwhile_is_another_measures(ex, monkeypatch):
    held = Held(monkeypatch, "deletion")
    ex.trust.show("deletion", fill="black")
    assert held.began.wait(30)
    ex.trust.fill = "mean"
    own = reading(ex, "deletion")
    assert ", black" in own._said["stale"] and not own.button.disabled, "the draft is of black"
    ex.trust.measure("deletion")
    ex.trust.measure("deletion")
    assert own.button.disabled
    held.go.set()
    assert ex.wait(60) and held.calls == ["black", "mean"]
    mean = ex.trust.results["deletion"]
    ex.trust.fill = "black"
    assert ex.trust.results["deletion"].details["fill"] == "black" != mean.details["fill"]


def test_all_parts_of_a_measure_have_the_settings_that_it_began_with(ex, monkeypatch):
    heard = []

    def invariance(session, method, change, **rest):
        ex.trust.change = "blur"
        return metrics.Measure("invariance", 1.0, "px", 1, None, (), {"theta": 2.0})

    ex.trust.change = "shift"
    asked = replace(ex.trust._asked("invariance"), images=[1, 2])
    monkeypatch.setattr(metrics, "invariance", invariance)
    monkeypatch.setattr(metrics, "change_rule", lambda session, pictures, change, theta: heard.append((pictures, change)))
    asked.measure(ex.session)
    assert heard == [([1, 2], "shift")] and ex.trust.change == "blur"


@pytest.mark.parametrize("where", ["plan", "price"])
def test_an_error_of_ours_leaves_nothing_waiting(ex, monkeypatch, where):
    ex.trust.choose("deletion")
    ex.trust.open = True

    def broken(*_):
        if threading.current_thread() is ex._worker._thread:
            raise RuntimeError("out of paper")
        return None if where == "plan" else ""

    with monkeypatch.context() as patch:
        patch.setattr(trust_plans, where, broken)
        ex.trust.measure("deletion")
        assert ex.wait(60)
    assert ex.trust._queue == [] and ex.trust._running is None
    assert "out of paper" in ex.error + reading(ex, "deletion").note.value
    assert "road" in measured(ex, "road")


def test_several_measures_are_taken_one_after_the_other(ex):
    ex.trust.open = True
    ex.trust.measure("road", "deletion")
    ex.trust.measure("insertion", "road")
    assert ex.wait(60) and set(ex.trust.results) == {"road", "deletion", "insertion"}


def test_several_pictures_tell_the_error_rate_of_the_rule():
    ex = Explorer(small(), [tensor(), tensor(seed=1)], LABELS)
    assert ex.wait(60)
    measure = measured(ex, "invariance", change="brighten")["invariance"]
    assert measure.details["over"].details["wrong"].shape[0] == 2
    assert "over the 2 pictures here" in reading(ex, "invariance").words.value
    ex.close()


def test_prices_know_the_settings_that_the_metrics_have():
    usual = {name: {p.name: p.default for p in inspect.signature(getattr(metrics, name)).parameters.values()}
             for name in ("deletion", "infidelity", "sensitivity_max")}
    assert trust_plans.POINTS == usual["deletion"]["points"]
    assert trust_plans.ORDERS == 1 + usual["deletion"]["edges"] + usual["deletion"]["random"]
    assert trust_plans.DRAWS == {name: usual[name]["n"] for name in trust_plans.DRAWS}
    assert trust_plans.CHECKS == CHECKS
    assert trust_plans.REPORT["sanity_check"] == SHOWN and trust_plans.REPORT["changes"] == len(CHANGES)


def test_prices_count_what_is_taken():
    ex = Explorer(small(), [tensor(), tensor(seed=1), tensor(seed=2)], LABELS, method="gradient")
    assert ex.wait(60)
    map, session = ex.maps["gradient"], ex.session
    planned = trust_plans.plan(ex, "invariance", map)[0]
    assert planned == 8 * 2 + 16 + 17 * 3
    before = session.stats.forward_samples + session.stats.backward_samples
    measure = measured(ex, "invariance", change="blur")["invariance"]
    taken = session.stats.forward_samples + session.stats.backward_samples - before
    assert len(measure.details["amounts"]) == trust_plans.AMOUNTS and measure.details["over"].details["wrong"].shape == (3, 16)
    assert taken <= 2 * planned, "a gradient is a pass there and one back"
    ex.close()


def test_a_report_takes_the_shown_maps_and_says_what_it_leaves_out(ex, monkeypatch):
    written = []
    monkeypatch.setattr(metrics, "report", lambda session, methods, path, **rest: written.append((methods, rest)) or path)
    ex.method = "smoothgrad" if "smoothgrad" in ex.params else "integrated_gradients"
    assert ex.wait(60)
    name = ex.method
    numbers = {k: v for k, v in ex.params[name].values().items() if k in ("steps", "samples", "n")}
    knob, value = next(iter(numbers.items()))
    ex.pin()
    setattr(ex.params[name], knob, value + 1)
    assert ex.wait(60)
    shown = dict(ex.maps[name].params)
    ex.trust.open = True
    ex.trust.panel.report.click()
    assert "without" in ex.trust.panel.said.value and "has a method once" in ex.trust.panel.said.value
    ex.trust.report("page.html")
    (methods, rest), = written
    assert set(methods) == {name, "grad_cam"} and methods[name] == shown and shown[knob] == value + 1
    assert rest["target"] == ex.maps[name].target


def test_what_begins_anew_says_so(ex):
    ex.trust.open = True
    with ex._lock:
        ex.trust._queue[:] = ["sanity_check", "report", "road"]
        for tab in ("sanity_check", "noise"):
            ex.trust.choose(tab)
        ex.trust.stop()
    assert reading(ex, "sanity_check").note.value == "stopped; ask again to measure it"
    assert ex.trust.panel.said.value == "stopped; ask again to write it"
    assert "nothing of it is lost" in reading(ex, "road").note.value
