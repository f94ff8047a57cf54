"""The nearest rows of a context, by search in a tree of cells whose cost grows with the logarithm of the rows.

A cell is split in two at the median along the direction in which its rows spread most. A query follows the cells with
the nearest centres down to the leaves and compares itself with all rows there: with every row of the context where
there are few, with some thousand of many.

Shapes: n rows, Q queries, D features, k neighbours.
"""

from dataclasses import dataclass

import numpy as np

# Rows in a leaf, at most (more where many are equal), and leaves that a query looks into. Where these would hold all
# rows, nothing is split, and the search is exact. Chosen by recall and time at 100,000 rows (lab notes).
LEAF_ROWS = 512
BEAM = 32
# Steps of the power method for the direction of a split.
N_STEPS = 3
# A split that leaves less on one side, as among equal rows, is made by rank.
SMALLEST_SIDE = 0.25
# Queries searched for at a time, to bound memory.
QUERIES_AT_A_TIME = 256


@dataclass(frozen=True, eq=False)
class Tree:
    """Rows in the order of the leaves, and the cells of every level, each split into two of the next."""

    rows: np.ndarray  # (n, D), float32
    numbers: np.ndarray  # (n,): what the rows were before
    half_squares: np.ndarray  # (n,): half of their squared lengths
    bounds: list[np.ndarray]  # one a level, (2^level + 1,): where the rows of its cells begin, and the end
    centres: list[np.ndarray]  # one a level, (2^level, D)

    @classmethod
    def grow(cls, rows):
        """A tree of rows (n, D) in float32; it does not depend on their order."""
        along = np.einsum("ij,j->i", rows, np.cos(np.arange(1.0, rows.shape[1] + 1)))  # in float64, without a copy
        numbers = np.argsort(along, kind="stable")
        rows, bounds = rows[numbers], [np.array([0, len(rows)])]
        while len(rows) > BEAM * LEAF_ROWS and (len(bounds[-1]) - 1) * LEAF_ROWS < len(rows):
            middles = []
            for begin, end in zip(bounds[-1], bounds[-1][1:]):
                order, n_left = _halves(rows[begin:end])
                rows[begin:end], numbers[begin:end] = rows[begin:end][order], numbers[begin:end][order]
                middles.append(begin + n_left)
            bounds.append(np.sort(np.append(bounds[-1], middles)))
        leaves = np.add.reduceat(rows, bounds[-1][:-1], axis=0, dtype=np.float64)
        sums = [leaves]
        for _ in bounds[1:]:
            sums.append(sums[-1][::2] + sums[-1][1::2])
        centres = [total / np.diff(bound)[:, None] for total, bound in zip(reversed(sums), bounds)]
        return cls(rows, numbers, _half_squares(rows), bounds, [centre.astype(np.float32) for centre in centres])

    def nearest(self, X, k):
        """Numbers (Q, k) of the nearest rows of queries (Q, D), near ones first, and their squared distances."""
        k = min(k, len(self.rows))
        parts = [self._nearest(X[i : i + QUERIES_AT_A_TIME], k) for i in range(0, len(X), QUERIES_AT_A_TIME)]
        return tuple(map(np.concatenate, zip(*parts)))

    def _nearest(self, X, k):
        X = X.astype(np.float32, copy=False)
        places = self._candidates(X, k)
        # The differences once more, exactly: products of long rows lose the distance of near ones.
        differences = self.rows[places].astype(np.float64) - X[:, None]
        squares = np.einsum("qkd,qkd->qk", differences, differences)
        order = np.lexsort([self.numbers[places], squares])
        places, squares = np.take_along_axis(places, order, 1), np.take_along_axis(squares, order, 1)
        return self.numbers[places], squares

    def _candidates(self, X, k):
        """Places (Q, k) of the nearest rows of queries, in no order."""
        if len(self.bounds) == 1:
            return _smallest(self.half_squares - X @ self.rows.T, k)
        cells = self._leaves(X)
        found = np.full((len(X), cells.shape[1], k), np.inf, dtype=np.float32)
        places = np.zeros(found.shape, dtype=np.int64)
        for cell in np.unique(cells):
            queries, rank = np.nonzero(cells == cell)
            begin, end = self.bounds[-1][cell], self.bounds[-1][cell + 1]
            distances = self.half_squares[begin:end] - X[queries] @ self.rows[begin:end].T
            best = _smallest(distances, min(k, end - begin))
            found[queries, rank, : best.shape[1]] = np.take_along_axis(distances, best, 1)
            places[queries, rank, : best.shape[1]] = begin + best
        found, places = found.reshape(len(X), -1), places.reshape(len(X), -1)
        return np.take_along_axis(places, _smallest(found, k), 1)

    def _leaves(self, X):
        """The leaves that queries look into, (Q, at most BEAM)."""
        beam = np.zeros((len(X), 1), dtype=np.int64)
        for centres in self.centres[1:]:
            beam = np.concatenate([2 * beam, 2 * beam + 1], axis=1)
            if beam.shape[1] > BEAM:
                near = centres[beam]  # (Q, 2 BEAM, D): these alone, or the cost would grow with the rows
                distances = 0.5 * np.einsum("qbd,qbd->qb", near, near) - (near @ X[:, :, None])[:, :, 0]
                beam = np.take_along_axis(beam, _smallest(distances, BEAM), 1)
        return beam


def _halves(rows):
    """An order of rows (n, D) that puts those on one side of their median first, and how many these are."""
    centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    along = rows @ centre
    squares = np.einsum("ij,ij->i", rows, rows) - 2 * along
    direction = rows[squares.argmax()] - centre
    for _ in range(N_STEPS):
        direction = direction / max(float(np.linalg.norm(direction)), np.finfo(np.float32).tiny)
        position = rows @ direction - centre @ direction
        direction = position @ rows - position.sum() * centre
    position = rows @ direction
    order = np.argsort(position, kind="stable")
    sorted_positions, middle = position[order], len(rows) // 2
    n_left = int(np.searchsorted(sorted_positions, sorted_positions[middle - 1], side="right"))
    smallest = SMALLEST_SIDE * len(rows)
    return order, n_left if smallest <= n_left <= len(rows) - smallest else middle


def _half_squares(rows):
    return 0.5 * np.einsum("ij,ij->i", rows, rows)


def _smallest(values, k):
    """Places (Q, k) of the smallest values (Q, n) of each row."""
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, k - 1, axis=1)[:, :k]
