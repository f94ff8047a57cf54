"""Words by category, and what the words of a sentence are made of."""

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

FILLERS = tuple(
    "the a an and or is was were in on at with for to of it this that they we I you he she there here "
    "then now today near very some about again only also still just".split()
)


class Category(NamedTuple):
    """Words that have something in common.

    Parameters
    ----------
    names : tuple of str
        What the category is called; the usual name first.
    words : tuple of str
        Its words.
    """

    names: tuple
    words: tuple


@cache
def read_lexicon() -> tuple:
    """The categories of ``lexicon.txt``, which the project wrote for its tiny language model.

    >>> from skicl.pretraining._language_models._lexicon import read_lexicon
    >>> animals = read_lexicon()[0]
    >>> animals.names[0], animals.words[:2]
    ('animal', ('dog', 'cat'))
    """
    text = files("skicl.pretraining._language_models").joinpath("lexicon.txt").read_text(encoding="utf-8")
    return tuple(_category(line) for line in text.splitlines() if line and not line.startswith("#"))


def _category(line: Any) -> Any:
    head, _, words = line.partition(":")
    name, _, others = head.partition("(")
    names = (name.strip(), *(other.strip() for other in others.strip(" )").split(",") if other.strip()))
    return Category(names, tuple(words.split()))
