"""ICLClassifier: labelled rows as a prompt, classes scored by the language model that reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from skicl._fitted import FittedState, blank, check_loaded, exchange_fitted
from skicl._models._causal_head import load_causal_model
from skicl._models._in_memory import quick_digest
from skicl._models._language_model import check_model, live_handle
from skicl._models._precision import NOT_FINITE, check_dtype
from skicl._progress import progress_bar
from skicl._validation._columns import read_columns
from skicl._validation._environment import resolve_device, warn_user
from skicl._validation._finite import check_finite
from skicl._validation._labels import accuracy, check_known, check_one_label_a_row, label_space, read_all_labels
from skicl._validation._scalars import check_choice, check_flag, check_integer
from skicl._validation._texts import read_container
from skicl.prompting._calibration import resolve_calibration
from skicl.prompting._ensemble import PromptEnsemble
from skicl.prompting._plans import check_selector, resolve_selector
from skicl.prompting._readouts import READOUTS
from skicl.prompting._records import is_records, read_records
from skicl.prompting._task import PromptedTask, Recipe
from skicl.prompting._template import PromptTemplate, choose_columns, multilabel_template
from skicl.prompting._verbalizer import Verbalizer

if TYPE_CHECKING:
    import torch

NO_USE = "Drop the row: unlike TartClassifier, a prompt has no use for rows without a label."


@dataclass(frozen=True, eq=False)
class Learnt(FittedState):
    """All that a fitted ICLClassifier knows."""

    questions: list  # for each label (one where classes exclude each other) the members of the ensemble
    recipe: Recipe
    ensemble: Any
    fields: tuple  # columns of ``X`` that the template names
    classes: np.ndarray  # (n_classes,)
    multilabel: bool
    columns: Any  # holds names and number of the columns of a table
    weights: tuple  # number format and checksum of the weights that the model had


class ICLClassifier(ClassifierMixin, BaseEstimator):
    """Classify by in-context learning with a causal language model and a prompt.

    ``fit`` takes no gradient step: it chooses labelled rows as demonstrations, writes them out and lets the model read
    what all prompts share, once. ``predict`` reads each query after that and compares the probabilities of the label
    words: of all their tokens, tokenised together with the prompt, so they are exact, add up, and need no text to be
    generated or parsed.

    Parameters
    ----------
    model : str, path, pair (network, tokenizer) or LiveModel
        A causal language model of transformers: a name on the Hugging Face hub, the path of a folder, or a network
        with its head and its tokenizer in memory. Its weights are loaded once per process and device, shared with
        clones and with a :class:`~skicl.encoders.LanguageModelEncoder` of the same model.
    template : None, str or PromptTemplate, default=None
        How rows are written out, with named fields: ``{text}`` for a collection of texts, the names of its columns
        for a frame, x0, x1, ... for an array, and last ``{label}``. None means the default of
        :class:`~skicl.prompting.PromptTemplate`.
    verbalizer : None, dict, list or Verbalizer, default=None
        Which words stand for each class: by class, or a list in the order of the sorted classes. None means the class
        itself, as a string.
    demonstrations : None, int or selector, default=None
        Which labelled rows stand in the prompt. An int chooses so many, equally many of each class by turns, with a
        fixed seed; 0 means none. None means 16. A selector, such as
        :class:`~skicl.prompting.NearestDemonstrations`, may choose for every query anew, at the price of a prompt that
        is read for every query.
    calibration : None, {"contextual", "domain", "batch", "affine"} or calibrator, default=None
        How ``fit`` estimates the bias of the model towards labels, which predictions are corrected for.
    readout : {"label_words", "hidden_centroid", "knn"}, default="label_words"
        What predictions are made from: the probabilities of the label words; the distance of the last hidden state to
        the mean state of the labelled rows of each class; the votes of the labelled rows after which the model predicts
        the most similar next tokens.
    ensemble : None, int or PromptEnsemble, default=None
        Ask with several prompts. An int means so many sets of demonstrations.
    classes : array-like of shape (n_classes,) or None, default=None
        The label space. It may hold classes without a labelled row. None means the labels in ``y``. For multi-label
        ``y``, the names of its columns.
    window : int or None, default=None
        Most tokens of a prompt with a label. Demonstrations that do not fit are left out as a whole. None means the
        limit of the model.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub.
    batch_size : int or None, default=None
        Most rows read together. None reads as many as the device reads fastest, told by their tokens. It affects speed
        and memory only, and halves where memory runs out.
    device : str, torch.device or None, default=None
        Where the model runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in. None means bfloat16 on CUDA devices whose hardware computes in it and float32
        elsewhere; a model in memory stays as it is.
    verbose : bool, default=False
        Whether to show a progress bar of predictions at once. False shows one on a terminal after five seconds of
        work.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; for multi-label ``y`` its columns.
    demonstrations_ : ndarray of shape (n_demonstrations,) or None
        Numbers of the rows in the prompt, in its order; of the first member of an ensemble and the first label. None
        where they are chosen for every query.
    multilabel_ : bool
        Whether ``y`` was an indicator matrix.
    n_features_in_ : int
        Number of columns. Not defined for a collection of texts.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Only defined if ``X`` has names that are all strings.

    See Also
    --------
    TartClassifier : Reads vectors of rows instead of a prompt, in any number.
    skicl.prompting : Templates, label words, selectors, calibration.

    Notes
    -----
    Memory holds keys and values of the shared part of the prompt once; a batch of queries has views of them. Networks
    whose memory of a prompt cannot be taken apart (recurrent and mixed ones) read every prompt from its beginning: the
    results are the same.

    Rotary scalings that switch with the length of a text (longrope) make a network read all tokens in another way
    beyond so many. Each prompt is read as it would be alone: those on the other side of the switch than the part that
    prompts share are read from their beginning, with one warning.

    The first token of a label needs a token before it. A prompt without any, an empty row without demonstrations and
    without a cue for instance, therefore gets the start token of the model on purpose; where there is none, the token
    that ends a text, or pads.

    If the weights of the model have changed since ``fit``, by training or in its files, prompts are read anew; where
    a calibration or ``normalize="pmi"`` was estimated with the old ones, predictions are refused. Probabilities
    that are NaN are an error, except for rows that the verbalizer abstains from.

    A pickle holds the labelled rows and no weights. A model in memory cannot be pickled. With ``n_jobs``, threads
    share one model and take turns; every process loads its own. On one device ``n_jobs=1`` is as fast: rows are
    batched.

    Voting, stacking and bagging of scikit-learn number the classes before their members see them: give the words
    as a list there, or prompts show numbers. So does ``cross_val_predict`` with probabilities.

    Whatever stops ``fit`` before its end, an error or an interrupt, leaves the classifier as it was before the call.

    Text of the rows goes into the prompt as it is. A row that holds instructions or marks of a chat may sway the model.

    Examples
    --------
    With the small model that comes with the package. It knows few words; any causal model of the hub will do, such as
    ``"HuggingFaceTB/SmolLM2-360M"`` or ``"Qwen/Qwen3-0.6B"``.

    >>> from skicl import ICLClassifier
    >>> texts = ["where is the parcel", "the parcel is late", "wrong bill", "the bill is too high"] * 2
    >>> labels = ["delivery", "delivery", "billing", "billing"] * 2
    >>> classifier = ICLClassifier("skicl-tiny", template="Message: {text}\\nTopic: {label}", device="cpu")
    >>> classifier.fit(texts, labels).predict(["late parcel", "the bill"])
    array(['delivery', 'billing'], dtype='<U8')

    A grid search sees the parts:

    >>> from sklearn.model_selection import GridSearchCV
    >>> from skicl.prompting import StratifiedDemonstrations
    >>> classifier = ICLClassifier("skicl-tiny", demonstrations=StratifiedDemonstrations(), device="cpu")
    >>> search = GridSearchCV(classifier, {"demonstrations__k": [2, 4], "calibration": [None, "batch"]}, cv=2)
    >>> search.fit(texts, labels).predict(["late parcel"])
    array(['delivery'], dtype='<U8')
    """

    def __init__(
        self,
        model: Any,
        *,
        template: str | PromptTemplate | None = None,
        verbalizer: Mapping | Sequence | Verbalizer | None = None,
        demonstrations: Any = None,
        calibration: Any = None,
        readout: str = "label_words",
        ensemble: int | PromptEnsemble | None = None,
        classes: ArrayLike | None = None,
        window: int | None = None,
        revision: str | None = None,
        batch_size: int | None = None,
        device: "str | torch.device | None" = None,
        dtype: "str | torch.dtype | None" = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.template = template
        self.verbalizer = verbalizer
        self.demonstrations = demonstrations
        self.calibration = calibration
        self.readout = readout
        self.ensemble = ensemble
        self.classes = classes
        self.window = window
        self.revision = revision
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.verbose = verbose

    def __setattr__(self, name: str, value: Any) -> None:
        # scikit-learn would copy bare weights with every clone; their handle is shared instead.
        super().__setattr__(name, live_handle(value) if name == "model" else value)

    def fit(self, X: ArrayLike | None, y: ArrayLike | None = None) -> Self:
        """Choose demonstrations, and let the model read what all prompts share.

        Parameters
        ----------
        X : collection of n_samples texts, frame, array-like of shape (n_samples, n_features), or None
            Labelled rows. None means that there is none: then ``y`` or `classes` say what the classes are.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Labels, or an indicator matrix of several labels for each row. Without ``X``, any list of the classes.

        Returns
        -------
        self : ICLClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is unusable; before the model reads anything.
        ConnectionError
            If the model is not on this machine and the hub cannot be reached.

        Warns
        -----
        UserWarning
            If demonstrations were left out because they do not fit into the window.
        """
        template, verbalizer, selector, calibrator = self._checked()
        columns = blank(self)
        records = None if X is None else _read(columns, X, reset=True)
        classes, codes, multilabel = self._targets(X, y, records)
        if multilabel:
            template = multilabel_template(template, () if records is None else records.columns)
        fields = choose_columns(template, records)
        template.parts(fields)
        rows = [] if records is None else records.select(fields)
        word_classes = [0, 1] if multilabel else classes.tolist()
        if multilabel and verbalizer.words is None:
            verbalizer = Verbalizer(**{**verbalizer.get_params(), "words": {0: "no", 1: "yes"}})
        recipe = Recipe(
            template,
            verbalizer,
            verbalizer.words_of(word_classes),
            selector,
            calibrator,
            self.readout,
            window=self.window,
            batch_size=self.batch_size,
        )
        ensemble = self.ensemble
        if ensemble is not None and not isinstance(ensemble, PromptEnsemble):
            ensemble = PromptEnsemble(int(ensemble))
        recipes = [recipe] if ensemble is None else ensemble.members(recipe, word_classes)
        for member in recipes:
            member.template.parts(fields)
        candidates = [str(name) for name in classes] if multilabel else [None]
        loaded = self._load()
        shared: dict = {}  # what the model made of the beginnings of prompts, for all tasks
        with loaded.lock:
            questions = []
            for j, candidate in enumerate(candidates):
                tasks = [PromptedTask(member._replace(candidate=candidate), fields) for member in recipes]
                wanted = codes[:, j] if multilabel else codes
                questions.append([task.fit(loaded.model, rows, wanted, shared) for task in tasks])
            weights = _weights_of(loaded)
            for task in chain(*questions):
                task.read_with = weights
        first = questions[0][0]
        _warn_of_dropped(first)
        shown = None if first.plan_ is None else np.array(first.plan_, dtype=np.int64)
        learnt = Learnt(questions, recipe, ensemble, fields, classes, multilabel, columns, weights)
        fitted = {"_learnt": learnt, "classes_": classes, "multilabel_": multilabel, "demonstrations_": shown}
        exchange_fitted(self, fitted | vars(columns))
        return self

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows to classify, of the same form as in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In nats, in the order of ``classes_``. NaN for a row that the verbalizer abstains from. For multi-label,
            of the presence of each label.
        """
        learnt = self._fitted()
        log_proba, mass = self._scores(learnt, X)
        abstains = _abstains(learnt, mass)
        log_proba = [np.where(low[:, None], np.nan, scores) for scores, low in zip(log_proba, abstains.T)]
        return np.stack([scores[:, 1] for scores in log_proba], axis=1) if learnt.multilabel else log_proba[0]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows to classify, of the same form as in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Each row sums to one, in the order of ``classes_``. For multi-label, of the presence of each label.
        """
        return np.exp(self.predict_log_proba(X))

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Log-odds of the classes.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows to classify, of the same form as in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the log-odds of ``classes_[1]``; for more the log-probabilities; for multi-label the
            log-odds of each label.
        """
        learnt = self._fitted()
        log_proba, mass = self._scores(learnt, X)
        _abstains(learnt, mass)
        odds = [scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores for scores in log_proba]
        return np.stack(odds, axis=1) if learnt.multilabel else odds[0]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable class of every row.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows to classify, of the same form as in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels, as they were in ``y``; also for rows with a low mass. For multi-label an indicator matrix.
        """
        learnt = self._fitted()
        log_proba, mass = self._scores(learnt, X)
        _abstains(learnt, mass)
        best = [scores.argmax(axis=1) for scores in log_proba]
        return np.stack(best, axis=1) if learnt.multilabel else learnt.classes[best[0]]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of rows whose label is predicted; for multi-label, whose labels are all predicted.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows to classify, of the same form as in ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their labels, in any form that ``fit`` takes; every row needs one.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Accuracy, from 0 to 1.
        """
        if self._fitted().multilabel:
            return super().score(X, y, sample_weight)
        return accuracy(self, X, y, sample_weight)

    def label_mass(self, X: ArrayLike) -> np.ndarray:
        """How much probability the model puts on any label word.

        A low mass says that the model would rather say something else: the prompt or the words may not suit it.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows to classify, of the same form as in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            From 0 to 1; the mean over the members of an ensemble.
        """
        learnt = self._fitted()
        _, mass = self._scores(learnt, X)
        return mass if learnt.multilabel else mass[:, 0]

    def _checked(self):
        """Template, verbalizer, selector and calibrator, resolved; bad parameters are refused."""
        check_model(self.model, self.revision, self.dtype)
        check_dtype(self.dtype)
        check_integer(self.batch_size, "batch_size", optional=True)
        check_integer(self.window, "window", optional=True)
        check_choice(self.readout, "readout", READOUTS)
        check_flag(self.verbose, "verbose")
        resolve_device(self.device)
        template = PromptTemplate(self.template) if isinstance(self.template, str | None) else self.template
        if not isinstance(template, PromptTemplate):
            raise TypeError(f"`template` must be None, a string or a PromptTemplate, got {self.template!r}.")
        template.check()
        given = self.verbalizer
        verbalizer = given if isinstance(given, Verbalizer) else Verbalizer(given)
        verbalizer.check()
        if isinstance(self.ensemble, Integral):
            check_integer(self.ensemble, "ensemble")
        elif self.ensemble is not None and not isinstance(self.ensemble, PromptEnsemble):
            raise TypeError(f"`ensemble` must be None, an integer or a PromptEnsemble, got {self.ensemble!r}.")
        else:
            (self.ensemble or PromptEnsemble()).check()
        selector = resolve_selector(self.demonstrations)
        check_selector(selector)
        return template, verbalizer, selector, resolve_calibration(self.calibration)

    def _targets(self, X, y, records):
        """The classes, the number of the class of each row (or the indicators), and whether there are several each."""
        declared = None if self.classes is None else label_space(self.classes)
        if y is None and (X is not None or declared is None):
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Without any row, "
                "fit(None, y) or `classes` say what the classes are."
            )
        if y is None:
            return self._enough(declared), np.zeros(0, dtype=np.int64), False
        if _is_indicator(y):
            return self._indicators(y, records)
        labels = read_all_labels(y, advice=NO_USE)
        if X is not None:
            check_one_label_a_row(len(records.rows), len(labels))
        classes = np.unique(labels) if declared is None else declared
        if classes.dtype.kind in "UO" and labels.dtype.kind in "iu":
            raise ValueError(
                f"`classes` are {classes.tolist()[:5]}, and `y` holds the numbers {np.unique(labels).tolist()[:5]}: "
                "something before this classifier, as cross_val_predict does, has numbered the classes. List the "
                "numbers in `classes`, and the words for them, in the same order, in `verbalizer`."
            )
        check_known(labels, classes, "classes")
        codes = np.searchsorted(classes, labels) if X is not None else np.zeros(0, dtype=np.int64)
        return self._enough(classes), codes, False

    def _indicators(self, y, records):
        matrix = np.asarray(y.toarray() if hasattr(y, "toarray") else y).astype(np.int64)
        if records is None:
            raise ValueError("`X` is None, and `y` is an indicator matrix. Give the rows that it belongs to.")
        check_one_label_a_row(len(records.rows), len(matrix))
        names = np.arange(matrix.shape[1]) if self.classes is None else np.asarray(self.classes)
        if names.shape != (matrix.shape[1],):
            raise ValueError(
                f"`classes` has shape {names.shape}, and `y` has {matrix.shape[1]} columns. Give one name "
                "for each column."
            )
        return names, matrix, True

    def _enough(self, classes):
        if len(classes) < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {len(classes)} class "
                f"({classes.tolist()}). Add labelled rows of another class, or list the classes in "
                "`classes`."
            )
        return classes

    def _load(self):
        device = resolve_device(self.device)
        return load_causal_model(self.model, self.revision, device, self.dtype, stay=self.device is None)

    def _fitted(self):
        check_is_fitted(self, "classes_")
        return self._learnt

    def _scores(self, learnt, X):
        """For every question log-probabilities of its classes, and masses (n_samples, n_questions)."""
        rows = _read(learnt.columns, X, reset=False).select(learnt.fields)
        loaded = self._load()
        log_proba, masses = [], []
        n_readings = len(rows) * sum(map(len, learnt.questions))
        with loaded.lock, progress_bar(n_readings, type(self).__name__, self.verbose) as bar:
            _follow(learnt, loaded)
            for tasks in learnt.questions:
                scores = [task.scores(loaded.model, rows, bar.update) for task in tasks]
                members = [member.log_proba for member in scores]
                log_proba.append(members[0] if learnt.ensemble is None else learnt.ensemble.combined(members))
                masses.append(np.mean([member.mass for member in scores], axis=0))
        check_finite(np.exp(np.hstack(log_proba)), "probabilities", NOT_FINITE)
        check_finite(np.stack(masses, axis=1), "masses of the label words", NOT_FINITE)
        # In float64 the rounding of the combination may leave a sum of one by more than users like to see.
        log_proba = [scores - logsumexp(scores, axis=1, keepdims=True) for scores in log_proba]
        return log_proba, np.stack(masses, axis=1)

    def __setstate__(self, state):
        check_loaded(self, state)
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.classifier_tags.multi_label = True
        return tags


