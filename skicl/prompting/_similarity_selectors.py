"""Which labelled rows stand in the prompt, where likeness decides: nearest to the query, diverse, representative.

Rows are unit vectors of any encoder, so that likeness is the cosine.
"""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import update_at_once
from skicl._validation._labels import read_all_labels
from skicl._validation._wording import did_you_mean
from skicl.prompting._selectors import check_count

ORDERS = ("nearest_last", "nearest_first")
# Of rows that gain equally much, the one that is less like those taken before.
_TIE = 1e-9


class NearestDemonstrations(BaseEstimator):
    """Choose for every query the labelled rows that are most like it.

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
    DiverseDemonstrations : Avoids demonstrations that are like each other.

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

    def __init__(self, k=8, *, encoder=None, per_class=False, order="nearest_last"):
        self.k = k
        self.encoder = encoder
        self.per_class = per_class
        self.order = order

    def fit(self, X, y):
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
        check_count(self.k)
        check_order(self.order)
        if not isinstance(self.per_class, bool | np.bool_):
            raise ValueError(f"`per_class` must be True or False, got {self.per_class!r}.")
        encoder, vectors = fit_vectors(self.encoder, X)
        codes = np.unique(read_all_labels(y), return_inverse=True)[1]
        update_at_once(self, {"encoder_": encoder, "_vectors": vectors, "_codes": codes})
        return self

    def select(self, X):
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
        likeness = unit_vectors(fitted["encoder_"].transform(X)) @ fitted["_vectors"].T
        ranked = np.argsort(-_dense(likeness), axis=1, kind="stable")
        if self.per_class:
            ranked = np.stack([row[_turns(fitted["_codes"][row])] for row in ranked])
        chosen = ranked[:, : self.k]
        return chosen if self.order == "nearest_first" else chosen[:, ::-1]


class DiverseDemonstrations(BaseEstimator):
    """Choose for every query labelled rows that are like it and unlike each other: maximal marginal relevance.

    Parameters
    ----------
    k : int, default=8
        How many. All rows if there are fewer.
    encoder : transformer or None, default=None
        What turns texts into vectors. None means TF-IDF of words.
    trade_off : float, default=0.5
        Weight of likeness to the query, from 0 to 1; the rest is the weight of the likeness to what was chosen before.
    order : {"nearest_last", "nearest_first"}, default="nearest_last"
        Whether what was chosen first stands last or first in the prompt.

    Attributes
    ----------
    encoder_ : transformer
        The fitted encoder.

    See Also
    --------
    NearestDemonstrations : Takes no notice of likeness between demonstrations.

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

    def __init__(self, k=8, *, encoder=None, trade_off=0.5, order="nearest_last"):
        self.k = k
        self.encoder = encoder
        self.trade_off = trade_off
        self.order = order

    def fit(self, X, y):
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
        check_count(self.k)
        check_order(self.order)
        trade_off = self.trade_off
        if isinstance(trade_off, bool) or not isinstance(trade_off, Real) or not 0 <= trade_off <= 1:
            raise ValueError(f"`trade_off` must be a number from 0 to 1, got {trade_off!r}.")
        encoder, vectors = fit_vectors(self.encoder, X)
        update_at_once(self, {"encoder_": encoder, "_vectors": vectors})
        return self

    def select(self, X):
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
        likeness = _dense(unit_vectors(fitted["encoder_"].transform(X)) @ vectors.T)
        among = _dense(vectors @ vectors.T)
        chosen = np.stack([marginal_relevance(row, among, self.k, self.trade_off) for row in likeness])
        return chosen if self.order == "nearest_first" else chosen[:, ::-1]


