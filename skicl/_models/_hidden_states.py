"""The states between the layers of a sentence model, pooled as the model pools its last ones, from one forward pass.

Where they are is found out by a trial, not by names: of all tensors that pass between the modules of a network, those
that the network itself lists as its hidden states. Afterwards only the modules of the layers asked for are watched,
so that a pass keeps no state that nobody wants, and another thread that uses the same network notices nothing.

Shapes: B texts, T tokens, D features of a state.
"""

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch

from skicl._models._in_memory import LoadedModel
from skicl._models._states import pool

# Where a forward pass that is watched puts the pooled layers, side by side, (B, sum of their features).
POOLED_LAYERS = "skicl_pooled_layers"
_TRIAL_TEXT = "a text"


class Place(NamedTuple):
    """Where one state passes: what a module gives, or gets, in one of its calls within a pass."""

    module: str  # its name in the network of transformers
    call: int  # networks may use one module as several layers
    is_input: bool


class HiddenLayers(NamedTuple):
    """The layers of a sentence model: 0 are the embeddings, `n_layers` is the output of its network of transformers.

    `places` are those of the layers before the last, `widths` the numbers of features of all, pooled. Without layers
    `places` is empty, and `reason` says why.
    """

    places: tuple[Place, ...] = ()
    widths: tuple[int, ...] = ()
    reason: str = ""

    @property
    def n_layers(self) -> int:
        """The number of layers after the embeddings."""
        return len(self.places)


def hidden_layers(loaded: LoadedModel) -> HiddenLayers:
    """The layers of a SentenceTransformer, found by a trial and kept; of a live one until its modules are others."""
    if loaded.layers is not None and not loaded.live:
        return loaded.layers[2]
    network = loaded.model
    with loaded.lock:
        modules = list(network.modules())
        told = [repr(part) for part in network.children() if next(part.parameters(), None) is None]
        known = loaded.layers
        if known is None or known[:2] != (modules, told):
            known = loaded.layers = modules, told, _find(network)
        return known[2]


def _find(network: Any) -> HiddenLayers:
    """The layers of a sentence model, by two short passes: of a copy that is asked for its states, and of itself."""
    inner = getattr(network, "transformers_model", None)
    if not isinstance(inner, torch.nn.Module) or not callable(network.tokenizer):
        return HiddenLayers(reason="it holds no network of transformers in PyTorch")
    try:
        found = HiddenLayers(_find_places(inner, network.tokenizer))
        with watched(network, found, range(found.n_layers + 1)) as widths:
            network.encode([_TRIAL_TEXT], show_progress_bar=False)
    except (MemoryError, torch.cuda.OutOfMemoryError):  # says nothing of the network
        raise
    except Exception as error:
        return HiddenLayers(reason=f"a trial found no states between its layers ({error})")
    return found._replace(widths=tuple(widths))


def _find_places(inner: torch.nn.Module, tokenizer: Any) -> tuple[Place, ...]:
    """Where the states before the last layer of a network pass; a ValueError where one of them is not to be found.

    The trial runs on a copy of the modules that shares the weights: some versions of transformers exchange methods of
    modules to collect states, which other threads would notice, and others leave hooks behind.
    """
    shared = {id(tensor): tensor for tensor in (*inner.parameters(), *inner.buffers())}
    trial = copy.deepcopy(inner, shared)
    tokens = tokenizer([_TRIAL_TEXT], return_tensors="pt")
    device = next(inner.parameters()).device
    inputs = {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}
    given: dict[int, Place] = {}  # by the identity of the state; of several modules the outermost
    got: dict[int, Place] = {}
    kept = []  # or another tensor would get the identity of one that is gone

    def note(place: Place, state: Any) -> None:
        kept.append(state)
        if place.is_input:
            got.setdefault(id(state), place)
        else:
            given[id(state)] = place

    with ExitStack() as hooks, torch.inference_mode():
        for name, module in trial.named_modules():
            hooks.enter_context(_noted(module, name, note))
        states = trial(**inputs, output_hidden_states=True, return_dict=True).hidden_states
    passed = got | given
    missing = [number for number, state in enumerate(states[:-1]) if id(state) not in passed]
    if missing:
        raise ValueError(f"no module gives or gets those of layer {missing[0]}")
    return tuple(passed[id(state)] for state in states[:-1])


