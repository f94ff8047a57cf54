"""Texts that users pass, as a list of str; what is no such collection is refused in one sentence."""

import os
from collections.abc import Sequence

import numpy as np

from skicl._validation._containers import read_container
from skicl._validation._environment import warn_user
from skicl._validation._wording import position_of, short_form

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_SOUND_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff")
_ENCODERS_OF_FILES = dict.fromkeys(_IMAGE_ENDINGS, "ImageEncoder") | dict.fromkeys(_SOUND_ENDINGS, "AudioEncoder")
# So many texts are looked at, and so many of them on the disk, before a collection counts as one of texts.
_TEXTS_TO_LOOK_AT, _FILES_TO_LOOK_AT = 100, 3
_ACCEPTED = "a list, a tuple, a 1-D array, a Series, a frame with one column or an array of shape (n_samples, 1)"


def check_texts(X, *, parameter="X"):
    """Return the texts of a collection as a list of ``str``.

    >>> import numpy as np
    >>> from skicl._validation._texts import check_texts
    >>> check_texts(np.array([["where is my card"], ["top up failed"]]))
    ['where is my card', 'top up failed']
    """
    items, labels = list_items(X, parameter=parameter)
    warn_of_media_paths(items, parameter=parameter)
    if all(type(item) is str for item in items):
        return items
    for position, item in enumerate(items):
        if not isinstance(item, str):
            _refuse_item(item, position, labels, parameter)
    return [str(item) for item in items]  # subclasses such as numpy.str_ become plain strings


def read_unicode(X):
    """Return the texts of a collection, having checked that a tokenizer can read them.

    >>> from skicl._validation._texts import read_unicode
    >>> read_unicode(["a", "b"])
    ['a', 'b']
    """
    texts = check_texts(X)
    for i, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"`X` has a text with {text[error.start]!a}, half of a surrogate pair, at "
                f"{position_of(i, list_items(X)[1])}: expected valid Unicode. Read the file again with the right "
                "encoding, or replace it: text.encode(errors='replace').decode()."
            ) from error
    return texts


def list_items(X, *, parameter="X", one="text", many="strings"):
    """Return the items of a collection as a list, whatever they are.

    >>> from skicl._validation._texts import list_items
    >>> list_items(("a.png", b"bytes"), one="image", many="images")
    (['a.png', b'bytes'], None)
    """
    items, labels = _unpack(X, parameter, one, many)
    if not items:
        raise ValueError(f"`{parameter}` is empty: found 0 {one}s while a minimum of 1 is required.")
    return items, labels


def is_missing(item):
    """Whether an item stands for a missing value: None, NaN, NA or NaT.

    >>> from skicl._validation._texts import is_missing
    >>> is_missing(None), is_missing(float("nan")), is_missing("")
    (True, True, False)
    """
    if item is None or type(item).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(item, float | np.floating) and item != item


def is_text(X):
    """Tell cheaply whether `X` is a collection of strings that :func:`check_texts` would read.

    Only the container and its first item that is not missing are looked at, so a collection with a fault
    further on counts as text and is refused by :func:`check_texts` with the right message. For the same
    reason a bare string counts as text.

    >>> from skicl._validation._texts import is_text
    >>> is_text(["where is my card"]), is_text([[0.1, 0.2]])
    (True, False)
    """
    if isinstance(X, str):
        return True
    if isinstance(X, bytes | bytearray):
        return False
    if not (isinstance(X, Sequence) or hasattr(X, "dtype") or _is_frame(X)):
        return False
    shape = getattr(X, "shape", None)
    if shape is not None and not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        return False
    kind = getattr(getattr(X, "dtype", None), "kind", "O")
    if kind in "UT":  # fixed and variable width strings of numpy
        return True
    if kind != "O":
        return False
    if _is_frame(X):
        X = _only_column(X)
    elif isinstance(X, np.ndarray):
        X = X.ravel()
    first = next((item for item in X if not is_missing(item)), None)
    return isinstance(first, str)


def warn_of_media_paths(texts, *, parameter="X"):
    """Warn where the first texts that look like names of image or sound files are such files on this machine."""
    looked_at = 0
    for position, text in enumerate(texts[:_TEXTS_TO_LOOK_AT]):
        encoder = _ENCODERS_OF_FILES.get(os.path.splitext(text)[1].lower()) if isinstance(text, str) else None
        if encoder is None or looked_at == _FILES_TO_LOOK_AT:
            continue
        looked_at += 1
        if os.path.isfile(os.path.expanduser(text)):
            warn_user(
                f"`{parameter}` holds the names of files ({short_form(os.path.basename(text))} at position "
                f"{position}), and is read as texts: the names count, not what is in the files. To read the files use "
                f"{encoder}, for instance TartClassifier(encoder={encoder}())."
            )
            return


def _unpack(X, parameter, one, many):
    """The items of a collection as a list, and the labels of its index where it has one."""
    if isinstance(X, str):
        raise ValueError(
            f"`{parameter}` is a bare string ({short_form(X)}): expected a collection of {many}, {_ACCEPTED}. "
            f"Wrap a single {one} in a list: [{parameter}]."
        )
    X = read_container(X, parameter=parameter, one=one, expected=f"a collection of {many}, {_ACCEPTED}")
    if _is_frame(X):
        if len(X.columns) != 1:
            raise ValueError(
                f"`{parameter}` is a frame with {len(X.columns)} columns ({short_form(list(X.columns))}): expected one "
                f"column of {one}s. Select it, for example X[{X.columns[0]!r}], or use a ColumnTransformer."
            )
        X = _only_column(X)
    shape = getattr(X, "shape", None)
    if isinstance(X, np.ndarray):
        if X.ndim == 0 or X.ndim > 2 or (X.ndim == 2 and X.shape[1] != 1):
            raise ValueError(
                f"`{parameter}` is an array of shape {shape}: expected {one}s in shape (n_samples,) or (n_samples, 1)."
            )
        return X.ravel().tolist(), None
    if isinstance(X, Sequence) and not isinstance(X, bytes | bytearray):
        return list(X), None
    if shape is not None and len(shape) == 1:
        for name in ("to_list", "tolist"):
            if hasattr(X, name):
                return getattr(X, name)(), getattr(X, "index", None)
    hint = ""
    if hasattr(X, "toarray"):
        hint = f" It is sparse: pass the {many} themselves. TartClassifier reads sparse rows after a TruncatedSVD."
    raise TypeError(f"`{parameter}` is of type {type(X).__name__}: expected a collection of {many}, {_ACCEPTED}.{hint}")


def _is_frame(X):
    return (hasattr(X, "iloc") or hasattr(X, "to_series")) and hasattr(X, "columns")


def _only_column(X):
    return X.iloc[:, 0] if hasattr(X, "iloc") else X.to_series(0)


def _refuse_item(item, position, labels, parameter):
    where = position_of(position, labels)
    if is_missing(item):
        raise ValueError(
            f"`{parameter}` has a missing value ({item}) at {where}: expected a string. "
            "Drop the row or replace the value, for example by ''."
        )
    hint = "Decode it first." if isinstance(item, bytes) else "Convert it with str() if it is meant as a text."
    if hasattr(item, "__fspath__") or any(kind.__module__.startswith("PIL.") for kind in type(item).__mro__):
        hint += " Files and images are read by ImageEncoder and AudioEncoder: TartClassifier(encoder=ImageEncoder())."
    raise TypeError(
        f"`{parameter}` has an item of type {type(item).__name__} ({short_form(item)}) at {where}: expected a string. "
        f"{hint}"
    )
