"""Few-shot learning curves of classifiers: the same nested contexts for all, resumable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skicl._progress import progress_bar
from skicl._validation._labels import read_all_labels
from skicl._validation._rows import count_rows, take_rows
from skicl._validation._scalars import check_integer, check_share, is_integer
from skicl.evaluation._contexts import check_stratify, drawn_queries, is_balanced, nested_contexts, orders_of_rows
from skicl.evaluation._curve import FewShotCurve
from skicl.evaluation._results import ResultsFile
from skicl.evaluation._rows import EncodedRows, check_encoder, describe_encoder, fingerprint
from skicl.evaluation._scores import check_scoring, score_of

_COLUMNS = ("dataset", "task", "estimator", "k", "repeat", "n_classes", "n_queries")


def few_shot_curve(
    estimators: Mapping[str, Any],
    X: ArrayLike,
    y: ArrayLike,
    *,
    k: int | Sequence[int] = (4, 8, 16, 32, 64, 128, 256),
    n_repeats: int = 5,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    test_size: float = 0.5,
    scoring: Sequence[str] | Mapping[str, str | Callable] = ("accuracy", "neg_log_loss", "ece"),
    encoder: Any = None,
    raw: Sequence[str] = (),
    stratify: bool | str = True,
    min_per_class: int = 1,
    n_queries: int | None = None,
    n_unlabelled: int = 0,
    random_state: int = 0,
    results_file: str | PathLike | None = None,
    dataset: str = "",
    verbose: bool = False,
) -> FewShotCurve:
    """Fit classifiers on nested few-shot contexts and score their probabilities on the same queries.

    Every estimator is cloned and fitted on every context of :func:`nested_contexts`, and scored on rows outside of
    it. With a `results_file` each record is on disk as soon as it is computed. A run that was killed continues where
    it stopped and returns what it would have returned without the interruption, up to the measured seconds.

    Parameters
    ----------
    estimators : dict of {str: estimator}
        Classifiers with `predict_proba`, by the name under which they are recorded. The predicted class is the most
        probable one. A record is found again by this name, so give an estimator another name when its parameters or
        `n_unlabelled` change.
    X : array-like, list or frame of shape (n_samples, ...)
        Rows to choose contexts from, in any form that the estimators or the `encoder` take: feature matrices, lists
        of texts.
    y : array-like of shape (n_samples,)
        Their classes.
    k : int or sequence of int, default=(4, 8, 16, 32, 64, 128, 256)
        Sizes of the contexts; sizes that cannot be drawn are left out, see :func:`nested_contexts`.
    n_repeats : int, default=5
        Number of repeats, each with its own contexts. Fewer than five cannot tell which estimator is better, see
        :func:`compare`.
    X_test : array-like, list or frame of shape (n_test, ...), default=None
        Rows to choose queries from. None: they come from `X`, in each repeat from rows outside its contexts.
    y_test : array-like of shape (n_test,), default=None
        Their classes. Each must occur in `y`.
    test_size : float, default=0.5
        Share of the rows of `X` that each repeat keeps for queries if there is no `X_test`. The other rows limit the
        size of the contexts.
    scoring : sequence of str or dict of {str: str or callable}, default=("accuracy", "neg_log_loss", "ece")
        Names of scores. The larger is better for those of scikit-learn's scorers: "accuracy", "f1_macro",
        "balanced_accuracy", "roc_auc_ovr", and the negative losses "neg_log_loss" (nats, with the probability of the
        true class clipped at 1e-15) and "neg_brier_score". The smaller is better for plain losses: "log_loss", "brier"
        (:func:`brier_score`), "ece" and "ece_quantile" (:func:`expected_calibration_error` with 15 bins of equal
        width and of equal mass). "macro_f1" is the mean over the classes that occur among the queries. A dict gives
        scores other names and takes scorers of your own, the larger the better: ``{"cost": make_scorer(cost)}``. They
        are called as in scikit-learn but with row numbers instead of rows, so they see predictions only.
    encoder : transformer, default=None
        Turns rows into vectors, once for all estimators, sizes and repeats. It is fitted on the rows of `X` without
        their labels. None: the estimators get the rows as they are.
    raw : sequence of str, default=()
        Names of the estimators that get the rows as they are even with an `encoder`, because they read texts
        themselves, such as :class:`~skicl.ICLClassifier`.
    stratify : bool or "balanced", default=True
        Whether a context holds the classes in the proportions of `y`. False: beyond the first row of each class, rows
        are drawn at random. "balanced": equally many rows of each class, ``k // n_classes``, recorded under the k that
        was asked for. Queries and rows without a label are drawn as with False, so they have the classes as `y` has.
    min_per_class : int, default=1
        Smallest mean number of rows per class in a context.
    n_queries : int, default=None
        Number of rows to score in each repeat, the same rows for all estimators and sizes. None, or more than there
        are, means all.
    n_unlabelled : int, default=0
        Number of further rows of `X` that `fit` gets without their labels, behind the context. They are the same for
        all estimators, at every size the first of one random order per repeat, and none of them is in the context or
        among the queries. If too few rows are left, fewer are passed. Their labels are None, in an array of objects.
        Where classes are integers, estimators without a parameter `missing_label`, such as those of
        :mod:`sklearn.semi_supervised`, get -1 instead.
    random_state : int, default=0
        Seed of the contexts and queries; an integer, so that a run can continue.
    results_file : path-like, default=None
        CSV file to continue from and to write to, one process at a time. None: nothing is written.
    dataset : str, default=""
        Name of the data set in the records. One file can hold several data sets.
    verbose : bool, default=False
        Show the progress, and at the end the advice of :func:`compare` by the first score.

    Returns
    -------
    FewShotCurve
        One record per size, repeat and estimator, in this order.

    Raises
    ------
    ValueError
        If a parameter is not valid, the two parts do not fit together, or `results_file` holds records of the same
        `dataset` that were made from other data, queries or seeds, or with another encoder.
    TypeError
        If an estimator has no `predict_proba`, `encoder` is no transformer, or a name or `dataset` is no str.
    OSError
        If the folder of `results_file` does not exist, or nothing can be written there.

    See Also
    --------
    FewShotCurveDisplay : The curves as a picture.
    compare : Which estimator is better, and whether that is more than noise.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skicl.evaluation import few_shot_curve
    >>> X, y = load_iris(return_X_y=True)
    >>> estimators = {"lr": LogisticRegression(max_iter=1000), "nb": GaussianNB(var_smoothing=0.01)}
    >>> curve = few_shot_curve(estimators, X, y, k=[6, 48], n_repeats=2)
    >>> [(record["estimator"], record["k"], record["repeat"]) for record in curve][:3]
    [('lr', 6, 0), ('nb', 6, 0), ('lr', 6, 1)]
    >>> bool(curve.frame().groupby(["estimator", "k"])["accuracy"].mean().min() > 0.8)
    True
    """
    _check_estimators(estimators, raw)
    if not isinstance(dataset, str):
        raise TypeError(f"`dataset` must be a str, under which records are found again, got {dataset!r}.")
    data = _read_data(X, y, X_test, y_test)
    scoring = check_scoring(scoring, data.classes)
    design = _Design(k, n_repeats, test_size, min_per_class, stratify, n_queries, n_unlabelled, random_state)
    _check_design(design, data)
    if encoder is not None:
        check_encoder(encoder)
    plan = _Plan(data, design)
    file = ResultsFile(results_file, (*_COLUMNS, *scoring, "fit_seconds", "predict_seconds"))
    task = _task(data, plan, encoder)
    recorded = _recorded(file, dataset, task)
    source = _Source(data, encoder, raw)
    records = []
    with progress_bar(plan.n_splits * len(estimators), "few_shot_curve", verbose, unit="fit", unasked=False) as bar:
        for split in plan:
            for name, estimator in estimators.items():
                place = (name, split.k, split.repeat)
                if place not in recorded:
                    record = dict(zip(_COLUMNS, (dataset, task, *place)))
                    record |= _scores_of_split(clone(estimator), name, source, split, scoring)
                    file.append(record)
                    recorded[place] = record
                records.append(recorded[place])
                bar.set_postfix_str(f"k={split.k}, {name}", refresh=False)
                bar.update()
    curve = FewShotCurve(records)
    if verbose:
        print(curve.advice(next(iter(scoring))))
    return curve


class _Data(NamedTuple):
    """Checked rows and labels; without `X_test` the queries come out of `X`."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray | None

    @property
    def classes(self):
        """Sorted classes (n_classes,)."""
        return np.unique(self.y)


