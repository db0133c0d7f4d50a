"""The works: what is asked of us, what of each peer, and how the two are compared."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from . import peers as P
from .cases import BACKGROUNDS, LEVEL, Case
from .peers import ALL, Peer

STEPS, COPIES, DRAWS = 50, 50, 200


@dataclass(frozen=True)
class Row:
    """One thing that is timed, and compared with the same thing of every peer: `run` takes the case and the turn."""

    name: str
    title: str
    run: Callable[[Case, int], Any]


@dataclass(frozen=True)
class Work:
    """Rows that are asked for one after the other; a peer answers one of them a turn, since it begins anew for each.

    Everything evaluated is forgotten before the first row, unless `fresh` is False; then comes `before`, which is not timed.
    """

    name: str
    what: str
    rows: tuple[Row, ...]
    peers: tuple[Peer, ...]
    before: Callable[[Case], Any] | None = None
    fresh: bool = True


def _values(method: str, **params: Any) -> Callable[[Case, int], np.ndarray]:
    return lambda case, turn: case.map(method, **{k: v(case) if callable(v) else v for k, v in params.items()}).values


def _nothing(case: Case) -> torch.Tensor:
    return case.nothing


def _path(steps: int) -> Callable[[Case], Any]:
    return lambda case: case.map("integrated_gradients", steps=steps, baseline=case.nothing)


def _window(turn: int) -> tuple[float, float]:
    """Another window each turn, its ends on the grid of 50 steps: 21 points."""
    low = 10 + turn % 10
    return low / STEPS, (low + 20) / STEPS


def _windowed(case: Case, turn: int) -> np.ndarray:
    return case.map("integrated_gradients", steps=STEPS, alpha=_window(turn), baseline=case.nothing).values


def _cam(case: Case, turn: int) -> np.ndarray:
    return enlarged(case.map("grad_cam").values[0], case.size)


def _cams(case: Case, turn: int) -> dict[str, np.ndarray]:
    return {name: enlarged(low, case.size) for name, low in case.map("grad_cam").details["maps"].items()}


def enlarged(low: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The positive part of a map `(h, w)` at the picture's size, as the peers give it."""
    return F.interpolate(torch.from_numpy(low)[None, None].clamp(min=0), size, mode="bilinear")[0, 0].numpy()


def _edited(case: Case, turn: int) -> np.ndarray:
    return case.map("leave_one_out", regions=case.edited(turn), fill=case.nothing).values


def _one(name: str, title: str, what: str, run: Callable[[Case, int], Any], *peers: Peer, **how: Any) -> Work:
    return Work(name, what, (Row(name, title, run),), peers, **how)


OVERWRITTEN = "it reads a layer after what follows in place has overwritten it"
OTHER_RULES = "off at overlapping max-pooling, functional and other activations"

