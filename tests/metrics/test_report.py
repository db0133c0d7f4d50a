"""The report: a page that needs nothing else, says what was measured, and why the rest was not."""
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from saliency_widgets import Session
from saliency_widgets.metrics import agreement, deletion, report, sanity_check
from saliency_widgets.metrics.measure import Measure
from saliency_widgets.metrics.report import METRICS, gather
from saliency_widgets.metrics.report_figures import Line, chart, overlay, ticks
from saliency_widgets.metrics.report_page import COLUMNS, page
from tests.small import small, tensor

judging = sys.modules["saliency_widgets.metrics.report"]  # the package has a function of that name
METHODS = {"gradient": {}, "grad_cam": {}, "guided_backprop": {}, "integrated_gradients": {"steps": 8}}
MASK = np.zeros((32, 32), bool)
MASK[4:20, 6:22] = True


@pytest.fixture(scope="module")
def session():
    return Session(small(), tensor(), ["a", "b", "<c>", "d", "e"], target=2, mean=(0,) * 3, std=(1,) * 3)


@pytest.fixture(scope="module")
def written(session, tmp_path_factory):
    """The whole report, and what was told on the way."""
    told = []
    path = report(session, METHODS, tmp_path_factory.mktemp("report") / "trust.html", mask=MASK,
                  settings={"deletion": {"points": 5, "random": 1}}, on_progress=lambda *a: told.append(a))
    return path.read_text(encoding="utf-8"), told


