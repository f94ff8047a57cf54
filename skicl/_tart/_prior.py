"""What another model thinks of the classes: from ``prior`` to centred log-probabilities that never leak.

A fitted model or a function is asked as it is. A model that is not fitted is cross-fitted: every labelled row gets
the probabilities of a copy that has not seen it, and queries those of one that has seen all.
"""

from contextlib import contextmanager
from inspect import isclass
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skicl._validation._rows import append_rows, count_rows, take_rows

# Probabilities below this say no more than this; also what a class gets of a prior that does not know it.
FLOOR = 1e-3
N_FOLDS = 5


class Opinions(NamedTuple):
    """Probabilities that a prior gave to rows.

    Attributes
    ----------
    proba : ndarray of shape (n_samples, n_columns)
        Probabilities.
    classes : ndarray of shape (n_columns,)
        Labels of the columns.
    """

    proba: np.ndarray
    classes: np.ndarray


class Consulted(NamedTuple):
    """What came of asking a prior about the context; all None without one.

    Attributes
    ----------
    prior : classifier or callable or None
        To be asked about queries.
    opinions : Opinions or None
        On the rows of the context.
    rows : object or None
        The rows as the user gave them, where the prior is to be fitted again when there are more.
    """

    prior: object
    opinions: Opinions | None
    rows: object


def check_prior(prior):
    """Refuse what gives no probabilities, before any work.

    Parameters
    ----------
    prior : object
        The parameter of :class:`~skicl.TartClassifier`.
    """
    if prior is None:
        return
    if isclass(prior):
        raise TypeError(f"`prior` is the class {prior.__name__}. Pass an instance: {prior.__name__}().")
    if hasattr(prior, "predict_proba") or (callable(prior) and not hasattr(prior, "predict")):
        return
    raise TypeError(
        f"`prior` must be a classifier with predict_proba or a function from X to probabilities, got an "
        f"object of type {type(prior).__name__}. Wrap a classifier without probabilities in a "
        "CalibratedClassifierCV."
    )


def is_ready(prior):
    """Whether a prior is asked as it is: a function, or a fitted model.

    Parameters
    ----------
    prior : classifier, callable or None
        The parameter, checked.

    Returns
    -------
    bool
        False for a classifier that is still to be fitted, and for None.
    """
    if prior is None:
        return False
    # What is no estimator of scikit-learn's kind can be asked, but not cloned.
    if not all(hasattr(prior, name) for name in ("predict_proba", "fit", "get_params")):
        return True
    try:
        check_is_fitted(prior)
    except NotFittedError:
        return False
    except (AttributeError, TypeError):  # it has no tags
        return True
    return True


def ask(prior, X, n_rows, classes):
    """Probabilities of a prior that is ready.

    Parameters
    ----------
    prior : classifier or callable
        A fitted classifier, or a function from ``X`` to probabilities.
    X : object
        Rows as the user gave them.
    n_rows : int or None
        Their number; None where it is not known.
    classes : ndarray of shape (n_classes,)
        The label space, for the columns of a prior without ``classes_``.

    Returns
    -------
    Opinions

    Raises
    ------
    ValueError
        If what comes back are no probabilities of these rows and classes.
    ValueError, TypeError
        If the prior refuses the rows.
    """
    name = _name(prior)
    with _blamed(prior):
        proba = np.asarray(prior.predict_proba(X) if hasattr(prior, "predict_proba") else prior(X))
    columns = np.asarray(getattr(prior, "classes_", classes))
    if proba.ndim != 2 or proba.dtype.kind not in "fiu" or (n_rows is not None and len(proba) != n_rows):
        raise ValueError(
            f"`prior` {name} gave an array of shape {proba.shape} and type {proba.dtype}"
            f"{'' if n_rows is None else f' for {n_rows} rows'}. Expected probabilities of shape "
            "(n_samples, n_classes)."
        )
    if proba.shape[1] != len(columns):
        raise ValueError(
            f"`prior` {name} gave {proba.shape[1]} columns, expected {len(columns)}, one for each of the "
            f"classes {columns.tolist()[:10]}. List classes that have no row yet in `classes`."
        )
    proba = proba.astype(np.float64)
    if not np.isfinite(proba).all() or (proba < -1e-6).any() or (np.abs(proba.sum(axis=1) - 1) > 1e-3).any():
        raise ValueError(
            f"`prior` {name} gave numbers that are no probabilities: each row must be at least 0 and sum "
            "to 1. Normalise them first."
        )
    if not set(columns.tolist()) & set(classes.tolist()):
        raise ValueError(
            f"`prior` {name} knows the classes {columns.tolist()[:10]}, and none of "
            f"{classes.tolist()[:10]}. Train it with the same labels."
        )
    return Opinions(proba, columns)


