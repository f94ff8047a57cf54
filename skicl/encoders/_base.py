"""What all encoders share: batches, order, duplicates, and the contract with scikit-learn."""

from abc import ABC, abstractmethod
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skicl._validation import check_texts, resolve_device

# A batch of so many items ends before an item smaller than this fraction of its largest.
SMALLEST_BATCH = 16
LEAST_SIZE_IN_BATCH = 0.9


class BaseEncoder(TransformerMixin, BaseEstimator, ABC):
    """Abstract scikit-learn transformer from raw items to float32 vectors.

    A final class takes `batch_size` and `device` among its parameters and writes two methods: ``_load(device)``
    returns the frozen model, which must come from :func:`~skicl.encoders._weights.shared_model` so that it is
    loaded once, and ``_encode(model, batch)`` turns a list of items into an array of shape (n_items, n_features).
    It may refine ``_check_parameters``, ``_read``, ``_size`` and ``_inspect``.

    Equal items are encoded once in a call, batches hold items of similar length, and rows come back in the order
    of the input. No weights are stored in the encoder, hence none in a pickle.
    """

    def fit(self, X, y=None):
        """Check parameters and items, and load the model. Nothing is learned from the data.

        Parameters
        ----------
        X : collection of n_samples items
            What to encode. Texts: a list, a 1-D array, a Series, a frame with one column or an array of shape
            (n_samples, 1).
        y : object, default=None
            Ignored.

        Returns
        -------
        self : BaseEncoder
            The fitted encoder.

        Raises
        ------
        ValueError, TypeError
            If a parameter is unusable, or `X` is empty, is a bare string or holds a bad item; the message names the
            position of the first.
        ConnectionError
            If the model is not on this machine and the hub cannot be reached.
        """
        self._check_parameters()
        items = self._read(X)
        model = self._load(resolve_device(self.device))
        self.n_features_out_ = self._encode(model, [min(items, key=self._size)]).shape[1]
        return self

    def transform(self, X):
        """Encode items.

        Parameters
        ----------
        X : collection of n_samples items
            What to encode. Texts: a list, a 1-D array, a Series, a frame with one column or an array of shape
            (n_samples, 1).

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features_out_), dtype float32
            One row per item, in the order of `X`.

        Raises
        ------
        ValueError, TypeError
            If a parameter is unusable, or `X` is empty, is a bare string or holds a bad item.

        Warns
        -----
        UserWarning
            If items are too long for the model and were truncated; the message counts them.
        """
        check_is_fitted(self, "n_features_out_")
        self._check_parameters()
        items = self._read(X)
        model = self._load(resolve_device(self.device))
        self._inspect(model, items)
        distinct, rows = distinct_items(items)
        vectors = self._encode_all(model, distinct)
        return vectors if len(distinct) == len(items) else vectors[rows]

    def get_feature_names_out(self, input_features=None):
        """Names of the features: the class in lower case and the number of the feature.

        Parameters
        ----------
        input_features : object, default=None
            Ignored.

        Returns
        -------
        names : ndarray of shape (n_features_out_,), dtype object
            Such as ``"sentenceencoder0"``.
        """
        check_is_fitted(self, "n_features_out_")
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self.n_features_out_)], dtype=object)

    @abstractmethod
    def _load(self, device):
        """The frozen model on a device, as :func:`~skicl.encoders._weights.shared_model` returns it."""

    @abstractmethod
    def _encode(self, model, batch):
        """Vectors of a list of items: an array of shape (n_items, n_features)."""

    def _check_parameters(self):
        """Refuse bad parameters, before any work."""
        check_integer(self.batch_size, "batch_size")

    def _read(self, X):
        """The input as a list of hashable items; texts unless a final class says otherwise."""
        return check_texts(X)

    def _size(self, item):
        """How long an item is, up to a factor; batches hold items of similar size."""
        return len(item)

    def _inspect(self, model, items):
        """Called once per ``transform`` with all items, to warn about them."""

    def _encode_all(self, model, items):
        """Vectors of all items, in their order, from batches of similar size, the largest first."""
        vectors = np.empty((len(items), self.n_features_out_), dtype=np.float32)
        for batch in batches_of_similar_size([self._size(item) for item in items], self.batch_size):
            vectors[batch] = self._encode(model, [items[i] for i in batch])
        return vectors

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def distinct_items(items):
    """Split items into distinct ones and where each occurs.

    Parameters
    ----------
    items : list of hashable
        Any items.

    Returns
    -------
    distinct : list
        Each item once, in the order of first occurrence.
    rows : ndarray of shape (n_items,), dtype int64
        ``distinct[rows[i]]`` equals ``items[i]``.

    Examples
    --------
    >>> from skicl.encoders._base import distinct_items
    >>> distinct_items(["b", "a", "b"])
    (['b', 'a'], array([0, 1, 0]))
    """
    row_of = {}
    rows = np.array([row_of.setdefault(item, len(row_of)) for item in items], dtype=np.int64)
    return list(row_of), rows


def batches_of_similar_size(sizes, batch_size):
    """Split items into batches so that little of a batch is padding.

    Items are sorted by size, the largest first, so that a lack of memory shows at once. A batch of at least
    ``SMALLEST_BATCH`` items ends early where items get much smaller than its first.

    Parameters
    ----------
    sizes : list of int
        Sizes of the items.
    batch_size : int
        Most items in a batch.

    Yields
    ------
    batch : list of int
        Positions of the items of a batch.

    Examples
    --------
    >>> from skicl.encoders._base import batches_of_similar_size
    >>> list(batches_of_similar_size([3, 9, 7, 8], batch_size=3))
    [[1, 3, 2], [0]]
    """
    batch = []
    for i in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        much_smaller = batch and sizes[i] < LEAST_SIZE_IN_BATCH * sizes[batch[0]]
        if len(batch) == batch_size or (much_smaller and len(batch) >= SMALLEST_BATCH):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def check_integer(value, parameter, *, optional=False):
    """Refuse a parameter that is not a positive integer.

    Parameters
    ----------
    value : object
        What the user gave.
    parameter : str
        The name of the parameter.
    optional : bool, default=False
        Whether None is allowed.

    Raises
    ------
    ValueError
        If `value` is anything else.
    """
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        expected = "a positive integer" + (" or None" if optional else "")
        raise ValueError(f"`{parameter}` must be {expected}, got {value!r}.")
