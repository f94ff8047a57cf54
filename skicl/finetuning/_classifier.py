"""FineTuneClassifier: the weights of a text encoder are trained for one task, behind fit and predict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import FittedState, check_loaded, exchange_fitted
from skicl._models._precision import NOT_FINITE
from skicl._validation._finite import check_finite
from skicl._validation._labels import accuracy, check_one_label_a_row, read_all_labels
from skicl._validation._scalars import check_choice, check_flag, check_integer, check_number, check_share, is_number
from skicl._validation._texts import read_unicode
from skicl._validation._wording import did_you_mean
from skicl.finetuning._adapters import LoRASettings, check_lora, require_peft
from skicl.finetuning._methods import DEFAULTS, METHODS, Rows, Task, check_unchanged, fit_task, restored_encoder
from skicl.finetuning._training import Course
from skicl.finetuning._vectors import resolve_encoder, vectors_of

# A loss on fewer rows is mostly noise: stopping by it costs more than it saves.
LEAST_HELD_OUT = 10


@dataclass(frozen=True, eq=False)
class Learnt(FittedState):
    """All that a fitted FineTuneClassifier knows; the tuned encoder is made from it and the shared model."""

    method: str
    encoder: Any  # as the user gave it
    lora: LoRASettings
    changes: dict  # weights that were learnt
    base_digest: tuple  # number format and checksum of the shared model that they belong to
    head: Any
    classes: np.ndarray


class FineTuneClassifier(ClassifierMixin, BaseEstimator):
    """Classify texts by fine-tuning an encoder: all weights, adapters, the last layer, or by contrast.

    Takes what a :class:`~skicl.SentenceEncoder` or a :class:`~skicl.encoders.LanguageModelEncoder` takes: sentence
    encoders, masked and causal language models of transformers, with their pooling. This is what in-context learning
    should be compared with; it needs minutes where :class:`~skicl.TartClassifier` needs seconds.

    The weights of the model are shared with all encoders of the process and are never changed: what is trained is a
    copy. A pickle holds only what was learnt, and the name of the model.

    Parameters
    ----------
    encoder : "auto", str, path, SentenceEncoder or LanguageModelEncoder, default="auto"
        The model to start from. A name or path means a :class:`~skicl.SentenceEncoder` of it, "auto" the default one.
        Its device, number format, length limit and pooling count here too.
    method : {"full", "lora", "last_layer", "contrastive"}, default="full"
        What is trained. "full": all weights and a linear head; "lora": low-rank adapters and a linear head [1]_
        (needs peft, ``pip install "skicl[lora]"``); "last_layer": the head alone; "contrastive": all weights, so that
        texts of one class get similar vectors and others do not, then logistic regression on the vectors, as SetFit
        does [2]_.
    learning_rate : float or None, default=None
        Highest learning rate. None means 2e-5 for "full" and "contrastive", 5e-4 for "lora", 3e-2 for "last_layer".
        The head of "full" and "lora" learns ten times as fast.
    epochs : int or None, default=None
        Passes over the rows, of ``ceil(n_rows / batch_size)`` steps each. None means as many as make 60 steps (300 for
        "last_layer"), but at least 3 ("contrastive": 1, "last_layer": 20).
    batch_size : int, default=16
        Rows in a step; for "contrastive", pairs of rows.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, stratified, to stop early. None are held out, and all epochs are run, if
        it is 0, if that would be fewer than 10 rows or fewer than there are classes, if a class has one row only, or if
        all rows of a class, or rows of a single class only, would be held out.
    patience : int, default=3
        Training stops when the loss of the held-out rows has not fallen for so many epochs; what was best is kept.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn; classes missing from a dict have weight 1.
    lora : LoRASettings or None, default=None
        Size and place of the adapters. None means the defaults of :class:`~skicl.finetuning.LoRASettings`; give
        ``LoRASettings()`` to search a grid over ``lora__rank``.
    random_state : int, RandomState instance or None, default=None
        Draws the split, the order of the rows, dropout, adapters and pairs. The same integer gives the same
        classifier; global generators are neither seeded nor used for training.
    verbose : bool, default=False
        Whether to show a progress bar at once. False shows one on a terminal after five seconds of work.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    encoder_ : SentenceEncoder or LanguageModelEncoder
        The tuned encoder, fitted; it can be used like any other.
    validation_losses_ : ndarray of shape (n_epochs + 1,) or (0,)
        Loss of the held-out rows before training and after every epoch. Empty if no rows were held out.
    n_epochs_ : int
        Number of epochs run.
    best_epoch_ : int
        After which epoch the weights were as they are kept; 0 is before training.

    See Also
    --------
    skicl.TartClassifier : Reads the rows as context instead, in one pass.
    skicl.ICLClassifier : Reads the rows as a prompt.
    skicl.finetuning.LoRASettings : Settings of adapters.

    Notes
    -----
    AdamW without weight decay, learning rate up linearly for a tenth of the steps and then down linearly to zero,
    gradients clipped to norm 1. The head of "full" and "lora" starts as logistic regression on the vectors of the
    untouched model [3]_. Weights are trained in float32; where the encoder computes in bfloat16, as on recent GPUs by
    default, so do the passes of training.

    Dropout layers draw from a generator of their own. Dropout inside of attention, which cannot, is off.

    Whatever stops ``fit`` before its end, an error or an interrupt, leaves the classifier as it was before the call.
    There is no ``partial_fit``: the learning rate schedule and the split need all rows.

    With ``n_jobs``, threads share the untouched model; every fit has its own copy of what it trains ("full",
    "contrastive": of all weights).

    References
    ----------
    .. [1] Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang and Chen (2022), "LoRA: Low-Rank Adaptation of Large Language
       Models", ICLR.
    .. [2] Tunstall, Reimers, Jo, Bates, Korat, Wasserblat and Pereg (2022), "Efficient Few-Shot Learning Without
       Prompts", arXiv:2209.11055.
    .. [3] Kumar, Raghunathan, Jones, Ma and Liang (2022), "Fine-Tuning can Distort Pretrained Features and
       Underperform Out-of-Distribution", ICLR.

    Examples
    --------
    >>> from skicl.finetuning import FineTuneClassifier
    >>> texts = ["where is my parcel?", "it has not arrived", "I was charged twice", "wrong amount on my bill"]
    >>> labels = ["delivery", "delivery", "billing", "billing"]
    >>> classifier = FineTuneClassifier(method="last_layer", random_state=0).fit(texts, labels)
    >>> classifier.predict(["my package is late", "you took the money two times"])
    array(['delivery', 'billing'], dtype='<U8')
    """

    def __init__(
        self,
        encoder: Any = "auto",
        *,
        method: str = "full",
        learning_rate: float | None = None,
        epochs: int | None = None,
        batch_size: int = 16,
        validation_fraction: float = 0.1,
        patience: int = 3,
        class_weight: Any = None,
        lora: LoRASettings | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.encoder = encoder
        self.method = method
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.lora = lora
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X : collection of n_samples texts
            A list, a 1-D array, a Series, a frame with one column or an array of shape (n_samples, 1).
        y : array-like of shape (n_samples,)
            Labels, of any type that can be sorted.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How much each row counts. A row of weight 0 plays no part at all.

        Returns
        -------
        self : FineTuneClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is unusable, before any work; or if training diverges.
        ImportError
            If ``method="lora"`` and peft is not installed.
        ConnectionError
            If the model is not on this machine and the hub cannot be reached.

        Warns
        -----
        UserWarning
            If texts are too long for the model and were truncated.
        """
        encoder = self._checked()
        texts, labels, weights = self._rows(X, y, sample_weight)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {len(classes)} class ({classes.tolist()})."
            )
        weights = weights * self._weights_of_classes(labels)
        rows, order = in_order_of_appearance(texts, codes, weights / weights.mean())
        lora = LoRASettings(**self.lora.get_params()) if self.lora is not None else LoRASettings()
        tuned = fit_task(self._task(encoder, rows, len(classes), lora))
        tuned.encoder.fit([texts[0]])
        head = tuned.head._replace(coef=tuned.head.coef[order], intercept=tuned.head.intercept[order])
        learnt = Learnt(self.method, encoder, lora, tuned.changes, tuned.base_digest, head, classes)
        learnt.made(lambda _: tuned.encoder)
        fitted = {
            "_learnt": learnt,
            "n_epochs_": tuned.history.n_epochs,
            "best_epoch_": tuned.history.best_epoch,
            "validation_losses_": np.array(tuned.history.losses),
            "classes_": classes,
        }
        exchange_fitted(self, fitted)
        return self

    @property
    def encoder_(self) -> Any:
        """The tuned encoder, fitted; it can be used like any other."""
        if "_learnt" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'encoder_'")
        return self._learnt.made(_restored)

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : collection of n_samples texts
            Texts to classify.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In nats, in the order of ``classes_``.

        Raises
        ------
        ValueError
            If the model of `encoder` has other weights than in ``fit``, where they are used, or if it gives NaN.
        """
        return _log_proba(self._fitted(), X)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : collection of n_samples texts
            Texts to classify.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Each row sums to one, in the order of ``classes_``.
        """
        return np.exp(self.predict_log_proba(X))

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Log-odds of the classes.

        Parameters
        ----------
        X : collection of n_samples texts
            Texts to classify.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the log-odds of ``classes_[1]``; for more the log-probabilities.
        """
        log_proba = self.predict_log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable class of every text.

        Parameters
        ----------
        X : collection of n_samples texts
            Texts to classify.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, as they were in ``y``.
        """
        learnt = self._fitted()
        return learnt.classes[_log_proba(learnt, X).argmax(axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of texts whose label is predicted.

        Parameters
        ----------
        X : collection of n_samples texts
            Texts to classify.
        y : array-like of shape (n_samples,)
            Their labels, in any form that ``fit`` takes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the texts.

        Returns
        -------
        float
            Accuracy, from 0 to 1.
        """
        return accuracy(self, X, y, sample_weight)

    def _fitted(self):
        """What was learnt; an error before fit."""
        check_is_fitted(self, "classes_")
        return self._learnt

    def _checked(self):
        """The encoder, resolved; bad parameters are refused."""
        check_choice(self.method, "method", METHODS)
        check_number(self.learning_rate, "learning_rate", above=0, optional=True)
        check_integer(self.epochs, "epochs", optional=True)
        check_integer(self.batch_size, "batch_size")
        check_integer(self.patience, "patience")
        check_share(self.validation_fraction, "validation_fraction", open_low=False)
        known = self.class_weight is None or isinstance(self.class_weight, Mapping)
        if not known and not (isinstance(self.class_weight, str) and self.class_weight == "balanced"):
            raise ValueError(
                f"`class_weight` must be a dict, 'balanced' or None, got {self.class_weight!r}."
                + did_you_mean(self.class_weight, ["balanced"])
            )
        check_flag(self.verbose, "verbose")
        if isinstance(self.class_weight, Mapping):
            for name, weight in self.class_weight.items():
                if not (is_number(weight) and weight > 0):
                    raise ValueError(f"`class_weight` must hold positive numbers, got {weight!r} for {name!r}.")
        check_lora(self.lora)
        if self.method == "lora":
            require_peft()
        return resolve_encoder(self.encoder)

    def _rows(self, X, y, sample_weight):
        """Texts, labels and weights of the rows that count."""
        texts = read_unicode(X)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        labels = read_all_labels(y)
        check_one_label_a_row(len(texts), len(labels))
        if isinstance(self.class_weight, Mapping):
            present = set(labels.tolist())
            unknown = [name for name in self.class_weight if name not in present]
            if unknown:
                raise ValueError(f"`class_weight` names {unknown[:5]}, and `y` holds no such label.")
        if sample_weight is None:
            return texts, labels, np.ones(len(texts))
        weights = np.asarray(sample_weight, dtype=np.float64)
        if weights.shape != (len(texts),) or not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(
                f"`sample_weight` must hold one finite number, not below 0, for each of the {len(texts)} rows, got "
                f"an array of shape {weights.shape}."
            )
        counted = np.flatnonzero(weights)
        if not len(counted):
            raise ValueError("`sample_weight` is 0 for every row. Give at least two classes a positive weight.")
        return [texts[i] for i in counted], labels[counted], weights[counted]

    def _weights_of_classes(self, labels):
        """Weights of the classes for each row; rows of weight 0 may have taken classes with them."""
        if isinstance(self.class_weight, Mapping):
            return np.array([float(self.class_weight.get(label, 1.0)) for label in labels.tolist()])
        return compute_sample_weight(self.class_weight, labels)

    def _task(self, encoder, rows, n_classes, lora):
        """What is to be learnt, with all defaults resolved."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rows, held_out = split_rows(rows, self.validation_fraction, seed)
        defaults = DEFAULTS[self.method]
        steps = -(-len(rows.texts) // self.batch_size)
        epochs = self.epochs or max(defaults.n_epochs, -(-defaults.n_steps // steps))
        rate = defaults.learning_rate if self.learning_rate is None else float(self.learning_rate)
        course = Course(int(epochs), steps, int(self.patience))
        return Task(
            self.method,
            encoder,
            rate,
            int(self.batch_size),
            course,
            lora,
            bool(self.verbose),
            rows,
            held_out,
            n_classes,
            seed,
        )

    def __setstate__(self, state):
        check_loaded(self, state)
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


def in_order_of_appearance(texts, codes, weights):
    """Rows with classes, codes (B,), numbered as they appear, so that names play no part; each new number (C,)."""
    _, first = np.unique(codes, return_index=True)
    order = np.argsort(np.argsort(first))
    return Rows(texts, order[codes], weights), order


def split_rows(rows, fraction, seed):
    """Rows for training and rows held out, stratified.

    None are held out where `fraction` is 0, where there would be fewer than 10 or fewer than classes, where a class has
    one row only, or where a class would have no row left or all held-out rows would be of one class.
    """
    counts = np.bincount(rows.codes)
    n_held_out = round(fraction * len(rows.codes))
    n_kept = len(rows.codes) - n_held_out
    if n_held_out < max(LEAST_HELD_OUT, len(counts)) or n_kept < len(counts) or counts.min() < 2:
        return rows, None
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=n_held_out, random_state=seed)
    kept, held_out = next(splitter.split(np.zeros((len(rows.codes), 1)), rows.codes))
    # A class of few rows may have gone as a whole, or none of it; rows of one class alone say nothing of the others.
    if len(np.unique(rows.codes[kept])) < len(counts) or len(np.unique(rows.codes[held_out])) < 2:
        return rows, None

    def take(places):
        return Rows([rows.texts[i] for i in places], rows.codes[places], rows.weights[places])

    return take(np.sort(kept)), take(np.sort(held_out))


def _log_proba(learnt, X):
    """Log-probabilities (B, C) of texts."""
    check_unchanged(learnt.method, learnt.encoder, learnt.base_digest)
    log_proba = learnt.head.log_proba(vectors_of(learnt.made(_restored), X))
    check_finite(np.exp(log_proba), "probabilities", NOT_FINITE)
    return log_proba


def _restored(learnt):
    """The tuned encoder of a classifier that was loaded, fitted."""
    encoder = restored_encoder(learnt.method, learnt.encoder, learnt.lora, learnt.changes, learnt.base_digest)
    return encoder.fit(["a"])
