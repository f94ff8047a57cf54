"""layerwise_algorithm_match: which number of steps of an iterative algorithm each layer of a model resembles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skicl._resampling import check_bootstrap, interval, resampling_weights
from skicl._validation._scalars import check_number
from skicl.inspection._algorithms import _reference_linear as linear
from skicl.inspection._algorithms import _reference_logistic as logistic
from skicl.inspection._algorithms._match import distance_function
from skicl.inspection._algorithms._predictors import as_layered_predictor, check_predictions, name_of, split_tasks
from skicl.inspection._algorithms._reference_predictors import check_steps

GD_STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
NEWTON_STEPS = tuple(range(11))


@dataclass(frozen=True, eq=False, repr=False)
class LayerwiseAlgorithmMatch:
    """Distances of every layer of a model to every number of steps of gradient descent and of Newton's method.

    Made by :func:`layerwise_algorithm_match`; printing it shows a table.

    Parameters
    ----------
    model_name : str
        What the model is called.
    n_ctx : int
        Length of the context.
    steps : dict of str to ndarray of shape (n_steps,)
        Numbers of steps, for "gd" and "newton".
    per_task : dict of str to ndarray of shape (n_layers, n_steps, n_tasks)
        Distances in every task.
    low : dict of str to ndarray of shape (n_layers,)
        Lower ends of the intervals of the smallest distance of each layer.
    high : dict of str to ndarray of shape (n_layers,)
        Upper ends.
    noise_floor : dict of str to ndarray of shape (n_steps,)
        Distance of each number of steps to itself with one row of the context less.

    Attributes
    ----------
    distance : dict of str to ndarray of shape (n_layers, n_steps)
        Mean distances.
    best_steps : dict of str to ndarray of shape (n_layers,)
        The number of steps nearest to each layer.

    See Also
    --------
    layerwise_algorithm_match : Makes it, and explains the numbers.

    Examples
    --------
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import gd_attention_weights, layerwise_algorithm_match
    >>> tasks = make_linear_tasks(10, 30, 4, random_state=0)
    >>> stack = gd_attention_weights(4, 3, learning_rate=0.02)
    >>> match = layerwise_algorithm_match(stack, tasks, n_ctx=20, gd_steps=range(5), learning_rate=0.02)
    >>> match.best_steps["gd"]
    array([1, 2, 3])
    """

    model_name: str
    n_ctx: int
    steps: dict[str, np.ndarray]
    per_task: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    noise_floor: dict[str, np.ndarray]

    @property
    def distance(self) -> dict[str, np.ndarray]:
        """Mean distances."""
        return {name: values.mean(axis=2) for name, values in self.per_task.items()}

    @property
    def best_steps(self) -> dict[str, np.ndarray]:
        """The number of steps nearest to each layer."""
        return {name: self.steps[name][values.argmin(axis=1)] for name, values in self.distance.items()}

    def __repr__(self) -> str:
        lines = [f"{self.model_name}, {self.n_ctx} labelled rows: nearest number of steps, distance with interval"]
        for name, distance in self.distance.items():
            for layer, (best, row) in enumerate(zip(self.best_steps[name], distance)):
                floor = self.noise_floor[name][row.argmin()]
                low, high = self.low[name][layer], self.high[name][layer]
                lines.append(
                    f"layer {layer + 1:2d}  {name:<6} {best:4d} steps  {row.min():9.3g} "
                    f"[{low:.3g}, {high:.3g}], noise floor {floor:.3g}"
                )
        return "\n".join(lines)


def layerwise_algorithm_match(
    model: Any,
    tasks: Bunch,
    *,
    n_ctx: int,
    gd_steps: Sequence[int] = GD_STEPS,
    newton_steps: Sequence[int] = NEWTON_STEPS,
    learning_rate: float | None = None,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> LayerwiseAlgorithmMatch:
    """Compare every layer of a model with steps of gradient descent and of Newton's method.

    If the layers of a model are steps of an algorithm, the number of steps nearest to layer k grows with k: linearly if
    each layer is one step. If the nearest number of steps of gradient descent grows exponentially, this suggests
    Newton's method, where each step is worth twice as many steps of gradient descent as the step before [1]_.

    Parameters
    ----------
    model : Reasoner with ``score_all_layers``, LinearAttentionStack or callable
        The model; a function of (X_context, y_context, X_query) gives an array of shape (n_layers, n_tasks, n_query).
    tasks : Bunch
        Tasks as in :func:`reference_predictors`, two or more.
    n_ctx : int
        Length of the context, from 2. The points after it are the queries.
    gd_steps : sequence of int, default=(0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
        Numbers of steps of gradient descent to compare with.
    newton_steps : sequence of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
        Numbers of Newton steps to compare with.
    learning_rate : float or None, default=None
        Length of the steps of gradient descent in regression, as in :func:`gd_attention_weights`. None means one over
        the largest curvature of each task, which is always used in classification.
    n_bootstrap : int, default=1000
        Number of samples of the tasks, drawn with replacement, for the intervals.
    confidence_level : float, default=0.95
        Confidence of the intervals.
    random_state : int, RandomState instance or None, default=0
        Draws the samples.

    Returns
    -------
    match : LayerwiseAlgorithmMatch
        The distances of :func:`algorithm_match` ("squared_difference"), and the nearest numbers of steps. In every
        bootstrap sample the nearest number is chosen anew.

    Raises
    ------
    TypeError
        If `model` does not give predictions after each layer.
    ValueError
        If a parameter is out of range, or predictions have the wrong shape.

    References
    ----------
    .. [1] Fu, Chen, Jia and Sharan (2024), "Transformers learn to achieve second-order convergence rates for in-context
       linear regression", NeurIPS.

    Examples
    --------
    >>> from skicl.datasets import make_logistic_tasks
    >>> from skicl.inspection import layerwise_algorithm_match
    >>> from skicl.reasoning import load_reasoner
    >>> tasks = make_logistic_tasks(10, 40, 4, random_state=0)
    >>> match = layerwise_algorithm_match(load_reasoner(), tasks, n_ctx=24)
    >>> match.distance["newton"].shape
    (6, 11)
    """
    predict, split = as_layered_predictor(model), split_tasks(tasks, [n_ctx], smallest=2)
    check_bootstrap(n_bootstrap, confidence_level)
    random = check_random_state(random_state)
    steps = {
        name: np.array(check_steps(numbers, f"{name}_steps"), dtype=np.int64)
        for name, numbers in (("gd", gd_steps), ("newton", newton_steps))
    }
    for name, numbers in steps.items():
        if not len(numbers):
            raise ValueError(f"`{name}_steps` is empty. Give at least one number of steps.")
    check_number(learning_rate, "learning_rate", above=0, optional=True)
    layers = np.asarray(predict(*split.at(n_ctx)), dtype=float)
    layers = check_predictions(layers, (*layers.shape[:1], *split.y_query.shape))
    distance = distance_function("squared_difference", split)
    weights = resampling_weights(len(split.X), n_bootstrap, random)
    per_task, low, high, floors = {}, {}, {}, {}
    for name, algorithm in _algorithms(tasks, split.classification, learning_rate).items():
        paths, shorter = (
            np.stack([algorithm(*split.at(n), n_steps=int(k)) for k in steps[name]]) for n in (n_ctx, n_ctx - 1)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            per_task[name] = np.stack([distance(layer, paths) for layer in layers])
        if not np.isfinite(per_task[name]).all():
            raise ValueError(
                f"`learning_rate`={learning_rate!r} makes {max(steps[name])} steps of gradient descent "
                "diverge. Take a smaller rate, or fewer `gd_steps`."
            )
        smallest = (per_task[name] @ weights.T).min(axis=1)  # (layers, samples)
        low[name], high[name] = interval(smallest, confidence_level)
        floors[name] = distance(paths, shorter).mean(axis=1)
    return LayerwiseAlgorithmMatch(name_of(model), int(n_ctx), steps, per_task, low, high, floors)


def _algorithms(tasks, classification, learning_rate):
    """Functions of a context, queries and n_steps, by the names of the algorithms."""
    if not classification:
        return {"gd": partial(linear.gradient_descent, learning_rate=learning_rate), "newton": linear.newton}
    scale = tasks.get("scale", 1.0)
    return {"gd": partial(logistic.gradient_descent, scale=scale), "newton": partial(logistic.newton, scale=scale)}
