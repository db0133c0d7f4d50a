"""Every kernel through Triton's compiler to machine code, which needs no device: what the interpreter lets pass stops here."""
import importlib
import importlib.util
import os

import pytest
import torch

from .tensors import drawn
from .test_triton_maps import differences

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="Triton was imported for its interpreter"),
]
TARGETS = (80, 90)


def calls(dtype):
    """Each kernel's function, in the forms in which engine and methods meet it."""
    from saliency_widgets.kernels import triton as kernels
    image, cpu = drawn((3, 32, 32), dtype), torch.device("cpu")
    labels, sets = torch.zeros(32, 32, dtype=torch.int64), torch.zeros(2, 4, dtype=torch.bool)
    frames, layer = [image, image + 1], drawn((2, 16, 8, 8), dtype)
    maps = image if dtype != torch.float64 else image.float()
    for channels_last in (False, True):
        yield lambda last=channels_last: kernels.lerp(image, image, torch.ones(2, dtype=dtype), last)
        yield lambda last=channels_last: kernels.without_regions(image, image, labels, sets, last)
        yield lambda last=channels_last: kernels.noisy(image, 0.5, 1, [0, 1], last)
        yield lambda last=channels_last: kernels.gaussian_blurs(image, [0.0, 2.0], last)
    yield lambda: kernels.normal(1, 2, (3, 32, 32), dtype, cpu)
    yield lambda: (kernels.philox(1, 2, 64, cpu), kernels.uniform(1, 2, 64, cpu))
    for given in (frames, torch.stack(frames)):
        for reduce in (None, "sum", "abs_max"):
            yield lambda given=given, reduce=reduce: kernels.weighted_sum(given, [1.0, 2.0], image, reduce)
        yield lambda given=given: kernels.slopes(given, image)
        yield lambda given=given: kernels.prefix_sums(given, [0.0, 1.0])
    for order in (layer, layer.contiguous(memory_format=torch.channels_last)):
        for positive in (False, True):
            yield lambda order=order, positive=positive: kernels.cam(order, order, positive)
            yield lambda order=order, positive=positive: kernels.cams([order, order], [order, order], positive)
    for word in ("relu", "relu6", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh"):
        yield lambda word=word: kernels.activation_delta(*differences(cpu, dtype, (2, 64, 3, 4)), word)
    yield lambda: kernels.pasted(layer[:1], layer, torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    yield lambda: kernels.tone_limits(maps, 992)
    for steps in (torch.uint8, torch.uint16):
        yield lambda steps=steps: kernels.tones(maps, torch.ones(3, 2), steps)


def compiler(target, seen):
    """What takes the place of a launch: the same specialisation of the same arguments, as far as machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, make_backend
    from triton.runtime.jit import create_function_from_signature
    gpu = GPUTarget("cuda", target, 32)
    backend = make_backend(gpu)

    def launch(kernel, programs, like, *args, **options):
        options = {"enable_fp_fusion": False} | options
        bound, specialization, rest = create_function_from_signature(kernel.signature, kernel.params, backend)(
            *args, debug=False, **options)
        chosen, signature, constants, attributes = kernel._pack_args(backend, rest, bound, specialization, rest)
        made = triton.compile(ASTSource(kernel, signature, constants, attributes), target=gpu, options=chosen.__dict__)
        assert programs > 0 and made.asm["cubin"]
        seen.setdefault(kernel.__name__, []).append(made)

    return launch


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_every_kernel_compiles(monkeypatch, tmp_path, target, dtype):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import saliency_widgets.kernels.triton as backend
    seen = {}
    for file in {*backend.HOMES.values(), "launch"}:
        module = importlib.import_module(f"{backend.__name__}.{file}")
        monkeypatch.setattr(module, "launch", compiler(target, seen), raising=file != "launch")
        monkeypatch.setattr(module, "INTERPRETED", True, raising=False)  # takes tensors of the CPU
    for call in calls(dtype):
        call()
    wanted = {"_points", "_masked", "_draw", "_paste", "_steps", "_rank"}
    if dtype != torch.float64:
        wanted |= {"_noisy", "_blur", "_weigh", "_weigh_pixels", "_slopes", "_integrals", "_one", "_many", "_delta"}
    assert set(seen) == wanted
    for name, made in seen.items():
        assert all(one.metadata.shared <= 48 << 10 for one in made), f"{name} would need more shared memory than every device has"
    for name in ("_points", "_delta", "_paste", "_steps"):  # to be rounded step by step, as the reference rounds
        assert not any("fma.rn" in one.asm["ptx"] for one in seen.get(name, ())), f"{name} fuses products into sums"
