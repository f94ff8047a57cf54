"""Which rows a network may read together so that each gets what it would get alone: found out by trials, for effect.

All rows that are padded to one length; rows of equal length only; or each by itself. Some networks read longer texts in
another way than shorter ones, and some choose among tokens: those have ways of reading, and only rows of one way go
together. A network that says something else each time is refused.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from skicl._models._length_switch import LengthSwitch, find_length_switch
from skicl._models._states import padded, pool, resolve_layers
from skicl._validation._environment import warn_user
from skicl._validation._scalars import is_integer

if TYPE_CHECKING:
    import torch
    import transformers

    from skicl._models._language_model import LanguageModel

# Manners: what may stand in one batch.
MANNERS = TOGETHER, EQUAL, ALONE = "together", "equal lengths", "alone"
# How far states may differ that should be equal, as a fraction of their size: in float32, in the shorter formats.
ROUNDING = (1e-4, 5e-2)
# Numbers of a configuration at which attention may change.
_EDGES = re.compile("window|chunk|block_size|local_att|top_?k|bucket")
# Numbers of tokens, or of blocks of them, from among which a network chooses those that it looks at. Where two are as
# good, the length of the text and the rows beside decide; no trial is sure to meet such a pair.
_CHOICES = re.compile(r"index\w*_(top_?k|budget)(_blocks)?|keep_window_size")
_LEAST, _MOST = 6, 300  # tokens of the longest text of a trial
# Its tokens times the weights of the network, on the CPU and elsewhere. A trial reads about ten times as many tokens.
_MOST_WORK = (1e9, 1e11)


class RowsTogether:
    """Which rows a network without its head may read together, found out once.

    `tokens` are 32 for trials, different as far as there are; `positions` is the most that the network has places for.
    """

    def __init__(
        self,
        network: "transformers.PreTrainedModel",
        tokens: Sequence[int],
        positions: int | None,
        causal: bool,
    ) -> None:
        self._network, self._tokens, self._positions, self._causal = network, tokens, positions, causal
        self._numbers = list(numbers_of(network.config.get_text_config().to_dict()))
        self._told: set[str] = set()
        self._heads: set[type] = set()

    @cached_property
    def switch(self) -> LengthSwitch | None:
        """Where the network begins to read longer texts in another way; None if nowhere."""
        if self._positions is None:
            return None
        return find_length_switch(self._network, self._tokens[:3], self._positions)

    @cached_property
    def chooses_beyond(self) -> tuple[int, str] | None:
        """The number of tokens up to which the network looks at all, and its name; None if it always does."""
        sizes = [value for name, value in self._numbers if re.search("index.*block_size", name)]
        found = []
        for name, value in self._numbers:
            if _CHOICES.fullmatch(name):
                found.append((value * (min(sizes, default=1) if name.endswith("blocks") else 1), name))
        return min(found, default=None)

    @cached_property
    def trial_lengths(self) -> list[int]:
        """Numbers of tokens of texts that trials read: beyond each edge that is near enough to be tried at low cost."""
        work = _MOST_WORK[self._network.device.type != "cpu"] / max(1, self._network.num_parameters())
        limits = [_MOST, work, self._positions]
        # Beyond these a text is read in its own way, or on another side.
        limits += [self.chooses_beyond and self.chooses_beyond[0], self.switch and self.switch.last]
        most = min(limit for limit in limits if limit is not None)
        edges = {edge for name, edge in self._numbers if _EDGES.search(name) and edge < most}
        longest = max(_LEAST, min(int(most), 2 * max(edges, default=0) + 5))
        return sorted({_LEAST // 2, *(edge + 1 for edge in edges if edge + 1 >= _LEAST), longest})

    @cached_property
    def trial_text(self) -> list[int]:
        """Tokens of the longest text of a trial; some stand in it often, as in every text."""
        return self._text(0)

    def _text(self, first: int) -> list[int]:
        pool = self._tokens[first : first + 16]
        return [pool[i * (i + 1) // 2 % 16] for i in range(self.trial_lengths[-1])]

    @cached_property
    def manner(self) -> str:
        """One of MANNERS, with a warning but for the first; a ValueError where nothing can be relied on."""
        return self._tried(self._network, self._states, self.trial_lengths)

    def try_head(self, whole: "transformers.PreTrainedModel") -> None:
        """Try the network with its head too, once: some heads mix what the states keep apart."""
        if type(whole) not in self._heads:
            found = self._tried(whole, lambda rows: self._read(whole, rows).logits.float(), [_LEAST // 2, _LEAST])
            self.__dict__["manner"] = max(found, self.manner, key=MANNERS.index)
            self._heads.add(type(whole))

    def _tried(self, network: Any, read: Callable[[list], "torch.Tensor"], lengths: list[int]) -> str:
        """The manner by a trial of `read`, which makes something (B, T, D) of rows, with texts of some lengths."""
        import torch

        texts = [self._text(0)[:length] for length in lengths]
        alone: list = []
        for text in texts:
            try:
                alone.append(read([text])[0])
            except (MemoryError, torch.cuda.OutOfMemoryError):
                raise
            except Exception:
                if not alone:
                    raise
                break  # it cannot read so many tokens at all
        texts = texts[: len(alone)]
        beginnings = zip(texts, alone) if self._causal else ()
        if self._agree(read, texts, alone) and all(self._same(alone[-1][: len(text)], own) for text, own in beginnings):
            return TOGETHER
        if not self._same(read(texts[-1:])[0], alone[-1]):
            raise ValueError(
                f"`model` ({type(network).__name__}) gives another result each time that it reads the same "
                f"{len(texts[-1])} tokens. Expected a network without chance: sorting by random hashes, for instance, "
                "has it."
            )
        others = [self._text(16)[: len(text)] for text in texts]
        equal = all(self._agree(read, [text, other], [own]) for text, other, own in zip(texts, others, alone))
        how = "only rows of equal length are read together" if equal else "rows are read one by one"
        self._tell(f"makes something else of a row beside a longer one than of the row alone. So {how}.")
        return EQUAL if equal else ALONE

    @property
    def alike(self) -> bool:
        """Whether rows of all lengths go together."""
        return self.manner == TOGETHER and self.switch is None and self.chooses_beyond is None

    def way(self, n_tokens: int) -> int:
        """A number for the way in which a text of so many tokens is read; below 0, keys and values are of no use."""
        if self.manner != TOGETHER:
            return -n_tokens
        if self.chooses_beyond is not None and n_tokens > self.chooses_beyond[0]:
            most, name = self.chooses_beyond
            self._tell(
                f"chooses among the tokens of a text of more than {most} (`{name}`), and rows beside it may change the "
                "choice between tokens that are equally good. So such texts are read one by one, from "
                "their beginning."
            )
            return -n_tokens
        if self.switch is None or n_tokens <= self.switch.last:
            return 0
        if self.switch.steady:
            return 1
        raise ValueError(
            f"`model` ({type(self._network).__name__}) turns its positions otherwise for every number of tokens beyond "
            f"{self.switch.last}, and a text has {n_tokens}. Let no text be longer: set `window` or `max_length` to at "
            f"most {self.switch.last}."
        )

    def groups(self, lengths: Sequence[int]) -> list[list[int]]:
        """Numbers of rows that may be read together, by the numbers of tokens of all: mostly one list of all."""
        if self.alike:
            return [list(range(len(lengths)))]
        groups: dict[Any, list[int]] = {}
        for i, n_tokens in enumerate(lengths):
            way = self.way(n_tokens)
            groups.setdefault((way, i) if way < 0 and self.manner != EQUAL else way, []).append(i)
        return list(groups.values())

    def warn_of_switch(self) -> None:
        """Say once that keys and values of one side of the switch are not used on the other."""
        if self.switch is not None:
            self._tell(
                f"reads texts of more than {self.switch.last} tokens in another way than shorter ones. Prompts of "
                "another side than the part that they share are read from their beginning. Keep all prompts on one "
                "side, by `window` or the number of demonstrations."
            )

    def _tell(self, what: str) -> None:
        """Say once what is read in another way than in one batch, and that it costs time."""
        if what not in self._told:
            self._told.add(what)
            warn_user(f"{type(self._network).__name__} {what} The results are exact, but take longer.")

    def _states(self, rows: list) -> "torch.Tensor":
        """Last states (B, T, D) of rows that are read together."""
        return self._read(self._network, rows).last_hidden_state.float()

    def _read(self, network: Any, rows: list) -> Any:
        import torch

        ids, mask = padded(rows, self._tokens[0], network.device)
        keep = {"use_cache": False} if self._causal else {}
        with torch.inference_mode():
            return network(input_ids=ids, attention_mask=mask, return_dict=True, **keep)

    def _agree(self, read: Callable[[list], "torch.Tensor"], rows: list, alone: list) -> bool:
        """Whether rows that are read together give what they, or the first of them, give alone."""
        import torch

        try:
            found = read(rows)
        except (MemoryError, torch.cuda.OutOfMemoryError):
            raise
        except Exception:  # it reads one row only
            return False
        return all(self._same(states[: len(own)], own) for states, own in zip(found, alone))

    def _same(self, states: "torch.Tensor", own: "torch.Tensor") -> bool:
        """Whether states (T, D) differ by no more than rounding makes.

        In the shorter formats rounding may send single tokens to other experts; so half of them must agree there.
        """
        import torch

        short = self._network.dtype.itemsize < 4
        equal = (states == own) | (states.isnan() & own.isnan())
        distances = torch.where(equal, 0.0, (states - own).abs()).amax(dim=-1)
        distance = distances.median() if short else distances.max()
        return bool(distance <= ROUNDING[short] * own.nan_to_num(0.0, 0.0, 0.0).abs().max())


def pooled_rows(
    model: "LanguageModel", rows: Sequence[tuple[list, list]], layers: Any, pooling: str, states: Callable
) -> "torch.Tensor":
    """Vectors (B, D) of texts that stand alone: their tokens, and which of them count.

    `states` is one of the functions of _states.py that give the states of all tokens.
    """
    import torch

    device, numbers = model.network.device, resolve_layers(layers, model.n_layers)
    keep = {"use_cache": False} if model.causal else {}

    def read(group: list[int]) -> "torch.Tensor":
        ids, mask = padded([rows[i][0] for i in group], model.neutral_token, device)
        counted, _ = padded([rows[i][1] for i in group], 0, device)
        found = states(model.network, numbers, model.n_layers, input_ids=ids, attention_mask=mask, **keep)
        return pool(found, counted, pooling)

    groups = model.by_way([len(ids) for ids, _ in rows])
    if len(groups) == 1:
        return read(groups[0])
    return torch.cat([read(group) for group in groups])[np.argsort(np.concatenate(groups)).tolist()]


def numbers_of(config: dict) -> Iterator[tuple[str, int]]:
    """Names and values of all whole numbers above 1 in a configuration, those of its parts too."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from numbers_of(value)
        for number in value if isinstance(value, list | tuple) else [value]:
            if is_integer(number) and number > 1:
                yield str(name), number
