"""What was measured, kept in build/bench.json after every cell, and the head that says on what."""
from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

import torch

FOLDER = Path("build")
PEERS = ("captum", "grad-cam", "saliency", "shap")


class Record:
    """Parts by name: "heart" and "full" hold cells by network and work, others what their commands put there."""

    def __init__(self, folder: Path = FOLDER):
        self.path = folder / "bench.json"
        self.parts: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def part(self, name: str) -> dict[str, Any]:
        """A part, made when it is not there."""
        return self.parts.setdefault(name, {})

    def save(self) -> None:
        """Write all of it, in one step: a run that is cut off leaves the last whole one."""
        self.parts["head"] = head()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self.path.with_suffix(".tmp")
        whole.write_text(json.dumps(self.parts, indent=1, default=float))
        os.replace(whole, self.path)

    def cells(self) -> dict[str, dict[str, Any]]:
        """Cells by network and work: of the full run where it measured them, else of the heart."""
        found: dict[str, dict[str, Any]] = {}
        for part in ("heart", "full"):
            for network, works in self.parts.get(part, {}).items():
                found.setdefault(network, {}).update(works)
        return found


def head() -> dict[str, Any]:
    """What was measured on, and with what."""
    versions = {}
    for name in PEERS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"date": date.today().isoformat(), "processor": _processor(), "cores": os.cpu_count(), "torch": torch.__version__,
            "threads": torch.get_num_threads(), "python": platform.python_version(), "peers": versions}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
