"""Known learning algorithms, and how near a model is to them."""
