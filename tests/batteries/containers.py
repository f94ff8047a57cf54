"""The same rows, texts and labels in every container that users have them in; functions from values to containers."""

import io
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl


def read_only(values):
    values = np.array(values)
    values.setflags(write=False)
    return values


def memory_map(values):
    """An array on the disk, as ``joblib.load(mmap_mode="r")`` gives it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.joblib"
        joblib.dump(np.array(values), path)
        return joblib.load(path, mmap_mode="r")  # the file goes, its pages stay


def every_other(values):
    """A view that is not contiguous in any direction."""
    values = np.array(values)
    wide = np.zeros(tuple(2 * n for n in values.shape), dtype=values.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in values.shape)]
    view[...] = values
    return view


def backwards(values):
    return np.array(values)[::-1].copy()[::-1]


def through_parquet(frame):
    """A frame as pyarrow's reader gives it with the dtypes of pyarrow."""
    file = io.BytesIO()
    frame.to_parquet(file)
    return pd.read_parquet(io.BytesIO(file.getvalue()), dtype_backend="pyarrow")


def frame(values, index=None, names=None):
    values = np.asarray(values)
    return pd.DataFrame(values, columns=names or [f"x{i}" for i in range(values.shape[1])], index=index)


INDICES = {
    "a range": lambda n: None,
    "shuffled numbers": lambda n: np.random.default_rng(0).permutation(n),
    "twice the same": lambda n: [0] * n,
    "words": lambda n: [f"row {i}" for i in range(n)],
    "dates": lambda n: pd.date_range("2024-01-01", periods=n),
    "two levels": lambda n: pd.MultiIndex.from_tuples([(i % 2, f"{i}") for i in range(n)]),
    "numbers with a gap": lambda n: [*range(n - 1), 10**9],
}

# -- tables of numbers; the values are small integers, so that every type holds them exactly ------------

TYPES = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    ">f8",
    ">i4",
    "longdouble",
    "object",
]
TABLES = {
    "list of lists": lambda values: np.asarray(values).tolist(),
    "list of tuples": lambda values: [tuple(row) for row in np.asarray(values).tolist()],
    "tuple of lists": lambda values: tuple(np.asarray(values).tolist()),
    "list of arrays": lambda values: list(np.asarray(values)),
    "list of Python floats": lambda values: np.asarray(values, dtype=float).tolist(),
    **{f"array of {name}": lambda values, name=name: np.array(values, dtype=name) for name in TYPES},
    "array in Fortran order": lambda values: np.asfortranarray(np.array(values, dtype=float)),
    "transposed": lambda values: np.ascontiguousarray(np.array(values, dtype=float).T).T,
    "every other": lambda values: every_other(np.array(values, dtype=float)),
    "backwards": lambda values: backwards(np.array(values, dtype=float)),
    "read-only": lambda values: read_only(np.array(values, dtype=float)),
    "memory map": lambda values: memory_map(np.array(values, dtype=float)),
    "memory map of float32": lambda values: memory_map(np.array(values, dtype=np.float32)),
    **{f"frame, {name}": lambda values, make=make: frame(values, make(len(values))) for name, make in INDICES.items()},
    **{
        f"frame of {name}": lambda values, name=name: frame(values).astype(name)
        for name in (
            "float32",
            "Float32",
            "Float64",
            "Int64",
            "UInt8",
            "object",
            "int8",
            "int64[pyarrow]",
            "double[pyarrow]",
        )
    },
    "frame of mixed types": lambda values: frame(values).astype({"x0": "Int64", f"x{values.shape[1] - 1}": "float32"}),
    "frame of categories": lambda values: frame(values).astype("category"),
    "frame of parquet": lambda values: through_parquet(frame(values)),
    "frame with numbers as names": lambda values: pd.DataFrame(np.asarray(values)),
    "polars": lambda values: pl.DataFrame(frame(values).to_dict("list")),
    "polars of Float32": lambda values: pl.DataFrame(frame(values).to_dict("list")).cast(pl.Float32),
    "polars of Int8": lambda values: pl.DataFrame(frame(values).to_dict("list")).cast(pl.Int8),
}

# Truth values hold less, so they have rows of their own.
TRUTHS = {
    "list of lists": lambda values: np.asarray(values).tolist(),
    "bool": lambda values: np.array(values, dtype=bool),
    "object": lambda values: np.array(values, dtype=object),
    "int8": lambda values: np.array(values, dtype=np.int8),
    "frame of bool": lambda values: frame(values),
    "frame of boolean": lambda values: frame(values).astype("boolean"),
    "frame of bool[pyarrow]": lambda values: frame(values).astype("bool[pyarrow]"),
    "polars": lambda values: pl.DataFrame(frame(values).to_dict("list")),
}

