"""TartClassifier and its parts: evidence, coordinates, side scores, the compiled context."""

from importlib import import_module

from skicl._fitted import earlier_form


def __getattr__(name):
    # For pickles that were written when this was one module.
    if name == "TartClassifier":
        return import_module("skicl._tart._classifier").TartClassifier
    if name == "Learnt":
        raise earlier_form("TartClassifier")
    raise AttributeError(f"module 'skicl._tart' has no attribute {name!r}")
