"""The only shared checks: texts, devices, words of parameters, optional imports, finite results."""

import os
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import numpy as np

from skicl._validation._containers import read_container

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_SOUND_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff")
_ENCODERS_OF_FILES = dict.fromkeys(_IMAGE_ENDINGS, "ImageEncoder") | dict.fromkeys(_SOUND_ENDINGS, "AudioEncoder")
# So many texts are looked at, and so many of them on the disk, before a collection counts as one of texts.
_TEXTS_TO_LOOK_AT, _FILES_TO_LOOK_AT = 100, 3
# Weights of so many rows that sum to less than this are those of somebody who made them sum to one.
_ROWS_THAT_WEIGH_MORE, _TOTAL_OF_ABOUT_ONE = 4, 1.5

# Packages whose frames are not the user's.
_LIBRARIES = {"skicl", "sklearn", "joblib"}
_ACCEPTED = "a list, a tuple, a 1-D array, a Series, a frame with one column or an array of shape (n_samples, 1)"


def check_texts(X, *, parameter="X"):
    """Return the texts of a collection as a list of ``str``.

    Parameters
    ----------
    X : list, tuple or other sequence of str, 1-D array, Series, one-column frame, or array of shape (n, 1)
        The texts. Series and frames may come from pandas, polars or Arrow and may carry any index. The empty
        string is a valid text.
    parameter : str, default="X"
        The name the caller gave to the argument; it stands in the error messages.

    Returns
    -------
    texts : list of str
        The texts in the order given, one exact ``str`` each.

    Raises
    ------
    TypeError
        If `X` is no such collection, or an item is not a string (a number, bytes, a list).
    ValueError
        If `X` is a bare string, is empty, has more than one column, or an item is missing (None, NaN, NA).
        The message names the first offending position.

    Warns
    -----
    UserWarning
        If texts are the names of files on this machine that hold images or sound.

    Examples
    --------
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


def list_items(X, *, parameter="X", one="text", many="strings"):
    """Return the items of a collection as a list, whatever they are.

    Parameters
    ----------
    X : list, tuple or other sequence, 1-D array, Series, one-column frame, or array of shape (n, 1)
        The collection.
    parameter : str, default="X"
        The name the caller gave to the argument; it stands in the error messages.
    one, many : str, default="text", "strings"
        What the items should be, for the messages.

    Returns
    -------
    items : list
        The items in the order given.
    labels : sequence or None
        The index of a Series or frame of pandas.

    Raises
    ------
    TypeError
        If `X` is no such collection.
    ValueError
        If `X` is a bare string, is empty or has more than one column.

    Examples
    --------
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

    Parameters
    ----------
    item : object
        Anything.

    Returns
    -------
    missing : bool

    Examples
    --------
    >>> from skicl._validation._texts import is_missing
    >>> is_missing(None), is_missing(float("nan")), is_missing("")
    (True, True, False)
    """
    if item is None or type(item).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(item, float | np.floating) and item != item


def position_of(position, labels=None):
    """Where an item stands, for an error message.

    Parameters
    ----------
    position : int
        Counted from 0.
    labels : sequence or None, default=None
        The index of the collection, as :func:`list_items` returns it.

    Returns
    -------
    where : str
        With the label of the index where that is another.

    Examples
    --------
    >>> from skicl._validation._texts import position_of
    >>> position_of(1), position_of(1, ["a", "b"])
    ('position 1', "position 1 (index label 'b')")
    """
    where = f"position {position}"
    if labels is not None and not callable(labels) and labels[position] != position:
        where += f" (index label {labels[position]!r})"
    return where


def is_text(X):
    """Tell cheaply whether `X` is a collection of strings that :func:`check_texts` would read.

    Only the container and its first item that is not missing are looked at, so a collection with a fault
    further on counts as text and is refused by :func:`check_texts` with the right message. For the same
    reason a bare string counts as text.

    Parameters
    ----------
    X : object
        Anything a user may pass as samples.

    Returns
    -------
    text : bool
        False for numeric arrays and frames, for frames and arrays of several columns, and for anything else.

    Examples
    --------
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


