"""What one task with an implicit pattern consists of: its items, its answers, how it is asked."""

from collections.abc import Callable
from typing import NamedTuple

VARIANTS = ("pattern", "conflict", "neutral")


class PatternItem(NamedTuple):
    """One problem: its text, the number of the answer that the shortcut gives, and what the text was made from."""

    text: str
    shortcut: int | None  # None where the shortcut has nothing to go by
    features: dict


class PatternTask(NamedTuple):
    """One kind of problem: how its items are made, what can be answered, and how it is asked."""

    make: Callable  # make(draws, variant, target, n_answers, difficulty): a PatternItem whose right answer is `target`
    words: tuple | None  # the answers; None means the numbers from 0
    template: str  # how an item is written in a prompt
    instruction: str  # what is asked; it does not mention the shortcut
    description: str  # for people

    def answers(self, n_answers):
        """All answers, as strings."""
        return self.words or tuple(map(str, range(n_answers)))