@dataclass(frozen=True)
class _Design:
    """How rows are split into contexts, rows without a label, and queries: the parameters of few_shot_curve."""

    k: Any
    n_repeats: int
    test_size: float
    min_per_class: int
    stratify: bool | str
    n_queries: int | None
    n_unlabelled: int
    random_state: int


class _Split(NamedTuple):
    """Row numbers of one context, of the rows that come without a label, and of the queries."""

    k: int
    repeat: int
    context: np.ndarray
    unlabelled: np.ndarray
    queries: np.ndarray


class _Plan:
    """The splits of every size and repeat, in this order."""

    def __init__(self, data, design):
        check_integer(design.n_repeats, "n_repeats")
        y, seed = data.y, design.random_state
        queries_of_x = data.y_test is None
        n_kept = int(np.ceil(design.test_size * len(y))) if queries_of_x else 0
        self.design = design
        self.limit = len(y) - n_kept
        self.orders = orders_of_rows(y, design.n_repeats, seed, design.stratify)
        # What is no integer stays, for nested_contexts to refuse.
        sizes = [size for size in np.atleast_1d(design.k).tolist() if not is_integer(size) or size <= self.limit]
        if not sizes:
            raise ValueError(
                f"`k`: no size fits, {len(y)} rows leave {self.limit} for contexts if a share of {design.test_size} "
                f"is kept for queries, got {design.k!r}. Pass smaller sizes, a smaller `test_size`, or queries as "
                "`X_test`."
            )
        options = {"min_per_class": design.min_per_class, "stratify": design.stratify}
        contexts = nested_contexts(y, sizes, design.n_repeats, seed, **options)
        self.contexts = self._outside_of_queries(contexts) if is_balanced(design.stratify) else contexts
        if queries_of_x:
            self.queries = [np.sort(order[self.limit :][: design.n_queries]) for order in self.orders]
        else:
            self.queries = drawn_queries(len(data.y_test), design.n_queries, design.n_repeats, seed)
        # Part of the fingerprint of a task in results files: neither the words nor their order may change.
        of_draw = "balanced" if is_balanced(design.stratify) else "stratified"
        self.marks = [of_draw] if design.stratify else []
        self.marks += [f"test_size={design.test_size}"] if queries_of_x else []

    @property
    def n_splits(self):
        """Number of contexts."""
        return len(self.contexts) * len(self.contexts[0])

    def __iter__(self):
        for k in self.contexts[0]:
            for repeat, queries in enumerate(self.queries):
                context, order = self.contexts[repeat][k], self.orders[repeat][: self.limit]
                # From the end of the order: the same rows at every size, until the context reaches them.
                unlabelled = order[~np.isin(order, context)][::-1][: self.design.n_unlabelled]
                yield _Split(k, repeat, context, unlabelled, queries)

    def _outside_of_queries(self, contexts):
        """The contexts of those sizes that need none of the rows kept for queries, in any repeat."""
        kept = [order[self.limit :] for order in self.orders]
        fits = [k for k in contexts[0] if not any(np.isin(own[k], rows).any() for own, rows in zip(contexts, kept))]
        if not fits:
            raise ValueError(
                f"`k`: no size fits, the rarest class has too few rows beside the share of {self.design.test_size} "
                f"kept for queries, got {self.design.k!r}. Pass smaller sizes, a smaller `test_size`, or queries as "
                "`X_test`."
            )
        return [{k: own[k] for k in fits} for own in contexts]


