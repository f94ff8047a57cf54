"""What surrounds a call: the device, packages that may be missing, the line of the user that a warning is for."""

import sys
import warnings
from importlib import import_module

from skicl._validation._wording import did_you_mean

# Packages whose frames are not the user's; contextlib calls what stands behind a `with`.
_LIBRARIES = {"skicl", "sklearn", "joblib", "contextlib"}
_FALLBACK = "Use device=None to take the best device present, or device='cpu'."


def resolve_device(device=None):
    """Return the :class:`torch.device` to compute on.

    >>> from skicl._validation._environment import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if _has_mps(torch) else "cpu"
    if not isinstance(device, str | torch.device):
        raise TypeError(
            f"`device` must be None, a string or a torch.device, got {type(device).__name__} ({device!r}). "
            "Use device=None to take the best device present."
        )
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        meant = " Did you mean 'cuda'?" if device.lower() == "gpu" else did_you_mean(device, ("cpu", "cuda", "mps"))
        raise ValueError(
            f"`device`={device!r} is not a device PyTorch knows.{meant} Expected None, 'cpu', 'cuda', 'cuda:<index>' "
            "or 'mps'."
        ) from error
    if resolved.type == "cuda":
        return _resolve_cuda(resolved, torch)
    if resolved.type == "mps":
        if not _has_mps(torch):
            raise ValueError(f"`device`={device!r} needs Apple's Metal backend, which is not present. {_FALLBACK}")
        return resolved
    try:
        torch.empty(0, device=resolved).cpu()
    except MemoryError:
        raise
    except Exception as error:  # backends report their absence each in its own way, some in a page of text
        reason = str(error).partition("\n")[0][:100]
        raise ValueError(f"`device`={device!r} cannot be used on this machine ({reason}). {_FALLBACK}") from error
    return resolved


def import_optional(module, *, extra=None, needed="here", instead=""):
    """Import a module that an extra of skicl installs, or (without one) the user; the error holds the install line.

    It also says where the module is `needed` (``"for `as_frame=True`"``), and what can be done `instead`.

    An error inside an installed module is passed on as it is.

    >>> from skicl._validation._environment import import_optional
    >>> import_optional("json", extra="offline").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        install = package if extra is None else f'"skicl[{extra}]"'
        raise ImportError(
            f"The package {package!r} is needed {needed} and is not installed. Install it with: pip install {install}"
            + (f". {instead}" if instead else "")
        ) from error


def warn_user(message, category=UserWarning):
    """Warn at the line that called skicl, however deep the warning arises and whatever wraps the call.

    >>> import warnings
    >>> from skicl._validation._environment import warn_user
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_user("The texts were cut.")
    >>> str(caught[0].message)
    'The texts were cut.'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _has_mps(torch):
    return torch.backends.mps.is_available()


def _resolve_cuda(device, torch):
    if not torch.cuda.is_available():
        raise ValueError(f"`device`='{device}' was asked for, but PyTorch finds no CUDA device. {_FALLBACK}")
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise ValueError(
            f"`device`='{device}' was asked for, but PyTorch finds only {torch.cuda.device_count()} CUDA "
            f"device(s), numbered from 0. {_FALLBACK}"
        )
    return torch.device("cuda", index)
