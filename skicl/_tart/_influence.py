"""What every row of a context adds to a prediction: which rows to leave out, and how many contexts to read together."""

import numpy as np
import torch

from skicl.reasoning import Evidence

# Contexts that lack a row are read together while their rows hold at most so many numbers: more do not fit the cache
# of a processor, and are no faster. An accelerator needs more to be busy.
NUMBERS_AT_A_TIME = {"cpu": 2**20, "cuda": 2**26}
NUMBERS_OF_A_PAIR = 32  # what a (row, class) pair holds, about, beside the features of the row


def chosen_rows(rows, n_context):
    """Numbers of the rows whose influence is wanted.

    Parameters
    ----------
    rows : array-like of int of shape (n_rows,), or None
        What the user gave; None means all.
    n_context : int
        Number of rows in the context.

    Returns
    -------
    ndarray of shape (n_rows,), dtype int64

    Examples
    --------
    >>> from skicl._tart._influence import chosen_rows
    >>> chosen_rows(None, 3), chosen_rows([2, 0], 3)
    (array([0, 1, 2]), array([2, 0]))
    """
    if rows is None:
        return np.arange(n_context)
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or (len(chosen) and chosen.dtype.kind not in "iu"):
        raise ValueError(
            f"`rows` must be a list of row numbers, got {chosen.dtype} of shape {chosen.shape}. Turn a "
            "mask into numbers with numpy.flatnonzero."
        )
    outside = [row for row in chosen.tolist() if not 0 <= row < n_context]
    if outside:
        raise ValueError(f"`rows` holds {outside[:5]}; the context has the rows 0 to {n_context - 1}.")
    return chosen.astype(np.int64)


def indispensable_row(codes, weight, *, told_apart):
    """The row without which nothing would tell the classes apart.

    Parameters
    ----------
    codes : ndarray of shape (n_context,)
        Classes of the rows; -1 without a label.
    weight : ndarray of shape (n_context,)
        Weights of the rows.
    told_apart : bool
        Whether names of the classes or another model tell them apart, where any row gives the scale.

    Returns
    -------
    int
        Its number; -1 if there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl._tart._influence import indispensable_row
    >>> indispensable_row(np.array([-1, 0]), np.ones(2), told_apart=False)
    1
    """
    needed = np.flatnonzero((weight > 0) & (told_apart | (codes >= 0)))
    return int(needed[0]) if len(needed) == 1 else -1


def contexts_at_a_time(n_context, n_features, n_classes, device):
    """How many contexts to read together.

    Parameters
    ----------
    n_context, n_features, n_classes : int
        Sizes of one context.
    device : torch.device
        Where they are read.

    Returns
    -------
    int
        At least one.
    """
    numbers = n_context * max(n_features, NUMBERS_OF_A_PAIR * n_classes)
    return max(1, NUMBERS_AT_A_TIME["cuda" if device.type == "cuda" else "cpu"] // numbers)


def stack_evidence(parts):
    """Evidence of several contexts with the same number of rows, as one batch.

    Parameters
    ----------
    parts : list of Evidence
        Each of one context.

    Returns
    -------
    Evidence
    """
    X, y, weight, side = (stack([getattr(part, name) for part in parts]) for name in ("X", "y", "weight", "side"))
    return Evidence(X, y, parts[0].n_classes, weight, side)


def stack(tensors):
    """Tensors (1, ...) of several contexts as one (B, ...).

    Parameters
    ----------
    tensors : sequence of Tensor, or of None
        Each of one context.

    Returns
    -------
    Tensor or None
        None if there are none.
    """
    return None if tensors[0] is None else torch.cat(tensors)