class _Source:
    """Hands each estimator its rows: as they are, or as vectors."""

    def __init__(self, data, encoder, raw):
        self.rows = data.X, data.X if data.X_test is None else data.X_test
        self.y, self.y_test = data.y, data.y if data.y_test is None else data.y_test
        self.classes = data.classes
        self.encoded = None if encoder is None else EncodedRows(encoder, *self.rows)
        self.raw = frozenset(raw)

    def parts(self, name):
        """Train and test rows of the estimator `name`."""
        return self.rows if self.encoded is None or name in self.raw else self.encoded.parts()


def _scores_of_split(estimator, name, source, split, scoring):
    """Fit on the context, predict the queries: scores and seconds. Errors say where they arose."""
    try:
        return _fit_and_score(estimator, *source.parts(name), source, split, scoring)
    except Exception as error:
        error.add_note(f"Estimator {name!r}, context of size k={split.k}, repeat {split.repeat}.")
        raise


def _fit_and_score(estimator, train, test, source, split, scoring):
    """Scores and seconds of one fit on rows of `train`, by rows of `test`."""
    X = take_rows(train, np.append(split.context, split.unlabelled))
    y = _without_labels(source.y[split.context], len(split.unlabelled), estimator)
    X_query, y_query, classes = take_rows(test, split.queries), source.y_test[split.queries], source.classes
    started = perf_counter()
    estimator.fit(X, y)
    fitted = perf_counter()
    prob_of_known = estimator.predict_proba(X_query)
    predicted = perf_counter()
    # Columns of the classes of the data; an estimator may know fewer of them.
    prob = np.zeros((len(y_query), len(classes)))
    prob[:, np.searchsorted(classes, np.asarray(estimator.classes_).astype(classes.dtype))] = prob_of_known
    return {
        "n_classes": len(classes),
        "n_queries": len(y_query),
        **{name: score_of(score, y_query, prob, classes) for name, score in scoring.items()},
        "fit_seconds": fitted - started,
        "predict_seconds": predicted - fitted,
    }


