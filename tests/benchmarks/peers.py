"""How the peers are asked for the same maps: each call gives an array of the shape of ours.

A call takes the case, the batch size, which of the work's rows is asked for, and the turn. A pilot runs about `batch`
evaluations and says how many; the search for a peer's best batch size needs no more.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency_widgets import regions as R
from saliency_widgets.kernels.reference import normal, uniform

from .cases import BACKGROUNDS, LEVEL, Case

Call = Callable[[Case, Any, str, int], Any]
FEW = 16      # evaluations of a pilot at small batches
DRAWS = 4     # copies or draws that are compared when the draws are made the same
ALL = "all"   # the batch that holds the whole work


@dataclass(frozen=True)
class Peer:
    """One way in which a library makes a map.

    `default` is the batch size that it takes by itself (ALL: everything at once), told beside its best where it is not
    among those searched. `check` gives our map and theirs where chance must first be made the same. `view` shows our map
    as the library shows its own. `warm` is a shorter call that warms up as well. `remark` says what differs where the
    maps are not the same.
    """

    name: str
    package: str
    call: Call
    pilot: Callable[[Case, int], int] | None = None
    default: str | None = None
    check: Callable[[Case], tuple[Any, Any]] | None = None
    view: Callable[[Any], Any] = np.asarray
    warm: Call | None = None
    remark: str = ""

    @property
    def missing(self) -> str:
        """Why it cannot take part, or nothing."""
        found = importlib.util.find_spec(self.package.split(".")[0]) is not None
        return "" if found else f"the package of {self.package} is not installed"


# ---- captum

def captum_gradient(case: Case, batch: Any, row: str, turn: int) -> Tensor:
    from captum.attr import Saliency

    return Saliency(case.twin).attribute(case.x, target=case.target, abs=False)[0]


def captum_guided(case: Case, batch: Any, row: str, turn: int) -> Tensor:
    from captum.attr import GuidedBackprop

    return GuidedBackprop(case.twin).attribute(case.x, target=case.target)[0]


def _pilot(run: Callable[[Case, Any, int], Any]) -> Callable[[Case, int], int]:
    """A short run to find the best batch size by: one batch, or a few evaluations; it returns how many there were."""
    def pilot(case: Case, batch: int) -> int:
        count = max(FEW, batch)
        run(case, batch, count)
        return count

    return pilot


def _captum_path(case: Case, batch: Any, points: int, ends: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    from captum.attr import IntegratedGradients

    return IntegratedGradients(case.twin).attribute(
        case.x * ends[1], case.x * ends[0], case.target, n_steps=points, method="riemann_trapezoid",
        internal_batch_size=None if batch == ALL else batch)[0]


def captum_path(points: int, window: Callable[[int], tuple[float, float]] = lambda turn: (0.0, 1.0)) -> Call:
    """Integrated Gradients on `points` points, ends included, of the path from zeros, or of a window of it."""
    return lambda case, batch, row, turn: _captum_path(case, batch, points, window(turn))


captum_path_pilot = _pilot(_captum_path)


def _captum_noise(case: Case, batch: Any, copies: int) -> Tensor:
    from captum.attr import NoiseTunnel, Saliency

    return NoiseTunnel(Saliency(case.twin)).attribute(
        case.x, nt_type="smoothgrad", nt_samples=copies, nt_samples_batch_size=None if batch == ALL else batch,
        stdevs=case.sigma, target=case.target, abs=False)[0]


def captum_noise(copies: int) -> Call:
    return lambda case, batch, row, turn: _captum_noise(case, batch, copies)


captum_noise_pilot = _pilot(_captum_noise)


def captum_noise_check(case: Case) -> tuple[Any, Any]:
    """SmoothGrad of a few copies with our noise in the place of captum's."""
    noise = torch.stack([normal(0, i, tuple(case.x.shape[1:]), case.x.dtype, case.device) for i in range(DRAWS)])
    with replaced(torch, "normal", lambda mean, deviation: noise * deviation):
        theirs = _captum_noise(case, DRAWS, DRAWS)
    return case.map("smoothgrad", n=DRAWS, level=LEVEL).values, theirs


def captum_cam(case: Case, batch: Any, row: str, turn: int) -> Tensor:
    from captum.attr import LayerAttribution, LayerGradCam

    layer = case.twin.get_submodule(case.session.default_layer)
    low = LayerGradCam(case.twin, layer).attribute(case.x, case.target, relu_attributions=True)
    return LayerAttribution.interpolate(low, case.size, "bilinear")[0, 0].detach()


def captum_deeplift(case: Case, batch: Any, row: str, turn: int) -> Tensor:
    from captum.attr import DeepLift

    return DeepLift(case.twin).attribute(case.x, torch.zeros_like(case.x), case.target)[0].detach()


def captum_occlusion(case: Case, batch: Any, row: str, turn: int, window: int = 32, stride: int = 16) -> Tensor:
    from captum.attr import Occlusion

    return Occlusion(case.twin).attribute(
        case.x, sliding_window_shapes=(3, window, window), strides=(3, stride, stride), baselines=0, target=case.target,
        perturbations_per_eval=batch)[0, :1].detach()


