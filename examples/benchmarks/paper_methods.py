"""The methods of the comparison with TART, each as a careful user would set it up."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import competitors
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

VECTORS, TEXTS = "vectors", "texts"
LANGUAGE_MODEL = "lm:"  # before the name of an --encoder that is a causal language model
# TartClassifier as a user gets it on texts: names of the classes, layers of the encoder.
ON_TEXTS = ("default", "default+unlabelled")
# FineTuneClassifier's methods, and what the tables call them.
FINE_TUNING = {
    "full": "Full fine-tuning",
    "last_layer": "Last-layer fine-tuning",
    "lora": "LoRA fine-tuning",
    "contrastive": "Contrastive fine-tuning (SetFit-style)",
}
PAPER = "tart-paper"


class Method(NamedTuple):
    """One line of the tables; `reads` says whether it gets vectors or the texts themselves."""

    key: str
    label: str
    build: Callable
    reads: str = VECTORS
    max_pairs: float = np.inf  # most rows times classes of a context
    n_unlabelled: int = 0


def all_methods(options):
    """Every method by key, in the order of the tables."""
    found = [
        Method("tart", "TartClassifier", tart),
        Method("default", "TartClassifier() on texts", partial(tart_on_texts, options), TEXTS),
        Method(
            "default+unlabelled",
            "TartClassifier() on texts + 200 unlabelled",
            partial(tart_on_texts, options),
            TEXTS,
            n_unlabelled=200,
        ),
        # One forward pass per class and context row of a causal network of 258 positions.
        Method(PAPER, "TartClassifier, reasoner of the paper", partial(tart, reasoner=PAPER), max_pairs=5000),
        Method("tuned-lr", "Tuned LR", competitors.build_tuned_logistic_regression),
        Method("tuned-lr-std", "Tuned LR, columns standardised", standardised_logistic_regression),
        Method("lda", "LDA (shrinkage)", competitors.build_discriminant_analysis),
        Method("centroid", "Nearest centroid", competitors.build_centroid),
        Method("knn", "kNN (tuned)", competitors.build_neighbours),
        Method("svm", "SVM-RBF (tuned)", competitors.TunedSVM),
        Method("icl-default", "ICLClassifier as it comes", partial(prompt_as_it_comes, options), TEXTS),
        Method("icl", "Prompt ICL", partial(prompt, options), TEXTS),
        Method("icl-calibrated", "Prompt ICL, calibrated", partial(prompt, options, "contextual"), TEXTS),
    ]
    found += [Method(key, label, partial(fine_tuning, options, key), TEXTS) for key, label in FINE_TUNING.items()]
    return {method.key: method for method in found}


def tart(reasoner=None):
    from skicl import TartClassifier

    return TartClassifier(reasoner=reasoner)


def tart_on_texts(options):
    """The vectors of the texts are looked up."""
    from skicl import TartClassifier

    return TartClassifier(options.layers)


def standardised_logistic_regression():
    """For hidden states of language models, a few of whose columns are far larger than all others."""
    return make_pipeline(StandardScaler(), competitors.build_tuned_logistic_regression())


def prompt_as_it_comes(options):
    from skicl import ICLClassifier

    return ICLClassifier(options.language_model)


def prompt(options, calibration=None):
    """All labelled texts in the prompt, as many as the option and the window of the model allow."""
    from skicl import ICLClassifier

    return ICLClassifier(
        options.language_model,
        demonstrations=options.demonstrations,
        calibration=calibration,
        readout="label_words",
    )


def fine_tuning(options, method):
    from skicl.finetuning import FineTuneClassifier

    return FineTuneClassifier(options.fine_tuned, method=method, random_state=0)


def missing(key, options):
    """Why a method cannot run here; None if it can."""
    if key in ON_TEXTS and options.encoder.startswith(LANGUAGE_MODEL):
        return "the encoder is a language model"
    if key.startswith("icl") and options.language_model is None:
        return "no --language-model was given"
    if key == PAPER:
        from skicl.reasoning import bundled_reasoners

        if PAPER not in bundled_reasoners():
            return f"this installation of skicl holds no weights called {PAPER}"
    if key in FINE_TUNING:
        try:
            import skicl.finetuning  # noqa: F401
        except ImportError as error:
            return f"skicl.finetuning cannot be imported ({error})"
        if key == "lora":
            try:
                import peft  # noqa: F401
            except ImportError:
                return 'LoRA needs the package peft: pip install "skicl[lora]"'
    return None
