"""The bundled reasoner on real texts it never saw; needs the public data sets beside the checkout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss

from skicl import SentenceEncoder, TartClassifier
from skicl.evaluation import nested_contexts

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "public"
SETS = ("agnews", "subj", "snips")


def read(name, part, n_rows):
    frame = pd.read_csv(FOLDER / f"{name}.{part}.tsv.gz", sep="\t", quoting=3, keep_default_na=False)
    frame = frame.sample(n_rows, random_state=0)
    return SentenceEncoder(device="cpu").fit_transform(frame["text"].tolist()), frame["label"].to_numpy()


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason="the public data sets are not beside the checkout")
def test_few_labels_beat_logistic_regression_in_accuracy_and_log_loss():
    """Mean over three sets and contexts of 32 labels; logistic regression gets the best penalty in hindsight."""
    scores = {"tart": [], **{C: [] for C in (1, 10, 100)}}
    for name in SETS:
        (X, y), (X_test, y_test) = read(name, "train", 300), read(name, "test", 300)
        for contexts in nested_contexts(y, [32], n_repeats=3):
            rows = contexts[32]
            for key in scores:
                model = TartClassifier() if key == "tart" else LogisticRegression(C=key, max_iter=1000)
                proba = model.fit(X[rows], y[rows]).predict_proba(X_test)
                predicted = model.classes_[proba.argmax(axis=1)]
                scores[key].append([accuracy_score(y_test, predicted), log_loss(y_test, proba)])
    (accuracy, loss), *others = (np.mean(values, axis=0) for values in scores.values())
    assert accuracy > max(other[0] for other in others)
    assert loss < min(other[1] for other in others)