def captum_occlusion_pilot(case: Case, batch: int) -> int:
    """Windows without overlap, about as many as one batch."""
    sides = int(np.ceil(np.sqrt(max(FEW, batch))))
    window = max(1, case.size[0] // sides)
    captum_occlusion(case, batch, "", 0, window, window)
    return (1 + -(-(case.size[0] - window) // window)) ** 2


def _captum_ablation(case: Case, batch: int, labels: np.ndarray, target: int) -> Tensor:
    from captum.attr import FeatureAblation

    return FeatureAblation(case.twin).attribute(
        case.x, 0, target, feature_mask=torch.from_numpy(labels.astype(np.int64))[None, None].to(case.device),
        perturbations_per_eval=batch)[0, :1].detach()


def captum_ablation(case: Case, batch: Any, row: str, turn: int) -> Tensor:
    """The whole leave-one-out map, whichever of its rows is asked for: there is nothing to start from."""
    labels = case.edited(turn) if row == "edited_region" else case.labels
    return _captum_ablation(case, batch, labels, case.other if row == "another_class" else case.target)


def captum_ablation_pilot(case: Case, batch: int) -> int:
    sides = int(np.ceil(np.sqrt(max(FEW, batch))))
    _captum_ablation(case, batch, R.grid(case.size, sides, sides), case.target)
    return sides ** 2


# ---- PAIR saliency

def _arranged(x: Tensor) -> np.ndarray:
    """`(1, C, H, W)` to PAIR's `(H, W, C)`."""
    return np.ascontiguousarray(x[0].cpu().numpy().transpose(1, 2, 0))


def _pair_gradients(case: Case) -> Callable:
    """The function through which PAIR asks for gradients of the target's score."""
    def call(batch: Any, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, np.ndarray]:
        from saliency.core.base import INPUT_OUTPUT_GRADIENTS

        leaf = torch.from_numpy(np.asarray(batch, np.float32).transpose(0, 3, 1, 2)).to(case.device).requires_grad_(True)
        gradient, = torch.autograd.grad(case.twin(leaf)[:, case.target].sum(), leaf)
        return {INPUT_OUTPUT_GRADIENTS: gradient.cpu().numpy().transpose(0, 2, 3, 1)}

    return call


def _pair_noise(case: Case, copies: int) -> np.ndarray:
    from saliency.core import GradientSaliency

    return GradientSaliency().GetSmoothedMask(_arranged(case.x), _pair_gradients(case), stdev_spread=LEVEL, nsamples=copies,
                                              magnitude=False).transpose(2, 0, 1)


def pair_noise(copies: int) -> Call:
    return lambda case, batch, row, turn: _pair_noise(case, copies)


def pair_noise_check(case: Case) -> tuple[Any, Any]:
    """SmoothGrad of a few copies with our noise in the place of PAIR's."""
    noise = (_arranged(normal(0, i, tuple(case.x.shape[1:]), case.x.dtype)[None]) for i in range(DRAWS))
    with replaced(np.random, "normal", lambda mean, deviation, shape: deviation * next(noise)):
        theirs = _pair_noise(case, DRAWS)
    return case.map("smoothgrad", n=DRAWS, level=LEVEL).values, theirs


def _pair_blur(case: Case, batch: int, steps: int) -> np.ndarray:
    from saliency.core import BlurIG

    return BlurIG().GetMask(_arranged(case.x), _pair_gradients(case), max_sigma=50, steps=steps,
                            batch_size=batch).transpose(2, 0, 1)


def pair_blur(steps: int) -> Call:
    return lambda case, batch, row, turn: _pair_blur(case, batch, steps)


pair_blur_pilot = _pilot(_pair_blur)


# ---- grad-cam

def from_zero(heat: np.ndarray) -> np.ndarray:
    """A map moved so that its smallest value is zero, as grad-cam stretches every map between 0 and 1."""
    return heat - heat.min()


def _grad_cam(case: Case, layer: str) -> np.ndarray:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(case.twin, [case.twin.get_submodule(layer)]) as cam:
        return cam(case.x, [ClassifierOutputTarget(case.target)])[0]


def grad_cam_one(case: Case, batch: Any, row: str, turn: int) -> np.ndarray:
    return _grad_cam(case, case.session.default_layer)


def grad_cam_all(case: Case, batch: Any, row: str, turn: int) -> dict[str, np.ndarray]:
    """One layer after the other; one before every parameter has no gradient there, and is left out."""
    maps = {}
    for layer in case.session.cam_layers:
        with suppress(AttributeError):
            maps[layer.name] = _grad_cam(case, layer.name)
    return maps


# ---- shap

def shap_deeplift(case: Case, batch: Any, row: str, turn: int) -> np.ndarray:
    import shap

    explainer = shap.DeepExplainer(case.twin, torch.zeros_like(case.x))
    return explainer.shap_values(case.x, ranked_outputs=1, check_additivity=False)[0][0, ..., 0]


def _shap_gradients(case: Case, batch: int, draws: int) -> np.ndarray:
    import shap

    explainer = shap.GradientExplainer(case.twin, case.backgrounds(), batch_size=batch)
    return explainer.shap_values(case.x, nsamples=draws, ranked_outputs=1, rseed=0)[0][0, ..., 0]


def shap_gradients(draws: int) -> Call:
    return lambda case, batch, row, turn: _shap_gradients(case, batch, draws)


shap_gradients_pilot = _pilot(_shap_gradients)


def shap_gradients_check(case: Case) -> tuple[Any, Any]:
    """Expected gradients of a few draws, with our draws in the place of shap's."""
    draws = [uniform(0, number, 2).tolist() for number in range(DRAWS)]
    which, places = (iter(column) for column in zip(*draws))
    with replaced(np.random, "choice", lambda count: int(next(which) * count)), \
            replaced(np.random, "uniform", lambda: next(places)):
        theirs = _shap_gradients(case, DRAWS, DRAWS)
    return case.map("expected_gradients", n=DRAWS, backgrounds=BACKGROUNDS).values, theirs


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute with another value for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
