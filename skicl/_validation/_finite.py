"""Results that are NaN or infinite are refused where a computation hands them over."""

import numpy as np


class NotFiniteError(ValueError):
    """A result is NaN or infinite; for callers who know the cause better."""


def check_finite(values, what, cause, positions=None):
    """Refuse numbers that are NaN or infinite, where a computation hands over its result.

    Of log-probabilities, where minus infinity is right, pass the probabilities. The message says `what` they are (a
    noun in the plural), the likely `cause` and what to do, and which rows (n_rows,) by their `positions`.

    >>> from skicl._validation._finite import check_finite
    >>> check_finite([[0.5, 0.5], [0.1, 0.9]], "probabilities", "Look there.")
    >>> check_finite([[0.5, 0.5], [float("nan"), 0.9]], "probabilities", "Look there.")
    Traceback (most recent call last):
    ...
    skicl._validation._finite.NotFiniteError: The probabilities of 1 of 2 rows, first at position 1, are NaN ...
    """
    finite = np.isfinite(np.atleast_1d(values))
    if finite.all():
        return
    bad = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))
    first = min(bad if positions is None else (positions[i] for i in bad))
    raise NotFiniteError(
        f"The {what} of {len(bad)} of {len(finite)} rows, first at position {first}, are NaN or infinite. {cause}"
    )
