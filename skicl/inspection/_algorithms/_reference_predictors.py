"""reference_predictors: known learning algorithms, to compare an in-context learner with."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from sklearn.utils import Bunch

from skicl._validation._scalars import check_integer, check_number, is_integer
from skicl.inspection._algorithms import _reference_linear as linear
from skicl.inspection._algorithms import _reference_logistic as logistic

# Newton's method on the logistic loss has converged long before.
TO_CONVERGENCE = 100


def reference_predictors(
    tasks: Bunch,
    *,
    gd_steps: Sequence[int] = (1, 8, 64),
    newton_steps: Sequence[int] = (2, 4),
    n_neighbors: int = 3,
    penalty: float | None = None,
) -> dict[str, Callable[..., np.ndarray]]:
    """Make the predictors of known learning algorithms for a set of tasks.

    Every predictor is a function ``predict(X_context, y_context, X_query)`` of arrays of shape (n_tasks, n_context,
    n_features), (n_tasks, n_context) and (n_tasks, n_query, n_features), and gives predictions of shape (n_tasks,
    n_query): targets in regression, probabilities of label 1 in classification.

    Parameters
    ----------
    tasks : Bunch
        What :func:`skicl.datasets.make_linear_tasks`, :func:`skicl.datasets.make_logistic_tasks` or
        :func:`skicl.datasets.make_boolean_function` returned, or anything with ``X``, ``y`` and maybe
        ``bayes_predict``. Integers in ``y`` mean classification, with labels 0 and 1.
    gd_steps : sequence of int, default=(1, 8, 64)
        Numbers of steps of gradient descent, one predictor each.
    newton_steps : sequence of int, default=(2, 4)
        Numbers of Newton steps, one predictor each.
    n_neighbors : int, default=3
        Number of nearest neighbours. A context with fewer rows uses all of them.
    penalty : float or None, default=None
        Penalty of ridge regression. None means ``noise ** 2 / weight_scale ** 2`` of the tasks, which makes it the
        Bayes predictor of Gaussian weights, and 1 where tasks have no such attributes.

    Returns
    -------
    predictors : dict of str to callable
        "mean", that of the targets, whatever the query; "averaging", whose weights are the mean of the rows times their
        targets; "knn_3"; "least_squares"; "ridge"; "gd_1" and so on; "newton_2" and so on; in classification
        "logistic_regression"; and "bayes", where the tasks have a ``bayes_predict``.

    Raises
    ------
    TypeError
        If `tasks` is not a Bunch with ``X`` and ``y``.
    ValueError
        If a parameter is out of range, or labels are not 0 and 1.

    See Also
    --------
    algorithm_match : Compares a model with them.
    mixture_bayes_predictor : Another Bayes predictor.

    Notes
    -----
    In regression, gradient descent minimises the squared error, and Newton is the iteration that inverts ``X'X``
    [1]_. In classification both minimise the logistic loss with a standard normal prior of the weights; "averaging",
    "least_squares" and "ridge" then fit the labels as -1 and 1, and give the probability ``(1 + f) / 2``, clipped to 0
    and 1. For Boolean tasks, bits are read as -1 and 1 and a constant is added. The iterations start from zero.

    References
    ----------
    .. [1] Fu, Chen, Jia and Sharan (2024), "Transformers learn to achieve second-order convergence rates for in-context
       linear regression", NeurIPS.
    .. [2] Akyurek, Schuurmans, Andreas, Ma and Zhou (2023), "What learning algorithm is in-context learning?
       Investigations with linear models", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import reference_predictors
    >>> tasks = make_linear_tasks(10, 24, 4, random_state=0)
    >>> predictors = reference_predictors(tasks)
    >>> split = tasks.X[:, :16], tasks.y[:, :16], tasks.X[:, 16:]
    >>> bool(np.allclose(predictors["ridge"](*split), predictors["bayes"](*split)))
    True
    """
    if not (hasattr(tasks, "get") and "X" in tasks and "y" in tasks):
        raise TypeError(
            f"`tasks` must be a Bunch with X and y, such as make_logistic_tasks returns, got {type(tasks).__name__}."
        )
    gd_steps, newton_steps = check_steps(gd_steps, "gd_steps"), check_steps(newton_steps, "newton_steps")
    check_integer(n_neighbors, "n_neighbors")
    if penalty is None:
        known = "noise" in tasks and "weight_scale" in tasks
        penalty = tasks["noise"] ** 2 / tasks["weight_scale"] ** 2 if known else 1.0
    check_number(penalty, "penalty", least=0)
    fits = _closed_forms(tasks, penalty) | _iterations(tasks, gd_steps, newton_steps)
    if "truth_tables" in tasks:
        fits = {name: partial(_on_signs, predict=predict) for name, predict in fits.items()}
    without_weights = {"mean": label_mean, f"knn_{n_neighbors}": partial(nearest_neighbors, n_neighbors=n_neighbors)}
    bayes = tasks.get("bayes_predict")
    return without_weights | fits | ({} if bayes is None else {"bayes": bayes})


def _closed_forms(tasks, penalty):
    """Predictors of fitted weights, by name: linear ones, and in classification also the logistic fit."""
    ridge = partial(linear.ridge, penalty=penalty)
    fits = {"averaging": linear.averaging, "least_squares": linear.least_squares, "ridge": ridge}
    if not is_classification(tasks):
        return fits
    fits = {name: partial(_as_probability, predict=predict) for name, predict in fits.items()}
    logistic_fit = partial(logistic.newton, n_steps=TO_CONVERGENCE, scale=tasks.get("scale", 1.0))
    return fits | {"logistic_regression": logistic_fit}


def _iterations(tasks, gd_steps, newton_steps):
    """Predictors after some steps of gradient descent and of Newton's method, by name."""
    descend, newton = linear.gradient_descent, linear.newton
    if is_classification(tasks):
        scale = tasks.get("scale", 1.0)
        descend, newton = partial(logistic.gradient_descent, scale=scale), partial(logistic.newton, scale=scale)
    return {f"gd_{n}": partial(descend, n_steps=n) for n in gd_steps} | {
        f"newton_{n}": partial(newton, n_steps=n) for n in newton_steps
    }


