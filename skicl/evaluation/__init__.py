"""Few-shot evaluation of classifiers: nested contexts, scores over repeats, calibration metrics, comparisons."""

from skicl.evaluation._comparison import mean_differences, mean_ranks, mean_scores
from skicl.evaluation._contexts import nested_contexts
from skicl.evaluation._few_shot import few_shot_scores
from skicl.evaluation._metrics import brier_score, expected_calibration_error

__all__ = [
    "brier_score",
    "expected_calibration_error",
    "few_shot_scores",
    "mean_differences",
    "mean_ranks",
    "mean_scores",
    "nested_contexts",
]
