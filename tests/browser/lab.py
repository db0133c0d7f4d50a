"""A JupyterLab of our own for the browser tests: private settings, a free port, and a kernel that runs this checkout."""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KERNEL = "checkout"
QUIET = {  # nothing pops up over the notebook
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


class Lab:
    """JupyterLab on 127.0.0.1, started once, ended by its own process id. One kernel serves all notebooks.

    A notebook joins the kernel that already has torch in memory: each test makes its own Explorer in it.
    """

    def __init__(self, folder: Path):
        self.folder, self.notebooks = folder, folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        env = self._environment()
        self._log = open(folder / "lab.log", "wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
             f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
             "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True",
             f"--ServerApp.root_dir={self.notebooks}"],
            env=env, cwd=self.notebooks, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self._count = 0
        try:
            self._wait_until_up(90)
            self.kernel = self.ask("POST", "/api/kernels", {"name": KERNEL})["id"]
        except BaseException:
            self.close()
            raise

    def _environment(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY_"))}
        for kind in ("CONFIG", "DATA", "RUNTIME"):
            place = self.folder / kind.lower()
            place.mkdir()
            env[f"JUPYTER_{kind}_DIR"] = str(place)
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        spec = self.folder / "data" / "kernels" / KERNEL
        spec.mkdir(parents=True)
        (spec / "kernel.json").write_text(json.dumps({
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": KERNEL, "language": "python", "env": {"PYTHONPATH": env["PYTHONPATH"]}}))
        settings = self.folder / "config" / "labconfig"
        settings.mkdir()
        (settings / "default_setting_overrides.json").write_text(json.dumps(QUIET))
        return env

    def _wait_until_up(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                self.ask("GET", "/api/status")
                return
            except (urllib.error.URLError, ConnectionError):
                if self._process.poll() is not None or time.monotonic() > end:
                    said = (self.folder / "lab.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"JupyterLab did not come up on port {self.port}:\n{said}") from None
                time.sleep(0.1)

    def ask(self, verb: str, path: str, content: object = None) -> dict:
        """One request to the server's REST interface."""
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=verb)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    def write(self, cells: list[str]) -> str:
        """A notebook of code cells that is connected to the kernel; returns its name."""
        self._count += 1
        name = f"test-{self._count}.ipynb"
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": KERNEL, "display_name": KERNEL}},
                    "cells": [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": [], "execution_count": None,
                               "source": source} for i, source in enumerate(cells)]}
        (self.notebooks / name).write_text(json.dumps(notebook))
        self.ask("POST", "/api/sessions", {"path": name, "name": name, "type": "notebook", "kernel": {"id": self.kernel}})
        return name

    def close(self) -> None:
        """End the server, which ends its kernel."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._log.close()


@contextmanager
def running() -> Iterator[Lab]:
    """A JupyterLab in a folder of its own while inside; both are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sw-lab-"))
    try:
        lab = Lab(folder)
        try:
            yield lab
        finally:
            lab.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
