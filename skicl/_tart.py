"""TartClassifier: a frozen encoder, then a pretrained reasoner that reads the labelled rows as context."""

import os
import warnings
from collections.abc import Mapping
from copy import copy
from numbers import Integral

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skicl._class_texts import (
    check_class_texts,
    class_entries,
    class_vectors,
    embed_names,
    holds_texts,
    nearest_name,
    texts_of,
)
from skicl._columns import read_columns
from skicl._encoding import check_encoded, choose_encoder, fit_encode, fit_on_texts
from skicl._influence import (
    chosen_rows,
    contexts_at_a_time,
    indispensable_row,
    stack,
    stack_evidence,
)
from skicl._labels import (
    append_labels,
    check_known,
    check_targets,
    class_weights,
    encode_labels,
    label_space,
    row_weights,
    sample_weights,
    split_labels,
)
from skicl._prior_scores import ask, check_prior, consult, is_ready, log_scores
from skicl._reach import pull_in, take_reach
from skicl._row_selection import count_rows
from skicl._scaling import column_scaling
from skicl._side_scores import side_scores, take_guide
from skicl._validation import did_you_mean, is_text, read_container, resolve_device
from skicl.reasoning import Evidence, Reasoner, reasoner_path
from skicl.reasoning._shared import shared_reasoner

