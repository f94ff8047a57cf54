"""Scores of classifiers fitted on few labelled rows: the same nested contexts for all, resumable."""

from collections.abc import Mapping
from hashlib import blake2b
from numbers import Integral
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils import column_or_1d

from skicl.evaluation._contexts import check_count, drawn_queries, nested_contexts, orders_of_rows
from skicl.evaluation._metrics import brier_score, expected_calibration_error
from skicl.evaluation._results import ResultsFile

_CLIP = 1e-15  # a probability of zero for what happened costs 34.5 nats, not infinity


def few_shot_scores(
    estimators,
    X_train,
    y_train,
    X_test,
    y_test,
    *,
    ks=(8, 16, 32, 64, 128, 256, 512),
    n_repeats=5,
    random_state=0,
    min_per_class=1,
    n_queries=None,
    n_unlabelled=0,
    scoring=("accuracy", "macro_f1", "log_loss", "brier", "ece"),
    results_file=None,
    dataset="",
):
    """Fit classifiers on nested few-shot contexts and score their probabilities on the same queries.

    Every estimator is cloned and fitted on every context of :func:`nested_contexts`, and scored on
    rows of the test part. With a `results_file` each record is on disk as soon as it is computed; a
    run that was killed continues where it stopped, and returns what it would have returned without
    the interruption, up to the measured seconds.

    Parameters
    ----------
    estimators : dict of {str: estimator}
        Classifiers with `predict_proba`, by the name under which they are recorded. The predicted
        class is the most probable one. A record is found again by this name: give an estimator
        another name when its parameters or `n_unlabelled` change.
    X_train : array-like, list or frame of shape (n_train, ...)
        Rows to choose contexts from, in any form that the estimators take: feature matrices, lists of
        texts. Encode texts beforehand if several estimators use the same vectors.
    y_train : array-like of shape (n_train,)
        Their classes.
    X_test : array-like, list or frame of shape (n_test, ...)
        Rows to choose queries from.
    y_test : array-like of shape (n_test,)
        Their classes. Each must occur in `y_train`.
    ks : sequence of int, default=(8, 16, 32, 64, 128, 256, 512)
        Sizes of the contexts; sizes that cannot be drawn are left out, see :func:`nested_contexts`.
    n_repeats : int, default=5
        Number of repeats, each with its own contexts and queries.
    random_state : int, default=0
        Seed of the contexts and queries.
    min_per_class : int, default=1
        Smallest mean number of rows per class in a context.
    n_queries : int, default=None
        Number of test rows drawn in each repeat, the same for all estimators and sizes. None, or more
        than there are: all.
    n_unlabelled : int, default=0
        Number of further rows of the train part that `fit` gets without their labels, behind the context.
        They are the same for all estimators, at every size the first of one random order per repeat, and none
        of them is in the context; where the train part is too small there are fewer. As in
        :mod:`sklearn.semi_supervised` their labels are -1 if classes are integers; with classes of any other
        type `y` is an array of objects in which they are None.
    scoring : sequence of str, default=("accuracy", "macro_f1", "log_loss", "brier", "ece")
        Any of these scores. "macro_f1" is the mean over the classes that occur among the queries;
        "log_loss" is in nats, with the probability of the true class clipped at 1e-15; "brier" is
        :func:`brier_score`; "ece" is :func:`expected_calibration_error` with 15 bins of equal width.
    results_file : path-like, default=None
        CSV file to continue from and to write to. None: nothing is written.
    dataset : str, default=""
        Name of the data set in the records. One file can hold several data sets.

    Returns
    -------
    list of dict
        One record per size, repeat and estimator, in this order: `dataset`, `task` (a fingerprint of
        data, queries and seed), `estimator`, `k`, `repeat`, `n_classes`, `n_queries`, the scores, and
        `fit_seconds` and `predict_seconds` of wall-clock time for the whole context and all queries.
        ``pandas.DataFrame(records)`` is a tidy frame.

    Raises
    ------
    ValueError
        If a parameter is not valid, the two parts do not fit together, or `results_file` holds records
        of the same `dataset` that were made from other data, queries or seeds.
    TypeError
        If an estimator has no `predict_proba`.
    FileNotFoundError
        If the folder of `results_file` does not exist.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skicl.evaluation import few_shot_scores
    >>> X, y = load_iris(return_X_y=True)
    >>> estimators = {"lr": LogisticRegression(max_iter=1000)}
    >>> records = few_shot_scores(
    ...     estimators, X[::2], y[::2], X[1::2], y[1::2], ks=[6, 48], n_repeats=2
    ... )
    >>> [(record["k"], record["repeat"]) for record in records]
    [(6, 0), (6, 1), (48, 0), (48, 1)]
    >>> records[-1]["accuracy"] > 0.9
    True
    """
    _check_estimators(estimators)
    scoring = _check_scoring(scoring)
    check_count("n_unlabelled", n_unlabelled, smallest=0)
    y_train, y_test = column_or_1d(y_train), column_or_1d(y_test)
    _check_parts(X_train, y_train, X_test, y_test)
    if n_unlabelled and y_train.dtype.kind in "iu" and (y_train == -1).any():
        raise ValueError(
            "`y_train` has the class -1, which marks rows without a label; rename it or leave out `n_unlabelled`."
        )
    if isinstance(random_state, bool) or not isinstance(random_state, Integral):
        raise ValueError(
            f"`random_state` must be an integer, so that a run can continue, got {random_state!r}."
        )
    contexts = nested_contexts(y_train, ks, n_repeats, random_state, min_per_class=min_per_class)
    orders = orders_of_rows(y_train, n_repeats, random_state)
    queries = drawn_queries(len(y_test), n_queries, n_repeats, random_state)

    columns = ("dataset", "task", "estimator", "k", "repeat", "n_classes", "n_queries")
    file = ResultsFile(results_file, (*columns, *scoring, "fit_seconds", "predict_seconds"))
    task = _fingerprint(X_train, y_train, X_test, y_test, [random_state, len(queries[0])])
    recorded = _recorded(file, dataset, task)
    classes = np.unique(y_train)
    records = []
    for k in contexts[0]:
        for repeat in range(n_repeats):
            rows = contexts[repeat][k]
            # From the end of the order: the same rows at every size, until the context reaches them.
            others = orders[repeat][k:][::-1][:n_unlabelled]
            context = _take(X_train, np.append(rows, others)), _without_labels(y_train[rows], len(others))
            query = _take(X_test, queries[repeat]), y_test[queries[repeat]]
            for name, estimator in estimators.items():
                if (name, k, repeat) not in recorded:
                    record = dict(zip(columns, (dataset, task, name, k, repeat)))
                    try:
                        record |= _score(clone(estimator), *context, *query, classes, scoring)
                    except Exception as error:
                        error.add_note(f"Estimator {name!r}, context of size k={k}, repeat {repeat}.")
                        raise
                    file.append(record)
                    recorded[name, k, repeat] = record
                records.append(recorded[name, k, repeat])
    return records


