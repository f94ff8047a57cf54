"""The one cache of loaded models of this process, and the handle of a model that the user loaded."""

import json
from hashlib import sha256
from pickle import PicklingError

from skicl._process_lock import ProcessLock

# Of a tokenizer of transformers.
_SET_BY_EVERY_CALL = {"padding": None, "truncation": None}

_LOADED = {}
# Held while a model is looked up and loaded, so that no thread loads what another is loading.
_LOADING = ProcessLock()


class LoadedModel:
    """A model in memory, with the lock to hold while using it.

    Parameters
    ----------
    model : object
        The model.
    version : object, default=None
        What tells that the files behind the key have changed; compared for equality.
    live : bool, default=False
        Whether others have the model in their hands too and may change its weights.
    """

    __slots__ = ("digest", "live", "lock", "model", "version")

    def __init__(self, model, version=None, *, live=False):
        self.model = model
        self.version = version
        self.live = live
        self.digest = None
        self.lock = ProcessLock()


def shared_model(key, load, *, version=None):
    """Return the model of a key, loading it only if this process has not done so.

    All encoders, clones and folds of a process share what is returned. Two threads that ask for the same model
    at the same time get one copy.

    Parameters
    ----------
    key : tuple
        All that tells two models apart: kind, name, revision, device.
    load : callable
        Called without arguments to load the model if it is not there. If it raises, nothing is kept.
    version : object, default=None
        State of the files behind the key. If it differs from the one kept, the model is loaded again and
        replaces the old one.

    Returns
    -------
    loaded : LoadedModel
        The model and its lock.

    Examples
    --------
    >>> from skicl.encoders._weights import shared_model
    >>> first = shared_model(("example", "cpu"), lambda: object())
    >>> shared_model(("example", "cpu"), lambda: object()) is first
    True
    """
    loaded = _LOADED.get(key)
    if _is_current(loaded, version):
        return loaded
    with _LOADING:
        loaded = _LOADED.get(key)
        if not _is_current(loaded, version):
            loaded = _LOADED[key] = LoadedModel(load(), version)
        return loaded


def _is_current(loaded, version):
    """Whether a model is there, of this version, and not left half-way by a thread of the process that forked."""
    return loaded is not None and loaded.version == version and not loaded.lock.interrupted


def weights_digest(loaded, *parts):
    """A checksum of all that a model computes with, wherever it was loaded from.

    Computed once; of a live model, again whenever its options or the sums of its weights show that it has changed.

    Parameters
    ----------
    loaded : LoadedModel
        The model; the checksum is kept in it.
    *parts : torch.nn.Module, tokenizer, processor or str
        What it consists of. Of a module count its structure, its configuration and its weights, but not the device;
        of tokenizers and processors their settings and vocabulary.

    Returns
    -------
    digest : str
        Of 32 hexadecimal digits.

    Examples
    --------
    >>> import torch
    >>> from skicl.encoders._weights import LoadedModel, weights_digest
    >>> one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    >>> weights_digest(LoadedModel(one), one) == weights_digest(LoadedModel(other), other)
    False
    """
    with loaded.lock:
        state = tuple(_state(part) for part in parts) if loaded.live else None
        if loaded.digest is None or loaded.digest[0] != state:
            total = sha256()
            for part in parts:
                for content in _contents(part):
                    # The lengths keep the borders of the parts apart.
                    total.update(len(content).to_bytes(8, "big"))
                    total.update(content)
            loaded.digest = state, total.hexdigest()[:32]
        return loaded.digest[1]


def _state(part):
    """Something that changes with a part, quicker than its checksum: its options and the sums of its weights."""
    options = tuple(_options(part))
    if not hasattr(part, "state_dict"):
        return id(part), options
    import torch

    tensors = part.state_dict().values()
    sums = [tensor.to(torch.float32).sum(dtype=torch.float64).item() for tensor in tensors]
    return id(part), options, tuple(tensor.data_ptr() for tensor in tensors), tuple(sums)


def _options(part):
    """The bytes that identify a part but for its weights or its vocabulary."""
    if hasattr(part, "state_dict"):
        yield repr(part).encode()
        for module in part.modules():
            if hasattr(module, "config") and hasattr(module.config, "to_dict"):
                yield _settings(module.config.to_dict())
    elif isinstance(part, str):
        yield part.encode()
    elif hasattr(part, "get_vocab"):
        sides = [getattr(part, side, None) for side in ("padding_side", "truncation_side", "model_max_length")]
        special = getattr(part, "special_tokens_map", None)
        size = part.get_vocab_size() if special is None else len(part)
        yield f"{type(part).__name__} {size} {sides} {special}".encode()
    elif not hasattr(part, "to_str"):
        yield type(part).__name__.encode() + _settings(part.to_dict())


def _contents(part):
    """The bytes that identify a part, one after the other."""
    yield from _options(part)
    if hasattr(part, "state_dict"):
        import torch

        for name, tensor in part.state_dict().items():
            yield f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode()
            yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    elif hasattr(part, "to_str"):  # of the library tokenizers
        yield part.to_str().encode()
    elif hasattr(part, "get_vocab"):
        backend = getattr(part, "backend_tokenizer", None)
        # Every call leaves its own padding and truncation in the backend, so these two say nothing of the next.
        content = part.get_vocab() if backend is None else {**json.loads(backend.to_str()), **_SET_BY_EVERY_CALL}
        yield _settings(content)


def _settings(values):
    # Where files lie and who wrote them does not change a vector.
    kept = {key: value for key, value in values.items() if key not in ("_name_or_path", "transformers_version")}
    return json.dumps(kept, sort_keys=True, default=str).encode()


def clear_model_cache():
    """Forget all models that encoders have loaded in this process.

    Their memory is free once nobody uses them. Encoders stay usable: they load their model again when needed.

    See Also
    --------
    SentenceEncoder : Loads a model once for all its clones.

    Examples
    --------
    >>> from skicl.encoders import clear_model_cache
    >>> clear_model_cache()
    """
    with _LOADING:
        _LOADED.clear()


class LiveModel:
    """Light handle of a model object, so that scikit-learn does not copy its weights.

    ``sklearn.base.clone`` copies parameters that are not estimators: a grid search of three candidates and five
    folds would make 17 copies of the model. The handle is its own clone. Encoders wrap an object given as
    ``model`` by themselves; wrap it yourself where it stands in a parameter grid.

    Parameters
    ----------
    model : object
        The loaded model, for example a ``SentenceTransformer``.

    Attributes
    ----------
    model : object
        The loaded model.

    See Also
    --------
    SentenceEncoder : Takes a name, a path, a live model or this handle.

    Examples
    --------
    >>> from sklearn.base import clone
    >>> from skicl.encoders import LiveModel
    >>> handle = LiveModel(object())
    >>> clone(handle, safe=False) is handle
    True
    """

    def __init__(self, model):
        self.model = model
        self.loaded = LoadedModel(model, live=True)

    def __sklearn_clone__(self):
        return self

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise PicklingError(
            f"A live {type(self.model).__name__} is not pickled with an encoder: its weights would be stored, or sent "
            "to every worker. Save it to a folder, model.save('path/to/folder'), and use model='path/to/folder'."
        )

    def __repr__(self):
        return f"LiveModel({type(self.model).__name__})"
