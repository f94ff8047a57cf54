"""The study of who takes a shortcut."""
