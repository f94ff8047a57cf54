"""What stands between a context and the paper's reasoner: few whitened coordinates, an order, blocks of rows.

Pure functions. Against the original (Bhatia et al., 2023) they cut directions at the numerical rank, fill missing ones
with zeros, undo the shrinkage that whitening inflicts on new rows, and choose an order that hangs on no caller.

Shapes: B tasks, N context rows, Q queries, D features, r directions, m blocks, P points of a block.
"""

from typing import Any, NamedTuple

import torch

from skicl.reasoning._preprocessing import Axes, principal_axes, project

TOLERANCE = 1e-6
N_FOLDS = 5
# A new row is on average this much nearer to the centre than context rows are, at most.
LARGEST_STRETCH = 4.0
# Normal points in 16 dimensions lie about 4 from the centre and hardly ever farther out than this.
FARTHEST_POINT = 8.0


class Whitening(NamedTuple):
    """Coordinates of unit variance on the context."""

    axes: Axes  # the leading principal axes of the context, r of them
    factor: torch.Tensor  # (B, 1, r): Inverse standard deviation along every axis, with a sign; 0 beyond the rank
    stretch: torch.Tensor  # (B, 1, r): What rows outside the context are multiplied by besides


class Blocks(NamedTuple):
    """Rows in the order in which the network reads them, cut into blocks."""

    index: torch.Tensor  # type: ignore[assignment]  # a field may hide tuple.index
    length: torch.Tensor  # (B, m): Rows in a block; 0 for a block that only other tasks need


def whiten(X: torch.Tensor, weight: torch.Tensor, n_features: int) -> tuple[Whitening, torch.Tensor]:
    """Whitened coordinates of a context, in float64, with the stretch that new rows need.

    Shapes: X (B, N, D), weight (B, N); returns coordinates (B, N, n_features).
    """
    whitening = _whiten_plainly(X, weight, n_features)
    coordinates = apply_whitening(whitening, X, n_features)
    # An axis has no direction of its own; that in which the rows reach farther out is taken as positive.
    skew = (weight[..., None] * coordinates[..., : whitening.factor.shape[2]] ** 3).sum(1, keepdim=True)
    sign = torch.where(skew < 0, -1.0, 1.0).to(X)
    coordinates = coordinates * torch.nn.functional.pad(sign, (0, n_features - sign.shape[2]), value=1.0)
    whitening = whitening._replace(factor=whitening.factor * sign)
    return whitening._replace(stretch=_stretch(X, weight, coordinates, whitening)), coordinates


def apply_whitening(whitening: Any, X: torch.Tensor, n_features: int, *, new: bool = False) -> Any:
    """Coordinates (B, n, n_features) of rows X (B, n, D), pulled in where they lie farther out than any point."""
    z, _ = project(whitening.axes, X)
    z = z * whitening.factor * (whitening.stretch if new else 1.0)
    z = z * (FARTHEST_POINT / z.norm(dim=-1, keepdim=True).clamp_min(FARTHEST_POINT))
    return torch.nn.functional.pad(z, (0, n_features - z.shape[2]))


def _whiten_plainly(X: torch.Tensor, weight: torch.Tensor, n_features: int) -> Any:
    (mean, scale, directions, spectrum), _ = principal_axes(X, weight, tolerance=TOLERANCE)
    directions, spectrum = directions[..., :n_features], spectrum[:, :n_features]
    factor = torch.where(spectrum > 0, spectrum.clamp_min(1e-30).rsqrt(), 0.0)[:, None]
    return Whitening(Axes(mean, scale, directions, spectrum), factor, torch.ones_like(factor))


def _stretch(X: torch.Tensor, weight: torch.Tensor, coordinates: Any, whitening: Any) -> Any:
    """Inverse spread of rows along axes that were found without them, by cross-validation over folds of rows.

    Axes follow the rows they are found from: whitening gives these unit variance, and less to all others.
    """
    # Folds by content, so that equal rows share one: none of them is to be predicted from the others.
    fold = (_hash(coordinates) * N_FOLDS).long()
    n_axes = whitening.factor.shape[2]
    squares, mass = torch.zeros_like(whitening.factor), torch.zeros_like(whitening.factor)
    for number in range(N_FOLDS):
        inside = torch.where(fold == number, 0.0, weight)
        inside = torch.where(inside.sum(1, keepdim=True) > 0, inside, weight)
        held_out = torch.where(fold == number, weight, 0.0)[..., None]
        other = _whiten_plainly(X, inside, n_axes)
        z = apply_whitening(other, X, n_axes)
        present = torch.nn.functional.pad((other.factor != 0).to(z), (0, n_axes - other.factor.shape[2]))
        squares += (held_out * z.square()).sum(1, keepdim=True)
        mass += held_out.sum(1, keepdim=True) * present
    spread = (squares / mass.clamp_min(1e-12)).sqrt()
    known = (mass > 0) & (weight.sum(1)[:, None, None] >= 2 * N_FOLDS)
    return torch.where(known, 1 / spread.clamp(1 / LARGEST_STRETCH, 1.0), 1.0)


def canonical_order(coordinates: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """An order of the rows that looks random, knows nothing of the order in which they came, and is always the same.

    Shapes: coordinates (B, N, r), y (B, N); returns (B, N).
    """
    key = _hash(coordinates)
    by_label = y.argsort(dim=1, stable=True)
    return by_label.gather(1, key.gather(1, by_label).argsort(dim=1, stable=True))


def _hash(coordinates: Any) -> Any:
    """A number from 0 to 1 of every row (B, N); neighbours in space get unlike ones, equal rows the same."""
    steps = torch.arange(1, coordinates.shape[2] + 1, dtype=coordinates.dtype, device=coordinates.device)
    direction = 0.5 + (steps * 0.6180339887498949) % 1.0
    # Rounded, so that equal rows stay equal where their coordinates differ by rounding.
    return ((1000 * coordinates @ direction) % 1.0).mul(1e6).floor().div(1e6)


def cut_into_blocks(order: torch.Tensor, weight: torch.Tensor, n_points: int, n_blocks: int) -> Blocks:
    """Rows in order, as often as their weights say, in as few blocks of equal length as hold them.

    A row of weight two is read twice. Weights that are no whole numbers are rounded so that sums over stretches of
    the order are kept to one half; where more rows would be read than ``n_blocks`` blocks hold, all weights shrink.

    Shapes: order (B, N), weight (B, N).
    """
    cumulative = weight.double().gather(1, order).cumsum(1)
    total = cumulative[:, -1:]
    n_read = total.round().clamp(max=n_points * n_blocks).clamp(min=1.0) * (total > 0)
    reached = (cumulative * (n_read / total.clamp_min(1e-30)) + 0.5 - 1e-9).floor().long()
    copies = reached.diff(dim=1, prepend=torch.zeros_like(reached[:, :1]))
    tasks = [task_order.repeat_interleave(task_copies) for task_order, task_copies in zip(order, copies)]
    numbers = [max(1, -(-len(rows) // n_points)) for rows in tasks]
    parts = []
    for rows, number in zip(tasks, numbers):
        parts += [*torch.tensor_split(rows, number), *[rows[:0]] * (max(numbers) - number)]
    length = torch.tensor([len(part) for part in parts], device=order.device).view(len(tasks), -1)
    index = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).view(*length.shape, -1)
    return Blocks(index, length)