WORKS: dict[str, Work] = {work.name: work for work in (
    _one("gradient", "gradient", "one gradient, one picture", _values("gradient"),
         Peer("captum", "captum", P.captum_gradient)),
    _one("guided_backprop", "guided backprop", "one guided gradient; captum's hooks see nn.ReLU modules only",
         _values("guided_backprop"),
         Peer("captum", "captum", P.captum_guided, remark="where activations are functional or ReLU6, captum gives the plain "
                                                          "gradient")),
    _one("integrated_gradients", "Integrated Gradients, 50 steps",
         "51 gradients from zeros to the picture by the trapezoid rule; captum's riemann_trapezoid with n_steps=51",
         _values("integrated_gradients", steps=STEPS, baseline=_nothing),
         Peer("captum", "captum", P.captum_path(STEPS + 1), P.captum_path_pilot, ALL)),
    _one("alpha_window", "Integrated Gradients, another α window",
         "a window of 20 of the 50 steps after the map of all; captum integrates between the window's ends on 21 points",
         _windowed, Peer("captum", "captum", P.captum_path(21, _window), P.captum_path_pilot),
         before=_path(STEPS), fresh=False),
    _one("twice_the_steps", "Integrated Gradients, 100 steps after 50",
         "100 steps after the map of 50; captum makes the map of 101 points",
         _values("integrated_gradients", steps=2 * STEPS, baseline=_nothing),
         Peer("captum", "captum", P.captum_path(2 * STEPS + 1), P.captum_path_pilot), before=_path(STEPS)),
    _one("smoothgrad", "SmoothGrad, 50 copies",
         "50 gradients of noisy copies, σ 15 % of the range; every library draws its own noise: maps are compared with the "
         "same draws, on 4 copies", _values("smoothgrad", n=COPIES, level=LEVEL),
         Peer("captum", "captum", P.captum_noise(COPIES), P.captum_noise_pilot, ALL, P.captum_noise_check),
         Peer("PAIR", "saliency", P.pair_noise(COPIES), check=P.pair_noise_check)),
    _one("blur_ig", "Blur IG, 50 steps",
         "50 steps of σ to 50 px, linear: 51 gradients of ours (secant rule, mirrored borders), 50 of PAIR's (left rule, black "
         "borders)", _values("blur_ig", steps=STEPS, spacing="linear"),
         Peer("PAIR", "saliency", P.pair_blur(STEPS), P.pair_blur_pilot, remark="another rule and other borders")),
    _one("blur_ig_pair", "Blur IG by PAIR's own rule, 100 steps", "100 gradients, PAIR's rule, borders and grid on both sides",
         _values("blur_ig", rule="pair"), Peer("PAIR", "saliency", P.pair_blur(100), P.pair_blur_pilot)),
    _one("grad_cam", "Grad-CAM, one layer",
         "the map of the default layer at the picture's size; our one pass reads every layer", _cam,
         Peer("grad-cam", "pytorch_grad_cam", P.grad_cam_one, view=P.from_zero, remark=OVERWRITTEN),
         Peer("captum", "captum", P.captum_cam)),
    _one("grad_cam_layers", "Grad-CAM, every layer",
         "the maps of all layers with positions, each at the picture's size: one pass; grad-cam takes one layer after the other",
         _cams, Peer("grad-cam", "pytorch_grad_cam", P.grad_cam_all, view=P.from_zero, warm=P.grad_cam_one, remark=OVERWRITTEN)),
    _one("deeplift", "DeepLIFT", "rescale rule against zeros; shap's DeepExplainer has the zeros for its one background",
         _values("deeplift", baseline=_nothing),
         Peer("captum", "captum", P.captum_deeplift, remark=OTHER_RULES),
         Peer("shap", "shap", P.shap_deeplift, remark=OTHER_RULES)),
    _one("expected_gradients", "expected gradients, 200 draws",
         "200 gradients between two backgrounds and the picture; every library draws for itself: maps are compared with the "
         "same draws, 4 of them", _values("expected_gradients", n=DRAWS, backgrounds=BACKGROUNDS),
         Peer("shap", "shap", P.shap_gradients(DRAWS), P.shap_gradients_pilot, check=P.shap_gradients_check)),
    _one("occlusion", "occlusion, window 32, stride 16", "169 windows at 224 px filled with zeros, averaged where they overlap",
         _values("occlusion", window=32, stride=16, fill=_nothing),
         Peer("captum", "captum", P.captum_occlusion, P.captum_occlusion_pilot)),
    Work("leave_one_out", "196 cells filled with zeros; then, with that map there, a cell that takes a strip from its neighbour, "
                          "and another class: captum makes the whole map for each",
         (Row("leave_one_out", "leave-one-out, 14 × 14", _values("leave_one_out", grid=14, fill=_nothing)),
          Row("edited_region", "leave-one-out, one region edited", _edited),
          Row("another_class", "leave-one-out, another class",
              _values("leave_one_out", grid=14, fill=_nothing, target=lambda case: case.other))),
         (Peer("captum", "captum", P.captum_ablation, P.captum_ablation_pilot),)),
)}

# What shows the most in a few minutes, the most telling first: the rest is left out when the time is spent.
HEART: Sequence[tuple[str, str]] = (
    *(("imagenet", name) for name in (
        "occlusion", "leave_one_out", "integrated_gradients", "alpha_window", "smoothgrad", "grad_cam_layers", "previews")),
    *(("squeezenet1_0", name) for name in ("occlusion", "leave_one_out", "integrated_gradients", "smoothgrad")),
    *(("resnet18", name) for name in ("occlusion", "integrated_gradients")),
    ("mobilenet_v2", "occlusion"), ("resnet50", "grad_cam_layers"),
    *(("imagenet", name) for name in (
        "full_forwards", "opening", "gradient", "grad_cam", "guided_backprop", "deeplift", "blur_ig", "twice_the_steps",
        "memory")),
    ("vgg16", "occlusion"), ("densenet121", "occlusion"), ("resnet50", "occlusion"),
)
