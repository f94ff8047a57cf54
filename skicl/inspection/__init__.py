"""Look inside a fitted classifier: which rows of the context moved a prediction, and what the context changes."""

from skicl.inspection._circuit_display import CircuitShiftDisplay
from skicl.inspection._circuit_shift import CircuitShift, circuit_shift
from skicl.inspection._context_influence import ContextInfluenceDisplay
from skicl.inspection._diagnostics import icl_diagnostics
from skicl.inspection._diagnostics_display import ICLDiagnosticsDisplay
from skicl.inspection._diagnostics_report import ICLDiagnostics
from skicl.inspection._patching import activation_patching
from skicl.inspection._patching_display import ActivationPatchingDisplay
from skicl.inspection._patching_pairs import PatchingPairs, make_patching_pairs
from skicl.inspection._patching_result import ActivationPatching

__all__ = [
    "ActivationPatching",
    "ActivationPatchingDisplay",
    "CircuitShift",
    "CircuitShiftDisplay",
    "ContextInfluenceDisplay",
    "ICLDiagnostics",
    "ICLDiagnosticsDisplay",
    "PatchingPairs",
    "activation_patching",
    "circuit_shift",
    "icl_diagnostics",
    "make_patching_pairs",
]
