"""Reductions at capture: what is kept of a layer or an attention call, as one pass goes by.

Those of layers take activations A and gradients g `(N, K, h, w)` and give `(N, h, w)`, before any ReLU; those of attention
take probabilities and their gradients `(N, heads, L, S)`, or `(N, windows, heads, L, S)`, and do away with the heads.
"""
from __future__ import annotations

import torch
from torch import Tensor


def _wide(tensor: Tensor) -> Tensor:
    """In at least float32, in which all sums here are taken."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _weighted(weights: Tensor, activations: Tensor) -> Tensor:
    return torch.einsum("nk,nkhw->nhw", weights, activations)


def cam(activations: Tensor, gradients: Tensor, positive_gradients: bool = False) -> Tensor:
    """Grad-CAM before its ReLU, Σₖ mean_xy(gₖ) Aₖ (Selvaraju et al., 1610.02391, equations 1 and 2).

    With `positive_gradients` the weights are mean_xy([A > 0][g > 0] g).
    """
    activations, gradients = _wide(activations), _wide(gradients)
    if positive_gradients:
        gradients = gradients * (activations > 0) * (gradients > 0)
    return _weighted(gradients.mean((2, 3)), activations)


def cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM++ before its ReLU, Σₖ wₖ Aₖ with wₖ = Σ_xy αₖ relu(gₖ) (Chattopadhay et al., 1710.11063).

    α = g² / (2g² + ΣA · g³), equation 19 with the higher derivatives of an exponential score, that is 1 / (2 + ΣA · g)
    where g > 0; without the constant that libraries add below, which would rule where gradients are small. Where
    activations are negative (it is made for those after a ReLU) the denominator may vanish: such a position counts 0.
    """
    activations, slopes = _wide(activations), _wide(gradients).relu()
    below = 2 + activations.sum((2, 3), keepdim=True) * slopes
    weights = torch.where(below == 0, 0, slopes / below).sum((2, 3))
    return _weighted(weights, activations)


def hires_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """HiResCAM, Σₖ gₖ ⊙ Aₖ (Draelos, Carin, 2011.08891)."""
    return (_wide(gradients) * activations).sum(1)


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """LayerCAM before its ReLU, Σₖ relu(gₖ) ⊙ Aₖ (Jiang et al., IEEE TIP 2021)."""
    return (_wide(gradients).relu() * activations).sum(1)


def xgrad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """XGrad-CAM before its ReLU, Σₖ wₖ Aₖ with wₖ = Σ_xy gₖ Aₖ / Σ_xy Aₖ (Fu et al., 2008.02312).

    A channel whose activations sum to exactly 0 counts 0.
    """
    activations = _wide(activations)
    total = activations.sum((2, 3))
    weights = (_wide(gradients) * activations).sum((2, 3))
    return _weighted(torch.where(total == 0, 0, weights / torch.where(total == 0, 1, total)), activations)


def eigen_cam(activations: Tensor, gradients: Tensor | None = None) -> Tensor:
    """EigenCAM: the activations on their first right-singular vector, over positions (Muhammad, Yeasin, 2008.00299).

    Each channel is centred over the positions first, as libraries do: the paper's own projection mostly shows the mean. A
    singular vector has no sign; it is taken so that the map rises with Σₖ|Aₖ|, or, where it does neither, with its
    largest value positive. NaN for a row whose activations are not finite.
    """
    rows = _wide(activations).flatten(2).transpose(1, 2)  # (N, positions, K)
    finite = rows.isfinite().all(2).all(1)
    rows = torch.where(finite[:, None, None], rows, 0)  # one broken layer must not stop the others
    strength = rows.abs().sum(2)
    rows = rows - rows.mean(1, keepdim=True)
    if rows.shape[1] < rows.shape[2]:  # of the two Gram matrices the smaller one
        vector, value = _first_eigenvector(rows @ rows.mT)
        projection = vector * value.clamp(min=0).sqrt()[:, None]
    else:
        vector, _ = _first_eigenvector(rows.mT @ rows)
        projection = (rows @ vector[..., None])[..., 0]
    sign = ((strength - strength.mean(1, keepdim=True)) * projection).sum(1, keepdim=True).sign()
    peak = projection.gather(1, projection.abs().argmax(1, keepdim=True)).sign()
    projection = torch.where(finite[:, None], projection * torch.where(sign == 0, peak, sign), torch.nan)
    return projection.unflatten(1, activations.shape[2:])


def _first_eigenvector(gram: Tensor, small: int = 96, block: int = 8, limit: int = 150) -> tuple[Tensor, Tensor]:
    """The eigenvector of the largest eigenvalue, `(N, n)`, and that, `(N,)`, of symmetric matrices `(N, n, n)`.

    All eigenvectors of a large matrix would take longer than the network; subspace iteration on a few finds the first, and
    where it does not come to rest (the first ones almost equal) they are all taken after all.
    """
    size = gram.shape[-1]
    if size > small:
        start = gram.diagonal(dim1=1, dim2=2).topk(block).indices
        basis = gram.gather(2, start[:, None].expand(-1, size, -1))
        tolerance = 100 * torch.finfo(gram.dtype).eps
        for step in range(limit):
            basis = torch.linalg.qr(basis)[0]
            image = gram @ basis
            if step % 5 == 4:
                values, mixes = torch.linalg.eigh(basis.mT @ image)
                vector, value = (basis @ mixes[..., -1:])[..., 0], values[..., -1]
                rest = (image @ mixes[..., -1:])[..., 0] - value[:, None] * vector
                if bool((rest.norm(dim=1) <= tolerance * value.abs()).all()):
                    return vector, value
            basis = image
    values, vectors = torch.linalg.eigh(gram)
    return vectors[..., -1], values[..., -1]


def activation(activations: Tensor, gradients: Tensor | None = None) -> Tensor:
    """The activations themselves, `(N, …)`."""
    return activations


def gradient(activations: Tensor, gradients: Tensor) -> Tensor:
    """The gradients themselves, `(N, …)`."""
    return gradients


def attention_mean(probabilities: Tensor, gradients: Tensor | None = None) -> Tensor:
    """The mean over the heads."""
    return _wide(probabilities).mean(-3)


def attention_max(probabilities: Tensor, gradients: Tensor | None = None) -> Tensor:
    """The largest over the heads."""
    return probabilities.amax(-3)


def attention_min(probabilities: Tensor, gradients: Tensor | None = None) -> Tensor:
    """The smallest over the heads."""
    return probabilities.amin(-3)


def attention_relevance(probabilities: Tensor, gradients: Tensor) -> Tensor:
    """The mean over the heads of the positive part of gradient ⊙ attention (Chefer et al., 2103.15679, equation 5)."""
    return (_wide(gradients) * probabilities).relu().mean(-3)


# What a "layers" or "attention" probe may keep, by name: (values, gradients) to `(N, …)`.
REDUCTIONS = {
    "cam": cam,
    "cam_guided": lambda activations, gradients: cam(activations, gradients, positive_gradients=True),
    "cam_plus_plus": cam_plus_plus,
    "hires_cam": hires_cam,
    "layer_cam": layer_cam,
    "xgrad_cam": xgrad_cam,
    "eigen_cam": eigen_cam,
    "activation": activation,
    "gradient": gradient,
    "attention_mean": attention_mean,
    "attention_max": attention_max,
    "attention_min": attention_min,
    "attention_relevance": attention_relevance,
}
