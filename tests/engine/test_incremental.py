"""Incremental forwards are full forwards: on real architectures and on random graphs, whatever the regions."""
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from saliency_widgets import regions as R
from saliency_widgets.engine import incremental
from saliency_widgets.engine.incremental import Incremental, Pictures, Regions
from saliency_widgets.engine.inputs import digest
from saliency_widgets.kernels import reference
from saliency_widgets.model.folded import folded
from tests.networks import calibrated, smooth_pictures
from tests.small import small, tensor

pytestmark = pytest.mark.usefixtures("one_thread")
SIX = ("squeezenet1_0", "resnet18", "mobilenet_v2", "vgg16", "resnet50", "densenet121")
MORE = ("googlenet", "shufflenet_v2_x1_0", "mobilenet_v3_small", "regnet_y_400mf",
        pytest.param("convnext_tiny", marks=pytest.mark.slow), pytest.param("vit_b_16", marks=pytest.mark.slow))


def ready(model, x):
    fast, reason = folded(model, x[None])
    assert reason == ""
    return Incremental(fast, x)


def masked(x, fill, labels, sets):
    chosen = torch.zeros(len(sets), int(labels.max()) + 1, dtype=torch.bool)
    for row, regions in enumerate(sets):
        chosen[row, list(regions)] = True
    return reference.without_regions(x, fill, torch.from_numpy(labels.astype(np.int64)), chosen)


def error(model, x, fill, labels, sets, engine=None):
    """Largest difference from full forwards, relative to the largest score."""
    engine = engine or ready(model, x)
    with torch.no_grad():
        wanted = model(masked(x, fill, labels, sets))
        got = engine.logits(Regions(x, fill, torch.from_numpy(labels.astype(np.int64)), sets))
    return float((got - wanted).abs().max() / wanted.abs().max())


