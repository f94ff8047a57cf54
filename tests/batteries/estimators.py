"""The one list of all public estimators, which every battery of this folder runs over.

A battery is a set of laws of one kind: threads, interrupts, containers, outputs, labels, properties. Each test takes
one :class:`Subject`::

    @each_subject("threads")
    def test_answers_are_right_from_the_first_call(subject):
        trained = subject.fitted()

``test_estimators.py`` fails where a public class with ``fit`` is not in ``SUBJECTS``, and where a subject is left out
of a battery without a reason.
"""

import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.naive_bayes import GaussianNB
from text_battery import LABELS, TEXTS

import skicl

# Options under which a class takes a way of its own; what a class has beside these is in the slow part of the tests.
REPRESENTATIVE = (
    "TartClassifier, class_texts",
    "TartClassifier, texts",
    "FineTuneClassifier, last_layer",
    "SentenceEncoder, layers",
)

KINDS = ("threads", "interrupts", "containers", "outputs", "labels", "properties", "damage", "misuse")


class Rows(NamedTuple):
    """What ``fit`` gets, and what the fitted estimator is asked about."""

    X: Any
    y: Any
    new: Any


@dataclass(frozen=True)
class Subject:
    """One public estimator as the batteries use it.

    ``make`` returns a new unfitted instance that is cheap, deterministic, works offline and can be pickled. ``answers``
    are the public methods that take ``rows.new``. ``others`` are rows for a second ``fit``, by what is unlike the
    first; the answers about the first entry's ``new`` exist before and after. ``reads`` says what stands in ``X``.
    ``exempt`` gives a reason for every battery that the subject takes no part in.
    """

    name: str
    make: Callable[[], Any]
    rows: Rows
    others: Mapping[str, Rows]
    answers: tuple[str, ...]
    reads: str
    exempt: Mapping[str, str] = field(default_factory=dict)

    @property
    def cls(self):
        return type(self.make())

    @property
    def is_variant(self):
        """Whether a subject of the same class comes first, with which it shares most of its code."""
        return ", " in self.name and self.name not in REPRESENTATIVE

    @property
    def quick_answers(self):
        """Without those that read the context once for every row."""
        return tuple(method for method in self.answers if method != "context_influence")

    @property
    def is_classifier(self):
        return "predict_proba" in self.answers

    @property
    def is_encoder(self):
        return "fit_transform" in dir(self.cls)

    def fitted(self, rows=None):
        """A new instance, fitted; on the first rows unless others are given."""
        X, y, _ = self.rows if rows is None else rows
        return self.make().fit(X, y)


# -- models ----------------------------------------------------------------------------------------


@cache
def models():
    """A folder for tiny models that lives as long as the tests do."""
    return TemporaryDirectory(prefix="models-of-the-batteries-")


@cache
def folder_of(kind):
    """Path of a tiny model, written when it is first asked for."""
    path = Path(models().name) / kind
    if kind == "sentence":
        from conftest import build_tiny_model

        build_tiny_model(path)
    elif kind == "causal":
        from prompting.tiny_causal_models import save_pair

        save_pair("gpt2", path)
    elif kind == "image":
        from encoders.tiny_vision_audio import build_image_model

        build_image_model("vit", path)
    elif kind == "audio":
        from encoders.tiny_vision_audio import build_audio_model

        build_audio_model("wav2vec2 base", path)
    elif kind == "reasoner":
        return _reasoner_file(path.with_suffix(".safetensors"))
    return str(path)


def _reasoner_file(path):
    import torch

    from skicl.reasoning import CausalConfig, CausalReasoner, save_reasoner

    reasoner = CausalReasoner(CausalConfig(n_features=8, n_points=40, n_channels=16, n_heads=2, n_layers=2))
    reasoner.reset_parameters(torch.Generator().manual_seed(0))
    save_reasoner(path, reasoner)
    return str(path)


def sentences(**options):
    from skicl import SentenceEncoder

    return SentenceEncoder(folder_of("sentence"), device="cpu", **options)