def _without_labels(y, n_more):
    """Append the mark of rows without a label."""
    if not n_more:
        return y
    if y.dtype.kind in "iu":
        return np.append(y.astype(np.int64), np.full(n_more, -1))
    return np.array([*y.tolist(), *[None] * n_more], dtype=object)


def _score(estimator, X, y, X_query, y_query, classes, scoring):
    """Fit on the context, predict the queries: scores and seconds."""
    started = perf_counter()
    estimator.fit(X, y)
    fitted = perf_counter()
    raw = estimator.predict_proba(X_query)
    predicted = perf_counter()
    prob = np.zeros((len(y_query), len(classes)))
    prob[:, np.searchsorted(classes, np.asarray(estimator.classes_).astype(classes.dtype))] = raw
    return {
        "n_classes": len(classes),
        "n_queries": len(y_query),
        **{name: float(_SCORES[name](y_query, prob, classes)) for name in scoring},
        "fit_seconds": fitted - started,
        "predict_seconds": predicted - fitted,
    }


def _accuracy(y, prob, classes):
    return accuracy_score(y, classes[prob.argmax(axis=1)])


def _macro_f1(y, prob, classes):
    predicted = classes[prob.argmax(axis=1)]
    return f1_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)


def _log_loss(y, prob, classes):
    of_true = prob[np.arange(len(y)), np.searchsorted(classes, y)]
    return -np.log(np.clip(of_true, _CLIP, 1)).mean()


def _brier(y, prob, classes):
    return brier_score(y, prob, labels=classes)


def _ece(y, prob, classes):
    return expected_calibration_error(y, prob, labels=classes)


_SCORES = {"accuracy": _accuracy, "macro_f1": _macro_f1, "log_loss": _log_loss, "brier": _brier, "ece": _ece}


def _recorded(file, dataset, task):
    """Records of this data set in the file, by estimator, size and repeat."""
    same = [record for record in file.records if record["dataset"] == dataset]
    if any(record["task"] != task for record in same):
        raise ValueError(
            f"`results_file` {str(file.path)!r} holds records of the data set {dataset!r} made from "
            "other data or embeddings, another number of queries or another `random_state`; choose "
            "another file."
        )
    return {(record["estimator"], record["k"], record["repeat"]): record for record in same}


def _fingerprint(*parts):
    """Short digest of arrays, frames and lists: equal for equal values on every machine."""
    digest = blake2b(digest_size=8)
    for part in parts:
        values = np.asarray(part)
        digest.update(f"{values.shape}".encode())
        if values.dtype.kind in "biufc":
            digest.update(values.dtype.newbyteorder("<").str.encode())
            digest.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes())
        else:
            for item in values.ravel():
                text = str(item).encode("utf-8", "surrogatepass")
                digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()


def _take(X, rows):
    """Rows of an array, frame or list."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return [X[row] for row in rows] if isinstance(X, list | tuple) else X[rows]


def _check_estimators(estimators):
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(
            f"`estimators` must be a dict of at least one name and classifier, got {estimators!r}."
        )
    for name, estimator in estimators.items():
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"`estimators`: {name!r} ({type(estimator).__name__}) has no `predict_proba`; wrap it, for "
                "example in sklearn.calibration.CalibratedClassifierCV."
            )


def _check_scoring(scoring):
    unknown = [name for name in scoring if name not in _SCORES]
    if isinstance(scoring, str) or not scoring or unknown:
        raise ValueError(
            f"`scoring` must be a sequence of names out of {', '.join(_SCORES)}, got {scoring!r}."
        )
    return tuple(dict.fromkeys(scoring))


def _check_parts(X_train, y_train, X_test, y_test):
    for part, X, y in (("train", X_train, y_train), ("test", X_test, y_test)):
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != len(y) or n_rows == 0:
            raise ValueError(
                f"`X_{part}` has {n_rows} rows and `y_{part}` {len(y)}; expected equally many, not 0."
            )
    unseen = np.setdiff1d(y_test, y_train)
    if len(unseen):
        raise ValueError(f"`y_test` holds the class {unseen[0]!r}, which `y_train` does not hold.")
