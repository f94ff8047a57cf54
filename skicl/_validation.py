"""The only shared checks: texts, devices, optional imports, finite results."""

from collections.abc import Sequence
from importlib import import_module

import numpy as np

_ACCEPTED = (
    "a list, a tuple, a 1-D array, a Series, a frame with one column or an array of shape (n_samples, 1)"
)


def check_texts(X, *, parameter="X"):
    """Return the texts of a collection as a list of ``str``.

    Parameters
    ----------
    X : list, tuple or other sequence of str, 1-D array, Series, one-column frame, or array of shape (n, 1)
        The texts. Series and frames may come from pandas or polars and may carry any index. The empty string
        is a valid text.
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

    Examples
    --------
    >>> import numpy as np
    >>> from skicl._validation import check_texts
    >>> check_texts(np.array([["where is my card"], ["top up failed"]]))
    ['where is my card', 'top up failed']
    """
    items, labels = list_items(X, parameter=parameter)
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
    >>> from skicl._validation import list_items
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
    >>> from skicl._validation import is_missing
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
    >>> from skicl._validation import position_of
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
    >>> from skicl._validation import is_text
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
    >>> from skicl._validation import resolve_device
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
        raise ValueError(
            f"`device`={device!r} is not a device PyTorch knows. Expected None, 'cpu', 'cuda', 'cuda:<index>' or 'mps'."
        ) from error
    if resolved.type == "cuda":
        return _resolve_cuda(resolved, torch)
    if resolved.type == "mps":
        if not _has_mps(torch):
            raise ValueError(f"`device`={device!r} needs Apple's Metal backend, which is not present. {_FALLBACK}")
        return resolved
    try:
        torch.empty(0, device=resolved).cpu()
    except Exception as error:  # backends report their absence each in its own way, some in a page of text
        reason = str(error).partition("\n")[0][:100]
        raise ValueError(f"`device`={device!r} cannot be used on this machine ({reason}). {_FALLBACK}") from error
    return resolved


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
    >>> from skicl._validation import import_optional
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
    >>> from skicl._validation import check_finite
    >>> check_finite([[0.5, 0.5], [0.1, 0.9]], "probabilities", "Look there.")
    >>> check_finite([[0.5, 0.5], [float("nan"), 0.9]], "probabilities", "Look there.")
    Traceback (most recent call last):
    ...
    skicl._validation.NotFiniteError: The probabilities of 1 of 2 rows, first at position 1, are NaN or infinite. ...
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
            f"`{parameter}` is a bare string ({_short(X)}): expected a collection of {many}, {_ACCEPTED}. "
            f"Wrap a single {one} in a list: [{parameter}]."
        )
    if _is_frame(X):
        if len(X.columns) != 1:
            raise ValueError(
                f"`{parameter}` is a frame with {len(X.columns)} columns ({_short(list(X.columns))}): expected one "
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
    raise TypeError(
        f"`{parameter}` is of type {type(X).__name__}: expected a collection of {many}, {_ACCEPTED}. "
        "Turn a generator or a set into a list first."
    )


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
    raise TypeError(
        f"`{parameter}` has an item of type {type(item).__name__} ({_short(item)}) at {where}: expected a string. "
        f"{hint}"
    )


def _short(value, length=60):
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."
