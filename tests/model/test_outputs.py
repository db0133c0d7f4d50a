"""Scores are found in what models return, and failures are said in words."""

from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from saliency_widgets.model.outputs import call_model, ends_in_softmax, input_channels, read_scores

SCORES = torch.arange(8.0).view(2, 4)
Aux = namedtuple("Aux", ["logits", "aux"])


class Logits(OrderedDict):
    """As transformers return: a dictionary with attributes."""

    logits = property(lambda self: self["logits"])


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        SCORES.view(2, 4, 1, 1),
        SCORES.view(2, 1, 4),
        (SCORES, torch.zeros(2, 7)),
        [torch.zeros(2, 3, 5, 5), SCORES],
        Aux(SCORES, None),
        Aux(SCORES, torch.zeros(2, 4)),
        {"out": SCORES, "aux": torch.zeros(2, 9)},
        {"logits": SCORES},
        {"anything": SCORES},
        {"loss": torch.tensor(1.0), "scores": SCORES},
        SimpleNamespace(logits=SCORES),
        Logits(logits=SCORES),
        (torch.tensor([1, 2]), SCORES),
    ],
    ids=lambda o: type(o).__name__,
)
def test_scores_are_found(output):
    found = read_scores(output)
    assert found.shape == (2, 4) and torch.equal(found, SCORES)


def test_one_number_a_picture_is_one_score():
    assert read_scores(torch.zeros(3)).shape == (3, 1) == read_scores(torch.zeros(3, 1)).shape
    assert read_scores(torch.zeros(3, 1, 1, 1)).shape == (3, 1)


@pytest.mark.parametrize(
    "output, select",
    [
        ((torch.zeros(2, 4), SCORES), 1),
        ({"a": torch.zeros(2, 4), "b": SCORES}, "b"),
        (SimpleNamespace(hidden=SCORES), "hidden"),
        ({"boxes": SCORES[:, :, None, None].expand(2, 4, 3, 3)}, lambda out: out["boxes"].mean((2, 3))),
    ],
)
def test_select_picks(output, select):
    torch.testing.assert_close(read_scores(output, select), SCORES)
    assert read_scores(output, lambda out: SCORES[:, 0]).shape == (2, 1)


@pytest.mark.parametrize(
    "output, words",
    [
        (torch.zeros(2, 21, 8, 8), ["(2, 21, 8, 8)", "every position", "output="]),
        (torch.tensor([3, 1]), ["int64", "argmax", "output="]),
        (
            {"boxes": torch.zeros(2, 5), "masks": torch.zeros(2, 7)},
            ["'boxes'", "(2, 5)", "'masks'", "output="],
        ),
        ((torch.zeros(2, 3, 5, 5), None), ["tuple of 2", "(2, 3, 5, 5)", "None", "output="]),
        (SimpleNamespace(other=1), ["SimpleNamespace", "output="]),
        (None, ["None", "output="]),
        (torch.zeros(0, 3), ["(0, 3)"]),
        (torch.tensor(1.0), ["tensor ()"]),
    ],
)
def test_what_holds_no_scores_is_described(output, words):
    with pytest.raises(ValueError) as caught:
        read_scores(output)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_wrong_selection_is_described():
    for select in (3, "boxes", lambda out: out.boxes, lambda out: "nothing"):
        with pytest.raises(ValueError, match="output="):
            read_scores((SCORES,), select)


def test_real_networks_with_several_outputs():
    import torchvision

    torch.manual_seed(0)
    google = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True).train()
    output = google(torch.randn(2, 3, 64, 64))
    assert not isinstance(output, torch.Tensor) and read_scores(output) is output.logits
    segmentation = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None
    ).eval()
    with torch.no_grad():
        output = segmentation(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match="every position|no scores"):
        read_scores(output)
    assert read_scores(output, lambda out: out["out"].mean((2, 3))).shape == (1, 21)


@pytest.mark.parametrize(
    "model, x, words",
    [
        (
            nn.Sequential(nn.Conv2d(1, 2, 3)),
            torch.zeros(1, 3, 8, 8),
            ["first convolution wants 1 channel, the picture has 3"],
        ),
        (
            nn.Sequential(nn.ReLU(), nn.Conv2d(3, 2, 3)),
            torch.zeros(1, 1, 8, 8),
            ["wants 3 channels, the picture has 1"],
        ),
        (
            nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2)),
            torch.zeros(1, 3, 9, 9),
            ["(1, 3, 9, 9)", "RuntimeError", "preprocess="],
        ),
        (nn.Sequential(nn.Conv2d(3, 2, 9)), torch.zeros(1, 3, 4, 4), ["(1, 3, 4, 4)", "Kernel size"]),
        (nn.Sequential(nn.Conv2d(3, 2, 3)).double(), torch.zeros(1, 3, 8, 8), ["float64", "float32"]),
        (lambda x: x.nothing, torch.zeros(1, 3, 8, 8), ["AttributeError", "nothing"]),
    ],
)
def test_the_models_own_failure_is_chained_and_in_words(model, x, words):
    with pytest.raises(ValueError) as caught:
        call_model(model, x)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.__cause__ is not None and not isinstance(caught.value.__cause__, ValueError)


def test_out_of_memory_passes_through():
    def model(x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        call_model(model, torch.zeros(1, 3, 4, 4))


def test_channels_that_the_input_needs():
    assert (
        input_channels(
            nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)), nn.Conv2d(5, 2, 1), nn.Conv2d(2, 2, 1))
        )
        == 5
    )
    assert (
        input_channels(nn.Sequential(nn.Flatten(), nn.Linear(12, 3))) is None
        and input_channels(lambda x: x) is None
    )
    assert input_channels(torch.compile(nn.Sequential(nn.Conv2d(1, 2, 1)))) == 1


def test_softmax_is_recognised():
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    assert (
        ends_in_softmax(logits.softmax(1))
        and ends_in_softmax(logits.softmax(1).half())
        and ends_in_softmax(logits.double().softmax(1))
    )
    assert (
        not ends_in_softmax(logits)
        and not ends_in_softmax(logits.sigmoid())
        and not ends_in_softmax(logits.log_softmax(1))
    )
    assert not ends_in_softmax(torch.ones(3, 1))
