"""How far changes reach, and how each kind of node answers to one."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets.engine.base import BOUNDED, FAR, Base
from saliency_widgets.engine.deltas import Chunk
from saliency_widgets.engine.grouping import grouped
from saliency_widgets.engine.plan import Costs, needs
from saliency_widgets.engine.reach import Span, Start, reach, through
from saliency_widgets.model.folded import folded
from saliency_widgets.model.recognise import _MODULES
from tests.small import tensor


def graph(*modules, channels=3, size=32):
    torch.manual_seed(0)
    model = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    fast, reason = folded(model, torch.cat([tensor((size, size))[None]] * 2, 1)[:, :channels])
    assert reason == ""
    return fast.graph


@pytest.mark.parametrize("kernel", (1, 2, 3, 5))
@pytest.mark.parametrize("stride", (1, 2, 3))
@pytest.mark.parametrize("dilation", (1, 2))
def test_a_box_behind_a_window_holds_what_changes_and_no_more(kernel, stride, dilation):
    length, padding = 23, kernel // 2
    wide = dilation * (kernel - 1)
    out = (length + 2 * padding - wide - 1) // stride + 1
    for start in range(length):
        for size in (1, 2, 5):
            size = min(size, length - start)
            changed = torch.zeros(1, 1, length)
            changed[..., start:start + size] = 1
            seen = torch.conv1d(changed, torch.ones(1, 1, kernel), None, stride, padding, dilation)[0, 0].nonzero().flatten()
            span = through(Span(start, size, 0), 0, (kernel, stride, padding, dilation), out)
            if len(seen):
                assert (span.start, span.start + span.size - 1) == (int(seen[0]), int(seen[-1])) or dilation > 1
                assert span.start <= int(seen[0]) and span.start + span.size > int(seen[-1])
            elif dilation == 1:
                assert span.nothing
            if not span.nothing:  # the zeros put around give exactly the windows of the box
                assert size + span.before + span.after == (span.size - 1) * stride + wide + 1


def test_members_that_a_stride_takes_apart_have_no_box():
    assert through(Span(0, 4, 3), 2, (3, 2, 1, 1), 16) is None
    assert through(Span(0, 4, 4), 2, (3, 2, 1, 1), 16).step == 2


def test_what_all_members_have_outside_is_trimmed():
    both = through(Span(0, 4, 8), 1, (3, 1, 1, 1), 32)
    assert (both.start, both.size) == (-1, 6)  # the second member needs the row that the first has outside
    alone = through(Span(0, 4, 0), 0, (3, 1, 1, 1), 32)
    assert (alone.start, alone.size, alone.before) == (0, 5, 1)


@pytest.mark.parametrize("kind", list(_MODULES), ids=lambda k: k.__name__)
def test_activations(kind):
    module = kind(0.1, 20) if kind is nn.Threshold else kind()
    made = graph(nn.Conv2d(3, 4, 3, padding=1), module, nn.Conv2d(4, 4, 1))
    x = tensor()
    for d, wanted in travelled(made, x):
        assert torch.allclose(d, wanted, rtol=1e-10, atol=1e-12)


def travelled(made, x, boxes=((0, 0), (0, 24), (24, 24), (8, 16)), size=8):
    """Whole values at the stash by patches, and by full forwards, for changes at corners and inside."""
    costs = Costs(made)
    k = [torch.tensor([b[axis] // 8 for b in boxes]) for axis in (0, 1)]
    starts = [Start(0, size, 8, int(each.max())) for each in k]
    way = costs.course(*starts)
    base = Base(made)
    for number in needs(made, way):
        base.hold(number, made.resume({0: x[None]}, 0, 1, number) if number else x[None])
    torch.manual_seed(1)
    d = torch.randn(len(boxes), x.shape[0], size, size, dtype=x.dtype)
    pictures = x.repeat(len(boxes), 1, 1, 1)
    for picture, part, (top, left) in zip(pictures, d, boxes):
        picture[:, top:top + size, left:left + size] += part
    with torch.no_grad():
        got = Chunk(base, way, *k).run(d.contiguous(memory_format=torch.channels_last))
        yield from zip(got, made.resume({0: pictures}, 0, len(boxes), way.stash))


@pytest.mark.parametrize("modules", [
    (nn.Conv2d(3, 6, 5, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
    (nn.Conv2d(3, 6, 3, 1, 2, dilation=2, groups=3), nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True)),
    (nn.MaxPool2d((2, 3), (1, 2), (1, 0)), nn.BatchNorm2d(3), nn.Conv2d(3, 4, (1, 3), 2)),
    (nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(3, 4, 3, 2), nn.ZeroPad2d(-1), nn.Conv2d(4, 4, 1)),
    (nn.Conv2d(3, 4, 1, 4), nn.Hardswish(), nn.Conv2d(4, 4, 3)), (nn.AvgPool2d(2, divisor_override=5), nn.Tanh())])
def test_windows_at_corners(modules):
    for got, wanted in travelled(graph(*modules), tensor()):
        assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_bounded_activations_do_not_see_a_change_outside():
    far = torch.full((5,), FAR)
    for kind, word in _MODULES.items():
        if word in BOUNDED:
            module = kind()
            assert torch.equal(module(far + torch.randn(5) * 1e3), module(far)), word


def test_patches_that_others_read_are_not_written_to():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            y = self.conv(x)
            one, two = y.chunk(2, 1)
            return torch.relu(y) + torch.cat((torch.relu(one), two), 1) - y
    for got, wanted in travelled(graph(Twice()), tensor()):
        assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_groups_hold_every_box_and_share_shapes():
    made = graph(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1))
    costs = Costs(made)
    rng = np.random.default_rng(0)
    top, left = rng.integers(0, 28, (2, 40))
    boxes = np.stack((top, left, top + rng.integers(1, 5, 40), left + rng.integers(1, 5, 40)), 1)
    groups, price = grouped(boxes, (32, 32), 4, costs.group)
    assert sorted(np.concatenate([g.members for g in groups]).tolist()) == list(range(40))
    assert price == pytest.approx(sum(costs.group(g.rows, g.columns, len(g.members)) for g in groups))
    for group in groups:
        for axis, start in enumerate((group.rows, group.columns)):
            low = start.start + start.step * group.k[axis]
            assert (low <= boxes[group.members, axis]).all() and start.most == group.k[axis].max()
            assert (low + start.size >= boxes[group.members, axis + 2]).all()


def test_boxes_only_grow_less_the_stride():
    made = graph(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1))
    spans = reach(made, 0, Start(8, 4, 0, 0))
    assert [(s.start, s.size) for s in spans[:4]] == [(8, 4), (7, 6), (3, 4), (2, 6)]
    assert spans[-1] is None
