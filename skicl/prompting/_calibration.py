"""Calibration of label scores: the bias of a model towards labels, estimated in ``fit`` and removed in log space."""

from abc import ABC, abstractmethod
from numbers import Integral, Real

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import update_at_once
from skicl._validation._wording import did_you_mean


class BaseCalibration(BaseEstimator, ABC):
    """What :class:`~skicl.ICLClassifier` asks of a calibrator; an object of one's own may have just these names.

    Attributes
    ----------
    needs_rows : bool
        Whether the probes are made of training rows, so that there must be some.
    n_rows : int or None
        How many labelled training rows to score at most, where these are the probes. None means all.
    """

    needs_rows = True
    n_rows = None

    @abstractmethod
    def probes(self, rows):
        """Inputs whose scores are wanted, a list of rows of strings, or None for labelled training rows."""

    @abstractmethod
    def fit(self, log_proba, y=None):
        """Learn from log-probabilities (n_probes, n_classes) of the probes; ``y`` are the classes of training rows."""

    @abstractmethod
    def transform(self, log_proba):
        """Calibrated log-probabilities (n_queries, n_classes)."""


class _ShiftCalibration(BaseCalibration):
    """Takes off the mean log-probability of each class after some inputs, or the log of its mean probability."""

    def fit(self, log_proba, y=None):
        """Estimate the bias of each class.

        Parameters
        ----------
        log_proba : array-like of shape (n_probes, n_classes)
            Log-probabilities of the classes after the probes.
        y : array-like of shape (n_probes,) or None, default=None
            Ignored.

        Returns
        -------
        self : object
            The fitted calibrator.
        """
        self.bias_ = mean_bias(np.asarray(log_proba, dtype=np.float64), self.mean)
        return self

    def transform(self, log_proba):
        """Take the bias off.

        Parameters
        ----------
        log_proba : array-like of shape (n_queries, n_classes)
            Log-probabilities of the classes.

        Returns
        -------
        calibrated : ndarray of shape (n_queries, n_classes)
            Log-probabilities.
        """
        check_is_fitted(self, "bias_")
        return log_softmax(np.asarray(log_proba, dtype=np.float64) - self.bias_, axis=1)


class ContextualCalibration(_ShiftCalibration):
    """Take off what the model says about inputs without content.

    Parameters
    ----------
    inputs : sequence of str, default=("N/A", "", "[MASK]")
        Inputs without content; each takes the place of every field.
    mean : {"geometric", "arithmetic"}, default="geometric"
        Of the probabilities after several inputs. With the geometric mean, the mean of the logarithms, a bias that is
        added to the log-probabilities of all inputs is taken off exactly; the arithmetic mean is that of the paper.

    Attributes
    ----------
    bias_ : ndarray of shape (n_classes,)
        Log of the mean of the probabilities of each class after these inputs.

    See Also
    --------
    DomainCalibration : Uses random words of the training rows instead.

    References
    ----------
    .. [1] Zhao, Wallace, Feng, Klein and Singh (2021), "Calibrate Before Use: Improving Few-Shot Performance of
       Language Models", ICML, arXiv:2102.09690. There the correction multiplies probabilities; here it is the same
       one, in log space and normalised once.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting import ContextualCalibration
    >>> calibration = ContextualCalibration().fit(np.log([[0.8, 0.2]]))
    >>> np.exp(calibration.transform(np.log([[0.8, 0.2], [0.5, 0.5]]))).round(2)
    array([[0.5, 0.5],
           [0.2, 0.8]])
    """

    needs_rows = False

    def __init__(self, inputs=("N/A", "", "[MASK]"), *, mean="geometric"):
        self.inputs = inputs
        self.mean = mean

    def probes(self, rows):
        """The inputs to score.

        Parameters
        ----------
        rows : list of tuple of str
            Training rows; only the number of their fields counts.

        Returns
        -------
        probes : list of tuple of str
        """
        inputs = self.inputs
        _check_mean(self.mean)
        if isinstance(inputs, str) or not len(inputs) or not all(isinstance(text, str) for text in inputs):
            raise ValueError(f"`inputs` must be a non-empty list of strings, got {inputs!r}.")
        return [(text,) * len(rows[0]) for text in inputs]


