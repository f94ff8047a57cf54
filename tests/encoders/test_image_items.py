import warnings
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skicl.encoders._image_items import content_of_image, read_images, rgb_pixels

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
GREY = COLOUR[:, :, 0]


def encoded(image, format="PNG", **options):
    file = BytesIO()
    Image.fromarray(image).save(file, format=format, **options)
    return file.getvalue()


def pixels(image):
    return rgb_pixels(read_images([image])[0])


@pytest.fixture
def files(tmp_path):
    """Three files: in colour, grey, and no image."""
    (tmp_path / "colour.png").write_bytes(encoded(COLOUR))
    (tmp_path / "grey.png").write_bytes(encoded(GREY))
    (tmp_path / "notes.txt").write_text("nothing to see", encoding="utf-8")
    return tmp_path


def test_every_form_gives_the_same_pixels(files):
    data = encoded(COLOUR)
    path = files / "colour.png"
    for form in (COLOUR, Image.fromarray(COLOUR), path, str(path), data, bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(pixels(form), COLOUR)


def test_colour_stays_colour_and_grey_becomes_three_equal_channels(files):
    for form in (GREY, GREY[:, :, None], Image.fromarray(GREY), files / "grey.png"):
        np.testing.assert_array_equal(pixels(form), np.stack([GREY] * 3, axis=2))
    assert not np.array_equal(pixels(COLOUR)[:, :, 0], pixels(COLOUR)[:, :, 1])


def test_other_modes_become_rgb():
    transparent = np.dstack([COLOUR, np.full(GREY.shape, 100, dtype=np.uint8)])
    np.testing.assert_array_equal(pixels(transparent), COLOUR)
    np.testing.assert_array_equal(pixels(Image.fromarray(transparent, mode="RGBA")), COLOUR)
    black_and_white = Image.fromarray(GREY).convert("1")
    assert set(np.unique(pixels(black_and_white))) == {0, 255}
    palette = Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(pixels(palette), np.asarray(palette.convert("RGB")))
    palette.info["transparency"] = bytes([0, 100, 255])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(pixels(palette), np.asarray(palette.convert("RGBA"))[..., :3])


def test_sixteen_bits_become_eight():
    sixteen = Image.fromarray(GREY.astype(np.uint16) * 257)
    assert sixteen.mode == "I;16"
    np.testing.assert_array_equal(pixels(sixteen)[:, :, 0], GREY)


def test_modes_without_a_range_are_refused():
    image = Image.fromarray(GREY.astype(np.float32))
    assert image.mode == "F"
    with pytest.raises(ValueError, match=r"cannot be read at position 0: its mode is 'F'.*convert it to 8 bits first"):
        pixels(image)


def test_orientation_noted_by_a_camera_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    data = encoded(COLOUR, exif=exif.tobytes())
    np.testing.assert_array_equal(pixels(data), np.rot90(COLOUR, -1))


def test_first_picture_of_an_animation_counts():
    file = BytesIO()
    pictures = [Image.fromarray(np.full((4, 4), grey, dtype=np.uint8)) for grey in (0, 255)]
    pictures[0].save(file, format="GIF", save_all=True, append_images=pictures[1:])
    assert (pixels(file.getvalue()) == 0).all()


def test_images_of_the_user_stay_open(files):
    with Image.open(files / "colour.png") as image:
        first = pixels(image)
        np.testing.assert_array_equal(pixels(image), first)
        image.load()


def test_stacks():
    grey, colour = np.stack([GREY, GREY]), np.stack([COLOUR, COLOUR])
    for stack, shape in ((grey, (6, 8, 3)), (grey[..., None], (6, 8, 3)), (colour, (6, 8, 3))):
        items = read_images(stack)
        assert len(items) == 2
        assert rgb_pixels(items[1]).shape == shape


def test_content_tells_images_apart(files):
    contents = [content_of_image(item) for item in read_images([COLOUR, COLOUR[::-1], GREY, COLOUR.reshape(8, 6, 3)])]
    assert len(set(contents)) == 4
    one, same, by_path, by_bytes = (
        content_of_image(item)
        for item in read_images([COLOUR, Image.fromarray(COLOUR), files / "colour.png", encoded(COLOUR)])
    )
    assert one == same
    assert by_path == by_bytes


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (lambda f: f / "absent.png", ValueError, r"position 1: there is no file '.*absent\.png'.*relative to"),
        (lambda f: f, ValueError, "position 1: there is no file"),
        (lambda f: "", ValueError, "position 1: there is no file ''"),
        (lambda f: f / "notes.txt", ValueError, r"cannot be read at position 1 \('.*notes\.txt'\): cannot identify"),
        (lambda f: b"no image", ValueError, "cannot be read at position 1: cannot identify"),
        (lambda f: b"", ValueError, "cannot be read at position 1: it is empty"),
        (lambda f: "https://host/a.png", ValueError, "address 'https://host/a.png' at position 1: download"),
        (lambda f: COLOUR / 255, TypeError, r"dtype float64 at position 1: expected uint8.*astype\(np.uint8\)"),
        (lambda f: np.zeros((3, 6, 8), dtype=np.uint8), ValueError, r"shape \(3, 6, 8\) at position 1.*channels last"),
        (lambda f: np.zeros((0, 8, 3), dtype=np.uint8), ValueError, r"shape \(0, 8, 3\) at position 1.*one pixel"),
        (lambda f: np.zeros(8, dtype=np.uint8), ValueError, r"shape \(8,\) at position 1"),
        (lambda f: [[1, 2]], TypeError, "type list at position 1"),
        (lambda f: 3.5, TypeError, "type float at position 1"),
    ],
)
def test_what_is_no_image_is_named(files, image, error, message):
    with pytest.raises(error, match=message):
        read_images([COLOUR, image(files), None])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (COLOUR, ValueError, r"single colour image, of shape \(6, 8, 3\).*\[X\]"),
        (Image.fromarray(COLOUR), ValueError, "single PIL image.*Wrap it in a list"),
        (encoded(COLOUR), ValueError, "single image in bytes"),
        (np.zeros((2, 3, 6, 8), dtype=np.uint8), ValueError, r"shape \(2, 3, 6, 8\).*moveaxis"),
        (np.zeros((5, 64), dtype=np.uint8), ValueError, r"shape \(5, 64\).*Reshape"),
        (np.zeros((5, 8, 8)), TypeError, "dtype float64: expected uint8"),
        (np.zeros((0, 8, 8), dtype=np.uint8), ValueError, "empty: found 0 images"),
        (np.zeros((5, 0, 8), dtype=np.uint8), ValueError, "no pixels"),
        (np.array([GREY, GREY], dtype=object), ValueError, r"objects of shape \(2, 6, 8\).*Pass a list of the images"),
    ],
)
def test_what_is_no_collection_of_images_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        read_images(X)


def test_a_single_path_is_refused(files):
    with pytest.raises(ValueError, match="single path"):
        read_images(files / "colour.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_file_with_a_damaged_rest_is_named_when_it_is_read(tmp_path, format):
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8), format=format)
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    item = read_images(pd.Series([COLOUR, tmp_path / "cut"], index=["a", "b"]))[1]
    with pytest.raises(ValueError, match=r"read at position 1 \(index label 'b'\) \('.*cut'\): .*Drop the row"):
        rgb_pixels(item)


def test_file_that_vanishes_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(COLOUR))
    item = read_images([tmp_path / "a.png"])[0]
    (tmp_path / "a.png").unlink()
    for read in (content_of_image, rgb_pixels):
        with pytest.raises(ValueError, match="cannot be read at position 0"):
            read(item)


def test_install_line_without_pillow(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r'pip install "skicl\[image\]"'):
        read_images([COLOUR])
