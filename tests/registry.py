"""What tests over the whole registry share: parameters that keep each method quick, and a network that all methods take."""
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from saliency_widgets import methods
from saliency_widgets.regions import grid

SIZE = 32


class Everything(nn.Module):
    """Convolutions, batch norm, dropout, in-place and functional activations, attention, a gate, then pooling and one layer.

    `between` is called on the activations in the middle: tests make it fail.
    """

    def __init__(self, classes: int = 4, between: Callable[[torch.Tensor], torch.Tensor] = lambda x: x):
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.3)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.attend, self.gate = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 8)
        self.last, self.head = nn.ReLU(), nn.Linear(8, classes)
        self.between = between

    def forward(self, x):
        x = self.drop(self.act(self.norm(self.conv1(x))))
        x = self.between(torch.relu_(self.conv2(x)))
        tokens = x.flatten(2).transpose(1, 2)
        x = x + self.attend(tokens, tokens, tokens, need_weights=False)[0].transpose(1, 2).view_as(x)
        x = self.last(x * torch.sigmoid(self.gate(x.mean((2, 3))))[..., None, None])
        return self.head(x.mean((2, 3)))


def everything(seed: int = 0, **keywords: Any) -> Everything:
    """`Everything` in float64 and eval mode, with seeded weights large enough that classes differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Everything(**keywords).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=1.5 / max(parameter[0].numel(), 1) ** 0.5 if parameter.ndim > 1 else 0.1)
            model.norm.weight.fill_(1)
            model.norm.running_mean.normal_(std=0.2)
            model.norm.running_var.uniform_(0.5, 2)
    return model


# By the parameter's name, wherever a method has one.
_FEW = {"steps": 4, "n": 24, "iterations": 3, "limit": 5, "mask_size": 8}
_SPECIAL = {
    "smoothgrad": {"n": 2}, "expected_gradients": {"n": 6}, "rise": {"n": 8, "grid": 4}, "leave_one_out": {"grid": 3},
    "interactions": {"grid": 3}, "greedy_order": {"grid": 3, "steps": 3},
    "blur_ig": {"steps": 4, "sigma": (0.0, 4.0), "sigma_max": 4.0}, "guided_ig": {"steps": 3},
}


def cheap(name: str, size: int = SIZE) -> dict[str, Any]:
    """Parameters of a method with which its map takes a few evaluations of a picture of `size` × `size`."""
    parameters = {p.name: p for p in methods()[name].parameters}
    few = {k: v for k, v in {**_FEW, "window": size // 2, "stride": size // 4}.items() if k in parameters}
    if "regions" in parameters and parameters["regions"].default is not None:
        few["regions"] = grid((size, size), 3, 3)
    return {**few, **_SPECIAL.get(name, {})}


def drawing(name: str) -> dict[str, Any]:
    """The same with every fill and background drawn from the seed."""
    noise = {p.name: "noise" if p.kind == "fill" else ["noise"] for p in methods()[name].parameters
             if p.kind in ("fill", "backgrounds")}
    return {**cheap(name), **noise}
