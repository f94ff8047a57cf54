"""Bayes predictors of TART's Gaussian logistic tasks, by Hamiltonian Monte Carlo on all tasks at once.

Rows x ~ N(0, I), labels y ~ Bernoulli(sigmoid(v.x)) with v ~ N(0, alpha^2 I). For a given alpha the posterior of
v is log-concave; chains run in coordinates in which it is nearly round. The predictor that does not know alpha
weighs the candidates by their marginal likelihood, which comes from bridge sampling (Meng and Wong, 1996,
"Simulating ratios of normalizing constants via a simple identity", Statistica Sinica 6). All in float64.

Shapes: B tasks, A candidates of alpha, K chains, T kept draws, N rows, Q queries, D features.
"""

import math
from typing import NamedTuple

import torch
from torch.nn import functional as F

NEWTON_STEPS = 40
ROUNDS = (30, 40, 60)  # iterations of warm-up; the coordinates are fitted anew after each round
TRAJECTORY = 2.5  # mean length of a trajectory, in the coordinates in which the posterior is nearly round
LEAPFROGS = (3, 40)  # fewest and most steps of a trajectory
ACCEPTANCE = 0.8


class Predictions(NamedTuple):
    """What the context says of the queries, for every candidate.

    `known` (B, A, Q): probability of label 1 if alpha is the candidate; `halves` (2, B, A, Q): the same from two
    independent halves of the chains; `log_evidence` (B, A): log marginal likelihood of the labels.
    """

    known: torch.Tensor
    halves: torch.Tensor
    log_evidence: torch.Tensor

    def mixed(self, known=None):
        """Probability of label 1 (B, Q) where alpha is unknown and all candidates are equally likely."""
        known = self.known if known is None else known
        return (self.log_evidence.softmax(1)[..., None] * known).sum(1)


class Target(NamedTuple):
    """Posteriors: rows with the sign of their label (B, N, D), and alpha."""

    signed: torch.Tensor
    alpha: float

    def log_joint(self, v):
        """Log of likelihood times prior: (B, K, D) -> (B, K)."""
        constant = v.shape[-1] * math.log(self.alpha * math.sqrt(2 * math.pi))
        return F.logsigmoid(v @ self.signed.mT).sum(-1) - 0.5 * v.square().sum(-1) / self.alpha**2 - constant

    def gradient(self, v):
        """Of the log joint: (B, K, D)."""
        return torch.sigmoid(-v @ self.signed.mT) @ self.signed - v / self.alpha**2

    def precision(self, v):
        """Minus its second derivative at one point of each posterior: (B, 1, D) -> (B, D, D)."""
        p = torch.sigmoid(v @ self.signed.mT)  # (B, 1, N)
        rows = self.signed * (p * (1 - p)).sqrt().mT
        return rows.mT @ rows + torch.eye(v.shape[-1], dtype=v.dtype) / self.alpha**2


class Frame(NamedTuple):
    """Coordinates u, v = centre + root u, of points in rows: centre (B, 1, D), root (B, D, D) lower triangular."""

    centre: torch.Tensor
    root: torch.Tensor

    def to_v(self, u):
        return self.centre + u @ self.root.mT

    def to_u(self, v):
        return torch.linalg.solve_triangular(self.root, (v - self.centre).mT, upper=False).mT

    def log_gaussian(self, v):
        """Log density of N(centre, root root')."""
        constant = 0.5 * v.shape[-1] * math.log(2 * math.pi) + self.root.diagonal(dim1=1, dim2=2).log().sum(-1)
        return -0.5 * self.to_u(v).square().sum(-1) - constant[:, None]


def bayes_predictions(X, y, X_query, alphas, *, n_draws=250, n_chains=4, seed=0):
    """Posterior predictive probabilities of the queries, and the evidence, for every candidate alpha.

    X (B, N, D), y (B, N) of 0 and 1, X_query (B, Q, D); `n_draws` of each of `n_chains` (an even number) are kept.
    """
    X, X_query = X.double(), X_query.double()
    signed = X * (2.0 * y - 1.0)[..., None]
    generator = torch.Generator().manual_seed(seed)
    halves, evidence = [], []
    for alpha in alphas:
        draws = sample(Target(signed, float(alpha)), n_draws, n_chains, generator)  # (T, B, K, D)
        halves.append(torch.stack([_predict(half, X_query) for half in draws.chunk(2, dim=2)]))
        evidence.append(log_evidence(Target(signed, float(alpha)), draws.movedim(0, 2).flatten(1, 2), generator))
    halves = torch.stack(halves, 2)
    return Predictions(halves.mean(0), halves, torch.stack(evidence, 1))


def sample(target, n_draws, n_chains, generator):
    """Draws of every posterior: (T, B, K, D)."""
    chains = _Chains(target, find_frame(target), n_chains, generator)
    for n_iterations in ROUNDS:
        chains.warm_up(n_iterations)
    return torch.stack([chains.step()[0] for _ in range(n_draws)])


