"""Which labelled rows stand in the prompt, where similarity decides: nearest to the query, diverse, representative.

Rows are unit vectors of any encoder, so that their similarity is the cosine.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import update_at_once
from skicl._validation._labels import read_all_labels
from skicl._validation._scalars import check_choice, check_flag, check_integer, check_number, check_share
from skicl.prompting._selectors import BaseSelector, FixedSelector

ORDERS = ("nearest_last", "nearest_first")
# Of rows that gain equally much, the one that is less like those taken before.
_TIE = 1e-9


class NearestDemonstrations(BaseSelector):
    """Choose for every query the labelled rows that are most similar to it.

    Every query then has a prompt of its own, which is read from its beginning: with k demonstrations some k times the
    work of a fixed choice.

    Parameters
    ----------
    k : int, default=8
        How many in all. All rows if there are fewer.
    encoder : transformer or None, default=None
        What turns texts into vectors: any scikit-learn transformer of texts, such as a
        :class:`~skicl.SentenceEncoder`. None means TF-IDF of words.
    per_class : bool, default=False
        Whether to take the nearest of every class by turns, so that all classes are shown.
    order : {"nearest_last", "nearest_first"}, default="nearest_last"
        The order of the prompt. Models are swayed most by what stands last.

    Attributes
    ----------
    encoder_ : transformer
        The fitted encoder.

    See Also
    --------
    DiverseDemonstrations : Avoids demonstrations that are similar to each other.

    References
    ----------
    .. [1] Liu, Shen, Zhang, Dolan, Carin and Chen (2022), "What Makes Good In-Context Examples for GPT-3?", DeeLIO.

    Examples
    --------
    >>> from skicl.prompting import NearestDemonstrations
    >>> texts = ["late parcel", "lost parcel", "wrong bill", "unpaid bill"]
    >>> selector = NearestDemonstrations(k=2).fit(texts, [0, 0, 1, 1])
    >>> selector.select(["a parcel is lost", "the bill is wrong"])
    array([[0, 1],
           [3, 2]])
    """

    def __init__(
        self, k: int = 8, *, encoder: Any = None, per_class: bool = False, order: str = "nearest_last"
    ) -> None:
        self.k = k
        self.encoder = encoder
        self.per_class = per_class
        self.order = order

    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:
        """Encode labelled rows.

        Parameters
        ----------
        X : list of str
            Texts.
        y : array-like of shape (n_samples,)
            Their labels.

        Returns
        -------
        self : NearestDemonstrations
        """
        check_integer(self.k, "k", least=0)
        check_choice(self.order, "order", ORDERS)
        check_flag(self.per_class, "per_class")
        encoder, vectors = fit_vectors(self.encoder, X)
        codes = np.unique(read_all_labels(y), return_inverse=True)[1]
        update_at_once(self, {"encoder_": encoder, "_vectors": vectors, "_codes": codes})
        return self

    def select(self, X: Sequence[str]) -> np.ndarray:
        """The demonstrations of queries.

        Parameters
        ----------
        X : list of str
            Queries.

        Returns
        -------
        indices : ndarray of shape (n_queries, n_chosen)
            In the order of the prompt.
        """
        check_is_fitted(self, "encoder_")
        fitted = vars(self)  # of one fit, even if another ends meanwhile
        similarity = unit_vectors(fitted["encoder_"].transform(X)) @ fitted["_vectors"].T  # n_queries, n_samples
        ranked = np.argsort(-_dense(similarity), axis=1, kind="stable")
        if self.per_class:
            ranked = np.stack([row[_turns(fitted["_codes"][row])] for row in ranked])
        chosen = ranked[:, : self.k]
        return chosen if self.order == "nearest_first" else chosen[:, ::-1]


class DiverseDemonstrations(BaseSelector):
    """Choose for every query labelled rows that are similar to it and not to each other: maximal marginal relevance.

    Parameters
    ----------
    k : int, default=8
        How many. All rows if there are fewer.
    encoder : transformer or None, default=None
        What turns texts into vectors. None means TF-IDF of words.
    trade_off : float, default=0.5
        Weight of the similarity to the query, from 0 to 1; the rest is the weight of the similarity to what was chosen
        before.
    order : {"nearest_last", "nearest_first"}, default="nearest_last"
        Whether what was chosen first stands last or first in the prompt.

    Attributes
    ----------
    encoder_ : transformer
        The fitted encoder.

    See Also
    --------
    NearestDemonstrations : Takes no notice of the similarity between demonstrations.

    References
    ----------
    .. [1] Carbonell and Goldstein (1998), "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
       Producing Summaries", SIGIR.

    Examples
    --------
    >>> from skicl.prompting import DiverseDemonstrations
    >>> texts = ["late parcel", "late parcel", "lost parcel", "wrong bill"]
    >>> DiverseDemonstrations(k=2).fit(texts, [0, 0, 0, 1]).select(["late parcel"])
    array([[3, 0]])
    """

    def __init__(self, k: int = 8, *, encoder: Any = None, trade_off: float = 0.5, order: str = "nearest_last") -> None:
        self.k = k
        self.encoder = encoder
        self.trade_off = trade_off
        self.order = order

    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:
        """Encode labelled rows.

        Parameters
        ----------
        X : list of str
            Texts.
        y : array-like of shape (n_samples,)
            Their labels; they play no part.

        Returns
        -------
        self : DiverseDemonstrations
        """
        check_integer(self.k, "k", least=0)
        check_choice(self.order, "order", ORDERS)
        check_share(self.trade_off, "trade_off", open_low=False, open_high=False)
        encoder, vectors = fit_vectors(self.encoder, X)
        update_at_once(self, {"encoder_": encoder, "_vectors": vectors})
        return self

    def select(self, X: Sequence[str]) -> np.ndarray:
        """The demonstrations of queries.

        Parameters
        ----------
        X : list of str
            Queries.

        Returns
        -------
        indices : ndarray of shape (n_queries, n_chosen)
            In the order of the prompt.
        """
        check_is_fitted(self, "encoder_")
        fitted = vars(self)  # of one fit, even if another ends meanwhile
        vectors = fitted["_vectors"]
        similarity = _dense(unit_vectors(fitted["encoder_"].transform(X)) @ vectors.T)  # n_queries, n_samples
        between = _dense(vectors @ vectors.T)
        chosen = np.stack([marginal_relevance(row, between, self.k, self.trade_off) for row in similarity])
        return chosen if self.order == "nearest_first" else chosen[:, ::-1]


class VoteKDemonstrations(FixedSelector):
    """Choose labelled rows that represent many others, each of them different ones: vote-k.

    Every row votes for its nearest neighbours; votes of rows that are already represented by chosen ones count less.
    The choice is the same for all queries.

    Parameters
    ----------
    k : int, default=16
        How many. All rows if there are fewer.
    encoder : transformer or None, default=None
        What turns texts into vectors. None means TF-IDF of words.
    n_neighbors : int, default=10
        Rows that each row votes for.
    rho : float, default=10.0
        The vote of a row that m chosen rows already represent weighs rho to the power of -m.
    random_state : int, RandomState instance or None, default=0
        Chooses among rows with equally many votes, and the order of the prompt.

    Attributes
    ----------
    indices_ : ndarray of shape (n_chosen,)
        Numbers of the chosen rows, in the order of the prompt.
    encoder_ : transformer
        The fitted encoder.

    See Also
    --------
    StratifiedDemonstrations : At random, equally many of every class.

    References
    ----------
    .. [1] Su, Kasai, Wu, Shi, Wang, Xin, Zhang, Ostendorf, Zettlemoyer, Smith and Yu (2023), "Selective Annotation
       Makes Language Models Better Few-Shot Learners", ICLR. This is the part that works on the graph of neighbours.

    Examples
    --------
    >>> from skicl.prompting import VoteKDemonstrations
    >>> texts = ["late parcel", "late parcel today", "late", "wrong bill", "wrong bill today", "wrong"]
    >>> chosen = VoteKDemonstrations(k=2, n_neighbors=2).fit(texts, [0, 0, 0, 1, 1, 1]).select(["query"])
    >>> sorted((chosen // 3).tolist())
    [0, 1]
    """

    def __init__(
        self,
        k: int = 16,
        *,
        encoder: Any = None,
        n_neighbors: int = 10,
        rho: float = 10.0,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.k = k
        self.encoder = encoder
        self.n_neighbors = n_neighbors
        self.rho = rho
        self.random_state = random_state

    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:
        """Choose among labelled rows.

        Parameters
        ----------
        X : list of str
            Texts.
        y : array-like of shape (n_samples,)
            Their labels; they play no part.

        Returns
        -------
        self : VoteKDemonstrations
        """
        check_integer(self.k, "k", least=0)
        check_integer(self.n_neighbors, "n_neighbors")
        check_number(self.rho, "rho", above=1)
        encoder, vectors = fit_vectors(self.encoder, X)
        random = check_random_state(self.random_state)
        indices = vote_k(_dense(vectors @ vectors.T), self.k, self.n_neighbors, self.rho, random)
        update_at_once(self, {"encoder_": encoder, "indices_": indices})
        return self


def marginal_relevance(similarity, between, k, trade_off):
    """At most `k` rows, in the order in which they are taken: like a query and unlike those taken before.

    `similarity` (n_rows,) is that to the query, `between` (n_rows, n_rows) that of the rows; `trade_off` weighs the
    first.
    """
    available, nearest, chosen = np.ones(len(similarity), bool), np.zeros(len(similarity)), []
    for _ in range(min(k, len(similarity))):
        gain = trade_off * similarity - (1 - trade_off + _TIE) * nearest
        best = int(np.argmax(np.where(available, gain, -np.inf)))
        chosen.append(best)
        available[best] = False
        nearest = np.maximum(nearest, between[best])
    return np.array(chosen, dtype=np.int64)


def vote_k(similarity, k, n_neighbors, rho, random):
    """At most `k` rows that stand for many others, from the similarity (n_rows, n_rows) between rows, in random order.

    Each row votes for `n_neighbors` others; `rho` is the base of the discount of rows that others already stand for.
    """
    n_rows = len(similarity)
    others = similarity - 4 * np.eye(n_rows)
    votes = np.zeros((n_rows, n_rows), bool)  # of the row, for the column
    nearest = np.argsort(-others, axis=1, kind="stable")[:, : min(n_neighbors, n_rows - 1)]
    np.put_along_axis(votes, nearest, True, axis=1)
    # For how many of the chosen rows each row has voted.
    n_chosen_near, available, chosen = np.zeros(n_rows), np.ones(n_rows, bool), []
    for _ in range(min(k, n_rows)):
        score = np.where(available, votes.T @ (available * rho**-n_chosen_near), -1.0)
        best = int(random.choice(np.flatnonzero(score >= score.max() * (1 - 1e-12))))
        chosen.append(best)
        available[best] = False
        n_chosen_near += votes[:, best]
    return random.permutation(np.array(chosen, dtype=np.int64))


def fit_vectors(encoder, texts):
    """The encoder, fitted (TF-IDF of words for None), and unit vectors (n_texts, n_features) of the same texts."""
    # Words of one letter count too, so that short texts are not left without any.
    encoder = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]") if encoder is None else clone(encoder)
    if isinstance(encoder, TfidfVectorizer) and not any(text.strip() for text in texts):
        texts = [*texts[:-1], "."]
    return encoder, unit_vectors(encoder.fit(texts).transform(texts))


def unit_vectors(vectors):
    """Rows scaled to unit length, also of a sparse matrix; rows of zeros stay as they are."""
    return normalize(vectors if hasattr(vectors, "toarray") else np.asarray(vectors, dtype=np.float64))


def _turns(codes):
    """Places of ranked rows so that classes come by turns, each in its own rank."""
    seen, keys = {}, []
    for place, code in enumerate(codes):
        seen[code] = seen.get(code, -1) + 1
        keys.append((seen[code], place))
    return np.array([place for _, place in sorted(keys)])


def _dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix
