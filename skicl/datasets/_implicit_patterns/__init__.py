"""The tasks of ``make_implicit_pattern``, a module for each kind."""
