"""What every row of a context adds to a prediction: which rows to leave out, and how many contexts to read together."""

import numpy as np
import torch

from skicl.reasoning import Evidence

# Contexts that lack a row are read together while their rows hold at most so many numbers: more do not fit the cache
# of a processor, and are no faster. An accelerator needs more to be busy.
NUMBERS_AT_A_TIME = {"cpu": 2**20, "cuda": 2**26}
NUMBERS_OF_A_PAIR = 32  # what a (row, class) pair holds, about, beside the features of the row


def chosen_rows(rows, n_context):
    """Numbers (n_rows,) of the rows whose influence is wanted, of a context of `n_context` rows; None means all."""
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


def indispensable_row(codes, weight, *, has_side_information):
    """Number of the row without which there is nothing to go by; -1 if there is none.

    That is the last row (of codes and weights (n,)) that has a label and a weight. With names of the classes, or
    another model, it is the last one of any kind: these need a row for their scale only.
    """
    needed = np.flatnonzero((weight > 0) & (has_side_information | (codes >= 0)))
    return int(needed[0]) if len(needed) == 1 else -1


def contexts_at_a_time(n_context, n_features, n_classes, device):
    """How many contexts of these sizes to read together on a device: at least one."""
    numbers = n_context * max(n_features, NUMBERS_OF_A_PAIR * n_classes)
    return max(1, NUMBERS_AT_A_TIME["cuda" if device.type == "cuda" else "cpu"] // numbers)


def stack_evidence(parts):
    """Evidence of several contexts with the same number of rows, as one batch."""
    X, y, weight, side = (stack([getattr(part, name) for part in parts]) for name in ("X", "y", "weight", "side"))
    return Evidence(X, y, parts[0].n_classes, weight, side)


def stack(tensors):
    """Tensors (1, ...) of several contexts as one (B, ...); None if they are None."""
    return None if tensors[0] is None else torch.cat(tensors)