@contextmanager
def watched(network: Any, layers: HiddenLayers, numbers: Sequence[int]) -> Iterator[list[int]]:
    """Inside, one forward pass of this thread also gives pooled layers, in the order of their `numbers`.

    They come in float32 under the key POOLED_LAYERS of what ``network(features)`` returns. Yields a list, which holds
    the numbers of features of these layers after the pass.
    """
    wanted = {layers.places[number]: number for number in numbers if number < layers.n_layers}
    inner = network.transformers_model
    *_, last = network.children()
    states: dict[int, Any] = {}
    widths: list[int] = []

    def note(place: Place, state: Any) -> None:
        if place in wanted:
            states[wanted[place]] = state

    def finish(pipeline: _Pipeline, features: Any) -> None:
        states[layers.n_layers] = pipeline.last_states
        blocks = [pipeline.pooled(states.get(number), number) for number in numbers]
        widths[:] = [block.shape[1] for block in blocks]
        features[POOLED_LAYERS] = torch.cat(blocks, dim=1)

    pipeline = _Pipeline()
    with ExitStack() as hooks:
        for name in {place.module for place in wanted}:
            hooks.enter_context(_noted(inner.get_submodule(name), name, note))
        for part in network.children():
            hooks.enter_context(pipeline.seen(part, finish if part is last else None))
        yield widths


class _Pipeline:
    """How a sentence model makes one vector of the last states of a text, seen from its modules during a pass."""

    def __init__(self) -> None:
        self.last_states: Any = None  # B, T, D
        self.features: Mapping[str, Any] = {}
        self.pooling: Any = None

    def seen(self, part: torch.nn.Module, finish: Callable[["_Pipeline", Any], None] | None) -> Any:
        """Inside, a module of the pipeline is looked at; ``finish(self, features)`` is called after it, if given.

        The pooling is the module without weights that turns the states of tokens into the vector of a text.
        """
        can_pool = next(part.parameters(), None) is None
        before: dict[str, Any] = {}

        def enter(args: tuple, _: dict) -> None:
            before.clear()
            before.update(args[0])

        def leave(features: Any) -> None:
            if self.last_states is None:
                self.last_states, self.features = features.get("token_embeddings"), features
            if can_pool and "sentence_embedding" in features and "sentence_embedding" not in before:
                self.pooling, self.features = part, dict(before)
            if finish is not None:
                finish(self, features)

        return _hooked(part, enter, leave)

    def pooled(self, states: Any, number: int) -> torch.Tensor:
        """States (B, T, D) of a layer as one vector a text (B, D), in float32: their mean where there is no pooling."""
        if not torch.is_tensor(states) or states.dim() != 3:
            raise ValueError(f"the states of layer {number} did not pass where they should")
        states = states.float()
        if self.pooling is None:
            mask = self.features.get("attention_mask", torch.ones(states.shape[:2], device=states.device))
            return pool(states, mask, "mean")
        features = {name: value for name, value in self.features.items() if name != "cls_token_embeddings"}
        # A call by this name is not looked at.
        return self.pooling.forward({**features, "token_embeddings": states})["sentence_embedding"].float()


def _noted(module: torch.nn.Module, name: str, note: Callable[[Place, Any], None]) -> Any:
    """Inside, ``note(place, state)`` is called with the first tensors that a module gets and gives in each call."""
    calls = Counter[bool]()

    def note_first(is_input: bool, values: Iterable[Any]) -> None:
        note(Place(name, calls[is_input], is_input), next(filter(torch.is_tensor, values), None))
        calls[is_input] += 1

    def enter(args: tuple, options: dict) -> None:
        note_first(True, (*args, *options.values()))

    def leave(output: Any) -> None:
        note_first(False, output if isinstance(output, tuple) else (output,))

    return _hooked(module, enter, leave)


@contextmanager
def _hooked(
    module: torch.nn.Module, enter: Callable[[tuple, dict], None], leave: Callable[[Any], None]
) -> Iterator[None]:
    """Inside, ``enter(args, options)`` and ``leave(output)`` are called around each call of a module in this thread."""
    thread = threading.get_ident()

    def before(_: Any, args: tuple, options: dict) -> None:
        if threading.get_ident() == thread:
            enter(args, options)

    def after(_: Any, __: tuple, output: Any) -> None:
        if threading.get_ident() == thread:
            leave(output)

    handles = []
    try:
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()