# -- texts ----------------------------------------------------------------------------------------

TEXTS_IN = {
    "list": list,
    "tuple": tuple,
    "list of numpy strings": lambda texts: list(np.array(texts)),
    "object array": lambda texts: np.array(texts, dtype=object),
    "unicode array": np.array,
    "column": lambda texts: np.array(texts, dtype=object)[:, None],
    "unicode column in Fortran order": lambda texts: np.asfortranarray(np.array(texts)[:, None]),
    "every other": lambda texts: every_other(np.array(texts)),
    "read-only": read_only,
    "memory map": memory_map,
    **{
        f"series, {name}": lambda texts, make=make: pd.Series(texts, index=make(len(texts)))
        for name, make in INDICES.items()
    },
    **{
        f"series of {name}": lambda texts, name=name: pd.Series(texts, dtype=name)
        for name in ("object", "string", "string[pyarrow]", "category")
    },
    "frame": lambda texts: pd.DataFrame({"text": texts}),
    "frame of strings": lambda texts: pd.DataFrame({"text": texts}, dtype="string"),
    "frame of categories": lambda texts: pd.DataFrame({"text": texts}, dtype="category"),
    "frame of parquet": lambda texts: through_parquet(pd.DataFrame({"text": texts})),
    "polars": pl.Series,
    "polars categories": lambda texts: pl.Series(texts, dtype=pl.Categorical),
    "polars frame": lambda texts: pl.DataFrame({"text": texts}),
}
if hasattr(np.dtypes, "StringDType"):
    TEXTS_IN["array of StringDType"] = lambda texts: np.array(texts, dtype=np.dtypes.StringDType())

# -- labels; values in, labels that are equal in every container out ------------------------------------

LABELS_IN = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "object array": lambda labels: np.array(labels, dtype=object),
    "every other": lambda labels: every_other(np.array(labels)),
    "read-only": read_only,
    "memory map": memory_map,
    **{
        f"series, {name}": lambda labels, make=make: pd.Series(labels, index=make(len(labels)))
        for name, make in INDICES.items()
    },
    "series of objects": lambda labels: pd.Series(labels, dtype="object"),
    "series of categories": lambda labels: pd.Series(labels, dtype="category"),
    "polars": pl.Series,
}
OF_STRINGS = {
    "series of strings": lambda labels: pd.Series(labels, dtype="string"),
    "series of pyarrow strings": lambda labels: pd.Series(labels, dtype="string[pyarrow]"),
    "polars categories": lambda labels: pl.Series(labels, dtype=pl.Categorical),
    "polars enum": lambda labels: pl.Series(labels, dtype=pl.Enum(sorted(set(labels)))),
}
OF_NUMBERS = {
    **{
        f"array of {name}": lambda labels, name=name: np.array(labels, dtype=name)
        for name in ("int8", "int16", "int32", "uint8", "uint64", ">i4")
    },
    **{
        f"series of {name}": lambda labels, name=name: pd.Series(labels, dtype=name)
        for name in ("Int64", "UInt8", "int8", "int64[pyarrow]")
    },
    "polars of Int8": lambda labels: pl.Series(labels, dtype=pl.Int8),
}
OF_TRUTHS = {
    "series of boolean": lambda labels: pd.Series(labels, dtype="boolean"),
    "series of bool[pyarrow]": lambda labels: pd.Series(labels, dtype="bool[pyarrow]"),
}

# -- items ----------------------------------------------------------------------------------------


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


ITEMS_IN = {
    "list": list,
    "tuple": tuple,
    "object array": object_array,
    "series": lambda items: pd.Series(list(items), index=range(3, 3 + len(items))),
    "frame": lambda items: pd.DataFrame({"item": list(items)}),
    "list of read-only arrays": lambda items: [read_only(item) for item in items],
    "list of views": lambda items: [backwards(item) for item in items],
}


def frozen(values):
    """Something to compare a container with later, to see whether it was changed; bytes of an array or a pickle."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.dtype.str if values.dtype.kind != "T" else "T", values.shape, values.tolist()
    if isinstance(values, pl.Series | pl.DataFrame):
        return str(values.to_dict() if hasattr(values, "to_dict") else values.dtype), repr(list(values))
    if isinstance(values, pd.Series | pd.DataFrame):
        return (
            repr(values.to_dict("list") if values.ndim == 2 else values.tolist()),
            repr(values.index),
            str(values.dtypes),
        )
    return repr(values)
