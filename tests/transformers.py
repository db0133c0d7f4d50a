"""Tiny vision transformers that tests share, with heads whose classes differ (torchvision's own are zero or faint)."""
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer


def _seeded(make, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1.5 / module.in_features ** 0.5)
    return model.double().eval()


def vit(classes=5, size=32, patch=8, layers=2, seed=0):
    """A torchvision vision transformer: a class token before (size / patch)² patches."""
    return _seeded(lambda: VisionTransformer(size, patch, layers, 2, 16, 32, num_classes=classes), seed)


def swin(classes=7, seed=0):
    """A torchvision Swin transformer: channels last, attention within windows of 4 × 4 patches."""
    return _seeded(lambda: SwinTransformer([4, 4], 12, [1, 1], [2, 2], [4, 4], num_classes=classes), seed)


class Tokens(nn.Module):
    """A transformer of other habits: patches cut by reshaping or convolution, register tokens, and the mean read at the end."""

    def __init__(self, prefix, side=8, convolution=False, pooled=True):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, side, side) if convolution else nn.Linear(3 * side * side, 16)
        self.prefix = nn.Parameter(torch.randn(1, prefix, 16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)
        self.mix = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.side, self.pooled = side, pooled

    def forward(self, x):
        if isinstance(self.patches, nn.Conv2d):
            x = self.patches(x).flatten(2).transpose(1, 2)
        else:
            x = self.patches(F.unfold(x, self.side, stride=self.side).transpose(1, 2))
        x = self.mix(self.norm(torch.cat([self.prefix.expand(len(x), -1, -1), x], 1)))
        return self.head(x.mean(1) if self.pooled else x[:, 0])


def tokens(prefix, seed=0, **keywords):
    """`Tokens` in float64 and eval mode."""
    return _seeded(lambda: Tokens(prefix, **keywords), seed)
