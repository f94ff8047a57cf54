"""Single numbers and words that users pass: one check for each kind, and one wording for each refusal.

The errors name the parameter, what came and what is expected. ``bool`` is no number here, though Python says so.
"""

from numbers import Integral, Real

import numpy as np

from skicl._validation._wording import did_you_mean


def is_integer(value):
    """Whether a value is an integer of any kind, and not a boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def is_number(value):
    """Whether a value is a finite real number of any kind, and not a boolean."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and bool(np.isfinite(value))


def check_integer(value, parameter, *, least=1, most=None, optional=False):
    """Refuse anything but an integer from `least` to `most`, and None unless it is `optional`."""
    if value is None and optional:
        return
    if not is_integer(value) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{parameter}` must be an integer {bounds}{_or_none(optional)}, got {value!r}.")


def check_number(value, parameter, *, least=None, above=None, most=None, below=None, optional=False):
    """Refuse all but a finite number within the bounds: `least` and `most` are allowed, `above` and `below` not."""
    if value is None and optional:
        return
    within = is_number(value) and not (
        (least is not None and value < least)
        or (above is not None and value <= above)
        or (most is not None and value > most)
        or (below is not None and value >= below)
    )
    if not within:
        expected = _number_within(least, above, most, below)
        raise ValueError(f"`{parameter}` must be {expected}{_or_none(optional)}, got {value!r}.")


def check_share(value, parameter, *, open_low=True, open_high=True):
    """Refuse anything but a number between 0 and 1; the ends are allowed where they are not open."""
    low = {"above": 0} if open_low else {"least": 0}
    high = {"below": 1} if open_high else {"most": 1}
    check_number(value, parameter, **low, **high)


def check_choice(value, parameter, choices):
    """Refuse anything but one of `choices`: strings, perhaps None; what was probably meant is said."""
    if any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        return
    raise ValueError(
        f"`{parameter}` must be one of {', '.join(map(repr, choices))}, got {value!r}." + did_you_mean(value, choices)
    )


def check_flag(value, parameter, *, exact=False):
    """Refuse anything but True and False, and unless `exact` the integers that stand for them (``verbose=1``)."""
    if not isinstance(value, bool | np.bool_ | Integral) or (exact and not isinstance(value, bool | np.bool_)):
        raise ValueError(f"`{parameter}` must be True or False, got {value!r}.")


def _or_none(optional):
    return " or None" if optional else ""


def _number_within(least, above, most, below):
    """What is expected, in words: ``a number above 0 and at most 1``."""
    low = "" if least is None else f"of at least {least}"
    low = low if above is None else f"above {above}"
    high = "" if most is None else f"at most {most}"
    high = high if below is None else f"below {below}"
    if low and high:
        return f"a number {low} and {high}"
    if high:
        return f"a number {high}" if high.startswith("below") else f"a number of {high}"
    return f"a number {low}" if low else "a finite number"
