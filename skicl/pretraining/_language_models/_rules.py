"""Rule families: what decides the label of a text. Each draws a rule; a rule draws a text of any of its classes."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from skicl.pretraining._language_models._lexicon import FILLERS, read_lexicon


class Rule(NamedTuple):
    """One way to label texts.

    Parameters
    ----------
    draw : callable
        ``draw(rng, code)`` is a text of the class with this number.
    n_classes : int
        Number of classes.
    names : tuple of tuple of str or None
        Words that mean the classes, if there are any.
    """

    draw: Callable
    n_classes: int
    names: tuple | None = None


def any_word(rng: random.Random) -> Any:
    """A word of the lexicon or a function word."""
    return rng.choice(FILLERS) if rng.random() < 0.4 else rng.choice(rng.choice(read_lexicon()).words)


def fillers(rng: random.Random, low: Any, high: Any) -> list:
    """Between `low` and `high` function words."""
    return [rng.choice(FILLERS) for _ in range(rng.randint(low, high))]


def mixed(rng: random.Random, *parts: Any) -> Any:
    """Words of all parts in random order, as a text."""
    words = [word for part in parts for word in part]
    rng.shuffle(words)
    return " ".join(words)


def distinct(rng: random.Random, draw: Any, number: int) -> list:
    """So many different results of ``draw(rng)``."""
    found: dict = {}
    while len(found) < number:
        found[draw(rng)] = None
    return list(found)


def topic(rng: random.Random, n_classes: int) -> Any:
    """Words of a category, between function words. The classes have names."""
    categories = rng.sample(read_lexicon(), n_classes)
    longest = rng.choice((0, 2, 5))

    def draw(rng: random.Random, code: Any) -> Any:
        words = rng.sample(categories[code].words, rng.randint(1, 3))
        return mixed(rng, words, fillers(rng, 0, longest))

    return Rule(draw, n_classes, tuple(category.names for category in categories))


def topic_in_a_sentence(rng: random.Random, n_classes: int) -> Any:
    """One word of a category in a short sentence that is the same for all classes. The classes have names."""
    categories = rng.sample(read_lexicon(), n_classes)
    patterns = (
        "the {} is here",
        "I saw the {} today",
        "this is about the {}",
        "we were near a {}",
        "a {} and a {}",
        "{} or {}",
        "there is some {} here",
        "is it the {} ?",
        "they were with the {}",
        "{}",
    )

    def draw(rng: random.Random, code: Any) -> Any:
        pattern = rng.choice(patterns)
        return pattern.format(*rng.sample(categories[code].words, pattern.count("{}")))

    return Rule(draw, n_classes, tuple(category.names for category in categories))


def opinion(rng: random.Random, n_classes: int) -> Any:
    """Praise or blame, of anything; the second of two words may be turned around by *not*."""
    sides = [next(c for c in read_lexicon() if c.names[0] == name) for name in ("positive", "negative")]
    negation = rng.random() < 0.5

    def draw(rng: random.Random, code: Any) -> Any:
        thing = rng.choice(rng.choice(read_lexicon()[:16]).words)
        side, no = (1 - code, "not ") if negation and rng.random() < 0.3 else (code, "")
        words = rng.sample(sides[side].words, 2)
        pattern = rng.choice(
            (
                "the {1} was {0}{2}",
                "it is {0}a {2} {1}",
                "a {1} , {0}{2}",
                "{0}{2} {1}",
                "I was {0}{2} and the {1} is {0}{3}",
            )
        )
        return pattern.format(no, thing, *words)

    return Rule(draw, 2, tuple(side.names for side in sides))


def keyword(rng: random.Random, n_classes: int) -> Any:
    """One of some words, each of which stands for a class, anywhere among others."""
    of_each = rng.randint(1, 2)
    keys = distinct(rng, any_word, n_classes * of_each)
    longest = rng.choice((1, 3, 6))
    others = [word for word in (any_word(rng) for _ in range(12)) if word not in keys] or ["the"]

    def draw(rng: random.Random, code: Any) -> Any:
        key = keys[code * of_each + rng.randrange(of_each)]
        return mixed(rng, [key], [rng.choice(others) for _ in range(rng.randint(0, longest))])

    return Rule(draw, n_classes)


def end_word(rng: random.Random, n_classes: int) -> Any:
    """The first word, or the last; the same words at other places mean nothing."""
    first = rng.random() < 0.5
    of_each = rng.randint(1, 3)
    keys = distinct(rng, any_word, n_classes * of_each)

    def draw(rng: random.Random, code: Any) -> Any:
        key = keys[code * of_each + rng.randrange(of_each)]
        rest = [rng.choice(keys) for _ in range(rng.randint(1, 3))]
        return " ".join([key, *rest] if first else [*rest, key])

    return Rule(draw, n_classes)


def lookup(rng: random.Random, n_classes: int) -> Any:
    """A few items, each with its class, over and over."""
    of_each = rng.randint(1, 3)
    make = rng.choice((any_word, any_word, lambda rng: f"{any_word(rng)} {any_word(rng)}"))
    items = distinct(rng, make, n_classes * of_each)
    return Rule(lambda rng, code: items[code * of_each + rng.randrange(of_each)], n_classes)


def size_of_number(rng: random.Random, n_classes: int) -> Any:
    """Whether a number of two digits is below or above a limit."""
    limit = rng.randint(20, 80)
    before = " ".join(fillers(rng, 0, 2))

    def draw(rng: random.Random, code: Any) -> Any:
        return f"{before} {rng.randint(10, limit - 1) if code == 0 else rng.randint(limit, 99)}".strip()

    return Rule(draw, 2, (("small", "low"), ("large", "high")))


def length(rng: random.Random, n_classes: int) -> Any:
    """Whether there are few words or many."""
    words = distinct(rng, any_word, 6)

    def draw(rng: random.Random, code: Any) -> Any:
        return " ".join(rng.choice(words) for _ in range(rng.randint(1, 2) if code == 0 else rng.randint(4, 6)))

    return Rule(draw, 2, (("short", "few"), ("long", "many")))


def order(rng: random.Random, n_classes: int) -> Any:
    """Which of two words comes first."""
    pair = distinct(rng, any_word, 2)

    def others(rng: random.Random, most: Any) -> list:
        return [word for word in fillers(rng, 0, most) if word not in pair]

    def draw(rng: random.Random, code: Any) -> Any:
        first, second = pair if code == 0 else pair[::-1]
        return " ".join([*others(rng, 1), first, *others(rng, 2), second, *others(rng, 1)])

    return Rule(draw, 2)


def attribute(rng: random.Random, n_classes: int) -> Any:
    """One of the two or three properties of a thing; which of them has to be found out."""
    categories = rng.sample(read_lexicon(), rng.randint(2, 3))
    values = [rng.sample(category.words, max(3, n_classes)) for category in categories]
    relevant = rng.randrange(len(values))

    def draw(rng: random.Random, code: Any) -> Any:
        thing = [rng.choice(words) for words in values]
        spare = len(values[relevant]) // n_classes
        thing[relevant] = values[relevant][code + n_classes * rng.randrange(spare)]
        return " ".join(thing)

    return Rule(draw, n_classes)


def vote(rng: random.Random, n_classes: int) -> Any:
    """Words for one class and words for the other; the larger number wins."""
    words = distinct(rng, any_word, 8)
    sides = words[:4], words[4:]

    def draw(rng: random.Random, code: Any) -> Any:
        n_other = rng.randint(0, 1)
        return mixed(rng, rng.sample(sides[code], n_other + rng.randint(1, 2)), rng.sample(sides[1 - code], n_other))

    return Rule(draw, 2)


def after_a_marker(rng: random.Random, n_classes: int) -> Any:
    """The word after a certain one."""
    marker, *keys = distinct(rng, any_word, 1 + 2 * n_classes)

    def draw(rng: random.Random, code: Any) -> Any:
        rest = [rng.choice(keys) for _ in range(rng.randint(1, 2))]
        at = rng.randint(0, len(rest))
        return " ".join([*rest[:at], marker, keys[2 * code + rng.randrange(2)], *rest[at:]])

    return Rule(draw, n_classes)


def middle_word(rng: random.Random, n_classes: int) -> Any:
    """The second of three words."""
    keys = distinct(rng, any_word, 2 * n_classes)

    def draw(rng: random.Random, code: Any) -> str:
        return f"{rng.choice(keys)} {keys[2 * code + rng.randrange(2)]} {rng.choice(keys)}"

    return Rule(draw, n_classes)


def two_topics_a_class(rng: random.Random, n_classes: int) -> Any:
    """Every class is one of two categories, which have nothing in common."""
    categories = rng.sample(read_lexicon(), 2 * n_classes)

    def draw(rng: random.Random, code: Any) -> Any:
        category = categories[2 * code + rng.randrange(2)]
        return mixed(rng, rng.sample(category.words, rng.randint(1, 2)), fillers(rng, 0, 3))

    return Rule(draw, n_classes)


def punctuation(rng: random.Random, n_classes: int) -> Any:
    """The sign at the end."""
    signs = rng.sample(("!", "?", ".", "...", ";", "*"), n_classes)
    words = distinct(rng, any_word, 8)

    def draw(rng: random.Random, code: Any) -> Any:
        return " ".join([*(rng.choice(words) for _ in range(rng.randint(1, 4))), signs[code]])

    return Rule(draw, n_classes)


def either_property(rng: random.Random, n_classes: int) -> Any:
    """A thing with one property or another one, or both, against things with neither."""
    first, second = (rng.sample(category.words, 4) for category in rng.sample(read_lexicon(), 2))

    def draw(rng: random.Random, code: Any) -> str:
        if code == 0:
            return f"{rng.choice(first[1:])} {rng.choice(second[1:])}"
        has = rng.choice(((0, 1), (1, 0), (1, 1)))
        return f"{first[0] if has[0] else rng.choice(first[1:])} {second[0] if has[1] else rng.choice(second[1:])}"

    return Rule(draw, 2)


TRAINING_FAMILIES = (
    topic,
    topic_in_a_sentence,
    opinion,
    keyword,
    end_word,
    lookup,
    size_of_number,
    length,
    order,
    attribute,
    vote,
)
HELD_OUT_FAMILIES = (after_a_marker, middle_word, two_topics_a_class, punctuation, either_property)
