"""What a TartClassifier has learnt: evidence read from all that the user passed, as one value.

Shapes: n rows of the context, Q queries, D features, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skicl._fitted import FittedState, blank
from skicl._tart._class_texts import class_entries, holds_texts, is_auto, name_vectors, texts_in_use, texts_of
from skicl._tart._encoding import check_encoded, choose_encoder, fit_encode, fit_on_texts, reads_texts
from skicl._tart._parameters import find_reasoner
from skicl._tart._prior import FittedPrior, centred_log_proba, fit_prior, is_ready, predict_prior
from skicl._tart._reading import ContextRows
from skicl._validation._columns import read_columns
from skicl._validation._labels import (
    Labels,
    append_labels,
    check_known,
    check_one_label_a_row,
    encode_labels,
    label_space,
    marks_of,
    read_labels,
    sample_weights,
    warn_of_small_total,
)
from skicl._validation._rows import Rows

FLOATS = [np.float64, np.float32]


@dataclass(frozen=True, eq=False)
class Learnt(FittedState):
    """All that a fitted TartClassifier knows; the compiled context is made from it."""

    encoder: Any  # transformer or None
    classes: np.ndarray  # (C,)
    declared: np.ndarray | None  # (C,): the label space that the user listed
    columns: Any  # holds names and number of the columns of a numeric X
    names: np.ndarray | None  # (C, D): vectors of the classes
    embedded: dict  # from the texts of the classes to vectors (D,)
    prior: FittedPrior
    rows: ContextRows | None  # None where there are none
    reasoner: str | None  # fingerprint of the reasoner that they were read for

    @property
    def n_rows(self):
        """Number of rows in the context."""
        return 0 if self.rows is None else len(self.rows.codes)

    def read_queries(self, X):
        """Queries as numbers (Q, D), and the prior's scores of them (Q, C); None for what plays no part."""
        rows, numbers, given = Rows(X), None, None
        if self.rows is not None or self.names is not None:
            numbers = self._numbers(rows)
        # A prior that could not be fitted on the context gave nothing to it, and is not asked.
        if self.prior.model is not None:
            given = predict_prior(self.prior.model, rows.data, None if numbers is None else len(numbers), self.classes)
        return numbers, centred_log_proba(given, self.classes)

    def _numbers(self, rows):
        if self.encoder is None:
            return read_columns(self.columns, rows.data, reset=False, dtype=FLOATS)
        return check_encoded(self.encoder, self.encoder.transform(rows.data))


def declared_classes(classifier, classes):
    """The label space: what the user lists, or the keys of a dict of names, or None where labels decide."""
    if classes is not None:
        return label_space(classes)
    texts = classifier.class_texts
    return label_space(texts, "class_texts") if isinstance(texts, Mapping) else None


def learn(classifier, X, y, sample_weight, declared, before=None):
    """Read rows, behind those of ``before`` (Learnt) if there are any. Nothing is stored here but in what is new."""
    rows = Rows(X)
    own = _read_y(classifier, rows, y, declared)
    if before is None:
        encoder, columns = _encoder_for(classifier, rows.are_texts), blank(classifier)
    else:
        encoder, columns = before.encoder, before.columns
    texts_are_encoded = rows.are_texts and reads_texts(encoder)
    if encoder is None:
        rows = Rows.already_read(read_columns(columns, rows.data, reset=before is None, dtype=FLOATS))
    if not isinstance(rows.data, str | bytes):  # an encoder may read the letters of a text, or refuse it in its words
        check_one_label_a_row(len(rows), len(own.labelled))
    (labels, labelled), weight = _behind(before, own, sample_weights(sample_weight, len(own.labelled)))
    warn_of_small_total(weight, len(weight))
    classes = np.unique(labels) if declared is None else declared
    check_known(labels, classes, "class_texts" if isinstance(classifier.class_texts, Mapping) else "classes")
    class_texts = _class_texts(classifier, classes, names_can_be_read=texts_are_encoded)
    codes = encode_labels(
        labels,
        labelled,
        weight,
        classes,
        classifier.class_weight,
        has_side_information=class_texts is not None or is_ready(classifier.prior),
    )
    entries = class_entries(class_texts, classes)
    vectors = rows.data if encoder is None else _encode(encoder, rows, own, is_first=before is None)
    # Names that nobody asked for may be missing, unless there is nothing else to go by.
    needed = not (is_auto(classifier.class_texts) and (weight[labelled].any() or is_ready(classifier.prior)))
    embedded = {} if before is None else before.embedded
    embedded, names = name_vectors(entries, encoder, embedded, vectors.shape[1], needed=needed)
    # Copies: whoever changes X later must not change what a pickle or partial_fit compiles from.
    vectors = vectors.copy() if before is None else np.concatenate([before.rows.X, vectors])
    prior = fit_prior(classifier.prior, rows, vectors, codes, classes, weight, None if before is None else before.prior)
    scores = centred_log_proba(prior.context, classes)
    context = ContextRows(vectors, codes, weight, classes, classifier.class_weight, names, scores)
    _, digest = find_reasoner(classifier.reasoner, classifier.device, vectors.dtype)
    return Learnt(encoder, classes, declared, columns, names, embedded, prior, context, digest)


