"""Which labelled rows stand in the prompt, where the choice does not look at the query: random, stratified.

A selector has ``fit(X, y)``, where `X` is a list of texts and `y` an array, and ``select(X)``, which returns numbers of
the fitted rows in the order of the prompt: one array for all queries, or a list with one array for each.
"""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._validation._labels import read_all_labels
from skicl._validation._wording import did_you_mean

ORDERS = ("interleaved", "grouped", "random")


class RandomDemonstrations(BaseEstimator):
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

    def __init__(self, k=16, *, random_state=0):
        self.k = k
        self.random_state = random_state

    def fit(self, X, y):
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
        check_count(self.k)
        self.indices_ = check_random_state(self.random_state).permutation(len(X))[: self.k]
        return self

    def select(self, X):
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


class StratifiedDemonstrations(BaseEstimator):
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

    def __init__(self, k=16, *, order="interleaved", random_state=0):
        self.k = k
        self.order = order
        self.random_state = random_state

    def fit(self, X, y):
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
        check_count(self.k)
        if not (isinstance(self.order, str) and self.order in ORDERS):
            raise ValueError(
                f"`order` must be one of {', '.join(map(repr, ORDERS))}, got {self.order!r}."
                + did_you_mean(self.order, ORDERS)
            )
        random = check_random_state(self.random_state)
        y = read_all_labels(y)
        chosen = by_turns([random.permutation(np.flatnonzero(y == label)) for label in np.unique(y)], self.k, random)
        if self.order == "grouped":
            chosen = chosen[np.argsort(y[chosen], kind="stable")]
        elif self.order == "random":
            chosen = random.permutation(chosen)
        self.indices_ = chosen
        return self

    def select(self, X):
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


def by_turns(groups, k, random):
    """Take rows from several groups by turns.

    Parameters
    ----------
    groups : list of ndarray of int
        Rows of each group, in the order in which they are taken.
    k : int
        How many to take.
    random : RandomState
        Chooses the order of the groups, anew for every round.

    Returns
    -------
    rows : ndarray of int
        At most `k`; no group has two more than another that still has rows.
    """
    taken = []
    for turn in range(max(map(len, groups), default=0)):
        for i in random.permutation(len(groups)):
            if turn < len(groups[i]):
                taken.append(groups[i][turn])
    return np.array(taken[:k], dtype=np.int64)


def check_count(k, parameter="k"):
    """Refuse a number of demonstrations that is none.

    Parameters
    ----------
    k : object
        What the user gave.
    parameter : str, default="k"
        Its name.

    Raises
    ------
    ValueError
        If it is no integer of at least 0.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 0:
        raise ValueError(f"`{parameter}` must be an integer of at least 0, got {k!r}.")
