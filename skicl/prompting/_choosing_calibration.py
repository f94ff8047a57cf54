"""calibration="auto": which calibration suits labelled rows that the prompt does not show.

Shapes: n labelled rows, C classes.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone

from skicl.prompting._calibration import CALIBRATIONS, AffineCalibration, ContextualCalibration

# How many labelled rows choose at most.
N_ROWS = 128
N_FOLDS = 8
# By how many nats the rows must speak for what needs no evidence less: no correction trusts a model that is known to be
# biased, and the affine map has two numbers for each class.
HANDICAP = {"none": 1.0, "affine": 2.0}


class Choice(NamedTuple):
    """The calibration that was chosen."""

    calibrator: Any  # fitted; None for none
    name: str
    losses: dict  # mean log-loss of the labelled rows, in nats, by name; empty where there was none to choose by


def choose_calibration(log_proba, codes, probes, *, scales=True):
    """The Choice that labelled rows bear out; one that scales is among the candidates if ``scales`` says so.

    `log_proba` (n, C) are scores of rows that the prompt does not show, `codes` (n,) the numbers of their classes.
    `probes` has scores after the inputs of calibrations that bring their own, by name. What learns from the rows is
    judged on rows that it has not seen.
    """
    if not len(codes):
        return Choice(ContextualCalibration().fit(probes["contextual"]), "contextual", {})
    shifts = {name: clone(CALIBRATIONS[name]()).fit(scores) for name, scores in probes.items()}
    held_out = {"none": log_proba, **{name: shift.transform(log_proba) for name, shift in shifts.items()}}
    if len(codes) > 1:
        held_out["batch"] = _batch_without_itself(log_proba)
        if scales:
            held_out["affine"] = without_own_label(AffineCalibration(), log_proba, codes)
    losses = {name: -float(scores[np.arange(len(codes)), codes].mean()) for name, scores in held_out.items()}
    best = min(losses, key=lambda name: losses[name] * len(codes) + HANDICAP.get(name, 0.0))
    if best == "none":
        return Choice(None, best, losses)
    fitted = shifts[best] if best in shifts else CALIBRATIONS[best]().fit(log_proba, codes)
    return Choice(fitted, best, losses)


def _batch_without_itself(log_proba):
    """Rows after batch calibration, each with a bias that it had no part in."""
    bias = (log_proba.sum(axis=0) - log_proba) / (len(log_proba) - 1)
    return log_softmax(log_proba - bias, axis=1)


def without_own_label(calibrator, log_proba, codes):
    """Rows (n, C) after a calibration that is learnt from them, each by what the rows of other folds say.

    Where the other folds lack a class, all rows are learnt from.
    """
    scores, fold = np.empty(log_proba.shape), np.arange(len(codes)) % N_FOLDS
    for number in np.unique(fold):
        test = fold == number
        known = set(codes[~test].tolist()) == set(codes.tolist())
        others = clone(calibrator).fit(*((log_proba[~test], codes[~test]) if known else (log_proba, codes)))
        scores[test] = others.transform(log_proba[test])
    return scores
