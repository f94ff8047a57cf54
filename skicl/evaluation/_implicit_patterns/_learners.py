"""Learners of a study: candidates of a grid, the choice among them on validation problems, one pass over the test."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from skicl._validation._scalars import is_number

# As in the log-loss of few_shot_curve: certain and wrong costs a finite amount.
_SMALLEST_PROBABILITY = 1e-15


class Learner(NamedTuple):
    """An estimator, the settings to choose among, and the parameter whose curve is drawn, if any."""

    name: str
    estimator: object
    candidates: dict  # what a setting is called: its parameters
    parameter: str | None
    values: tuple

    @property
    def n_fits(self):
        """Number of fits of one repeat."""
        return len(self.candidates) + len(self.values)


class Chosen(NamedTuple):
    """A fitted estimator, the name of its setting, and its scores on the validation problems."""

    setting: str
    estimator: object
    accuracy: float
    log_loss: float
    fit_seconds: float


def read_learners(estimators, curves):
    """Check the estimators and curves of a study before any work: a list of Learner."""
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(
            f"`estimators` must be a dict of at least one name and classifier, or classifier and grid, got "
            f"{estimators!r}."
        )
    curves = {} if curves is None else curves
    if not isinstance(curves, Mapping):
        raise ValueError(f"`curves` must be a dict of names of estimators, got {curves!r}.")
    unknown = [name for name in curves if name not in estimators]
    if unknown:
        raise ValueError(f"`curves` names {unknown[0]!r}; `estimators` has {', '.join(map(str, estimators))}.")
    return [_read_learner(name, entry, curves.get(name)) for name, entry in estimators.items()]


def _read_learner(name, entry, curve):
    """One estimator of a study, checked."""
    estimator, grid = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, {})
    if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "get_params"):
        raise TypeError(
            f"`estimators`: {name!r} ({type(estimator).__name__}) must be a scikit-learn classifier with "
            "`predict_proba`, or a pair of one and a grid; wrap others, for example in "
            "sklearn.calibration.CalibratedClassifierCV."
        )
    try:
        settings = list(ParameterGrid(grid))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`estimators`: the grid of {name!r} is not valid ({error}), got {grid!r}.") from error
    if not settings:
        raise ValueError(f"`estimators`: the grid of {name!r} is empty; leave it out to take the estimator as it is.")
    known = estimator.get_params()
    parameter, values = _read_curve(name, curve)
    asked = [key for setting in settings for key in setting] + ([] if parameter is None else [parameter])
    unknown = [key for key in asked if key not in known]
    if unknown:
        raise ValueError(f"{name!r} ({type(estimator).__name__}) has no parameter {unknown[0]!r}.")
    candidates = {setting_name(setting): setting for setting in settings}
    return Learner(name, estimator, candidates, parameter, values)


def _read_curve(name, curve):
    """Parameter and values of a curve, checked; None and () without one."""
    if curve is None:
        return None, ()
    pair = isinstance(curve, tuple) and len(curve) == 2 and isinstance(curve[0], str)
    values = curve[1] if pair else None
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ValueError(
            f"`curves`: {name!r} needs a pair of a parameter and a list of its values, such as "
            f"('epochs', [1, 2, 4]), got {curve!r}."
        )
    if not all(map(is_number, values)):
        raise ValueError(f"`curves`: the values of {curve[0]!r} for {name!r} must be numbers, got {values!r}.")
    return curve[0], tuple(values)


def setting_name(setting):
    """Name of a setting in the records; empty for the estimator as it is."""
    return ", ".join(f"{name}={value!r}" for name, value in sorted(setting.items()))


def fitted(learner, parameters, problems, seed):
    """A clone with some parameters, fitted, and the seconds that it took.

    Every ``random_state`` of None is set to the seed of the repeat.
    """
    estimator = clone(learner.estimator).set_params(**parameters)
    unseeded = [
        name
        for name, value in estimator.get_params().items()
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    ]
    estimator.set_params(**dict.fromkeys(unseeded, seed))
    started = perf_counter()
    estimator.fit(problems.texts, problems.target)
    return estimator, perf_counter() - started


def choose(learner, splits, seed, after_fit):
    """Fit every candidate and keep the one with the best validation accuracy; ties go to the lower log-loss.

    `after_fit` is called without arguments after every fit.
    """
    best = None
    for setting, parameters in learner.candidates.items():
        estimator, seconds = fitted(learner, parameters, splits.train, seed)
        words, losses = answers(estimator, splits.validation)
        share = accuracy(words, splits.validation.target)
        candidate = Chosen(setting, estimator, share, float(losses.mean()), seconds)
        if best is None or (candidate.accuracy, -candidate.log_loss) > (best.accuracy, -best.log_loss):
            best = candidate
        after_fit()
    return best


def answers(estimator, problems):
    """Most probable answers (n_samples,), stripped, and log-losses (n_samples,) of the right ones, in nats.

    The answer is empty where the estimator gives no probabilities.
    """
    prob = np.asarray(estimator.predict_proba(problems.texts), dtype=float)
    names = np.array([str(name).strip() for name in estimator.classes_])
    answered = ~np.isnan(prob).any(axis=1)
    words = np.where(answered, names[np.nan_to_num(prob).argmax(axis=1)], "")
    right = names[None, :] == problems.target[:, None]  # (n_samples, n_classes)
    of_right = (np.nan_to_num(prob) * right).sum(axis=1)
    return words, -np.log(np.clip(of_right, _SMALLEST_PROBABILITY, 1))


def accuracy(words, target):
    """Share of words (n_samples,) that match their target exactly."""
    return float((words == target).mean())


def scores_of_tests(estimator, tests):
    """One pass over the test problems of all variants: accuracies, `shortcut_rate`, seconds of all predictions."""
    started = perf_counter()
    words = {variant: answers(estimator, problems)[0] for variant, problems in tests.items()}
    seconds = perf_counter() - started
    scores = {f"accuracy_{variant}": accuracy(words[variant], problems.target) for variant, problems in tests.items()}
    scores["shortcut_rate"] = accuracy(words["conflict"], tests["conflict"].shortcut)
    return scores | {"predict_seconds": seconds}
