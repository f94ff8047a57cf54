"""Calibration of label scores: the bias of a model towards labels, estimated in ``fit`` and removed in log space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._fitted import update_at_once
from skicl._validation._scalars import check_choice, check_flag, check_integer, check_number
from skicl._validation._wording import did_you_mean

MEANS = ("geometric", "arithmetic")
# What a calibrator must have: methods, and what it declares.
_METHODS, _DECLARED = ("probes", "fit", "transform", "get_params"), ("needs_rows", "n_rows")


class BaseCalibration(BaseEstimator, ABC):
    """What :class:`~skicl.ICLClassifier` asks of a calibrator; a class of one's own needs these names and no others."""

    needs_rows: bool = True  # whether the probes are made of training rows, so that there must be some
    # How many labelled training rows to score at most, where these are the probes. None means all.
    n_rows: int | None = None

    def probes(self, rows: Sequence[tuple[str, ...]]) -> list | None:
        """The inputs to score: labelled training rows, unless a final class makes others.

        Parameters
        ----------
        rows : list of tuple of str
            Training rows.

        Returns
        -------
        probes : list of tuple of str, or None
            None means labelled training rows, each read without itself among its demonstrations.
        """
        self._check_parameters()
        return None

    def _check_parameters(self) -> None:
        """Refuse bad parameters, before anything is read."""

    @abstractmethod
    def fit(self, log_proba: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from log-probabilities (n_probes, n_classes) of the probes; ``y`` are the classes of training rows."""

    @abstractmethod
    def transform(self, log_proba: ArrayLike) -> np.ndarray:
        """Calibrated log-probabilities (n_queries, n_classes)."""


class _ShiftCalibration(BaseCalibration):
    """Subtracts the mean log-probability of each class after some inputs, or the log of its mean probability."""

    mean: str

    def fit(self, log_proba: ArrayLike, y: ArrayLike | None = None) -> Self:
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

    def transform(self, log_proba: ArrayLike) -> np.ndarray:
        """Subtract the bias, and normalise.

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
    """Correct for the bias that the model shows after inputs without content.

    Parameters
    ----------
    inputs : sequence of str, default=("N/A", "", "[MASK]")
        Inputs without content; each takes the place of every field.
    mean : {"geometric", "arithmetic"}, default="geometric"
        Which mean of the probabilities after several inputs. The geometric mean, the mean of the logarithms, removes
        exactly a bias that is added to the log-probabilities of all inputs; the paper takes the arithmetic mean.

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

    def __init__(self, inputs: Sequence[str] = ("N/A", "", "[MASK]"), *, mean: str = "geometric") -> None:
        self.inputs = inputs
        self.mean = mean

    def probes(self, rows: Sequence[tuple[str, ...]]) -> list | None:
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
        check_choice(self.mean, "mean", MEANS)
        if isinstance(inputs, str) or not len(inputs) or not all(isinstance(text, str) for text in inputs):
            raise ValueError(f"`inputs` must be a non-empty list of strings, got {inputs!r}.")
        return [(text,) * len(rows[0]) for text in inputs]


class DomainCalibration(_ShiftCalibration):
    """Correct for the bias that the model shows after random words of the training rows.

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

    def __init__(
        self,
        n_texts: int = 20,
        *,
        mean: str = "geometric",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_texts = n_texts
        self.mean = mean
        self.random_state = random_state

    def probes(self, rows: Sequence[tuple[str, ...]]) -> list | None:
        """The inputs to score.

        Parameters
        ----------
        rows : list of tuple of str
            Training rows.

        Returns
        -------
        probes : list of tuple of str
        """
        check_integer(self.n_texts, "n_texts")
        check_choice(self.mean, "mean", MEANS)
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
    """Correct for the mean of what the model says about many rows.

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

    def __init__(self, n_rows: int = 128, *, mean: str = "geometric", transductive: bool = False) -> None:
        self.n_rows = n_rows
        self.mean = mean
        self.transductive = transductive

    def _check_parameters(self) -> None:
        check_integer(self.n_rows, "n_rows")
        check_choice(self.mean, "mean", MEANS)
        check_flag(self.transductive, "transductive")

    def transform(self, log_proba: ArrayLike) -> np.ndarray:
        """Subtract the bias, and normalise.

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

    Unlike a shift, it can also reverse the model, where it prefers the wrong one of two classes.

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
        What is subtracted after scaling.

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

    def __init__(self, C: float = 1.0, *, n_rows: int = 128) -> None:
        self.C = C
        self.n_rows = n_rows

    def _check_parameters(self) -> None:
        check_integer(self.n_rows, "n_rows")
        check_number(self.C, "C", above=0)

    def fit(self, log_proba: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn scales and shifts.

        Parameters
        ----------
        log_proba : array-like of shape (n_rows, n_classes)
            Log-probabilities of the classes after training rows.
        y : array-like of shape (n_rows,), dtype int, default=None
            Numbers of their classes; they are needed.

        Returns
        -------
        self : AffineCalibration
            The fitted calibrator.
        """
        if y is None:
            raise ValueError("AffineCalibration needs `y`, the numbers of the classes of the training rows, got None.")
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

        learnt = minimize(loss, start, jac=True, method="L-BFGS-B").x
        # At once, or not at all.
        update_at_once(self, {"scale_": learnt[:n_classes], "bias_": learnt[n_classes:]})
        return self

    def transform(self, log_proba: ArrayLike) -> np.ndarray:
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


CALIBRATIONS: dict[str, type[BaseCalibration]] = {
    "contextual": ContextualCalibration,
    "domain": DomainCalibration,
    "batch": BatchCalibration,
    "affine": AffineCalibration,
}
# Those that score inputs of their own rather than labelled rows; the first needs no row at all.
BRING_INPUTS = ("contextual", "domain")
# The word for one that labelled rows choose.
AUTO = "auto"


def resolve_calibration(calibration):
    """The calibrator that a parameter denotes, not fitted, or "auto"; what is none is refused."""
    if calibration is None:
        return None
    known = [AUTO, *CALIBRATIONS]
    names = ", ".join(map(repr, known))
    if isinstance(calibration, str):
        if calibration == AUTO:
            return AUTO
        if calibration not in CALIBRATIONS:
            raise ValueError(
                f"`calibration` must be None, a calibrator or one of {names}, got {calibration!r}."
                + did_you_mean(calibration, known)
            )
        return CALIBRATIONS[calibration]()
    lacking = [name for name in _METHODS if not callable(getattr(calibration, name, None))]
    lacking += [name for name in _DECLARED if not hasattr(calibration, name)]
    if isinstance(calibration, type) or lacking:
        raise TypeError(
            f"`calibration` must be None, one of {names}, or an estimator with probes, fit and transform, and with the "
            f"attributes `needs_rows` and `n_rows`, got {calibration!r}"
            + (f", which has no {lacking[0]}." if lacking else ", a class: pass an instance.")
        )
    return calibration


def mean_bias(log_proba, mean):
    """The log of the mean of the probabilities of each class, (n_classes,), from log-probabilities of rows."""
    if mean == "geometric":
        return log_proba.mean(axis=0)
    return logsumexp(log_proba, axis=0) - np.log(len(log_proba))


def _centred(log_proba):
    log_proba = np.asarray(log_proba, dtype=np.float64)
    return log_proba - log_proba.mean(axis=1, keepdims=True)
