"""The zoo: a map or a listed refusal for every method on every architecture; rules complete, DeepLIFT summing up.

Here one network of each kind; all of them with `python -m tests.zoo.survey` or `pytest -m slow tests/zoo`.
"""
import re

import pytest

from saliency_widgets import methods

from .survey import architectures, survey
from .table import TABLE

pytest.importorskip("torchvision")
FEW = ("alexnet", "densenet121", "efficientnet_b0", "googlenet", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf",
       "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vgg11_bn", "vit_b_32", "convnext_tiny")
TRANSFORMERS = ("vit_", "swin_", "maxvit_")
RELU_ONLY = ("alexnet", "vgg", "resnet", "resnext", "wide_resnet", "densenet", "googlenet", "inception", "mobilenet_v2",
             "mnasnet", "shufflenet", "squeezenet", "regnet_x")


def check(name):
    row = survey(name)
    failed = {m: facts["message"] for m, facts in row["methods"].items() if facts["status"] == "failed"}
    assert not failed
    assert set(row["methods"]) == set(methods())
    for rule in ("guided_backprop", "deconvnet"):
        if name.startswith(RELU_ONLY):
            reached, seen = map(int, re.match(r"(\d+) of (\d+) ", row["methods"][rule]["coverage"]).groups())
            assert reached == seen > 0
    if not name.startswith(TRANSFORMERS):
        assert abs(row["methods"]["deeplift"]["residual"]) < 1e-3
        assert abs(row["deeplift64"]) < 1e-8


@pytest.mark.parametrize("name", FEW)
def test_every_method_on_one_network_of_each_kind(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in architectures() if n not in FEW])
def test_every_method_on_every_other_network(name):
    check(name)


def test_the_table_knows_every_architecture_and_every_method():
    text = TABLE.read_text()
    rows = dict(re.findall(r"^\| (\w+) \| \d+ \| (\d+ of \d+) \|", text, re.M))
    assert set(rows) == set(architectures())
    for name, count in rows.items():
        assert count.endswith(f"of {len(methods())}"), f"surveyed with other methods: python -m tests.zoo.survey {name}"
