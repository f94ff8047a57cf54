"""Look inside a fitted classifier: which rows of the context moved a prediction, and what the context changes."""

from skicl.inspection._algorithms._gd_attention import LinearAttentionLayer, LinearAttentionStack, gd_attention_weights
from skicl.inspection._algorithms._match import AlgorithmMatch, algorithm_match
from skicl.inspection._algorithms._match_by_layer import LayerwiseAlgorithmMatch, layerwise_algorithm_match
from skicl.inspection._algorithms._match_display import AlgorithmMatchDisplay
from skicl.inspection._algorithms._reference_mixture import mixture_bayes_predictor
from skicl.inspection._algorithms._reference_predictors import reference_predictors
from skicl.inspection._algorithms._regret import ICLRegret, icl_regret
from skicl.inspection._algorithms._regret_display import ICLRegretDisplay
from skicl.inspection._context_influence import ContextInfluenceDisplay
from skicl.inspection._diagnostics._display import ICLDiagnosticsDisplay
from skicl.inspection._diagnostics._icl_diagnostics import icl_diagnostics
from skicl.inspection._diagnostics._report import ICLDiagnostics
from skicl.inspection._evidence import EvidenceDisplay
from skicl.inspection._patching._activation_patching import activation_patching
from skicl.inspection._patching._circuit_display import CircuitShiftDisplay
from skicl.inspection._patching._circuit_shift import CircuitShift, circuit_shift
from skicl.inspection._patching._contexts import ContextPairs, make_context_pairs
from skicl.inspection._patching._display import ActivationPatchingDisplay
from skicl.inspection._patching._pairs import PatchingPairs, make_patching_pairs
from skicl.inspection._patching._result import ActivationPatching

__all__ = [
    "ActivationPatching",
    "ActivationPatchingDisplay",
    "AlgorithmMatch",
    "AlgorithmMatchDisplay",
    "CircuitShift",
    "CircuitShiftDisplay",
    "ContextInfluenceDisplay",
    "ContextPairs",
    "EvidenceDisplay",
    "ICLDiagnostics",
    "ICLDiagnosticsDisplay",
    "ICLRegret",
    "ICLRegretDisplay",
    "LayerwiseAlgorithmMatch",
    "LinearAttentionLayer",
    "LinearAttentionStack",
    "PatchingPairs",
    "activation_patching",
    "algorithm_match",
    "circuit_shift",
    "gd_attention_weights",
    "icl_diagnostics",
    "icl_regret",
    "layerwise_algorithm_match",
    "make_context_pairs",
    "make_patching_pairs",
    "mixture_bayes_predictor",
    "reference_predictors",
]
