"""Pairs of rows for contrastive training, drawn when they are needed."""

import numpy as np


class PairSampler:
    """Draws pairs of rows, half of them of the same class, in constant time and memory for each.

    Rows are sorted by class once. A pair of one class is a row and another row of its block; a pair of two classes is
    a row and a row outside of its block, which is the whole circle of rows less one arc. No list of all pairs is made.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Number of the class of each row; at least two classes.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.finetuning._pairs import PairSampler
    >>> codes = np.array([0, 0, 1, 1])
    >>> left, right, same = PairSampler(codes).draw(6, np.random.default_rng(0))
    >>> bool(((codes[left] == codes[right]) == same).all()), int(same.sum())
    (True, 3)
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
        """Draw pairs.

        Parameters
        ----------
        n_pairs : int
            How many; half of them, rounded up, are of the same class, none if all rows are alone in their class.
        generator : numpy.random.Generator
            Where they are drawn from.

        Returns
        -------
        left, right : ndarrays of shape (n_pairs,)
            Numbers of rows.
        same : ndarray of shape (n_pairs,), dtype bool
            Whether both are of one class.
        """
        n_same = (n_pairs + 1) // 2 if len(self.anchors) else 0
        n_rows = len(self.order)
        first = self.anchors[generator.integers(len(self.anchors), size=n_same)] if n_same else np.zeros(0, dtype=int)
        start, size = self.start[first], self.size[first]
        step = generator.integers(1, np.maximum(size, 2))
        second = start + (first - start + step) % size
        third = generator.integers(n_rows, size=n_pairs - n_same)
        start, size = self.start[third], self.size[third]
        fourth = (start + size + generator.integers(n_rows - size)) % n_rows
        left, right = np.concatenate([first, third]), np.concatenate([second, fourth])
        return self.order[left], self.order[right], np.arange(n_pairs) < n_same


def cosine_pair_loss(left, right, same, weights):
    """Squared distance of the cosine of two vectors from 1 for rows of one class and from 0 for others.

    The loss of SetFit (Tunstall et al., 2022, "Efficient Few-Shot Learning Without Prompts", section 3.1).

    Parameters
    ----------
    left, right : tensors of shape (n_pairs, n_features)
        The vectors.
    same : tensor of shape (n_pairs,)
        1 for pairs of one class, 0 for others.
    weights : tensor of shape (n_pairs,)
        How much each pair counts; 1 on average.

    Returns
    -------
    loss : tensor of shape ()

    Examples
    --------
    >>> import torch
    >>> from skicl.finetuning._pairs import cosine_pair_loss
    >>> one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> weight = torch.ones(1)
    >>> [cosine_pair_loss(one, other, torch.tensor([same]), weight).item() for same in (0.0, 1.0)]
    [0.0, 1.0]
    """
    import torch

    cosines = torch.nn.functional.cosine_similarity(left, right, dim=1)
    return (weights * (cosines - same).square()).mean()
