"""Networks for images and sound with their processors: found, loaded, shared, settled on a device."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from skicl._models._in_memory import LiveModel, LoadedModel
from skicl._models._language_model import find_language_model
from skicl._models._loading import ModelKind, is_pair

# The extras "image" and "audio" install readers of files.
_INSTEAD = "No extra of skicl holds a model of this kind. Or pass a pair (network, processor) in memory."


def processor_kind(model_class: Any) -> ModelKind:
    """How models of a class that is made from a network and a processor are checked and loaded.

    The class has a static method ``open(folder, dtype)``, which reads both parts, and a method ``check``, which refuses
    parts that do not belong to it.
    """

    def read(folder: Path, device: torch.device, dtype: torch.dtype) -> object:
        return model_class.open(folder, dtype)

    return ModelKind(
        name=model_class.__name__,
        in_memory="a pair (network, processor)",
        in_folder="with a network and its processor, both written by save_pretrained of transformers",
        is_live=is_pair,
        wrap=lambda pair: model_class(*pair),
        fits=lambda model: isinstance(model, model_class),
        network_of=lambda model: model.network,
        read=read,
        check=lambda model: model.check(),
        passed_on=(ImportError, MemoryError),
    )


def load_processor_model(
    kind: ModelKind,
    model: str | os.PathLike | LiveModel,
    revision: str | None,
    device: torch.device,
    dtype: str | torch.dtype | None,
    *,
    stay: bool = False,
) -> LoadedModel:
    """The model that a parameter denotes, loaded once in this process; `stay` leaves a live one in place."""
    find = partial(find_language_model, instead=_INSTEAD)
    return kind.load(model, revision, device, dtype, find=find, stay=stay)
