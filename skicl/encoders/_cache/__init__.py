"""Embeddings that were computed before, in memory or in a folder."""

from skicl.encoders._cache._embedding_cache import CacheStats, EmbeddingCache

__all__ = ["CacheStats", "EmbeddingCache"]
