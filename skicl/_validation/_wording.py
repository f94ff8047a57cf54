"""Words that error messages share: where an item stands, what was probably meant, the beginning of a value."""

import os
from difflib import get_close_matches


def did_you_mean(value, words):
    """The end of a message about a value that is not allowed: which word was probably meant.

    >>> from skicl._validation._wording import did_you_mean
    >>> did_you_mean("Atuo", ("auto", None)), did_you_mean("x", ("auto",))
    (" Did you mean 'auto'?", '')
    """
    known = {word.lower(): word for word in words if isinstance(word, str)}
    near = get_close_matches(value.strip().lower(), known, n=1) if isinstance(value, str) else []
    return f" Did you mean {known[near[0]]!r}?" if near else ""


def refuse_misspelt_auto(value, *, parameter="encoder"):
    """Refuse a string that would be taken as the name of a model and is almost "auto"."""
    if (meant := did_you_mean(value, ["auto"])) and not os.path.isdir(value):
        raise ValueError(f"`{parameter}`={value!r} would be looked up as the name of a model.{meant}")


def position_of(position, labels=None):
    """Where an item stands, for an error message.

    >>> from skicl._validation._wording import position_of
    >>> position_of(1), position_of(1, ["a", "b"])
    ('position 1', "position 1 (index label 'b')")
    """
    where = f"position {position}"
    if labels is not None and not callable(labels) and labels[position] != position:
        where += f" (index label {labels[position]!r})"
    return where


def short_form(value, length=60):
    """The beginning of what is printed of a value, for messages."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."
