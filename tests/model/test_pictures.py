"""Files and images of every kind are read, and what is wrong with one is said."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from saliency_widgets.model.preprocessing import load_picture
from tests.model.test_preprocessing import MEAN, photo, plain
from tests.small import pixels

GREY_MODEL, RGB_MODEL = nn.Sequential(nn.Conv2d(1, 2, 3)), nn.Sequential(nn.Conv2d(3, 2, 3))


# Files and modes


def write(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize(
    "give",
    [str, lambda p: p, lambda p: p.read_bytes(), lambda p: io.BytesIO(p.read_bytes())],
    ids=["str", "Path", "bytes", "file"],
)
def test_ways_to_give_a_file(tmp_path, give):
    path = write(tmp_path, photo(), "a.png")
    assert np.array_equal(plain(give(path)).shown, np.asarray(photo()))


@pytest.mark.parametrize(
    "array, shown",
    [
        (pixels((9, 8)), pixels((9, 8))),
        (pixels((9, 8))[..., 0], pixels((9, 8))[..., :1].repeat(3, 2)),
        (pixels((9, 8))[..., :1], pixels((9, 8))[..., :1].repeat(3, 2)),
        (pixels((9, 8))[::-1, ::2], pixels((9, 8))[::-1, ::2]),
        (np.dstack([pixels((9, 8)), np.zeros((9, 8), np.uint8)]), np.full((9, 8, 3), 255)),
    ],
)
def test_arrays(array, shown):
    assert np.array_equal(plain(array).shown, shown)


def test_alpha_is_flattened_and_said(tmp_path):
    rgba = Image.new("RGBA", (6, 6), (200, 0, 0, 0))
    rgba.paste((0, 100, 0, 255), (0, 0, 3, 6))
    palette = rgba.convert("P")
    palette.info["transparency"] = palette.getpixel((5, 5))
    grey = rgba.convert("LA")
    for image, left in (
        (rgba, (0, 100, 0)),
        (palette, None),
        (grey, (59, 59, 59)),
        (rgba.convert("RGBa"), (0, 100, 0)),
    ):
        for background, colour in (("white", (255,) * 3), ("#102030", (16, 32, 48)), ((1, 2, 3), (1, 2, 3))):
            picture = plain(image, background=background)
            assert (
                tuple(picture.shown[0, 5]) == colour
                and picture.notes[0] == f"transparency flattened on {background}"
            )
            assert left is None or np.abs(picture.shown[0, 0].astype(int) - left).max() <= 1
    half = plain(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))
    assert half.shown[0, 0, 0] == 127
    assert plain(photo().convert("RGBA")).notes == ()  # opaque: nothing to say
    assert tuple(plain(write(tmp_path, rgba, "a.png")).shown[0, 5]) == (255,) * 3
    with pytest.raises(ValueError, match="background='whitish'"):
        plain(rgba, background="whitish")


@pytest.mark.parametrize("mode", ["P", "CMYK", "L", "1", "YCbCr", "HSV"])
def test_other_modes(mode, tmp_path):
    image = photo(40, 30).convert(mode)
    picture = plain(image)
    assert np.array_equal(picture.shown, np.asarray(image.convert("RGB")))
    assert (mode in ("CMYK", "YCbCr", "HSV", "L", "1")) == bool(picture.notes)
    name = {"CMYK": "a.jpg", "YCbCr": "a.jpg", "HSV": None}.get(mode, "a.png")
    if name:
        assert (
            np.abs(plain(write(tmp_path, image, name, quality=95)).shown.astype(int) - picture.shown).mean()
            < 4
        )


def test_sixteen_bits_and_floats(tmp_path):
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5957
    wanted = np.round(deep / 257).astype(np.uint8)[..., None].repeat(3, 2)
    for name in ("a.png", "a.tif"):
        picture = plain(write(tmp_path, Image.fromarray(deep), name))
        assert np.array_equal(picture.shown, wanted) and "16-bit" in picture.notes[0]
    assert np.array_equal(plain(Image.fromarray(deep.astype(np.int32))).shown, wanted)
    unit = Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4))
    assert plain(unit).shown[2, 3, 0] == 255 and plain(unit).notes
    assert "scaled from" in plain(Image.fromarray(np.array([[-5.0, 5.0]], np.float32))).notes[0]
    with pytest.raises(ValueError, match="NaN"):
        plain(Image.fromarray(np.array([[np.nan, 5.0]], np.float32)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_are_turned_as_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path, photo(40, 30), "a.jpg", exif=exif, quality=95)
    picture = plain(path)
    assert np.array_equal(picture.shown, np.asarray(ImageOps.exif_transpose(Image.open(path))))
    assert bool(picture.notes) == (orientation != 1)


def test_the_users_image_is_left_alone(tmp_path):
    image = Image.open(write(tmp_path, photo().convert("P"), "a.png"))
    mode, info, data = image.mode, dict(image.info), image.tobytes()
    load_picture(image)
    assert (image.mode, dict(image.info), image.tobytes()) == (mode, info, data)


def test_first_frame_of_several(tmp_path):
    frames = [photo(20, 20, seed).convert("P") for seed in range(3)]
    path = write(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert any("first of several frames" in note for note in plain(path).notes)


def test_grey_models():
    picture = load_picture(photo(), GREY_MODEL)
    assert picture.x.shape == (1, 1, 224, 224) and "grey" in picture.notes[0]
    assert picture.space.mean == pytest.approx((sum(MEAN) / 3,))
    assert (picture.shown[..., 0] == picture.shown[..., 1]).all()
    assert load_picture(photo().convert("L"), GREY_MODEL).notes == ()
    assert load_picture(photo().convert("L").convert("RGB"), GREY_MODEL).notes == ()
    back = load_picture(photo().convert("L"), RGB_MODEL)
    assert back.x.shape == (1, 3, 224, 224) and "3 channels" in back.notes[0]


# Bad input


def truncated(tmp_path, name="cut.png", share=0.5):
    path = write(tmp_path, photo(), name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def test_paths_that_are_not_there(tmp_path):
    write(tmp_path, photo(), "doberman.png")
    with pytest.raises(FileNotFoundError, match=r"dobermann\.png'.*did you mean .*doberman\.png"):
        load_picture(tmp_path / "dobermann.png")
    with pytest.raises(FileNotFoundError, match="nowhere.*does not exist either"):
        load_picture(tmp_path / "nowhere" / "a.png")
    with pytest.raises(FileNotFoundError, match="relative to"):
        load_picture("surely_not_here.png")
    with pytest.raises(ValueError, match="is a folder"):
        load_picture(tmp_path)


@pytest.mark.parametrize(
    "address",
    ["https://example.org/cat.jpg", "HTTP://x/y.png", "data:image/png;base64,AAAA", "s3://bucket/cat.png"],
)
def test_addresses_are_not_opened(address):
    with pytest.raises(ValueError, match="nothing is downloaded"):
        load_picture(address)


@pytest.mark.parametrize(
    "name, share",
    [
        ("cut.png", 0.5),
        ("cut.jpg", 0.5),
        ("cut.gif", 0.3),
        ("cut.tif", 0.5),
        ("cut.bmp", 0.5),
        ("cut.webp", 0.5),
        ("cut.png", 0.005),
        ("cut.jpg", 0.005),
        ("cut.png", 0.0),
    ],
)
def test_damaged_files(tmp_path, name, share):
    with pytest.raises(ValueError, match=f"{name}.*(truncated or damaged|not a picture)"):
        load_picture(truncated(tmp_path, name, share))


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    for name in ("a.txt", "a.svg"):
        with pytest.raises(ValueError, match="not a picture that Pillow can read"):
            load_picture(tmp_path / name)
    with pytest.raises(ValueError, match="not a picture"):
        load_picture(b"")


@pytest.mark.filterwarnings("error")
def test_huge_files(tmp_path):
    huge = write(tmp_path, Image.new("1", (20_000, 20_000)), "huge.png")  # 50 kB on disk, a gigabyte as RGB
    with pytest.raises(ValueError, match=r"huge\.png.*shrink it"):
        load_picture(huge)
    below = write(tmp_path, Image.new("1", (13_000, 12_500)), "below.png")  # Pillow would warn, not refuse
    with pytest.raises(ValueError, match="13000 × 12500 pixels.*150 million"):
        load_picture(below)
    large = write(tmp_path, photo(640, 640).resize((7_000, 7_000)), "large.jpg")
    picture = load_picture(large)
    assert (
        picture.shown.shape == (224, 224, 3)
        and "49" not in picture.notes[0]
        and "7000 × 7000 pixels, decoded at" in picture.notes[0]
    )
    reference = load_picture(photo(640, 640)).shown.astype(int)
    assert np.abs(reference - picture.shown).mean() < 3


def test_narrow_strips_do_not_grow():
    assert load_picture(Image.new("RGB", (30_000, 2))).shown.shape == (224, 224, 3)
    assert load_picture(Image.new("RGB", (1, 1))).shown.shape == (224, 224, 3)


@pytest.mark.parametrize(
    "img, words",
    [
        (np.zeros((4, 4, 3)), "float64.*255"),
        (np.zeros((4, 4, 3), np.uint16), "uint16.*uint8"),
        (np.zeros((4, 4), bool), "bool.*255"),
        (np.zeros((3, 40, 40), np.uint8), "transpose"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"array\[0\]"),
        (np.zeros(5, np.uint8), "H, W, 3"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (torch.zeros(4, 4), r"x\[None\]"),
        (torch.zeros(2, 3, 4, 4), "batch of 2"),
        (torch.zeros(1, 1, 3, 4, 4), r"\(1, C, H, W\)"),
        (torch.zeros(3, 0, 4), "empty"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), r"uint8.*float\(\)"),
        (torch.full((3, 4, 4), float("nan")), "48 of 48 values NaN"),
        (torch.tensor([[[0.0, float("inf")]]]), "1 of 2"),
        (Image.new("RGB", (0, 5)), "empty"),
    ],
)
def test_wrong_arrays_and_tensors(img, words):
    with pytest.raises(ValueError, match=words):
        load_picture(img)


@pytest.mark.parametrize("img", [None, 3, [1, 2], {"a": 1}, object()])
def test_no_picture_at_all(img):
    with pytest.raises(TypeError, match="is no picture: a path, a PIL image"):
        load_picture(img)
