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
from sklearn.utils.validation import check_is_fitted, validate_data

from skicl._fitted import FittedState, blank, check_loaded, exchange_fitted
from skicl._models._causal_head import load_causal_model
from skicl._models._in_memory import quick_digest
from skicl._models._language_model import check_model, live_handle
from skicl._models._precision import NOT_FINITE
from skicl._progress import progress_bar
from skicl._validation._columns import read_columns
from skicl._validation._environment import resolve_device, warn_user
from skicl._validation._finite import check_finite
from skicl._validation._labels import accuracy
from skicl._validation._scalars import check_choice, check_flag, check_integer
from skicl._validation._texts import read_container
from skicl.prompting._calibration import resolve_calibration
from skicl.prompting._ensemble import PromptEnsemble
from skicl.prompting._model_settings import ModelSettings, resolve_settings
from skicl.prompting._plans import check_selector, resolve_selectors
from skicl.prompting._prompt import Prompt
from skicl.prompting._questions import choose_prompt, fit_questions
from skicl.prompting._readouts import READOUTS
from skicl.prompting._records import is_records, read_records
from skicl.prompting._targets import read_targets
from skicl.prompting._task import Recipe
from skicl.prompting._template import PromptTemplate, choose_columns, multilabel_template
from skicl.prompting._verbalizer import Verbalizer

if TYPE_CHECKING:
    import torch


# When to warn that a model prefers one label: so many different rows, so large a share of all, so high a confidence.
FEW_ROWS, ONE_CLASS, SURE = 20, 0.95, 0.8


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
    frequencies: np.ndarray | None  # (n_classes,): of the classes among labelled rows; None without or for multi-label


