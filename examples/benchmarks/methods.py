"""The lines of the tables: what each method is called, what it needs and what it can afford."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import competitors
import numpy as np
import side_information

DEFAULT, NAMES, MISLEADING, UNLABELLED = "default", "names", "misleading", "unlabelled"
GROUPS = (DEFAULT, NAMES, MISLEADING, UNLABELLED)
# What a method is given as the names of the classes: the labels, the labels of other classes, unrelated words.
TRUE, EXCHANGED, UNRELATED = "true", "exchanged", "unrelated"


class Method(NamedTuple):
    """One line of the tables: key on the command line, name for people, and how to build the classifier.

    `build()` makes the classifier; one that reads `names` of some kind is made by `build(names)`, a dict from class to
    the vector of its name. `max_k` and `max_pairs` bound the context, in rows and in rows times classes.
    """

    key: str
    label: str
    build: Callable
    group: str = DEFAULT
    max_k: float = np.inf
    max_pairs: float = np.inf
    names: str | None = None
    n_unlabelled: int = 0

    def affords(self, k, n_classes):
        return k <= self.max_k and k * n_classes <= self.max_pairs

    def make(self, names):
        """The classifier; `names` holds the vectors of every kind, by class."""
        return self.build() if self.names is None else self.build(names[self.names])


def methods(reasoners=()):
    """All methods, in the order of the tables; TartClassifier also with each of the given weights files."""
    arms = [arm for path in reasoners for arm in _tart_arms(path)] + _tart_arms()
    plain = [arm for arm in arms if arm.group == DEFAULT] + _competitors()
    return (
        *plain,
        *(arm for arm in arms if arm.group == NAMES),
        *_competitors_with_names(),
        *(arm for arm in arms if arm.group == MISLEADING),
        *(arm for arm in arms if arm.group == UNLABELLED),
        *_competitors_with_unlabelled_rows(),
    )


def _competitors():
    # The Gaussian process is cubic in the rows, in 31 fits of one model per class.
    return [
        Method("tuned-lr", "Tuned LR", competitors.build_tuned_logistic_regression),
        Method("tuned-lr-accuracy", "Tuned LR (accuracy)", competitors.build_accuracy_tuned_lr),
        Method("lr", "LR (C=1)", competitors.build_logistic_regression),
        Method("lda", "LDA (shrinkage)", competitors.build_discriminant_analysis),
        Method("centroid", "Nearest centroid", competitors.build_centroid),
        Method("knn", "kNN (tuned)", competitors.build_neighbours),
        Method("svm", "SVM-RBF (tuned)", competitors.TunedSVM),
        Method("gp", "Gaussian process", competitors.build_gaussian_process, max_k=128, max_pairs=2000),
        Method("forest", "Random forest", competitors.build_forest),
    ]


def _competitors_with_names():
    return [
        Method("lr+names", "Tuned LR + names", side_information.NamesAsExamples, NAMES, names=TRUE),
        Method("nearest-name", "Nearest name", side_information.NearestName, NAMES, names=TRUE),
    ]


def _competitors_with_unlabelled_rows():
    # Both refit on all rows, known and guessed, tens of times.
    arms = (
        ("self-training", "Self-training LR", side_information.SelfTraining),
        ("label-spreading", "Label spreading", side_information.Spreading),
    )
    return [
        Method(f"{key}+U{n}", f"{label} + {n} unlabelled", build, UNLABELLED, max_k=256, n_unlabelled=n)
        for key, label, build in arms
        for n in (100, 1000)
    ]


def _tart_arms(path=None):
    """TartClassifier, bundled or with the weights of a file, on labels alone and with more evidence."""
    key = "tart" if path is None else f"tart:{Path(path).stem}"
    label = "TartClassifier" if path is None else f"TartClassifier ({Path(path).stem})"

    def build(names=None):
        from skicl import TartClassifier

        more = {} if names is None else {"class_texts": names}
        return TartClassifier(reasoner=path, **more)

    return [
        Method(key, label, build),
        Method(f"{key}+names", f"{label} + names", build, NAMES, names=TRUE),
        Method(f"{key}+exchanged", f"{label} + names of other classes", build, MISLEADING, names=EXCHANGED),
        Method(f"{key}+unrelated", f"{label} + unrelated words", build, MISLEADING, names=UNRELATED),
        Method(f"{key}+U100", f"{label} + 100 unlabelled", build, UNLABELLED, n_unlabelled=100),
        Method(f"{key}+U1000", f"{label} + 1000 unlabelled", build, UNLABELLED, n_unlabelled=1000),
        Method(
            f"{key}+names+U200",
            f"{label} + names + 200 unlabelled",
            build,
            UNLABELLED,
            names=TRUE,
            n_unlabelled=200,
        ),
    ]
