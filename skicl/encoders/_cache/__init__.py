"""Embeddings that were computed before, in memory or in a folder."""