def log_scores(opinions, classes):
    """Logarithms of probabilities, centred in every row, in the order of the classes.

    Parameters
    ----------
    opinions : Opinions
        Probabilities, with the classes of the prior.
    classes : ndarray of shape (n_classes,)
        The label space. Classes that the prior does not know get the floor.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), dtype float64

    Examples
    --------
    >>> import numpy as np
    >>> from skicl._tart._prior import Opinions, log_scores
    >>> log_scores(Opinions(np.array([[0.5, 0.5]]), np.array(["a", "b"])), np.array(["a", "b"]))
    array([[0., 0.]])
    """
    column_of = {label: column for column, label in enumerate(opinions.classes.tolist())}
    proba = np.full((len(opinions.proba), len(classes)), FLOOR)
    for column, label in enumerate(classes.tolist()):
        if label in column_of:
            proba[:, column] = opinions.proba[:, column_of[label]]
    scores = np.log(np.clip(proba, FLOOR, 1.0))
    return scores - scores.mean(axis=1, keepdims=True)


def consult(prior, X, vectors, codes, classes, weight, before):
    """Ask a prior about the rows of the context; fit it first if it is not fitted.

    Parameters
    ----------
    prior : classifier, callable or None
        The parameter, checked.
    X : object
        The new rows as the user gave them.
    vectors : ndarray of shape (n_samples, n_features)
        All rows as numbers, the new ones last.
    codes : ndarray of shape (n_samples,), dtype int64
        Classes of all rows; -1 without a label.
    classes : ndarray of shape (n_classes,)
        The label space.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    before : Consulted or None
        The result for the rows before the new ones; None where there were none.

    Returns
    -------
    Consulted
    """
    if prior is None:
        return Consulted(None, None, None)
    if is_ready(prior):
        if before is not None and before.prior is not prior:
            raise ValueError(_CHANGED)
        opinions = ask(prior, X, count_rows(X), classes)
        if before is not None:
            opinions = _append_opinions(before.opinions, opinions)
        return Consulted(prior, opinions, None)
    if before is not None and before.rows is None:
        raise ValueError(_CHANGED)
    # A copy, as of the numbers: what happens to X later must not matter.
    rows = take_rows(X, np.arange(count_rows(X))) if before is None else append_rows(before.rows, X)
    return Consulted(*cross_fit(prior, rows, vectors, codes, classes, weight), rows)


_CHANGED = "`prior` was changed after the first rows were read. Call fit with all rows."


def cross_fit(prior, X, vectors, codes, classes, weight):
    """Fit a prior and get the opinion on every row of a copy that has not seen it.

    Parameters
    ----------
    prior : classifier
        Not fitted; it is cloned.
    X : object
        Rows as the user gave them.
    vectors : ndarray of shape (n_samples, n_features)
        The same rows as numbers. Equal rows are held out together.
    codes : ndarray of shape (n_samples,), dtype int64
        Classes of the rows; -1 without a label.
    classes : ndarray of shape (n_classes,)
        The label space.
    weight : ndarray of shape (n_samples,)
        Weights. Rows of weight zero are never learnt from; others pass their weight on where ``prior.fit`` takes it.

    Returns
    -------
    model : classifier or None
        Fitted on all labelled rows. None where the labels do not allow it: without two classes of which one has
        two different rows.
    opinions : Opinions or None
        Of all rows, with neutral ones (equal probabilities) for rows that cannot be held out because no other
        row has their class.
    """
    seen = np.flatnonzero((codes >= 0) & (weight > 0))
    if len(np.unique(codes[seen])) < 2:
        return None, None
    folds = folds_of_rows(vectors[seen], codes[seen])
    if not folds:
        return None, None

    def fitted(rows):
        weights = {"sample_weight": weight[rows]} if passes_weights else {}
        with _blamed(prior):
            return clone(prior).fit(take_rows(X, rows), classes[codes[rows]], **weights)

    passes_weights = (weight[seen] != 1).any() and has_fit_parameter(prior, "sample_weight")
    proba = np.full((len(codes), len(classes)), 1 / len(classes))
    for train, test in folds:
        _fill(proba, seen[test], fitted(seen[train]), X, classes)
    model = fitted(seen)
    _fill(proba, np.setdiff1d(np.arange(len(codes)), seen), model, X, classes)
    return model, Opinions(proba, classes)


