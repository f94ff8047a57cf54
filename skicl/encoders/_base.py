"""What all encoders share: batches, order, duplicates, the cache, and the contract with scikit-learn."""

from abc import ABC, abstractmethod
from contextlib import closing, suppress
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import update_at_once
from skicl._models._in_memory import CHANGING, LoadedModel, version_of
from skicl._models._precision import NOT_FINITE, check_dtype
from skicl._progress import progress_bar
from skicl._validation._environment import resolve_device, warn_user
from skicl._validation._finite import check_finite
from skicl._validation._scalars import check_flag, check_integer
from skicl._validation._texts import check_texts
from skicl.encoders._cache._embedding_cache import (
    KeysOutdated,
    Rows,
    cached_vectors,
    content_digest,
    keys_of,
    resolve_cache,
)
from skicl.encoders._pipelining import work_ahead

# A batch of this many items ends before an item smaller than this fraction of its largest.
SMALLEST_BATCH = 16
LEAST_SIZE_IN_BATCH = 0.9
# How often a call begins anew whose model is changed by others while it encodes.
_TRIES = 3


class BaseEncoder(TransformerMixin, BaseEstimator, ABC):
    """Abstract scikit-learn transformer from raw items to float32 vectors.

    A final class takes `batch_size` and `device` among its parameters and writes two methods: ``_load(device)``
    returns the frozen model, which must come from :func:`~skicl.encoders.shared_model` so that it is loaded
    once, and ``_encode(model, batch)`` turns a list of items into an array of shape (n_items, n_features).

    If it also takes `dtype`, `cache` or `verbose`, these are checked and used here. A `cache` needs
    ``_fingerprint(model)``: all that changes a vector beside the item. For items that are not texts it writes
    ``_read`` and ``_content``, and its tag ``input_tags.string`` says that strings are no texts. It may refine
    ``_check_parameters``, ``_size``, ``_sizes``, ``_inspect``, ``_prepare``, ``_fitted_attributes`` and
    ``_feature_names``.

    Equal items are encoded once in a call, batches hold items of similar length, and rows come back in the order
    of the input. No weights are stored in the encoder, hence none in a pickle.

    Attributes
    ----------
    n_features_out_ : int
        Number of features of the vectors.

    See Also
    --------
    skicl.encoders.shared_model : Loads a model once for all encoders of a process.

    Examples
    --------
    >>> from skicl.encoders import BaseEncoder
    >>> class VowelEncoder(BaseEncoder):
    ...     def __init__(self, batch_size=64, device="cpu"):
    ...         self.batch_size = batch_size
    ...         self.device = device
    ...
    ...     def _load(self, device):
    ...         return "aeiou"
    ...
    ...     def _encode(self, model, batch):
    ...         return [[text.count(letter) for letter in model] for text in batch]
    >>> VowelEncoder().fit_transform(["banana", "pie"])
    array([[3., 0., 0., 0., 0.],
           [0., 1., 1., 0., 0.]], dtype=float32)
    """

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
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
        items, model = self._begin(X)
        n_features = self._vectors(model, [min(items, key=self._size)]).shape[1]
        self._finish_fit(model, n_features)
        return self

    def fit_transform(self, X: ArrayLike, y: Any = None) -> np.ndarray:
        """Fit and encode the same items.

        Parameters
        ----------
        X : collection of n_samples items
            What to encode.
        y : object, default=None
            Ignored.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features), dtype float32
            One row per item, in the order of `X`.

        Raises
        ------
        ValueError, TypeError, ConnectionError
            As `fit` does.

        Warns
        -----
        UserWarning
            If items are too long for the model and were truncated; the message counts them.
        """
        items, model = self._begin(X)
        self._inspect(model, items)
        vectors = self._vectors(model, items)
        self._finish_fit(model, vectors.shape[1])
        return vectors

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode items.

        Parameters
        ----------
        X : collection of n_samples items
            What to encode. Texts: a list, a 1-D array, a Series, a frame with one column or an array of shape
            (n_samples, 1).

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features), dtype float32
            One row per item, in the order of `X`.

        Raises
        ------
        ValueError, TypeError
            If a parameter is unusable, or `X` is empty, is a bare string or holds a bad item.

        Warns
        -----
        UserWarning
            If items are too long for the model and were truncated; the message counts them. If the files of the model
            have changed since ``fit``: the vectors come from the new files, and what was fitted on the old vectors does
            not match them.
        """
        check_is_fitted(self, "n_features_out_")
        items, model = self._begin(X)
        self._inspect(model, items)
        self._compare(model)
        return self._vectors(model, items)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features: the class in lower case and the number of the feature.

        Parameters
        ----------
        input_features : object, default=None
            Ignored.

        Returns
        -------
        names : ndarray of shape (n_features,), dtype object
            Such as ``"sentenceencoder0"``; where several vectors stand side by side, also which one, such as
            ``"sentenceencoder_last_0"``.
        """
        check_is_fitted(self, "n_features_out_")
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{name}" for name in self._feature_names()], dtype=object)

    @abstractmethod
    def _load(self, device):
        """The frozen model on a device, as :func:`~skicl._models._in_memory.shared_model` returns it."""

    @abstractmethod
    def _encode(self, model, batch):
        """Vectors of what ``_prepare`` returned for some items: an array of shape (n_items, n_features)."""

    def _check_parameters(self):
        """Refuse bad parameters, before any work."""
        check_integer(self.batch_size, "batch_size")
        check_dtype(getattr(self, "dtype", None))
        resolve_cache(getattr(self, "cache", None))
        check_flag(getattr(self, "verbose", False), "verbose")

    def _read(self, X):
        """The input as a list of items; texts unless a final class says otherwise."""
        return check_texts(X)

    def _content(self, item):
        """Bytes that are equal for equal items and for no others."""
        return item.encode("utf-8", errors="surrogatepass")

    def _fingerprint(self, model):
        """All that changes a vector beside the item: a tuple of str, int, float and None.

        For weights see :func:`~skicl._models._in_memory.weights_digest`. `batch_size` and `device` do not belong in.
        """
        raise TypeError(
            f"`cache` was given, and {type(self).__name__} does not say what its vectors depend on. Write its method "
            "_fingerprint(model), or set cache=None."
        )

    def _size(self, item):
        """How long an item is, up to a factor; batches hold items of similar size."""
        return len(item)

    def _sizes(self, model, items):
        """Sizes of items by which they are put into batches."""
        return [self._size(item) for item in items]

    def _inspect(self, model, items):
        """Called once per ``transform`` with all items, to warn about them."""

    def _prepare(self, model, batch):
        """A list of items made ready for ``_encode``; on a GPU in a thread that works ahead, so without gradients,
        random numbers or the network itself."""
        return batch

    def _fitted_attributes(self, model):
        """What else ``fit`` knows of the model, a dict of attributes; once per ``fit``, to warn about it too."""
        return {}

    def _feature_names(self):
        """What tells the features of a fitted encoder apart, behind the name of the class."""
        return map(str, range(self.n_features_out_))

    def _finish_fit(self, model, n_features):
        """Keep what ``fit`` has learnt."""
        learnt = {"n_features_out_": n_features, "_fitted_version": version_of(model), **self._fitted_attributes(model)}
        update_at_once(self, learnt)

    def _begin(self, X):
        """The items and the model, after all checks."""
        self._check_parameters()
        items = self._read(X)
        if not len(items):
            raise ValueError("`X` is empty: found 0 items while a minimum of 1 is required.")
        return items, self._load(resolve_device(self.device))

    def _compare(self, model):
        """Say so if the files of the model are not those of ``fit``."""
        before, now = getattr(self, "_fitted_version", None), version_of(model)
        if before is not None and now is not None and before != now:
            warn_user(
                f"The files of `model`={self.model!r} have changed since {type(self).__name__} was fitted. What was "
                "fitted on its vectors, such as a classifier, does not match the new ones: fit all of it again."
            )

    def _vectors(self, model, items):
        """Vectors of items in their order, each distinct one encoded once at most."""
        first, rows = distinct_digests([content_digest(self._content(item)) for item in items])
        places = list(first.values())
        distinct = [items[i] for i in places]
        cache = resolve_cache(getattr(self, "cache", None))

        def encode(positions, choose):
            with closing(self._encoded(model, distinct, positions, choose)) as batches:
                for batch, vectors in batches:  # nothing else is kept
                    check_finite(vectors, "vectors", NOT_FINITE, [places[i] for i in batch])
                    yield batch, vectors

        if cache is None:
            filled = Rows(len(distinct))
            with closing(encode(range(len(distinct)), None)) as batches:
                for batch, vectors in batches:
                    filled.fill(batch, vectors)
            vectors = filled.matrix
        else:
            vectors = self._cached(model, cache.open(), list(first), encode)
        check_finite(vectors, "vectors", NOT_FINITE, places)  # those that an earlier version kept
        return vectors if len(distinct) == len(items) else vectors[rows]

    def _cached(self, model, store, digests, encode):
        """Vectors from a store; of a model that others may change, none under the name of weights that it had."""
        fixed = isinstance(model, LoadedModel) and not model.live
        for _ in range(_TRIES):
            fingerprint = self._fingerprint(model)

            def still_valid(before=fingerprint):
                return self._fingerprint(model) == before

            with suppress(KeysOutdated):
                return cached_vectors(store, keys_of(digests, fingerprint), encode, None if fixed else still_valid)
        raise RuntimeError(CHANGING)

    def _encoded(self, model, items, positions, choose):
        """Yield batches of similar size and their vectors, the largest items first.

        ``choose`` leaves of a batch what is to be encoded; None means all.
        """

        def prepared():
            sizes = self._sizes(model, [items[i] for i in positions])
            for places in batches_of_similar_size(sizes, self.batch_size):
                batch = [positions[i] for i in places]
                chosen = batch if choose is None else choose(batch)
                ready = self._prepare(model, [items[i] for i in chosen]) if chosen else None
                yield batch, chosen, ready

        ahead = resolve_device(self.device).type != "cpu"
        verbose = bool(getattr(self, "verbose", False))
        with progress_bar(len(positions), type(self).__name__, verbose) as bar, work_ahead(prepared(), ahead) as work:
            for batch, chosen, ready in work:
                if chosen:
                    vectors = self._encode(model, ready)
                    if len(vectors) != len(chosen):  # numpy would repeat a single one
                        raise ValueError(
                            f"{type(self).__name__}._encode returned {len(vectors)} vectors for {len(chosen)} items. "
                            "It must return one for each."
                        )
                    yield chosen, vectors
                bar.update(len(batch))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def distinct_digests(digests):
    """The position of the first occurrence of each digest, in the order of occurrence, and rows (n_items,).

    ``list(first)[rows[i]]`` equals ``digests[i]``.
    """
    first, row_of = {}, {}
    rows = np.empty(len(digests), dtype=np.int64)
    for i, digest in enumerate(digests):
        first.setdefault(digest, i)
        rows[i] = row_of.setdefault(digest, len(row_of))
    return first, rows


def batches_of_similar_size(sizes, batch_size):
    """Yield batches, lists of positions of at most `batch_size` items, such that little of a batch is padding.

    Items are sorted by size, the largest first, so that a lack of memory shows at once. A batch of at least
    ``SMALLEST_BATCH`` items ends early where items get much smaller than its first.
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
