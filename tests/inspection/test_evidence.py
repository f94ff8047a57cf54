"""The display of evidence: the numbers of the classifier, a bar for each source, and errors before any work."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skicl import TartClassifier
from skicl.inspection import EvidenceDisplay

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_bars_are_the_beliefs_of_the_classifier():
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    X = rng.normal(size=(20, 3)) + y[:, None]
    labels = np.where(np.arange(20) < 14, y, -1)
    classifier = TartClassifier(class_texts=np.eye(3)[:2], missing_label=-1).fit(X, labels)
    display = EvidenceDisplay.from_estimator(classifier)
    assert display.evidence == classifier.evidence_
    assert list(display.evidence) == ["labels", "names", "unlabelled", "population", "gaussians", "sharpness"]
    drawn = [bar.get_width() for bar in display.bars_]
    np.testing.assert_allclose(drawn, list(classifier.evidence_.values())[:-1])  # the sharpness is no belief
    assert [text.get_text() for text in display.ax_.get_yticklabels()][1] == "class names"


def test_it_draws_where_it_is_told():
    _, ax = plt.subplots()
    display = EvidenceDisplay({"labels": 1.0}).plot(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure


def test_what_believes_nothing_is_refused():
    with pytest.raises(NotFittedError):
        EvidenceDisplay.from_estimator(TartClassifier())
    other = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(TypeError, match="`classifier` LogisticRegression has no `evidence_`"):
        EvidenceDisplay.from_estimator(other)
