"""Frozen encoders: raw items in, float32 vectors out, as scikit-learn transformers."""

from skicl._models._in_memory import LiveModel, clear_model_cache, shared_model
from skicl.encoders._audio import AudioEncoder
from skicl.encoders._base import BaseEncoder
from skicl.encoders._cache._embedding_cache import CacheStats, EmbeddingCache
from skicl.encoders._contextual import ContextualEncoder
from skicl.encoders._image import ImageEncoder
from skicl.encoders._language_model import LanguageModelEncoder
from skicl.encoders._sentence import SentenceEncoder

__all__ = [
    "AudioEncoder",
    "BaseEncoder",
    "CacheStats",
    "ContextualEncoder",
    "EmbeddingCache",
    "ImageEncoder",
    "LanguageModelEncoder",
    "LiveModel",
    "SentenceEncoder",
    "clear_model_cache",
    "shared_model",
]
