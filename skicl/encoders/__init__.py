"""Frozen encoders: raw items in, float32 vectors out, as scikit-learn transformers."""

from skicl.encoders._sentence import SentenceEncoder

__all__ = ["SentenceEncoder"]
