"""What one task with an implicit pattern consists of: its items, its answers, how it is asked."""

from collections.abc import Callable
from typing import NamedTuple

VARIANTS = ("pattern", "conflict", "neutral")


class PatternItem(NamedTuple):
    """One item.

    Attributes
    ----------
    text : str
        The problem.
    shortcut : int or None
        Number of the answer that the shortcut gives; None where the shortcut has nothing to go by.
    features : dict
        What the text was made from.
    """

    text: str
    shortcut: int | None
    features: dict


class PatternTask(NamedTuple):
    """A task.

    Attributes
    ----------
    make : callable
        ``make(draws, variant, target, n_answers, difficulty)`` returns a :class:`PatternItem` whose right answer is
        number `target`.
    words : tuple of str or None
        The answers as words; None means that the answers are the numbers from 0.
    template : str
        How an item is written out in a prompt.
    instruction : str
        What is asked; it does not mention the shortcut.
    description : str
        The items and the shortcut, for people.
    """

    make: Callable
    words: tuple | None
    template: str
    instruction: str
    description: str

    def answers(self, n_answers):
        """All answers, as strings."""
        return self.words or tuple(map(str, range(n_answers)))