def check_steps(steps, parameter):
    """Numbers of steps as a list; anything but integers of at least 0 is refused."""
    listed = list(steps) if np.iterable(steps) else [None]
    if not all(is_integer(n) and n >= 0 for n in listed):
        raise ValueError(f"`{parameter}` must be a sequence of integers of at least 0, got {steps!r}.")
    return [int(n) for n in listed]


def is_classification(tasks):
    """Whether the targets of tasks are labels; labels other than 0 and 1 are refused."""
    y = np.asarray(tasks["y"])
    if y.dtype.kind == "f":
        return False
    if y.dtype.kind not in "biu":
        raise ValueError(f"`tasks` must have numbers in y, got {y.dtype}. Number labels 0 and 1.")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"`tasks` must have the labels 0 and 1, got {np.unique(y)[:5].tolist()}. Real targets must "
            "have a float dtype."
        )
    return True


def label_mean(X, y, X_query):
    """The mean target of the context, for every query."""
    return np.broadcast_to(y.mean(axis=1, keepdims=True), X_query.shape[:2])


def nearest_neighbors(X, y, X_query, *, n_neighbors):
    """The mean target (T, Q) of the nearest rows."""
    # Squared distances (T, Q, N) up to a constant of each query.
    squares = (X**2).sum(axis=2)[:, None] - 2 * X_query @ np.swapaxes(X, 1, 2)
    # Stable, so that of rows at equal distance (bits) the earlier ones count.
    nearest = np.argsort(squares, axis=2, kind="stable")[:, :, :n_neighbors]
    return np.take_along_axis(np.broadcast_to(y[:, None], squares.shape), nearest, axis=2).mean(axis=2)


def _as_probability(X, y, X_query, *, predict):
    """Labels fitted as -1 and 1, read as probabilities."""
    return np.clip((1 + predict(X, 2.0 * y - 1, X_query)) / 2, 0, 1)


def _on_signs(X, y, X_query, *, predict):
    """Bits as -1 and 1, and a constant."""
    X, X_query = (np.concatenate([2 * rows - 1, np.ones_like(rows[..., :1])], axis=2) for rows in (X, X_query))
    return predict(X, y, X_query)
