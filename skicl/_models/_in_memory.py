"""The one cache of loaded models of this process, and the handle of a model that the user loaded."""

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from skicl._models._weight_marks import weight_marks
from skicl._process_lock import ProcessLock

if TYPE_CHECKING:
    import torch

# Settings of a tokenizer of transformers.
_SET_BY_EVERY_CALL = {"padding": None, "truncation": None}
# How often something is tried that others may undo meanwhile.
_TRIES = 5

_LOADED: dict[tuple, Any] = {}
# Held while a model is looked up and loaded, so that no thread loads what another is loading.
_LOADING = ProcessLock()


class LoadedModel:
    """A model in memory, with the lock to hold while using it.

    `version` tells that the files behind the key have changed, and is compared for equality; `live` is true where
    others have the model in their hands too and may change its weights; `folder` is where it was loaded from; `layers`
    is what was found out about its layers.
    """

    __slots__ = ("_lock", "digests", "folder", "layers", "live", "model", "version")

    def __init__(self, model: Any, version: Any = None, *, live: bool = False, folder: Path | None = None) -> None:
        self.model = model
        self.version = version
        self.live = live
        self.folder = folder
        self.digests: dict[tuple, Any] = {}
        self.layers: Any = None
        self._lock = ProcessLock()

    @property
    def lock(self) -> Any:
        """The lock to hold while using the model."""
        return self._lock.own()

    @property
    def interrupted(self) -> bool:
        """Whether a thread of the process that forked this one was using the model and left it half-way."""
        return self._lock.interrupted


def shared_model(key: tuple, load: Callable[[], Any], *, version: Any = None) -> LoadedModel:
    """Return the model of a key, loading it only if this process has not done so.

    All encoders, clones and folds of a process share what is returned. Two threads that ask for the same model
    at the same time get one copy.

    Parameters
    ----------
    key : tuple
        All that tells two models apart: kind, name, revision, device.
    load : callable
        Called without arguments to load the model if it is not there. If it raises, nothing is kept. What it returns
        must not lie in the memory map of a file, or whoever writes to the file changes the model.
    version : object, default=None
        State of the files behind the key. If it differs from the one kept, the model is loaded again and
        replaces the old one. A callable without arguments gives the state: it is called again after loading, and if
        the files have changed meanwhile, the model is loaded again.

    Returns
    -------
    loaded : LoadedModel
        The model and its lock.

    Raises
    ------
    OSError
        If the files changed every time the model was loaded.

    Examples
    --------
    >>> from skicl._models._in_memory import shared_model
    >>> first = shared_model(("example", "cpu"), lambda: object())
    >>> shared_model(("example", "cpu"), lambda: object()) is first
    True
    """
    return _shared(key, load, version if callable(version) else lambda: version)


def _shared(key: tuple, load: Callable[[], Any], state: Callable[[], Any], folder: Path | None = None) -> LoadedModel:
    """The model of a key and a state, loaded if it is not there, and again while the state changes."""
    now = state()
    loaded = _LOADED.get(key)
    if _is_current(loaded, now):
        return loaded
    with _LOADING.own():
        for _ in range(_TRIES):
            loaded = _LOADED.get(key)
            if not _is_current(loaded, now):
                loaded = LoadedModel(load(), now, folder=folder)
            before, now = now, state()
            if now == before:
                _LOADED[key] = loaded
                return loaded
    raise OSError(
        f"The files of the model {key[:2]} changed while it was loaded, {_TRIES} times. Wait until they are complete."
    )


def _is_current(loaded: LoadedModel | None, version: Any) -> TypeGuard[LoadedModel]:
    """Whether a model is there, of this version, and not left half-way by a thread of the process that forked."""
    return loaded is not None and loaded.version == version and not loaded.interrupted


def shared_from_folder(
    key: tuple, find: Callable[[], str | Path], open_folder: Callable[[Path], Any], state: Callable[[Path], Any]
) -> LoadedModel:
    """The model of a key, loaded from the folder that ``find()`` gives, and again when the files there have changed.

    ``open_folder(folder)`` loads it, ``state(folder)`` tells that files have changed; `find` is called where no folder
    is known yet, or its files have changed.
    """
    known: LoadedModel | None = _LOADED.get(key)
    if known is not None and known.folder is not None and not known.interrupted:
        # A folder may be gone: of the cache of the hub, where others tidied up.
        if not known.folder.is_dir() or known.version == state(known.folder):
            return known
    folder = Path(find())
    return _shared(key, lambda: open_folder(folder), lambda: state(folder), folder)


def version_of(model: Any) -> str | None:
    """What tells the files of a loaded model from others, on every machine; None where nothing does."""
    version = getattr(model, "version", None)
    return version if isinstance(version, str) else None


def own_memory(module: "torch.nn.Module") -> "torch.nn.Module":
    """Move the weights of a module that was just loaded out of the memory maps of its files; tied weights stay tied.

    Loaders map files instead of reading them. Whoever overwrites such a file changes the weights of the network that
    is in memory, and whoever truncates it ends the process. Weights that are not on the CPU are copies already.
    """
    import torch

    with torch.no_grad():
        for tensor in {id(t): t for t in (*module.parameters(), *module.buffers())}.values():
            if tensor.device.type == "cpu":
                tensor.data = tensor.data.clone()
    return module


