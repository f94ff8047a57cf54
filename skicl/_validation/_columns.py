"""Tables as ``X``: scikit-learn's checks, and one sentence on what is wrong where these refuse."""

import sys
from datetime import date, timedelta
from numbers import Number

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from skicl._validation._containers import read_container
from skicl._validation._texts import is_missing
from skicl._validation._wording import position_of, short_form

_IMAGES = "for images TartClassifier(encoder=ImageEncoder())"


def read_columns(estimator, X, *args, **options):
    """What :func:`sklearn.utils.validation.validate_data` makes of a table.

    Arguments and result are those of ``validate_data``; with ``dtype=None`` columns of dates are taken.

    >>> from skicl import TartClassifier
    >>> from skicl._validation._columns import read_columns
    >>> read_columns(TartClassifier(), [[0.5, float("nan")]])
    Traceback (most recent call last):
    ValueError: `X` contains NaN, a missing value, at position 0, column 1. Drop the row, or fill the value in, for
    instance by a SimpleImputer before TartClassifier in a pipeline.
    """
    X = _dense(X, type(estimator).__name__)
    if options.get("dtype", "numeric") is not None:
        _refuse_dates(X)
    try:
        return validate_data(estimator, X, *args, **options)
    except (TypeError, ValueError, OverflowError) as error:
        explained = _explained(X, error, type(estimator).__name__)
        if explained is None:
            raise
        raise explained from error


def _dense(X, name):
    """``X`` as something that numpy can read, unless it is sparse or no collection at all."""
    if isinstance(X, str):
        raise ValueError(
            f"`X` is a bare string ({short_form(X)}): expected a collection. Wrap a single text in a list: [X]."
        )
    X = read_container(X)
    torch = sys.modules.get("torch")
    tensor = torch is not None and isinstance(X, torch.Tensor)
    frame = hasattr(X, "columns") and any("Sparse" in str(dtype) for dtype in getattr(X, "dtypes", ()))
    if issparse(X) or frame or (tensor and X.layout != torch.strided):
        kind = "a frame with sparse columns" if frame else f"sparse ({type(X).__name__})"
        raise TypeError(
            f"`X` is {kind}: {name} needs dense rows. Reduce them by a TruncatedSVD before it in a "
            "pipeline, or convert a small table to a dense one (`toarray`)."
        )
    if np.ma.is_masked(X):
        raise ValueError(
            "`X` is a masked array, and what is masked would be read. Fill these values in: "
            "X.filled(value), or X.filled(numpy.nan) and a SimpleImputer in a pipeline."
        )
    if tensor:
        X = X.detach().cpu()
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    return X


def _refuse_dates(X):
    """Refuse dates and durations, of which some would be read as numbers in whatever unit they are stored."""
    if hasattr(X, "columns"):
        dtypes = list(zip(X.columns, X.dtypes))
    else:
        dtypes = [(None, X.dtype)] if hasattr(X, "dtype") else []
    for column, dtype in dtypes:
        temporal = getattr(dtype, "is_temporal", None)
        if getattr(dtype, "kind", "") in ("m", "M") or (callable(temporal) and temporal()):
            where = "" if column is None else f" in column {column!r}"
            raise TypeError(
                f"`X` holds dates or durations ({dtype}){where}: expected numbers. Turn them into numbers "
                "that mean something, such as days since a fixed day: (dates - start) / "
                "numpy.timedelta64(1, 'D')."
            )


def _explained(X, error, name):
    """The error to raise instead of scikit-learn's; None if that says it well enough."""
    text = str(error)
    if "could not convert string to float" in text and ("float: b" in text or "np.bytes_" in text):
        return ValueError("`X` holds bytes where numbers or texts were expected. Decode texts first: item.decode().")
    if "could not convert string to float" in text:
        return ValueError(
            "`X` holds strings where numbers were expected. Give texts as one list, array or column to "
            "both fit and predict; for a table with several columns pass `encoder`, for instance a "
            f"ColumnTransformer. ({error})"
        )
    if "contains NaN" in text or "contains infinity" in text:
        return _not_finite(X, name)
    if "Expected 2D array" in text or "Expected a 2-dimensional container" in text:
        return _one_dimensional(X)
    shape = getattr(X, "shape", ())
    if len(shape) > 2:
        return ValueError(
            f"`X` is an array of shape {tuple(shape)}: expected one row for each sample, (n_samples, "
            "n_features). Flatten what belongs to a sample, X.reshape(len(X), -1), or let an encoder "
            f"read it, {_IMAGES}."
        )
    if isinstance(X, list | tuple):
        return _uneven(X) or _no_number(X, error)
    return _no_number(X, error)


