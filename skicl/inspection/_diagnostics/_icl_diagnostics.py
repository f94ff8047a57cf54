"""icl_diagnostics: how an in-context estimator depends on what stands in its context, and on what should not matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_consistent_length, check_random_state

from skicl._resampling import bound, check_bootstrap, interval, resampled_means, resampling_weights
from skicl._validation._labels import read_all_labels
from skicl._validation._rows import count_rows, take_rows
from skicl._validation._scalars import check_integer
from skicl.inspection._diagnostics._contexts import draw_rows, rotation, sliceable, with_wrong_labels, without_content
from skicl.inspection._diagnostics._report import ICLDiagnostics, Measure
from skicl.inspection._diagnostics._statistics import (
    agreement_by_chance,
    bias_by_chance,
    changed,
    divergence,
    gain_by_chance,
    missing_entropy,
    preference_by_chance,
    signs_by_chance,
    slopes,
    total_variation,
)

NOISE_RATES = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
# Probabilities that differ by no more than this are equal: sums taken in another order differ in the last digits.
ROUNDING = 1e-6
MOST_ROWS = 64


def icl_diagnostics(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    X_query: ArrayLike | None = None,
    y_query: ArrayLike | None = None,
    n_context: int | None = None,
    n_queries: int = 100,
    n_repeats: int = 10,
    templates: Sequence[Any] | None = None,
    template_parameter: str | None = None,
    confidence_level: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: int | np.random.RandomState | None = 0,
) -> ICLDiagnostics:
    """Measure how an in-context estimator depends on its context, and on what should not matter.

    The estimator is cloned and fitted many times: on the same rows in other orders, on other rows, with some labels
    wrong, with the labels renamed or shuffled, with other templates. Its probabilities for the same queries are
    compared. Every number comes with an interval and with a noise floor: what it could be by chance alone.

    Parameters
    ----------
    estimator : classifier
        A :class:`~skicl.TartClassifier`, an :class:`~skicl.ICLClassifier`, or any classifier with ``predict_proba``. It
        is not changed.
    X : array-like, sparse matrix, frame or list of length n_samples
        Rows to draw contexts from; and queries, unless these are given. Sparse matrices reach the estimator as CSR.
    y : array-like of shape (n_samples,)
        Their labels.
    X_query : array-like, sparse matrix, frame or list of length n_queries, default=None
        Queries. None means that a part of `X` is set aside.
    y_query : array-like of shape (n_queries,), default=None
        Their labels, which must occur in `y`.
    n_context : int or None, default=None
        Number of rows of a context; at least one of each class is drawn. None means half of the rows that are not
        queries, at most 64.
    n_queries : int, default=100
        Number of rows to set aside as queries, at most half of `X`. Ignored with `X_query`.
    n_repeats : int, default=10
        Number of changed contexts of each kind. There are about six times as many fits.
    templates : list or None, default=None
        Values of the estimator's parameter for the template, to compare. None does not compare templates.
    template_parameter : str or None, default=None
        Name of that parameter. None means the only one called ``template``, which may belong to a step of a pipeline.
    confidence_level : float, default=0.95
        Confidence of intervals and noise floors.
    n_bootstrap : int, default=1000
        Number of bootstrap samples, in which both fits and queries are drawn anew.
    random_state : int, RandomState instance or None, default=0
        Draws contexts, wrong labels and bootstrap samples.

    Returns
    -------
    report : ICLDiagnostics
        The numbers, printable; ``report["order: divergence"]`` is one of them.

    Raises
    ------
    TypeError
        If the estimator cannot give probabilities.
    ValueError
        If an input is unusable or there are too few rows.

    See Also
    --------
    ICLDiagnosticsDisplay : Draws the report.

    Notes
    -----
    The measures, all between 0 and 1 unless said otherwise:

    - *accuracy* on the queries. Floor: predictions assigned to the queries at random.
    - *order*, *demonstrations*, *template*: *divergence* is the mean Jensen-Shannon divergence, in bits, between the
      probabilities before and after the change; *changed labels* is the share of queries with another prediction.
      Redrawn contexts come from the same rows and overlap. Where the estimator chooses demonstrations, the order is
      that of the chosen ones. Floor: the same context read again.
    - *label noise*: accuracy lost per unit of wrong labels, by least squares over rates from 0 to 0.4; may be negative.
      Floor: the rates assigned to the fits at random.
    - *label bias*: total variation between the mean probabilities and the frequencies of the labels of the queries.
      Floor: probabilities and labels exchanged at random, query by query.
    - *content-free bias*: missing entropy, as a share of its maximum, of the mean probabilities of queries made of
      words drawn at random, or of columns shuffled one by one. Floor: classes renamed at random, query by query.
    - *context: follows renamed labels* is the share of queries whose prediction is renamed when all labels of the
      context are renamed in a cycle; *keeps its label* is the share whose prediction stays. A classifier that knows
      nothing but its context has 1 and 0. Floor: chance agreement.
    - *context: gain over shuffled labels*, and *over no context* where the estimator can be fitted without rows:
      accuracy gained; may be negative. Floors: differences among shuffled contexts; signs drawn at random.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skicl import TartClassifier
    >>> from skicl.inspection import icl_diagnostics
    >>> X, y = load_iris(return_X_y=True)
    >>> report = icl_diagnostics(TartClassifier(), X, y, n_context=30, n_repeats=3, random_state=0)
    >>> print(report.notes[0])
    order: the estimator is invariant to it; no probability changes by more than rounding, ...
    >>> report["context: follows renamed labels"].value
    1.0
    """
    _check_estimator(estimator)
    _check_numbers(n_context, n_queries, n_repeats, n_bootstrap, confidence_level)
    if X is None or y is None:
        raise ValueError(f"`{'X' if X is None else 'y'}` is None. Pass rows to draw contexts from, and their labels.")
    for name, rows in (("X", X), ("X_query", X_query)):
        if isinstance(rows, str):
            raise ValueError(f"`{name}` is a bare string ({rows[:40]!r}). Pass a list of texts.")
    y = read_all_labels(y)
    check_consistent_length(X, y)
    X, X_query = sliceable(X), sliceable(X_query)
    templates, parameter = _check_templates(estimator, templates, template_parameter)
    random = check_random_state(random_state)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"`y` has only the class {classes.tolist()}; at least 2 are needed.")
    pool, X_query, codes_query = _set_aside(X, codes, classes, X_query, y_query, n_queries, random)
    n_context = _size_of_context(codes[pool], n_context, len(classes))
    context = pool[draw_rows(codes[pool], n_context, random)]
    probe = _Probe(
        estimator, X, codes, classes, X_query, codes_query, context, n_repeats, n_bootstrap, confidence_level, random
    )
    measures, notes = [probe.accuracy()], []
    for result in (
        probe.order(),
        probe.demonstrations(pool),
        probe.template(templates, parameter),
        probe.label_noise(),
        probe.label_bias(),
        probe.content_free_bias(),
        probe.renamed_labels(),
        probe.shuffled_labels(),
        probe.no_context(),
    ):
        measures += [item for item in result if isinstance(item, Measure)]
        notes += [item for item in result if isinstance(item, str)]
    return ICLDiagnostics(
        type(estimator).__name__,
        measures,
        notes,
        n_context=n_context,
        n_queries=len(codes_query),
        n_classes=len(classes),
        confidence_level=confidence_level,
    )


@dataclass(eq=False)
class _Probe:
    """One estimator, one context, the same queries: fits and compares. Methods return measures and notes in a list."""

    estimator: Any
    X: Any
    codes: np.ndarray  # labels of X by their places in `classes`
    classes: np.ndarray
    X_query: Any
    codes_query: np.ndarray
    context: np.ndarray  # numbers of rows of X
    n_repeats: int
    n_bootstrap: int
    confidence_level: float
    random: np.random.RandomState

    def __post_init__(self):
        self.model, self.base = self.fit(self.context)  # probabilities (Q, C)
        self.repeated = self.unchanged(self.context, self.base)

    def fit(self, rows, codes=None, estimator=None):
        """A fitted clone and its probabilities for the queries: (Q, C)."""
        labels = self.classes[self.codes[rows] if codes is None else codes]
        model = clone(self.estimator if estimator is None else estimator).fit(take_rows(self.X, rows), labels)
        return model, self.probabilities(model, self.X_query)

    def unchanged(self, rows, base):
        """Probabilities (R, Q, C) after the same rows again; many only of an estimator that is not deterministic."""
        repeated = [self.fit(rows)[1]]
        if np.abs(repeated[0] - base).max() > ROUNDING:
            repeated += [self.fit(rows)[1] for _ in range(self.n_repeats - 1)]
        return np.array(repeated)

    def probabilities(self, model, X):
        """Probabilities in the order of all classes; zero for those that the model does not know."""
        proba = np.zeros((count_rows(X), len(self.classes)))
        proba[:, np.searchsorted(self.classes, model.classes_)] = model.predict_proba(X)
        return proba

    def measure(self, name, value, samples, chance):
        low, high = interval(samples, self.confidence_level)
        return Measure(name, float(value), float(low), float(high), max(0.0, bound(chance, self.confidence_level)))

    def mean_measure(self, name, values, chance):
        return self.measure(name, values.mean(), resampled_means(values, self.n_bootstrap, self.random), chance)

    def comparison(self, name, changed_fits, base, repeated):
        """Divergence and changed labels of several fits against one, and the same for unchanged fits as the floor."""
        measures = []
        for what, distance in [("divergence", divergence), ("changed labels", changed)]:
            floor = resampled_means(distance(repeated, base), self.n_bootstrap, self.random)
            measures.append(self.mean_measure(f"{name}: {what}", distance(changed_fits, base), floor))
        return measures

    def accuracy(self):
        predicted = self.base.argmax(axis=1)[None]
        hits = (predicted == self.codes_query).astype(float)
        chance = agreement_by_chance(predicted, self.codes_query[None], self.n_bootstrap, self.random)
        return self.mean_measure("accuracy", hits, chance)

    def order(self):
        # Only the demonstrations play a part. Of all rows in another order, others might be chosen.
        shown = getattr(self.model, "demonstrations_", None)
        rows, base, repeated, notes = self.context, self.base, self.repeated, []
        if isinstance(shown, np.ndarray) and len(set(self.codes[rows[shown]])) == len(self.classes):
            rows = rows[shown]
            base = self.fit(rows)[1]
            repeated = self.unchanged(rows, base)
            notes = [f"order: of the {len(rows)} demonstrations that the estimator chose."]
        fits = np.array([self.fit(self.random.permutation(rows))[1] for _ in range(self.n_repeats)])
        largest = np.abs(fits - base).max()
        if largest < ROUNDING:
            zeros = [Measure(f"order: {what}", 0.0, 0.0, 0.0, 0.0) for what in ("divergence", "changed labels")]
            return [
                *zeros,
                "order: the estimator is invariant to it; no probability changes by more than rounding, "
                f"{largest:.0e}.",
            ]
        return self.comparison("order", fits, base, repeated) + notes

    def demonstrations(self, pool):
        if len(pool) == len(self.context):
            return [
                "demonstrations: not measured; all rows that are not queries are in the context. Lower `n_context`."
            ]
        drawn = [pool[draw_rows(self.codes[pool], len(self.context), self.random)] for _ in range(self.n_repeats)]
        fits = np.array([self.fit(rows)[1] for rows in drawn])
        return self.comparison("demonstrations", fits, self.base, self.repeated)

    def template(self, templates, parameter):
        if templates is None:
            known = _template_parameters(self.estimator)
            return ["template: not measured; pass `templates` to compare."] if known else []
        fits = [
            self.fit(self.context, estimator=clone(self.estimator).set_params(**{parameter: template}))[1]
            for template in templates
        ]
        return self.comparison("template", np.array(fits), self.base, self.repeated)

    def label_noise(self):
        n_fits = max(2, self.n_repeats // 2)
        rates = np.repeat(NOISE_RATES, n_fits)
        codes = self.codes[self.context]
        noisy = [with_wrong_labels(codes, rate, len(self.classes), self.random) for rate in rates]
        fits = np.array([self.fit(self.context, wrong)[1] if rate else self.base for rate, wrong in zip(rates, noisy)])
        hits = (fits.argmax(axis=2) == self.codes_query).astype(float)
        queries = resampling_weights(hits.shape[1], self.n_bootstrap, self.random)
        # Fits are drawn anew within their rate: weights (n_bootstrap, rates * n_fits).
        fits = np.concatenate([resampling_weights(n_fits, self.n_bootstrap, self.random) for _ in NOISE_RATES], axis=1)
        samples = -slopes(rates, n_fits * fits * (queries @ hits.T))
        shuffled = [self.random.permutation(hits.mean(axis=1)) for _ in range(self.n_bootstrap)]
        value = -slopes(rates, hits.mean(axis=1))
        return [self.measure("label noise: accuracy lost", value, samples, -slopes(rates, np.array(shuffled)))]

    def label_bias(self):
        truth = np.eye(len(self.classes))[self.codes_query]
        queries = resampling_weights(len(truth), self.n_bootstrap, self.random)
        value = total_variation(self.base.mean(axis=0), truth.mean(axis=0))
        samples = total_variation(queries @ self.base, queries @ truth)
        chance = bias_by_chance(self.base, truth, self.n_bootstrap, self.random)
        return [self.measure("label bias", value, samples, chance)]

    def content_free_bias(self):
        X = without_content(self.X_query, self.random)
        if X is None:
            return ["content-free bias: not measured; queries are neither texts nor tables."]
        proba = self.probabilities(self.model, X)
        queries = resampling_weights(len(proba), self.n_bootstrap, self.random)
        chance = preference_by_chance(proba, self.n_bootstrap, self.random)
        value = missing_entropy(proba.mean(axis=0))
        return [self.measure("content-free bias", value, missing_entropy(queries @ proba), chance)]

    def renamed_labels(self):
        before = self.base.argmax(axis=1)
        names = [rotation(len(self.classes), self.random) for _ in range(self.n_repeats)]
        after = [self.fit(self.context, renamed[self.codes[self.context]])[1].argmax(axis=1) for renamed in names]
        after, followed = np.array(after), np.array([renamed[before] for renamed in names])
        measures = []
        kept = np.tile(before, (len(names), 1))
        for what, expected in [("follows renamed labels", followed), ("keeps its label", kept)]:
            chance = agreement_by_chance(after, expected, self.n_bootstrap, self.random)
            measures.append(self.mean_measure(f"context: {what}", (after == expected).astype(float), chance))
        return measures

    def shuffled_labels(self):
        codes = self.codes[self.context]
        fits = [self.fit(self.context, self.random.permutation(codes))[1] for _ in range(self.n_repeats)]
        hits = (np.array(fits).argmax(axis=2) == self.codes_query).astype(float)
        gains = (self.base.argmax(axis=1) == self.codes_query) - hits
        chance = gain_by_chance(hits, self.n_bootstrap, self.random)
        return [self.mean_measure("context: gain over shuffled labels", gains, chance)]

    def no_context(self):
        model = _fitted_without_rows(self.estimator, self.classes)
        if model is None:
            return ["context: gain over no context not measured; the estimator cannot be fitted without rows."]
        try:
            proba = self.probabilities(model, self.X_query)
        except (TypeError, ValueError):  # names of the classes may be all it has, and those say nothing of such rows
            return ["context: gain over no context not measured; without rows the estimator does not read the queries."]
        hits, hits_without = ((p.argmax(axis=1) == self.codes_query).astype(float) for p in (self.base, proba))
        gains = hits - hits_without
        chance = signs_by_chance(gains, self.n_bootstrap, self.random)
        return [self.mean_measure("context: gain over no context", gains[None], chance)]


def _fitted_without_rows(estimator, classes):
    """A clone that knows the classes and no row, or None where the estimator is not made for that."""
    for arguments in ({"y": classes}, {"classes": classes}):
        try:
            return clone(estimator).fit(None, **arguments)
        except (TypeError, ValueError, AttributeError):
            continue
    return None


def _set_aside(X, codes, classes, X_query, y_query, n_queries, random):
    """Numbers of the rows for contexts, the queries, and the codes of their labels."""
    if (X_query is None) != (y_query is None):
        raise ValueError("`X_query` and `y_query` go together: give both or neither.")
    all_rows = np.arange(len(codes))
    if X_query is not None:
        y_query = read_all_labels(y_query, parameter="y_query")
        check_consistent_length(X_query, y_query)
        if not len(y_query):
            raise ValueError("`X_query` is empty. Pass one query or more, or None to set aside a part of `X`.")
        unknown = np.setdiff1d(y_query, classes)
        if len(unknown):
            raise ValueError(f"`y_query` holds {unknown.tolist()[:5]}, which do not occur in `y`.")
        X_query = X_query if hasattr(X_query, "shape") else list(X_query)
        return all_rows, X_query, np.searchsorted(classes, y_query)
    counts = np.bincount(codes)
    if counts.min() < 2:
        raise ValueError(
            f"`y` has a single row of class {classes.tolist()[counts.argmin()]!r}. At least 2 of each "
            "class are needed, one for the context and one among the queries."
        )
    n_queries = min(n_queries, len(codes) // 2)
    if n_queries < len(classes):
        raise ValueError(f"`n_queries`={n_queries} is less than the number of classes, {len(classes)}.")
    # A class of two rows keeps one for the contexts.
    spare = np.concatenate([random.permutation(np.flatnonzero(codes == code))[1:] for code in range(len(classes))])
    queries = spare[draw_rows(codes[spare], n_queries, random)]
    return np.setdiff1d(all_rows, queries), take_rows(X, queries), codes[queries]


def _size_of_context(codes, n_context, n_classes):
    if n_context is None:
        return max(n_classes, min(len(codes) // 2, MOST_ROWS))
    if not n_classes <= n_context <= len(codes):
        raise ValueError(
            f"`n_context`={n_context} must lie between the number of classes, {n_classes}, and the number "
            f"of rows that are not queries, {len(codes)}."
        )
    return int(n_context)


def _check_estimator(estimator):
    if not (hasattr(estimator, "fit") and hasattr(estimator, "get_params") and hasattr(estimator, "predict_proba")):
        raise TypeError(
            f"`estimator` must be a classifier with predict_proba, got {type(estimator).__name__}. Wrap "
            "one without it in a CalibratedClassifierCV."
        )


def _check_numbers(n_context, n_queries, n_repeats, n_bootstrap, confidence_level):
    check_integer(n_context, "n_context", least=2, optional=True)
    check_integer(n_queries, "n_queries", least=2)
    check_integer(n_repeats, "n_repeats", least=2)
    check_bootstrap(n_bootstrap, confidence_level, least=10)


def _template_parameters(estimator):
    """Names of parameters for a template, the outermost only."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "template"]
    return [name for name in names if name.removesuffix("__template") not in names or name == "template"]


def _check_templates(estimator, templates, parameter):
    if templates is None:
        return None, None
    if isinstance(templates, str) or not hasattr(templates, "__len__") or not len(templates):
        raise ValueError(f"`templates` must be a list of templates, got {templates!r}.")
    names = _template_parameters(estimator)
    if parameter is None:
        if len(names) != 1:
            raise ValueError(
                f"`templates` needs one parameter called template, and {type(estimator).__name__} has {len(names)} "
                f"({names}). Name one in `template_parameter`."
            )
        return list(templates), names[0]
    if parameter not in estimator.get_params():
        raise ValueError(f"`template_parameter`={parameter!r} is not a parameter of {type(estimator).__name__}.")
    return list(templates), parameter
