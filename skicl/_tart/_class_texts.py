"""What the names of the classes say: from ``class_texts`` to one vector for each class."""

from collections.abc import Mapping

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from skicl._tart._coordinates import unit_rows
from skicl._tart._encoding import check_encoded
from skicl._validation._environment import warn_user
from skicl._validation._label_names import label_names
from skicl._validation._wording import did_you_mean

# Cosines of rows and names times this are log-odds, where no row has been seen. Chosen by log-loss on the
# development half of the public text sets with the default encoder (lab notes).
SHARPNESS = 15.0
# What an encoder raises that cannot read names; other errors, of the machine or the user, mean something else.
_REFUSALS = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def check_class_texts(class_texts, encoder=None):
    """Refuse what cannot be names, descriptions or vectors, before any work; texts need an encoder that reads lists."""
    _check_form(class_texts)
    first = encoder
    while isinstance(first, Pipeline) and first.steps:
        first = first.steps[0][1]
    if isinstance(first, ColumnTransformer) and holds_texts(class_texts):
        raise ValueError(_no_texts(encoder, "a ColumnTransformer reads frames with columns"))


def _check_form(class_texts):
    if class_texts is None or (isinstance(class_texts, str) and class_texts in ("auto", "labels")):
        return
    if isinstance(class_texts, Mapping):
        widths = {entry.shape[1] for entry in map(_entry, class_texts.items()) if isinstance(entry, np.ndarray)}
        if len(widths) > 1:
            raise ValueError(f"`class_texts` holds vectors of different numbers of features: {sorted(widths)}.")
        return
    vectors = _as_numbers(class_texts)
    if vectors is None or vectors.ndim != 2:
        given = repr(class_texts) if isinstance(class_texts, str) else f"a {type(class_texts).__name__}"
        raise ValueError(
            "`class_texts` must be 'auto', None, 'labels', a dict from labels to texts or vectors, or an array of "
            f"shape (n_classes, n_features), got {given}.{did_you_mean(class_texts, ['auto', 'labels'])}"
        )
    _check_finite(vectors, "")


def is_auto(class_texts):
    """Whether names are read only where they say something and can be embedded."""
    return isinstance(class_texts, str) and class_texts == "auto"


def texts_in_use(class_texts, classes, *, names_can_be_read):
    """The parameter, or what "auto" comes down to: a dict from labels to their names, or None."""
    if not is_auto(class_texts):
        return class_texts
    labels = classes.tolist()
    names = label_names(labels) if names_can_be_read else None
    return None if names is None else dict(zip(labels, names))


def holds_texts(class_texts):
    """Whether an encoder is needed to make vectors of the names; "auto" does without."""
    if is_auto(class_texts):
        return False
    if isinstance(class_texts, Mapping):
        return any(isinstance(entry, tuple) for entry in map(_entry, class_texts.items()))
    return isinstance(class_texts, str)


def class_entries(class_texts, classes):
    """What is known of every class, in the order of the classes.

    Texts (a tuple) or vectors (n_vectors, n_features), one entry for each class; None if the parameter is None.
    """
    if class_texts is None:
        return None
    labels = classes.tolist()
    if isinstance(class_texts, str):
        return [(str(label),) for label in labels]
    if isinstance(class_texts, Mapping):
        missing = [label for label in labels if label not in class_texts]
        if missing:
            raise ValueError(
                f"`class_texts` has no entry for the classes {missing[:5]}. Give every class a text or a vector."
            )
        extra = [label for label in class_texts if label not in labels]
        if extra:
            raise ValueError(
                f"`class_texts` names classes that `classes` does not list: {extra[:5]}. The classes are {labels[:10]}."
            )
        return [_entry((label, class_texts[label])) for label in labels]
    vectors = _as_numbers(class_texts)
    if len(vectors) != len(labels):
        raise ValueError(
            f"`class_texts` has {len(vectors)} rows, and there are {len(labels)} classes: {labels[:10]}. "
            "Give one vector for each class, in sorted order; list classes without a row in `classes`."
        )
    return [vector[None] for vector in vectors]


def texts_of(entries):
    """Texts in what is known of the classes."""
    texts = (text for entry in entries or [] if isinstance(entry, tuple) for text in entry)
    return list(dict.fromkeys(texts))