def folds_of_rows(vectors, codes):
    """Folds that do not depend on the order of the rows, for classes of any size.

    Equal rows are always in one fold. Rows are dealt to the folds like cards, one class after the other, within a
    class by where they lie along a fixed direction: each fold gets its share of every class. Where shares differ by a
    row, a fold with the smaller one learns from one row less: were a class more frequent among what is learnt where it
    is not tested, opinions would tell the label, as those of ``DummyClassifier(strategy="prior")`` did.

    Parameters
    ----------
    vectors : ndarray of shape (n_samples, n_features)
        Rows.
    codes : ndarray of shape (n_samples,)
        Classes.

    Returns
    -------
    list of tuple of ndarray
        Numbers of the rows to learn from and to test, for each fold. The only row of a class, or copies of it, are
        always learnt from. Empty if no row can be tested.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl._tart._prior import folds_of_rows
    >>> [test.tolist() for _, test in folds_of_rows(np.arange(5.0)[:, None], np.array([0, 0, 1, 1, 2]))]
    [[0], [1], [2], [3]]
    """
    position = vectors.astype(np.float64) @ np.cos(np.arange(1.0, vectors.shape[1] + 1))
    number = {}
    group = np.array([number.setdefault((row + 0.0).tobytes(), len(number)) for row in vectors])
    position = position[np.unique(group, return_index=True)[1]]  # of a row of each group
    pairs = np.unique(np.column_stack([group, codes]), axis=0)
    classes_of = [tuple(part) for part in np.split(pairs[:, 1], np.flatnonzero(np.diff(pairs[:, 0])) + 1)]
    kinds = {kind: i for i, kind in enumerate(dict.fromkeys(classes_of))}  # equal rows may differ in their labels
    kind = np.array([kinds[key] for key in classes_of])
    counts = np.bincount(kind)
    middle = np.bincount(kind, position) / counts
    # Kind by kind, in an order that the names of the classes have no part in.
    order = np.lexsort([position, middle[kind], counts[kind]])
    n_groups = np.bincount(pairs[:, 1])
    order = order[np.array([min(n_groups[list(classes_of[i])]) > 1 for i in order], dtype=bool)]
    n_folds = min(N_FOLDS, len(order))
    dealt = [order[fold::n_folds] for fold in range(n_folds)]
    spared, n_codes = _spare_evenly(dealt, classes_of), codes.max() + 1
    folds = []
    for groups, more in zip(dealt, spared):
        tested = np.isin(group, groups)
        spare = np.isin(group * n_codes + codes, [number * n_codes + code for number, code in more])
        folds.append((np.flatnonzero(~tested & ~spare), np.flatnonzero(tested)))
    return [(train, test) for train, test in folds if len(np.unique(codes[train])) > 1]


def _spare_evenly(dealt, classes_of):
    """For each fold, pairs of group and class that it does not learn from either, so that all learn as many of each."""
    held = []
    for groups in dealt:
        held.append({})
        for group in groups.tolist():
            for code in classes_of[group]:
                held[-1].setdefault(code, []).append(group)
    counts = {code: [len(some.get(code, ())) for some in held] for some in held for code in some}
    most = {code: min(max(some), sum(some) - 1) for code, some in counts.items()}  # some are left to learn from
    spared = []
    for fold, own in enumerate(held):
        others = held[fold + 1 :] + held[:fold]
        spared.append([])
        for code, count in most.items():
            spare = [group for some in others for group in some.get(code, ())]
            spared[-1] += [(group, code) for group in spare[: count - len(own.get(code, ()))]]
    return spared


def _append_opinions(opinions, more):
    """Opinions with those of the same prior on further rows after them."""
    if opinions.classes.tolist() != more.classes.tolist():
        raise ValueError(
            f"`prior` gave probabilities of the classes {opinions.classes.tolist()[:10]} before and of "
            f"{more.classes.tolist()[:10]} now. List all classes in the first call, in `classes`."
        )
    return Opinions(np.concatenate([opinions.proba, more.proba]), opinions.classes)


def _fill(proba, rows, model, X, classes):
    """Write the probabilities of a model for some rows, in the order of the classes."""
    if len(rows):
        opinions = ask(model, take_rows(X, rows), len(rows), classes)
        proba[rows] = 0.0
        proba[np.ix_(rows, np.searchsorted(classes, opinions.classes))] = opinions.proba


@contextmanager
def _blamed(prior):
    """Say whose error it is where a prior refuses its rows."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"`prior` {_name(prior)} could not use the rows ({type(error).__name__}: {error}). It gets `X` as "
            "it was given: put what it needs before it, in a pipeline, or give `X` in a form that it takes."
        ) from error


def _name(prior):
    return getattr(prior, "__name__", type(prior).__name__)
