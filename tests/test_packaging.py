"""What pip installs is whole: front end, weights, and an import that needs neither Node nor torchvision."""
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="pip install hatchling")
    out = tmp_path_factory.mktemp("wheel")
    # A PATH without Node: the committed bundle is what gets packed.
    bare = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])}
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-q", "-w", str(out)],
                   check=True, env=bare)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_bundle_and_weights_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("static/explorer.js", "static/explorer.css", "static/loader.js", "static/page.js", "static/page.css",
                   *(f"demo/{name}.safetensors" for name in ("demo", "corner_mark", "background"))):
        assert f"saliency_widgets/{needed}" in names
    assert all(n.startswith(("saliency_widgets/", "saliency_widgets-")) for n in names)
    assert not any("node_modules" in n or n.startswith("tests") for n in names)


def test_the_installed_wheel_opens_an_explorer(wheel, tmp_path):
    target = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)], check=True)
    code = (
        "import saliency_widgets as sw, pathlib\n"
        f"assert pathlib.Path(sw.__file__).is_relative_to({str(target)!r}), sw.__file__\n"
        "ex = sw.Explorer(*sw.demo())\n"
        "assert ex.wait(120) and not ex.error, ex.error\n"
        "assert len(ex.face.stage.canvas.bundle.script) > 10_000 and 'saliencyWidgets' in ex.face.stage.canvas._esm\n"
        "assert ex.maps['grad_cam'].values.any()\n"
        "ex.close()\n")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)})


def test_a_torchvision_that_cannot_be_imported_is_said_only_where_it_is_needed():
    code = (
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torchvision':\n"
        "            raise RuntimeError('operator torchvision::nms does not exist')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "import saliency_widgets as sw\n"
        "model, picture, labels = sw.demo()\n"
        "assert sw.explain(model, picture, 'grad_cam', labels=labels).values.any()\n"
        "ex = sw.Explorer(model, picture, labels)\n"
        "assert ex.wait(120) and not ex.error, ex.error\n"
        "ex.close()\n")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_path_of_one_machine_and_no_registry_host():
    lock = (ROOT / "js" / "package-lock.json").read_text()
    assert "resolved" not in lock and "omit-lockfile-registry-resolved=true" in (ROOT / "js" / ".npmrc").read_text()