def weights_digest(loaded: LoadedModel, *parts: Any) -> str:
    """A checksum, of 32 hexadecimal digits, of all that a model computes with, wherever it was loaded from.

    Computed once and kept in `loaded`; of a live model, again whenever its options, its tokenizer or the marks of its
    weights show that it has changed (see :func:`~skicl._models._weight_marks.weight_marks` for what that takes). Of a
    module count its structure, its configuration and its weights, but not the device; of tokenizers and processors
    their settings and vocabulary.
    """
    key = tuple(part if isinstance(part, str) else id(part) for part in parts)
    with loaded.lock:
        for _ in range(_TRIES):
            state = tuple(state_of(part) for part in parts) if loaded.live else None
            state_then, digest = loaded.digests.get(key, (None, None))
            if digest is not None and state_then == state:
                return digest
            total = sha256()
            for part in parts:
                for content in _contents(part):
                    # The lengths keep the borders of the parts apart.
                    total.update(len(content).to_bytes(8, "big"))
                    total.update(content)
            # Nothing holds back a thread that trains a live model; its next state must not get this checksum.
            if state is None or state == tuple(state_of(part) for part in parts):
                loaded.digests[key] = state, total.hexdigest()[:32]
                return total.hexdigest()[:32]
    raise RuntimeError(CHANGING)


def quick_digest(loaded: LoadedModel, network: "torch.nn.Module") -> str:
    """A checksum of a network, from the marks of its weights: quicker than :func:`weights_digest`, on a GPU too.

    Of 32 hexadecimal digits; it depends on the number format too. Kept in `loaded` unless that is live.
    """
    with loaded.lock:
        key = ("marks", id(network))
        digest = None if loaded.live else loaded.digests.get(key)
        if digest is None:
            digest = loaded.digests[key] = sha256(repr(state_of(network)).encode()).hexdigest()[:32]
        return digest


CHANGING = (
    "A model in memory was changed while it was in use, several times. Encode when its training is "
    "over, or set cache=None."
)


def state_of(part: Any) -> tuple:
    """Something to compare for equality that changes with a part of a model, quicker than its checksum."""
    options = tuple(_options(part))
    if hasattr(part, "state_dict"):
        return options, weight_marks(part)
    backend = part if hasattr(part, "to_str") else getattr(part, "backend_tokenizer", None)
    if backend is not None:
        text = backend.to_str()
        # What every call sets stands first.
        return options, sha256(text[max(text.find('"added_tokens":'), 0) :].encode()).digest()
    return (*options, *_contents(part))


def _options(part: Any) -> Iterator[bytes]:
    """The bytes that identify a part but for its weights or its vocabulary."""
    if hasattr(part, "state_dict"):
        yield repr(part).encode()
        for module in part.modules():
            if hasattr(module, "config") and hasattr(module.config, "to_dict"):
                yield _settings(module.config.to_dict())
            if hasattr(module, "_active_adapter"):  # of peft
                options = [getattr(module, name, None) for name in ("_active_adapter", "_disable_adapters", "scaling")]
                yield repr(options).encode()
    elif isinstance(part, str):
        yield part.encode()
    elif hasattr(part, "get_vocab"):
        sides = [getattr(part, side, None) for side in ("padding_side", "truncation_side", "model_max_length")]
        special = getattr(part, "special_tokens_map", None)
        size = part.get_vocab_size() if special is None else len(part)
        yield f"{type(part).__name__} {size} {sides} {special}".encode()
    elif not hasattr(part, "to_str"):
        yield type(part).__name__.encode() + _settings(part.to_dict())


def _contents(part: Any) -> Iterator[Any]:
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


def _settings(values: dict) -> bytes:
    """The bytes of settings, without where files lie and who wrote them, which changes no vector."""
    kept = {key: value for key, value in values.items() if key not in ("_name_or_path", "transformers_version")}
    return json.dumps(kept, sort_keys=True, default=str).encode()


def clear_model_cache() -> None:
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
    with _LOADING.own():
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

    def __init__(self, model: Any) -> None:
        self.model = model
        self.loaded = LoadedModel(model, live=True)

    def checksum(self) -> str:
        """A checksum of the weights as they are now.

        Returns
        -------
        checksum : str
            Of 32 hexadecimal digits; empty where the model is no torch module and holds none.
        """
        model = self.model[0] if isinstance(self.model, Sequence) else getattr(self.model, "network", self.model)
        return weights_digest(self.loaded, model) if hasattr(model, "state_dict") else ""

    def __sklearn_clone__(self) -> Self:
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict) -> Self:
        return self

    def __reduce__(self) -> Any:
        raise PicklingError(
            f"A live {type(self.model).__name__} is not pickled with an encoder: its weights would be stored, or sent "
            "to every worker. Save it to a folder, model.save('path/to/folder'), and use model='path/to/folder'."
        )

    def __repr__(self) -> str:
        return f"LiveModel({type(self.model).__name__})"
