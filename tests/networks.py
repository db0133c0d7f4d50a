"""The networks that tests and benchmarks use: seeded, and calibrated so that their scores mean something."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def smooth_pictures(count: int, size: int, seed: int = 0, channels: int = 3) -> Tensor:
    """Smooth random pictures float32 `(count, channels, size, size)`, normalised as inputs are."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, channels, 8, 8, generator=generator)
    x = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return x / x.std()


def black_picture(size: int) -> Tensor:
    """A black picture `(1, 3, size, size)` as ImageNet's statistics normalise it."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (-mean / std).expand(1, 3, size, size)


def calibrate(model: nn.Module, pictures: Tensor) -> nn.Module:
    """Give a randomly initialised model scores that differ; returns it in `eval()`.

    With plain random weights deep networks are degenerate (scores equal to rounding). Heads that are all
    zero get a seeded normal of 0.02, ConvNeXt's layer scale becomes 1, and one training-mode forward with
    momentum 1 sets the statistics of batch normalisation.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear) and not module.weight.any():
                module.weight.normal_(0, 0.02)
            if isinstance(getattr(module, "layer_scale", None), nn.Parameter):
                module.layer_scale.fill_(1)
        for norm in norms:
            norm.momentum = 1.0
        model.train()
        model(pictures)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model.eval()


def calibrated(
    name: str, size: int = 224, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[nn.Module, Tensor, int]:
    """A calibrated torchvision network, an input `(1, 3, size, size)` and the class it predicts for it."""
    import torchvision

    options = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "transform_input": False, "aux_logits": False}
    if name.startswith("vit_"):
        options |= {"image_size": size}
    if name == "maxvit_t":
        options |= {"input_size": (size, size)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(torchvision.models, name)(**options)
        x = smooth_pictures(1, size, seed + 2)
        # Deep networks with random weights blow up beyond what their statistics have seen (measured: scores of 10⁵ for a
        # black picture), so the picture and its black reference are among the calibrating ones.
        calibrate(model, torch.cat([smooth_pictures(4, size, seed + 1), x, black_picture(size)]))
    model, x = model.to(dtype), x.to(dtype)
    with torch.no_grad():
        target = int(model(x)[0].argmax())
    return model, x, target
