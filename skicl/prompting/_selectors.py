"""Which labelled rows stand in the prompt, where the choice does not look at the query: random, stratified.

A selector has ``fit(X, y)``, where `X` is a list of texts and `y` an array, and ``select(X)``, which returns numbers of
the fitted rows in the order of the prompt: one array for all queries, or a list with one array for each.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._validation._labels import read_all_labels
from skicl._validation._scalars import check_choice, check_integer

ORDERS = ("interleaved", "grouped", "random")


class BaseSelector(BaseEstimator, ABC):
    """What :class:`~skicl.ICLClassifier` asks of a selector; an estimator of one's own needs just these methods.

    A ``fit`` that takes a ``scorer`` gets a function ``scorer(demonstrations, rows)`` that returns log-probabilities
    (n_rows, n_classes) of labelled rows after ordered demonstrations, both given by their numbers.
    """

    @abstractmethod
    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:
        """Learn from labelled texts what to choose."""

    @abstractmethod
    def select(self, X: Sequence[str]) -> ArrayLike:
        """Numbers of the fitted rows, in the order of the prompt: one array for all queries, or one for each."""


class FixedSelector(BaseSelector):
    """Abstract selector whose choice, the attribute ``indices_``, is the same for all queries."""

    indices_: np.ndarray

    def select(self, X: Sequence[str]) -> np.ndarray:
        """The demonstrations of queries.

        Parameters
        ----------
        X : list of str
            Queries; they play no part.

        Returns
        -------
        indices : ndarray of shape (n_chosen,)
            The same for all queries.
        """
        check_is_fitted(self, "indices_")
        return self.indices_


class RandomDemonstrations(FixedSelector):
    """Choose demonstrations at random.

    Parameters
    ----------
    k : int, default=16
        How many. All rows if there are fewer.
    random_state : int, RandomState instance or None, default=0
        Chooses the rows and their order.

    Attributes
    ----------
    indices_ : ndarray of shape (n_chosen,)
        Numbers of the chosen rows, in the order of the prompt.

    See Also
    --------
    StratifiedDemonstrations : The same from every class, class by class in turn.

    Examples
    --------
    >>> from skicl.prompting import RandomDemonstrations
    >>> RandomDemonstrations(k=2).fit(["a", "b", "c", "d"], [0, 0, 1, 1]).select(["e"])
    array([2, 3])
    """

    def __init__(self, k: int = 16, *, random_state: int | np.random.RandomState | None = 0) -> None:
        self.k = k
        self.random_state = random_state

    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:
        """Choose among labelled rows.

        Parameters
        ----------
        X : list of str
            Texts.
        y : array-like of shape (n_samples,)
            Their labels.

        Returns
        -------
        self : RandomDemonstrations
        """
        check_integer(self.k, "k", least=0)
        self.indices_ = check_random_state(self.random_state).permutation(len(X))[: self.k]
        return self


class StratifiedDemonstrations(FixedSelector):
    """Choose equally many demonstrations of every class at random.

    Parameters
    ----------
    k : int, default=16
        How many in all. All rows if there are fewer. If it is not divisible by the number of classes, or a class has
        few rows, some classes have one or more above others.
    order : {"interleaved", "grouped", "random"}, default="interleaved"
        The classes by turns, one class after the other, or neither. Models are swayed by runs of one label.
    random_state : int, RandomState instance or None, default=0
        Chooses the rows and their order.

    Attributes
    ----------
    indices_ : ndarray of shape (n_chosen,)
        Numbers of the chosen rows, in the order of the prompt.

    See Also
    --------
    RandomDemonstrations : Takes no notice of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting import StratifiedDemonstrations
    >>> y = np.array(["a", "a", "a", "b", "b", "b"])
    >>> selector = StratifiedDemonstrations(k=4).fit(list("uvwxyz"), y)
    >>> y[selector.select(["query"])].tolist()
    ['a', 'b', 'a', 'b']
    """

    def __init__(
        self, k: int = 16, *, order: str = "interleaved", random_state: int | np.random.RandomState | None = 0
    ) -> None:
        self.k = k
        self.order = order
        self.random_state = random_state

    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:
        """Choose among labelled rows.

        Parameters
        ----------
        X : list of str
            Texts.
        y : array-like of shape (n_samples,)
            Their labels.

        Returns
        -------
        self : StratifiedDemonstrations
        """
        check_integer(self.k, "k", least=0)
        check_choice(self.order, "order", ORDERS)
        random = check_random_state(self.random_state)
        labels = read_all_labels(y)
        groups = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
        chosen = by_turns(groups, self.k, random)
        if self.order == "grouped":
            chosen = chosen[np.argsort(labels[chosen], kind="stable")]
        elif self.order == "random":
            chosen = random.permutation(chosen)
        self.indices_ = chosen
        return self


def by_turns(groups, k, random):
    """At most `k` rows from several groups by turns; no group gives two more than another that still has rows.

    The rows of a group are taken in their order, the groups in a new random order in every round.
    """
    taken = []
    for turn in range(max(map(len, groups), default=0)):
        for i in random.permutation(len(groups)):
            if turn < len(groups[i]):
                taken.append(groups[i][turn])
    return np.array(taken[:k], dtype=np.int64)
