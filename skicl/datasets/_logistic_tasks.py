"""make_logistic_tasks: the tasks that TART's reasoner was trained on, and what an ideal learner predicts."""

from functools import partial

import numpy as np
from scipy.special import expit
from sklearn.utils import Bunch, check_random_state

from skicl._validation._scalars import check_integer, check_number
from skicl._validation._task_arrays import as_batch
from skicl.datasets._logistic_posterior import posterior_draws

# So many (task, chain, row) triples are sampled at a time, to bound memory.
TRIPLES_AT_A_TIME = 4_000_000


def make_logistic_tasks(
    n_tasks: int = 100,
    n_points: int = 64,
    n_features: int = 8,
    *,
    scale: float = 10.0,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate tasks of logistic regression, each with weights of its own.

    In every task rows and weights are standard normal, and the label is 1 with the probability
    ``1 / (1 + exp(-scale * x @ w))``. These are the tasks on which the reasoner of TART [1]_ was trained, there with 16
    features, 258 points and a scale of 10.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_points : int, default=64
        Number of points in each.
    n_features : int, default=8
        Number of features.
    scale : float, default=10.0
        Steepness. The larger it is, the less noise is in the labels.
    random_state : int, RandomState instance or None, default=None
        Equal seeds give equal tasks.

    Returns
    -------
    tasks : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        X : ndarray of shape (n_tasks, n_points, n_features)
            Rows.
        y : ndarray of shape (n_tasks, n_points), dtype int
            Labels 0 and 1.
        weights : ndarray of shape (n_tasks, n_features)
            The weights of each task.
        probability : ndarray of shape (n_tasks, n_points)
            The true probability of 1, given the weights.
        scale : float
            The parameter.
        bayes_predict : callable
            ``bayes_predict(X_context, y_context, X_query, n_chains=32, n_draws=20, random_state=0)``: the posterior
            predictive probability of 1, of shape (n_tasks, n_query), for a learner who knows how the tasks are made. It
            is a mean over ``n_chains * n_draws`` draws from the exact posterior of the weights. A single task may be
            given without the first axis; the context may be empty.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for
       task-agnostic reasoning", NeurIPS.

    Examples
    --------
    >>> from skicl.datasets import make_logistic_tasks
    >>> tasks = make_logistic_tasks(20, 40, 3, random_state=0)
    >>> bayes = tasks.bayes_predict(tasks.X[:, :32], tasks.y[:, :32], tasks.X[:, 32:])
    >>> accuracy = ((bayes > 0.5) == tasks.y[:, 32:]).mean()
    >>> bool(0.85 < accuracy < 1)
    True
    """
    for name, value in [("n_tasks", n_tasks), ("n_points", n_points), ("n_features", n_features)]:
        check_integer(value, name)
    check_number(scale, "scale", above=0)
    random = check_random_state(random_state)
    weights = random.standard_normal((n_tasks, n_features))
    X = random.standard_normal((n_tasks, n_points, n_features))
    probability = expit(scale * np.einsum("tnd,td->tn", X, weights))
    y = (random.random_sample(probability.shape) < probability).astype(np.int64)
    predict = partial(logistic_posterior, scale=scale, n_features=n_features)
    return Bunch(X=X, y=y, weights=weights, probability=probability, scale=scale, bayes_predict=predict)


def logistic_posterior(X_context, y_context, X_query, n_chains=32, n_draws=20, random_state=0, *, scale, n_features):
    """Posterior predictive probability (T, Q) of label 1 in logistic regression with standard normal weights."""
    X, y, X_query, single = as_batch(X_context, y_context, X_query, n_features)
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"`y_context` must hold 0 and 1, got {np.unique(y)[:5].tolist()}.")
    check_integer(n_chains, "n_chains")
    check_integer(n_draws, "n_draws")
    random = check_random_state(random_state)
    per_task = n_chains * max(X.shape[1], X_query.shape[1], X.shape[2])
    step = max(1, TRIPLES_AT_A_TIME // per_task)
    means = []
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        draws = posterior_draws(X[part], y[part], scale, n_chains, n_draws, random)
        queries = np.swapaxes(X_query[part], 1, 2)
        means.append(np.mean([expit(scale * (w @ queries)).mean(axis=1) for w in draws], axis=0))
    probability = np.concatenate(means)
    return probability[0] if single else probability
