"""mixture_bayes_predictor: what an ideal learner predicts where tasks come from several families."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from skicl._validation._scalars import check_number
from skicl._validation._task_arrays import as_batch


def mixture_bayes_predictor(
    means: ArrayLike, covariances: ArrayLike, *, shares: ArrayLike | None = None, noise: float = 0.1
) -> Callable:
    """Make the Bayes predictor of linear tasks whose weights come from a mixture of Gaussians.

    A learner who knows the families weights them by how probable they make the context, and averages their predictions.
    This is Bayesian model averaging. With one family of mean zero it is ridge regression.

    Parameters
    ----------
    means : array-like of shape (n_families, n_features)
        Mean weights of each family.
    covariances : array-like of shape (n_families, n_features, n_features)
        Covariances of the weights. All zeros mean a family with the same weights in every task.
    shares : array-like of shape (n_families,), default=None
        How often each family occurs. None means equally often.
    noise : float, default=0.1
        Standard deviation of the noise of the targets, positive.

    Returns
    -------
    predict : callable
        ``predict(X_context, y_context, X_query, return_variance=False)``: the mean of the posterior predictive
        distribution, of shape (n_tasks, n_query), and its variance; arrays as in
        :func:`skicl.datasets.make_linear_tasks`.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not finite, `covariances` are not symmetric without negative eigenvalues, or
        `shares` or `noise` are not positive.

    References
    ----------
    .. [1] Panwar, Ahuja and Goyal (2024), "In-context learning through the Bayesian prism", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import mixture_bayes_predictor
    >>> up_or_down = mixture_bayes_predictor([[1.0], [-1.0]], np.zeros((2, 1, 1)), noise=0.5)
    >>> x = np.ones((1, 1, 1))
    >>> float(up_or_down(x, np.array([[3.0]]), x)[0, 0]) > 0.99
    True
    """
    means, covariances = np.asarray(means, dtype=float), np.asarray(covariances, dtype=float)
    if means.ndim != 2 or 0 in means.shape or covariances.shape != (*means.shape, means.shape[-1]):
        raise ValueError(
            f"`means` and `covariances` have the shapes {means.shape} and {covariances.shape}; expected "
            "(n_families, n_features) and (n_families, n_features, n_features)."
        )
    if not np.isfinite(means).all() or not _are_covariances(covariances):
        raise ValueError(
            "`means` must hold finite numbers, and `covariances` symmetric matrices without negative eigenvalues."
        )
    shares = np.ones(len(means)) if shares is None else np.asarray(shares, dtype=float)
    if shares.shape != (len(means),) or not ((shares > 0) & np.isfinite(shares)).all():
        raise ValueError(f"`shares` must hold {len(means)} positive numbers, one for each family, got {shares}.")
    check_number(noise, "noise", above=0)

    def predict(X_context, y_context, X_query, return_variance=False):
        X, y, X_query, single = as_batch(X_context, y_context, X_query, means.shape[1])
        families = [_family_posterior(X, y, X_query, *family, noise) for family in zip(means, covariances)]
        predictions, variances, evidence = (np.stack(part) for part in zip(*families))
        posterior = softmax(evidence + np.log(shares)[:, None], axis=0)[:, :, None]
        predicted = (posterior * predictions).sum(axis=0)
        variance = (posterior * (variances + (predictions - predicted) ** 2)).sum(axis=0)
        predicted, variance = (predicted[0], variance[0]) if single else (predicted, variance)
        return (predicted, variance) if return_variance else predicted

    return predict


def _are_covariances(matrices):
    """Whether matrices are symmetric and have no negative eigenvalues, up to rounding."""
    if not np.isfinite(matrices).all():
        return False
    rounding = 1e-9 * np.abs(matrices).max()
    symmetric = np.abs(matrices - np.swapaxes(matrices, 1, 2)).max() <= rounding
    return symmetric and np.linalg.eigvalsh(matrices).min() >= -rounding


def _family_posterior(X, y, X_query, mean, covariance, noise):
    """Predictive means and variances (T, Q), and log marginal likelihoods of the contexts (T,)."""
    cross = X @ covariance  # (T, N, D)
    of_targets = cross @ np.swapaxes(X, 1, 2) + noise**2 * np.eye(X.shape[1])  # (T, N, N)
    residual = y - X @ mean
    gain = X_query @ np.swapaxes(np.linalg.solve(of_targets, cross), 1, 2)  # (T, Q, N)
    predicted = X_query @ mean + np.einsum("tqn,tn->tq", gain, residual)
    before = np.einsum("tqd,de,tqe->tq", X_query, covariance, X_query)  # variance of w'x without any context
    variance = noise**2 + before - np.einsum("tqn,tnd,tqd->tq", gain, cross, X_query)
    scaled = np.linalg.solve(of_targets, residual[:, :, None])[:, :, 0]
    evidence = -0.5 * ((residual * scaled).sum(axis=1) + np.linalg.slogdet(of_targets)[1])
    return predicted, variance, evidence
