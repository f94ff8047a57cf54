"""PromptEnsemble: several prompts for one question, and one answer out of theirs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp
from sklearn.base import BaseEstimator, clone

from skicl._validation._scalars import check_choice, check_integer
from skicl.prompting._template import PromptTemplate
from skicl.prompting._verbalizer import Verbalizer

if TYPE_CHECKING:
    from skicl.prompting._task import Recipe

VARIED = ("demonstrations", "order", "template", "words")
COMBINED = ("mean", "vote", "max")


class PromptEnsemble(BaseEstimator):
    """Ask the same question with several prompts and combine the answers.

    Parameters
    ----------
    n_members : int, default=5
        How many prompts.
    vary : sequence of {"demonstrations", "order", "template", "words"}, default=("demonstrations",)
        What differs between them: which demonstrations (the seed of the selector), their order, the template, the
        label words.
    templates : list of (str or PromptTemplate) or None, default=None
        The templates to take in turn, if these vary.
    words : list of dict or None, default=None
        Label words to take in turn, if these vary; each as in :class:`Verbalizer`.
    combine : {"mean", "vote", "max"}, default="mean"
        The mean of the probabilities; the share of members that find a class most probable (smoothed by one vote,
        divided among the classes); the largest probability of each class, normalised, so that the most confident
        member decides [1]_.
    random_state : int, default=0
        Seed of the first member; the others have the following ones.

    See Also
    --------
    skicl.ICLClassifier : Takes it as ``ensemble``.

    References
    ----------
    .. [1] Li, Zhou, Glavaš, Korhonen and Vulić (2025), "Large Language Models are Miscalibrated In-Context Learners",
       Findings of ACL, arXiv:2312.13772.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting import PromptEnsemble
    >>> answers = np.log([[[0.9, 0.1]], [[0.4, 0.6]], [[0.4, 0.6]]])
    >>> np.exp(PromptEnsemble(3).combined(answers)).round(3)
    array([[0.567, 0.433]])
    >>> np.exp(PromptEnsemble(3, combine="vote").combined(answers)).round(3)
    array([[0.375, 0.625]])
    """

    def __init__(
        self,
        n_members: int = 5,
        *,
        vary: Sequence[str] = ("demonstrations",),
        templates: Sequence[str | PromptTemplate] | None = None,
        words: Sequence[Mapping] | None = None,
        combine: str = "mean",
        random_state: int = 0,
    ) -> None:
        self.n_members = n_members
        self.vary = vary
        self.templates = templates
        self.words = words
        self.combine = combine
        self.random_state = random_state

    def check(self) -> None:
        """Refuse unusable parameters.

        Raises
        ------
        ValueError
            If a parameter is unusable, or what should vary is not given.
        """
        check_integer(self.n_members, "n_members")
        check_integer(self.random_state, "random_state", least=0)
        if isinstance(self.vary, str) or not len(self.vary) or not set(self.vary) <= set(VARIED):
            raise ValueError(f"`vary` must be a list of some of {', '.join(map(repr, VARIED))}, got {self.vary!r}.")
        check_choice(self.combine, "combine", COMBINED)
        if not all(isinstance(template, str | PromptTemplate) for template in self.templates or ()):
            raise TypeError(f"`templates` must be a list of strings and PromptTemplates, got {self.templates!r}.")
        for name, given, varied in (("templates", self.templates, "template"), ("words", self.words, "words")):
            if (varied in self.vary) != bool(given):
                raise ValueError(
                    f"`{name}` is {given!r}, and `vary` is {self.vary!r}. Give a list of {name} if and "
                    f"only if {varied!r} is in `vary`."
                )

    def members(self, recipe: "Recipe", classes: Sequence) -> "list[Recipe]":
        """The recipes of the prompts.

        Parameters
        ----------
        recipe : Recipe
            What they have in common.
        classes : sequence
            The classes, for label words.

        Returns
        -------
        recipes : list of Recipe

        Raises
        ------
        ValueError
            If demonstrations should vary and their selector has no seed.
        """
        recipes = []
        templates, words = self.templates or (), self.words or ()
        for number in range(self.n_members):
            member, seed = recipe, self.random_state + number
            if "demonstrations" in self.vary and recipe.selector is not None:
                if "random_state" not in recipe.selector.get_params():
                    raise ValueError(
                        f"`vary` holds 'demonstrations', and {type(recipe.selector).__name__} has no "
                        "random_state. Vary the order, the template or the words instead."
                    )
                member = member._replace(selector=clone(recipe.selector).set_params(random_state=seed))
            if "order" in self.vary:
                member = member._replace(shuffle=seed)
            if "template" in self.vary:
                template = templates[number % len(templates)]
                template = PromptTemplate(template) if isinstance(template, str) else template
                member = member._replace(template=template)
            if "words" in self.vary:
                member = member._replace(words=Verbalizer(words[number % len(words)]).words_of(classes))
            recipes.append(member)
        return recipes

    def combined(self, log_proba: ArrayLike) -> np.ndarray:
        """One answer out of those of all members.

        Parameters
        ----------
        log_proba : array-like of shape (n_members, n_queries, n_classes)
            Log-probabilities.

        Returns
        -------
        combined : ndarray of shape (n_queries, n_classes)
            Log-probabilities.
        """
        log_proba = np.asarray(log_proba)
        n_members, _, n_classes = log_proba.shape
        if self.combine == "mean":
            return logsumexp(log_proba, axis=0) - np.log(n_members)
        if self.combine == "max":
            return log_softmax(log_proba.max(axis=0), axis=1)
        votes = np.eye(n_classes)[log_proba.argmax(axis=2)].sum(axis=0)
        return np.log((votes + 1 / n_classes) / (n_members + 1))
