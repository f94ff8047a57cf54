"""Language models trained on synthetic episodes."""
