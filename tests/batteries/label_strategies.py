"""Labels as hypothesis draws them: values of one type, in a container that may hold them, some of them missing.

A draw says beside ``y`` what it means: the plain Python values, and None where there is no label. So a law can be
stated without reading ``y`` again::

    @given(labels(n_rows=12))
    def test_classes_are_what_was_meant(drawn):
        classifier.fit(X, drawn.y)
        assert classifier.classes_.tolist() == drawn.classes
"""

import enum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import strategies as st


class Topic(str, enum.Enum):  # noqa: UP042 - what users of older versions of Python have
    """Names of which one begins with another, as values that are strings."""

    DE = "de"
    DEVICE = "device"
    DELIVERY = "delivery"


class Urgency(enum.IntEnum):
    LOW = 1
    HIGH = 2
    NOW = 30


class Labels(NamedTuple):
    """Labels of rows, what they mean (None: no label), of which kind they are and what holds them."""

    y: Any
    meant: list
    kind: str
    container: str

    @property
    def classes(self):
        """The distinct labels, sorted."""
        return sorted({value for value in self.meant if value is not None})

    @property
    def has_missing(self):
        return None in self.meant


# Every kind: the values, and whether they are as they should be in `classes_` and in answers.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
ODD_WORDS = ["", " ", "a", "A", "nan", "None", "NaN", "<NA>", "0", "1", "-1", "1.0", "True", "é", "e\u0301", "猫"]
ODD_WORDS += ["a" * 60]
VALUES = {
    "words": st.sampled_from(ODD_WORDS) | WORDS,
    "numbers": st.integers(-3, 12),
    "large numbers": st.sampled_from([0, 1, 255, 256, 2**31, 2**53 + 1, 2**62, -(2**62)]),
    "truths": st.booleans(),
    "whole floats": st.integers(-3, 12).map(float),
    "members of a str enum": st.sampled_from(list(Topic)),
    "members of an int enum": st.sampled_from(list(Urgency)),
}
KINDS = list(VALUES)
OF_ENUMS = ("members of a str enum", "members of an int enum")


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


# By name: what holds the values, None for a missing one; and which kinds it takes, and whether it can miss any.
EVERYTHING, TEXT, WHOLE, TRUE = (set(KINDS), {"words"}, {"numbers"}, {"truths"})
CONTAINERS = {
    "list": (list, EVERYTHING, True),
    "tuple": (tuple, EVERYTHING, True),
    "list with NaN": (lambda v: [np.nan if one is None else one for one in v], EVERYTHING, True),
    "list with NA": (lambda v: [pd.NA if one is None else one for one in v], EVERYTHING, True),
    "object array": (_objects, EVERYTHING, True),
    "array": (np.array, EVERYTHING - set(OF_ENUMS), False),
    "list of numpy scalars": (lambda v: list(np.array(v)), EVERYTHING - set(OF_ENUMS), False),
    "series": (pd.Series, EVERYTHING - set(OF_ENUMS) - {"large numbers", "numbers", "truths"}, True),
    "series of objects": (lambda v: pd.Series(v, dtype="object"), EVERYTHING, True),
    "series without a gap": (pd.Series, EVERYTHING - set(OF_ENUMS), False),
    "series of categories": (lambda v: pd.Series(pd.Categorical(v)), {"words", "numbers", "truths"}, True),
    "series of string": (lambda v: pd.Series(v, dtype="string"), TEXT, True),
    "series of pyarrow strings": (lambda v: pd.Series(v, dtype="string[pyarrow]"), TEXT, True),
    "series of Int64": (lambda v: pd.Series(v, dtype="Int64"), WHOLE | {"large numbers"}, True),
    "series of Int8": (lambda v: pd.Series(v, dtype="Int8"), WHOLE, True),
    "series of int64[pyarrow]": (lambda v: pd.Series(v, dtype="int64[pyarrow]"), WHOLE | {"large numbers"}, True),
    "series of boolean": (lambda v: pd.Series(v, dtype="boolean"), TRUE, True),
    "series of bool[pyarrow]": (lambda v: pd.Series(v, dtype="bool[pyarrow]"), TRUE, True),
    "polars": (lambda v: pl.Series(v, strict=False), {"words", "numbers", "large numbers", "truths"}, True),
    "polars categories": (lambda v: pl.Series(v, dtype=pl.Categorical), TEXT, True),
}
if hasattr(np.dtypes, "StringDType"):

    def _strings(values, **missing):
        values = [one if isinstance(one, str) else missing["na_object"] for one in values]
        return np.array(values, dtype=np.dtypes.StringDType(**missing))

    CONTAINERS["array of StringDType"] = (_strings, TEXT, False)
    CONTAINERS["array of StringDType with None"] = (lambda v: _strings(v, na_object=None), TEXT, True)
    CONTAINERS["array of StringDType with NaN"] = (lambda v: _strings(v, na_object=np.nan), TEXT, True)


@st.composite
def labels(draw, n_rows, *, kinds=tuple(KINDS), containers=tuple(CONTAINERS), missing=None, most_classes=5):
    """Labels of so many rows.

    ``missing`` says whether some rows have none: True, False, or None for either. There may be one class only.
    """
    kind = draw(st.sampled_from(kinds))
    one_class = draw(st.integers(0, 5)) == 5
    names = draw(st.lists(VALUES[kind], min_size=1 if one_class else 2, max_size=most_classes, unique=True))
    meant = [names[i % len(names)] for i in range(n_rows)]
    meant = draw(st.permutations(meant) | st.lists(st.sampled_from(names), min_size=n_rows, max_size=n_rows))
    gaps = draw(st.integers(0, 3)) == 3 if missing is None else missing
    if gaps and n_rows > 1:
        for place in draw(st.sets(st.integers(0, n_rows - 1), min_size=1, max_size=max(1, n_rows // 2))):
            meant[place] = None
    fitting = [name for name in containers if kind in CONTAINERS[name][1]]
    container = draw(st.sampled_from([name for name in fitting if CONTAINERS[name][2] or None not in meant]))
    return Labels(CONTAINERS[container][0](meant), meant, kind, container)
