"""Verbalizer: which words stand for a class, and how scores of words become scores of classes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator

from skicl._validation._label_names import written_out
from skicl._validation._scalars import check_choice, check_share

NORMALIZATIONS = ("auto", "sum", "mean", "pmi")
LOW_MASS = ("ignore", "warn", "raise", "nan")


class Verbalizer(BaseEstimator):
    """Which words stand for each class, and how their scores are compared.

    Parameters
    ----------
    words : dict, list or None, default=None
        For each class a word, or a list of words of which any counts (the first stands in demonstrations). A word may
        be a phrase. A list has an entry for each class, in sorted order: it also serves inside of meta-estimators,
        most of which number the classes before their members see them. None means the class itself, written out in
        words: "sci_tech" as "sci tech", "GetWeather" as "Get Weather", 3 as "3".
    normalize : {"auto", "sum", "mean", "pmi"}, default="auto"
        What is compared: the log-probability of all tokens of a word ("sum"); their mean, so that long words have no
        disadvantage ("mean"); the log-probability less that after `domain_prompt` alone, pointwise mutual information
        [1]_ ("pmi"). "auto" means "sum" where all words have the same number of tokens after the prompt and "mean"
        otherwise. Only "sum" compares probabilities: where words differ in length, "auto" divides each by its own
        number of tokens, which is a rule of thumb. It favours long words whose later tokens follow from the first.
    domain_prompt : str or None, default=None
        What the words are read after for "pmi". None means the cue of the template, such as ``"Label:"``.
    low_mass : {"ignore", "warn", "raise", "nan"}, default="ignore"
        What to do about a query after which the model puts less than `min_mass` on all label words together: nothing,
        a warning, an error, or NaN for its probabilities.
    min_mass : float, default=0.01
        The probability below which a mass is low.

    See Also
    --------
    skicl.ICLClassifier : Uses verbalizers.

    References
    ----------
    .. [1] Holtzman, West, Shwartz, Choi and Zettlemoyer (2021), "Surface Form Competition: Why the Highest
       Probability Answer Isn't Always Right", EMNLP, arXiv:2104.08315.

    Examples
    --------
    >>> from skicl.prompting import Verbalizer
    >>> verbalizer = Verbalizer({0: ["bad", "poor"], 1: "good"})
    >>> verbalizer.words_of([0, 1])
    [['bad', 'poor'], ['good']]
    """

    def __init__(
        self,
        words: Mapping | Sequence | None = None,
        *,
        normalize: str = "auto",
        domain_prompt: str | None = None,
        low_mass: str = "ignore",
        min_mass: float = 0.01,
    ) -> None:
        self.words = words
        self.normalize = normalize
        self.domain_prompt = domain_prompt
        self.low_mass = low_mass
        self.min_mass = min_mass

    def check(self) -> None:
        """Refuse parameters that cannot be used with any classes.

        Raises
        ------
        TypeError
            If `words` is neither a dict nor a list, or `domain_prompt` no string.
        ValueError
            If another parameter is unusable.
        """
        if not (self.words is None or isinstance(self.words, Mapping | list | tuple)):
            raise TypeError(
                f"`words` must be a dict from classes to words, a list with an entry for each class, or "
                f"None, got {self.words!r}."
            )
        check_choice(self.normalize, "normalize", NORMALIZATIONS)
        check_choice(self.low_mass, "low_mass", LOW_MASS)
        check_share(self.min_mass, "min_mass", open_low=False, open_high=False)
        if not (self.domain_prompt is None or isinstance(self.domain_prompt, str)):
            raise TypeError(f"`domain_prompt` must be a string or None, got {self.domain_prompt!r}.")

    def words_of(self, classes: Iterable) -> list[list[str]]:
        """Words of every class.

        Parameters
        ----------
        classes : sequence
            The classes, in order.

        Returns
        -------
        words : list of list of str
            At least one for each class.

        Raises
        ------
        ValueError
            If a class has no word, a word is blank, two classes share one, or a word is for no class.
        """
        self.check()
        classes = list(classes)
        words = self._listed(classes)
        owners: dict[str, object] = {}
        for label, own in zip(classes, words):
            if not own:
                raise ValueError(f"`words` has an empty list for the class {label!r}. Give at least one word.")
            for word in own:
                if not isinstance(word, str) or not word.strip():
                    raise ValueError(
                        f"`words` has {word!r} for the class {label!r}: expected a string that is not blank."
                    )
                if word in owners:
                    raise ValueError(
                        f"`words` has {word!r} twice, for {owners[word]!r} and {label!r}: a word must stand "
                        "for one class."
                    )
                owners[word] = label
        return words

    def _listed(self, classes):
        """A list of words for each class, in the order of the classes."""
        if self.words is None:
            return [[word] for word in _default_words(classes)]
        if isinstance(self.words, Mapping):
            missing = [label for label in classes if label not in self.words]
            if missing:
                raise ValueError(f"`words` has no word for the class {missing[0]!r}. Give one for each of {classes!r}.")
            unknown = [label for label in self.words if label not in classes]
            if unknown:
                raise ValueError(
                    f"`words` has words for {unknown[0]!r}, which is no class. The classes are {classes[:10]!r}."
                )
            given = [self.words[label] for label in classes]
        elif len(self.words) != len(classes):
            raise ValueError(
                f"`words` has {len(self.words)} entries, and there are {len(classes)} classes: "
                f"{classes[:10]!r}. Give one for each, in this order."
            )
        else:
            given = list(self.words)
        return [[words] if isinstance(words, str) else list(words) for words in given]


def _default_words(classes):
    """Classes in words; as they are where two would be the same, or nothing of one would be left."""
    plain = [str(label) for label in classes]
    written = [written_out(word) for word in plain]
    return written if all(written) and len(set(written)) == len(set(plain)) else plain


def class_scores(word_scores, owners, n_classes):
    """Log-scores of classes (n_queries, n_classes): the log of the sum of the exponentials of those of their words.

    `word_scores` are (n_queries, n_words), `owners` (n_words,) the numbers of the classes of the words.
    """
    columns = [logsumexp(word_scores[:, owners == label], axis=1) for label in range(n_classes)]
    return np.stack(columns, axis=1)


def normalized(log_probs, lengths, normalize, domain_scores=None):
    """Scores of words that are compared (n_queries, n_words), from log-probabilities of all their tokens.

    `lengths` (n_queries, n_words) are numbers of tokens, `domain_scores` (n_words,) the log-probabilities after the
    domain prompt, for "pmi".
    """
    if normalize == "pmi":
        return log_probs - domain_scores
    if normalize == "mean":
        return log_probs / lengths
    if normalize == "auto":
        equal = (lengths == lengths[:, :1]).all(axis=1, keepdims=True)
        return np.where(equal, log_probs, log_probs / lengths)
    return log_probs
