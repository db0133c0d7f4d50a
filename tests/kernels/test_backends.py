"""Which backend is taken, what refusals say, and that nothing imports Triton before it is used."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from saliency_widgets import kernels
from saliency_widgets.kernels import choose, reference

ROOT = Path(__file__).parents[2]
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
HERE = importlib.util.find_spec("triton") is not None


def python(code):
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def missing(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "triton" else real(name, *rest))


def test_auto_takes_torch_on_a_cpu(monkeypatch):
    assert choose("auto", CPU) == ("torch", reference)
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # slow: only for those who name it
    assert choose("auto", CPU)[0] == "torch" and choose("auto", CUDA)[0] == "torch"


def test_refusals_say_why_and_what_to_do(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="choose one of auto, torch, triton"):
        choose("cuda-magic", CPU)
    if HERE:
        with pytest.raises(ValueError, match="cannot run on cpu.*CUDA device.*TRITON_INTERPRET=1"):
            choose("triton", CPU)
    missing(monkeypatch)
    with pytest.raises(ValueError, match='not installed.*backend="torch"'):
        choose("triton", CUDA)
    assert choose("auto", CUDA) == ("torch", reference)


@pytest.mark.skipif(not HERE, reason="Triton is not installed")
def test_what_cannot_compile_is_refused_in_words_and_passed_by_unasked(monkeypatch):
    """As where no C compiler is found, which Triton needs to start its kernels."""
    import saliency_widgets.kernels.triton as backend
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(backend, "refusal", lambda device: f"Triton cannot run on {device} (RuntimeError: no C compiler)")
    assert choose("auto", CUDA) == ("torch", reference)
    with pytest.raises(ValueError, match="no C compiler"):
        choose("triton", CUDA)
    monkeypatch.setattr(backend, "refusal", lambda device: "")
    name, module = choose("auto", CUDA)
    assert name == "triton" and module is backend and kernels.BACKENDS["triton"][2](CUDA)


@pytest.mark.skipif(not HERE, reason="Triton is not installed")
def test_a_refusal_is_kept_unless_memory_was_full(monkeypatch):
    import saliency_widgets.kernels.triton as backend
    monkeypatch.setattr(backend, "_refusals", {})
    errors, asked = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("no C compiler")], []

    def full(*shape, device):
        asked.append(device)
        raise errors[min(len(asked), 2) - 1]

    monkeypatch.setattr(torch, "zeros", full)
    assert "out of memory" in backend.refusal(CUDA) and "no C compiler" in backend.refusal(CUDA)
    assert "no C compiler" in backend.refusal(CUDA) and len(asked) == 2


def test_every_kernel_replaces_a_function_of_the_reference():
    import saliency_widgets.kernels.triton as backend
    assert set(backend.HOMES) <= set(dir(reference))
    folder = Path(backend.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {*backend.HOMES.values(), "launch", "__init__"}
    assert not set(backend.HOMES) & set(backend.HOMES.values())  # importing a file must not hide a function


def test_nothing_imports_triton_before_it_is_used():
    assert python("""
import sys
import saliency_widgets as sw
from saliency_widgets import kernels
import saliency_widgets.kernels.triton
from tests.small import small, tensor
session = sw.Session(small(), tensor())
session.map("integrated_gradients", steps=8), session.map("leave_one_out"), session.map("grad_cam")
sw.Explorer
print(session.backend_name, sorted(name for name in sys.modules if name.split(".")[0] == "triton"))
""").split("\n")[0] == "torch []"


def test_the_package_works_without_triton():
    out = python("""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named {name!r}", name="triton")

sys.meta_path.insert(0, Blocked())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "triton" else real(name, package)
import saliency_widgets as sw
from tests.small import small, tensor
session = sw.Session(small(), tensor())
print(session.backend_name, session.map("integrated_gradients", steps=8).values.shape)
try:
    sw.Session(small(), tensor(), backend="triton")
except ValueError as error:
    print(error)
""").splitlines()
    assert out[0].startswith("torch (") and "not installed" in out[1] and 'backend="torch"' in out[1]


def test_the_status_line_names_the_backend(ex):
    assert ex.session.backend_name == "torch" and " · torch" in ex.face.status.text.value
