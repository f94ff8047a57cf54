"""``python -m skicl``: one module for each job of the command line."""
