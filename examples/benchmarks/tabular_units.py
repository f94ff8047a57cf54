"""Raw columns: TartClassifier as it comes, in a scaled pipeline, and tuned scikit-learn classifiers.

    python examples/benchmarks/tabular_units.py [--markdown FILE]

Every data set is run as it is, and with each column multiplied by a random power of ten from 1e-4 to 1e4, which
changes nothing for a classifier that handles units well. Half of the rows, at most 200, are labelled; 5 seeds.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skicl import TartClassifier

SETS = {
    "iris": load_iris(return_X_y=True),
    "wine": load_wine(return_X_y=True),
    "breast_cancer": load_breast_cancer(return_X_y=True),
    "digits": load_digits(return_X_y=True),
    "moons": make_moons(600, noise=0.25, random_state=0),
    "circles": make_circles(600, noise=0.1, factor=0.6, random_state=0),
    "hypercube, 2 classes": make_classification(600, 20, n_informative=5, flip_y=0.05, random_state=0),
    "hypercube, 4 classes": make_classification(
        600, 30, n_informative=8, n_redundant=4, n_classes=4, n_clusters_per_class=1, random_state=0
    ),
}


def tuned(classifier, **grid):
    """A scaled pipeline, tuned in 5 folds by log-loss."""
    name = type(classifier).__name__.lower()
    pipeline = make_pipeline(StandardScaler(), classifier)
    return GridSearchCV(pipeline, {f"{name}__{key}": values for key, values in grid.items()}, scoring="neg_log_loss")


METHODS = {
    "TartClassifier": TartClassifier(),
    "StandardScaler + TartClassifier": make_pipeline(StandardScaler(), TartClassifier()),
    "TartClassifier(standardize=False)": TartClassifier(standardize=False),
    "StandardScaler + tuned LR": tuned(LogisticRegression(max_iter=2000), C=np.logspace(-2, 4, 7)),
    "StandardScaler + tuned SVM-RBF": tuned(
        SVC(probability=True, random_state=0), C=[0.1, 1, 10, 100], gamma=["scale", 0.01, 0.1, 1]
    ),
}


def run(X, y, seed):
    """Accuracy and log-loss of every method on one split."""
    X, X_test, y, y_test = train_test_split(X, y, train_size=min(200, len(y) // 2), stratify=y, random_state=seed)
    scores = {}
    for name, method in METHODS.items():
        probabilities = method.fit(X, y).predict_proba(X_test)
        right = method.classes_[probabilities.argmax(axis=1)] == y_test
        scores[name] = (right.mean(), log_loss(y_test, probabilities))
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    # scikit-learn 1.9 takes leave of SVC(probability=True), which older versions need.
    warnings.filterwarnings("ignore", message="The `probability` parameter", category=FutureWarning)
    lines = ["| set | " + " | ".join(METHODS) + " |", "|---|" + "---|" * len(METHODS)]
    for name, (X, y) in SETS.items():
        for units in ("raw", "scrambled"):
            factor = 10.0 ** np.random.default_rng(0).integers(-4, 5, size=X.shape[1]) if units == "scrambled" else 1.0
            results = [run(X * factor, y, seed) for seed in range(5)]
            cells = [np.mean([result[method] for result in results], axis=0) for method in METHODS]
            lines.append(f"| {name}, {units} | " + " | ".join(f"{100 * a:.1f} / {b:.3f}" for a, b in cells) + " |")
            print(lines[-1], flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
