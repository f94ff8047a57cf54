"""Coordinates in which a context is read: centred, scaled, rotated to its own principal axes.

Everything here depends on the context alone and is equivariant: rows may be permuted, features
rotated, and a row of weight two equals two rows. Pure functions, tensors in, tensors out.

Shapes: B tasks, N context rows, Q query rows, D features, r directions kept, m landmarks.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

# Rows that differ from their mean by so many roundings of a number count as equal.
ROUNDINGS = 64
# Symmetric products are computed for so many columns at a time, up to the diagonal.
BLOCK = 96


class Axes(NamedTuple):
    """Principal axes of a weighted context."""

    mean: torch.Tensor  # (B, 1, D): Weighted mean of the context rows
    scale: torch.Tensor  # (B, 1, 1): Root mean squared distance to the mean; 1 where all rows are equal
    directions: torch.Tensor  # (B, D, r): Orthonormal columns, zero beyond the numerical rank
    spectrum: torch.Tensor  # (B, r): Variances along the directions, descending; they sum to one, 0 beyond the rank


class Landmarks(NamedTuple):
    """A radial kernel expanded over rows of the context (a Nystroem map)."""

    rows: torch.Tensor  # (B, m, r): Coordinates of the landmarks on the principal axes of the context
    # (B, m, m): Inverse transposed Cholesky factor of the kernel between the landmarks; zero rows for unused ones
    whitening: torch.Tensor
    used: torch.Tensor  # (B, m): 1 where a landmark carries information, 0 where the kernel was already exhausted


def principal_axes(X: torch.Tensor, weight: torch.Tensor, *, tolerance: float) -> tuple[Axes, torch.Tensor]:
    """Centre, scale and rotate a weighted context: its axes, and the coordinates of its rows on them (B, N, r).

    Shapes: X (B, N, D), weight (B, N).
    """
    total = weight.sum(1)[:, None, None]  # (B, 1, 1)
    mean = (weight[:, :, None] * X).sum(1, keepdim=True) / total
    centred = X - mean
    variance = (weight * centred.square().sum(2)).sum(1)[:, None, None] / total
    # Rows that differ only by the rounding of their mean are equal rows.
    rounding = (ROUNDINGS * torch.finfo(X.dtype).eps) ** 2 * mean.square().sum(2, keepdim=True)
    scale = torch.where(variance > rounding, variance, 1.0).sqrt()
    share = (weight[:, :, None] / total).sqrt()
    rows = centred * (share / scale)  # rows' rows = covariance
    fewer_rows = X.shape[1] < X.shape[2]
    if fewer_rows:
        spectrum, left = torch.linalg.eigh(_gram(rows.mT))
        directions = rows.mT @ (left / spectrum.clamp_min(1e-30).sqrt()[:, None])
    else:
        spectrum, directions = torch.linalg.eigh(_gram(rows))
    spectrum, directions = spectrum.flip(-1), directions.flip(-1)
    kept = (spectrum > tolerance * spectrum[:, :1]) & (variance > rounding)[:, 0]
    rank = max(1, int(kept.sum(1).max()))
    kept, spectrum, directions = kept[:, :rank], spectrum[:, :rank], directions[..., :rank]
    axes = Axes(mean, scale, directions * kept[:, None], spectrum * kept)
    if fewer_rows and bool((weight.amin(1) > torch.finfo(X.dtype).eps ** 0.5 * weight.amax(1)).all()):
        return axes, left.flip(-1)[..., :rank] * axes.spectrum[:, None].sqrt() / share
    return axes, (centred / scale) @ axes.directions


def _gram(rows: torch.Tensor) -> torch.Tensor:
    """Inner products of the columns, (B, N, D) -> (B, D, D); ``eigh`` reads the lower triangle, the rest is missing."""
    n_columns = rows.shape[2]
    gram = rows.new_zeros(len(rows), n_columns, n_columns)
    for i in range(0, n_columns, BLOCK):
        gram[:, i : i + BLOCK, : i + BLOCK] = rows[..., i : i + BLOCK].mT @ rows[..., : i + BLOCK]
    return gram


def project(axes: Any, X: torch.Tensor) -> tuple:
    """Coordinates of rows on the axes, (B, Q, r), and their squared norm off the axes, (B, Q)."""
    centred = ((X - axes.mean) / axes.scale).to(axes.directions)
    coordinates = centred @ axes.directions
    off = (centred.square().sum(-1) - coordinates.square().sum(-1)).clamp_min(0.0)
    return coordinates, off


def radial_kernel(a: Any, b: Any) -> Any:
    """``exp(-|a - b|^2)`` between rows whose mean squared norm is one: (B, n, r), (B, m, r) -> (B, n, m)."""
    squared = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None] - 2 * (a @ b.mT)
    return torch.exp(-squared.clamp_min(0.0))


def choose_landmarks(
    rows: torch.Tensor, weight: torch.Tensor, n_landmarks: int, *, tolerance: float
) -> tuple[Landmarks, torch.Tensor]:
    """Pick context rows that span a radial kernel, by pivoted Cholesky decomposition.

    The first landmark is the row nearest to the mean, every next one the row that the landmarks so
    far explain worst (Harbrecht, Peters and Schneider, 2012, "On the low-rank approximation by the
    pivoted Cholesky decomposition"). The choice knows neither the order of the rows nor the
    orientation of the features, and a repeated row is never chosen twice.

    Shapes: rows (B, N, r), weight (B, N); returns features (B, N, m).
    """
    n_tasks, n_rows, _ = rows.shape
    m = min(n_landmarks, n_rows)
    # Few rows: all kernel values in one product cost less than one column at a time.
    kernel = radial_kernel(rows, rows) if n_rows <= 3 * m else None
    features = rows.new_empty(n_tasks, m, n_rows)
    task = torch.arange(n_tasks, device=rows.device)
    tensors = rows, (weight > 0).to(rows.dtype), kernel, task, features
    if rows.device.type == "cpu":  # NumPy takes the same small steps, in the same memory, in half of the time
        arrays: Any = [None if tensor is None else tensor.numpy() for tensor in tensors]
        chosen, left = map(torch.from_numpy, _pivoted_cholesky(np, *arrays, tolerance=tolerance))
    else:
        chosen, left = _pivoted_cholesky(torch, *tensors, tolerance=tolerance)
    used = (left > tolerance).to(rows.dtype)
    count = max(1, int(used.sum(1).max()))
    chosen, used, features = chosen[:, :count], used[:, :count], features[:, :count].mT  # (B, N, m)
    # A landmark that explains nothing gets a row and a column of the identity: it stays silent.
    factor = features[task[:, None], chosen].tril() * used[:, :, None] + torch.diag_embed(1.0 - used)
    identity = torch.eye(count, dtype=rows.dtype, device=rows.device).expand_as(factor)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    return Landmarks(rows[task[:, None], chosen], inverse.mT * used[:, :, None], used), features


def _pivoted_cholesky(
    library: Any, rows: Any, unexplained: Any, kernel: Any, task: Any, features: Any, *, tolerance: float
) -> tuple:
    """Fill in the features (B, m, N); returns the pivots and what was left to explain of each, (B, m).

    All arrays are of one library, NumPy or PyTorch, and written so that both understand it.
    """
    norms = (rows * rows).sum(2)
    # All rows start equally unexplained: start from the middle, a choice without an order.
    preference = unexplained / (1.0 + norms)
    pivots, lefts = [], []
    for j in range(features.shape[1]):
        pivot = (unexplained if j else preference).argmax(1)  # (B,)
        left = unexplained[task, pivot][:, None]
        if kernel is not None:
            column = kernel[task, pivot]  # (B, N)
        else:
            products = (rows @ rows[task, pivot][:, :, None])[:, :, 0]
            squared = norms + norms[task, pivot][:, None] - 2 * products
            column = library.exp(-squared.clip(0.0))
        own = features[task, :j, pivot][:, None]  # (B, 1, j)
        column = column - (own @ features[:, :j])[:, 0]
        # A pivot that is explained already adds a column of zeros, and nothing after it is better.
        column = column * ((left > tolerance) / left.clip(tolerance) ** 0.5)
        features[:, j] = column
        unexplained = unexplained - column * column
        pivots.append(pivot)
        lefts.append(left[:, 0])
    return library.stack(pivots, 1), library.stack(lefts, 1)


def expand(landmarks: Any, rows: torch.Tensor) -> Any:
    """Nystroem features (B, Q, m): inner products of them approximate the radial kernel."""
    return radial_kernel(rows, landmarks.rows) @ landmarks.whitening
