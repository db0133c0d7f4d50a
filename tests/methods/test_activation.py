"""Activation maps: what the filters of a layer give, the most active first, with the filter's weights."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session, explain
from tests.small import small, tensor
from tests.transformers import swin, vit


def test_one_channel_and_the_sheet_of_all():
    model, x = small(), tensor()
    session = Session(model, x)
    with torch.no_grad():
        maps = model.conv1(x[None])[0].numpy()
    activity = np.abs(maps).mean((1, 2))
    got = session.map("activation", layer="conv1", channel=5)
    np.testing.assert_allclose(got.values, maps[5:6], atol=1e-12)
    assert got.unit == "activation"
    np.testing.assert_allclose(got.details["weights"], model.conv1.weight[5].detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(got.details["activity"], activity, atol=1e-12)
    assert got.details["order"].tolist() == np.argsort(-activity, kind="stable").tolist()
    assert got.details["sheet"].shape == maps.shape and got.details["sheet"].dtype == np.float32
    np.testing.assert_allclose(got.details["sheet"], maps[got.details["order"]], rtol=1e-6)
    best = session.map("activation", layer="conv1")
    assert best.details["channel"] == activity.argmax() and session.stats.forward_samples == 1
    assert session.stats.backward_samples == 0
    np.testing.assert_allclose(best.values[0], maps[activity.argmax()], atol=1e-12)


def test_before_an_in_place_activation_and_where_no_filter_is():
    model, x = small(), tensor()
    session = Session(model, x)
    with torch.no_grad():
        wanted = model.norm(model.conv1(x[None]))[0]
    got = session.map("activation", layer="norm", channel=2)
    np.testing.assert_allclose(got.values[0], wanted[2].numpy(), atol=1e-12)
    assert got.values.min() < 0 and got.details["weights"] is None  # batch norm has a weight, but no filters
    assert session.map("activation").details["layer"] == session.default_layer


def test_the_sheet_is_cut_and_the_order_is_not():
    wide = nn.Sequential(nn.Conv2d(3, 300, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(300, 3)).double()
    got = explain(wide, tensor(), "activation", layer="0")
    assert got.details["sheet"].shape == (256, 30, 30) and len(got.details["order"]) == 300


@pytest.mark.parametrize("make, layer, channels", [(vit, "encoder.layers.encoder_layer_0.mlp.0", 32), (swin, "features.1", 12)])
def test_channels_of_transformers(make, layer, channels):
    got = Session(make(), tensor()).map("activation", layer=layer, channel=channels - 1)
    assert got.values.shape == (1, *((4, 4) if make is vit else (8, 8))) and got.values.any()
    assert got.details["sheet"].shape[0] == channels
    assert (got.details["weights"] is not None) == (make is vit)  # a linear layer's row
    with pytest.raises(LookupError, match=f"no channel {channels}: it has {channels}, counted from 0"):
        Session(make(), tensor()).map("activation", layer=layer, channel=channels)


def test_what_has_no_map_is_refused():
    session = Session(small(), tensor())
    with pytest.raises(ValueError, match="'head' gives shape .5,., without positions: choose one of conv1"):
        session.map("activation", layer="head")
    with pytest.raises(ValueError, match="channel=-1"):
        session.map("activation", layer="conv1", channel=-1)
    silent = small()
    with torch.no_grad():
        silent.conv1.weight[3], silent.conv1.bias[3] = 0, 0
    assert "finds nothing" in explain(silent, tensor(), "activation", layer="conv1", channel=3).warnings[0]
