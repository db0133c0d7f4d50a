"""What goes wrong is said in words, in Python and in the status line, and the Explorer stays usable."""

import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Explorer

from .explorers import LABELS, png
from .small import pixels, small, tensor


def test_bad_assignments_raise_and_change_nothing(ex, tmp_path):
    (tmp_path / "cut.png").write_bytes(png(pixels())[:200])
    before = (ex.image, ex.target, ex.method, ex.face.stage.canvas.picture)
    nan, wrong = tensor(), tensor()[0]
    nan = nan.clone()
    nan[0, 3, 3] = float("nan")
    for name, bad in [("method", "nope"), ("target", 10**6), ("target", "unicorn"), ("contrast", 99),
                      ("image", tmp_path / "missing.png"), ("image", tmp_path / "cut.png"), ("image", nan),
                      ("image", wrong), ("image", 7)]:
        with pytest.raises((ValueError, TypeError, LookupError, FileNotFoundError)) as raised:
            setattr(ex, name, bad)
        assert ex.error and ex.error.split()[0] in str(raised.value).lower() + ex.error
        assert (ex.target, ex.method, ex.face.stage.canvas.picture) == before[1:] and ex.image is before[0]
        assert ex.error in ex.face.status.text.value.replace("&#x27;", "'").replace("&quot;", '"').replace("&lt;", "<")
    ex.method = "gradient"
    assert ex.wait() and ex.error == "" and ex.maps["gradient"].final


def test_a_bad_file_is_one_sentence_in_the_status_line(ex):
    picture = ex.face.stage.canvas.picture
    ex.face.stage.canvas._on_drop("notes.txt", b"not a picture")
    assert ex.error.startswith("notes.txt: ") and "0x" not in ex.error and ex.face.stage.canvas.picture == picture
    assert ex.face.status.details.layout.display == "" and "Traceback" in ex.face.status.more.value
    ex.face.classes.names[1].click()
    assert ex.wait() and ex.error == ""


def test_a_picture_that_the_model_refuses_leaves_the_old_one():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 5)).double().eval()
    ex = Explorer(model, tensor(), LABELS)
    ex.wait()
    old, picture = ex.image, ex.face.stage.canvas.picture
    ex.image = tensor((40, 40))
    assert ex.wait() and ex.error and ex.image is old and ex.face.stage.canvas.picture == picture
    ex.method = "gradient"
    assert ex.wait() and ex.error == "" and ex.maps["gradient"].values.shape == (3, 32, 32)
    ex.close()


def test_a_model_without_positions_begins_with_the_gradient():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)).double().eval()
    ex = Explorer(model, tensor(), LABELS)
    assert ex.wait() and ex.method == "gradient" and ex.error == ""
    assert ex.face.method.pills["cam"].disabled and "no layer with positions" in ex.face.method.pills["cam"].tooltip
    assert "Grad-CAM instead" not in ex.face.status.text.value and "Gradient instead" in ex.face.status.text.value
    ex.method = "grad_cam"
    assert ex.wait() and "layer with positions" in ex.error
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == "" and ex.maps["leave_one_out"].final
    ex.close()


def test_a_map_that_fails_is_said_in_words():
    class Root(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).sqrt()

    ex = Explorer(Root(), tensor())
    ex.method = "integrated_gradients"
    assert ex.wait() and "infinite or NaN at α = 0" in ex.error and "move the baseline" in ex.error
    ex.params["integrated_gradients"].baseline = "white"
    assert ex.wait() and ex.error == "" and ex.maps["integrated_gradients"].final
    ex.close()


def test_a_callback_that_fails_is_said_and_does_no_harm(ex):
    def broken(_):
        raise RuntimeError("my own mistake")

    ex.on_map(broken)
    ex.method = "gradient"
    assert ex.wait() and "my own mistake" in ex.error
    ex.on_map(broken, remove=True)
    ex.target = (ex.target + 1) % 5
    assert ex.wait() and ex.error == ""


def test_unknown_suffixes_and_methods_raise(ex, tmp_path):
    with pytest.raises(ValueError, match="html"):
        ex.save(tmp_path / "map.doc")
    with pytest.raises(LookupError, match="grad_cam"):
        Explorer(small(), tensor(), method="grad_cm")


def test_training_on_is_noticed_and_said(ex):
    before = ex.face.classes.bars.y.copy()
    with torch.no_grad():
        ex.session.subject.model.head.bias.add_(torch.arange(5.0, dtype=torch.float64))
    ex.method = "gradient"
    assert ex.wait() and "the model changed" in ex.face.status.text.value
    assert not np.array_equal(ex.face.classes.bars.y, before) and list(ex.maps) == ["gradient"]


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_outputs(classes):
    ex = Explorer(small(classes=classes), tensor())
    assert ex.wait() and ex.error == "" and len(ex.face.classes.indices) == classes
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == "" and ex.maps["leave_one_out"].final
    ex.close()


class Branches(nn.Module):
    """Looks at the numbers of its input, so that it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, x):
        return self.inner(x if float(x.sum()) > -1e9 else -x)


def test_a_model_that_runs_in_full_is_told_in_the_status_line():
    ex = Explorer(Branches().double().eval(), tensor(), LABELS)
    assert ex.wait() and "full forwards only" not in ex.face.status.text.value
    ex.method = "leave_one_out"
    assert ex.wait() and ex.error == "" and "full forwards only" in ex.face.status.text.value
    assert ex.maps["leave_one_out"].estimate.startswith("full forwards: ") and "full forwards" in ex.face.method.price.value
    ex.close()
