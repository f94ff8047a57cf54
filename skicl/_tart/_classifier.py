"""TartClassifier: a frozen encoder, then a pretrained reasoner that reads the labelled rows as context."""

from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import check_loaded, exchange_fitted
from skicl._tart._compiled import CompiledContext, ZeroShot
from skicl._tart._influence import chosen_rows
from skicl._tart._learnt import declared_classes, learn, learn_without_rows
from skicl._tart._parameters import check_parameters, find_reasoner
from skicl._validation._environment import warn_user
from skicl._validation._labels import accuracy, label_space
from skicl.reasoning import Reasoner


class TartClassifier(ClassifierMixin, BaseEstimator):
    """Classify by in-context learning: a pretrained reasoner reads the labelled rows as its context.

    ``fit`` takes no gradient step: it encodes the rows (texts through a frozen encoder, numbers as
    they are) and compiles them, with their labels, into a small network of fixed size. ``predict``
    sends new rows through that network, at a cost that does not depend on the number of labelled
    rows. From 1000 labelled rows on, the nearest ones are asked as well, as far as labelled rows then
    predict each other better; finding them costs more up to 16,384 rows, and hardly more beyond. The
    reasoner was pretrained once, on synthetic tasks only, after the
    idea of TART [1]_; it is natively multi-class and exactly invariant to the order of the rows, to
    rotations of the features (unless columns are standardised) and to the naming of the classes.

    Parameters
    ----------
    encoder : "auto", None, str or transformer, default="auto"
        What turns ``X`` into numbers. "auto" uses a numeric ``X`` as it is and sends a collection of
        strings through the default :class:`~skicl.SentenceEncoder` with ``layers="auto"``. None takes numbers only. A
        str is the name or path of a sentence-transformers model, used likewise. A scikit-learn transformer is cloned
        and fitted; it may take anything.
    reasoner : None, str, path or Reasoner, default=None
        The pretrained reasoner: a bundled name, the path of a ``.safetensors`` file, or a
        :class:`~skicl.reasoning.Reasoner`. None means the bundled default.
    class_texts : "auto", None, "labels", dict or array-like of shape (n_classes, n_features), default="auto"
        What is known of the classes beside labelled rows. "auto" embeds their names with the encoder if ``X`` holds
        texts, the encoder reads texts, and all labels are names and not codes; otherwise it means None (see Notes).
        None ignores the names of the classes. "labels" embeds the labels themselves, as strings, whatever they are. A
        dict gives every label a text, a list of texts (the mean of their vectors counts) or a vector; its keys declare
        the classes. An array holds one vector for each class, in sorted order. Vectors are in the coordinates of the
        encoder's output, or of a numeric ``X``.
    prior : None, classifier or callable, default=None
        Another opinion on every row, of which the labelled rows show how far to trust it: a classifier with
        ``predict_proba``, or a function from ``X`` to probabilities of shape (n_samples, n_classes) in the order of
        ``classes_``. It gets ``X`` as it was given. A fitted one is asked as it is and must not have seen the labelled
        rows; one that is not fitted is cloned, cross-fitted on them, so that no row is told its own label, and fitted
        on all of them for queries. ``clone``, and with it a grid search, forgets that a classifier was fitted: wrap it
        in a :class:`~sklearn.frozen.FrozenEstimator` to keep it.
    standardize : "auto" or bool, default="auto"
        Whether columns are scaled to unit variance. "auto" leaves embeddings alone. Where columns look like quantities
        in different units (the largest range is more than ten times the median range, or the median more than ten
        times the first decile, constant columns set aside), it does so unless the labelled rows then predict each
        other clearly worse.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``. "balanced" gives every class the
        same total weight. None means one. Rows without a label belong to no class.
    population : {"auto", "labelled", "unlabelled"}, default="auto"
        How frequent the classes are where queries come from. "labelled": as among the labelled rows. "unlabelled": as
        among the rows without a label, estimated by expectation maximisation [2]_. "auto" means "unlabelled" where
        labelled rows look drawn class by class (as many of each class, up to one), else "labelled". Without unlabelled
        rows there is no choice.
    missing_label : None, int, float, bool or str, default=None
        A value of ``y`` that marks rows without a label, beside None, NaN and NA, which always do. -1 is the convention
        of :mod:`sklearn.semi_supervised`. None: no other value does, unless ``classes`` are listed without -1.
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
    evidence_ : dict from str to float
        How far each source of evidence is believed, from 0 to 1: the labelled rows said so, each left out in turn.
        "labels" counts against the mere frequencies of the classes; "names", "prior", "unlabelled" and
        "standardized" (columns of unlike ranges on one scale) are listed where they were in question; "population"
        is 1 where class frequencies were estimated from unlabelled rows. "gaussians" is the share of a discriminant in
        closed form beside the reasoner; "neighbours", listed from 1000 labelled rows on, that of the nearest ones in
        the log-odds. "sharpness", the last entry, is the factor of the log-probabilities that suits these rows. Only
        defined once there is a row.

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

    The nearest labelled rows are found exactly among 16,384, beyond that in a tree: about nine in ten, at a cost that
    grows with the logarithm of the number of rows. The user guide says how they are weighed.

    Side scores, the channel through which names and priors come in: of a row and a class, the cosine between the row
    and the vector of the class, both seen from their centres; for a prior, the log-probability, not below log 0.001,
    less its mean over the classes. Where there are both, they are added after division by their root mean squares
    over the context. The centre of the rows is the weighted mean of the context and of two rows at the mean of the
    vectors. Without any row, probabilities are the softmax of 15 times the plain cosines, times those of the prior.

    With ``class_texts="auto"``, encoders that read texts are "auto", the name of a model, and transformers whose
    scikit-learn tag ``input_tags.string`` says so; of a pipeline the first step counts, of a union all parts. Labels
    are names if each is a string that holds a word. Numbers, single letters, identifiers that mix letters and digits,
    and placeholders such as "LABEL_3" or "class B" are no words. Labels that differ in such parts alone, that only
    answer yes or no, or of which none has more than two letters, are no names; the user guide has the rule in full.
    Names are written out before they are embedded: "top_up_failed" and "GetWeather" as "top up failed" and "Get
    Weather". They are left out where a bag of words knows no word of one of them, and, with a warning, where the
    encoder raises an error for them. In ``fit(None, classes=...)`` they are read unless a fitted ``prior`` stands in.

    With rows that have no label, an encoder that needs labels (by its scikit-learn tags) is fitted on the labelled rows
    and transforms the others; any other encoder is fitted on all rows, without labels.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for
       task-agnostic reasoning", NeurIPS. The architecture differs: see the user guide.
    .. [2] Saerens, Latinne and Decaestecker (2002), "Adjusting the Outputs of a Classifier to New a Priori
       Probabilities: A Simple Procedure", Neural Computation 14.

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

    The names of the classes are evidence too, here in place of labels that say less, and may be all there is at first:

    >>> classifier = TartClassifier(class_texts={"delivery": "delivery of parcels", "billing": "invoices and payments"})
    >>> classifier.fit(None).predict(["my package is late", "please correct the invoice"]).tolist()
    ['delivery', 'billing']
    >>> classifier.partial_fit(texts, ["delivery", None, "billing", None]).n_labelled_
    2
    """

    def __init__(
        self,
        encoder: Any = "auto",
        *,
        reasoner: str | PathLike | Reasoner | None = None,
        class_texts: Any = "auto",
        prior: Any = None,
        standardize: str | bool = "auto",
        class_weight: dict | str | None = None,
        population: str = "auto",
        missing_label: Any = None,
        device: Any = None,
        batch_size: int = 1024,
    ) -> None:
        self.encoder = encoder
        self.reasoner = reasoner
        self.class_texts = class_texts
        self.prior = prior
        self.standardize = standardize
        self.class_weight = class_weight
        self.population = population
        self.missing_label = missing_label
        self.device = device
        self.batch_size = batch_size

    def fit(
        self,
        X: ArrayLike | None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Read labelled rows, and rows without a label, as the context.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts, or None
            Rows, or whatever ``encoder`` takes. Sparse matrices are refused: reduce them first,
            for instance by :class:`~sklearn.decomposition.TruncatedSVD`. None, with ``classes`` that have names or
            ``class_texts``, or with a fitted ``prior``, starts without any row.
        y : array-like of shape (n_samples,), default=None
            Labels: strings, integers or booleans, of at least two classes. Rows without a label are marked by None,
            NaN or NA among labels of any type, and by ``missing_label``. Where ``classes`` (or the keys of
            ``class_texts``) are listed without -1, it marks them too; otherwise -1 is a label like any other. None
            says that no row has a label; it needs ``classes`` or a dict of ``class_texts``.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Non-negative weights. A row of weight 2 counts as two equal rows, so their scale matters: weights that
            sum to one say that there is one row in all. None means 1.
        classes : array-like of shape (n_classes,), default=None
            All labels that may ever occur. None means the keys of ``class_texts`` if it is a dict, else the labels in
            ``y``. A class without a labelled row gets a small probability (the rule of succession), unless its name,
            ``class_texts`` or ``prior`` say what it looks like.

        Returns
        -------
        self : TartClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is unusable.

        Warns
        -----
        UserWarning
            If names were to be read (``class_texts="auto"``) and the encoder raised an error for them.

        Notes
        -----
        Whatever stops ``fit`` or ``partial_fit`` before their end, an error or an interrupt, leaves the classifier as
        it was before the call.
        """
        check_parameters(self)
        declared = declared_classes(self, classes)
        if X is None:
            return self._keep(learn_without_rows(self, y, sample_weight, declared))
        return self._keep(learn(self, X, y, sample_weight, declared))

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
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
        check_parameters(self)
        before = vars(self).get("_learnt")
        if before is None:
            return self._keep(learn(self, X, y, sample_weight, declared_classes(self, classes)))
        if classes is not None and not np.array_equal(label_space(classes), before.classes):
            raise ValueError(
                f"`classes` differs from the first call of partial_fit: got {np.asarray(classes).tolist()[:10]}. Leave "
                "it out after the first call."
            )
        return self._keep(learn(self, X, y, sample_weight, before.declared, None if before.rows is None else before))

    def decision_function(self, X: ArrayLike) -> np.ndarray:
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

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
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
        return self._log_proba(self._fitted(), X)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
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

    def predict(self, X: ArrayLike) -> np.ndarray:
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
        learnt = self._fitted()
        return learnt.classes[self._log_proba(learnt, X).argmax(axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of rows whose label is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or n_samples texts
            Rows to classify.
        y : array-like of shape (n_samples,)
            Their labels, in any form that ``fit`` takes; every row needs one.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Accuracy, from 0 to 1.
        """
        return accuracy(self, X, y, sample_weight)

    def context_influence(self, X: ArrayLike, *, rows: ArrayLike | None = None) -> np.ndarray:
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
        if declared in ``classes``), an encoder that learns from rows, what a ``prior`` that was fitted here thinks of
        other rows and of queries, which rows without a label are read where they are too many for all, and from 1000
        labelled rows on how far the nearest ones are believed. Where nothing would remain to tell the classes apart,
        all are equally probable without the row.

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
        learnt = self._fitted()
        numbers = chosen_rows(rows, learnt.n_rows)
        return learnt.made(self._compile).influence(numbers, *learnt.read_queries(X), self.batch_size)

    # -- what was learnt: stored at once, compiled where it is first needed -----------------------

    def _keep(self, learnt):
        compiled, rows = learnt.made(self._compile), learnt.rows
        learned = {
            "_learnt": learnt,
            "encoder_": learnt.encoder,
            "classes_": learnt.classes,
            "prior_": learnt.prior.model,
            "n_context_": learnt.n_rows,
            "n_labelled_": 0 if rows is None else int((rows.codes >= 0).sum()),
        }
        if rows is not None:
            learned |= {"standardized_": compiled.standardized, "evidence_": compiled.evidence}
        exchange_fitted(self, learned | (vars(learnt.columns) if learnt.encoder is None else {}))
        return self

    def _compile(self, learnt):
        """What queries are scored with, after a fit or after loading."""
        if learnt.rows is None:
            return ZeroShot(learnt.names, learnt.classes)
        network, digest = find_reasoner(self.reasoner, self.device, learnt.rows.X.dtype)
        if learnt.reasoner != digest:
            warn_user(
                "This classifier was fitted with another version of the reasoner than the one installed now; its "
                "probabilities may differ slightly. Fit it again to be sure."
            )
        return CompiledContext.compile(learnt.rows, network, self.standardize, self.population)

    def _fitted(self):
        check_is_fitted(self, "classes_")
        return self._learnt

    def _log_proba(self, learnt, X):
        return learnt.made(self._compile).log_proba(*learnt.read_queries(X), self.batch_size)

    def __setstate__(self, state):
        check_loaded(self, state)
        super().__setstate__(state)
