"""What a selector says, checked: which demonstrations stand in the prompt of which query."""

import inspect
from numbers import Integral

import numpy as np

from skicl.prompting._selectors import StratifiedDemonstrations, check_count


def resolve_selector(demonstrations):
    """The selector that a parameter denotes.

    Parameters
    ----------
    demonstrations : None, int or selector
        What the user gave.

    Returns
    -------
    selector : selector or None
        None means no demonstrations.

    Examples
    --------
    >>> from skicl.prompting._plans import resolve_selector
    >>> resolve_selector(4)
    StratifiedDemonstrations(k=4)
    """
    if demonstrations is None:
        return StratifiedDemonstrations()
    if isinstance(demonstrations, Integral):
        check_count(demonstrations, "demonstrations")
        return StratifiedDemonstrations(int(demonstrations)) if demonstrations else None
    return demonstrations


def check_selector(selector):
    """Refuse what is no selector.

    Parameters
    ----------
    selector : object
        As :func:`resolve_selector` returned it.

    Raises
    ------
    TypeError
        If it has no ``fit`` or ``select``, or cannot be cloned.
    """
    for name in () if selector is None else ("fit", "select", "get_params"):
        if not callable(getattr(selector, name, None)) or isinstance(selector, type):
            raise TypeError(
                "`demonstrations` must be None, an integer or a selector: an instance of a BaseEstimator with "
                f"fit(X, y) and select(X), got {selector!r}."
            )


def fit_selector(selector, texts, y, scorer):
    """Fit a selector; one that takes a `scorer` gets it.

    Parameters
    ----------
    selector : object
        With ``fit`` and ``select``; not fitted.
    texts : list of str
        The labelled rows.
    y : ndarray of shape (n_samples,)
        Their labels.
    scorer : callable
        ``scorer(demonstrations, rows)`` returns log-probabilities (n_rows, n_classes) of labelled rows after ordered
        demonstrations, both given by their numbers.

    Returns
    -------
    selector : object
        Fitted.
    """
    extra = {"scorer": scorer} if "scorer" in inspect.signature(selector.fit).parameters else {}
    selector.fit(texts, y, **extra)
    return selector


def plans_of(selector, texts, n_rows):
    """Demonstrations of every query.

    Parameters
    ----------
    selector : object
        Fitted.
    texts : list of str
        The queries.
    n_rows : int
        Number of rows that it was fitted on.

    Returns
    -------
    plans : list of tuple of int
        One for each query.
    fixed : bool
        Whether the selector gave one choice for all.

    Raises
    ------
    ValueError
        If the selector returned no numbers of rows, or a row twice in one prompt.

    Examples
    --------
    >>> from skicl.prompting import RandomDemonstrations
    >>> from skicl.prompting._plans import plans_of
    >>> plans_of(RandomDemonstrations(k=2).fit(["a", "b"], [0, 1]), ["c", "d"], 2)
    ([(1, 0), (1, 0)], True)
    """
    chosen = selector.select(texts)
    fixed = _is_one_choice(chosen)
    plans = [_checked(selector, one, n_rows) for one in ([chosen] if fixed else chosen)]
    if not fixed and len(plans) != len(texts):
        raise ValueError(
            f"`demonstrations`: {type(selector).__name__}.select returned {len(plans)} choices for {len(texts)} "
            "queries. Return one array of row numbers for all queries or one for each."
        )
    return (plans * len(texts) if fixed else plans), fixed


def _is_one_choice(chosen):
    return len(chosen) == 0 or np.ndim(chosen[0]) == 0


def _checked(selector, one, n_rows):
    rows = np.asarray(one)
    rows = rows.astype(np.int64) if rows.size == 0 else rows
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and not (0 <= rows.min() <= rows.max() < n_rows)):
        raise ValueError(
            f"`demonstrations`: {type(selector).__name__}.select must return numbers of rows from 0 to {n_rows - 1}, "
            f"got {one!r}."
        )
    if len(set(rows.tolist())) < len(rows):
        raise ValueError(f"`demonstrations`: {type(selector).__name__}.select returned a row twice: {one!r}.")
    return tuple(rows.tolist())
