"""The tasks of ``make_implicit_pattern``, one module for each kind."""
