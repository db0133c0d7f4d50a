"""Which of the dispatcher's operations are linear in what depends on the input: whatever is not here changes a difference."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .calls import tensors_of

# Results that carry no gradient; what is made of them counts where it is used.
_WITHOUT_GRADIENT = frozenset(
    "gt lt ge le eq ne logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor "
    "argmax argmin isnan isinf isfinite isposinf isneginf any all nonzero _local_scalar_dense is_nonzero equal "
    "bucketize searchsorted is_same_size sym_size sym_numel sym_stride ones_like zeros_like full_like rand_like "
    "randn_like empty_like new_zeros new_ones new_empty new_full new_empty_strided zero fill".split())
_LINEAR = frozenset(
    "view _unsafe_view reshape _reshape_alias permute transpose t alias expand slice select narrow squeeze unsqueeze "
    "as_strided unfold diagonal diag_embed view_as_real view_as_complex real imag conj _conj resolve_conj resolve_neg "
    "movedim swapaxes split split_with_sizes chunk unbind cat stack flip roll rot90 repeat repeat_interleave tril "
    "triu index index_select gather take take_along_dim masked_select index_put _index_put_impl index_add index_copy "
    "index_fill scatter scatter_add slice_scatter select_scatter diagonal_scatter as_strided_scatter masked_fill "
    "masked_scatter copy clone contiguous _to_copy to lift_fresh detach detach_copy set add sub rsub neg sum mean "
    "nansum nanmean cumsum diff trace dropout native_dropout constant_pad_nd pad pixel_shuffle pixel_unshuffle "
    "channel_shuffle native_channel_shuffle im2col col2im avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool3d reflection_pad1d "
    "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d "
    "mkldnn_adaptive_avg_pool2d affine_grid_generator _fft_r2c _fft_c2c _fft_c2r max_unpool2d max_unpool3d "
    "squeeze_copy unsqueeze_copy view_copy _pad_circular _foreach_add".split())
# Products, and the places of their factors.
_PRODUCTS = {
    **dict.fromkeys(("mul", "mm", "bmm", "mv", "dot", "vdot", "matmul", "linear", "convolution", "_convolution",
                     "mkldnn_convolution", "cudnn_convolution", "mps_convolution", "conv_depthwise2d", "_conv_depthwise2d",
                     "slow_conv_transpose2d", "outer", "linalg_vecdot", "kron"), (0, 1)),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "addr", "addcmul"), (1, 2))}
_NONLINEAR_AT = {"div": 1, "where": 0, "grid_sampler_2d": 1, "grid_sampler_3d": 1, "embedding": 0}  # linear in the others
_NORMALISATIONS = ("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm",
                   "_batch_norm_with_update", "_batch_norm_impl_index")


def nonlinear(name: str, args: tuple, depends: Callable[[Any], bool]) -> bool:
    """Whether an operation (its name without "aten::") is not linear in those of its arguments that depend on the input."""
    name = name.rstrip("_")
    if name in _WITHOUT_GRADIENT or name == "_native_batch_norm_legit_no_training":
        return False
    if name in _NORMALISATIONS:
        return bool(args[5]) if len(args) > 5 else True  # statistics of the batch itself
    if name in _PRODUCTS:
        one, two = _PRODUCTS[name]
        return depends(args[one]) and depends(args[two])
    if name in _NONLINEAR_AT:
        return depends(args[_NONLINEAR_AT[name]])
    if name in _LINEAR or name.startswith(("upsample_", "_upsample_")):
        # A mask or an index that depends on the input meets a value here: its part of the change has no gradient.
        given = tensors_of(args)
        return any(t.requires_grad for t in given) and any(depends(t) and not t.requires_grad for t in given)
    return True