class ICLClassifier(ClassifierMixin, BaseEstimator):
    """Classify by in-context learning with a causal language model and a prompt.

    ``fit`` takes no gradient step: it shows the model a few labelled rows and lets it read the others after these.
    ``predict`` reads each query once. Two things are read off: the probabilities of the label words, exact and without
    any text to be generated or parsed, corrected for what the model prefers whatever the text; and hidden states,
    which the reasoner of :class:`TartClassifier` compares with those of the labelled rows. So four labels are enough to
    begin with, and many help although few fit into a prompt.

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
        itself, written out in words.
    demonstrations : None, int or selector, default=None
        Which labelled rows stand in the prompt. An int chooses so many, equally many of each class by turns, with a
        fixed seed; 0 means none. None means 4, or more if labelled rows say so (see below). A selector, such as
        :class:`~skicl.prompting.NearestDemonstrations`, may choose for every query anew, at the price of a prompt that
        is read for every query.
    calibration : None, "auto", "contextual", "domain", "batch", "affine" or calibrator, default="auto"
        How the label words are corrected for what the model prefers. "auto" takes the one, or none, after which
        labelled rows that the prompt does not show are most probable, at most 128 of them, each held out from what is
        learnt from it; without such rows "contextual", and none for the readouts "hidden_centroid" and "knn". None
        means no correction.
    readout : {"auto", "label_words", "reasoner", "hidden_centroid", "knn"}, default="auto"
        What predictions are made from. "label_words": their probabilities. "reasoner": both these and hidden states
        of three depths, of at most 512 labelled rows. "auto" means "reasoner" where there are labelled rows beside the
        demonstrations, else "label_words". "hidden_centroid": the distance of the state to the mean of each class.
        "knn": the votes of the labelled rows after which the model predicts the most similar next tokens.
    ensemble : None, int or PromptEnsemble, default=None
        Ask with several prompts. An int means so many sets of demonstrations.
    classes : array-like of shape (n_classes,) or None, default=None
        The label space. It may hold classes without a labelled row. None means the labels in ``y``. For multi-label
        ``y``, the names of its columns.
    model_settings : None or ModelSettings, default=None
        Which revision of the model, in what number format, with how long prompts and batches: see
        :class:`~skicl.prompting.ModelSettings`. None means the defaults.
    device : str, torch.device or None, default=None
        Where the model runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    verbose : bool, default=False
        Whether to show a progress bar at once, of the rows that ``fit`` and predictions read. False shows one on a
        terminal after five seconds of work.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; for multi-label ``y`` its columns.
    calibration_ : str or None
        The calibration that is used: its word, the class of a calibrator of your own, or None. This, like all that
        follows down to ``demonstrations_``, is of the first member of an ensemble and the first label.
    readout_ : str
        What predictions are made from.
    chat_ : bool
        Whether prompts are the turns of a chat.
    losses_ : dict
        Mean log-loss of labelled rows, in nats, for what was in question: under "prompt" by form and number of
        demonstrations, as "chat, 4 demonstrations", under "calibration" by its word. Empty where there was no choice.
    evidence_ : dict from str to float
        How far the reasoner believes labels, the label words ("prior") and the rest, as in :class:`TartClassifier`.
        Only defined where it reads.
    demonstrations_ : ndarray of shape (n_demonstrations,) or None
        Numbers of the rows in the prompt, in its order. None where they are chosen for every query.
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
    prompts share are read from their beginning, with one warning. A short trial finds networks in which a row changes
    what is read beside it: these read rows of equal length only, or one row at a time, as do networks that choose among
    the tokens of a long text. A network that goes by chance is refused.

    The first token of a label needs a token before it. A prompt without any, an empty row without demonstrations and
    without a cue for instance, therefore gets the start token of the model on purpose; where there is none, the token
    that ends a text, or pads.

    What is left open about the prompt is chosen by at most 32 labelled rows that it does not show: those prompts are
    kept after which they are most probable. A model with a chat template reads turns of a chat or plain text; from 32
    labelled rows on, ``demonstrations=None`` means 4 or a quarter of the rows, up to 16. Without such rows prompts are
    turns of a chat if they can be.

    The reasoner has the states as rows and the calibrated label words as its ``prior``; the answer is its geometric
    mean with the label words, whose share is found out on rows that the reasoner has not read. It learns their scale
    itself, so that "auto" leaves "affine" out; a calibration that was asked for is held out from the rows that it was
    learnt from.

    If the weights of the model have changed since ``fit``, by training or in its files, prompts are read anew; where
    a calibration, a readout or ``normalize="pmi"`` was estimated with the old ones, predictions are refused.
    Probabilities that are NaN are an error, except for rows that the verbalizer abstains from.

    A pickle holds the demonstrations and the states that a reasoner reads, and no weights. A model in memory cannot be
    pickled. With ``n_jobs``, threads share one model and take turns; every process loads its own. On one device
    ``n_jobs=1`` is as fast: rows are batched.

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
    >>> classifier.readout_, classifier.calibration_
    ('reasoner', 'batch')
    >>> classifier.prompts(["late parcel"])[0].text.splitlines()[-2:]
    ['Message: late parcel', 'Topic:']

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
        calibration: Any = "auto",
        readout: str = "auto",
        ensemble: int | PromptEnsemble | None = None,
        classes: ArrayLike | None = None,
        model_settings: ModelSettings | None = None,
        device: "str | torch.device | None" = None,
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
        self.model_settings = model_settings
        self.device = device
        self.verbose = verbose

    def __setattr__(self, name: str, value: Any) -> None:
        # scikit-learn would copy bare weights with every clone; their handle is shared instead.
        super().__setattr__(name, live_handle(value) if name == "model" else value)

    def fit(self, X: ArrayLike | None, y: ArrayLike | None = None) -> Self:
        """Choose demonstrations and the form of the prompt, calibrate, and learn from the other labelled rows.

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

        Notes
        -----
        Each labelled row is read once, after a prompt that does not show it, for each prompt that is compared, each
        label and member of an ensemble, beside 23 inputs of calibrations. Without further labelled rows only the
        demonstrations and three inputs are read.
        """
        settings, template, verbalizer, calibrator = self._checked()
        columns = blank(self)
        records = None if X is None else _read(columns, X, reset=True)
        classes, codes, multilabel = read_targets(self, y, records)
        if multilabel:
            template = multilabel_template(template, () if records is None else records.columns)
        fields = choose_columns(template, records)
        template.parts(fields)
        rows = [] if records is None else records.select(fields)
        word_classes = [0, 1] if multilabel else classes.tolist()
        if multilabel and verbalizer.words is None:
            verbalizer = Verbalizer(**{**verbalizer.get_params(), "words": {0: "no", 1: "yes"}})
        selectors = resolve_selectors(self.demonstrations, len(rows))
        recipe = Recipe(
            template,
            verbalizer,
            verbalizer.words_of(word_classes),
            selectors[0],
            calibrator,
            self.readout,
            window=settings.window,
            batch_size=settings.batch_size,
            device=self.device,
        )
        ensemble = self.ensemble
        if ensemble is not None and not isinstance(ensemble, PromptEnsemble):
            ensemble = PromptEnsemble(int(ensemble))
        for member in _members(recipe, ensemble, word_classes):  # refused now rather than after the model has read
            member.template.parts(fields)
        candidates = [str(name) for name in classes] if multilabel else [None]
        loaded = self._load()
        with loaded.lock, progress_bar(0, f"{type(self).__name__}.fit: labelled rows", self.verbose, unit="row") as bar:
            first_codes = codes[:, 0] if multilabel else codes
            recipe = recipe._replace(candidate=candidates[0])
            choice = choose_prompt(recipe, selectors, fields, loaded.model, rows, first_codes, bar)
            recipes = _members(choice.recipe, ensemble, word_classes)
            questions = fit_questions(recipes, candidates, fields, loaded.model, rows, codes, bar, choice)
            weights = _weights_of(loaded)
            for task in chain(*questions):
                task.read_with = weights
        first = questions[0][0]
        _warn_of_what_does_not_fit(first)
        shown = None if first.plan_ is None else np.array(first.plan_, dtype=np.int64)
        frequencies = None if multilabel or not rows else np.bincount(codes, minlength=len(classes)) / len(rows)
        learnt = Learnt(questions, recipe, ensemble, fields, classes, multilabel, columns, weights, frequencies)
        fitted = {
            "_learnt": learnt,
            "classes_": classes,
            "multilabel_": multilabel,
            "demonstrations_": shown,
            "chat_": first.is_chat_,
            "calibration_": first.calibration_,
            "readout_": first.readout_,
            "losses_": {"prompt": choice.losses, "calibration": first.losses_},
        }
        if first.evidence_ is not None:
            fitted["evidence_"] = first.evidence_
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

    def prompts(self, X: ArrayLike, *, label: Any = None, member: int = 0) -> list[Prompt]:
        """What the model is sent for each row: the exact prompt, its tokens, and which demonstrations stand in it.

        Parameters
        ----------
        X : collection of n_samples texts, frame or array-like of shape (n_samples, n_features)
            Rows, of the same form as in ``fit``. The model does not read them.
        label : one of ``classes_`` or None, default=None
            For multi-label, which label is asked about. None means the first.
        member : int, default=0
            For an ensemble, which of its prompts.

        Returns
        -------
        list of Prompt
            One :class:`~skicl.prompting.Prompt` for each row.

        Raises
        ------
        ValueError
            If there is no such label or member, or ``X`` is unusable.
        """
        learnt = self._fitted()
        question = 0
        if label is not None:
            names = learnt.classes.tolist() if learnt.multilabel else []
            if label not in names:
                expected = f"None or one of {names}" if names else "None, since each row has one label"
                raise ValueError(f"`label` must be {expected}, got {label!r}.")
            question = names.index(label)
        members = learnt.questions[question]
        check_integer(member, "member", least=0)
        if member >= len(members):
            raise ValueError(f"`member` must be less than {len(members)}, the number of prompts, got {member}.")
        rows = _read(learnt.columns, X, reset=False).select(learnt.fields)
        loaded = self._load()
        with loaded.lock:
            _follow(learnt, loaded)
            return members[member].prompts(loaded.model, rows)

    def _checked(self):
        """Settings, template, verbalizer and calibrator, resolved; bad parameters are refused."""
        settings = resolve_settings(self.model_settings)
        check_model(self.model, settings.revision, settings.dtype)
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
        check_selector(resolve_selectors(self.demonstrations, 0)[0])
        return settings, template, verbalizer, resolve_calibration(self.calibration)

    def _load(self):
        device = resolve_device(self.device)
        settings = resolve_settings(self.model_settings)
        return load_causal_model(self.model, settings.revision, device, settings.dtype, stay=self.device is None)

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
        if not learnt.multilabel:
            _warn_of_one_class(log_proba[0], len(set(rows)), learnt)
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


def _members(recipe, ensemble, classes):
    """The recipes of an ensemble, all in one form where it has been chosen; one without ensemble."""
    if ensemble is None:
        return [recipe]
    return [
        member._replace(template=member.template.in_form_of(recipe.template))
        for member in ensemble.members(recipe, classes)
    ]


def _weights_of(loaded):
    """Number format and checksum of the weights of a model."""
    return str(loaded.model.whole.dtype), quick_digest(loaded, loaded.model.whole)


def _follow(learnt, loaded):
    """Forget what was read with other weights; refuse if something was estimated with others. The lock is held."""
    now, tasks = _weights_of(loaded), list(chain(*learnt.questions))
    same_format = now[0] == learnt.weights[0]  # in another one a change of weights cannot be told
    if any(task.is_estimated for task in tasks) and same_format and now != learnt.weights:
        raise ValueError(
            "`model` has other weights than when this classifier was fitted, so what `calibration`, `readout` or "
            "`normalize` estimated does not fit to them. Restore the model, or fit again."
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


def _warn_of_one_class(log_proba, n_different, learnt):
    """Nearly all rows in one class, with confidence, where the labelled rows are not: mostly a bias of the words."""
    counts = np.bincount(log_proba.argmax(axis=1), minlength=len(learnt.classes))
    most, n_rows = int(counts.argmax()), len(log_proba)
    confidence = np.exp(log_proba.max(axis=1)).mean()
    usual = 1 / len(learnt.classes) if learnt.frequencies is None else learnt.frequencies[most]
    if n_different < FEW_ROWS or counts[most] < ONE_CLASS * n_rows or confidence < SURE or usual > SURE:
        return
    advice = "Use calibration='auto'" if learnt.recipe.calibrator is None else "Try other label words or templates"
    warn_user(
        f"{counts[most]} of {n_rows} rows are predicted as {learnt.classes[[most]].tolist()[0]!r}, with a mean "
        f"confidence of {confidence:.2f}, as if the model preferred this label whatever the text. {advice}, give more "
        "labelled rows, or look at what is sent: prompts(X)[0].text."
    )


def _warn_of_what_does_not_fit(task):
    if task.n_dropped_:
        total = task.n_dropped_ + len(task.plan_)
        warn_user(
            f"{task.n_dropped_} of {total} demonstrations were left out, so that the longest prompt fits into the "
            "window. Take fewer demonstrations or shorter texts."
        )
    learns = task.readout_ != "label_words" or task.recipe.calibrator is not None
    if task.unread and learns:
        rows = sorted(task.unread)
        warn_user(
            f"The prompts of some labelled rows ({len(rows)}, first at position {rows[0]}) do not fit into the window "
            "even without demonstrations. Nothing is learnt from them. Shorten the texts."
        )
