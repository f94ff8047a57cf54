"""Coordinates in which a context is read: centred, scaled, rotated to its own principal axes.

Everything here depends on the context alone and is equivariant: rows may be permuted, features
rotated, and a row of weight two equals two rows. Pure functions, tensors in, tensors out.

Shapes: B tasks, N context rows, Q query rows, D features, r directions kept, m landmarks.
"""

from typing import NamedTuple

import torch


class Axes(NamedTuple):
    """Principal axes of a weighted context.

    Attributes
    ----------
    mean : Tensor of shape (B, 1, D)
        Weighted mean of the context rows.
    scale : Tensor of shape (B, 1, 1)
        Root mean squared distance to the mean; 1 where all rows are equal.
    directions : Tensor of shape (B, D, r)
        Orthonormal columns, zero beyond the numerical rank.
    spectrum : Tensor of shape (B, r)
        Variances along the directions, descending; they sum to one, 0 beyond the rank.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    directions: torch.Tensor
    spectrum: torch.Tensor


class Landmarks(NamedTuple):
    """A radial kernel expanded over rows of the context (a Nystroem map).

    Attributes
    ----------
    rows : Tensor of shape (B, m, r)
        Coordinates of the landmarks on the principal axes of the context.
    factor : Tensor of shape (B, m, m)
        Lower Cholesky factor of the kernel between the landmarks; identity rows for unused ones.
    used : Tensor of shape (B, m)
        1 where a landmark carries information, 0 where the kernel was already exhausted.
    """

    rows: torch.Tensor
    factor: torch.Tensor
    used: torch.Tensor


def principal_axes(X, weight, *, tolerance):
    """Centre, scale and rotate a weighted context.

    Parameters
    ----------
    X : Tensor of shape (B, N, D)
    weight : Tensor of shape (B, N)
        Non-negative, with a positive sum in every task.
    tolerance : float
        Directions whose variance is at most this fraction of the largest are dropped.

    Returns
    -------
    Axes
        With r = min(N, D) directions, or as many as the task of highest rank needs.
    """
    total = weight.sum(1)[:, None, None]                                    # (B, 1, 1)
    mean = (weight[:, :, None] * X).sum(1, keepdim=True) / total
    centred = X - mean
    variance = (weight[:, :, None] * centred.square()).sum((1, 2), keepdim=True) / total
    # Rows that differ only by the rounding of their mean are equal rows.
    rounding = (64 * torch.finfo(X.dtype).eps) ** 2 * mean.square().sum(2, keepdim=True)
    scale = torch.where(variance > rounding, variance, 1.0).sqrt()
    rows = weight[:, :, None].sqrt() * centred / (scale * total.sqrt())     # rows' rows = covariance
    if X.shape[1] < X.shape[2]:
        spectrum, left = torch.linalg.eigh(rows @ rows.mT)
        directions = rows.mT @ (left / spectrum.clamp_min(1e-30).sqrt()[:, None])
    else:
        spectrum, directions = torch.linalg.eigh(rows.mT @ rows)
    spectrum, directions = spectrum.flip(-1), directions.flip(-1)
    kept = (spectrum > tolerance * spectrum[:, :1]) & (variance > rounding)[:, 0]
    rank = max(1, int(kept.sum(1).max()))
    kept, spectrum, directions = kept[:, :rank], spectrum[:, :rank], directions[..., :rank]
    return Axes(mean, scale, directions * kept[:, None], spectrum * kept)


def project(axes, X):
    """Coordinates of rows on the axes, (B, Q, r), and their squared norm off the axes, (B, Q)."""
    centred = (X - axes.mean) / axes.scale
    coordinates = centred @ axes.directions
    off = (centred.square().sum(-1) - coordinates.square().sum(-1)).clamp_min(0.0)
    return coordinates, off


def radial_kernel(a, b):
    """``exp(-|a - b|^2)`` between rows whose mean squared norm is one: (B, n, r), (B, m, r) -> (B, n, m)."""
    squared = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None] - 2 * a @ b.mT
    return torch.exp(-squared.clamp_min(0.0))


def choose_landmarks(rows, weight, n_landmarks, *, tolerance):
    """Pick context rows that span a radial kernel, by pivoted Cholesky decomposition.

    The first landmark is the row nearest to the mean, every next one the row that the landmarks so
    far explain worst (Harbrecht, Peters and Schneider, 2012, "On the low-rank approximation by the
    pivoted Cholesky decomposition"). The choice knows neither the order of the rows nor the
    orientation of the features, and a repeated row is never chosen twice.

    Parameters
    ----------
    rows : Tensor of shape (B, N, r)
        Coordinates of the context on its principal axes.
    weight : Tensor of shape (B, N)
        Rows of weight zero are never chosen.
    n_landmarks : int
    tolerance : float
        A row whose unexplained part is below this is not worth a landmark.

    Returns
    -------
    Landmarks
    """
    n_tasks, n_rows, _ = rows.shape
    m = min(n_landmarks, n_rows)
    task = torch.arange(n_tasks, device=rows.device)
    unexplained = (weight > 0).to(rows.dtype)
    # All rows start equally unexplained: start from the middle, a choice without an order.
    preference = unexplained / (1.0 + rows.square().sum(-1))
    factor = rows.new_zeros(n_tasks, n_rows, m)
    pivots = torch.zeros(n_tasks, m, dtype=torch.long, device=rows.device)
    used = torch.zeros(n_tasks, m, dtype=rows.dtype, device=rows.device)
    for j in range(m):
        pivot = (preference if j == 0 else unexplained).argmax(1)
        left = unexplained[task, pivot]
        useful = left > tolerance
        column = radial_kernel(rows, rows[task, pivot][:, None])[..., 0]
        column = column - (factor[:, :, :j] @ factor[task, pivot, :j][:, :, None])[..., 0]
        column = column * (useful / left.clamp_min(tolerance).sqrt())[:, None]
        factor[:, :, j] = column
        unexplained = (unexplained - column.square()).clamp_min(0.0)
        unexplained[task, pivot] = 0.0
        pivots[:, j], used[:, j] = pivot, useful.to(rows.dtype)
    count = max(1, int(used.sum(1).max()))
    pivots, used = pivots[:, :count], used[:, :count]
    at_pivots = factor[task[:, None], pivots][..., :count]                  # (B, m, m)
    # A landmark that explains nothing gets a row and a column of the identity: it stays silent.
    factor = at_pivots.tril() * used[:, :, None] + torch.diag_embed(1.0 - used)
    return Landmarks(rows[task[:, None], pivots], factor, used)


def expand(landmarks, rows):
    """Nystroem features (B, Q, m): inner products of them approximate the radial kernel."""
    kernel = radial_kernel(rows, landmarks.rows) * landmarks.used[:, None]
    return torch.linalg.solve_triangular(landmarks.factor, kernel.mT, upper=False).mT
