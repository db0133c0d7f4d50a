"""Contact sheets: each tile is what it says, and nothing is evaluated for one."""
import numpy as np
import pytest
import torch
from PIL import Image

import saliency_widgets as sw
from saliency_widgets.contact_sheet import GAP, LINE, TILE, contact_sheet, has_sheet
from saliency_widgets.widgets.pictures import paint_size

from .explorers import LABELS
from .small import small, tensor


def tile(sheet, number, row=0, columns=5):
    """One picture of a sheet of square tiles, uint8 `(TILE, TILE, 3)`."""
    down = (1 + max(0, tile.deep - 1)) * TILE + LINE + GAP
    x, y = GAP + number % columns * (TILE + GAP), LINE + 2 * GAP + number // columns * down + row * TILE
    return np.asarray(sheet)[y:y + TILE, x:x + TILE]


def enlarged(picture):
    return np.asarray(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS))


def test_a_path_shows_picture_and_gradient_at_25_points_without_an_evaluation():
    model, x = small(), tensor()
    session = sw.Session(model, x, LABELS)
    found = session.map("integrated_gradients", steps=32)
    before = session.stats.forward_samples
    sheet = contact_sheet(session, found)
    assert session.stats.forward_samples == before
    tile.deep = 2
    points = np.unique(found.details["alphas"])
    chosen = points[np.linspace(0, len(points) - 1, 25).round().astype(int)]
    assert chosen[0] == 0 and chosen[-1] == 1 and len(set(chosen)) == 25
    for number in (0, 7, 24):
        alpha = float(chosen[number])
        at = (alpha * x)[None].requires_grad_()
        gradient, = torch.autograd.grad(model(at)[0, found.target], at)
        seen = (255 * alpha * x.permute(1, 2, 0).numpy()).round().astype(np.uint8)
        assert np.abs(tile(sheet, number).astype(int) - enlarged(seen)).max() <= 1, alpha
        expected = enlarged(paint_size(np.abs(gradient[0].numpy()).max(0)))
        assert np.abs(tile(sheet, number, row=1).astype(int) - expected).max() <= 2, alpha


def test_a_blur_path_layers_filters_and_films_have_sheets():
    session = sw.Session(small(), tensor(), LABELS)
    tile.deep = 2
    blur = session.map("blur_ig", steps=16)
    sheet = contact_sheet(session, blur, count=4)
    assert np.abs(tile(sheet, 0, columns=4).astype(int) - enlarged(session.picture.shown)).max() <= 1, "σ 0 is the picture"
    tile.deep = 1
    cam = session.map("grad_cam")
    sheet, names = contact_sheet(session, cam), list(cam.details["maps"])
    assert len(names) > 2 and sheet.width > len(names[:5]) * TILE
    tiles = [tile(sheet, n).astype(int) for n in range(len(names))]
    assert np.abs(tiles[0] - tiles[-1]).max() > 50, "layers look different"
    assert contact_sheet(session, session.map("activation", layer="conv1")).width > 5 * TILE
    film = session.map("meaningful_perturbation", iterations=6, mask_size=8)
    assert contact_sheet(session, film).height > 2 * TILE


def test_a_map_alone_has_none(ex, tmp_path):
    session = sw.Session(small(), tensor(), LABELS)
    gradient = session.map("gradient")
    assert not has_sheet(gradient)
    with pytest.raises(ValueError, match="Gradient is one map"):
        contact_sheet(session, gradient)


def test_the_explorer_opens_it_keeps_it_up_to_date_and_saves_it(ex, tmp_path):
    assert not ex.face.sheet.opened and ex.face.method.sheet.layout.visibility == "visible"
    ex.face.method.sheet.click()
    assert ex.wait() and ex.face.sheet.opened
    first = bytes(ex.face.sheet.image.value)
    ex.method, ex.params["integrated_gradients"].steps = "integrated_gradients", 16
    assert ex.wait() and ex.face.sheet.opened and bytes(ex.face.sheet.image.value) != first
    ex.method = "gradient"
    assert ex.wait() and not ex.face.sheet.opened and ex.face.method.sheet.layout.visibility == "hidden"
    ex.method = "grad_cam"
    assert ex.wait() and not ex.face.sheet.opened, "what was closed stays closed"
    ex.face.method.sheet.click()
    assert ex.wait() and ex.face.sheet.opened
    ex.face.sheet.leave.click()
    assert ex.wait() and not ex.face.sheet.opened and ex.error == ""

    assert np.asarray(Image.open(ex.save(tmp_path / "a.png", what="sheet"))).shape == np.asarray(ex.sheet()).shape
    alone = np.asarray(Image.open(ex.save(tmp_path / "b.png", what="map")))
    assert (alone == np.asarray(ex.maps["grad_cam"].to_pil())).all()
    with pytest.raises(ValueError, match="choose stage, map or sheet"):
        ex.save(tmp_path / "c.png", what="all")
    with pytest.raises(ValueError, match=r"end 'c.html' in .png"):
        ex.save(tmp_path / "c.html", what="sheet")
