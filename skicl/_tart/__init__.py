"""TartClassifier and its parts: evidence, coordinates, side scores, the compiled context."""
