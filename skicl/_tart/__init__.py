"""TartClassifier and its parts: evidence, coordinates, side scores, the compiled context."""

from importlib import import_module


def __getattr__(name):
    # For pickles that were written when this was one module.
    if name == "TartClassifier":
        return import_module("skicl._tart._classifier").TartClassifier
    if name == "Learnt":
        raise ValueError(
            "This pickle of a TartClassifier was written by an earlier development version of skicl, which stored what "
            "it had learnt in another form. Fit the TartClassifier again."
        )
    raise AttributeError(f"module 'skicl._tart' has no attribute {name!r}")
