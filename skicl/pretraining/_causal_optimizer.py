"""Muon: momentum whose matrices are made orthogonal before the step, beside Adam for everything else."""

from collections.abc import Callable
from typing import Any

import torch

# Coefficients of a quintic iteration that drives singular values to about one (Jordan et al., 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# The step of a matrix then has the root mean square that Adam's steps usually have (Liu et al., 2025).
SIZE = 0.2


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised steps for the matrices of hidden layers, Adam for all other parameters [1]_ [2]_.

    Parameters
    ----------
    named_parameters : iterable of (str, Parameter)
    lr : float
        Rate of both.
    hidden : callable
        From a name to whether a matrix is one of a hidden layer. One with three times as many rows as columns holds
        three maps (queries, keys, values), which are made orthogonal one by one.
    momentum : float, default=0.95
        Of the matrices.
    betas : tuple of two floats, default=(0.9, 0.98)
        Of Adam.
    weight_decay : float, default=0.0
        Decoupled, of all parameters.

    References
    ----------
    .. [1] Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
    .. [2] Liu et al. (2025), "Muon is scalable for LLM training".
    """

    def __init__(
        self,
        named_parameters: Any,
        lr: float,
        hidden: Callable,
        *,
        momentum: float = 0.95,
        betas: tuple = (0.9, 0.98),
        weight_decay: float = 0.0,
    ) -> None:
        named = list(named_parameters)
        groups = [
            {"params": [p for name, p in named if hidden(name) and p.ndim == 2], "orthogonal": True},
            {"params": [p for name, p in named if not (hidden(name) and p.ndim == 2)], "orthogonal": False},
        ]
        super().__init__(
            [group for group in groups if group["params"]],
            {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay},
        )

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # it never evaluates the loss anew
        """Take a step along the gradients at hand."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    of_kind = self._orthogonal_step if group["orthogonal"] else self._adam_step
                    parameter.add_(of_kind(parameter, group), alpha=-group["lr"])

    def _orthogonal_step(self, parameter: Any, group: Any) -> Any:
        state, gradient = self.state[parameter], parameter.grad
        average = state.setdefault("exp_avg", torch.zeros_like(parameter))
        average.mul_(group["momentum"]).add_(gradient)
        step = gradient + group["momentum"] * average
        return torch.cat([orthogonal(part) for part in step.split(_rows_of_a_map(step))])

    def _adam_step(self, parameter: Any, group: Any) -> Any:
        state, (first, second) = self.state[parameter], group["betas"]
        count = state.setdefault("step", torch.zeros(())).add_(1).item()
        average = state.setdefault("exp_avg", torch.zeros_like(parameter)).lerp_(parameter.grad, 1 - first)
        squares = state.setdefault("exp_avg_sq", torch.zeros_like(parameter)).lerp_(parameter.grad.square(), 1 - second)
        return average / (1 - first**count) / ((squares / (1 - second**count)).sqrt() + 1e-8)


def _rows_of_a_map(matrix: Any) -> Any:
    """Queries, keys and values are three maps in one matrix; a map to four times the channels is one."""
    rows, columns = matrix.shape
    return columns if rows == 3 * columns else rows


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with equal singular values, roughly, of the size of a step of Adam.

    Shapes: matrix (rows, columns); returns (rows, columns).
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    X = wide / (wide.norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = X @ X.mT
        X = a * X + (b * gram + c * gram @ gram) @ X
    return SIZE * max(matrix.shape) ** 0.5 * (X if wide is matrix else X.mT)
