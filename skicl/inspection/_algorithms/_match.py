"""algorithm_match: how far the predictions of a model are from those of known learning algorithms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skicl._resampling import check_bootstrap, interval, resampling_weights
from skicl._validation._environment import import_optional
from skicl._validation._wording import did_you_mean
from skicl.inspection._algorithms._predictors import as_predictor, name_of, predict_means, split_tasks
from skicl.inspection._algorithms._reference_predictors import reference_predictors

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("squared_difference", "disagreement")


@dataclass(frozen=True, eq=False, repr=False)
class AlgorithmMatch:
    """Distances of a model to reference predictors, at every length of the context.

    Made by :func:`algorithm_match`; printing it shows a table.

    Parameters
    ----------
    model_name : str
        What the model is called.
    references : list of str
        Names of the references.
    n_ctx : ndarray of shape (n_lengths,)
        Lengths of the context.
    per_task : ndarray of shape (n_references, n_lengths, n_tasks)
        Distances in every task.
    low : ndarray of shape (n_references, n_lengths)
        Lower ends of the intervals of the mean distances.
    high : ndarray of shape (n_references, n_lengths)
        Upper ends.
    noise_floor : ndarray of shape (n_references, n_lengths)
        Distance of each reference to itself with one row of the context less.
    closest_share : ndarray of shape (n_references, n_lengths)
        Share of bootstrap samples of the tasks in which the reference is the closest one.
    metric : str
        The distance.

    Attributes
    ----------
    distance : ndarray of shape (n_references, n_lengths)
        Mean distances.
    closest : list of str of length n_lengths
        The closest reference at every length.

    See Also
    --------
    algorithm_match : Makes it, and explains the numbers.
    AlgorithmMatchDisplay : Draws it.

    Examples
    --------
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import algorithm_match, reference_predictors
    >>> tasks = make_linear_tasks(20, 40, 4, random_state=0)
    >>> match = algorithm_match(reference_predictors(tasks)["gd_8"], tasks, n_ctx=[4, 16], random_state=0)
    >>> match.closest
    ['gd_8', 'gd_8']
    """

    model_name: str
    references: list[str]
    n_ctx: np.ndarray
    per_task: np.ndarray
    low: np.ndarray
    high: np.ndarray
    noise_floor: np.ndarray
    closest_share: np.ndarray
    metric: str

    @property
    def distance(self) -> np.ndarray:
        """Mean distances."""
        return self.per_task.mean(axis=2)

    @property
    def closest(self) -> list[str]:
        """The closest reference at every length."""
        return [self.references[i] for i in self.distance.argmin(axis=0)]

    def to_frame(self) -> "pd.DataFrame":
        """Convert to a frame.

        Returns
        -------
        DataFrame
            One row for each reference and length, with the columns reference, n_ctx, distance, low, high, noise_floor
            and closest_share.
        """
        pandas = import_optional("pandas")
        columns = {
            "distance": self.distance,
            "low": self.low,
            "high": self.high,
            "noise_floor": self.noise_floor,
            "closest_share": self.closest_share,
        }
        return pandas.DataFrame(
            {
                "reference": np.repeat(self.references, len(self.n_ctx)),
                "n_ctx": np.tile(self.n_ctx, len(self.references)),
            }
            | {name: values.ravel() for name, values in columns.items()}
        )

    def __repr__(self) -> str:
        width = max(map(len, self.references))
        lines = [
            f"{self.metric} of {self.model_name} to each reference, {self.per_task.shape[2]} tasks",
            " " * width + "".join(f"  {f'n = {n}':>9}" for n in self.n_ctx),
        ]
        lines += [
            f"{name:<{width}}" + "".join(f"  {value:9.3g}" for value in values)
            for name, values in zip(self.references, self.distance)
        ]
        return "\n".join([*lines, f"{'closest':<{width}}  " + ", ".join(self.closest)])


def algorithm_match(
    model: Any,
    tasks: Bunch,
    *,
    n_ctx: int | Sequence[int] | None = None,
    references: Mapping[str, Callable] | None = None,
    metric: str = "squared_difference",
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> AlgorithmMatch:
    """Compare the predictions of a model with those of known learning algorithms.

    From outside, two learners that predict the same from every context run the same algorithm. The comparison is
    therefore between predictions, not between a prediction and the truth [1]_.

    Parameters
    ----------
    model : Reasoner, classifier, regressor or callable
        The learner: a reasoner; an estimator, which is cloned and fitted to every context; or a function of
        (X_context, y_context, X_query) as in :func:`reference_predictors`. For a context with a single label, the rule
        of succession, (k + 1) / (n + 2), stands in for a classifier.
    tasks : Bunch
        Tasks as in :func:`reference_predictors`, two or more.
    n_ctx : int or sequence of int or None, default=None
        Lengths of the context, from 2: the first points of every task. The points after the longest context are the
        queries at all lengths. None means the powers of two that leave at least half of the points.
    references : dict of str to callable or None, default=None
        What to compare with. None means ``reference_predictors(tasks)``.
    metric : {"squared_difference", "disagreement"}, default="squared_difference"
        "squared_difference" is the mean squared difference of the predictions: of probabilities in classification, and
        relative to the mean square of the targets of all queries in regression. "disagreement", for classification
        only, is the share of queries on which the more probable labels differ, however confident the predictions are.
    n_bootstrap : int, default=1000
        Number of samples of the tasks, drawn with replacement, for the intervals.
    confidence_level : float, default=0.95
        Confidence of the intervals.
    random_state : int, RandomState instance or None, default=0
        Draws the samples.

    Returns
    -------
    match : AlgorithmMatch
        Distances with intervals. The `noise_floor` is the distance of each reference to itself when the last row of the
        context is removed: a model nearer than that differs from the reference by less than one example makes. Where
        a Bayes predictor is computed by random draws, the floor includes their noise.

    Raises
    ------
    TypeError
        If `model` or `tasks` is of an unknown kind, or `references` is not a dict of functions.
    ValueError
        If a parameter is out of range, or predictions have the wrong shape.

    References
    ----------
    .. [1] Akyurek, Schuurmans, Andreas, Ma and Zhou (2023), "What learning algorithm is in-context learning?
       Investigations with linear models", ICLR.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import algorithm_match
    >>> tasks = make_linear_tasks(20, 40, 4, random_state=0)
    >>> match = algorithm_match(LinearRegression(fit_intercept=False), tasks, n_ctx=[8, 16])
    >>> match.closest
    ['least_squares', 'least_squares']
    """
    predict, split = as_predictor(model), split_tasks(tasks, n_ctx, smallest=2)
    if metric not in METRICS or (metric == "disagreement" and not split.classification):
        raise ValueError(
            f"`metric` must be one of {', '.join(METRICS)}, the last for labels only, got {metric!r}."
            + did_you_mean(metric, METRICS)
        )
    check_bootstrap(n_bootstrap, confidence_level)
    random = check_random_state(random_state)
    references = reference_predictors(tasks) if references is None else _check_references(references)
    distance = distance_function(metric, split)
    per_task = np.empty((len(references), len(split.n_ctx), len(split.X)))
    floors = np.empty(per_task.shape[:2])
    for column, n in enumerate(split.n_ctx):
        predicted = predict_means(predict, split, n)
        for row, reference in enumerate(references.values()):
            expected = predict_means(reference, split, n)
            per_task[row, column] = distance(predicted, expected)
            floors[row, column] = distance(predict_means(reference, split, n - 1), expected).mean()
    weights = resampling_weights(len(split.X), n_bootstrap, random)
    samples = per_task @ weights.T  # (references, lengths, samples)
    low, high = interval(samples, confidence_level)
    winners = samples.argmin(axis=0)
    share = np.stack([(winners == row).mean(axis=1) for row in range(len(references))])
    return AlgorithmMatch(name_of(model), list(references), split.n_ctx, per_task, low, high, floors, share, metric)


def distance_function(metric, split):
    """A function of two predictions (..., T, Q) that gives distances (..., T)."""
    if metric == "disagreement":
        return lambda p, q: ((p > 0.5) != (q > 0.5)).mean(axis=-1)
    scale = 1.0 if split.classification else (split.y_query**2).mean()
    return lambda p, q: ((p - q) ** 2).mean(axis=-1) / scale


def _check_references(references):
    """The references, if they are functions by their names."""
    if not isinstance(references, Mapping) or not all(map(callable, references.values())):
        raise TypeError(
            "`references` must be a dict of names and functions of (X_context, y_context, X_query), such "
            f"as reference_predictors returns, or None, got {references!r}."
        )
    if not references:
        raise ValueError("`references` is empty. Give at least one, or None for those of reference_predictors.")
    return references