def _without_labels(y, n_more, estimator):
    """Append the mark of rows without a label that the estimator knows."""
    if not n_more:
        return y
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else ()
    knows_none = any(name.rpartition("__")[2] == "missing_label" for name in parameters)
    if y.dtype.kind in "iu" and not knows_none:
        return np.append(y.astype(np.int64), np.full(n_more, -1))
    return np.array([*y.tolist(), *[None] * n_more], dtype=object)


def _task(data, plan, encoder):
    """Fingerprint of what must be the same for records to be comparable."""
    settings = [plan.design.random_state, len(plan.queries[0])]
    parts = [data.X, data.y] if data.X_test is None else list(data)
    marks = [*plan.marks, *([] if encoder is None else [describe_encoder(encoder)])]
    return fingerprint(*parts, settings, *([marks] if marks else []))


def _recorded(file, dataset, task):
    """Records of this data set in the file, by estimator, size and repeat."""
    same = [record for record in file.records if record["dataset"] == dataset]
    if any(record["task"] != task for record in same):
        raise ValueError(
            f"`results_file` {str(file.path)!r} holds records of the data set {dataset!r} made from "
            "other data or embeddings, contexts or queries drawn in another way, or another `random_state`; choose "
            "another file."
        )
    return {(record["estimator"], record["k"], record["repeat"]): record for record in same}


def _read_data(X, y, X_test, y_test):
    """Rows and labels, checked; sparse rows of any kind become CSR."""
    X, X_test = (part.tocsr() if hasattr(part, "tocsr") else part for part in (X, X_test))
    y = read_all_labels(y, parameter="y")
    if len(y) and (y == y[0]).all():
        raise ValueError(f"`y` holds a single class, {y.tolist()[0]!r}; there is nothing to learn.")
    y_test = None if y_test is None else read_all_labels(y_test, parameter="y_test")
    if (X_test is None) != (y_test is None):
        raise ValueError("`X_test` and `y_test` belong together: pass both or neither.")
    parts = [("X", X, "y", y)] + ([] if X_test is None else [("X_test", X_test, "y_test", y_test)])
    for name, rows, label_name, labels in parts:
        if count_rows(rows) != len(labels) or len(labels) == 0:
            raise ValueError(
                f"`{name}` has {count_rows(rows)} rows and `{label_name}` has {len(labels)} labels; expected equally "
                "many, and at least one."
            )
    unseen = [] if y_test is None else np.setdiff1d(y_test, y)
    if len(unseen):
        raise ValueError(f"`y_test` holds the class {unseen.tolist()[0]!r}, which `y` does not hold.")
    return _Data(X, y, X_test, y_test)


def _check_estimators(estimators, raw):
    """Refuse what is no dict of classifiers with probabilities, and names in `raw` that are not in it."""
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(f"`estimators` must be a dict of at least one name and classifier, got {estimators!r}.")
    for name, estimator in estimators.items():
        if not isinstance(name, str) or isinstance(estimator, type):
            raise TypeError(
                "`estimators` must be a dict from str to estimators such as LogisticRegression(), got "
                f"{name!r}: {estimator!r}."
            )
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"`estimators`: {name!r} ({type(estimator).__name__}) has no `predict_proba`; wrap it, for "
                "example in sklearn.calibration.CalibratedClassifierCV."
            )
    unknown = [raw] if isinstance(raw, str) else [name for name in raw if name not in estimators]
    if unknown:
        raise ValueError(f"`raw` must be a sequence of names out of {', '.join(estimators)}, got {raw!r}.")


def _check_design(design, data):
    """Refuse what does not depend on the sizes; _Plan checks the rest."""
    check_stratify(design.stratify)
    check_integer(design.n_unlabelled, "n_unlabelled", least=0)
    check_integer(design.n_queries, "n_queries", optional=True)
    check_share(design.test_size, "test_size")
    if not is_integer(design.random_state):
        raise ValueError(f"`random_state` must be an integer, so that a run can continue, got {design.random_state!r}.")
    if design.n_unlabelled and data.y.dtype.kind in "iu" and (data.y == -1).any():
        raise ValueError(
            "`y` has the class -1, which marks rows without a label; rename it or leave out `n_unlabelled`."
        )
