"""What an in-context classifier depends on."""

from skicl.inspection._diagnostics._icl_diagnostics import icl_diagnostics

__all__ = ["icl_diagnostics"]
