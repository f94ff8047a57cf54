"""The support messages: short customer messages in eight intents."""

import csv
import io
from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch

from skicl._validation._environment import import_optional

_DATA_FILE = "support_messages.csv"
_DESCRIPTION_FILE = "support_messages.rst"
_TEXT_COLUMN = "message"
_LABEL_COLUMN = "label"


def load_support_messages(*, return_X_y: bool = False, as_frame: bool = False) -> Bunch | tuple:
    """Load the support messages: short customer messages in eight intents.

    The messages were written for this project. They are addressed to one imaginary online shop for coffee and
    tea that also sells machines and a monthly subscription, so the intents share their vocabulary. Nothing is
    downloaded. ``DESCR`` defines the intents and gives the measured difficulty.

    ==================  ================================================
    Classes             8
    Messages per class  50
    Messages total      400
    Words per message   3 to 40, median 15
    Language            English, some of it colloquial or non-native
    ==================  ================================================

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, ``data`` and ``target`` are pandas Series and ``frame`` holds both as columns. Needs pandas.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (400,), dtype object, or Series
            The messages, each a str. The order is shuffled, the same in every call. A Series is named
            ``"message"``.
        target : ndarray of shape (400,), dtype str, or Series
            The label of each message. A Series is named ``"label"``.
        target_names : list of str
            The 8 labels, sorted.
        DESCR : str
            The full description: what each label means, how the messages were made, how hard they are.
        frame : DataFrame of shape (400, 2) or None
            The columns ``"message"`` and ``"label"``; None unless ``as_frame=True``.
        filename : str
            Name of the CSV file in ``skicl/datasets/data``.

    (data, target) : tuple, if ``return_X_y`` is True
        The first two of the attributes above.

    Raises
    ------
    TypeError
        If `return_X_y` or `as_frame` is not a bool.
    ImportError
        If ``as_frame=True`` and pandas is not installed.

    Examples
    --------
    >>> from skicl.datasets import load_support_messages
    >>> messages = load_support_messages()
    >>> messages.data[0]
    'cancel my subscription'
    >>> messages.target[:3].tolist()
    ['subscription_change', 'feedback', 'delivery_status']
    >>> for name in messages.target_names:
    ...     print(name, (messages.target == name).sum())
    account_access 50
    billing_refund 50
    delivery_status 50
    feedback 50
    product_question 50
    return_exchange 50
    subscription_change 50
    technical_problem 50
    """
    _check_bool(return_X_y, "return_X_y")
    _check_bool(as_frame, "as_frame")
    if as_frame:
        pandas = import_optional("pandas", needed="for `as_frame=True`", instead="Or use as_frame=False.")

    rows = list(csv.DictReader(io.StringIO(_read(_DATA_FILE))))
    data = np.array([row[_TEXT_COLUMN] for row in rows], dtype=object)
    target = np.array([row[_LABEL_COLUMN] for row in rows])
    target_names = np.unique(target).tolist()
    frame = None
    if as_frame:
        frame = pandas.DataFrame({_TEXT_COLUMN: data, _LABEL_COLUMN: target})
        data, target = frame[_TEXT_COLUMN], frame[_LABEL_COLUMN]
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=target_names,
        DESCR=_read(_DESCRIPTION_FILE),
        frame=frame,
        filename=_DATA_FILE,
    )


def _read(name):
    return (files("skicl.datasets") / "data" / name).read_text(encoding="utf-8")


def _check_bool(value, parameter):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{parameter}` must be True or False; got {value!r} of type {type(value).__name__}.")
