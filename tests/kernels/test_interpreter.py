"""Every kernel of Triton's under its interpreter, in a process of its own, which must ask for it before all imports."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CUDA


@pytest.mark.skipif(CUDA, reason="a CUDA device is there: the tests of Triton's kernels run on it")
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: no kernels of its to test")
def test_the_kernels_equal_their_references():
    here = Path(__file__).parent
    files = sorted(str(path) for path in here.glob("test_triton_*.py"))
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not gpu and not slow", *files],
                          cwd=here.parents[1], env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-2000:]
