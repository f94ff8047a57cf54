"""Scores of probabilities as records, and the file that holds them: for the benchmarks of prompts."""

import csv

import numpy as np
from sklearn.metrics import log_loss

from skicl.evaluation import brier_score, expected_calibration_error

SCORES = ("accuracy", "log_loss", "brier", "ece")
LEAST = 1e-6


def scores_of(truth, probabilities, classes):
    """Log-loss with probabilities of at least a millionth."""
    kept = np.maximum(probabilities, LEAST)
    kept /= kept.sum(axis=1, keepdims=True)
    return {
        "accuracy": float((classes[probabilities.argmax(axis=1)] == truth).mean()),
        "log_loss": float(log_loss(truth, kept, labels=classes)),
        "brier": float(brier_score(truth, kept, labels=classes)),
        "ece": float(expected_calibration_error(truth, kept, labels=classes)),
    }


def read_records(path, numbers=("seed",)):
    """The records of a file, none without one; `numbers` names the fields that are integers."""
    if path is None or not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [
            row | {name: int(row[name]) for name in numbers} | {score: float(row[score]) for score in SCORES}
            for row in csv.DictReader(file)
        ]


def write_records(path, fields, records):
    """Write records to a file, if there is one."""
    if path is not None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerows(records)