class DomainCalibration(_ShiftCalibration):
    """Take off what the model says about random words of the training rows.

    Parameters
    ----------
    n_texts : int, default=20
        How many texts to make. Each has as many words as the training rows have on average.
    mean : {"geometric", "arithmetic"}, default="geometric"
        As in :class:`ContextualCalibration`.
    random_state : int, RandomState instance or None, default=0
        Chooses the words.

    Attributes
    ----------
    bias_ : ndarray of shape (n_classes,)
        Log of the mean of the probabilities of each class after these texts.

    See Also
    --------
    ContextualCalibration : Uses inputs without content.

    References
    ----------
    .. [1] Fei, Hou, Chen and Bosselut (2023), "Mitigating Label Biases for In-context Learning", ACL,
       arXiv:2305.19148.

    Examples
    --------
    >>> from skicl.prompting import DomainCalibration
    >>> DomainCalibration(n_texts=2).probes([("late again",), ("where is it",)])
    [('it late',), ('is is',)]
    """

    def __init__(self, n_texts=20, *, mean="geometric", random_state=0):
        self.n_texts = n_texts
        self.mean = mean
        self.random_state = random_state

    def probes(self, rows):
        """The inputs to score.

        Parameters
        ----------
        rows : list of tuple of str
            Training rows.

        Returns
        -------
        probes : list of tuple of str
        """
        _check_positive(self.n_texts, "n_texts")
        _check_mean(self.mean)
        random = check_random_state(self.random_state)
        fields = []
        for values in zip(*rows):
            words = [word for value in values for word in value.split()] or [""]
            length = max(1, round(len(words) / len(values)))
            fields.append(
                [" ".join(words[i] for i in random.randint(len(words), size=length)) for _ in range(self.n_texts)]
            )
        return list(zip(*fields))


class BatchCalibration(_ShiftCalibration):
    """Take off the mean of what the model says about many rows.

    Parameters
    ----------
    n_rows : int, default=128
        How many training rows to score at most, each without itself among its demonstrations.
    mean : {"geometric", "arithmetic"}, default="geometric"
        As in :class:`ContextualCalibration`.
    transductive : bool, default=False
        Whether to take the mean over the rows of each call of ``predict`` instead, as in [1]_. The result for a row
        then depends on the rows beside it.

    Attributes
    ----------
    bias_ : ndarray of shape (n_classes,)
        Log of the mean of the probabilities of each class over the training rows.

    See Also
    --------
    AffineCalibration : Learns from the labels of the training rows too.

    References
    ----------
    .. [1] Zhou, Wan, Proleev, Mincu, Chen, Heller and Roy (2024), "Batch Calibration: Rethinking Calibration for
       In-Context Learning and Prompt Engineering", ICLR, arXiv:2309.17249.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting import BatchCalibration
    >>> calibration = BatchCalibration(mean="arithmetic").fit(np.log([[0.9, 0.1], [0.7, 0.3]]))
    >>> np.exp(calibration.bias_).round(2)
    array([0.8, 0.2])
    """

    def __init__(self, n_rows=128, *, mean="geometric", transductive=False):
        self.n_rows = n_rows
        self.mean = mean
        self.transductive = transductive

    def probes(self, rows):
        """The inputs to score: labelled training rows.

        Parameters
        ----------
        rows : list of tuple of str
            Training rows.

        Returns
        -------
        probes : None
        """
        _check_positive(self.n_rows, "n_rows")
        _check_mean(self.mean)
        if not isinstance(self.transductive, bool | np.bool_):
            raise ValueError(f"`transductive` must be True or False, got {self.transductive!r}.")

    def transform(self, log_proba):
        """Take the bias off.

        Parameters
        ----------
        log_proba : array-like of shape (n_queries, n_classes)
            Log-probabilities of the classes.

        Returns
        -------
        calibrated : ndarray of shape (n_queries, n_classes)
            Log-probabilities.
        """
        check_is_fitted(self, "bias_")
        log_proba = np.asarray(log_proba, dtype=np.float64)
        bias = mean_bias(log_proba, self.mean) if self.transductive else self.bias_
        return log_softmax(log_proba - bias, axis=1)


