"""The parameters of a TartClassifier, checked before any work, and the reasoner that they denote."""

import os

import numpy as np
import torch

from skicl._tart._class_texts import check_class_texts, is_auto
from skicl._tart._prior import check_prior
from skicl._validation._environment import resolve_device
from skicl._validation._labels import check_missing_label
from skicl._validation._scalars import check_choice, check_integer
from skicl._validation._wording import did_you_mean
from skicl.reasoning import Reasoner, reasoner_path
from skicl.reasoning._in_memory import shared_reasoner

POPULATIONS = ("auto", "labelled", "unlabelled")


def check_parameters(classifier):
    """Refuse bad parameters; the reasoner is loaded here, so that it fails now and not after texts are encoded."""
    check_integer(classifier.batch_size, "batch_size")
    _check_standardize(classifier.standardize)
    _check_class_weight(classifier.class_weight)
    check_choice(classifier.population, "population", POPULATIONS)
    encoder, reasoner = classifier.encoder, classifier.reasoner
    if not (encoder is None or isinstance(encoder, str) or hasattr(encoder, "transform")):
        raise TypeError(
            f"`encoder` must be 'auto', None, the name of a model or a transformer, got an object of "
            f"type {type(encoder).__name__}. Pass for instance SentenceEncoder()."
        )
    if not (reasoner is None or isinstance(reasoner, str | os.PathLike | Reasoner)):
        raise TypeError(
            f"`reasoner` must be None, a name, a path or a Reasoner, got an object of type {type(reasoner).__name__}."
        )
    check_missing_label(classifier.missing_label)
    check_class_texts(classifier.class_texts, encoder)
    check_prior(classifier.prior)
    resolve_device(classifier.device)
    network, _ = find_reasoner(reasoner, classifier.device, np.float32)
    for name in ("class_texts", "prior"):
        given = getattr(classifier, name)
        if given is not None and not is_auto(given) and not network.reads_side_scores:
            raise ValueError(
                f"`{name}` must be None with the reasoner {reasoner!r}, which reads labelled "
                "rows only. Use the default reasoner."
            )


def find_reasoner(reasoner, device, dtype):
    """The network in the precision of the rows, and its fingerprint; a live one stays as it is."""
    if isinstance(reasoner, Reasoner):
        return reasoner, "live"
    precision = torch.float32 if dtype == np.float32 else torch.float64
    return shared_reasoner(reasoner_path(reasoner), resolve_device(device), precision)


def _check_standardize(standardize):
    if not (isinstance(standardize, bool | np.bool_) or (isinstance(standardize, str) and standardize == "auto")):
        raise ValueError(
            f"`standardize` must be 'auto', True or False, got {standardize!r}." + did_you_mean(standardize, ["auto"])
        )


def _check_class_weight(class_weight):
    balanced = isinstance(class_weight, str) and class_weight == "balanced"
    if not (class_weight is None or isinstance(class_weight, dict) or balanced):
        raise ValueError(
            f"`class_weight` must be a dict, 'balanced' or None, got {class_weight!r}."
            + did_you_mean(class_weight, ["balanced"])
        )