def _read(columns, X, *, reset):
    """``X`` as rows of named strings, after scikit-learn's checks where it is a table; these write to ``columns``."""
    X, is_table = read_container(X), "n_features_in_" in vars(columns)
    if is_records(X) or not (isinstance(X, Sequence) or hasattr(X, "__array__") or hasattr(X, "shape")):
        if hasattr(X, "columns") and X.shape[1] > 1 and (reset or is_table):
            validate_data(columns, X, skip_check_array=True, reset=reset)
        return read_records(X)
    if reset or is_table:
        array = read_columns(columns, X, reset=reset, dtype=None)
        return read_records(array, columns=vars(columns).get("feature_names_in_"))
    array = read_columns(blank(columns), X, reset=True, dtype=None)
    if array.shape[1] != 1:
        raise ValueError(
            f"X has {array.shape[1]} features, but {type(columns).__name__} was fitted on texts, which are one column."
        )
    return read_records(array)


def _is_indicator(y):
    """Whether ``y`` is a matrix that says of every label whether a row has it."""
    if hasattr(y, "toarray") or (getattr(y, "ndim", 1) == 2 and y.shape[1] > 1):
        return type_of_target(y, input_name="y") == "multilabel-indicator"
    nested = isinstance(y, Sequence) and not isinstance(y, str) and len(y) and isinstance(y[0], list | np.ndarray)
    return bool(nested) and np.size(y[0]) > 1 and type_of_target(y, input_name="y") == "multilabel-indicator"