def _not_finite(X, name):
    array = check_array(X, dtype=np.float64, ensure_all_finite=False)
    wrong = np.argwhere(~np.isfinite(array))
    if not len(wrong):  # too large for float32
        return None
    row, column = wrong[0].tolist()
    where = position_of(row, getattr(X, "index", None))
    where += f", column {X.columns[column]!r}" if hasattr(X, "columns") else f", column {column}"
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    if not np.isnan(array[row, column]):
        return ValueError(
            f"`X` contains infinity ({array[row, column]}) at {where}{more}. Drop the row, or "
            "replace the value by a finite one."
        )
    return ValueError(
        f"`X` contains NaN, a missing value, at {where}{more}. Drop the row, or fill the value in, for "
        f"instance by a SimpleImputer before {name} in a pipeline."
    )


def _one_dimensional(X):
    items = list(X)
    item = next((item for item in items if not is_missing(item)), None)
    expected = "expected a collection of texts, or a table with one row for each sample"
    if item is None:
        return ValueError(f"`X` is a collection of {len(items)} missing values: {expected}. Drop these rows.")
    if isinstance(item, bytes):
        return ValueError(
            f"`X` is a collection of bytes: {expected}. Decode texts first, [item.decode() for item in "
            f"X]; of media files pass the encoder, {_IMAGES}."
        )
    if _is_media(item):
        return ValueError(
            f"`X` is a collection of objects of type {type(item).__name__}: {expected}. Pass the encoder "
            f"that reads them, {_IMAGES}."
        )
    if isinstance(item, date | timedelta | np.datetime64 | np.timedelta64):
        return TypeError(
            f"`X` is a collection of dates or durations ({type(item).__name__}): {expected}. Turn them "
            "into numbers that mean something, such as days since a fixed day, or into texts."
        )
    what = "numbers" if isinstance(item, Number | np.bool_) else f"objects of type {type(item).__name__}"
    return ValueError(
        f"`X` is a 1D array or list of {what}: {expected}. Reshape your data: "
        "numpy.reshape(X, (-1, 1)) if it is one feature of many samples, (1, -1) if it is one sample."
    )


def _uneven(rows):
    """Rows of different lengths, the first two of them named."""
    lengths = [len(row) if hasattr(row, "__len__") and not isinstance(row, str) else None for row in rows]
    other = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    if other is None:
        return None
    names = ["no row" if length is None else f"{length} values" for length in (lengths[0], lengths[other])]
    return ValueError(
        f"`X` has rows of different lengths: {names[0]} at position 0 and {names[1]} at position "
        f"{other}. Give every row one value for each feature."
    )


def _no_number(X, error):
    """The first value that is neither a number nor missing, if a table of objects is refused for one."""
    try:
        rows = X.to_numpy() if hasattr(X, "columns") else np.asarray(X, dtype=object)
    except ValueError:
        return None
    if rows.dtype != object or rows.ndim not in (1, 2):
        return None
    if rows.ndim == 1 and len(rows) and _is_media(rows[0]):
        return _one_dimensional(X)
    for place, value in np.ndenumerate(rows):
        if not (is_missing(value) or isinstance(value, Number | str | np.bool_)):
            where = position_of(place[0], getattr(X, "index", None))
            if len(place) == 2:
                where += f", column {X.columns[place[1]]!r}" if hasattr(X, "columns") else f", column {place[1]}"
            return TypeError(
                f"`X` has a value of type {type(value).__name__} ({short_form(value)}) at {where}: "
                "expected numbers. Convert it, or pass an `encoder` that reads such values, for instance "
                f"a ColumnTransformer. ({error})"
            )
    if isinstance(error, OverflowError):
        return ValueError(f"`X` holds an integer that is too large for a float. Divide the column. ({error})")
    return None


def _is_media(item):
    """Whether an item is a picture of PIL or a path."""
    return hasattr(item, "__fspath__") or any(kind.__module__.startswith("PIL.") for kind in type(item).__mro__)
