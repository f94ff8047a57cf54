"""Data sets that come with the package, in the style of scikit-learn: no download, no network."""

from skicl.datasets._support_messages import load_support_messages

__all__ = ["load_support_messages"]