def blobs(size, count, seed=0):
    """An irregular label map: the nearest of random points, with a region in several pieces."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (count + 2, 2)) * size
    y, x = np.mgrid[:size[0], :size[1]]
    nearest = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)
    return R.as_labels(np.minimum(nearest, count - 1), size)


@pytest.mark.parametrize("name, dtype, tolerance", [
    *((name, torch.float32, 1e-4) for name in SIX), *((name, torch.float64, 1e-10) for name in SIX if name != "vgg16"),
    pytest.param("vgg16", torch.float64, 1e-10, marks=pytest.mark.slow)])  # a gigabyte of weights
def test_six_networks(name, dtype, tolerance):
    model, x, _ = calibrated(name, 64 if dtype == torch.float64 else 96, dtype=dtype)
    x = x[0]
    size, engine, fill = tuple(x.shape[1:]), ready(model, x), torch.zeros_like(x)
    boxes, _ = R.windows(size, (16, 16), (16, 8) if dtype == torch.float64 else (16, 16))
    labels, sets = R.cells(size, boxes)
    assert error(model, x, fill, labels, sets[::2], engine) < tolerance
    labels = blobs(size, 9)
    assert error(model, x, fill + 0.3, labels, [(r,) for r in range(9)] + [(), (2, 5), tuple(range(9))], engine) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize("name", SIX)
def test_six_networks_at_full_size(name):
    model, x, _ = calibrated(name, 224, dtype=torch.float32)
    labels = R.grid((224, 224), 14, 14)
    assert error(model, x[0], torch.zeros_like(x[0]), labels, [(r,) for r in range(0, 196, 5)]) < 1e-4


@pytest.mark.parametrize("name", MORE)
def test_other_architectures(name):
    model, x, _ = calibrated(name, 64)
    assert error(model, x[0], torch.zeros_like(x[0]), R.grid((64, 64), 4, 4), [(r,) for r in range(0, 16, 3)]) < 1e-9


ACTIVATIONS = (nn.ReLU(inplace=True), nn.ReLU6(), nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.Sigmoid(), nn.LeakyReLU(0.2),
               nn.ELU(), nn.Softplus(), nn.Tanh(), nn.PReLU(6), nn.Mish(), nn.Softshrink(), nn.Identity(), nn.Hardtanh(-0.3, 0.5))


class Block(nn.Module):
    """Branches with windows of their own, joined by a sum, a concatenation or a product."""

    def __init__(self, draw):
        super().__init__()
        self.join = draw(st.sampled_from(("none", "add", "subtract", "cat", "excite", "split")))
        kernel, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        odd = 2 * (kernel // 2) + 1  # keeps the size, so that the branch can be added to its input
        self.branch = nn.Conv2d(6, 6, odd, padding=dilation * (odd // 2), dilation=dilation,
                                groups=draw(st.sampled_from((1, 2, 6))), bias=draw(st.booleans()))
        self.norm = nn.BatchNorm2d(6)
        self.activation = draw(st.sampled_from(ACTIVATIONS))
        self.squeeze = nn.Conv2d(6, 6, 1)
        self.merge = nn.Conv2d(12, 6, 1)
        self.down = self.window(draw)
        self.last = draw(st.sampled_from(ACTIVATIONS))

    @staticmethod
    def window(draw):
        kind = draw(st.sampled_from(("conv", "max", "avg", "pad", "adaptive", "none")))
        kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        ceil = draw(st.booleans())
        match kind:
            case "conv":
                return nn.Conv2d(6, 6, kernel, stride, padding, groups=draw(st.sampled_from((1, 3))))
            case "max":
                return nn.MaxPool2d(kernel, stride, padding, dilation=draw(st.integers(1, 2)) if max(kernel) < 3 else 1,
                                    ceil_mode=ceil)
            case "avg":
                return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil, count_include_pad=draw(st.booleans()),
                                    divisor_override=draw(st.sampled_from((None, 3))))
            case "pad":
                return nn.ZeroPad2d((0, 1, 2, draw(st.integers(-1, 1))))
            case "adaptive":
                return draw(st.sampled_from((nn.AdaptiveAvgPool2d(5), nn.AdaptiveMaxPool2d((6, None)))))
        return nn.Identity()

    def forward(self, x):
        y = self.activation(self.norm(self.branch(x)))
        match self.join:
            case "add":
                y = x + y
            case "subtract":
                y = torch.sub(y, x, alpha=0.5)
            case "cat":
                y = self.merge(torch.cat((x, y), 1))
            case "excite":
                y = y * self.squeeze(y.mean((2, 3), keepdim=True)).sigmoid()
            case "split":
                one, two = y.chunk(2, 1)
                y = torch.cat((two * 2 - 1, one), 1)
        return self.last(self.down(y))


class Network(nn.Module):
    def __init__(self, draw):
        super().__init__()
        torch.manual_seed(draw(st.integers(0, 99)))
        self.first = nn.Conv2d(2, 6, 3, draw(st.integers(1, 2)), padding=draw(st.integers(0, 2)))
        self.blocks = nn.Sequential(*(Block(draw) for _ in range(draw(st.integers(1, 3)))))
        self.flat = draw(st.booleans())
        self.head = nn.LazyLinear(3)
        for norm in (m for m in self.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = self.blocks(self.first(x))
        return self.head(torch.flatten(x, 1) if self.flat else x.mean(dim=(2, 3)))


@st.composite
def cases(draw):
    size = draw(st.integers(17, 30)), draw(st.integers(17, 30))
    model = Network(draw).double().eval()
    x = smooth_pictures(1, 32, draw(st.integers(0, 9)), 2)[0, :, :size[0], :size[1]].double()
    kind = draw(st.sampled_from(("corners", "pixels", "windows", "blobs", "whole")))
    height, width = size
    if kind == "corners":
        boxes = np.array([(0, 0, 3, 5), (0, width - 2, 6, width), (height - 4, 0, height, 1),
                          (height - 1, width - 1, height, width), (5, 0, 9, 4), (0, 6, 2, 10)])
    elif kind == "pixels":
        at = [(draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))) for _ in range(5)]
        boxes = np.array([(y, z, y + 1, z + 1) for y, z in at])
    elif kind == "windows":
        boxes, _ = R.windows(size, (draw(st.integers(2, 8)),) * 2, (2, draw(st.integers(1, 2))))
        boxes = boxes[::7]
    elif kind == "whole":
        boxes = np.array([(0, 0, height, width), (0, 0, height, 1)])
    if kind == "blobs":
        labels, sets = blobs(size, 6, draw(st.integers(0, 9))), [(i,) for i in range(6)] + [(0, 3), ()]
    else:
        labels, sets = R.cells(size, boxes)
    return model, x, labels, sets


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_random_networks(case):
    model, x, labels, sets = case
    try:
        with torch.no_grad():
            model(x[None])
    except RuntimeError:  # windows larger than what is left of the picture
        return
    assert error(model, x, torch.full_like(x, 0.4), labels, sets) < 1e-10


def test_pictures_and_regions_agree():
    x = tensor()
    engine, fill, labels = ready(small(), x), torch.zeros_like(x), blobs((32, 32), 7)
    sets = [(r,) for r in range(7)] + [(1, 4), ()]
    pictures = masked(x, fill, labels, sets)
    given_pictures = Pictures(x, pictures)
    by_regions = Regions(x, fill, torch.from_numpy(labels.astype(np.int64)), sets)
    y, x_ = np.nonzero(labels == 3)
    assert by_regions.boxes[3].tolist() == [y.min(), x_.min(), y.max() + 1, x_.max() + 1]
    assert torch.allclose(engine.logits(given_pictures), small()(pictures), rtol=1e-12)
    assert torch.allclose(engine.logits(by_regions), small()(pictures), rtol=1e-12)


def test_an_unchanged_picture_has_the_base_scores():
    x = tensor()
    engine = ready(small(), x)
    got = engine.logits(Regions(x, torch.zeros_like(x), torch.zeros(32, 32, dtype=torch.int64), [()]))
    assert torch.allclose(got, small()(x[None]), rtol=1e-12)


def test_parts_cover_every_picture_once():
    x = tensor()
    labels = R.grid((32, 32), 8, 8)
    engine = ready(small(), x)
    change = Regions(x, torch.zeros_like(x), torch.from_numpy(labels.astype(np.int64)), [(r,) for r in range(64)])
    rows = torch.cat([rows for rows, _ in engine.parts(change)])
    assert sorted(rows.tolist()) == list(range(64))


class Stopped(Exception):
    pass


def test_work_can_be_stopped_and_what_is_ready_is_handed_out(monkeypatch):
    monkeypatch.setattr(incremental, "OFTEN", 0.0)
    x = tensor()
    labels = torch.from_numpy(R.grid((32, 32), 16, 16).astype(np.int64))
    engine = ready(small(), x)
    change = Regions(x, torch.zeros_like(x), labels, [(r,) for r in range(256)])
    wanted, calls = engine.logits(change), []
    got = list(engine.parts(change, lambda: calls.append(1)))
    assert len(got) >= 4 and len(calls) >= 256 // incremental.CHUNK
    assert torch.allclose(torch.cat([scores for _, scores in got]), wanted[torch.cat([rows for rows, _ in got])], rtol=1e-12)

    def stop():
        calls.append(1)
        if len(calls) > 12:
            raise Stopped
    calls, some = [], []
    with pytest.raises(Stopped):
        for part in engine.parts(change, stop):
            some.append(part)
    assert len(calls) == 13 and 0 < len(some) < len(got)


def test_which_pictures_pay_on_their_own():
    model, x, _ = calibrated("squeezenet1_0", 96, dtype=torch.float32)
    engine = ready(model, x[0])
    boxes = np.array([(0, 0, 8, 8), (0, 0, 96, 96), (40, 40, 48, 48), (10, 10, 10, 10), (2, 3, 95, 90)])
    assert engine.worthwhile(boxes).tolist() == [True, False, True, True, False]
    assert engine.worthwhile(boxes[:0]).shape == (0,)


def test_one_base_pass_serves_every_change_where_the_budget_allows_it():
    model, x, _ = calibrated("resnet18", 64, dtype=torch.float32)
    first, second = np.zeros((64, 64), dtype=np.int64), np.zeros((64, 64), dtype=np.int64)
    first[:8, :8], second[24:48, 20:60] = 1, 1
    for budget, passes in ((incremental.BUDGET, 1), (750_000, 3)):
        engine = Incremental(folded(model, x)[0], x[0], budget)
        assert engine.base_passes == 0
        assert error(model, x[0], torch.zeros_like(x[0]), first, [(1,)], engine) < 1e-4
        assert engine.base_passes == 1
        assert error(model, x[0], torch.zeros_like(x[0]), second, [(1,)], engine) < 1e-4
        assert error(model, x[0], torch.zeros_like(x[0]), second, [(0,), ()], engine) < 1e-4
        assert engine.base_passes == passes and engine.nbytes <= budget


def test_the_plan_says_what_it_would_save_and_when_not():
    model, x, _ = calibrated("squeezenet1_0", 96, dtype=torch.float32)
    engine = ready(model, x[0])
    small_boxes = R.windows((96, 96), (8, 8), (8, 8))[0]
    plan = engine.plan(small_boxes)
    assert plan is engine.plan(small_boxes.copy())
    estimate = plan.estimate
    assert estimate.incremental and estimate.samples == 144 and estimate.multiply_adds < estimate.full_multiply_adds / 2
    assert sorted(np.concatenate([g.members for g in plan.groups]).tolist()) == list(range(144))
    assert "fewer multiply-adds" in str(estimate)
    whole = engine.plan(np.array([[0, 0, 96, 96]] * 4)).estimate
    assert not whole.incremental and str(whole).startswith("full forwards: ")
    tight = Incremental(engine.model, x[0], budget=1000).plan(small_boxes).estimate
    assert not tight.incremental and "base activations" in tight.reason


def test_base_activations_are_counted_and_within_the_estimate():
    model, x, _ = calibrated("resnet18", 64, dtype=torch.float32)
    engine = ready(model, x[0])
    assert engine.nbytes == 0
    labels = R.grid((64, 64), 8, 8)
    change = Regions(x[0], torch.zeros_like(x[0]), torch.from_numpy(labels.astype(np.int64)), [(r,) for r in range(64)])
    engine.logits(change)
    assert 0 < engine.nbytes <= 1.1 * engine.plan(change.boxes).estimate.base_bytes


def test_the_order_of_regions_does_not_matter():
    x = tensor()
    labels = R.grid((32, 32), 5, 5)
    engine, lab = ready(small(), x), torch.from_numpy(labels.astype(np.int64))
    forward = engine.logits(Regions(x, torch.zeros_like(x), lab, [(r,) for r in range(25)]))
    backward = engine.logits(Regions(x, torch.zeros_like(x), lab, [(r,) for r in range(24, -1, -1)]))
    assert torch.allclose(forward, backward.flip(0), rtol=1e-12)
    assert digest(forward) == digest(engine.logits(Regions(x, torch.zeros_like(x), lab, [(r,) for r in range(25)])))


def test_a_picture_of_another_size_is_refused():
    engine = ready(small(), tensor())
    with pytest.raises(ValueError, match="fold it again"):
        Incremental(engine.model, tensor((40, 32)))


@pytest.mark.parametrize("size", (1, 6, 20))
def test_one_edited_region(size):
    x = tensor()
    labels = np.zeros((32, 32), dtype=np.int64)
    labels[5:5 + size, 12 - size // 2:12 + size - size // 2] = 1
    assert error(small(), x, torch.ones_like(x), labels, [(1,)]) < 1e-12
    plan = ready(small(), x).plan(np.array([[5, 3, 9, 8]]))
    assert [(g.rows.start, g.rows.size, g.columns.start, g.columns.size) for g in plan.groups] == [(5, 4, 3, 5)]
