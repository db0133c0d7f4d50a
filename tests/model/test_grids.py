"""Which outputs of transformers lie on the picture, and as which grid."""
import pytest
import torch
from torch import nn
from torchvision.models.maxvit import MaxVit

from saliency_widgets.model.clone import structural_clone
from saliency_widgets.model.grids import token_grid
from saliency_widgets.model.layers import Capture, default_cam_layer, find_layer, to_grid, trace_layers, two_runs
from tests.networks import calibrated
from tests.transformers import swin, tokens, vit


def test_tokens_with_a_class_token_lie_on_the_patch_grid():
    clone, x = structural_clone(vit()), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    layers, _ = trace_layers(clone, x[:1])
    block = find_layer(layers, "encoder.layers.encoder_layer_0")
    assert (block.shape, block.grid, block.prefix, block.channels) == ((17, 16), (4, 4), 1, 16) and block.spatial
    with Capture(clone, [block.name]) as seen, torch.no_grad():
        clone(x)
    rows = seen.values[block.name]
    assert torch.equal(to_grid(rows, block)[1, :, 2, 3], rows[1, 1 + 2 * 4 + 3])
    assert not find_layer(layers, "heads").spatial


def test_the_default_of_a_class_token_model_is_the_last_layer_whose_patches_matter():
    model = vit()
    layers, output = trace_layers(structural_clone(model), torch.randn(1, 3, 32, 32, dtype=torch.float64))
    default = default_cam_layer(layers, output.shape[1])
    assert default == "encoder.layers.encoder_layer_1.ln_1" and two_runs(layers)
    names = [la.name for la in layers]
    assert {la.name for la in layers if la.idle} == set(names[names.index(default) + 1 : names.index("heads")])
    for frozen in (model.requires_grad_(False), nn.Sequential(model, nn.Softmax(1))):
        layers, _ = trace_layers(structural_clone(frozen), torch.randn(1, 3, 32, 32, dtype=torch.float64))
        assert default_cam_layer(layers, 5).endswith("encoder_layer_1.ln_1")
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(
    "prefix, convolution, pooled, default",
    [
        (0, True, True, "mix"),
        (0, False, True, "mix"),
        (1, False, True, "mix"),
        (5, False, True, "mix"),
        (5, True, True, "mix"),
        (5, True, False, "norm"),
    ],
)
def test_tokens_of_other_transformers(prefix, convolution, pooled, default):
    model = tokens(prefix, convolution=convolution, pooled=pooled)
    layers, output = trace_layers(structural_clone(model), torch.randn(1, 3, 24, 40, dtype=torch.float64))
    found = find_layer(layers, "norm")
    assert (found.grid, found.prefix) == ((3, 5), prefix) and two_runs(layers) == (prefix > 0)
    assert default_cam_layer(layers, output.shape[1]) == default


def test_windows_and_rows_that_are_no_patches_have_no_positions():
    layers, output = trace_layers(structural_clone(swin()), torch.randn(1, 3, 32, 32, dtype=torch.float64))
    assert default_cam_layer(layers, output.shape[1]) == "permute" and not two_runs(layers)
    assert find_layer(layers, "features.1.0.attn").positions == (8, 8)
    assert find_layer(layers, "features.3").positions == (4, 4) == find_layer(layers, "norm").positions
    maxvit = MaxVit((64, 64), 8, 2, [8], [1], 4, 0.0, num_classes=5).eval()
    layers, output = trace_layers(structural_clone(maxvit), torch.randn(1, 3, 64, 64))
    inside = [la for la in layers if "attention.attn_layer" in la.name or "partition_op" in la.name]
    assert len(inside) >= 4 and not any(la.spatial for la in inside)
    assert default_cam_layer(layers, output.shape[1]) == "blocks.0"

    class TimeMajor(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 8, 8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.norm(self.conv(x).flatten(2).permute(2, 0, 1)).mean(0))

    layers, output = trace_layers(structural_clone(TimeMajor().eval()), torch.randn(1, 3, 32, 32))
    assert [la.name for la in layers if la.spatial] == ["conv"] and find_layer(layers, "norm").apart
    assert token_grid(100, [(4, 4)], (32, 32)) is None and token_grid(16 + 9, [(4, 4)], (32, 32)) is None


@pytest.mark.slow
def test_the_default_layer_of_a_real_vision_transformer():
    model, x, _ = calibrated("vit_b_32", 224, dtype=torch.float32)
    layers, _ = trace_layers(structural_clone(model), x)
    assert default_cam_layer(layers, 1000) == "encoder.layers.encoder_layer_11.ln_1"
    assert find_layer(layers, "encoder").positions == (7, 7)