# -- rows ------------------------------------------------------------------------------------------

WINE, CULTIVARS = load_wine(return_X_y=True)
NAMES = np.array(["cat", "dog", "owl"])[CULTIVARS]
OTHER_NAMES = np.array(["bee", "cat", "dog"])[CULTIVARS]

# Columns in unlike units, of which standardize="auto" has to find out what to do.
NUMBERS = Rows(WINE[::8], NAMES[::8], WINE[3::17])
OTHER_NUMBERS = {
    "other rows and labels": Rows(WINE[1::7], OTHER_NAMES[1::7], NUMBERS.new),
    "fewer classes": Rows(WINE[:130:7], NAMES[:130:7], NUMBERS.new),
    "more classes": Rows(WINE[::8], np.array([f"{name}{i % 2}" for i, name in enumerate(NAMES[::8])]), NUMBERS.new),
    "fewer columns": Rows(WINE[2::8, :7], OTHER_NAMES[2::8], NUMBERS.new[:, :7]),
}

QUERIES = ["the card is gone", "where is my refund", "no code for the login", "hello"]
WORDS = Rows(TEXTS, LABELS, QUERIES)
_SHIFTED = {"card": "refund", "refund": "login", "login": "abroad"}
OTHER_WORDS = {
    "other rows and labels": Rows(TEXTS[3:], [_SHIFTED[label] for label in LABELS[3:]], QUERIES),
    "fewer classes": Rows(TEXTS[:12], ["card" if label == "card" else "login" for label in LABELS[:12]], QUERIES),
    "more classes": Rows(TEXTS, [f"{label}{i % 2}" for i, label in enumerate(LABELS)], QUERIES),
}


def _log_proba(n_rows, n_classes, seed):
    scores = np.random.default_rng(seed).normal(size=(n_rows, n_classes))
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


SCORES = Rows(_log_proba(24, 3, 0), np.arange(24) % 3, _log_proba(7, 3, 1))
OTHER_SCORES = {
    "other rows": Rows(_log_proba(30, 3, 2), np.arange(30) % 3, SCORES.new),
    "fewer classes": Rows(_log_proba(20, 2, 3), np.arange(20) % 2, _log_proba(7, 2, 4)),
}


@cache
def items(kind):
    """Images or recordings as rows, and others; there are no labels."""
    from encoders.tiny_vision_audio import some_images, some_recordings

    some = some_images if kind == "images" else some_recordings
    new = some(3, seed=1)
    return Rows(some(5), None, new), {"other rows": Rows(some(4, seed=2), None, new)}


# -- the list --------------------------------------------------------------------------------------

OF_CLASSIFIERS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
OF_TART = (*OF_CLASSIFIERS, "context_influence")
OF_PROMPTS = (*OF_CLASSIFIERS, "label_mass")
NO_LABELS = {"labels": "y is ignored"}
CODES_ONLY = {"labels": "y holds numbers of classes, which ICLClassifier makes"}
ONE_IS_ENOUGH = {"properties": "another subject of the same class is driven"}
NO_TABLE = {"properties": "images and sounds are no tables; tests/encoders/item_laws.py has their forms"}
FROM_WITHIN = {
    "properties": "gets what ICLClassifier makes, and is driven with it",
    "misuse": "gets what ICLClassifier has read and checked",
}


def tart(**options):
    from skicl import TartClassifier

    return TartClassifier(device="cpu", **options)


def prompted(**options):
    from skicl import ICLClassifier

    return ICLClassifier(folder_of("causal"), device="cpu", **{"demonstrations": 4, **options})


def tuned(method):
    from skicl.finetuning import FineTuneClassifier, LoRASettings

    rates = {"full": 0.01, "lora": 0.02, "last_layer": 0.1, "contrastive": 0.003}
    return FineTuneClassifier(
        sentences(), method=method, learning_rate=rates[method], epochs=2, random_state=0, lora=LoRASettings(2)
    )


