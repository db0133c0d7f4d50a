"""The version notices every way in which a model comes to compute something else, and nothing else."""

import time

import pytest
import torch
from torch import nn

from saliency_widgets.model.clone import structural_clone
from saliency_widgets.model.version import version_of
from tests.networks import calibrated


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def picture() -> torch.Tensor:
    return torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def train(optimiser, **options):
    def step(model):
        steps = optimiser(model.parameters(), lr=1e-2, **options)
        model.eval()(picture()).sum().backward()
        steps.step()

    return step


def through_data(model):
    model[5].weight.data.add_(1e-3)


def one_filter_through_data(model):
    model[0].weight.data[3, 1] += 1


def new_data(model):
    model[5].weight.data = model[5].weight.data.clone() * 2


def half_way(model):
    model.double()


def there_and_back(model):
    model.half().float()


def assigned(model):
    model.load_state_dict({k: v.clone() + 1 for k, v in model.state_dict().items()}, assign=True)


def loaded(model):
    model.load_state_dict({k: v.clone() + 1 for k, v in model.state_dict().items()})


def statistics(model):
    model.train()(picture())
    model.eval()


def buffer_through_data(model):
    model[1].running_mean.data.add_(1)


def another_head(model):
    model[5] = nn.Linear(8, 4)


def another_activation(model):
    model[2] = nn.GELU()


def another_number(model):
    model[1].eps = 0.1


def hooked(model):
    model[2].register_forward_hook(lambda module, inputs, output: output * 0)


def in_numpy(model):
    model[5].weight.detach().numpy()[:] *= 2


CHANGES = [
    train(torch.optim.SGD),
    train(torch.optim.SGD, fused=True),
    train(torch.optim.Adam),
    train(torch.optim.Adam, fused=True),
    train(torch.optim.AdamW, foreach=True),
    through_data,
    one_filter_through_data,
    new_data,
    half_way,
    there_and_back,
    assigned,
    loaded,
    statistics,
    buffer_through_data,
    another_head,
    another_activation,
    another_number,
    hooked,
    in_numpy,
]
NAMES = ["SGD", "fused SGD", "Adam", "fused Adam", "foreach AdamW", *(c.__name__ for c in CHANGES[5:])]


@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
def test_a_change_is_noticed(change):
    model = small()
    before = version_of(model)
    change(model)
    after = version_of(model)
    assert after != before and version_of(model) == after and hash(version_of(model)) == hash(after)


@pytest.mark.parametrize(
    "change",
    [train(torch.optim.SGD), new_data, half_way, assigned, loaded, statistics, another_head],
    ids=["SGD", "new_data", "half_way", "assigned", "loaded", "statistics", "another_head"],
)
def test_the_cheap_version_notices_what_torch_counts(change):
    model = small()
    before = version_of(model, content=False)
    change(model)
    assert version_of(model, content=False) != before


def used(model):
    model(picture()).sum().backward()


def evaluated(model):
    model.train().eval()
    with torch.no_grad():
        model(picture())


def cloned(model):
    clone = structural_clone(model)
    x = picture().requires_grad_(True)
    torch.autograd.grad(clone(x).sum(), x)


def frozen(model):
    model.requires_grad_(False)
    model.zero_grad()


@pytest.mark.parametrize("use", [used, evaluated, cloned, frozen])
@pytest.mark.parametrize("content", [True, False])
def test_what_changes_no_score_is_not_a_change(use, content):
    model = small().eval()
    before = version_of(model, content)
    use(model)
    assert version_of(model, content) == before


def test_inference_tensors():
    with torch.inference_mode():
        model = small()
        before, cheap = version_of(model), version_of(model, content=False)
        assert version_of(model) == before and version_of(model, content=False) == cheap
        model[5].weight.mul_(2)  # nothing counts this: the content must tell
    assert version_of(model) != before


def test_wrappers_scripts_and_callables():
    model = small().eval()
    assert version_of(torch.compile(model)) == version_of(model) == version_of(nn.DataParallel(model))
    scripted = torch.jit.trace(model, picture())
    before = version_of(scripted)
    assert version_of(scripted) == before and version_of(scripted, content=False) == version_of(
        scripted, content=False
    )
    with torch.no_grad():
        model[5].weight.mul_(2)  # tracing shares the weights
    assert version_of(scripted) != before

    def function(x):
        return x

    assert version_of(function) == version_of(function) != version_of(lambda x: x)


def test_odd_tensors():
    model = nn.Module()
    model.empty = nn.Parameter(torch.zeros(0, 3))
    model.scalar = nn.Parameter(torch.tensor(1.0))
    model.last = nn.Parameter(torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last))
    model.flipped = nn.Parameter(torch.randn(300, 200).t())
    model.bits = nn.Parameter(torch.tensor([True, False]), requires_grad=False)
    model.brain = nn.Parameter(torch.randn(100).bfloat16())
    model.complex = nn.Parameter(torch.randn(100, dtype=torch.complex64))
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    model.register_buffer("wide", torch.ones(1, 3).expand(5, 3))
    model.register_buffer("nan", torch.tensor([float("nan")]))
    model.meta = nn.Parameter(torch.zeros(3, device="meta"))
    model.limit = float("nan")
    for name in ("scalar", "last", "flipped", "brain", "complex"):
        before = version_of(model)
        assert before == version_of(model)
        getattr(model, name).data.mul_(2)
        assert version_of(model) != before, name


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
def test_a_version_is_cheap(name):
    """Processor time, the best of several: with content (per request) and without (per batch)."""
    model, _, _ = calibrated(name, 64, dtype=torch.float32)

    def best(content):
        def once():
            started = time.thread_time()
            version_of(model, content)
            return time.thread_time() - started

        return min(once() for _ in range(15))

    assert best(True) < 8e-3 and best(False) < 3e-3  # measured 3.4 and 0.7; room for slower machines
