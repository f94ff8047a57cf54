"""The exact posterior of Gaussian logistic regression, by Hamiltonian Monte Carlo on many tasks at once.

Shapes: T tasks, K chains, N rows of the context, D features.

The chains of a task move in coordinates in which its posterior is about round: those of the curvature at the mode at
first, and of the moments of the chains themselves later in the warm-up, since the posterior of steep observations is
lopsided. The size of the steps follows the acceptance rate of each task. Both are frozen before the draws that count.
Method: Neal (2011), "MCMC using Hamiltonian dynamics".
"""

import numpy as np
from scipy.special import expit

NEWTON_STEPS = 100
HALVINGS = 30
CONVERGED = 1e-9
WARM_UPS = 6
STEPS_OF_A_WARM_UP = 6
LEAPS = 5
FIRST_LEAP = 0.35  # five of these are about a quarter of a turn in a round Gaussian
LONGEST_LEAP = 0.5
WANTED_ACCEPTANCE = 0.85


def posterior_draws(X, y, scale, n_chains, n_draws, random):
    """Weights (n_draws, T, K, D) from the posteriors of contexts X (T, N, D) with labels y (T, N), 0 and 1.

    The model is P(y = 1) = expit(scale * X @ w) with w standard normal; of each chain `n_draws` states are kept.
    """
    signed = scale * X * (2 * y - 1)[:, :, None]
    mode = find_mode(signed)
    covariance = np.linalg.inv(_precision(signed, mode))
    noise = random.standard_normal((len(X), n_chains, X.shape[2]))
    factor = np.linalg.cholesky(covariance)
    state = mode[:, None] + noise @ np.swapaxes(factor, 1, 2)
    leap = np.full((len(X), 1, 1), FIRST_LEAP)
    for _ in range(WARM_UPS):
        draws, accepted = _run(state, factor, leap, signed, STEPS_OF_A_WARM_UP, random)
        state = draws[-1]
        covariance = _covariance(draws[STEPS_OF_A_WARM_UP // 2 :], covariance)
        factor = np.linalg.cholesky(covariance)
        leap = np.minimum(leap * np.exp(accepted - WANTED_ACCEPTANCE), LONGEST_LEAP)
    return _run(state, factor, leap, signed, n_draws, random)[0]


def find_mode(signed):
    """The mode of each posterior, by Newton steps that are halved until they climb; `signed` is (T, N, D)."""
    w = np.zeros((len(signed), signed.shape[2]))
    for _ in range(NEWTON_STEPS):
        slope = np.einsum("tnd,tn->td", signed, expit(-_margins(signed, w))) - w
        step = np.linalg.solve(_precision(signed, w), slope[:, :, None])[:, :, 0]
        if np.abs(step).max() < CONVERGED:
            break
        before, length = _log_joint(signed, w[:, None])[:, 0], np.ones(len(w))
        for _ in range(HALVINGS):
            falls = _log_joint(signed, (w + length[:, None] * step)[:, None])[:, 0] < before
            if not falls.any():
                break
            length[falls] /= 2
        w = w + length[:, None] * step
    return w


def _run(state, factor, leap, signed, n_steps, random):
    """States (n_steps, T, K, D) of the chains after `state`, and the acceptance rates (T, 1, 1)."""
    draws, accepted = [], 0
    for _ in range(n_steps):
        proposal, log_ratio = _trajectory(state, factor, leap, signed, random)
        moves = np.log(1 - random.random_sample(log_ratio.shape)) < log_ratio
        state = np.where(moves[:, :, None], proposal, state)
        accepted = accepted + moves.mean(axis=1)[:, None, None] / n_steps
        draws.append(state)
    return np.array(draws), accepted


def _trajectory(state, factor, leap, signed, random):
    """The ends of leapfrog trajectories of random momentum, and the logarithms of their acceptance ratios."""
    momentum = random.standard_normal(state.shape)
    # Lengths vary from chain to chain, so that none goes round and round.
    leap = leap * random.uniform(0.6, 1.2, size=(*state.shape[:2], 1))
    energy = 0.5 * (momentum**2).sum(axis=2) - _log_joint(signed, state)
    place, spread = state, np.swapaxes(factor, 1, 2)
    momentum = momentum + 0.5 * leap * (_slopes(signed, place) @ factor)
    for i in range(LEAPS):
        place = place + leap * (momentum @ spread)
        momentum = momentum + (leap if i < LEAPS - 1 else 0.5 * leap) * (_slopes(signed, place) @ factor)
    return place, energy - 0.5 * (momentum**2).sum(axis=2) + _log_joint(signed, place)


def _slopes(signed, w):
    """Gradients of the log-density at weights (T, K, D)."""
    return expit(-(w @ np.swapaxes(signed, 1, 2))) @ signed - w


def _covariance(draws, covariance):
    """Covariance of draws (n, T, K, D); the old one counts as D more draws."""
    pooled = np.swapaxes(draws, 0, 1).reshape(draws.shape[1], -1, draws.shape[3])
    n, d = pooled.shape[1:]
    centred = pooled - pooled.mean(axis=1, keepdims=True)
    return (np.einsum("tnd,tne->tde", centred, centred) + d * covariance) / (n + d)


def _margins(signed, w):
    return np.einsum("tnd,td->tn", signed, w)


def _precision(signed, w):
    p = expit(_margins(signed, w))
    return np.eye(signed.shape[2]) + np.einsum("tnd,tn,tne->tde", signed, p * (1 - p), signed)


def _log_joint(signed, w):
    """Log-density of weights (T, K, D), up to a constant: (T, K)."""
    margins = w @ np.swapaxes(signed, 1, 2)
    return -0.5 * (w**2).sum(axis=2) - np.logaddexp(0, -margins).sum(axis=2)
