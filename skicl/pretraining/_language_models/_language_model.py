"""Training a causal language model on labelled episodes: every answer in the context is a target."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from skicl._storage._tensors import has_format, read_safetensors, save_atomically
from skicl._validation._scalars import check_choice, check_integer, is_integer
from skicl.pretraining._schedule import check_task_prior, rate_at
from skicl.pretraining._state import restore_training, training_tensors

STATE_FORMAT, WITHOUT_CHECKSUM = "skicl-language-model-2", "skicl-language-model-1"
CHARACTERS_OF_A_TOKEN = 4  # more than there are on average, so that an episode fills its row


@dataclass(frozen=True)
class EpisodeSchedule:
    """How long and how fast to train a language model on episodes.

    Parameters
    ----------
    steps : int, default=4200
        Number of steps.
    tokens : int, default=4096
        Tokens of a step, in rows of equal length.
    lengths : tuple of int, default=(128, 256, 512, 1024)
        Tokens of an episode; see `parts`.
    parts : tuple of float, default=(0.05, 0.4, 0.85, 1.0)
        Until which share of the steps each length is used.
    learning_rate : float, default=1e-3
        Peak rate of AdamW: linear warm-up, constant, then linear decay to zero.
    warmup : int, default=100
        Steps of the warm-up.
    decay : float, default=0.4
        Share of the steps, at the end, in which the rate decays.
    weight_decay : float, default=0.05
        Decoupled weight decay of matrices.
    clip : float, default=1.0
        Largest norm of a gradient.
    precision : {"float32", "bfloat16"}, default="float32"
        What products of matrices are computed in; weights stay as they are.
    seed : int, default=0
        Seed of the episodes.

    Raises
    ------
    ValueError
        If the precision is not known, a number of steps or tokens is not positive, or `parts` do not fit `lengths`.

    Examples
    --------
    >>> from skicl.pretraining import EpisodeSchedule
    >>> schedule = EpisodeSchedule(steps=1000)
    >>> schedule.length(0), schedule.length(999)
    (128, 1024)
    """

    steps: int = 4200
    tokens: int = 4096
    lengths: tuple = (128, 256, 512, 1024)
    parts: tuple = (0.05, 0.4, 0.85, 1.0)
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.4
    weight_decay: float = 0.05
    clip: float = 1.0
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.precision, "precision", ("float32", "bfloat16"))
        check_integer(self.steps, "steps")
        check_integer(self.tokens, "tokens")
        if not self.lengths or not all(is_integer(length) and length > 0 for length in self.lengths):
            raise ValueError(f"`lengths` must be positive integers, got {self.lengths!r}.")
        if len(self.lengths) != len(self.parts) or list(self.parts) != sorted(self.parts) or self.parts[-1] != 1:
            raise ValueError(
                f"`parts` must rise to 1 and have an entry for each of `lengths`, got {self.parts} for {self.lengths}."
            )

    def rate(self, step: int) -> float:
        """Learning rate of a step.

        Parameters
        ----------
        step : int
            The step, counted from 0.

        Returns
        -------
        float
        """
        return rate_at(self, step)

    def length(self, step: int) -> int:
        """Tokens of an episode in a step.

        Parameters
        ----------
        step : int
            The step, counted from 0.

        Returns
        -------
        int
        """
        share = (step + 0.5) / self.steps
        return next(length for length, end in zip(self.lengths, self.parts) if share <= end)


class EpisodeRun:
    """What a run carries from step to step beside the network: optimiser and counters.

    Parameters
    ----------
    network : transformers model
        A causal language model.
    schedule : EpisodeSchedule
        Rates and seed.
    """

    def __init__(self, network: Any, schedule: EpisodeSchedule) -> None:
        free = [p for p in network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in free if p.dim() > 1], "weight_decay": schedule.weight_decay},
            {"params": [p for p in free if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=schedule.learning_rate, betas=(0.9, 0.98)
        )
        self.step, self.tokens, self.seconds, self.loss = 0, 0, 0.0, float("nan")

    def save(self, path: str | Path, network: nn.Module, prior: Any, schedule: Any) -> None:
        """Write everything that the next step needs, atomically."""
        metadata = {
            "format": STATE_FORMAT,
            "prior": json.dumps(asdict(prior)),
            "schedule": json.dumps(asdict(schedule)),
            "counters": json.dumps([self.step, self.tokens, self.seconds, self.loss]),
        }
        save_atomically(path, training_tensors(network, self.optimizer), metadata)

    def load(self, path: str | Path, network: nn.Module, prior: Any, schedule: Any) -> None:
        """Continue from a file of :meth:`save`; refuse one of another network, prior or seed."""
        tensors, metadata = read_safetensors(path)
        if not has_format(path, metadata, STATE_FORMAT, WITHOUT_CHECKSUM):
            raise ValueError(
                f"{str(path)!r} is not a state of the training of a language model (its format is "
                f"{metadata.get('format')!r})."
            )
        before = {
            "prior": json.loads(metadata["prior"]),
            "seed": json.loads(metadata["schedule"])["seed"],
            "network": sorted(
                (name[7:], *value.shape) for name, value in tensors.items() if name.startswith("weight.")
            ),
        }
        now = {
            "prior": json.loads(json.dumps(asdict(prior))),
            "seed": schedule.seed,
            "network": sorted((name, *value.shape) for name, value in network.named_parameters()),
        }
        for name, value in now.items():
            if before[name] != value:
                raise ValueError(
                    f"The run in {str(path)!r} has another `{name}`. Use the same, or start a new run "
                    "under another `state`."
                )
        restore_training(tensors, network, self.optimizer)
        self.step, self.tokens, self.seconds, self.loss = json.loads(metadata["counters"])


def train_language_model(
    network: Any,
    tokenizer: Any,
    prior: Any,
    *,
    schedule: EpisodeSchedule | None = None,
    state: str | Path | None = None,
    save_every: int = 200,
    stop_after: int | None = None,
    log: Callable | None = None,
) -> EpisodeRun:
    """Train a causal language model to answer in context, in place.

    Every answer of an episode is a target, not only the last one: from the first, before which there is no example,
    to the last, which has the most; other tokens are not [1]_.

    Parameters
    ----------
    network : transformers model
        A causal language model, with random weights or pretrained ones.
    tokenizer : transformers tokenizer
        A fast one, which knows where tokens stand in the text.
    prior : dataclass
        Distribution of episodes: any dataclass with a method ``sample(rng, n_characters=...)`` that returns an
        :class:`Episode`, and with fields that JSON can write, such as :class:`EpisodePrior`.
    schedule : EpisodeSchedule or None, default=None
        Steps, rates and seed. None means ``EpisodeSchedule()``.
    state : str, Path or None, default=None
        File to continue from, where there is one, and to save to. None: nothing is written.
    save_every : int, default=200
        Steps between two saves.
    stop_after : int or None, default=None
        Stop, saved, when this step is reached. None means to go on.
    log : callable, default=None
        Receives a line of progress now and then. None means silence.

    Returns
    -------
    EpisodeRun
        With the counters ``step``, ``tokens``, ``seconds`` and the mean ``loss`` of the last steps, in nats for each
        token of an answer.

    Raises
    ------
    TypeError
        If ``prior`` is no dataclass with a method ``sample``, or the tokenizer is a slow one.
    ValueError
        If `save_every` or `stop_after` is no positive integer, the network has fewer positions than an episode has
        tokens, or an existing state belongs to another network, prior or seed.

    References
    ----------
    .. [1] He, Peng, Jiang and Go (2025), "You Only Fine-tune Once: Many-Shot In-Context Fine-Tuning for Large Language
       Model", arXiv:2506.11103.

    Examples
    --------
    A step of a network of random weights:

    >>> from skicl.pretraining import EpisodePrior, EpisodeSchedule, tiny_language_model, train_language_model
    >>> network, tokenizer = tiny_language_model(hidden_size=48, num_hidden_layers=2, num_attention_heads=2)
    >>> schedule = EpisodeSchedule(steps=2, tokens=128, lengths=(64,), parts=(1.0,))
    >>> train_language_model(network, tokenizer, EpisodePrior(), schedule=schedule).step
    2
    """
    schedule = schedule or EpisodeSchedule()
    check_task_prior(prior)
    if not getattr(tokenizer, "is_fast", False):
        raise TypeError(
            f"`tokenizer` must be a fast one, which knows where tokens stand, got {type(tokenizer).__name__}."
        )
    _check_steps(network, schedule, save_every, stop_after)
    end = schedule.steps if stop_after is None else min(stop_after, schedule.steps)
    run = EpisodeRun(network, schedule)
    if state is not None and Path(state).exists():
        run.load(state, network, prior, schedule)
    training = network.training
    network.train()
    started, before, recent = time.monotonic(), run.seconds, []
    try:
        while run.step < end:
            recent.append(_step(run, network, tokenizer, prior, schedule))
            run.seconds = before + time.monotonic() - started
            if run.step % 50 == 0 or run.step == end:
                run.loss = torch.stack(recent).mean().item()
                recent.clear()
                if log is not None:
                    log(
                        f"step {run.step}/{schedule.steps}  loss {run.loss:.4f}  "
                        f"{run.tokens / run.seconds:.0f} tokens/s"
                    )
            if state is not None and (run.step % save_every == 0 or run.step == end):
                run.save(state, network, prior, schedule)
    finally:
        network.train(training)
    return run


def _check_steps(network: nn.Module, schedule: Any, save_every: Any, stop_after: Any) -> None:
    check_integer(save_every, "save_every")
    check_integer(stop_after, "stop_after", optional=True)
    positions = getattr(network.config, "max_position_embeddings", None)
    if positions is not None and max(schedule.lengths) > positions:
        raise ValueError(
            f"`schedule` has episodes of {max(schedule.lengths)} tokens, and `network` {positions} "
            "positions. Take shorter `lengths`."
        )


def _step(run: Any, network: nn.Module, tokenizer: Any, prior: Any, schedule: Any) -> Any:
    """One step on the episodes of this (seed, step); the loss."""
    length = schedule.length(run.step)
    rng = random.Random(f"{schedule.seed} {run.step}")
    n_rows = max(1, schedule.tokens // length)
    episodes = [prior.sample(rng, n_characters=CHARACTERS_OF_A_TOKEN * length) for _ in range(n_rows)]
    ids, targets = episode_tokens(episodes, tokenizer, length)
    device = next(network.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
        loss = answer_loss(network, ids.to(device), targets.to(device))
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
    for group in run.optimizer.param_groups:
        group["lr"] = schedule.rate(run.step)
    if torch.isfinite(norm):
        run.optimizer.step()
    run.step += 1
    run.tokens += ids.numel()
    return loss.detach()


def episode_tokens(episodes: list, tokenizer: Any, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of tokens, and which of them are of answers.

    Shapes: returns ids (n_episodes, length), targets (n_episodes, length).
    """
    read = tokenizer(
        [episode.text for episode in episodes],
        add_special_tokens=False,
        return_offsets_mapping=True,
        truncation=True,
        max_length=length,
    )
    ids = torch.zeros(len(episodes), length, dtype=torch.long)
    targets = torch.zeros(len(episodes), length, dtype=torch.bool)
    for row, (episode, tokens, offsets) in enumerate(zip(episodes, read["input_ids"], read["offset_mapping"])):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        spans = iter(episode.answers)
        span = next(spans, None)
        for at, (start, end) in enumerate(offsets):
            while span is not None and start > span[1]:
                span = next(spans, None)
            targets[row, at] = span is not None and end > span[0] and at > 0
    return ids, targets


def answer_loss(network: Any, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the tokens of answers, in nats.

    Shapes: ids (n_rows, length), targets (n_rows, length); returns ().
    """
    states = network.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = targets[:, 1:]
    logits = network.get_output_embeddings()(states[wanted])
    return F.cross_entropy(logits.float(), ids[:, 1:][wanted])
