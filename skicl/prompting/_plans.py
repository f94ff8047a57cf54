"""What a selector says, checked: which demonstrations stand in the prompt of which query."""

import inspect
from numbers import Integral

import numpy as np

from skicl._validation._scalars import check_integer
from skicl.prompting._selectors import StratifiedDemonstrations

# How many rows are shown where nobody says it: few, or a share of them if that is more, but not too many.
FEW, SHARE, MORE, MANY = 4, 4, 8, 16


def resolve_selectors(demonstrations, n_rows):
    """The selectors that a parameter leaves open for so many labelled rows: one, or several that show more and more.

    None among them means no demonstrations.
    """
    if demonstrations is None:
        more = min(n_rows // SHARE, MANY)
        return [StratifiedDemonstrations(k) for k in ([FEW, more] if more >= MORE else [FEW])]
    if isinstance(demonstrations, Integral):
        check_integer(demonstrations, "demonstrations", least=0)
        return [StratifiedDemonstrations(int(demonstrations)) if demonstrations else None]
    return [demonstrations]


def check_selector(selector):
    """Refuse what lacks a method of a selector, or cannot be cloned."""
    for name in () if selector is None else ("fit", "select", "get_params"):
        if not callable(getattr(selector, name, None)) or isinstance(selector, type):
            raise TypeError(
                "`demonstrations` must be None, an integer or a selector: an instance of a BaseEstimator with "
                f"fit(X, y) and select(X), got {selector!r}."
            )


def fit_selector(selector, texts, y, scorer):
    """Fit a selector; one that takes a `scorer`, as :class:`BaseSelector` describes it, gets it."""
    extra = {"scorer": scorer} if "scorer" in inspect.signature(selector.fit).parameters else {}
    selector.fit(texts, y, **extra)
    return selector


def plans_of(selector, texts, n_rows):
    """Demonstrations of every query, a list of tuples of row numbers; and whether the selector gave one choice for all.

    `n_rows` is how many rows it was fitted on. Numbers of other rows are refused, and a row twice in one prompt.
    """
    chosen = selector.select(texts)
    fixed = _is_one_choice(chosen)
    plans = [_checked(selector, choice, n_rows) for choice in ([chosen] if fixed else chosen)]
    if not fixed and len(plans) != len(texts):
        raise ValueError(
            f"`demonstrations`: {type(selector).__name__}.select returned {len(plans)} choices for {len(texts)} "
            "queries. Return one array of row numbers for all queries or one for each."
        )
    return (plans * len(texts) if fixed else plans), fixed


def _is_one_choice(chosen):
    return len(chosen) == 0 or np.ndim(chosen[0]) == 0


def _checked(selector, choice, n_rows):
    rows = np.asarray(choice)
    rows = rows.astype(np.int64) if rows.size == 0 else rows
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and not (0 <= rows.min() <= rows.max() < n_rows)):
        raise ValueError(
            f"`demonstrations`: {type(selector).__name__}.select must return numbers of rows from 0 to {n_rows - 1}, "
            f"got {choice!r}."
        )
    if len(set(rows.tolist())) < len(rows):
        raise ValueError(f"`demonstrations`: {type(selector).__name__}.select returned a row twice: {choice!r}.")
    return tuple(rows.tolist())
