"""The pretraining loop: seeded, resumable bit for bit, interruptible, on one device or several."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from skicl.pretraining._causal_prior import LogisticPrior, Sequences, sequence_loss
from skicl.pretraining._priors import EmbeddingPrior
from skicl.pretraining._schedule import Schedule, check_schedule, check_task_prior
from skicl.pretraining._state import State
from skicl.reasoning import (
    CausalConfig,
    CausalReasoner,
    EquivariantConfig,
    Evidence,
    save_reasoner,
)


def task_loss(reasoner: Any, tasks: Any, layer_loss: Any) -> tuple:
    """Cross-entropy of the queries: of the last layer, plus a little of every layer before."""
    context = reasoner.encode(Evidence(tasks.X, tasks.y, tasks.n_classes, side=tasks.side))
    target = tasks.y_query.flatten()
    logits = reasoner.score_all_layers(context, tasks.X_query, tasks.side_query)
    losses = torch.stack(
        [F.cross_entropy(one.flatten(0, 1), target, ignore_index=-1, reduction="sum") for one in logits]
    ) / (target >= 0).sum().clamp_min(1)
    weights = losses.new_full((len(losses),), layer_loss / max(1, len(losses) - 1))
    weights[-1] = 1.0
    return (losses * weights).sum(), losses[-1].detach()


def objective(reasoner: Any, tasks: Any, schedule: Any) -> Any:
    """The loss to descend and the loss to report, of tasks that the reasoner can learn from."""
    if isinstance(tasks, Sequences) != isinstance(reasoner, CausalReasoner):
        raise TypeError(
            f"`prior` gave {type(tasks).__name__}, which a {type(reasoner).__name__} cannot learn from: a "
            "CausalConfig needs a prior of Sequences, such as LogisticPrior, any other one of Tasks."
        )
    if isinstance(tasks, Sequences):
        return sequence_loss(reasoner, tasks)
    return task_loss(reasoner, tasks, schedule.layer_loss)


def seed_of(*numbers: Any) -> Any:
    """One seed from several numbers, for the generator of one step on one process."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


def train_step(state: Any, prior: Any, schedule: Any, generator: torch.Generator, rank: int, world: int) -> Any:
    """One step: tasks of this (seed, step, process), gradient averaged over processes, update."""
    generator.manual_seed(seed_of(schedule.seed, state.step, rank))
    of_step = prior.at(state.step) if hasattr(prior, "at") else prior
    tasks = of_step.sample(generator)
    state.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(tasks.X.device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
        loss, last = objective(state.reasoner, tasks, schedule)
    loss.backward()
    parameters = list(state.reasoner.parameters())
    if world > 1:
        _average_gradients(parameters, world)
    norm = torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
    for group in state.optimizer.param_groups:
        group["lr"] = schedule.rate(state.step)
    # A rare task whose gradient overflows must not destroy the weights.
    if torch.isfinite(norm):
        state.optimizer.step()
    keep = min(schedule.averaging, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for name, parameter in state.reasoner.named_parameters():
            state.average[name].lerp_(parameter, 1 - keep)
    state.step += 1
    state.tasks += len(tasks.X) * world
    return last


def _average_gradients(parameters: Any, world: int) -> None:
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in parameters])
    torch.distributed.all_reduce(flat)
    flat /= world
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters])):
        parameter.grad.copy_(part.view_as(parameter))