def resolve_device(device=None):
    """Return the :class:`torch.device` to compute on.

    Parameters
    ----------
    device : str, torch.device or None, default=None
        A device such as ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``. None takes the first that is present
        of cuda, mps and cpu.

    Returns
    -------
    device : torch.device
        The device; a CUDA device always carries its index.

    Raises
    ------
    TypeError
        If `device` is neither None, a string nor a torch.device.
    ValueError
        If PyTorch does not know the device or this machine does not have it.

    Examples
    --------
    >>> from skicl._validation._texts import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if _has_mps(torch) else "cpu"
    if not isinstance(device, str | torch.device):
        raise TypeError(
            f"`device` must be None, a string or a torch.device, got {type(device).__name__} ({device!r}). "
            "Use device=None to take the best device present."
        )
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        meant = " Did you mean 'cuda'?" if device.lower() == "gpu" else did_you_mean(device, ("cpu", "cuda", "mps"))
        raise ValueError(
            f"`device`={device!r} is not a device PyTorch knows.{meant} Expected None, 'cpu', 'cuda', 'cuda:<index>' "
            "or 'mps'."
        ) from error
    if resolved.type == "cuda":
        return _resolve_cuda(resolved, torch)
    if resolved.type == "mps":
        if not _has_mps(torch):
            raise ValueError(f"`device`={device!r} needs Apple's Metal backend, which is not present. {_FALLBACK}")
        return resolved
    try:
        torch.empty(0, device=resolved).cpu()
    except MemoryError:
        raise
    except Exception as error:  # backends report their absence each in its own way, some in a page of text
        reason = str(error).partition("\n")[0][:100]
        raise ValueError(f"`device`={device!r} cannot be used on this machine ({reason}). {_FALLBACK}") from error
    return resolved


def warn_user(message, category=UserWarning):
    """Warn at the line that called skicl, however deep the warning arises and whatever wraps the call.

    Parameters
    ----------
    message : str
        The warning.
    category : type, default=UserWarning
        Its class.

    Examples
    --------
    >>> import warnings
    >>> from skicl._validation._texts import warn_user
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_user("The texts were cut.")
    >>> str(caught[0].message)
    'The texts were cut.'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def import_optional(module, *, extra):
    """Import a module that an extra of the package installs.

    Parameters
    ----------
    module : str
        The dotted name of the module.
    extra : str
        The extra of skicl that brings the module.

    Returns
    -------
    module : module
        The imported module.

    Raises
    ------
    ImportError
        If the module is not installed; the message holds the install line. An error inside an installed module
        is passed on as it is.

    Examples
    --------
    >>> from skicl._validation._texts import import_optional
    >>> import_optional("json", extra="offline").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise ImportError(
            f'The package {root!r} is needed here and is not installed. Install it with: pip install "skicl[{extra}]"'
        ) from error


def did_you_mean(value, words):
    """The end of a message about a value that is not allowed: which word was probably meant.

    Parameters
    ----------
    value : object
        What the user gave.
    words : iterable
        What is allowed; what is no string among it plays no part.

    Returns
    -------
    question : str
        With a space before it; empty where nothing is close.

    Examples
    --------
    >>> from skicl._validation._texts import did_you_mean
    >>> did_you_mean("Atuo", ("auto", None)), did_you_mean("x", ("auto",))
    (" Did you mean 'auto'?", '')
    """
    known = {word.lower(): word for word in words if isinstance(word, str)}
    near = get_close_matches(value.strip().lower(), known, n=1) if isinstance(value, str) else []
    return f" Did you mean {known[near[0]]!r}?" if near else ""


def refuse_misspelt_auto(value, *, parameter="encoder"):
    """Refuse a string that would be taken as the name of a model and is almost "auto".

    Parameters
    ----------
    value : str
        What the user gave, other than "auto".
    parameter : str, default="encoder"
        The name of the parameter.

    Raises
    ------
    ValueError
        If it is close to "auto" and no folder.
    """
    if (meant := did_you_mean(value, ["auto"])) and not os.path.isdir(value):
        raise ValueError(f"`{parameter}`={value!r} would be looked up as the name of a model.{meant}")


def warn_of_media_paths(texts, *, parameter="X"):
    """Warn where the first texts that look like names of image or sound files are such files on this machine.

    Parameters
    ----------
    texts : list
        Texts; other items are left to other checks.
    parameter : str, default="X"
        The name the caller gave to the argument.

    Warns
    -----
    UserWarning
        It names the encoder that reads such files.
    """
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


def warn_of_small_total(weight, n_rows):
    """Warn where the weights of many rows sum to about one, or to less: they count rows.

    Parameters
    ----------
    weight : ndarray of shape (n_rows,)
        Weights of all rows, checked.
    n_rows : int
        How many rows there are; few may well weigh little.

    Warns
    -----
    UserWarning
        It says by what to multiply.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl._validation._texts import warn_of_small_total
    >>> warn_of_small_total(np.ones(50), 50)
    """
    total = float(np.sum(weight))
    if n_rows >= _ROWS_THAT_WEIGH_MORE and 0 < total < _TOTAL_OF_ABOUT_ONE:
        warn_user(
            f"`sample_weight` sums to {total:.3g} over {n_rows} rows, and weights count rows: the context says as much "
            "as so many rows, and probabilities stay near those of no row at all. Weights that only compare rows "
            f"should have a mean of 1: multiply them by {n_rows} / {total:.3g}."
        )


def short_form(value, length=60):
    """The beginning of what is printed of a value, for messages.

    Parameters
    ----------
    value : object
        Anything.
    length : int, default=60
        Most characters.

    Returns
    -------
    text : str
    """
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


class NotFiniteError(ValueError):
    """A result is NaN or infinite; for callers who know the cause better."""


def check_finite(values, what, cause, positions=None):
    """Refuse numbers that are NaN or infinite, where a computation hands over its result.

    Parameters
    ----------
    values : array-like of shape (n_rows, ...) or float
        The result. Of log-probabilities, where minus infinity is right, pass the probabilities.
    what : str
        What the numbers are, for the message: a noun in the plural, such as ``"probabilities"``.
    cause : str
        The likely cause and what to do, one or more sentences.
    positions : sequence of int or None, default=None
        Numbers of the rows, for the message. None counts them from 0.

    Raises
    ------
    NotFiniteError
        If a number is NaN or infinite; it is a ValueError. The message counts the rows and names the first.

    Examples
    --------
    >>> from skicl._validation._texts import check_finite
    >>> check_finite([[0.5, 0.5], [0.1, 0.9]], "probabilities", "Look there.")
    >>> check_finite([[0.5, 0.5], [float("nan"), 0.9]], "probabilities", "Look there.")
    Traceback (most recent call last):
    ...
    skicl._validation._texts.NotFiniteError: The probabilities of 1 of 2 rows, first at position 1, are NaN ...
    """
    finite = np.isfinite(np.atleast_1d(values))
    if finite.all():
        return
    bad = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))
    first = min(bad if positions is None else (positions[i] for i in bad))
    raise NotFiniteError(
        f"The {what} of {len(bad)} of {len(finite)} rows, first at position {first}, are NaN or infinite. {cause}"
    )


_FALLBACK = "Use device=None to take the best device present, or device='cpu'."


def _has_mps(torch):
    return torch.backends.mps.is_available()


def _resolve_cuda(device, torch):
    if not torch.cuda.is_available():
        raise ValueError(f"`device`='{device}' was asked for, but PyTorch finds no CUDA device. {_FALLBACK}")
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise ValueError(
            f"`device`='{device}' was asked for, but PyTorch finds only {torch.cuda.device_count()} CUDA "
            f"device(s), numbered from 0. {_FALLBACK}"
        )
    return torch.device("cuda", index)


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
