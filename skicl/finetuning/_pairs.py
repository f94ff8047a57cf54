"""Pairs of rows for contrastive training, drawn when they are needed."""

import numpy as np


class PairSampler:
    """Draws pairs of rows, half of them of the same class, in constant time and memory for each.

    Rows are sorted by class once. A pair of one class is a row and another row of its block; a pair of two classes is
    a row and a row outside of its block, which is the whole circle of rows less one arc. No list of all pairs is made.
    `codes` (n_rows,) hold at least two classes.
    """

    def __init__(self, codes):
        codes = np.asarray(codes)
        self.order = np.argsort(codes, kind="stable")
        _, block, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        starts = np.cumsum(sizes) - sizes
        of_place = block[self.order]  # places are positions in the sorted rows
        self.start, self.size = starts[of_place], sizes[of_place]
        # A row that is alone in its class can only be paired with itself, which teaches nothing.
        with_partner = np.flatnonzero(self.size > 1)
        self.anchors = with_partner

    def draw(self, n_pairs, generator):
        """Numbers of left and right rows (n_pairs,), and whether both are of one class (n_pairs,).

        Half of the pairs, rounded up, are of the same class, none if all rows are alone in their class.
        """
        n_same = (n_pairs + 1) // 2 if len(self.anchors) else 0
        n_rows = len(self.order)
        first = self.anchors[generator.integers(len(self.anchors), size=n_same)] if n_same else np.zeros(0, dtype=int)
        start, size = self.start[first], self.size[first]
        # One step or more around the block of the class: never the row itself.
        step = generator.integers(1, np.maximum(size, 2))
        second = start + (first - start + step) % size
        third = generator.integers(n_rows, size=n_pairs - n_same)
        # From the end of the block around the circle of all places up to its start: never the same class.
        start, size = self.start[third], self.size[third]
        fourth = (start + size + generator.integers(n_rows - size)) % n_rows
        left, right = np.concatenate([first, third]), np.concatenate([second, fourth])
        return self.order[left], self.order[right], np.arange(n_pairs) < n_same


def cosine_pair_loss(left, right, same, weights):
    """Weighted mean squared distance of cosines of vectors (B, D) from `same` (B,): 1 for one class, 0 for two.

    The loss of SetFit (Tunstall et al., 2022, "Efficient Few-Shot Learning Without Prompts", section 3.1).
    """
    import torch

    cosines = torch.nn.functional.cosine_similarity(left, right, dim=1)
    return (weights * (cosines - same).square()).mean()
