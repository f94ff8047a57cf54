"""Classify raw customer messages from five labelled examples per intent, and compare with logistic regression.

Run it from a checkout::

    python examples/quickstart.py

Logistic regression gets the vectors that the encoder gives, and is tuned: seven values of its penalty,
cross-validated. TartClassifier gets the messages; it also reads inner layers of the same encoder and the names of the
intents, and has nothing to tune.
"""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold

from skicl import SentenceEncoder, TartClassifier
from skicl.datasets import load_support_messages

LABELLED_PER_CLASS = 5
REPEATS = 10


def draw_labelled(y, seed):
    """Row numbers of the labelled examples, the same number of each class, and of all other rows."""
    order = np.random.default_rng(seed).permutation(len(y))
    labelled = np.concatenate([order[y[order] == label][:LABELLED_PER_CLASS] for label in np.unique(y)])
    return labelled, np.setdiff1d(order, labelled)


def tuned_logistic_regression():
    """Logistic regression whose penalty is chosen by cross-validated log-loss."""
    folds = StratifiedKFold(LABELLED_PER_CLASS, shuffle=True, random_state=0)
    return LogisticRegressionCV(Cs=np.logspace(-2, 4, 7), cv=folds, scoring="neg_log_loss", max_iter=1000)


def show_messages(messages, y):
    """Fit on raw text and print what it says about messages that it has not seen."""
    labelled, rest = draw_labelled(y, seed=0)
    classifier = TartClassifier().fit([messages[i] for i in labelled], y[labelled])
    shown = np.random.default_rng(1).choice(rest, size=8, replace=False)
    probabilities = classifier.predict_proba([messages[i] for i in shown])
    print(f"Fitted on {len(labelled)} labelled messages. Some of the others, with their predicted intent:\n")
    width = max(len(name) for name in classifier.classes_)
    for i, row in zip(shown, probabilities):
        best = row.argmax()
        text = messages[i] if len(messages[i]) <= 68 else messages[i][:65] + "..."
        verdict = "" if classifier.classes_[best] == y[i] else f"   (is: {y[i]})"
        print(f"  {classifier.classes_[best]:<{width}}  {row[best]:4.0%}  {text}{verdict}")


def compare(messages, y):
    """Scores of both classifiers over random choices of the labelled examples: {name: rows of scores}."""
    # Every message is encoded once, before the clock runs.
    encoder = SentenceEncoder(layers="auto", cache=True).fit(messages)
    encoder.transform(messages)
    contenders = {
        "TartClassifier": (TartClassifier(encoder), np.array(messages, dtype=object)),
        "tuned logistic regression": (tuned_logistic_regression(), SentenceEncoder().fit_transform(messages)),
    }
    scores = {name: [] for name in contenders}
    for seed in range(REPEATS):
        labelled, rest = draw_labelled(y, seed)
        for name, (classifier, X) in contenders.items():
            start = time.perf_counter()
            classifier.fit(X[labelled], y[labelled])
            probabilities = classifier.predict_proba(X[rest])
            seconds = time.perf_counter() - start
            predicted = classifier.classes_[probabilities.argmax(axis=1)]
            scores[name].append((accuracy_score(y[rest], predicted), log_loss(y[rest], probabilities), seconds))
    return scores


def main():
    """Show predictions on raw messages, then compare two classifiers on the same messages."""
    # The smallest penalties separate a few dozen rows perfectly; that the solver then stops early is no news.
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", FutureWarning)
    data = load_support_messages()
    messages, y = list(data.data), np.asarray(data.target)
    n_classes = len(data.target_names)
    print(f"{len(messages)} customer messages in {n_classes} intents: {', '.join(data.target_names)}\n")
    show_messages(messages, y)

    scores = compare(messages, y)
    n_labelled = LABELLED_PER_CLASS * n_classes
    print(f"\n{n_labelled} labelled messages, scores on the other {len(y) - n_labelled}, mean of {REPEATS} draws:\n")
    print(f"  {'':<28}{'accuracy':>10}{'log-loss':>10}{'seconds':>10}")
    for name, rows in scores.items():
        accuracy, loss, seconds = np.mean(rows, axis=0)
        print(f"  {name:<28}{accuracy:>10.1%}{loss:>10.3f}{seconds:>10.2f}")
    print("\nLog-loss is in nats, smaller is better. Encoding is not in the seconds.")


if __name__ == "__main__":
    main()
