"""The battery of text_battery.py, applied to every text classifier of the project."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from text_battery import CLASSIFIER_CHECKS, check_labels_of_any_type, check_voting, name_of

from skicl import SentenceEncoder, TartClassifier


def tart(folder, **options):
    return TartClassifier(encoder=SentenceEncoder(folder, device="cpu"), device="cpu", **options)


CLASSIFIERS = {
    "tart": tart,
    "tart, no names": lambda folder: tart(folder, class_texts=None),
    "pipeline": lambda folder: make_pipeline(SentenceEncoder(folder, device="cpu"), LogisticRegression(C=0.1)),
}
# Where labels are evidence, other labels give other predictions.
RENAME_LABELS = {check_labels_of_any_type, check_voting}


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("check", CLASSIFIER_CHECKS, ids=name_of)
def test_battery(check, classifier, tiny_folder):
    if classifier == "tart" and check in RENAME_LABELS:
        pytest.skip("renames labels, which are names")
    check(CLASSIFIERS[classifier](tiny_folder))