def embed_names(entries, encoder, embedded):
    """Vectors of all texts, those of earlier calls reused.

    A dict from texts to vectors (n_features,). The encoder is fitted, and not used where there is no new text.
    """
    new = [text for text in texts_of(entries) if text not in embedded]
    if not new:
        return embedded
    try:
        vectors = encoder.transform(new)
    except _REFUSALS as error:
        if type(encoder).__module__.startswith("skicl.") or isinstance(error, NotFittedError):
            raise
        raise ValueError(_no_texts(encoder, str(error).partition("\n")[0])) from error
    return embedded | dict(zip(new, check_encoded(encoder, vectors)))


def name_vectors(entries, encoder, embedded, n_features, *, needed):
    """Vectors of all texts, a dict, and of the classes (C, D).

    Names that are not `needed` are left out, None for the classes, where the encoder has no vectors of them, with a
    warning, or knows no word of one: bags of words then have nothing but zeros for it.
    """
    try:
        every = embed_names(entries, encoder, embedded)
        names = class_vectors(entries, every, n_features)
        knows_all = names is None or names.any(axis=1).all()
        return every, names if needed or knows_all else None
    except _REFUSALS as error:
        if needed:
            raise
        warn_user(
            f"The names of the classes were not used: `encoder` {type(encoder).__name__} gave no vectors of them "
            f"({str(error).partition(chr(10))[0]:.200}). class_texts=None says that they play no part; a dict of "
            "`class_texts` describes the classes in another way."
        )
        return embedded, None


def class_vectors(entries, embedded, n_features):
    """One vector for each class: the mean of what is known of it.

    (n_classes, n_features) from the vectors of their texts; `n_features` is that of the rows, or None without rows.

    >>> import numpy as np
    >>> from skicl._tart._class_texts import class_vectors
    >>> class_vectors([("a", "b"), np.ones((1, 2))], {"a": np.zeros(2), "b": np.ones(2)}, 2)
    array([[0.5, 0.5], [1. , 1. ]])
    """
    if entries is None:
        return None
    rows = [np.stack([embedded[text] for text in entry]) if isinstance(entry, tuple) else entry for entry in entries]
    widths = sorted({row.shape[1] for row in rows} | ({n_features} if n_features is not None else set()))
    if len(widths) > 1:
        raise ValueError(_different_widths(widths))
    return np.stack([row.astype(np.float64).mean(axis=0) for row in rows])


def nearest_name(X, vectors):
    """Log-probabilities from the names alone, up to a constant: scaled cosines.

    Shapes: X (n_samples, n_features), vectors (n_classes, n_features); returns (n_samples, n_classes).
    """
    if X.shape[1] != vectors.shape[1]:
        raise ValueError(_different_widths([vectors.shape[1], X.shape[1]]))
    return SHARPNESS * unit_rows(X.astype(np.float64))[0] @ unit_rows(vectors)[0].T


def _no_texts(encoder, reason):
    return (
        f"`class_texts` holds texts, which are embedded by `encoder`, and `encoder` {type(encoder).__name__} does "
        f"not read a list of texts ({reason}). Give `class_texts` one vector for each class, in the coordinates of "
        "its output, or use an encoder of texts."
    )


def _different_widths(widths):
    return (
        f"`class_texts` and the rows have vectors of different numbers of features: {widths}. Make all of them "
        "with the same encoder."
    )


def _entry(item):
    """One class in a dict: its texts as a tuple, or its vectors as an array of shape (n_vectors, n_features)."""
    label, value = item
    if isinstance(value, str):
        return (str(value),)
    if isinstance(value, list | tuple) and len(value) and all(isinstance(text, str) for text in value):
        return tuple(str(text) for text in value)
    vectors = _as_numbers(value)
    if vectors is None or vectors.ndim not in (1, 2) or not vectors.size:
        raise ValueError(
            f"`class_texts` holds {value!r:.60} for the class {label!r}: expected a text, a list of texts or a vector."
        )
    _check_finite(vectors, f" for the class {label!r}")
    return np.atleast_2d(vectors)


def _as_numbers(value):
    """An array of float64, or None where the value holds no numbers."""
    try:
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "fiu" else None
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors of other devices
        return None


def _check_finite(vectors, where):
    if not np.isfinite(vectors).all():
        raise ValueError(f"`class_texts` holds NaN or infinity{where}. Give finite vectors.")
