"""What heads and MLPs do: activations exchanged, circuits compared."""

from skicl.inspection._patching._activation_patching import activation_patching

__all__ = ["activation_patching"]
