"""Labelled episodes as text: a rule, words for its classes, a layout, and examples until the window is full."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from skicl.pretraining._language_models import _rules
from skicl.pretraining._language_models._lexicon import read_lexicon
from skicl.pretraining._language_models._rules import HELD_OUT_FAMILIES, TRAINING_FAMILIES, any_word, distinct

MOST_CLASSES = 5  # there are plain words for no more
PLAIN_WORDS = (
    ("yes", "no"),
    ("true", "false"),
    ("positive", "negative"),
    ("good", "bad"),
    ("A", "B", "C", "D", "E"),
    ("0", "1", "2", "3", "4"),
    ("1", "2", "3", "4", "5"),
    ("first", "second", "third", "fourth"),
    ("True", "False"),
    ("a", "b", "c", "d", "e"),
    ("spam", "ham"),
    ("X", "Y", "Z"),
)
ASKED = ("Text", "Input", "Message", "Sentence", "Review", "Item", "Question", "Q", "Word", "x", "text", "Example")
ANSWERED = ("Label", "Output", "Topic", "Class", "Answer", "Sentiment", "A", "Category", "y", "label", "Type")
FAMILIES = {family.__name__: family for family in (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES)}


class Episode(NamedTuple):
    """Labelled examples of one rule, written out.

    Parameters
    ----------
    text : str
        Examples, one after the other.
    answers : list of tuple of int
        Where the answers stand: characters from the first, the space before the word, to the one behind it.
    codes : list of int
        The class of every example.
    words : list of str
        The word for every class.

    Examples
    --------
    >>> from skicl.pretraining import Episode
    >>> episode = Episode("tea = yes\\nlion = no\\n", [(5, 9), (16, 19)], [0, 1], ["yes", "no"])
    >>> [episode.text[start:end] for start, end in episode.answers]
    [' yes', ' no']
    """

    text: str
    answers: list
    codes: list
    words: list


class Layout(NamedTuple):
    """What stands around texts and labels."""

    before: str
    between: str
    separator: str


@dataclass(frozen=True)
class EpisodePrior:
    """Labelled texts by rules that have to be found out from the examples before.

    Every episode has a rule of its own, of one of some families (a word that decides, a topic, an order, ...), its own
    words for the classes, and its own layout. Some words mean their class (*animal*), so that a model can also guess
    without an example; all others have to be learned in context [1]_.

    Parameters
    ----------
    families : tuple of str or None, default=None
        Names of the rule families; one that is named several times is as many times as frequent. None means those that
        the bundled model was trained on, once each.
    max_classes : int, default=4
        Most classes of a rule.
    meaningful : float, default=0.5
        Share of the episodes with words that mean their class, where the rule has such words.
    plain : float, default=0.45
        Share of the other episodes with words that are often used for classes, such as *yes* and *no*. The rest have
        any words.
    scrambled : bool, default=False
        Whether labels are drawn apart from the texts, so that there is nothing to learn.
    default_layout : float, default=0.35
        Share of the episodes in the layout of :class:`~skicl.prompting.PromptTemplate` without a template.
    balanced : float, default=0.7
        Share of the episodes in which all classes are equally frequent.

    Raises
    ------
    ValueError
        If a family is not known, `max_classes` is not from 2 to 5, or a share is not from 0 to 1.

    References
    ----------
    .. [1] Chan et al. (2022), "Data distributional properties drive emergent in-context learning in transformers".

    Examples
    --------
    >>> import random
    >>> from skicl.pretraining import EpisodePrior
    >>> episode = EpisodePrior(families=("topic",), default_layout=1.0).sample(random.Random(3), n_examples=2)
    >>> len(episode.codes)
    2
    >>> start, end = episode.answers[0]
    >>> episode.text[start:end].strip() == episode.words[episode.codes[0]]
    True
    """

    families: tuple | None = None
    max_classes: int = 4
    meaningful: float = 0.5
    plain: float = 0.45
    scrambled: bool = False
    default_layout: float = 0.35
    balanced: float = 0.7

    def __post_init__(self) -> None:
        if self.families is None:  # by name, so that the state of a run says what it was trained on
            object.__setattr__(self, "families", tuple(family.__name__ for family in TRAINING_FAMILIES))
        families: tuple = self.families or ()
        unknown = [name for name in families if name not in FAMILIES]
        if unknown or not self.families:
            raise ValueError(f"`families` must be names out of {', '.join(FAMILIES)}, got {self.families!r}.")
        if self.max_classes not in range(2, MOST_CLASSES + 1):
            raise ValueError(f"`max_classes` must be an integer from 2 to {MOST_CLASSES}, got {self.max_classes!r}.")
        for name in ("meaningful", "plain", "default_layout", "balanced"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be a share from 0 to 1, got {getattr(self, name)!r}.")

    def sample(self, rng: Any, *, n_examples: int | None = None, n_characters: int = 2000) -> Episode:
        """One episode.

        Parameters
        ----------
        rng : random.Random
            Where the choices come from.
        n_examples : int or None, default=None
            How many examples. None: until there are `n_characters`.
        n_characters : int, default=2000
            Least length of the text without `n_examples`.

        Returns
        -------
        Episode
        """
        rule = FAMILIES[rng.choice(self.families)](rng, 2 if rng.random() < 0.5 else rng.randint(2, self.max_classes))
        words = class_words(rng, rule, self.meaningful, self.plain)
        layout = draw_layout(rng, self.default_layout)
        balanced = rng.random() < self.balanced
        shares = [1.0 if balanced else rng.uniform(0.2, 1.0) for _ in words]

        def draw() -> tuple:
            code = rng.choices(range(rule.n_classes), shares)[0]
            shown = rng.choices(range(rule.n_classes), shares)[0] if self.scrambled else code
            return f"{layout.before}{rule.draw(rng, code)}{layout.between}", shown

        return write_episode(draw, words, layout.separator, n_examples, n_characters)


def write_episode(
    draw: Callable, words: Sequence, separator: str, n_examples: int | None, n_characters: Any = None
) -> Episode:
    """Write examples out, one after the other."""
    parts: list[str] = []
    answers: list = []
    codes: list[int] = []
    at = 0
    while (at < n_characters) if n_examples is None else (len(codes) < n_examples):
        question, code = draw()
        answer = f" {words[code]}"
        answers.append((at + len(question), at + len(question) + len(answer)))
        parts += [question, answer, separator]
        at += len(question) + len(answer) + len(separator)
        codes.append(code)
    return Episode("".join(parts), answers, codes, list(words))


def class_words(rng: random.Random, rule: Any, meaningful: Any, plain: Any) -> Any:
    """A different word for every class of a rule."""
    if rule.names is not None and rng.random() < meaningful:
        words = [names[0] if rng.random() < 0.7 else rng.choice(names) for names in rule.names]
        if len(set(words)) == len(words):
            return words
    if rng.random() < plain:
        return rng.sample(rng.choice([words for words in PLAIN_WORDS if len(words) >= rule.n_classes]), rule.n_classes)
    if rng.random() < 0.5:
        return [category.names[0] for category in rng.sample(read_lexicon(), rule.n_classes)]
    return distinct(rng, any_word, rule.n_classes)


def draw_layout(rng: random.Random, default: Any) -> Any:
    """The default layout with this probability, or any."""
    if rng.random() < default:
        return Layout("Text: ", "\nLabel:", "\n\n")
    before = f"{rng.choice(ASKED)}: "
    between = rng.choice((f"\n{rng.choice(ANSWERED)}:", f"\n{rng.choice(ANSWERED)}:", " ->", " =>", " ="))
    return Layout(before, between, rng.choice(("\n\n", "\n") if between.startswith("\n") else ("\n",)))


def training_words() -> Iterator:
    """Everything that episodes are made of, often enough for a tokenizer to make one token of each frequent word."""
    for category in read_lexicon():
        yield from (f" {word}" for word in (*category.names, *category.words) for _ in range(50))
    for word in (*_rules.FILLERS, *(word for words in PLAIN_WORDS for word in words), "not", "what"):
        yield from [f" {word}"] * 100
    for word in (*ASKED, *ANSWERED):
        yield from [word] * 100
    yield from [" ->", " =>", " ="] * 100