def of_encoders(name, **options):
    import skicl.encoders

    folder = folder_of({"ImageEncoder": "image", "AudioEncoder": "audio"}.get(name, "causal"))
    return getattr(skicl.encoders, name)(folder, device="cpu", **options)


def of_prompts(name, *args, **options):
    import skicl.prompting

    return getattr(skicl.prompting, name)(*args, **options)


def _classifiers():
    sides = {name: WINE[CULTIVARS == code].mean(axis=0) for code, name in enumerate(["cat", "dog", "owl"])}
    only_these = {
        "other rows": Rows(WINE[1::7], NAMES[1::7], NUMBERS.new),
        "labels exchanged": Rows(WINE[2::7], NAMES[2::7][::-1], NUMBERS.new),
    }
    yield Subject("TartClassifier", tart, NUMBERS, OTHER_NUMBERS, OF_TART, "numbers")
    yield Subject(
        "TartClassifier, class_texts",
        lambda: tart(class_texts=sides),
        NUMBERS,
        only_these,
        OF_TART,
        "numbers",
        exempt={"properties": "its classes and its number of columns are given"},
    )
    yield Subject("TartClassifier, prior", lambda: tart(prior=GaussianNB()), NUMBERS, OTHER_NUMBERS, OF_TART, "numbers")
    yield Subject(
        "TartClassifier, CausalReasoner",
        lambda: tart(reasoner=folder_of("reasoner")),
        NUMBERS,
        OTHER_NUMBERS,
        OF_TART,
        "numbers",
    )
    yield Subject(
        "TartClassifier, texts",
        lambda: tart(encoder=sentences()),
        WORDS,
        OTHER_WORDS,
        OF_TART,
        "texts",
    )
    yield Subject("ICLClassifier", prompted, WORDS, OTHER_WORDS, OF_PROMPTS, "texts")
    yield Subject(
        "ICLClassifier, ensemble",
        lambda: prompted(calibration="batch", ensemble=2),
        WORDS,
        OTHER_WORDS,
        OF_PROMPTS,
        "texts",
        exempt=ONE_IS_ENOUGH,
    )
    yield Subject(
        "ICLClassifier, nearest",
        lambda: prompted(demonstrations=of_prompts("NearestDemonstrations", 3), calibration="affine"),
        WORDS,
        OTHER_WORDS,
        OF_PROMPTS,
        "texts",
        exempt=ONE_IS_ENOUGH,
    )
    yield Subject(
        "ICLClassifier, knn",
        lambda: prompted(readout="knn"),
        WORDS,
        OTHER_WORDS,
        OF_PROMPTS,
        "texts",
        exempt=ONE_IS_ENOUGH,
    )
    for method in ("last_layer", "full", "contrastive", "lora"):
        yield Subject(
            f"FineTuneClassifier, {method}",
            lambda method=method: tuned(method),
            WORDS,
            OTHER_WORDS,
            OF_CLASSIFIERS,
            "texts",
            exempt={} if method == "last_layer" else ONE_IS_ENOUGH,
        )


def _encoders():
    for name, make in {
        "SentenceEncoder": sentences,
        "SentenceEncoder, cache": lambda: sentences(cache=Path(models().name) / "cache"),
        "SentenceEncoder, layers": lambda: sentences(layers=[0, 1]),
        "LanguageModelEncoder": lambda: of_encoders("LanguageModelEncoder"),
    }.items():
        yield Subject(name, make, WORDS, OTHER_WORDS, ("transform",), "texts", exempt=NO_LABELS)
    yield Subject(
        "ContextualEncoder", lambda: of_encoders("ContextualEncoder"), WORDS, OTHER_WORDS, ("transform",), "texts"
    )
    rows, others = items("images")
    yield Subject(
        "ImageEncoder",
        lambda: of_encoders("ImageEncoder"),
        rows,
        others,
        ("transform",),
        "images",
        exempt={**NO_LABELS, **NO_TABLE},
    )
    rows, others = items("recordings")
    yield Subject(
        "AudioEncoder",
        lambda: of_encoders("AudioEncoder", sampling_rate=16000),
        rows,
        others,
        ("transform",),
        "recordings",
        exempt={**NO_LABELS, **NO_TABLE},
    )