# Rows of the context are processed so many (row, class) pairs at a time, to bound memory.
PAIRS_AT_A_TIME = 200_000
# Queries likewise; larger buffers than these are taken from the system anew for every operation, which costs more.
QUERIES_AT_A_TIME = 8192
# Log-probabilities of two classes differ by at most this, so that no probability is 0 or 1.
LARGEST_LOG_ODDS = 16.0
# A query so many times farther out than any labelled row is as far as one can be; its squares stay finite.
FARTHEST = 1e6
# In nats a row, times the root of the number of labelled rows.
CLEARLY_BETTER = 1.0
FLOATS = [np.float64, np.float32]


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
    class_texts : None, "labels", dict or array-like of shape (n_classes, n_features), default=None
        What is known of the classes beside labelled rows. "labels" embeds the labels themselves, as strings, with the
        encoder. A dict gives every label a text, a list of texts (the mean of their vectors counts) or a vector; its
        keys declare the classes. An array holds one vector for each class, in sorted order. Vectors are in the
        coordinates of the encoder's output, or of a numeric ``X``. None ignores the names of the classes.
    prior : None, classifier or callable, default=None
        Another opinion on every row, of which the labelled rows show how far to trust it: a classifier with
        ``predict_proba``, or a function from ``X`` to probabilities of shape (n_samples, n_classes) in the order of
        ``classes_``. It gets ``X`` as it was given. A fitted one is asked as it is and must not have seen the labelled
        rows; one that is not fitted is cloned, cross-fitted on them, so that no row is told its own label, and fitted
        on all of them for queries. ``clone``, and with it a grid search, forgets that a classifier was fitted: wrap it
        in a :class:`~sklearn.frozen.FrozenEstimator` to keep it.
    standardize : "auto" or bool, default="auto"
        Whether columns are scaled to unit variance. "auto" does so if they look like quantities in
        different units: the largest range is more than ten times the median range, or the median
        more than ten times the first decile (constant columns set aside), unless the labelled rows then
        predict each other clearly worse. Embeddings are left alone.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``. "balanced" gives every class the
        same total weight. None means one. Rows without a label belong to no class.
    device : str, torch.device or None, default=None
        Where the reasoner (and an encoder made here) runs. None means cuda, else mps, else cpu.
    batch_size : int, default=1024
        Rows scored at a time. Probabilities do not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    prior_ : classifier, callable or None
        What is asked about queries: ``prior`` itself, or a fitted clone of it. None without a prior, and where there
        are too few labelled rows to fit it.
    encoder_ : transformer or None
        The fitted encoder; None where ``X`` is used as it is.
    n_features_in_ : int
        Number of columns of a numeric ``X``. Only defined without an encoder.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Only defined if ``X`` has names that are all strings.
    n_context_ : int
        Number of rows in the context, labelled or not.
    n_labelled_ : int
        Number of rows with a label among them.
    standardized_ : bool
        Whether columns are scaled to unit variance. Only defined once there is a row.

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

    Side scores, the channel through which names and priors come in: of a row and a class, the cosine between the row
    and the vector of the class, both seen from their centres; for a prior, the log-probability, not below log 0.001,
    less its mean over the classes. Where there are both, they are added after division by their root mean squares
    over the context. The centre of the rows is the weighted mean of the context and of two rows at the mean of the
    vectors. Without any row, probabilities are the softmax of 15 times the plain cosines, times those of the prior.

    With rows that have no label, an encoder that needs labels (by its scikit-learn tags) is fitted on the labelled rows
    and transforms the others; any other encoder is fitted on all rows, without labels.

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

    The names of the classes are evidence too, and may be all there is at first:

    >>> classifier = TartClassifier(class_texts={"delivery": "delivery of parcels", "billing": "invoices and payments"})
    >>> classifier.fit(None).predict(["my package is late", "please correct the invoice"]).tolist()
    ['delivery', 'billing']
    >>> classifier.partial_fit(texts, ["delivery", None, "billing", None]).n_labelled_
    2
    """

    def __init__(self, encoder="auto", *, reasoner=None, class_texts=None, prior=None, standardize="auto",
                 class_weight=None, device=None, batch_size=1024):
        self.encoder = encoder
        self.reasoner = reasoner
        self.class_texts = class_texts
        self.prior = prior
        self.standardize = standardize
        self.class_weight = class_weight
        self.device = device
        self.batch_size = batch_size

    def fit(self, X, y=None, sample_weight=None, *, classes=None):
        """Read labelled rows, and rows without a label, as the context.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts, or None
            Rows, or whatever ``encoder`` takes. Sparse matrices are refused: reduce them first,
            for instance by :class:`~sklearn.decomposition.TruncatedSVD`. None, with ``classes`` and ``class_texts`` or
            a fitted ``prior``, starts without any row.
        y : array-like of shape (n_samples,), default=None
            Labels: strings, integers or booleans, of at least two classes. Rows without a label are marked by None
            (or NaN) among labels of any type, and by -1 among integers. -1 is a label like any other if ``classes``
            or the keys of ``class_texts`` hold it or if, where neither is given, fewer than two classes remain
            without it. None says that no row has a label; it needs ``classes`` or a dict of ``class_texts``.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Non-negative weights. A row of weight 2 counts as two equal rows, so their scale matters: weights that
            sum to one say that there is one row in all. None means 1.
        classes : array-like of shape (n_classes,), default=None
            All labels that may ever occur. None means the keys of ``class_texts`` if it is a dict, else the labels in
            ``y``. A class without a labelled row gets a small probability (the rule of succession), unless
            ``class_texts`` or ``prior`` say what it looks like.

        Returns
        -------
        self : TartClassifier

        Raises
        ------
        ValueError
            If a parameter or an input is unusable.

        Warns
        -----
        UserWarning
            If -1 marks rows without a label beside labels that are exactly 0 and 1, or other negative numbers, and no
            ``classes`` say that this is meant.
        """
        self._check_parameters()
        declared = self._declare(classes, None)
        if X is None:
            self._start_without_rows(y, sample_weight, declared)
        else:
            self._learn(read_container(X), y, sample_weight, declared, first=True)
        self._declared = declared
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Append rows, labelled or not, to the context; the first call starts it.

        Equal to one ``fit`` on all rows so far, if the encoder learns nothing from the rows: it is fitted on the
        first rows only. The context is compiled anew, in time linear in its rows, and a ``prior`` that is not fitted
        is fitted anew.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Further rows.
        y : array-like of shape (n_samples,)
            Their labels, or marks of rows without one, as in ``fit``. None says that no row has a label; it needs
            ``classes`` from the first call or a dict of ``class_texts``.
        classes : array-like of shape (n_classes,), default=None
            In the first call: all labels that may ever occur, as in ``fit``. None means the keys of ``class_texts``
            if it is a dict, and otherwise lets classes grow with the labels.
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
        fitted = self if hasattr(self, "classes_") else None
        declared = self._declare(classes, fitted)
        self._learn(read_container(X), y, sample_weight, declared, first=fitted is None or self._rows is None)
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
        if self._rows is None:
            return _normalise(torch.from_numpy(self._guess(read_container(X)))).numpy()
        return self._log_proba(*self._read_queries(read_container(X)))

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

    def context_influence(self, X, *, rows=None):
        """How much every row of the context moved the predictions.

        The influence of a row on a query and a class is the log-probability of the class minus what it would be had
        the row not been in the context: positive where the row speaks for the class, 0 for a row of weight zero.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or n_queries texts
            Queries whose predictions are explained.
        rows : array-like of int of shape (n_rows,), default=None
            Numbers of the rows of the context to leave out, one after the other, in the order of ``fit`` and
            ``partial_fit``. None means all.

        Returns
        -------
        ndarray of shape (n_queries, n_rows, n_classes), dtype float64
            Influence in nats, classes in the order of ``classes_``.

        Raises
        ------
        ValueError
            If ``rows`` are no numbers of rows, or ``X`` is unusable.

        See Also
        --------
        skicl.inspection.ContextInfluenceDisplay : A picture of one prediction.

        Notes
        -----
        The numbers equal those of fitting again without the row, to rounding error (float32 rows: about 1e-6): scales
        of the columns, weights that depend on the class, and the centre from which names are looked at are taken anew.
        What stays: that columns of unlike ranges were left alone, the classes (one that loses its only row is kept, as
        if declared in ``classes``), an encoder that learns from rows, and what a ``prior`` that was fitted here thinks
        of other rows and of queries. Where nothing would remain to tell the classes apart, all are equally probable
        without the row.

        The context is read once again without each row, whatever the number of queries: this takes about as long as
        ``n_rows`` calls of ``fit`` on encoded rows, and a fraction of it for small contexts, of which many are read
        together. For all rows, time grows with the square of their number, or faster while there are fewer of them than
        columns; pass the ``rows`` in question if there are thousands.

        Influences do not add up. Rows can share what they say: of two equal ones, each alone has little.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skicl import TartClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = TartClassifier().fit(X[::10], y[::10])
        >>> influence = classifier.context_influence(X[77:78])
        >>> influence.shape
        (1, 15, 3)
        >>> strongest = influence[0, :, 2].argmax()             # for class 2
        >>> int(y[::10][strongest])
        2
        """
        check_is_fitted(self, "classes_")
        rows = chosen_rows(rows, self.n_context_)
        if self._rows is None:
            return np.zeros((len(self.predict_log_proba(X)), 0, len(self.classes_)))
        X, opinions = self._read_queries(read_container(X))
        whole = self._log_proba(X, opinions)
        without = np.repeat(whole[:, None], len(rows), axis=1)
        told_apart = self._vectors is not None or self.prior_ is not None
        last = indispensable_row(self._rows[1], self._weights(), told_apart=told_apart)
        if last in rows:
            nothing = torch.from_numpy(np.zeros(whole.shape) + self._guess_of(X, opinions))
            without[:, rows == last] = _normalise(nothing).numpy()[:, None]
        counted = np.flatnonzero((self._weights()[rows] > 0) & (rows != last))
        size = contexts_at_a_time(*self._rows[0].shape, len(self.classes_), self._where())
        for i in range(0, len(counted), size):
            batch = counted[i:i + size]
            without[:, batch] = self._log_proba_without(rows[batch], X, opinions)
        return whole[:, None] - without

    # -- the steps, in order of use -------------------------------------------------------------

    def _check_parameters(self):
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, Integral) or self.batch_size < 1:
            raise ValueError(f"`batch_size` must be a positive integer, got {self.batch_size!r}.")
        standardize, class_weight = self.standardize, self.class_weight
        if not (isinstance(standardize, bool | np.bool_) or (isinstance(standardize, str) and standardize == "auto")):
            raise ValueError(f"`standardize` must be 'auto', True or False, got {self.standardize!r}."
                             + did_you_mean(standardize, ["auto"]))
        balanced = isinstance(class_weight, str) and class_weight == "balanced"
        if not (class_weight is None or isinstance(class_weight, dict) or balanced):
            raise ValueError(f"`class_weight` must be a dict, 'balanced' or None, got {self.class_weight!r}."
                             + did_you_mean(class_weight, ["balanced"]))
        if not (self.encoder is None or isinstance(self.encoder, str) or hasattr(self.encoder, "transform")):
            raise TypeError(f"`encoder` must be 'auto', None, the name of a model or a transformer, got an object of "
                            f"type {type(self.encoder).__name__}. Pass for instance SentenceEncoder().")
        if not (self.reasoner is None or isinstance(self.reasoner, str | os.PathLike | Reasoner)):
            raise TypeError(f"`reasoner` must be None, a name, a path or a Reasoner, got an object of type "
                            f"{type(self.reasoner).__name__}.")
        check_class_texts(self.class_texts, self.encoder)
        check_prior(self.prior)
        resolve_device(self.device)
        network, _ = self._find_reasoner(np.float32)    # fails now, not after the texts are encoded
        for name in ("class_texts", "prior"):
            if getattr(self, name) is not None and not network.reads_side_scores:
                raise ValueError(f"`{name}` must be None with the reasoner {self.reasoner!r}, which reads labelled "
                                 "rows only. Use the default reasoner.")

    def _declare(self, classes, fitted):
        """The label space: what the user lists, or the keys of a dict of names, or None where labels decide."""
        if fitted is not None:
            if classes is not None and not np.array_equal(label_space(classes), fitted.classes_):
                raise ValueError(f"`classes` differs from the first call of partial_fit: got {list(classes)[:10]}. "
                                 "Leave it out after the first call.")
            return fitted._declared
        if classes is not None:
            return label_space(classes)
        return label_space(self.class_texts, "class_texts") if isinstance(self.class_texts, Mapping) else None

    def _encoder_for(self, of_texts):
        encoder = choose_encoder(self.encoder, self.device, of_texts=of_texts)
        if encoder is None and holds_texts(self.class_texts):
            raise ValueError("`class_texts` holds texts, and there is no encoder to embed them: `X` is numeric. Give "
                             "one vector for each class, or pass `encoder`.")
        return encoder

    def _learn(self, X, y, sample_weight, declared, *, first):
        """Read rows and compile them, after those of earlier calls unless they are the first."""
        if y is None and declared is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        encoder = self._encoder_for(is_text(X)) if first else self.encoder_
        known = declared if declared is not None or first else self.classes_
        rows, labels, labelled = self._read(encoder, X, y, known, first)
        weight = sample_weights(sample_weight, len(labelled))
        every = (labels, labelled, weight)
        if not first:
            _, codes, weights = self._rows
            every = (append_labels(self.classes_[codes[codes >= 0]], labels),
                     np.concatenate([codes >= 0, labelled]), np.concatenate([weights, weight]))
        classes = np.unique(every[0]) if declared is None else declared
        check_known(every[0], classes, "class_texts" if isinstance(self.class_texts, Mapping) else "classes")
        told_apart = self.class_texts is not None or is_ready(self.prior)
        codes, weight_of_class = encode_labels(*every, classes, self.class_weight, told_apart=told_apart)
        names = class_entries(self.class_texts, classes)
        if encoder is not None:
            rows = self._encode(encoder, X, labels, labelled, first)
        embedded = embed_names(names, encoder, {} if first else self._embedded)
        vectors = class_vectors(names, embedded, rows.shape[1])
        # Copies: whoever changes X later must not change what a pickle or partial_fit compiles from.
        rows = rows.copy() if first else np.concatenate([self._rows[0], rows])
        consulted = consult(self.prior, X, rows, codes, classes, every[2], None if first else self._consulted)
        self.encoder_, self.classes_, self.prior_ = encoder, classes, consulted.prior
        self._embedded, self._vectors, self._consulted = embedded, vectors, consulted
        self._rows, self._weight_of_class = (rows, codes, every[2]), weight_of_class
        self.n_context_, self.n_labelled_ = len(codes), int((codes >= 0).sum())
        self._digest = None
        self._compile()

    def _read(self, encoder, X, y, known, first):
        """Labels of the labelled rows and which rows these are, all checked; numbers are checked with them."""
        labels, labelled = (known[:0], np.zeros(count_rows(X), bool)) if y is None else split_labels(y, known)
        if encoder is None:
            if labelled is None:
                X, labels = read_columns(self, X, y, reset=first, dtype=FLOATS)
            else:
                X = read_columns(self, X, reset=first, dtype=FLOATS)
        elif labelled is None:
            labels = column_or_1d(y, warn=True)
        if labelled is None or len(labels):
            check_targets(labels)
        labelled = np.ones(len(labels), bool) if labelled is None else labelled
        if not isinstance(X, str | bytes) and count_rows(X) != len(labelled):
            raise ValueError(f"`X` and `y` need one entry for every row, got {count_rows(X)} and {len(labelled)}.")
        return X, labels, labelled

    def _encode(self, encoder, X, labels, labelled, first):
        encoded = check_encoded(encoder, fit_encode(encoder, X, labels, labelled) if first else encoder.transform(X))
        if len(encoded) != len(labelled):
            raise ValueError(f"`encoder` {type(encoder).__name__} gave {len(encoded)} rows for {len(labelled)}. It "
                             "must give one vector for every row.")
        if first:
            self._forget_columns()
        return encoded

    def _forget_columns(self):
        for name in ("n_features_in_", "feature_names_in_"):    # of an earlier fit on numbers
            if hasattr(self, name):
                delattr(self, name)

    def _start_without_rows(self, y, sample_weight, declared):
        """Take in the names of the classes, or a prior, where there is no row to learn from."""
        if y is not None or sample_weight is not None:
            raise ValueError("`X` is None, so `y` and `sample_weight` must be None. Give the rows they belong to.")
        if declared is None or len(declared) < 2:
            raise ValueError("`X` is None, so `classes` must list at least two labels: fit(None, classes=[...]).")
        if self.class_texts is None and not is_ready(self.prior):
            raise ValueError("`X` is None, and nothing tells the classes apart. Give `class_texts` or a fitted "
                             "`prior`.")
        names = class_entries(self.class_texts, declared)
        encoder = self._encoder_for(holds_texts(self.class_texts)) if names else None
        if encoder is not None:
            # An encoder made here learns nothing, so any texts do.
            labels = [str(label) for label in declared] if isinstance(self.encoder, str) else []
            fit_on_texts(encoder, texts_of(names) or labels)
        embedded = embed_names(names, encoder, {})
        self.encoder_, self.classes_, self.prior_ = encoder, declared, self.prior if is_ready(self.prior) else None
        self._vectors = class_vectors(names, embedded, None)
        self._forget_columns()
        if self._vectors is not None and encoder is None:
            self.n_features_in_ = self._vectors.shape[1]
        self._rows = self._consulted = None
        self.n_context_ = self.n_labelled_ = 0

    def _guess(self, X):
        """Log-probabilities, up to constants, where there is no row: of the nearest name times those of the prior."""
        opinions = None if self.prior_ is None else ask(self.prior_, X, None, self.classes_)
        return self._guess_of(None if self._vectors is None else self._numbers(X), opinions)

    def _guess_of(self, X, opinions):
        names = 0.0 if self._vectors is None else nearest_name(X, self._vectors)
        return names + (0.0 if opinions is None else log_scores(opinions, self.classes_))

    def _compile(self):
        """Turn the stored rows into a context for the reasoner, which is all that ``predict`` needs."""
        self._network, digest = self._find_reasoner(self._rows[0].dtype)
        if self._digest not in (None, digest):
            warnings.warn("This classifier was fitted with another version of the reasoner than the one installed "
                          "now; its probabilities may differ slightly. Fit it again to be sure.", stacklevel=4)
        self._digest = digest
        with torch.inference_mode():
            self._read_context(self.standardize)
            if self.standardized_ and isinstance(self.standardize, str):
                self._try_without_standardising()

    def _read_context(self, standardize):
        self._scale(standardize)
        self._context = self._network.encode(self._evidence(), chunk_rows=self._rows_at_a_time(1))

    def _try_without_standardising(self):
        """Leave columns of unlike ranges as they are after all, if the rows then predict each other clearly better."""
        before, with_scale = dict(vars(self)), self._network.context_fit(self._context)
        self._read_context(False)
        without = self._network.context_fit(self._context)
        _, codes, _ = self._rows
        n_labelled = self._weights()[codes >= 0].sum()
        better = without is not None and n_labelled > 0
        if not (better and float(without - with_scale) > CLEARLY_BETTER * n_labelled**-0.5):
            vars(self).update(before)

    def _scale(self, standardize):
        """Take from the stored rows what lies between them and the reasoner: scale of the columns, side scores."""
        X, _, _ = self._rows
        self._rule = standardize
        scaling = column_scaling(X.astype(np.float64, copy=False), self._weights(), standardize)
        self._shift, self._factor, self.standardized_ = scaling
        self._reach = take_reach(self._scaled(X), self._weights())
        self._guide = self._take_guide()

    def _rows_at_a_time(self, n_contexts):
        return max(1, PAIRS_AT_A_TIME // (n_contexts * len(self.classes_)))

    def _without(self, row):
        """A copy that has not read its context yet, in which a row has weight zero; other rows keep their opinions."""
        X, codes, weight = self._rows
        weight = weight.copy()
        weight[row] = 0.0
        labelled = codes >= 0
        other = copy(self)
        other._network, other._rows = self._network, (X, codes, weight)
        other._weight_of_class = class_weights(self.class_weight, self.classes_, self.classes_[codes[labelled]],
                                               weight[labelled])
        other._scale(self._rule)
        return other

    def _log_proba_without(self, rows, X, opinions):
        """Log-probabilities (Q, n_rows, C) of queries, by contexts that each lack one of the rows."""
        with torch.inference_mode():
            others = [self._without(row) for row in rows]
            evidence = stack_evidence([other._evidence() for other in others])
            context = self._network.encode(evidence, chunk_rows=self._rows_at_a_time(len(rows)))
            step, logits = max(1, self.batch_size // len(rows)), []
            for i in range(0, len(X), step):
                queries = [other._queries(X, opinions, slice(i, i + step)) for other in others]
                logits.append(self._network.score(context, *map(stack, zip(*queries))).cpu())
            return _normalise(torch.cat(logits, 1)).transpose(0, 1).numpy()

    def _weights(self):
        _, codes, weight = self._rows
        return row_weights(weight, codes, self._weight_of_class)

    def _evidence(self):
        """The stored rows as evidence of one task, on the scale and the device of the reasoner."""
        X, codes, _ = self._rows
        where = self._where()
        rows = self._tensor(X)
        return Evidence(rows, torch.tensor(codes)[None].to(where), len(self.classes_),
                        torch.from_numpy(self._weights())[None].to(where), self._side(rows, self._consulted.opinions))

    def _read_queries(self, X):
        """Queries as numbers, and what the prior thinks of them; the context is compiled if it is not."""
        numbers, opinions = self._numbers(X), None
        if self._consulted.opinions is not None:
            opinions = ask(self.prior_, X, len(numbers), self.classes_)
        if not hasattr(self, "_context"):       # loaded from a pickle
            self._compile()
        return numbers, opinions

    def _numbers(self, X):
        if self.encoder_ is None:
            return read_columns(self, X, reset=False, dtype=FLOATS)
        return check_encoded(self.encoder_, self.encoder_.transform(X))

    def _queries(self, X, opinions, batch):
        """A batch of queries: rows (1, Q, D) and side scores (1, Q, C) or None."""
        rows = self._tensor(X[batch])
        opinions = None if opinions is None else opinions._replace(proba=opinions.proba[batch])
        return rows, self._side(rows, opinions)

    def _log_proba(self, X, opinions):
        with torch.inference_mode():
            size = min(self.batch_size, max(1, QUERIES_AT_A_TIME // len(self.classes_)))
            batches = (slice(i, i + size) for i in range(0, len(X), size))
            logits = [self._network.score(self._context, *self._queries(X, opinions, batch)).cpu() for batch in batches]
            return _normalise(torch.cat(logits, 1))[0].numpy()

    def _take_guide(self):
        opinions = self._consulted.opinions
        if self._vectors is None and opinions is None:
            return None
        rows = self._tensor(self._rows[0])[0]
        names = None if self._vectors is None else torch.from_numpy(self._scaled(self._vectors)).to(rows)
        return take_guide(rows, torch.from_numpy(self._weights()).to(rows), names, self._scores(opinions, rows))

    def _side(self, rows, opinions):
        """Side scores (1, n, C) of rows (1, n, D), or None where there are no names and no prior."""
        if self._guide is None:
            return None
        return side_scores(self._guide, rows[0], self._scores(opinions, rows))[None]

    def _scores(self, opinions, like):
        return None if opinions is None else torch.from_numpy(log_scores(opinions, self.classes_)).to(like)

    def _find_reasoner(self, dtype):
        """The network in the precision of the rows, and its fingerprint; a live one stays as it is."""
        if isinstance(self.reasoner, Reasoner):
            return self.reasoner, "live"
        precision = torch.float32 if dtype == np.float32 else torch.float64
        return shared_reasoner(reasoner_path(self.reasoner), resolve_device(self.device), precision)

    def _where(self):
        """Device of the decompositions, which are in float64: mps has none, the CPU takes them there."""
        parameter = next(self._network.parameters(), None)
        return torch.device("cpu") if parameter is None or parameter.device.type == "mps" else parameter.device

    def _scaled(self, rows):
        return (rows.astype(np.float64, copy=False) - self._shift) / self._factor

    def _tensor(self, rows):
        """Rows on the scale and within the reach of the context, as a batch of one task."""
        rows = np.clip(pull_in(self._scaled(rows), self._reach), -FARTHEST, FARTHEST)
        return torch.from_numpy(rows)[None].to(self._where())

    def __getstate__(self):
        state = super().__getstate__().copy()
        for name in ("_context", "_network", "_guide"):
            state.pop(name, None)
        return state


def _normalise(logits):
    """Log-probabilities of logits (..., C), none of them so small that the probability would be zero."""
    floor = logits.amax(-1, keepdim=True) - LARGEST_LOG_ODDS
    return torch.maximum(logits, floor).double().log_softmax(-1)
