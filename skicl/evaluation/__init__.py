"""Few-shot evaluation of classifiers: learning curves on nested contexts, calibration, comparisons with their noise."""

from skicl.evaluation._compare import Comparison, compare
from skicl.evaluation._comparison import mean_differences, mean_ranks, mean_scores
from skicl.evaluation._comparison_display import ComparisonDisplay
from skicl.evaluation._contexts import nested_contexts
from skicl.evaluation._curve import FewShotCurve
from skicl.evaluation._curve_display import FewShotCurveDisplay
from skicl.evaluation._few_shot import few_shot_curve
from skicl.evaluation._implicit_patterns._display import ImplicitPatternDisplay
from skicl.evaluation._implicit_patterns._results import ImplicitPatternStudy
from skicl.evaluation._implicit_patterns._study import implicit_pattern_study
from skicl.evaluation._metrics import brier_score, expected_calibration_error
from skicl.evaluation._reliability import ReliabilityDisplay

__all__ = [
    "Comparison",
    "ComparisonDisplay",
    "FewShotCurve",
    "FewShotCurveDisplay",
    "ImplicitPatternDisplay",
    "ImplicitPatternStudy",
    "ReliabilityDisplay",
    "brier_score",
    "compare",
    "expected_calibration_error",
    "few_shot_curve",
    "implicit_pattern_study",
    "mean_differences",
    "mean_ranks",
    "mean_scores",
    "nested_contexts",
]