def _predict(draws, X_query):
    """Mean over draws and chains of the probability of label 1: (T, B, K, D) -> (B, Q)."""
    return sum(torch.sigmoid(v @ X_query.mT).mean(1) for v in draws) / len(draws)


def find_frame(target):
    """Mode of every posterior, by damped Newton steps, and its curvature there."""
    v = target.signed.new_zeros(len(target.signed), 1, target.signed.shape[-1])
    damping = 0.5 ** torch.arange(8.0, dtype=v.dtype)[:, None]
    for _ in range(NEWTON_STEPS):
        step = torch.linalg.solve(target.precision(v), target.gradient(v).mT).mT
        tried = v + damping * step  # (B, 8, D)
        best = target.log_joint(tried).argmax(-1)[:, None, None].expand_as(v)
        v = tried.gather(1, best)
    return Frame(v, torch.linalg.cholesky(torch.linalg.inv(target.precision(v))))


class _Chains:
    """Chains of all tasks, with one length of step for each posterior."""

    def __init__(self, target, frame, n_chains, generator):
        self.target, self.frame, self.generator = target, frame, generator
        self.u = self._normal(len(frame.root), n_chains, frame.root.shape[-1])
        self.log_step = self.u.new_full((len(frame.root),), math.log(0.5))

    def warm_up(self, n_iterations):
        """Adapt the length of the steps, then the coordinates to the later half of the draws."""
        kept = []
        for iteration in range(n_iterations):
            v, rate = self.step()
            self.log_step += (rate - ACCEPTANCE) / math.sqrt(1 + iteration)
            if 2 * iteration >= n_iterations:
                kept.append(v)
        draws = torch.cat(kept, 1)
        self.frame = fitted_frame(draws, self.frame)
        self.u = self.frame.to_u(v)

    def step(self):
        """One trajectory of leapfrog steps with its accept step: the draws, and the rates of acceptance (B,)."""
        jitter, share = 0.5 + torch.rand(2, generator=self.generator, dtype=torch.float64)
        size = self.log_step.exp() * (0.7 + 0.3 * jitter)
        low, high = LEAPFROGS
        n_leapfrogs = min(high, max(low, round(TRAJECTORY * share.item() / size.median().item())))
        size = size[:, None, None]
        momentum, u = self._normal(*self.u.shape), self.u
        start = self._energy(u, momentum)
        momentum = momentum + 0.5 * size * self._gradient(u)
        for number in range(n_leapfrogs):
            u = u + size * momentum
            momentum = momentum + (0.5 if number + 1 == n_leapfrogs else 1.0) * size * self._gradient(u)
        rate = torch.nan_to_num(torch.exp(start - self._energy(u, momentum))).clamp_max(1.0)
        accept = torch.rand(rate.shape, generator=self.generator, dtype=rate.dtype) < rate
        self.u = torch.where(accept[..., None], u, self.u)
        return self.frame.to_v(self.u), rate.mean(-1)

    def _energy(self, u, momentum):
        return 0.5 * momentum.square().sum(-1) - self.target.log_joint(self.frame.to_v(u))

    def _gradient(self, u):
        return self.target.gradient(self.frame.to_v(u)) @ self.frame.root

    def _normal(self, *shape):
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)


def fitted_frame(draws, fallback):
    """Frame of the mean and covariance of draws (B, T, D); few draws are complemented by the frame so far."""
    frame_share = draws.shape[-1] / draws.shape[1] / 2
    centre, covariance = _moments(draws)
    covariance = (covariance + frame_share * fallback.root @ fallback.root.mT) / (1 + frame_share)
    return Frame(centre, torch.linalg.cholesky(covariance))


def log_evidence(target, draws, generator):
    """Log marginal likelihoods (B,) by bridge sampling between the draws (B, T, D) and a Gaussian."""
    centre, covariance = _moments(draws)
    frame = Frame(centre, torch.linalg.cholesky(covariance))
    proposals = frame.to_v(torch.randn(draws.shape, generator=generator, dtype=draws.dtype))
    at_draws, at_proposals = (target.log_joint(v) - frame.log_gaussian(v) for v in (draws, proposals))
    estimate = at_draws.median(1).values
    for _ in range(100):
        # Equal numbers of draws and proposals: both shares of the bridge are one half.
        numerator = (at_proposals - torch.logaddexp(at_proposals, estimate[:, None])).logsumexp(1)
        denominator = (-torch.logaddexp(at_draws, estimate[:, None])).logsumexp(1)
        estimate = numerator - denominator
    return estimate


def _moments(draws):
    centre = draws.mean(1, keepdim=True)
    return centre, (draws - centre).mT @ (draws - centre) / (draws.shape[1] - 1)
