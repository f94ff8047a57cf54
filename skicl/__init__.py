"""In-context learning behind ``fit`` and ``predict``.

Public names are imported on first use, so that ``import skicl`` stays light.
"""

from importlib import import_module

from skicl._storage._earlier_modules import find_earlier_modules

__version__ = "0.1.0"

_WHERE = {
    "ICLClassifier": "skicl.prompting._classifier",
    "SentenceEncoder": "skicl.encoders",
    "TartClassifier": "skicl._tart._classifier",
    "clear_cache": "skicl._clear_cache",
}

find_earlier_modules()

__all__ = ["ICLClassifier", "SentenceEncoder", "TartClassifier", "__version__", "clear_cache"]


def __getattr__(name):
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'skicl' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