def _weights_of(loaded):
    """Number format and checksum of the weights of a model."""
    return str(loaded.model.whole.dtype), quick_digest(loaded, loaded.model.whole)


def _follow(learnt, loaded):
    """Forget what was read with other weights; refuse if something was estimated with others. The lock is held."""
    now, tasks = _weights_of(loaded), list(chain(*learnt.questions))
    same_format = now[0] == learnt.weights[0]  # in another one a change of weights cannot be told
    if any(task.is_estimated for task in tasks) and same_format and now != learnt.weights:
        raise ValueError(
            "`model` has other weights than when this classifier was fitted, so what `calibration` or `normalize` "
            "estimated does not fit to them. Restore the model, or fit again."
        )
    for task in tasks:
        if task.read_with != now:
            task.forget_prompts()
            task.read_with = now


def _abstains(learnt, mass):
    """Which masses are low enough to abstain, after a warning or an error where these are wanted."""
    verbalizer = learnt.recipe.verbalizer
    low = mass < verbalizer.min_mass
    if low.any() and verbalizer.low_mass in ("warn", "raise"):
        rows = np.flatnonzero(low.any(axis=1))
        message = (
            f"After {len(rows)} of {len(mass)} rows, first at position {rows[0]}, the model puts less than "
            f"{verbalizer.min_mass} on all label words together. Name the words in the instruction, choose words "
            "that suit the template, or lower `min_mass`."
        )
        if verbalizer.low_mass == "raise":
            raise ValueError(message)
        warn_user(message)
    return low if verbalizer.low_mass == "nan" else np.zeros_like(low)


def _warn_of_dropped(task):
    if task.n_dropped_:
        total = task.n_dropped_ + len(task.plan_)
        warn_user(
            f"{task.n_dropped_} of {total} demonstrations were left out, so that the longest prompt fits into the "
            "window. Take fewer demonstrations or shorter texts."
        )
