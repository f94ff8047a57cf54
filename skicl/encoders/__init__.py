"""Frozen encoders: raw items in, float32 vectors out, as scikit-learn transformers."""

from skicl.encoders._sentence import SentenceEncoder
from skicl.encoders._weights import LiveModel, clear_model_cache

__all__ = ["LiveModel", "SentenceEncoder", "clear_model_cache"]
