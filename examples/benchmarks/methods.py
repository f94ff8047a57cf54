"""The lines of the tables: what each method is called, what it reads and what it can afford."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import competitors
import numpy as np
import side_information
from discriminant import NamesAndGaussians
from known_texts import LAYERS, OWN, TEXTS
from sklearn.pipeline import make_pipeline

EVIDENCE, LABELS, NAMES, MISLEADING, UNLABELLED = "evidence", "labels", "names", "misleading", "unlabelled"
FINE_TUNING = "fine-tuning"
GROUPS = (EVIDENCE, LABELS, NAMES, MISLEADING, UNLABELLED, FINE_TUNING)
# What a method is given as the names of the classes: the labels, the labels of other classes, unrelated words.
TRUE, EXCHANGED, UNRELATED = "true", "exchanged", "unrelated"


class Method(NamedTuple):
    """One line of the tables: key on the command line, name for people, and how to build the classifier.

    `reads` is OWN (the encoder's own vectors, or the rows of a set that is no text), LAYERS (the blocks of its layers)
    or TEXTS. `build()` makes a classifier of vectors; one that reads `names` of some kind is made by `build(names)`, a
    dict from class to the vector of its name, and one of texts by `build(material)`. `max_k` and `max_pairs` bound the
    context, in rows and in rows times classes.
    """

    key: str
    label: str
    build: Callable
    groups: tuple = (EVIDENCE,)
    reads: str = OWN
    names: str | None = None
    n_unlabelled: int = 0
    max_k: float = np.inf
    max_pairs: float = np.inf

    def affords(self, k, n_classes):
        return k <= self.max_k and k * n_classes <= self.max_pairs

    def reads_kind(self, is_text):
        """Whether there is what the method reads: names and layers are known of texts only."""
        return is_text or (self.reads == OWN and self.names is None)

    def make(self, material):
        """The classifier for what is known of a text set (Material); None where rows are vectors as they are."""
        if self.reads == TEXTS:
            return self.build(material)
        classifier = self.build() if self.names is None else self.build(material.names(self.names, self.reads))
        return classifier if material is None else make_pipeline(material.columns(self.reads), classifier)


def methods(reasoners=()):
    """All methods, in the order of the tables; TartClassifier also with each of the given weights files."""
    paths = [*reasoners, None]
    return (
        *(arm for path in paths for arm in _tart_on_texts(path)),
        *(arm for path in paths for arm in _tart_on_vectors(path)),
        *_competitors(),
        *_competitors_with_names(),
        *_competitors_with_unlabelled_rows(),
        *_fine_tuning(),
    )


def is_ours(key):
    return key.partition(":")[0].partition("+")[0] in ("default", "layers", "tart")


def _tart_on_texts(path):
    """TartClassifier as a user gets it on texts, and with less or misleading evidence."""
    of_weights, called = ("", "") if path is None else (f":{Path(path).stem}", f" ({Path(path).stem})")
    key, label = f"default{of_weights}", f"TartClassifier(){called}"
    build = partial(_tart, path)
    more = {"reads": TEXTS}
    return [
        Method(key, label, build, names=TRUE, **more),
        Method(f"{key}+unlabelled", f"{label} + 200 unlabelled", build, names=TRUE, n_unlabelled=200, **more),
        Method(f"layers{of_weights}", f"{label}, labels alone", partial(build, names=None), **more),
        *(
            Method(f"{key}+{kind}", f"{label}, {title}", partial(build, names=kind), (MISLEADING,), names=kind, **more)
            for kind, title in ((EXCHANGED, "names of other classes"), (UNRELATED, "unrelated words"))
        ),
        Method(
            f"layers{of_weights}+unlabelled",
            f"{label}, labels alone + 200 unlabelled",
            partial(build, names=None),
            (UNLABELLED,),
            n_unlabelled=200,
            **more,
        ),
        Method(
            f"{key}+U1000",
            f"{label} + 1000 unlabelled",
            build,
            (UNLABELLED,),
            names=TRUE,
            n_unlabelled=1000,
            **more,
        ),
    ]


def _tart(path, material, names=TRUE):
    from skicl import TartClassifier

    if names == TRUE:  # read by default
        return TartClassifier(material.layers, reasoner=path)
    return TartClassifier(
        material.layers, reasoner=path, class_texts=None if names is None else material.names(names, TEXTS)
    )


def _tart_on_vectors(path):
    """TartClassifier on the encoder's own vectors, on labels alone and with more evidence."""
    key = "tart" if path is None else f"tart:{Path(path).stem}"
    label = "TartClassifier on own vectors" + ("" if path is None else f" ({Path(path).stem})")

    def build(names=None):
        from skicl import TartClassifier

        return TartClassifier(reasoner=path, class_texts=names)

    return [
        Method(key, label, build, (EVIDENCE, LABELS)),
        Method(f"{key}+names", f"{label} + names", build, (NAMES,), names=TRUE),
        Method(f"{key}+U100", f"{label} + 100 unlabelled", build, (UNLABELLED,), n_unlabelled=100),
        Method(f"{key}+U1000", f"{label} + 1000 unlabelled", build, (UNLABELLED,), n_unlabelled=1000),
        Method(
            f"{key}+names+U200",
            f"{label} + names + 200 unlabelled",
            build,
            (UNLABELLED,),
            names=TRUE,
            n_unlabelled=200,
        ),
    ]


def _competitors():
    both, alone = (EVIDENCE, LABELS), (LABELS,)
    on_layers = {"groups": (EVIDENCE,), "reads": LAYERS}
    # The Gaussian process is cubic in the rows, in 31 fits of one model per class.
    return [
        Method("tuned-lr", "Tuned LR", competitors.build_tuned_logistic_regression, both),
        Method("lr", "LR (C=1)", competitors.build_logistic_regression, both),
        Method("centroid", "Nearest centroid", competitors.build_centroid, both),
        Method("tuned-lr@layers", "Tuned LR, layers", competitors.build_tuned_logistic_regression, **on_layers),
        Method("lr@layers", "LR (C=1), layers", competitors.build_logistic_regression, **on_layers),
        Method("centroid@layers", "Nearest centroid, layers", competitors.build_centroid, **on_layers),
        Method("tuned-lr-accuracy", "Tuned LR (accuracy)", competitors.build_accuracy_tuned_lr, alone),
        Method("lda", "LDA (shrinkage)", competitors.build_discriminant_analysis, alone),
        Method("knn", "kNN (tuned)", competitors.build_neighbours, alone),
        Method("svm", "SVM-RBF (tuned)", competitors.TunedSVM, alone),
        Method("gp", "Gaussian process", competitors.build_gaussian_process, alone, max_k=128, max_pairs=2000),
        Method("forest", "Random forest", competitors.build_forest, alone),
    ]


def _competitors_with_names():
    arms = (
        ("lr+names", "Tuned LR + names", side_information.NamesAsExamples),
        ("gaussians+names", "Gaussians + names", NamesAndGaussians),
    )
    spaces = ((OWN, "", ""), (LAYERS, "@layers", ", layers"))
    return [
        *(
            Method(f"{key}{mark}", f"{label}{called}", build, (EVIDENCE, NAMES), reads=space, names=TRUE)
            for key, label, build in arms
            for space, mark, called in spaces
        ),
        Method("nearest-name", "Nearest name", side_information.NearestName, (NAMES,), names=TRUE),
    ]


def _competitors_with_unlabelled_rows():
    # Both refit on all rows, known and guessed, tens of times.
    arms = (
        ("self-training", "Self-training LR", side_information.SelfTraining),
        ("label-spreading", "Label spreading", side_information.Spreading),
    )
    return [
        Method(f"{key}+U{n}", f"{label} + {n} unlabelled", build, (UNLABELLED,), max_k=256, n_unlabelled=n)
        for key, label, build in arms
        for n in (100, 1000)
    ]


def _fine_tuning():
    """The encoder itself, trained on the context: minutes a fit."""
    arms = {"full": "Full fine-tuning", "lora": "LoRA fine-tuning", "contrastive": "Contrastive fine-tuning"}

    def build(method, material):
        from skicl.finetuning import FineTuneClassifier

        return FineTuneClassifier(material.model, method=method, random_state=0)

    return [
        Method(f"fine-tuned-{key}", label, partial(build, key), (FINE_TUNING,), reads=TEXTS)
        for key, label in arms.items()
    ]
