"""From ``X`` to numbers: which encoder, what it may learn from, and errors that say whose fault it is."""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_array, check_is_fitted

from skicl._validation._wording import refuse_misspelt_auto


def choose_encoder(encoder, device, *, of_texts):
    """An encoder that nobody else uses, not fitted; None where numbers are used as they are."""
    if encoder is None or (isinstance(encoder, str) and encoder == "auto" and not of_texts):
        return None
    if isinstance(encoder, str):
        from skicl.encoders import SentenceEncoder

        if encoder != "auto":
            refuse_misspelt_auto(encoder)
        model = {} if encoder == "auto" else {"model": encoder}
        return SentenceEncoder(**model, layers="auto", device=device)
    return clone(encoder)


def fit_encode(encoder, rows, labels, labelled):
    """Fit an encoder and encode the rows (Rows) that it was fitted on: (n, D).

    An encoder that learns from labels is fitted on the labelled rows; any other on all of them.
    """
    if labelled.all():
        return _fit_transform(encoder, rows.data, labels)
    if not learns_from_labels(encoder):
        return _fit_transform(encoder, rows.data, None)
    if not labelled.any():
        raise ValueError(
            f"`encoder` {type(encoder).__name__} learns from labels, and no row has one. Label some rows, "
            "or wrap a fitted encoder in a FrozenEstimator."
        )
    known = check_encoded(encoder, _fit_transform(encoder, rows.take(np.flatnonzero(labelled)), labels))
    unknown = check_encoded(encoder, encoder.transform(rows.take(np.flatnonzero(~labelled))))
    encoded = np.empty((len(labelled), known.shape[1]), dtype=np.result_type(known, unknown))
    encoded[labelled], encoded[~labelled] = known, unknown
    return encoded


def fit_on_texts(encoder, texts):
    """Fit an encoder where there are no rows: on the texts of the classes, unless it needs no fit."""
    try:
        check_is_fitted(encoder)
    except NotFittedError:
        if not texts or learns_from_labels(encoder):
            raise ValueError(
                f"`encoder` {type(encoder).__name__} is not fitted, and there are no rows to fit it on. "
                "Wrap a fitted one in a FrozenEstimator, or give rows."
            ) from None
        encoder.fit(texts)


def learns_from_labels(encoder):
    """Whether a transformer, or anything inside of it, needs ``y`` to be fitted, by its tags.

    >>> from sklearn.decomposition import PCA
    >>> from sklearn.neighbors import NeighborhoodComponentsAnalysis
    >>> from sklearn.pipeline import make_pipeline
    >>> from skicl._tart._encoding import learns_from_labels
    >>> learns_from_labels(PCA()), learns_from_labels(make_pipeline(PCA(), NeighborhoodComponentsAnalysis()))
    (False, True)
    """
    parts = encoder.get_params(deep=True).values() if hasattr(encoder, "get_params") else []
    estimators = [part for part in (encoder, *parts) if isinstance(part, BaseEstimator)]
    return any(get_tags(part).target_tags.required for part in estimators)


def reads_texts(encoder):
    """Whether an encoder turns texts into vectors: a name of a model, or a transformer that says so by its tags.

    A pipeline reads what its first step reads, and a union what all its parts read; neither has the tag itself.

    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.decomposition import TruncatedSVD
    >>> from sklearn.pipeline import make_pipeline
    >>> from skicl._tart._encoding import reads_texts
    >>> reads_texts(make_pipeline(TfidfVectorizer(), TruncatedSVD())), reads_texts(TruncatedSVD())
    (True, False)
    """
    if isinstance(encoder, str):
        return True
    if isinstance(encoder, FrozenEstimator):
        return reads_texts(encoder.estimator)
    if isinstance(encoder, Pipeline):
        steps = [step for _, step in encoder.steps if step is not None and not isinstance(step, str)]
        return bool(steps) and reads_texts(steps[0])
    if isinstance(encoder, FeatureUnion):
        parts = [part for _, part in encoder.transformer_list if not (isinstance(part, str) and part == "drop")]
        return bool(parts) and all(not isinstance(part, str) and reads_texts(part) for part in parts)
    try:
        return hasattr(encoder, "__sklearn_tags__") and get_tags(encoder).input_tags.string
    except AttributeError:  # half an estimator
        return False


def check_encoded(encoder, X):
    """Refuse what is no dense array of numbers, and blame the encoder.

    Returns (n_samples, n_features), in float64 or float32.
    """
    if hasattr(X, "toarray"):
        raise TypeError(
            f"`encoder` {type(encoder).__name__} gave a sparse matrix; TartClassifier needs dense "
            "vectors. Add a TruncatedSVD after it in a pipeline."
        )
    return check_array(X, dtype=[np.float64, np.float32], input_name=f"the output of {type(encoder).__name__}")


def _fit_transform(encoder, X, y):
    if hasattr(encoder, "fit_transform"):
        return encoder.fit_transform(X, y)
    return encoder.fit(X, y).transform(X)  # FrozenEstimator