class Reader(HTMLParser):
    """Collects tags with their attributes and finds ends without a beginning."""

    VOID = {"meta", "img", "line", "circle", "polyline", "polygon", "br", "!doctype"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in ("polyline", "polygon", "circle", "line"):
            return
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_the_page_stands_alone(written):
    text, told = written
    reader = read(text)
    assert "script" not in {tag for tag, _ in reader.tags} and "link" not in {tag for tag, _ in reader.tags}
    assert not re.search(r"https?://|url\(|@import", text)
    images = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert len(images) > 20 and all(a["src"].startswith("data:image/png;base64,") and "alt" in a for a in images)
    policies = [a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "prefers-color-scheme: dark" in text and "NaN" not in text and ">nan" not in text
    assert told[-1][0] == told[-1][1] and all(a <= b for a, b in told)


def test_every_question_has_its_section_and_its_numbers(written, session):
    text, _ = written
    words = " ".join(read(text).words)
    for title in ("In numbers", "Does the score follow the map?", "Does the map tell of the network?", "Does it hold still?",
                  "Do they agree?", "How far does the gradient go?", "What the numbers mean"):
        assert title in words
    assert "&lt;c&gt;" in text and "<c>" not in text  # a label is no tag
    value = deletion(session, session.map("gradient"), fill="blur", points=5, random=1).value
    assert f"{value:.3g}" in words
    mean = agreement([session.map(name, **params) for name, params in METHODS.items()]).value
    assert f"The mean over pairs is {mean:.2g}".replace("-", "−") in words
    said = [sanity_check(session, name, params=params).details["passes"] for name, params in METHODS.items()]
    assert words.count("hardly changes") >= said.count(False)
    assert "promises no sum" in words and "asks for a value for each number of the input" in words
    assert "arXiv 1810.03292" in words


def test_only_what_is_asked_for_is_measured(session):
    session.map("gradient")
    session.stats.reset()
    found = gather(session, ["gradient"], metrics=["energy"], mask=MASK)
    assert session.stats.forward_samples == 0 and list(found.judged[0].measures) == ["energy"]
    text = page(found)
    assert "Energy inside" in text and "Does it hold still?" not in text and "Do they agree?" not in text
    assert "Pointing game" not in page(gather(session, ["gradient"], metrics=["deletion"], settings={"deletion": {"points": 3}}))
    assert "pointing_game" not in gather(session, ["gradient"], metrics=None, settings={
        "deletion": {"points": 3, "random": 0}, "insertion": {"points": 3, "random": 0}}).metrics


def test_refusals_name_what_cannot_be_had(session, tmp_path):
    path = tmp_path / "r.html"
    for methods, keywords, error, words in (
            (["gradient"], {"metrics": ["energy"]}, ValueError, "energy cannot be had without mask="),
            (["gradient"], {"metrics": ["beauty"]}, ValueError, "no metric 'beauty'.*sanity_check"),
            (["gradient"], {"metrics": []}, ValueError, "choose from completeness"),
            (["gradient"], {"settings": {"beauty": {}}}, ValueError, "beauty; there are"),
            ("gradient", {}, TypeError, "a list of names"), ([], {}, ValueError, "one method at least"),
            (["gradients"], {}, LookupError, "did you mean 'gradient'"),
            (["gradient"], {"mask": MASK[:8]}, ValueError, "got shape")):
        with pytest.raises(error, match=words):
            report(session, methods, path, **keywords)
    with pytest.raises(ValueError, match="end 'r.txt' in .html"):
        report(session, ["gradient"], tmp_path / "r.txt")
    assert not path.exists() and len(METRICS) == 12


def test_what_cannot_be_had_of_one_metric_costs_nothing_of_the_others(session, monkeypatch, tmp_path):
    def refusing(of, keep=()):
        def metric(*args, **keywords):
            if any(word in args for word in keep):
                return of(*args, **keywords)
            raise ValueError("cannot be <had>")
        return metric

    settings = {"invariance": {"amounts": (1,), "checks": 0}}
    metrics = ["energy", "pointing_game", "invariance", "agreement"]
    methods = ["gradient", "gradient_x_input"]
    for name in ("energy", "agreement"):
        monkeypatch.setattr(judging, name, refusing(getattr(judging, name)))
    monkeypatch.setattr(judging, "invariance", refusing(judging.invariance, keep=("shift",)))
    found = gather(session, methods, metrics=metrics, mask=MASK, settings=settings)
    for judged in found.judged:
        assert set(judged.changes) == {"shift"} and set(judged.measures) == {"pointing_game"}
        assert set(judged.lack) == {"energy", "invariance (rotate)", "invariance (blur)", "invariance (brighten)"}
    assert found.lack == {"agreement": "cannot be <had>"}
    text = page(found)
    words = " ".join(read(text).words)
    assert "Largest change, in px, at which" in words and "Largest change, in °" not in words
    assert "has no invariance (rotate): cannot be <had>" in words and "has no energy inside: cannot be <had>" in words
    monkeypatch.setattr(judging, "invariance", refusing(judging.invariance))
    text = page(gather(session, methods[:1], metrics=["invariance"], settings=settings))
    assert "has no invariance (brighten): cannot" in text and "Does it hold still?" not in text


@pytest.mark.parametrize("share, words", [(1.234, "+123 %"), (-0.1249, "−12 %"), (0.0996, "+10 %"), (-0.0123, "−1.2 %"),
                                          (0.00012, "+0.012 %"), (0.0, "0 %"), (37.5, "+3750 %")])
def test_a_residual_is_a_plain_number_of_per_cent(share, words):
    assert COLUMNS["completeness"].write(Measure("completeness", share, "share", 1)) == words


def test_a_forward_only_model_gets_what_it_can_have(tmp_path):
    black_box = Session(lambda x: x.mean((2, 3)).numpy(), tensor(), mean=(0,) * 3, std=(1,) * 3)
    path = report(black_box, {"leave_one_out": {"grid": 2}}, tmp_path / "r.html",
                  metrics=["sanity_check", "linear_estimate", "road"])
    text = path.read_text(encoding="utf-8")
    assert "give the network itself" in text and "needs gradients" in text and "ROAD" in text


def test_figures_are_drawn_to_scale():
    text = chart([Line([0, 1], [0, 2], "up", "c0")], ("x", "y"), "a line")
    (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in re.search(r'points="([^"]+)"', text).group(1).split())
    assert x1 < x2 and y1 > y2 and 'aria-label="a line; y over x"' in text
    assert ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1] and ticks(-0.3, 0.3) == [-0.2, 0, 0.2] and ticks(1, 1) == [1]
    session = Session(small(), tensor())
    drawn = overlay(session.map("gradient"), session.picture.shown)
    assert drawn.shape == (32, 32, 3) and drawn.dtype == np.uint8 and np.ptp(drawn) > 50
