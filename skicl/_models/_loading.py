"""One way from the parameter `model` to a frozen network: a name, a folder, or a model that the user loaded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from skicl._models._files import BUNDLED_MODELS, folder_state, folder_version, local_folder
from skicl._models._in_memory import LiveModel, LoadedModel, own_memory, shared_from_folder
from skicl._models._precision import resolve_dtype
from skicl._models._quiet_loading import quiet_loading
from skicl._storage._tensors import check_sealed_folder


class UnsuitableModelError(ValueError):
    """The files of a model are sound, but it is of a kind that cannot be used; the message follows its name."""


@dataclass(frozen=True)
class ModelKind:
    """What tells one kind of model from another; everything else about loading is the same for all of them."""

    name: str  # Part of the key in memory: the same files may be loaded as several kinds.
    in_memory: str  # What a model in memory should be, for messages.
    in_folder: str  # What a folder should hold, for messages.
    is_live: Callable[[Any], bool]  # Whether a value is a model in memory, not yet in a handle.
    wrap: Callable[[Any], Any]  # From such a value, the object that encoders use.
    fits: Callable[[Any], bool]  # Whether an object is what `wrap` returns.
    network_of: Callable[[Any], torch.nn.Module]  # What is moved to a device.
    read: Callable[[Path, torch.device, torch.dtype], Any]  # From a folder, an object that fits.
    check: Callable[[Any], None] = lambda model: None  # Refuses networks that cannot be used.
    by_name: str = "a model of transformers"  # What a name or path should denote, for messages.
    variable: str = "network"  # What messages call the network.
    full_name: Callable[[str], str] = str  # The name on the hub.
    passed_on: tuple[type[Exception], ...] = (MemoryError,)  # Errors of `read` that explain themselves.

    def live_handle(self, value: Any) -> Any:
        """The value of `model` as an estimator stores it: a model in memory in a handle, which clones share."""
        return LiveModel(self.wrap(value)) if self.is_live(value) else value

    def check_parameters(self, model: Any, revision: Any, dtype: Any) -> None:
        """Refuse what is neither the name nor the path of a model, nor a model in memory, and options without use."""
        if not isinstance(model, str | os.PathLike | LiveModel):
            raise TypeError(
                f"`model` must be the name or the path of {self.by_name} or {self.in_memory}, got {model!r}."
            )
        if not (revision is None or isinstance(revision, str)):
            raise TypeError(f"`revision` must be a string or None, got {revision!r}.")
        if revision is not None and not isinstance(model, str):
            raise ValueError("`revision` applies to models of the hub only. Set it to None for a path or a live model.")
        if dtype is not None and isinstance(model, LiveModel):
            raise ValueError(
                f"`dtype`={dtype!r} does not apply to a model in memory, which stays as it is. Convert it by "
                f"{self.variable}.to(dtype) and set dtype=None."
            )

    def load(
        self,
        model: str | os.PathLike | LiveModel,
        revision: str | None,
        device: torch.device,
        dtype: str | torch.dtype | None,
        *,
        find: Callable[[str, str | None], Path],
        open_folder: Callable[..., Any] | None = None,
        stay: bool = False,
    ) -> LoadedModel:
        """The model, loaded once in this process for each device and number format; `stay` leaves a live one in place.

        `find` looks for a name and a revision; `open_folder` is called like :meth:`open`, which None means.
        """
        if isinstance(model, LiveModel):
            return self._settle(model, None if stay else device)
        open_folder = self.open if open_folder is None else open_folder
        dtype = resolve_dtype(dtype, device)
        folder = local_folder(model)
        if folder is not None:
            if revision is not None:
                raise ValueError(f"`revision` applies to models of the hub only, and {model!r} is a folder.")
            folder_key = (self.name, str(folder), None, str(device), str(dtype))
            return shared_from_folder(
                folder_key, lambda: folder, lambda place: open_folder(place, device, dtype), folder_version
            )
        name = self.full_name(str(model))
        key = (self.name, name, revision, str(device), str(dtype))
        return shared_from_folder(
            key,
            lambda: find(name, revision),
            lambda place: open_folder(place, device, dtype, name=name),
            folder_state,
        )

    def open(self, folder: Path, device: torch.device, dtype: torch.dtype, *, name: str | None = None) -> Any:
        """The model of a folder, read without printing, in evaluation mode; whatever is wrong is a ValueError."""
        name = name or str(folder)
        if folder in BUNDLED_MODELS.values():
            check_sealed_folder(folder)
        try:
            with quiet_loading(name):
                model = self.read(folder, device, dtype)
        except self.passed_on:
            raise
        except UnsuitableModelError as error:
            raise ValueError(f"`model`={name!r} {error}") from error
        except Exception as error:  # each kind of damage has its own class of error
            raise ValueError(
                f"`model`={name!r} could not be loaded from {folder} ({type(error).__name__}: {error}). "
                f"Expected a folder {self.in_folder}."
            ) from error
        self.check(model)
        own_memory(self.network_of(model)).to(device).eval()
        return model

    def _settle(self, handle: LiveModel, device: torch.device | None) -> LoadedModel:
        """The content of a handle, on the device that was asked for; None leaves it where it is."""
        loaded = handle.loaded
        with loaded.lock:
            if self.is_live(loaded.model):  # the user made the handle
                loaded.model = self.wrap(loaded.model)
            if not self.fits(loaded.model):
                raise TypeError(
                    f"`model` holds an object of type {type(loaded.model).__name__}. Expected {self.in_memory}; use "
                    "any other scikit-learn transformer in place of this encoder."
                )
            self.check(loaded.model)
            network = self.network_of(loaded.model)
            weight = next(network.parameters(), None)
            if device is not None and (weight is None or device != weight.device):
                network.to(device)
            network.eval()
        return loaded


def is_pair(value: Any) -> bool:
    """Whether a value is a pair whose first part is a network."""
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2 and hasattr(value[0], "forward")
    )
