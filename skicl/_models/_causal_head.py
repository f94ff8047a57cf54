"""The head of a causal language model, put on a network that encoders share, so that no model is in memory twice."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from skicl._models._in_memory import LiveModel, LoadedModel, own_memory
from skicl._models._language_model import body_of, load_language_model
from skicl._models._quiet_loading import quiet_loading

# How often both are loaded anew where the files change in between.
_TRIES = 5


def load_causal_model(
    model: str | os.PathLike | LiveModel,
    revision: str | None,
    device: torch.device,
    dtype: str | torch.dtype | None,
    *,
    stay: bool = False,
) -> LoadedModel:
    """A causal language model with its head, loaded once for all encoders and classifiers of this process.

    The attribute ``whole`` of the LanguageModel is the network with the head; what is below the head is the same object
    as ``network``. `stay` leaves a live model on its device. Raises ConnectionError without the model and the hub,
    ValueError for what is no causal language model.
    """
    for _ in range(_TRIES):
        loaded = load_language_model(model, revision, device, dtype, stay=stay)
        with loaded.lock:
            whole = loaded.model.whole
            if whole.get_output_embeddings() is None:
                if isinstance(model, LiveModel):
                    raise ValueError(
                        f"`model` holds a network without a head ({type(whole).__name__}), which gives no "
                        "probabilities of tokens. Load it with AutoModelForCausalLM."
                    )
                whole = put_head_on(loaded.model.network, Path(loaded.folder or model), str(model))
                if load_language_model(model, revision, device, dtype) is not loaded:
                    continue  # the files have changed: the head is not that of the body
                loaded.model.whole = whole
            return _checked_causal(loaded)
    raise OSError(f"The files of `model`={str(model)!r} changed while it was loaded. Wait until they are complete.")


def _checked_causal(loaded: LoadedModel) -> LoadedModel:
    """The loaded model, if it is a causal one, with its head where its body is."""
    whole = loaded.model.whole
    if not loaded.model.causal:
        raise ValueError(
            f"`model` ({whole.config.model_type}) lets tokens see what follows them, as a masked language model does. "
            "Expected a causal one, which predicts the next token."
        )
    # Encoders move what is below the head only; a model spread over devices stays as it is.
    here = whole.get_output_embeddings().weight.device
    if here != loaded.model.network.device and getattr(whole, "hf_device_map", None) is None:
        whole.to(loaded.model.network.device)
    whole.eval()
    _ = loaded.model.rows.manner  # a network that goes by chance is refused
    return loaded


def put_head_on(network: Any, folder: Path, name: str) -> Any:
    """A causal language model around a network, of which only the head is read from the files of the same model.

    In evaluation mode; what is below the head is `network` itself. `name` is for messages. A ValueError where
    transformers has no causal language model of this kind.
    """
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            whole = AutoModelForCausalLM.from_config(network.config)
        _replace_body(whole, network)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`model`={name!r} is no causal language model of transformers ({type(network).__name__}): {error}"
        ) from error
    whole.tie_weights()
    missing = [key for key, value in whole.state_dict().items() if value.is_meta]
    tensors = _read_tensors(folder, missing)
    if len(tensors) < len(missing):  # weights in another format, or under other names
        with quiet_loading(name):
            whole = AutoModelForCausalLM.from_pretrained(str(folder), dtype=network.dtype, local_files_only=True)
        _replace_body(own_memory(whole), network)
    else:
        for key, value in tensors.items():
            owner, _, last = key.rpartition(".")
            own = value.to(network.device, network.dtype, copy=True)  # not the memory map of the file
            parameter = torch.nn.Parameter(own, requires_grad=False)
            setattr(whole.get_submodule(owner), last, parameter)
    return whole.to(network.device).eval()


def _replace_body(whole: Any, network: Any) -> None:
    """Put a network in the place of what is below the head."""
    name, body = body_of(whole)
    if name is None or type(body) is not type(network):
        raise TypeError(f"its body is a {type(body).__name__}")
    setattr(whole, name, network)


def _read_tensors(folder: Path, keys: list[str]) -> dict[str, torch.Tensor]:
    """Those tensors of a model that its .safetensors files hold under these names."""
    from safetensors import safe_open

    index = folder / "model.safetensors.index.json"
    if index.is_file():
        place = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    else:
        place = {key: "model.safetensors" for key in keys}
    tensors = {}
    for key in keys:
        file = folder / place.get(key, "")
        if file.is_file():
            with safe_open(file, framework="pt") as content:
                if key in content.keys():
                    tensors[key] = content.get_tensor(key)
    return tensors
