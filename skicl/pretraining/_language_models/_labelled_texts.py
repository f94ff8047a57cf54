"""Labelled texts of one's own as episodes, for the training of a language model on a task."""

from dataclasses import dataclass
from typing import Any

from skicl._validation._texts import check_texts
from skicl.pretraining._language_models._episodes import write_episode


@dataclass(frozen=True)
class LabelledTexts:
    """Episodes out of labelled texts: one text with its label, or several as demonstrations of each other.

    With one text an episode, :func:`train_language_model` is ordinary fine-tuning on the words of the labels. With
    more, the model is trained to answer in context ([1]_, there over many tasks). The layout is that of
    :class:`~skicl.prompting.PromptTemplate` without a template.

    Parameters
    ----------
    texts : sequence of str
        Texts.
    labels : sequence of str
        The word for the class of every text.
    n_examples : int, default=1
        Texts of an episode, all different.

    Raises
    ------
    TypeError
        If a text or a label is no string.
    ValueError
        If there are not as many labels as texts, or `n_examples` is not from 1 to their number.

    References
    ----------
    .. [1] Min, Lewis, Zettlemoyer and Hajishirzi (2022), "MetaICL: Learning to learn in context", NAACL.

    Examples
    --------
    >>> import random
    >>> from skicl.pretraining import LabelledTexts
    >>> episode = LabelledTexts(["a great lemon", "a poor dog"], ["positive", "negative"]).sample(random.Random(0))
    >>> episode.text
    'Text: a poor dog\\nLabel: negative\\n\\n'
    """

    texts: tuple
    labels: tuple
    n_examples: int = 1

    def __post_init__(self) -> None:
        for name in ("texts", "labels"):
            object.__setattr__(self, name, tuple(check_texts(getattr(self, name), parameter=name)))
        if len(self.texts) != len(self.labels):
            raise ValueError(f"`labels` must be as many as `texts`, got {len(self.labels)} and {len(self.texts)}.")
        if self.n_examples not in range(1, len(self.texts) + 1):
            raise ValueError(
                f"`n_examples` must be an integer from 1 to {len(self.texts)}, the number of `texts`, got "
                f"{self.n_examples!r}."
            )

    def sample(self, rng: Any, *, n_characters: None = None) -> Any:
        """Draw an episode.

        Parameters
        ----------
        rng : random.Random
            Source of all randomness.
        n_characters : None, default=None
            Not used: an episode has `n_examples` texts, however long.

        Returns
        -------
        Episode
        """
        words = sorted(set(self.labels))
        numbers = iter(rng.sample(range(len(self.texts)), self.n_examples))

        def draw() -> tuple:
            number = next(numbers)
            return f"Text: {self.texts[number]}\nLabel:", words.index(self.labels[number])

        return write_episode(draw, words, "\n\n", self.n_examples)
