"""What a user passes as ``X``, as rows of named strings that a template can be filled with."""

from numbers import Real
from typing import NamedTuple

import numpy as np

from skicl._models._template import TEXT
from skicl._validation._scalars import is_integer
from skicl._validation._texts import check_texts, is_missing, is_text, warn_of_media_paths
from skicl._validation._wording import position_of

# Numbers are written with so many significant digits.
DIGITS = 4


class Records(NamedTuple):
    """Rows of named strings."""

    columns: tuple  # names of the fields. A collection of texts has one, ``text``.
    rows: list  # one string for each column
    alias: str | None = None  # another name of the only column: what a frame calls it

    def select(self, columns):
        """Values of some columns, one tuple a row; a single column also goes by its other name."""
        places = {name: i for i, name in enumerate(self.columns)}
        if self.alias is not None:
            places[self.alias] = 0
        if len(self.columns) == 1:
            places.setdefault(TEXT, 0)
        missing = [name for name in columns if name not in places]
        if missing:
            raise ValueError(
                f"`X` has no column {missing[0]!r}, which the classifier was fitted with or its template names: found "
                f"{len(self.columns)} columns {list(self.columns)[:10]!r}."
            )
        return [tuple(row[places[name]] for name in columns) for row in self.rows]


def is_records(X):
    """Whether a collection goes to :func:`read_records` as it is: texts, or a frame that holds not only numbers.

    Not arrays of several columns and frames of numbers, which scikit-learn's checks read first.
    """
    if is_text(X) or _is_empty(X):
        return True
    if not hasattr(X, "columns"):
        return False
    kinds = [getattr(dtype, "kind", None) or ("f" if _is_polars_number(dtype) else "O") for dtype in X.dtypes]
    return any(kind not in "biuf" for kind in kinds)


def read_records(X, *, columns=None):
    """Records of texts, a frame or an array that has been through scikit-learn's checks.

    `columns` names those of an array; None means x0, x1, ... What is empty, a bare string or has a missing value is
    refused, and the message says where.
    """
    if is_text(X) or _is_empty(X) or not (hasattr(X, "columns") or hasattr(X, "shape")):
        alias = str(X.columns[0]) if hasattr(X, "columns") else None
        return Records((TEXT,), [(_of_characters(text, i),) for i, text in enumerate(check_texts(X))], alias)
    if hasattr(X, "columns"):
        names = tuple(str(name) for name in X.columns)
        values = [_list_of(X, name) for name in X.columns]
        if not values or not values[0]:
            raise ValueError("`X` is empty: found 0 sample(s) while a minimum of 1 is required.")
    else:
        names = tuple(f"x{i}" for i in range(X.shape[1])) if columns is None else tuple(str(name) for name in columns)
        X = X.astype(str) if X.dtype.kind in "mM" else X  # as a list, dates to the nanosecond are large integers
        values = [X[:, i].tolist() for i in range(X.shape[1])]
    for column in values:
        warn_of_media_paths(column)
    labels = getattr(X, "index", None)
    written = [
        [write_value(value, row, name, labels) for row, value in enumerate(column)]
        for name, column in zip(names, values)
    ]
    return Records(names, list(zip(*written)), names[0] if len(names) == 1 else None)


def write_value(value, row=0, column="text", labels=None):
    """One value of a table as it stands in a prompt: strings as they are, integers exactly, other numbers rounded.

    A missing value is refused; the other arguments say where it is. Numbers have four significant digits.
    """
    if is_missing(value):
        raise ValueError(
            f"`X` has a missing value ({value}) in column {column!r} at {position_of(row, labels)}. Drop the row or "
            "replace the value, for example by ''."
        )
    if isinstance(value, str):
        return _of_characters(str(value), row)
    if is_integer(value) or isinstance(value, bool | np.bool_):
        return str(value)
    return f"{float(value):.{DIGITS}g}" if isinstance(value, Real) else str(value)


def _of_characters(text, row):
    """The text, unless half of a pair of code units stands in it, which no tokenizer can read."""
    try:
        text.isascii() or text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"`X` has a text at position {row} with a lone surrogate ({text[error.start]!r}), which is no character. "
            "Decode the text anew, or replace it by text.encode('utf-8', 'replace').decode()."
        ) from error
    return text


def _list_of(frame, name):
    column = frame[name]
    if hasattr(column, "columns"):
        raise ValueError(f"`X` has several columns named {name!r}. Give every column a name of its own.")
    return column.to_list()


def _is_empty(X):
    """Whether it is a collection without items, of which nobody can say what they would be."""
    return (isinstance(X, list | tuple) and not X) or getattr(X, "shape", None) == (0,)


def _is_polars_number(dtype):
    is_numeric = getattr(dtype, "is_numeric", None)
    return bool(is_numeric()) if callable(is_numeric) else False
