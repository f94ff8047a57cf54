"""make_linear_tasks: linear regression in context, and what an ideal learner predicts."""

from functools import partial

import numpy as np
from scipy.special import softmax
from sklearn.utils import Bunch, check_random_state

from skicl._validation._scalars import check_integer, check_number
from skicl._validation._task_arrays import as_batch

# Squared singular values below this share of the largest count as zero where there is no noise.
NEGLIGIBLE = 1e-10


def make_linear_tasks(
    n_tasks: int = 100,
    n_points: int = 41,
    n_features: int = 8,
    *,
    noise: float = 0.1,
    weight_scale: float = 1.0,
    n_distinct: int | None = None,
    condition_number: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate tasks of linear regression, each with weights of its own.

    In every task ``y = X @ w + noise * e``, with Gaussian rows, weights and noise. The first points serve as the
    context for those that follow. This is the function class of Garg et al. [1]_; with `n_distinct`, the weights come
    from a finite pool, and a learner may either remember the pool or regress [2]_.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_points : int, default=41
        Number of points in each.
    n_features : int, default=8
        Number of features.
    noise : float, default=0.1
        Standard deviation of the noise. With `n_distinct` it must be positive.
    weight_scale : float, default=1.0
        Standard deviation of each weight.
    n_distinct : int or None, default=None
        Size of the pool from which every task takes its weights. None means new weights for every task.
    condition_number : float, default=1.0
        Ratio of the largest to the smallest variance along the principal axes of the rows, which are rotated at random
        in every task. The mean variance is 1.
    random_state : int, RandomState instance or None, default=None
        Equal seeds give equal tasks.

    Returns
    -------
    tasks : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        X : ndarray of shape (n_tasks, n_points, n_features)
            Rows.
        y : ndarray of shape (n_tasks, n_points)
            Targets.
        weights : ndarray of shape (n_tasks, n_features)
            The weights of each task.
        pool : ndarray of shape (n_distinct, n_features) or None
            The pool.
        noise : float
            The parameter.
        weight_scale : float
            The parameter.
        bayes_predict : callable
            ``bayes_predict(X_context, y_context, X_query, return_variance=False)``: the mean of the posterior
            predictive distribution, of shape (n_tasks, n_query), and its variance, for a learner who knows how the
            tasks are made. Without a pool this is ridge regression with penalty ``noise ** 2 / weight_scale ** 2``, and
            without noise the least-squares solution of smallest norm. With a pool it is the mean over the pool under
            its posterior. A single task may be given without the first axis; the context may be empty.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] Garg, Tsipras, Liang and Valiant (2022), "What can transformers learn in-context? A case study of simple
       function classes", NeurIPS.
    .. [2] Raventos, Paul, Chen and Ganguli (2023), "Pretraining task diversity and the emergence of non-Bayesian
       in-context learning for regression", NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.datasets import make_linear_tasks
    >>> tasks = make_linear_tasks(50, 20, 4, noise=0.5, random_state=0)
    >>> tasks.X.shape, tasks.y.shape
    ((50, 20, 4), (50, 20))
    >>> mean, variance = tasks.bayes_predict(tasks.X[:, :16], tasks.y[:, :16], tasks.X[:, 16:], return_variance=True)
    >>> standardized = (mean - tasks.y[:, 16:]) / np.sqrt(variance)
    >>> bool(abs(standardized.std() - 1) < 0.2)
    True
    """
    for name, value in [("n_tasks", n_tasks), ("n_points", n_points), ("n_features", n_features)]:
        check_integer(value, name)
    check_number(noise, "noise", least=0)
    check_number(weight_scale, "weight_scale", above=0)
    check_number(condition_number, "condition_number", least=1)
    if n_distinct is not None:
        check_integer(n_distinct, "n_distinct")
        if noise == 0:
            raise ValueError(
                "`n_distinct` needs a positive `noise`, got 0: without noise a single point would give away "
                "the weights."
            )
    random = check_random_state(random_state)
    pool = None
    if n_distinct is None:
        weights = weight_scale * random.standard_normal((n_tasks, n_features))
    else:
        pool = weight_scale * random.standard_normal((n_distinct, n_features))
        weights = pool[random.randint(n_distinct, size=n_tasks)]
    X = random.standard_normal((n_tasks, n_points, n_features)) @ _square_roots(
        random, n_tasks, n_features, condition_number
    )
    y = np.einsum("tnd,td->tn", X, weights) + noise * random.standard_normal((n_tasks, n_points))
    predict = partial(gaussian_posterior, noise=noise, weight_scale=weight_scale, n_features=n_features)
    if pool is not None:
        predict = partial(pool_posterior, pool=pool, noise=noise)
    return Bunch(X=X, y=y, weights=weights, pool=pool, noise=noise, weight_scale=weight_scale, bayes_predict=predict)


def gaussian_posterior(X_context, y_context, X_query, return_variance=False, *, noise, weight_scale, n_features):
    """Posterior predictive mean (and variance), (T, Q), of linear regression with Gaussian weights."""
    X, y, X_query, single = as_batch(X_context, y_context, X_query, n_features)
    # Along the principal axes e of X'X everything is one-dimensional.
    values, axes = np.linalg.eigh(np.einsum("tnd,tne->tde", X, X))
    penalty = noise**2 / weight_scale**2
    seen = values > NEGLIGIBLE * values[:, -1:] if penalty == 0 else np.ones_like(values, dtype=bool)
    inverse = np.where(seen, 1 / np.where(seen, np.maximum(values, 0) + penalty, 1), 0)
    along = np.einsum("tde,tnd,tn->te", axes, X, y) * inverse
    query = X_query @ axes
    mean = np.einsum("tqe,te->tq", query, along)
    # Along an axis without data the weights keep their variance; with data it shrinks to the noise over what was seen.
    remaining = np.where(seen, noise**2 * inverse, weight_scale**2)
    variance = noise**2 + np.einsum("tqe,te->tq", query**2, remaining)
    mean, variance = (mean[0], variance[0]) if single else (mean, variance)
    return (mean, variance) if return_variance else mean


def pool_posterior(X_context, y_context, X_query, return_variance=False, *, pool, noise):
    """Posterior predictive mean (and variance), (T, Q), where the weights are one of a pool (M, D)."""
    X, y, X_query, single = as_batch(X_context, y_context, X_query, pool.shape[1])
    squares = ((np.einsum("tnd,md->tnm", X, pool) - y[:, :, None]) ** 2).sum(axis=1)
    posterior = softmax(-squares / (2 * noise**2), axis=1)
    values = np.einsum("tqd,md->tqm", X_query, pool)
    mean = np.einsum("tqm,tm->tq", values, posterior)
    variance = noise**2 + np.einsum("tqm,tm->tq", (values - mean[:, :, None]) ** 2, posterior)
    mean, variance = (mean[0], variance[0]) if single else (mean, variance)
    return (mean, variance) if return_variance else mean


def _square_roots(random, n_tasks, n_features, condition_number):
    """A square root of the covariance of each task: scaled axes, turned."""
    variances = np.geomspace(1, condition_number, n_features)
    variances /= variances.mean()
    if condition_number == 1:
        return np.eye(n_features)
    rotations, _ = np.linalg.qr(random.standard_normal((n_tasks, n_features, n_features)))
    return np.sqrt(variances)[:, None] * np.swapaxes(rotations, 1, 2)
