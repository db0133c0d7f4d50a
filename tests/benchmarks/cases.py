"""What is explained: a network and a picture in an open session, with a twin of the network for the peers."""
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import saliency_widgets as sw
from saliency_widgets import SaliencyMap
from saliency_widgets import regions as R
from saliency_widgets.engine.devices import finish
from saliency_widgets.engine.store import STORE
from tests.networks import calibrated, smooth_pictures
from tests.small import Small

NETWORKS = ("imagenet", "squeezenet1_0", "vgg16", "mobilenet_v2", "resnet18", "resnet50", "densenet121")
GRID = 14
LEVEL = 0.15  # SmoothGrad's noise, as a share of the input's range
BACKGROUNDS = ("black", "blur")  # what calibration has seen or nearly so


def network(name: str, size: int = 224) -> tuple[nn.Module, Tensor]:
    """A network in float32 and a picture `(1, 3, size, size)`: "small", the "imagenet" demo's, or a calibrated one."""
    if name == "small":
        return Small().eval(), smooth_pictures(1, size)
    if name == "imagenet":
        model, picture, _ = sw.demo("imagenet")
        return model, sw.Session(model, picture).picture.x.float()
    model, x, _ = calibrated(name, size, dtype=torch.float32)
    return model, x


def forget() -> None:
    """Empty the store: evaluations and base activations; what is open stays open, a model's fast copy stays as it is."""
    budget, STORE.budget = STORE.budget, 0
    STORE.budget = budget


class Case:
    """A network, its picture `(1, 3, H, W)`, an open session on both, and what the works share, on one device.

    Peers run on `twin`: they hook and rewrite modules, and a model with hooks is not what a person has open.
    """

    def __init__(self, name: str, size: int = 224, device: Any = "cpu"):
        self.name, self.device = name, torch.device(device)
        self.model, self.x = (found.to(self.device) for found in network(name, size))
        self.renew()
        self.session = sw.Session(self.model, self.x)
        self.target, self.other = (index for index, *_ in self.session.top(2))
        self.size = tuple(self.x.shape[2:])
        self.nothing = torch.zeros(1, 1, 1)  # baseline and fill: zeros of the input space, the peers' own
        self.sigma = LEVEL * float(self.x.max() - self.x.min())
        self.labels = R.grid(self.size, GRID, GRID)
        self.searches: dict[Any, Any] = {}  # what is known of the peers' batch sizes

    def renew(self) -> None:
        """A new twin: a peer that fails leaves its hooks behind."""
        self.twin = copy.deepcopy(self.model)

    def settle(self) -> None:
        """Wait until the device has done what it was asked for."""
        finish(self.device)

    def map(self, name: str, **params: Any) -> SaliencyMap:
        """A map as a person asks for it."""
        return self.session.map(name, **params)

    def edited(self, turn: int) -> np.ndarray:
        """The grid after one edit, another one each turn: a cell in the middle takes a strip from its right neighbour."""
        labels, cell = self.labels.copy(), GRID * (GRID // 2) + 1 + turn % (GRID - 2)
        rows, columns = np.nonzero(labels == cell)
        strip = slice(columns.max() + 1, columns.max() + 1 + max(1, self.size[1] // GRID // 4))
        labels[rows.min():rows.max() + 1, strip] = cell
        return labels

    def backgrounds(self) -> Tensor:
        """The reference pictures of expected gradients as tensors `(N, 3, H, W)`."""
        inputs = self.session.inputs
        return torch.stack([inputs.filled(inputs.fill(word)) for word in BACKGROUNDS])
