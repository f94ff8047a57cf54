"""Networks for images and sound with their processors: found, loaded, shared, settled on a device."""

from collections.abc import Sequence
from functools import partial

from skicl._models import _language_model as _networks
from skicl._models._in_memory import LiveModel, own_memory
from skicl._models._quiet_loading import quiet_loading

# The extras "image" and "audio" install readers of files.
_INSTEAD = "No extra of skicl holds a model of this kind. Or pass a pair (network, processor) in memory."


def live_handle(value, kind):
    """Put a network and its processor in memory into a handle that clones share; return anything else as it is.

    Parameters
    ----------
    value : object
        What the user gave as `model`.
    kind : type
        :class:`~skicl.encoders._image_networks.ImageModel` or :class:`~skicl.encoders._audio_networks.AudioModel`.

    Returns
    -------
    object
        A :class:`~skicl.encoders.LiveModel` for a pair of a network and a processor.
    """
    return LiveModel(kind(*value)) if _is_pair(value) else value


check_model = partial(_networks.check_model, second="processor")


def load_tower(kind, model, revision, device, dtype, *, stay=False):
    """The model that a parameter denotes, loaded once for all encoders of this process.

    Parameters
    ----------
    kind : type
        What it should be: made from a network and a processor, with a static method ``open(folder, dtype)`` that
        gives them, and a method ``check`` that refuses others.
    model : str, path or LiveModel
        As checked by :func:`check_model`.
    revision : str or None
        Branch, tag or commit on the hub.
    device : torch.device
        Where to put it.
    dtype : str, torch.dtype or None
        Number format; None means the default of the device.
    stay : bool, default=False
        Leave a live model on the device where it is.

    Returns
    -------
    loaded : LoadedModel
        An instance of `kind` and its lock.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached.
    ValueError, TypeError
        If it is no such model.
    """
    if isinstance(model, LiveModel):
        return _settle(model, kind, None if stay else device)
    open_folder = partial(open_tower, kind)
    return _networks.load_once(kind.__name__, model, revision, device, dtype, open_folder, instead=_INSTEAD)


def open_tower(kind, folder, device, dtype, *, name=None):
    """Load a network and its processor from a folder, without printing.

    Parameters
    ----------
    kind : type
        As in :func:`load_tower`.
    folder : Path
        A complete model.
    device : torch.device
        Where to put it.
    dtype : torch.dtype
        Number format of the weights.
    name : str or None, default=None
        The name for messages. None means the folder.

    Returns
    -------
    model : object
        An instance of `kind`, in evaluation mode.

    Raises
    ------
    ValueError, TypeError
        If the folder holds no such model.
    ImportError
        If a package is missing that its processor needs.
    """
    name = name or str(folder)
    try:
        with quiet_loading(name):
            model = kind.open(folder, dtype)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # each kind of damage has its own class of error
        raise ValueError(
            f"`model`={name!r} could not be loaded from {folder} ({type(error).__name__}: {error}). Expected a folder "
            "with a network and its processor, both written by save_pretrained of transformers."
        ) from error
    model.check()
    own_memory(model.network).to(device).eval()
    return model


def _settle(handle, kind, device):
    """The content of a handle, on the device that was asked for; None leaves it where it is."""
    loaded = handle.loaded
    with loaded.lock:
        if _is_pair(loaded.model):  # the user made the handle
            loaded.model = kind(*loaded.model)
        if not isinstance(loaded.model, kind):
            raise TypeError(
                f"`model` holds an object of type {type(loaded.model).__name__}. Expected a pair (network, processor) "
                "of transformers; use any other scikit-learn transformer in place of this encoder."
            )
        loaded.model.check()
        if device is not None:
            loaded.model.network.to(device)
        loaded.model.network.eval()
    return loaded


def _is_pair(value):
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        return False
    return hasattr(value[0], "forward")
