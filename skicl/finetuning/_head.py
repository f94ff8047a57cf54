"""The linear head: vectors are centred and scaled by fixed numbers, then mapped to one logit a class.

Shapes: B rows, D features, C classes.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

# Inverse strength of the penalty where vectors have a mean squared norm of 1.
INVERSE_PENALTY = 10.0
# Features that hardly vary are not blown up beyond this fraction of the mean scale.
SMALLEST_SCALE = 0.1


class Head(NamedTuple):
    """A linear head: ``((vector - centre) / scale) @ coef.T + intercept``."""

    centre: np.ndarray  # D
    scale: np.ndarray  # D
    coef: np.ndarray  # C, D
    intercept: np.ndarray  # C

    def log_proba(self, vectors):
        """Log-probabilities of the classes (B, C), float64, from vectors (B, D)."""
        scaled = (np.asarray(vectors, dtype=np.float64) - self.centre) / self.scale
        return log_softmax(scaled @ self.coef.T.astype(np.float64) + self.intercept, axis=1)


def empty_head(vectors, n_classes):
    """A head that gives all classes the same probability, and under which `vectors` (B, D) are centred and scaled.

    Their mean squared norm is about 1 then.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    n_features = vectors.shape[1]
    deviation = vectors.std(axis=0)
    typical = np.sqrt(np.mean(deviation**2)) or 1.0
    scale = np.maximum(deviation, SMALLEST_SCALE * typical) * np.sqrt(n_features)
    return Head(vectors.mean(axis=0), scale, np.zeros((n_classes, n_features)), np.zeros(n_classes))


def logistic_head(vectors, codes, weights, n_classes):
    """A head by penalised logistic regression on vectors (B, D), with codes (B,) from 0 to C - 1 and weights (B,)."""
    head = empty_head(vectors, n_classes)
    scaled = (np.asarray(vectors, dtype=np.float64) - head.centre) / head.scale
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(scaled, codes, sample_weight=weights)
    if n_classes == 2:  # scikit-learn keeps the difference of the two rows
        coef = np.concatenate([-model.coef_, model.coef_]) / 2
        return head._replace(coef=coef, intercept=np.concatenate([-model.intercept_, model.intercept_]) / 2)
    return head._replace(coef=model.coef_, intercept=model.intercept_)


class TorchHead:
    """A head whose coefficients can be trained, on a device."""

    def __init__(self, head, device):
        import torch

        as_tensor = {"dtype": torch.float32, "device": device}
        self.start = head
        self.centre, self.scale = torch.tensor(head.centre, **as_tensor), torch.tensor(head.scale, **as_tensor)
        self.coef = torch.tensor(head.coef, **as_tensor, requires_grad=True)
        self.intercept = torch.tensor(head.intercept, **as_tensor, requires_grad=True)

    @property
    def parameters(self):
        """What is trained."""
        return [self.coef, self.intercept]

    def logits(self, vectors):
        """Logits (B, C) of vectors (B, D)."""
        return ((vectors - self.centre) / self.scale) @ self.coef.T + self.intercept

    def head(self):
        """The head as it is now, in numpy."""
        return self.start._replace(
            coef=self.coef.detach().cpu().numpy().astype(np.float64),
            intercept=self.intercept.detach().cpu().numpy().astype(np.float64),
        )
