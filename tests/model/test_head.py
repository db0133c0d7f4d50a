"""The head that CAM reads: found where scores are means over positions through one linear layer, refused elsewhere."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from saliency_widgets.model.clone import structural_clone
from saliency_widgets.model.head import find_head
from saliency_widgets.model.layers import trace_layers
from tests.small import small
from tests.transformers import swin, tokens, vit


def head_of(model, size=(32, 32), dtype=torch.float64):
    clone, x = structural_clone(model), torch.randn(1, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(1))
    layers, output = trace_layers(clone, x)
    return find_head(clone, layers, x), clone, x, output


class Pooled(nn.Module):
    """Convolution, then what `end` does with the maps."""

    def __init__(self, channels, end, **parts):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.end = end
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.end(self, self.conv(x))


def averaged(self, x):
    return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def rectified(self, x):
    """As in DenseNet: the ReLU is a call, so the last module's output is not what is averaged."""
    return self.fc(F.relu(x, inplace=True).mean((2, 3)))


ENDS = {
    "averaged": (averaged, 6, False, True),
    "rectified": (rectified, 6, True, True),
    "softmax": (lambda self, x: averaged(self, x).softmax(1), 6, False, True),
    "one by one": (lambda self, x: self.fc(x.mean((2, 3), keepdim=True)).flatten(1), 6, False, True),
    "map per class": (lambda self, x: x.mean((2, 3)), 4, False, False),
    "positive map per class": (lambda self, x: F.relu(x).mean((2, 3)), 4, True, False),
}


@pytest.mark.parametrize("name", ENDS)
def test_scores_are_the_means_of_its_maps(name):
    end, channels, rectifies, weighted = ENDS[name]
    fc = nn.Conv2d(6, 4, 1) if name == "one by one" else nn.Linear(6, 4)
    head, clone, x, output = head_of(Pooled(channels, end, fc=fc).double())
    assert head.layer == "conv" and head.rectified == rectifies and (head.weight is not None) == weighted
    maps = clone.conv(x)[0].detach()
    logits = torch.stack([head.map(maps, k).mean() for k in range(4)])
    logits = logits + fc.bias.detach() if weighted else logits
    torch.testing.assert_close(logits.softmax(0) if name == "softmax" else logits, output[0].detach())


REFUSED = {
    "hidden layer": Pooled(6, lambda self, x: self.fc(F.relu(self.hidden(x.mean((2, 3))))), hidden=nn.Linear(6, 8),
                           fc=nn.Linear(8, 4)),
    "flattened": Pooled(6, lambda self, x: self.fc(x.flatten(1)), fc=nn.Linear(6 * 32 * 32, 4)),
    "maximum": Pooled(6, lambda self, x: self.fc(x.amax((2, 3))), fc=nn.Linear(6, 4)),
    "normalised": Pooled(6, lambda self, x: self.fc(self.norm(x.mean((2, 3)))), norm=nn.LayerNorm(6), fc=nn.Linear(6, 4)),
    "scaled scores": Pooled(6, lambda self, x: 3 * averaged(self, x), fc=nn.Linear(6, 4)),
    "class token": vit(),
    "no positions": nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_models_are_refused_with_grad_cam_named(name):
    with pytest.raises(ValueError, match="CAM needs global average pooling.*use grad_cam"):
        head_of(REFUSED[name].double().eval())


def test_transformers_that_average_their_positions_have_a_head():
    head, clone, x, output = head_of(swin())
    assert head.layer == "permute"
    assert head_of(tokens(0))[0].layer == "mix"


def test_it_is_found_once_for_a_working_copy():
    head, clone, x, _ = head_of(small())
    layers, _ = trace_layers(clone, x)
    calls = []
    clone.register_forward_hook(lambda *args: calls.append(1))
    assert find_head(clone, layers, x) is head and not calls
    find_head(clone, layers, torch.randn(1, 3, 16, 16, dtype=torch.float64))
    assert calls == [1] and not any(m._forward_pre_hooks for m in clone.modules())


REAL = [("resnet18", "layer4", False), ("densenet121", "features", True), ("squeezenet1_0", "classifier.2", False),
        ("mobilenet_v2", "features", False), ("googlenet", "inception5b", False), ("vgg11", None, None),
        ("mobilenet_v3_small", None, None), ("efficientnet_b0", "features", False), ("convnext_tiny", None, None)]


@pytest.mark.slow
@pytest.mark.parametrize("name, layer, rectifies", REAL, ids=[r[0] for r in REAL])
def test_heads_of_real_networks(name, layer, rectifies):
    from tests.networks import calibrated

    model, x, _ = calibrated(name, 64, dtype=torch.float32)
    clone = structural_clone(model)
    layers, _ = trace_layers(clone, x)
    if layer is None:
        with pytest.raises(ValueError, match="use grad_cam"):
            find_head(clone, layers, x)
    else:
        head = find_head(clone, layers, x)
        assert (head.layer, head.rectified) == (layer, rectifies)
