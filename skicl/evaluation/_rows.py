"""Rows of any kind: told apart by a fingerprint, encoded once."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from numbers import Number

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import get_tags

from skicl._storage._digests import content_checksum

# Parameters of an encoder that change how fast it works and not its vectors.
_OF_SPEED = frozenset({"batch_size", "cache", "device", "n_jobs", "verbose"})


class EncodedRows:
    """Vectors of the rows of a train and a test part, made when they are first asked for.

    The encoder is cloned and fitted on the train part, without labels. `X_test` is `X_train` itself where queries come
    out of it.
    """

    def __init__(self, encoder, X_train, X_test):
        self.encoder = encoder
        self.X_train = X_train
        self.X_test = X_test
        self._vectors = None

    def parts(self):
        """Vectors of both parts."""
        if self._vectors is None:
            encoder = clone(self.encoder)
            train = encoder.fit_transform(self.X_train)
            self._vectors = train, train if self.X_test is self.X_train else encoder.transform(self.X_test)
        return self._vectors


def check_encoder(encoder):
    """Refuse what is no transformer, or learns from labels."""
    if isinstance(encoder, type) or not hasattr(encoder, "fit_transform") or not hasattr(encoder, "transform"):
        raise TypeError(
            f"`encoder` must be a transformer, such as skicl.SentenceEncoder(), got {encoder!r}; or leave it out and "
            "pass vectors as `X`."
        )
    if get_tags(encoder).target_tags.required:
        raise ValueError(
            f"`encoder` {type(encoder).__name__} learns from labels, and would see those of all rows here. Put it in "
            "a pipeline with each estimator instead: it is then fitted on every context alone."
        )


def describe_encoder(encoder):
    """What may change the vectors of an encoder, as a text that is the same in another process.

    It holds the class and the parameters: of functions and classes among them the name, of other objects the class, of
    a `model` in a folder or in memory a checksum. It is empty for None. Results files hold a digest of this text, so it
    must not change.
    """
    if encoder is None:
        return ""
    parameters = encoder.get_params(deep=False) if hasattr(encoder, "get_params") else {}
    settings = [f"{name}={_describe(value)}" for name, value in sorted(parameters.items()) if name not in _OF_SPEED]
    model = parameters.get("model")
    if hasattr(model, "checksum"):  # in memory
        settings.append(f"checksum={model.checksum()}")
    elif isinstance(model, str | os.PathLike) and os.path.isdir(model):  # its files may be others tomorrow
        settings.append(f"checksum={content_checksum(model)}")
    return f"{type(encoder).__module__}.{type(encoder).__qualname__}({', '.join(settings)})"


def _describe(value):
    """A parameter of an encoder as a text that is the same in another process."""
    if isinstance(value, BaseEstimator):
        return describe_encoder(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_describe, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_describe(key)}: {_describe(item)}' for key, item in value.items())}}}"
    if isinstance(value, np.ndarray):
        return f"array {fingerprint(value)}"
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if callable(value) and hasattr(value, "__name__"):  # a function or class: np.log and np.sqrt differ
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
    plain = value is None or isinstance(value, str | bytes | bool | Number) or type(value).__name__ == "dtype"
    return repr(value) if plain else type(value).__qualname__


def fingerprint(*parts):
    """Short digest of arrays, frames and lists: equal for equal values on every machine, 16 hexadecimal digits.

    The parts hold numbers, texts, images (anything with ``tobytes``) or arrays of different shapes. Results files hold
    the digests, so they must not change.
    """
    digest = blake2b(digest_size=8)
    for part in parts:
        _add(digest, part)
    return digest.hexdigest()


def _add(digest, part):
    """Feed values of any kind to a digest, after their shape."""
    if hasattr(part, "tocsr"):
        part = part.tocsr().sorted_indices()
        for values in (np.array(part.shape), part.indptr, part.indices, part.data):
            _add(digest, values)
        return
    values = _as_array(part)
    digest.update(f"{values.shape}".encode())
    if values.dtype.kind in "biufc":
        digest.update(values.dtype.newbyteorder("<").str.encode())
        digest.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes())
        return
    for item in values.ravel():
        if isinstance(item, np.ndarray):
            _add(digest, item)
        elif isinstance(item, Mapping):  # a recording and its rate
            for key, value in item.items():
                _add(digest, [key])
                _add(digest, value)
        else:
            as_bytes = hasattr(item, "tobytes") and not isinstance(item, str)
            content = item.tobytes() if as_bytes else str(item).encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)


def _as_array(part):
    """Values as an array; items of different shapes as an array of objects."""
    if isinstance(part, list | tuple) and any(not isinstance(item, str | Number) for item in part):
        items = np.empty(len(part), dtype=object)  # images and recordings of different sizes fit in no array
        items[:] = [np.asarray(item) if isinstance(item, list | tuple) else item for item in part]
        rectangular = all(isinstance(item, np.ndarray) for item in items) and len({item.shape for item in items}) == 1
        return np.asarray(part) if rectangular else items
    return np.asarray(part)
