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

from skicl._validation._rows import Rows

# Probabilities below this say no more than this; also what a class gets of a prior that does not know it.
FLOOR = 1e-3
N_FOLDS = 5


class PriorProba(NamedTuple):
    """Probabilities (n_samples, n_columns) that a prior gave to rows, and the labels (n_columns,) of the columns."""

    proba: np.ndarray
    classes: np.ndarray


class FittedPrior(NamedTuple):
    """A prior that can be asked about queries, with what it gave to the context; all None without one."""

    model: object
    context: PriorProba | None  # of the rows of the context
    rows: object  # the rows as the user gave them, where the prior is fitted again when there are more


def check_prior(prior):
    """Refuse what gives no probabilities, before any work."""
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
    """Whether a prior is asked as it is: a function, or a fitted model. None is not."""
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


def predict_prior(prior, X, n_rows, classes):
    """Probabilities that a prior which is ready gives to rows, in the form in which the user gave them.

    Refuses what comes back if it is no probabilities of `n_rows` rows (None: of any number) and of some of the
    classes (C,); a prior without ``classes_`` has a column for each of these.
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
    return PriorProba(proba, columns)


def centred_log_proba(given, classes):
    """Logarithms (n, C) of probabilities, centred in every row; None stays None.

    Classes that the prior does not know get the floor.
    """
    if given is None:
        return None
    column_of = {label: column for column, label in enumerate(given.classes.tolist())}
    proba = np.full((len(given.proba), len(classes)), FLOOR)
    for column, label in enumerate(classes.tolist()):
        if label in column_of:
            proba[:, column] = given.proba[:, column_of[label]]
    scores = np.log(np.clip(proba, FLOOR, 1.0))
    return scores - scores.mean(axis=1, keepdims=True)


def fit_prior(prior, rows, vectors, codes, classes, weight, before):
    """Ask a prior about the rows of the context; fit it first if it is not fitted.

    The new rows (Rows) are as the user gave them. Vectors (n, D), codes (n,) with -1 without a label, and weights
    (n,) are of all rows, the new ones last; `before` is the FittedPrior of the others, None where there are none.
    """
    if prior is None:
        return FittedPrior(None, None, None)
    if is_ready(prior):
        if before is not None and before.model is not prior:
            raise ValueError(_CHANGED)
        given = predict_prior(prior, rows.data, len(rows), classes)
        if before is not None:
            given = _append_proba(before.context, given)
        return FittedPrior(prior, given, None)
    if before is not None and before.rows is None:
        raise ValueError(_CHANGED)
    # A copy, as of the numbers: what happens to X later must not matter.
    every = rows.copy() if before is None else Rows.already_read(before.rows).append(rows)
    return FittedPrior(*cross_fit(prior, every, vectors, codes, classes, weight), every.data)


_CHANGED = "`prior` was changed after the first rows were read. Call fit with all rows."


def cross_fit(prior, rows, vectors, codes, classes, weight):
    """A prior fitted on all labelled rows, and what a copy that has not seen it gives to every row.

    Rows (Rows) are as the user gave them, and as vectors (n, D), of which equal ones are held out together. Rows of
    weight zero are never learnt from; others pass their weight on where ``prior.fit`` takes it. A row that cannot be
    held out, because no other has its class, gets equal probabilities. None, None where the labels do not allow it:
    without two classes of which one has two different rows.
    """
    seen = np.flatnonzero((codes >= 0) & (weight > 0))
    if len(np.unique(codes[seen])) < 2:
        return None, None
    folds = folds_of_rows(vectors[seen], codes[seen])
    if not folds:
        return None, None

    def fitted(numbers):
        weights = {"sample_weight": weight[numbers]} if passes_weights else {}
        with _blamed(prior):
            return clone(prior).fit(rows.take(numbers), classes[codes[numbers]], **weights)

    passes_weights = (weight[seen] != 1).any() and has_fit_parameter(prior, "sample_weight")
    proba = np.full((len(codes), len(classes)), 1 / len(classes))
    for train, test in folds:
        _fill(proba, seen[test], fitted(seen[train]), rows, classes)
    model = fitted(seen)
    _fill(proba, np.setdiff1d(np.arange(len(codes)), seen), model, rows, classes)
    return model, PriorProba(proba, classes)


def folds_of_rows(vectors, codes):
    """Pairs of row numbers, to learn from and to test, for each fold of rows (n, D) with classes (n,).

    The order of the rows means nothing. Equal rows are always in one fold. Rows are dealt to the folds like cards, one
    class after the other, within a class by where they lie along a fixed direction: each fold gets its share of every
    class. Where shares differ by a row, a fold with the smaller one learns from one row less: were a class more
    frequent among what is learnt where it is not tested, opinions would tell the label, as those of
    ``DummyClassifier(strategy="prior")`` did. The only row of a class, or copies of it, are always learnt from.
    Empty if no row can be tested.
    """
    position = vectors.astype(np.float64) @ np.cos(np.arange(1.0, vectors.shape[1] + 1))
    # Equal rows (as bytes; + 0.0 makes -0.0 equal to 0.0) form a group, numbered as they come.
    number = {}
    group = np.array([number.setdefault((row + 0.0).tobytes(), len(number)) for row in vectors])
    position = position[np.unique(group, return_index=True)[1]]  # of a row of each group
    # The classes of each group: equal rows may differ in their labels. Groups with equal sets of classes are a kind.
    pairs = np.unique(np.column_stack([group, codes]), axis=0)
    classes_of = [tuple(part) for part in np.split(pairs[:, 1], np.flatnonzero(np.diff(pairs[:, 0])) + 1)]
    kinds = {kind: i for i, kind in enumerate(dict.fromkeys(classes_of))}
    kind = np.array([kinds[key] for key in classes_of])
    counts = np.bincount(kind)
    middle = np.bincount(kind, position) / counts
    # Kind by kind, the rarest first, in an order that the names of the classes have no part in.
    order = np.lexsort([position, middle[kind], counts[kind]])
    # Groups of which a class has no other group cannot be tested.
    n_groups = np.bincount(pairs[:, 1])
    order = order[np.array([min(n_groups[list(classes_of[i])]) > 1 for i in order], dtype=bool)]
    n_folds = min(N_FOLDS, len(order))
    dealt = [order[fold::n_folds] for fold in range(n_folds)]
    spared, n_codes = _spare_evenly(dealt, classes_of), codes.max() + 1
    folds = []
    for groups, more in zip(dealt, spared):
        tested = np.isin(group, groups)
        # A pair of group and class as one number.
        spare = np.isin(group * n_codes + codes, [number * n_codes + code for number, code in more])
        folds.append((np.flatnonzero(~tested & ~spare), np.flatnonzero(tested)))
    return [(train, test) for train, test in folds if len(np.unique(codes[train])) > 1]


def _spare_evenly(dealt, classes_of):
    """For each fold, pairs of group and class that it does not learn from either, so that all learn as many of each."""
    held_out = []  # for each fold a dict from class to its groups there
    for groups in dealt:
        held_out.append({})
        for group in groups.tolist():
            for code in classes_of[group]:
                held_out[-1].setdefault(code, []).append(group)
    counts = {code: [len(fold.get(code, ())) for fold in held_out] for fold in held_out for code in fold}
    # As many as the fold with most of them holds out, and one is left to learn from.
    most = {code: min(max(n_groups), sum(n_groups) - 1) for code, n_groups in counts.items()}
    spared = []
    for number, own in enumerate(held_out):
        others = held_out[number + 1 :] + held_out[:number]
        spared.append([])
        for code, count in most.items():
            spare = [group for fold in others for group in fold.get(code, ())]
            spared[-1] += [(group, code) for group in spare[: count - len(own.get(code, ()))]]
    return spared


def _append_proba(given, more):
    """Probabilities with those of the same prior on further rows after them."""
    if given.classes.tolist() != more.classes.tolist():
        raise ValueError(
            f"`prior` gave probabilities of the classes {given.classes.tolist()[:10]} before and of "
            f"{more.classes.tolist()[:10]} now. List all classes in the first call, in `classes`."
        )
    return PriorProba(np.concatenate([given.proba, more.proba]), given.classes)


def _fill(proba, numbers, model, rows, classes):
    """Write the probabilities of a model for some rows, by their numbers, in the order of the classes."""
    if len(numbers):
        given = predict_prior(model, rows.take(numbers), len(numbers), classes)
        proba[numbers] = 0.0
        proba[np.ix_(numbers, np.searchsorted(classes, given.classes))] = given.proba


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
