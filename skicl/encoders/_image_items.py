"""Images as users have them (arrays, PIL images, files, bytes), read one by one into RGB pixels."""

import os
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skicl._validation._environment import import_optional
from skicl._validation._texts import is_missing, list_items
from skicl._validation._wording import position_of

_FORMS = "a PIL image, a path, the bytes of a file, or a uint8 array of shape (height, width) or (height, width, 3)"
_AS_BYTES = "Scale the values to 0..255 and convert them: array.astype(np.uint8)."


class ImageItem(NamedTuple):
    """One image that has been looked at but not read: where its pixels come from, and its place, for messages."""

    source: object
    where: str


def read_images(X):
    """The images of a collection as items, in order, after a look at the kind of each and at the heads of files.

    A TypeError or ValueError names the position of the first item that is no image; without Pillow an ImportError.
    """
    import_optional("PIL.Image", extra="image")
    if _is_one_image(X):
        raise ValueError(f"`X` is a single {_kind(X)}: expected a collection of images. Wrap it in a list: [X].")
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim > 2:
        raise ValueError(
            f"`X` is an array of objects of shape {X.shape}: numpy takes images of equal size apart. Pass a list of "
            "the images, or np.stack(images)."
        )
    if isinstance(X, np.ndarray) and X.dtype.kind in "biufc":
        _check_stack(X)
        sources, labels = list(X), None
        if not sources:
            raise ValueError("`X` is empty: found 0 images while a minimum of 1 is required.")
    else:
        sources, labels = list_items(X, one="image", many="images")
    return [_checked(source, position_of(i, labels)) for i, source in enumerate(sources)]


def content_of_image(item):
    """Bytes that are equal for equal images: those of a file, or the pixels.

    An array and a PIL image with the same pixels have the same content; a file and its pixels do not.
    """
    if isinstance(item.source, Path):
        return b"file " + _file_bytes(item)
    if isinstance(item.source, bytes):
        return b"file " + item.source
    pixels = rgb_pixels(item)
    return f"pixels {pixels.shape} ".encode() + pixels.tobytes()


def rgb_pixels(item):
    """The pixels (height, width, 3) of an image in colour, uint8.

    Grey becomes three equal channels, transparency is dropped, the orientation that a camera noted is applied, and
    16 bits become 8. Of an animation the first picture counts. A damaged file, or a mode without a defined range, is a
    ValueError.
    """
    if isinstance(item.source, np.ndarray):
        pixels = item.source if item.source.ndim == 3 else item.source[:, :, None]
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    from PIL import Image, ImageOps

    try:
        # An image of the user's stays open.
        opened = nullcontext(item.source) if isinstance(item.source, Image.Image) else _opened(item.source)
        with opened as image:
            return np.asarray(_rgb(ImageOps.exif_transpose(image)))
    except MemoryError:
        raise
    except Exception as error:  # every format of files has its own kinds of damage and of errors
        raise _unreadable(item.where, item.source, error) from error


def _rgb(image):
    """A PIL image in the mode RGB."""
    if image.mode.startswith("I;16"):
        from PIL import Image

        # 65535, the largest of 16 bits, becomes 255.
        return Image.fromarray((np.asarray(image, dtype=np.float64) / 257).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its mode is {image.mode!r}, numbers without a defined range; convert it to 8 bits first.")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow would warn about the transparency that is dropped
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_one_image(X):
    """Whether an input is a single image instead of a collection."""
    from PIL import Image

    if isinstance(X, Image.Image | bytes | bytearray | memoryview | os.PathLike):
        return True
    # Nobody has grey images that are three or four pixels wide.
    return isinstance(X, np.ndarray) and X.dtype == np.uint8 and X.ndim == 3 and X.shape[2] in (3, 4)


def _kind(X):
    """What a single image is called in a message."""
    from PIL import Image

    if isinstance(X, Image.Image):
        return "PIL image"
    if isinstance(X, np.ndarray):
        return f"colour image, of shape {X.shape}"
    return "path" if isinstance(X, os.PathLike) else "image in bytes"


def _check_stack(X):
    """Refuse an array of numbers that is no stack of images."""
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)):
        hint = "Move the channels to the end: np.moveaxis(X, 1, -1)." if X.ndim == 4 else "Reshape it."
        raise ValueError(
            f"`X` is an array of shape {X.shape}: expected uint8 images, (n_samples, height, width) or "
            f"(n_samples, height, width, 3). {hint}"
        )
    if X.dtype != np.uint8:
        raise TypeError(f"`X` is an array of dtype {X.dtype}: expected uint8 images. {_AS_BYTES}")
    if 0 in X.shape[1:]:
        raise ValueError(f"`X` is an array of shape {X.shape}: its images have no pixels.")


def _checked(source, where):
    """An item, after a look at its kind and at the head of a file."""
    from PIL import Image

    if is_missing(source):
        raise ValueError(f"`X` has a missing value ({source}) at {where}: expected {_FORMS}. Drop the row.")
    if isinstance(source, np.ndarray):
        _check_array(source, where)
        return ImageItem(source, where)
    if isinstance(source, Image.Image):
        return ImageItem(source, where)
    if isinstance(source, bytes | bytearray | memoryview):
        source = bytes(source)
    elif isinstance(source, str | os.PathLike):
        source = _existing(source, where)
    else:
        raise TypeError(f"`X` has an item of type {type(source).__name__} at {where}: expected {_FORMS}.")
    try:
        with _opened(source):
            return ImageItem(source, where)
    except MemoryError:
        raise
    except Exception as error:  # no image, no permission, more pixels than Pillow allows
        raise _unreadable(where, source, error) from error


def _check_array(array, where):
    """Refuse an array that is no image."""
    if array.dtype != np.uint8:
        raise TypeError(f"`X` has an array of dtype {array.dtype} at {where}: expected uint8. {_AS_BYTES}")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))) or array.size == 0:
        raise ValueError(
            f"`X` has an array of shape {array.shape} at {where}: expected (height, width) or (height, width, 3), "
            "with at least one pixel and the channels last."
        )


def _existing(source, where):
    """The path of an image that exists."""
    text = os.fspath(source)
    if text.startswith(("http://", "https://")):
        raise ValueError(f"`X` has the address {text!r} at {where}: download the images first, and give their paths.")
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(
            f"`X` has an image that cannot be read at {where}: there is no file {text!r}. Check the path and the "
            f"folder that it is relative to, {str(Path.cwd())!r}."
        )
    return path


def _opened(source):
    """A PIL image whose pixels are read when they are asked for."""
    from PIL import Image

    return Image.open(source if isinstance(source, Path) else BytesIO(source))


def _file_bytes(item):
    """The content of a file."""
    try:
        return item.source.read_bytes()
    except OSError as error:
        raise _unreadable(item.where, item.source, error) from error


def _unreadable(where, source, error):
    """The error of an image that cannot be read."""
    file = f" ({str(source)!r})" if isinstance(source, Path) else ""
    reason = "it is empty" if source == b"" else str(error).rstrip(".")
    return ValueError(
        f"`X` has an image that cannot be read at {where}{file}: {reason}. Drop the row, or replace the image."
    )