def _parts_of_prompts():
    within = {**CODES_ONLY, **FROM_WITHIN, "damage": "computes without a network and reads no file"}
    for name in ("AffineCalibration", "BatchCalibration", "ContextualCalibration", "DomainCalibration"):
        yield Subject(
            name, lambda name=name: of_prompts(name), SCORES, OTHER_SCORES, ("transform",), "scores", exempt=within
        )
    for name in (
        "RandomDemonstrations",
        "StratifiedDemonstrations",
        "NearestDemonstrations",
        "DiverseDemonstrations",
        "VoteKDemonstrations",
    ):
        yield Subject(
            name, lambda name=name: of_prompts(name, 4), WORDS, OTHER_WORDS, ("select",), "texts", exempt=within
        )


SUBJECTS = [*_classifiers(), *_encoders(), *_parts_of_prompts()]

# Public classes with ``fit`` that cannot stand in the list, each with the reason.
NOT_LISTED = {"BaseEncoder": "abstract"}


def public_estimators():
    """Every public class that has ``fit``, by name, wherever the package exports it."""
    names = [info.name for info in pkgutil.iter_modules(skicl.__path__) if not info.name.startswith("_")]
    found = {}
    for module in ["skicl", *(f"skicl.{name}" for name in names)]:
        module = importlib.import_module(module)
        for name in module.__all__:
            item = getattr(module, name)
            if inspect.isclass(item) and callable(getattr(item, "fit", None)):
                found[name] = item
    return found


def subjects_of(kind):
    """All subjects that take part in a battery."""
    return [subject for subject in SUBJECTS if kind not in subject.exempt]


def subject_named(name):
    """One subject of the list."""
    return next(subject for subject in SUBJECTS if subject.name == name)


def each_subject(kind, wanted=lambda subject: True):
    """Run a test with every subject of a battery, or with those of them that are wanted; variants in the slow part."""
    chosen = [subject for subject in subjects_of(kind) if wanted(subject)]
    slow = [[pytest.mark.slow] if subject.is_variant else [] for subject in chosen]
    return pytest.mark.parametrize(
        "subject", [pytest.param(one, marks=marks, id=one.name) for one, marks in zip(chosen, slow)]
    )


# -- answers ---------------------------------------------------------------------------------------

# Rounding differs with the shape of a batch.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def answer(estimator, method, X):
    """What a method says about rows, as an array."""
    found = getattr(estimator, method)(X)
    if isinstance(found, list):  # of selectors, one array for each query
        found = np.stack(found)
    return np.asarray(found)


def answers_of(subject, estimator, X=None, *, quick=False):
    """What all public methods say, by name; or those that are quick."""
    X = subject.rows.new if X is None else X
    return {method: answer(estimator, method, X) for method in (subject.quick_answers if quick else subject.answers)}


def alike(one, other):
    """Whether two arrays of answers are equal to rounding."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "fc" and other.dtype.kind in "fc":
        return bool(np.allclose(one, other, equal_nan=True, **CLOSE))
    return bool(np.array_equal(one, other))


def all_alike(some, others):
    """Whether two dictionaries of answers are."""
    return some.keys() == others.keys() and all(alike(some[name], others[name]) for name in some)


def refitted(estimator, rows):
    """A clone, fitted on rows."""
    return clone(estimator).fit(rows.X, rows.y)


# -- threads ---------------------------------------------------------------------------------------

PATIENCE = 60.0


def together(*calls):
    """Start calls at the same moment, each in a thread of its own; their results, or the first error."""
    barrier, results, errors = threading.Barrier(len(calls)), [None] * len(calls), []

    def run(number, call):
        barrier.wait()
        try:
            results[number] = call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "threads wait for each other"
    if errors:
        raise errors[0]
    return results
