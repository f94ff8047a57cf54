"""Models of transformers and sentence-transformers: found, loaded once a process, read."""
