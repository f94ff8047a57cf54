"""
Calibrate, vote, stack
======================

:class:`~skicl.TartClassifier` inside scikit-learn's meta-estimators: a calibrated classifier, a vote with
other classifiers, a stack. The question is whether they help; with few labels and probabilities that are
calibrated already, often they do not.
"""

# %%
# One split, vectors computed once
# --------------------------------

import numpy as np
from sklearn.model_selection import train_test_split

from skicl import SentenceEncoder, TartClassifier
from skicl.datasets import load_support_messages

messages, intents = load_support_messages(return_X_y=True)
vectors = SentenceEncoder().fit_transform(messages).astype(float)
X_train, X_test, y_train, y_test = train_test_split(vectors, intents, train_size=80, stratify=intents, random_state=0)

# %%
# The candidates
# --------------
#
# A vote averages probabilities; a stack learns how to weigh them from held-out folds; calibration refits
# the probabilities by Platt's method, again on held-out folds.

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

logistic = LogisticRegression(C=100, max_iter=1000)
neighbours = KNeighborsClassifier(n_neighbors=5, metric="cosine", weights="distance")
parts = [("tart", TartClassifier()), ("logistic", logistic), ("neighbours", neighbours)]

candidates = {
    "logistic regression": logistic,
    "5 nearest neighbours": neighbours,
    "TART": TartClassifier(),
    "TART, calibrated": CalibratedClassifierCV(TartClassifier(), method="sigmoid", cv=3),
    "vote of the three": VotingClassifier(parts, voting="soft"),
    "stack of the three": StackingClassifier(parts, final_estimator=LogisticRegression(), cv=3),
}

# %%
# The outcome
# -----------
#
# Accuracy says how often the most probable class is right, the log-loss how good the probabilities are, and
# the calibration error how far confidence is from accuracy, on average.

from sklearn.metrics import accuracy_score, log_loss

from skicl.evaluation import expected_calibration_error

scores = {}
for name, classifier in candidates.items():
    probabilities = classifier.fit(X_train, y_train).predict_proba(X_test)
    predicted = classifier.classes_[probabilities.argmax(axis=1)]
    scores[name] = (
        accuracy_score(y_test, predicted),
        log_loss(y_test, probabilities),
        expected_calibration_error(y_test, probabilities, labels=classifier.classes_),
    )
    print("{:<22} accuracy {:.3f}   log-loss {:.3f}   calibration error {:.3f}".format(name, *scores[name]))

# %%
# The log-loss of nearest neighbours is large because their probabilities are exactly zero for some true
# classes. It is left out of the middle panel.

import matplotlib.pyplot as plt

names = list(candidates)
colours = ["C0" if name == "TART" else "0.7" for name in names]
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained", sharey=True)
for column, (ax, title) in enumerate(zip(axes, ("accuracy", "log-loss (nats)", "calibration error"))):
    values = np.array([scores[name][column] for name in names])
    values[(title == "log-loss (nats)") & (values > 2)] = np.nan
    ax.barh(names, values, color=colours)
    ax.set_title(title)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].invert_yaxis()
plt.show()
