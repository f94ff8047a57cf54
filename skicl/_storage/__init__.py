"""Files that are known by their content, and written whole or not at all."""