@contextmanager
def _stop_on_interrupt() -> Iterator:
    """Turn SIGINT and SIGTERM into a flag that the loop reads between two steps."""
    stop = []
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, lambda *_: stop.append(True))
        except ValueError:  # not in the main thread: the caller's handlers stay
            pass
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pretrain(
    out: str | Path,
    *,
    config: EquivariantConfig | CausalConfig | None = None,
    prior: Any = None,
    schedule: Schedule | None = None,
    start_from: str | Path | None = None,
    device: str | torch.device | None = None,
    save_every: int = 500,
    stop_after: int | None = None,
    log: Callable | None = None,
) -> State:
    """Pretrain a reasoner on synthetic tasks.

    Parameters
    ----------
    out : str or Path
        Path of the run without suffix. ``out.state.safetensors`` holds the state to resume from (an
        existing one is continued), ``out.safetensors`` the reasoner with averaged weights.
    config : EquivariantConfig or CausalConfig, default=None
        Sizes, and with them the architecture, of the network. None means ``EquivariantConfig()``.
    prior : EmbeddingPrior or other dataclass, default=None
        Distribution of tasks: any dataclass with a method ``sample(generator)`` that returns
        :class:`Tasks` (for a ``CausalConfig``: :class:`Sequences`) on the device of the generator, and with fields
        that JSON can write. One with a method ``at(step)`` is replaced by what this returns at every step, for a
        curriculum. None means ``EmbeddingPrior()``, or ``LogisticPrior()`` for a ``CausalConfig``.
    schedule : Schedule, default=None
        Steps, rates and seed. None means ``Schedule()``.
    start_from : str or Path, default=None
        A reasoner file whose weights a new run starts from, for a second stage on another prior. None
        means random weights.
    device : str or torch.device, default=None
        None means cuda where there is one, else cpu.
    save_every : int, default=500
        Steps between two saves.
    stop_after : int, default=None
        Stop, saved, when this step is reached, as if interrupted. None means to go on.
    log : callable, default=None
        Receives a line of progress now and then. None means silence.

    Returns
    -------
    State
        Its ``step`` is smaller than ``schedule.steps`` if the run was interrupted.

    Raises
    ------
    TypeError
        If ``prior`` is no dataclass with a method ``sample``, has fields that JSON cannot write, or does not fit
        ``config``.
    FileNotFoundError
        If the folder of ``out`` does not exist.
    ValueError
        If an existing state belongs to another network, prior or seed, or a word of the schedule is unknown.

    Notes
    -----
    Started by ``torchrun``, every process draws its own tasks and gradients are averaged. The tasks of
    a step depend on (seed, step, process) alone, so on a CPU a resumed run equals an uninterrupted one
    bit for bit.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skicl.pretraining import EmbeddingPrior, Schedule, pretrain
    >>> from skicl.reasoning import EquivariantConfig
    >>> prior = EmbeddingPrior(max_labelled=16, n_features=(4,), max_classes=3, budget=256)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     state = pretrain(Path(folder) / "tiny", config=EquivariantConfig(n_layers=1), prior=prior,
    ...                      schedule=Schedule(steps=3), device="cpu")
    >>> state.step
    3
    """
    config = config or EquivariantConfig()
    schedule = schedule or Schedule()
    if prior is None:
        prior = LogisticPrior() if isinstance(config, CausalConfig) else EmbeddingPrior()
    check_task_prior(prior)
    check_schedule(schedule, config)
    rank, world, place = _join(device)
    out = Path(out)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"The folder of `out` does not exist: {str(out.parent)!r}. Create it first.")
    state = State(config, schedule, place)
    if start_from is not None:
        state.start_from(start_from)
    state_path = out.with_name(out.name + ".state.safetensors")
    if state_path.exists():
        state.load(state_path, prior, schedule)
    generator = torch.Generator(place)
    started, before, recent = time.monotonic(), state.seconds, []
    with _stop_on_interrupt() as stop:
        while state.step < schedule.steps and not _agree(bool(stop), world, place) and state.step != stop_after:
            recent.append(train_step(state, prior, schedule, generator, rank, world))
            state.seconds = before + time.monotonic() - started
            if state.step % 50 == 0 or state.step == schedule.steps:
                state.loss = torch.stack(recent).mean().item()
                recent.clear()
                if log is not None and rank == 0:
                    log(_progress(state, schedule))
            if state.step % save_every == 0 and rank == 0:
                _save(state, out, state_path, prior, schedule, place)
        if rank == 0:
            _save(state, out, state_path, prior, schedule, place)
    if world > 1:
        torch.distributed.destroy_process_group()
    return state


def _join(device: str | torch.device | None) -> tuple[int, int, torch.device]:
    """Rank, number of processes and device of this process."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    if device is None:
        device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return rank, world, device


def _agree(stop: Any, world: int, device: torch.device) -> Any:
    """True on every process if any was told to stop."""
    if world == 1:
        return stop
    flag = torch.tensor(float(stop), device=device)
    torch.distributed.all_reduce(flag)
    return flag.item() > 0


def _save(state: Any, out: Path, state_path: Any, prior: Any, schedule: Any, device: torch.device) -> None:
    card = {
        "prior": {"name": type(prior).__name__, **asdict(prior)},
        "schedule": asdict(schedule),
        "steps": state.step,
        "tasks": state.tasks,
        "seconds": round(state.seconds),
        "loss": round(state.loss, 4) if math.isfinite(state.loss) else None,
        "hardware": _hardware(device),
        "torch": torch.__version__,
        "evaluation": {},
        "earlier_stages": state.earlier,
    }
    state.save(state_path, prior, schedule)
    save_reasoner(out.with_name(out.name + ".safetensors"), state.averaged(), card)


def _hardware(device: torch.device) -> Any:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU thread(s)"


def _progress(state: Any, schedule: Any) -> str:
    left = (schedule.steps - state.step) * state.seconds / max(1, state.step)
    return (
        f"step {state.step}/{schedule.steps}  loss {state.loss:.4f}  rate {schedule.rate(state.step - 1):.2e}  "
        f"{state.tasks / max(state.seconds, 1e-9):.0f} tasks/s  {left / 60:.1f} min left"
    )


def print_progress(line: Any) -> None:
    """Write a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
