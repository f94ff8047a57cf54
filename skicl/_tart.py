"""TartClassifier: a frozen encoder, then a pretrained reasoner that reads the labelled rows as context."""

import os
import warnings
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data

from skicl._scaling import column_scaling
from skicl._validation import is_text, resolve_device
from skicl.reasoning import Evidence, Reasoner, load_reasoner, reasoner_path

# Rows of the context are processed so many (row, class) pairs at a time, to bound memory.
PAIRS_AT_A_TIME = 200_000
# Log-probabilities of two classes differ by at most this, so that no probability is 0 or 1.
LARGEST_LOG_ODDS = 16.0
# A query so many times farther out than any labelled row is as far as one can be; its squares stay finite.
FARTHEST = 1e6
# Weights count rows; sums beyond this and its inverse are mistakes, and would overflow.
SMALLEST_TOTAL = 1e-50


class TartClassifier(ClassifierMixin, BaseEstimator):
    """Classify by in-context learning: a pretrained reasoner reads the labelled rows as its context.

    ``fit`` takes no gradient step: it encodes the rows (texts through a frozen encoder, numbers as
    they are) and compiles them, with their labels, into a small network of fixed size. ``predict``
    sends new rows through that network, at a cost that does not depend on the number of labelled
    rows. The reasoner was pretrained once, on synthetic tasks only, after the idea of TART [1]_; it
    is natively multi-class and exactly invariant to the order of the rows, to rotations of the
    features (unless columns are standardised) and to the naming of the classes.

    Parameters
    ----------
    encoder : "auto", None, str or transformer, default="auto"
        What turns ``X`` into numbers. "auto" uses a numeric ``X`` as it is and sends a collection of
        strings through the default :class:`~skicl.SentenceEncoder`. None takes numbers only. A str
        is the name or path of a sentence-transformers model. A scikit-learn transformer is cloned
        and fitted; it may take anything.
    reasoner : None, str, path or Reasoner, default=None
        The pretrained reasoner: a bundled name, the path of a ``.safetensors`` file, or a
        :class:`~skicl.reasoning.Reasoner`. None means the bundled default.
    standardize : "auto" or bool, default="auto"
        Whether columns are scaled to unit variance. "auto" does so if they look like quantities in
        different units: the largest range is more than ten times the median range, or the median
        more than ten times the first decile (constant columns set aside). Embeddings are left alone.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``. "balanced" gives every class the
        same total weight. None means one.
    device : str, torch.device or None, default=None
        Where the reasoner (and an encoder made here) runs. None means cuda, else mps, else cpu.
    batch_size : int, default=1024
        Rows scored at a time. Probabilities do not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    encoder_ : transformer or None
        The fitted encoder; None where ``X`` is used as it is.
    n_features_in_ : int
        Number of columns of a numeric ``X``. Only defined without an encoder.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Only defined if ``X`` has names that are all strings.
    n_context_ : int
        Number of rows in the context.
    standardized_ : bool
        Whether columns are scaled to unit variance.

    See Also
    --------
    SentenceEncoder : The default encoder for texts.
    sklearn.linear_model.LogisticRegression : What it replaces on top of frozen embeddings.

    Notes
    -----
    A pickle holds the rows of the context and no weights of the reasoner or the encoder, unless a
    Reasoner object was passed; the context is compiled again when a loaded classifier is first used.
    Arithmetic is in float64 where the device has it, so that all invariances hold to rounding error (a
    Reasoner object keeps its own precision and device). One exception: where a context has more distinct
    rows than the reasoner has landmarks (320) and exact ties between them, as on a grid of integers, the
    order of the rows and the orientation of the features can move probabilities by a point or two.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for
       task-agnostic reasoning", NeurIPS. The architecture differs: see the user guide.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from skicl import TartClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=30, stratify=y, random_state=0)
    >>> classifier = TartClassifier().fit(X_train, y_train)
    >>> classifier.score(X_test, y_test) > 0.9
    True
    >>> classifier.predict_proba(X_test[:2]).shape
    (2, 3)

    Raw text goes through the default sentence encoder:

    >>> texts = ["where is my parcel?", "it has not arrived", "I was charged twice", "wrong amount on my bill"]
    >>> classifier = TartClassifier().fit(texts, ["delivery", "delivery", "billing", "billing"])
    >>> classifier.predict(["my package is late", "please correct the invoice"]).tolist()
    ['delivery', 'billing']
    """

    def __init__(self, encoder="auto", *, reasoner=None, standardize="auto", class_weight=None, device=None,
                 batch_size=1024):
        self.encoder = encoder
        self.reasoner = reasoner
        self.standardize = standardize
        self.class_weight = class_weight
        self.device = device
        self.batch_size = batch_size

    def fit(self, X, y, sample_weight=None):
        """Read labelled rows as the context.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Labelled rows, or whatever ``encoder`` takes. Sparse matrices are refused: reduce them first,
            for instance by :class:`~sklearn.decomposition.TruncatedSVD`.
        y : array-like of shape (n_samples,)
            Labels: strings, integers or booleans, of at least two classes.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Non-negative weights. A row of weight 2 counts as two equal rows, so their scale matters: weights that
            sum to one say that there is one row in all. None means 1.

        Returns
        -------
        self : TartClassifier

        Raises
        ------
        ValueError
            If a parameter or an input is unusable.
        """
        self._check_parameters()
        encoder = self._resolve_encoder(X)
        X, y = self._read(encoder, X, y, reset=True)
        classes = np.unique(y)
        self._set_context(encoder, X, y, classes, _check_weight(sample_weight, len(y)))
        self._declared = None
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Append labelled rows to the context; the first call starts it.

        Equal to one ``fit`` on all rows so far, if the encoder learns nothing from the rows: it is fitted in the
        first call only. The context is compiled anew, in time linear in its rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Further labelled rows.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            In the first call: all labels that may ever occur. A class without a row so far gets a small
            probability (the rule of succession). None lets classes grow with the labels.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Non-negative weights. None means 1.

        Returns
        -------
        self : TartClassifier

        Raises
        ------
        ValueError
            If ``y`` holds a label outside the ``classes`` of the first call, or an input is unusable.
        """
        self._check_parameters()
        first = not hasattr(self, "classes_")
        encoder = self._resolve_encoder(X) if first else self.encoder_
        X, y = self._read(encoder, X, y, reset=first)
        weight = _check_weight(sample_weight, len(y))
        declared = _declare(classes, None if first else self)
        if not first:
            rows, codes, weights = self._rows
            kinds = {y.dtype.kind, self.classes_.dtype.kind}
            if len(kinds) == 2 and "O" not in kinds:
                raise ValueError(f"`y` holds labels of another kind than before: {y.tolist()[:3]}, the classes are "
                                 f"{self.classes_.tolist()[:3]}. Use labels of one type.")
            X = np.concatenate([rows, X])
            y = np.concatenate([self.classes_[codes], y])
            weight = np.concatenate([weights, weight])
        known = np.unique(y) if declared is None else declared
        _check_declared(y, known)
        self._set_context(encoder, X, y, known, weight)
        self._declared = declared
        return self

    def decision_function(self, X):
        """Log-odds of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the log-odds of ``classes_[1]``; else the log-probabilities.
        """
        log_proba = self.predict_log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Rows to classify.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In nats, in the order of ``classes_``.
        """
        check_is_fitted(self, "classes_")
        if self.encoder_ is None:
            with _explained_if_text():
                X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        else:
            X = _check_encoded(self.encoder_, self.encoder_.transform(X))
        if not hasattr(self, "_context"):       # loaded from a pickle
            self._compile()
        with torch.inference_mode():
            batches = (self._tensor(X[i:i + self.batch_size]) for i in range(0, len(X), self.batch_size))
            logits = torch.cat([self._network.score(self._context, rows)[0].cpu() for rows in batches])
            logits = torch.maximum(logits.double(), logits.amax(1, keepdim=True) - LARGEST_LOG_ODDS)
        return logits.log_softmax(1).numpy()

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Rows to classify.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Each row sums to one, in the order of ``classes_``; none is exactly 0 or 1.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """The most probable class of every row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Rows to classify.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, as they were in ``y``.
        """
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    # -- the steps, in order of use -------------------------------------------------------------

    def _check_parameters(self):
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, Integral) or self.batch_size < 1:
            raise ValueError(f"`batch_size` must be a positive integer, got {self.batch_size!r}.")
        standardize, class_weight = self.standardize, self.class_weight
        if not (isinstance(standardize, bool | np.bool_) or (isinstance(standardize, str) and standardize == "auto")):
            raise ValueError(f"`standardize` must be 'auto', True or False, got {self.standardize!r}.")
        balanced = isinstance(class_weight, str) and class_weight == "balanced"
        if not (class_weight is None or isinstance(class_weight, dict) or balanced):
            raise ValueError(f"`class_weight` must be a dict, 'balanced' or None, got {self.class_weight!r}.")
        if not (self.encoder is None or isinstance(self.encoder, str) or hasattr(self.encoder, "transform")):
            raise TypeError(f"`encoder` must be 'auto', None, the name of a model or a transformer, got an object of "
                            f"type {type(self.encoder).__name__}. Pass for instance SentenceEncoder().")
        if not (self.reasoner is None or isinstance(self.reasoner, str | os.PathLike | Reasoner)):
            raise TypeError(f"`reasoner` must be None, a name, a path or a Reasoner, got an object of type "
                            f"{type(self.reasoner).__name__}.")
        resolve_device(self.device)
        self._find_reasoner()       # fails now, not after the texts are encoded

    def _resolve_encoder(self, X):
        if self.encoder is None or (isinstance(self.encoder, str) and self.encoder == "auto" and not is_text(X)):
            return None
        if isinstance(self.encoder, str):
            from skicl.encoders import SentenceEncoder

            model = {} if self.encoder == "auto" else {"model": self.encoder}
            return SentenceEncoder(**model, device=self.device)
        return clone(self.encoder)

    def _read(self, encoder, X, y, reset):
        """Labelled rows as floats (n_samples, n_features) and labels (n_samples,), all checked."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        if encoder is None:
            with _explained_if_text():
                X, y = validate_data(self, X, y, reset=reset, dtype=[np.float64, np.float32])
            _check_labels(y)
            return X, y
        y = column_or_1d(y, warn=True)
        _check_labels(y)
        if hasattr(X, "__len__") and not isinstance(X, str | bytes) and len(X) != len(y):
            raise ValueError(f"`X` and `y` need one entry for every row, got {len(X)} and {len(y)}.")
        encoded = _check_encoded(encoder, encoder.fit_transform(X, y) if reset else encoder.transform(X))
        if len(encoded) != len(y):
            raise ValueError(f"`encoder` {type(encoder).__name__} gave {len(encoded)} rows for {len(y)}. It must give "
                             "one vector for every row.")
        for name in ("n_features_in_", "feature_names_in_"):    # of an earlier fit on numbers
            if reset and hasattr(self, name):
                delattr(self, name)
        return encoded, y

    def _set_context(self, encoder, X, y, classes, weight):
        """Check what the labels allow, then store the rows and compile them."""
        weight_of_class = _class_weights(self.class_weight, classes, y, weight)
        if len(classes) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(classes)} class "
                             f"({classes.tolist()[0]!r}). Add labelled rows of another class.")
        codes = np.searchsorted(classes, y)
        total = (weight * weight_of_class[codes]).sum()
        if total == 0:
            raise ValueError("All weights are zero: `sample_weight` and `class_weight` leave no row with a positive "
                             "weight. Give at least one row a positive weight.")
        if not SMALLEST_TOTAL < total < 1 / SMALLEST_TOTAL:
            raise ValueError(f"`sample_weight` times `class_weight` sums to {total}. Weights count rows: rescale them "
                             "so that their mean is about 1.")
        self.encoder_, self.classes_ = encoder, classes
        # A copy: whoever changes X later must not change what a pickle or partial_fit compiles from.
        self._rows, self._weight_of_class = (X.copy(), codes, weight), weight_of_class
        self.n_context_ = len(y)
        self._digest = None
        self._compile()

    def _compile(self):
        """Turn the stored rows into a context for the reasoner, which is all that ``predict`` needs."""
        X, codes, weight = self._rows
        weight = weight * self._weight_of_class[codes]
        rows = X.astype(np.float64, copy=False)
        self._shift, self._factor, self.standardized_ = column_scaling(rows, weight, self.standardize)
        self._network, digest = self._find_reasoner()
        if self._digest not in (None, digest):
            warnings.warn("This classifier was fitted with another version of the reasoner than the one installed "
                          "now; its probabilities may differ slightly. Fit it again to be sure.", stacklevel=3)
        self._digest = digest
        with torch.inference_mode():
            evidence = Evidence(self._tensor(rows), torch.from_numpy(codes)[None].to(self._where()), len(self.classes_),
                                torch.from_numpy(weight)[None].to(self._where()))
            chunk = max(1, PAIRS_AT_A_TIME // len(self.classes_))
            self._context = self._network.encode(evidence, chunk_rows=chunk)

    def _find_reasoner(self):
        if isinstance(self.reasoner, Reasoner):
            return self.reasoner, "live"
        path = reasoner_path(self.reasoner)
        state = path.stat()
        return _shared_reasoner(path.resolve(), (state.st_mtime_ns, state.st_size), resolve_device(self.device))

    def _where(self):
        """Device of the decompositions, which are in float64: mps has none, the CPU takes them there."""
        parameter = next(self._network.parameters(), None)
        return torch.device("cpu") if parameter is None or parameter.device.type == "mps" else parameter.device

    def _tensor(self, rows):
        """Rows on the scale of the context, as a batch of one task."""
        scaled = (rows.astype(np.float64, copy=False) - self._shift) / self._factor
        scaled = np.clip(scaled, -FARTHEST, FARTHEST)
        return torch.from_numpy(scaled)[None].to(self._where())

    def __getstate__(self):
        state = super().__getstate__().copy()
        for name in ("_context", "_network"):
            state.pop(name, None)
        return state


@lru_cache(maxsize=8)
def _shared_reasoner(path, state, device):
    """One copy of a reasoner per process, state of its file and device, with its fingerprint."""
    reasoner = load_reasoner(path)
    digest = sha256(b"".join(t.numpy().tobytes() for t in reasoner.state_dict().values())).hexdigest()
    return (reasoner if device.type == "mps" else reasoner.double()).to(device), digest


@contextmanager
def _explained_if_text():
    """Say what to do where strings come in a form that is neither numbers nor one collection of texts."""
    try:
        yield
    except ValueError as error:
        if "could not convert string to float" not in str(error):
            raise
        raise ValueError("`X` holds strings where numbers were expected. Give texts as one list, array or column to "
                         "both fit and predict; for a table with several columns pass `encoder`, for instance a "
                         f"ColumnTransformer. ({error})") from error


def _check_labels(y):
    """Refuse targets that are no classes."""
    try:
        check_classification_targets(y)
    except TypeError as error:      # None among strings, or strings among numbers
        kinds = sorted({type(label).__name__ for label in y})
        raise ValueError(f"`y` mixes labels of types that cannot be sorted: {kinds}. Use labels of one type, and "
                         "leave out rows without a label.") from error


def _check_encoded(encoder, X):
    """Output of an encoder as a dense float array; an error that blames the encoder."""
    if hasattr(X, "toarray"):
        raise TypeError(f"`encoder` {type(encoder).__name__} gave a sparse matrix; TartClassifier needs dense "
                        "vectors. Add a TruncatedSVD after it in a pipeline.")
    return check_array(X, dtype=[np.float64, np.float32], input_name=f"the output of {type(encoder).__name__}")


def _check_weight(sample_weight, n_samples):
    """Sample weights as float64 of shape (n_samples,)."""
    if sample_weight is None:
        return np.ones(n_samples)
    weight = np.array(sample_weight, dtype=np.float64)      # a copy, see _set_context
    weight = np.full(n_samples, float(weight)) if weight.ndim == 0 else weight
    if weight.shape != (n_samples,):
        raise ValueError(f"`sample_weight` has shape {weight.shape}, expected one weight for each of the {n_samples} "
                         "rows.")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError("`sample_weight` holds negative, infinite or NaN weights. Weights must be finite and at "
                         "least 0.")
    return weight


def _class_weights(class_weight, classes, y, weight):
    """Weight of every class, in the order of ``classes``."""
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes.tolist()]
        if unknown:
            raise ValueError(f"`class_weight` names classes that `y` does not hold: {unknown[:5]}. "
                             f"The classes are {classes.tolist()[:10]}.")
        values = [class_weight.get(label, 1.0) for label in classes.tolist()]
        wrong = [value for value in values if not (isinstance(value, Real) and 0 <= value < np.inf)]
        if wrong:
            raise ValueError(f"`class_weight` holds {wrong[0]!r}. Weights must be finite numbers of at least 0.")
        return np.array(values, dtype=np.float64)
    totals = np.array([weight[y == label].sum() for label in classes])
    present = totals > 0
    return np.where(present, totals.sum() / (present.sum() * np.where(present, totals, 1.0)), 1.0)


def _declare(classes, fitted):
    """The label space of partial_fit: declared in the first call, or None where classes may grow."""
    declared = None if classes is None else np.unique(classes)
    if fitted is None or declared is None:
        return declared if fitted is None else fitted._declared
    if not np.array_equal(declared, fitted.classes_):
        raise ValueError(f"`classes` differs from the first call of partial_fit: got {declared.tolist()[:10]}. "
                         "Leave it out after the first call.")
    return fitted._declared


def _check_declared(y, declared):
    extra = sorted(set(np.unique(y).tolist()) - set(declared.tolist()))
    if extra:
        raise ValueError(f"`y` holds labels that `classes` of the first call of partial_fit does not list: "
                         f"{extra[:5]}. List every label in the first call, or leave `classes` out.")