class VoteKDemonstrations(BaseEstimator):
    """Choose labelled rows that stand for many others, each for other ones: vote-k.

    Every row votes for those that it is among the nearest neighbours of; the votes of rows that the chosen ones
    already stand for count less. The choice is the same for all queries.

    Parameters
    ----------
    k : int, default=16
        How many. All rows if there are fewer.
    encoder : transformer or None, default=None
        What turns texts into vectors. None means TF-IDF of words.
    n_neighbors : int, default=10
        Rows that each row votes for.
    rho : float, default=10.0
        A vote of a row that m chosen rows already stand for weighs rho to the power of -m.
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

    def __init__(self, k=16, *, encoder=None, n_neighbors=10, rho=10.0, random_state=0):
        self.k = k
        self.encoder = encoder
        self.n_neighbors = n_neighbors
        self.rho = rho
        self.random_state = random_state

    def fit(self, X, y):
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
        check_count(self.k)
        if isinstance(self.n_neighbors, bool) or not isinstance(self.n_neighbors, Integral) or self.n_neighbors < 1:
            raise ValueError(f"`n_neighbors` must be an integer of at least 1, got {self.n_neighbors!r}.")
        if isinstance(self.rho, bool) or not isinstance(self.rho, Real) or not 1 < self.rho < np.inf:
            raise ValueError(f"`rho` must be a number above 1, got {self.rho!r}.")
        encoder, vectors = fit_vectors(self.encoder, X)
        random = check_random_state(self.random_state)
        indices = vote_k(_dense(vectors @ vectors.T), self.k, self.n_neighbors, self.rho, random)
        update_at_once(self, {"encoder_": encoder, "indices_": indices})
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


def marginal_relevance(likeness, among, k, trade_off):
    """Take rows that are like a query and unlike those taken before.

    Parameters
    ----------
    likeness : ndarray of shape (n_rows,)
        To the query.
    among : ndarray of shape (n_rows, n_rows)
        Between the rows.
    k : int
        How many.
    trade_off : float
        Weight of the likeness to the query.

    Returns
    -------
    chosen : ndarray of shape (n_chosen,), dtype int64
        In the order in which they were taken.
    """
    left, nearest, chosen = np.ones(len(likeness), bool), np.zeros(len(likeness)), []
    for _ in range(min(k, len(likeness))):
        gain = trade_off * likeness - (1 - trade_off + _TIE) * nearest
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, among[best])
    return np.array(chosen, dtype=np.int64)


def vote_k(likeness, k, n_neighbors, rho, random):
    """Take rows that stand for many others.

    Parameters
    ----------
    likeness : ndarray of shape (n_rows, n_rows)
        Between the rows.
    k : int
        How many.
    n_neighbors : int
        Rows that each row votes for.
    rho : float
        Base of the discount.
    random : RandomState
        Chooses among equals, and the final order.

    Returns
    -------
    chosen : ndarray of shape (n_chosen,), dtype int64
    """
    n_rows = len(likeness)
    others = likeness - 4 * np.eye(n_rows)
    votes = np.zeros((n_rows, n_rows), bool)  # of the row, for the column
    nearest = np.argsort(-others, axis=1, kind="stable")[:, : min(n_neighbors, n_rows - 1)]
    np.put_along_axis(votes, nearest, True, axis=1)
    shown, left, chosen = np.zeros(n_rows), np.ones(n_rows, bool), []
    for _ in range(min(k, n_rows)):
        score = np.where(left, votes.T @ (left * rho**-shown), -1.0)
        best = int(random.choice(np.flatnonzero(score >= score.max() * (1 - 1e-12))))
        chosen.append(best)
        left[best] = False
        shown += votes[:, best]
    return random.permutation(np.array(chosen, dtype=np.int64))


def fit_vectors(encoder, texts):
    """Fit an encoder and encode the same texts.

    Parameters
    ----------
    encoder : transformer or None
        Not fitted. None means TF-IDF of words.
    texts : list of str
        What to encode.

    Returns
    -------
    encoder : transformer
        Fitted.
    vectors : ndarray or sparse matrix of shape (n_texts, n_features)
        Of unit length, or zero.
    """
    # Words of one letter count too, so that short texts are not left without any.
    encoder = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]") if encoder is None else clone(encoder)
    if isinstance(encoder, TfidfVectorizer) and not any(text.strip() for text in texts):
        texts = [*texts[:-1], "."]
    return encoder, unit_vectors(encoder.fit(texts).transform(texts))


def unit_vectors(vectors):
    """Scale rows to unit length.

    Parameters
    ----------
    vectors : array-like or sparse matrix of shape (n_rows, n_features)
        What an encoder returned.

    Returns
    -------
    vectors : ndarray or sparse matrix of shape (n_rows, n_features)
        Rows of zeros stay as they are.
    """
    return normalize(vectors if hasattr(vectors, "toarray") else np.asarray(vectors, dtype=np.float64))


def check_order(order):
    """Refuse a parameter that names no order.

    Parameters
    ----------
    order : object
        What the user gave.

    Raises
    ------
    ValueError
        If it is none of ``ORDERS``.
    """
    if not (isinstance(order, str) and order in ORDERS):
        raise ValueError(
            f"`order` must be one of {', '.join(map(repr, ORDERS))}, got {order!r}." + did_you_mean(order, ORDERS)
        )


def _turns(codes):
    """Places of ranked rows so that classes come by turns, each in its own rank."""
    seen, keys = {}, []
    for place, code in enumerate(codes):
        seen[code] = seen.get(code, -1) + 1
        keys.append((seen[code], place))
    return np.array([place for _, place in sorted(keys)])


def _dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix
