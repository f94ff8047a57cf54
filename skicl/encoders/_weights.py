"""The one cache of loaded models of this process, and the handle of a model that the user loaded."""

import threading
from pickle import PicklingError

_LOADED = {}
# Held while a model is looked up and loaded, so that no thread loads what another is loading.
_LOADING = threading.RLock()


class LoadedModel:
    """A model in memory, with the lock to hold while using it.

    Parameters
    ----------
    model : object
        The model.
    version : object, default=None
        What tells that the files behind the key have changed; compared for equality.
    """

    __slots__ = ("lock", "model", "version")

    def __init__(self, model, version=None):
        self.model = model
        self.version = version
        self.lock = threading.RLock()


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
    if loaded is not None and loaded.version == version:
        return loaded
    with _LOADING:
        loaded = _LOADED.get(key)
        if loaded is None or loaded.version != version:
            loaded = _LOADED[key] = LoadedModel(load(), version)
        return loaded


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
        self.loaded = LoadedModel(model)

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