def learn_without_rows(classifier, y, sample_weight, declared):
    """Take in the names of the classes, or a prior, where there is no row to learn from."""
    if y is not None or sample_weight is not None:
        raise ValueError("`X` is None, so `y` and `sample_weight` must be None. Give the rows they belong to.")
    if declared is None or len(declared) < 2:
        raise ValueError("`X` is None, so `classes` must list at least two labels: fit(None, classes=[...]).")
    # A prior makes do with rows of any kind, and nobody knows yet whether these will be texts.
    texts_to_come = reads_texts(classifier.encoder) and not is_ready(classifier.prior)
    class_texts = _class_texts(classifier, declared, names_can_be_read=texts_to_come)
    if class_texts is None and not is_ready(classifier.prior):
        raise ValueError(
            "`X` is None, and nothing tells the classes apart. Describe them in `class_texts`, or give a fitted "
            "`prior`; class_texts='auto' reads labels that are names, such as 'delivery', where `encoder` reads texts."
        )
    entries = class_entries(class_texts, declared)
    encoder = _encoder_for(classifier, holds_texts(class_texts)) if entries else None
    if encoder is not None:
        # An encoder made here learns nothing, so any texts do.
        labels = [str(label) for label in declared] if isinstance(classifier.encoder, str) else []
        fit_on_texts(encoder, texts_of(entries) or labels)
    (_, names), columns = name_vectors(entries, encoder, {}, None, needed=True), blank(classifier)
    if names is not None and encoder is None:
        columns.n_features_in_ = names.shape[1]
    prior = FittedPrior(classifier.prior if is_ready(classifier.prior) else None, None, None)
    return Learnt(encoder, declared, declared, columns, names, {}, prior, None, None)


def _class_texts(classifier, classes, *, names_can_be_read):
    """What is known of the classes, where "auto" depends on the encoder, the rows, the labels and the reasoner."""
    if is_auto(classifier.class_texts) and names_can_be_read:
        network, _ = find_reasoner(classifier.reasoner, classifier.device, np.float32)
        names_can_be_read = network.reads_side_scores
    return texts_in_use(classifier.class_texts, classes, names_can_be_read=names_can_be_read)


def _read_y(classifier, rows, y, declared):
    """The labels of the new rows, and which rows have one."""
    if y is not None:
        return read_labels(y, marks=marks_of(classifier.missing_label, declared))
    if declared is None:
        raise ValueError(f"{type(classifier).__name__} requires y to be passed, but the target y is None.")
    return Labels(declared[:0], np.zeros(len(rows), dtype=bool))


def _behind(before, own, weight):
    """Labels and weights of all rows: those that were learnt before, then the new ones."""
    if before is None:
        return own, weight
    earlier = before.rows
    labelled = earlier.codes >= 0
    values = append_labels(before.classes[earlier.codes[labelled]], own.values)
    return Labels(values, np.concatenate([labelled, own.labelled])), np.concatenate([earlier.weight, weight])


def _encoder_for(classifier, of_texts):
    encoder = choose_encoder(classifier.encoder, classifier.device, of_texts=of_texts)
    if encoder is None and holds_texts(classifier.class_texts):
        raise ValueError(
            "`class_texts` holds texts, and there is no encoder to embed them: `X` is numeric. Give "
            "one vector for each class, or pass `encoder`."
        )
    return encoder


def _encode(encoder, rows, labels, *, is_first):
    """Vectors (n, D) of rows; the first rows are what an encoder learns from."""
    encoded = fit_encode(encoder, rows, *labels) if is_first else encoder.transform(rows.data)
    encoded = check_encoded(encoder, encoded)
    if len(encoded) != len(labels.labelled):
        raise ValueError(
            f"`encoder` {type(encoder).__name__} gave {len(encoded)} rows for {len(labels.labelled)}. It must "
            "give one vector for every row."
        )
    return encoded