class AffineCalibration(BaseCalibration):
    """Scale and shift the log-probability of each class so that the training rows get their labels.

    Unlike a shift, it can also turn round a boundary that the model has on the wrong side.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the regularisation towards scale 1 and shift 0, in rows: the penalty weighs as much as
        the loss of ``1 / C`` rows.
    n_rows : int, default=128
        How many training rows to score at most, each without itself among its demonstrations.

    Attributes
    ----------
    scale_ : ndarray of shape (n_classes,)
        Factors of the centred log-probabilities.
    bias_ : ndarray of shape (n_classes,)
        What is taken off after that.

    See Also
    --------
    BatchCalibration : Needs no labels.

    References
    ----------
    .. [1] Gundem, Dong, Zhang, Tarokh and Qi (2025), "Boosting In-Context Learning in LLMs Through the Lens of
       Classical Supervised Learning", arXiv:2505.23783. The affine map of each class is theirs; the penalty and the
       rows that it is learned from are not.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting import AffineCalibration
    >>> scores = np.log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> AffineCalibration(C=100.0).fit(scores, [1, 1, 0, 0]).transform(scores).argmax(axis=1)
    array([1, 1, 0, 0])
    """

    def __init__(self, C=1.0, *, n_rows=128):
        self.C = C
        self.n_rows = n_rows

    def probes(self, rows):
        """The inputs to score: labelled training rows.

        Parameters
        ----------
        rows : list of tuple of str
            Training rows.

        Returns
        -------
        probes : None
        """
        _check_positive(self.n_rows, "n_rows")
        if isinstance(self.C, bool) or not isinstance(self.C, Real) or not 0 < self.C < np.inf:
            raise ValueError(f"`C` must be a positive number, got {self.C!r}.")

    def fit(self, log_proba, y):
        """Learn scales and shifts.

        Parameters
        ----------
        log_proba : array-like of shape (n_rows, n_classes)
            Log-probabilities of the classes after training rows.
        y : array-like of shape (n_rows,), dtype int
            Numbers of their classes.

        Returns
        -------
        self : AffineCalibration
            The fitted calibrator.
        """
        scores, y = _centred(log_proba), np.asarray(y)
        n_classes = scores.shape[1]
        target = np.eye(n_classes)[y]
        start = np.concatenate([np.ones(n_classes), np.zeros(n_classes)])

        def loss(parameters):
            scale, bias = parameters[:n_classes], parameters[n_classes:]
            log_p = log_softmax(scores * scale - bias, axis=1)
            slope = np.exp(log_p) - target
            away = parameters - start
            value = self.C * -(log_p * target).sum() + 0.5 * away @ away
            gradient = np.concatenate([(slope * scores).sum(axis=0), -slope.sum(axis=0)])
            return value, self.C * gradient + away

        found = minimize(loss, start, jac=True, method="L-BFGS-B").x
        # At once, or not at all.
        update_at_once(self, {"scale_": found[:n_classes], "bias_": found[n_classes:]})
        return self

    def transform(self, log_proba):
        """Scale and shift.

        Parameters
        ----------
        log_proba : array-like of shape (n_queries, n_classes)
            Log-probabilities of the classes.

        Returns
        -------
        calibrated : ndarray of shape (n_queries, n_classes)
            Log-probabilities.
        """
        check_is_fitted(self, "scale_")
        fitted = vars(self)  # of one fit, even if another ends meanwhile
        return log_softmax(_centred(log_proba) * fitted["scale_"] - fitted["bias_"], axis=1)


CALIBRATIONS = {
    "contextual": ContextualCalibration,
    "domain": DomainCalibration,
    "batch": BatchCalibration,
    "affine": AffineCalibration,
}


def resolve_calibration(calibration):
    """The calibrator that a parameter denotes.

    Parameters
    ----------
    calibration : None, str or calibrator
        What the user gave.

    Returns
    -------
    calibrator : object or None
        Not fitted.

    Raises
    ------
    ValueError
        If there is none of that name.
    TypeError
        If it is no calibrator.

    Examples
    --------
    >>> from skicl.prompting._calibration import resolve_calibration
    >>> resolve_calibration("batch")
    BatchCalibration()
    """
    if calibration is None:
        return None
    names = ", ".join(map(repr, CALIBRATIONS))
    if isinstance(calibration, str):
        if calibration not in CALIBRATIONS:
            raise ValueError(
                f"`calibration` must be None, a calibrator or one of {names}, got {calibration!r}."
                + did_you_mean(calibration, CALIBRATIONS)
            )
        return CALIBRATIONS[calibration]()
    if not all(callable(getattr(calibration, name, None)) for name in ("probes", "fit", "transform")):
        raise TypeError(
            f"`calibration` must be None, one of {names}, or an object with probes, fit and transform, got "
            f"{calibration!r}."
        )
    return calibration


def mean_bias(log_proba, mean):
    """The log of the mean of the probabilities of each class.

    Parameters
    ----------
    log_proba : ndarray of shape (n_rows, n_classes)
        Log-probabilities, normalised.
    mean : {"geometric", "arithmetic"}
        Which mean.

    Returns
    -------
    bias : ndarray of shape (n_classes,)
    """
    if mean == "geometric":
        return log_proba.mean(axis=0)
    return logsumexp(log_proba, axis=0) - np.log(len(log_proba))


def _centred(log_proba):
    log_proba = np.asarray(log_proba, dtype=np.float64)
    return log_proba - log_proba.mean(axis=1, keepdims=True)


def _check_positive(value, parameter):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"`{parameter}` must be an integer of at least 1, got {value!r}.")


def _check_mean(mean):
    if not (isinstance(mean, str) and mean in ("geometric", "arithmetic")):
        raise ValueError(f"`mean` must be 'geometric' or 'arithmetic', got {mean!r}.")
