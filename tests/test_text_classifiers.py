"""The battery of text_battery.py, applied to every text classifier of the project."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from text_battery import CLASSIFIER_CHECKS, name_of

from skicl import SentenceEncoder, TartClassifier

CLASSIFIERS = {
    "tart": lambda folder: TartClassifier(encoder=SentenceEncoder(folder, device="cpu"), device="cpu"),
    "pipeline": lambda folder: make_pipeline(SentenceEncoder(folder, device="cpu"), LogisticRegression(C=0.1)),
}


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("check", CLASSIFIER_CHECKS, ids=name_of)
def test_battery(check, classifier, tiny_folder):
    check(CLASSIFIERS[classifier](tiny_folder))
