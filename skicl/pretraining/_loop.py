"""The pretraining loop: seeded, resumable bit for bit, interruptible, on one device or several."""

import json
import math
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from skicl._storage._tensors import has_format, read_safetensors, save_atomically
from skicl._validation._wording import did_you_mean
from skicl.pretraining._causal_optimizer import Muon
from skicl.pretraining._causal_prior import LogisticPrior, Sequences, sequence_loss
from skicl.pretraining._priors import EmbeddingPrior
from skicl.reasoning import (
    CausalConfig,
    CausalReasoner,
    EquivariantConfig,
    Evidence,
    load_reasoner,
    read_card,
    save_reasoner,
)
from skicl.reasoning._checkpoint import build_reasoner

STATE_FORMAT, WITHOUT_CHECKSUM = "skicl-pretraining-2", "skicl-pretraining-1"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Parameters
    ----------
    steps : int, default=20000
        Number of steps.
    learning_rate : float, default=2e-3
        Peak rate: linear warm-up, constant, then linear decay to zero.
    warmup : int, default=200
        Steps of the warm-up.
    decay : float, default=0.3
        Share of the steps, at the end, in which the rate decays.
    weight_decay : float, default=1e-3
        Decoupled weight decay.
    clip : float, default=1.0
        Largest norm of a gradient.
    layer_loss : float, default=0.1
        Weight of the loss of every layer before the last.
    averaging : float, default=0.999
        Decay of the moving average of the weights that is saved as the reasoner.
    seed : int, default=0
        Seed of the weights and of the tasks.
    precision : str, default="float32"
        "bfloat16" runs matrix products of the forward pass in that precision; weights and steps stay in float32.
    optimizer : str, default="adamw"
        "muon" makes the steps of hidden matrices orthogonal (Jordan et al., 2024); for a ``CausalConfig`` only.

    Examples
    --------
    >>> from skicl.pretraining import Schedule
    >>> schedule = Schedule(steps=1000, warmup=100)
    >>> schedule.rate(99) == schedule.learning_rate
    True
    """

    steps: int = 20000
    learning_rate: float = 2e-3
    warmup: int = 200
    decay: float = 0.3
    weight_decay: float = 1e-3
    clip: float = 1.0
    layer_loss: float = 0.1
    averaging: float = 0.999
    seed: int = 0
    precision: str = "float32"
    optimizer: str = "adamw"

    def rate(self, step):
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


def rate_at(schedule, step):
    """Learning rate of a step of any schedule: linear warm-up, constant, then linear decay to zero."""
    rising = min(1.0, (step + 1) / max(1, schedule.warmup))
    falling = min(1.0, (schedule.steps - step) / max(1.0, schedule.decay * schedule.steps))
    return schedule.learning_rate * rising * max(0.0, falling)


def make_optimizer(reasoner, schedule):
    """The optimiser that a schedule names."""
    options = {"lr": schedule.learning_rate, "betas": (0.9, 0.98), "weight_decay": schedule.weight_decay}
    if schedule.optimizer == "muon":
        return Muon(reasoner.named_parameters(), hidden=lambda name: ".blocks." in name, **options)
    return torch.optim.AdamW(reasoner.parameters(), **options)


def training_tensors(network, optimizer):
    """Weights, and what the optimiser remembers of each, by the names under which the state of a run keeps them."""
    tensors = {}
    for name, parameter in network.named_parameters():
        tensors[f"weight.{name}"] = parameter
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    return tensors


def restore_training(tensors, network, optimizer):
    """Put the tensors of :func:`training_tensors` back where they came from."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[f"weight.{name}"])
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (value := tensors.get(f"optimizer.{key}.{name}")) is not None:
                    optimizer.state[parameter][key] = value.to("cpu" if key == "step" else parameter.device)


def check_schedule(schedule, config):
    """Refuse words that a schedule does not know, before any step."""
    for name, known in {"precision": ("float32", "bfloat16"), "optimizer": ("adamw", "muon")}.items():
        if getattr(schedule, name) not in known:
            raise ValueError(
                f"`{name}` must be one of {known}, got {getattr(schedule, name)!r}."
                + did_you_mean(getattr(schedule, name), known)
            )
    if schedule.optimizer == "muon" and not isinstance(config, CausalConfig):
        raise ValueError("`optimizer` 'muon' knows the hidden layers of a CausalConfig only; use 'adamw'.")


class State:
    """What a run carries from step to step: network, optimiser, averaged weights, counters."""

    def __init__(self, config, schedule, device):
        self.reasoner = build_reasoner(config)
        self.reasoner.reset_parameters(torch.Generator().manual_seed(schedule.seed))
        self.reasoner.to(device)
        self.average = {name: t.detach().clone() for name, t in self.reasoner.named_parameters()}
        self.optimizer = make_optimizer(self.reasoner, schedule)
        self.step, self.tasks, self.seconds, self.loss = 0, 0, 0.0, float("nan")
        self.earlier = []  # what the stages before did, oldest first

    def start_from(self, path):
        """Take the weights of a reasoner of equal sizes."""
        reasoner = load_reasoner(path)
        if reasoner.config != self.reasoner.config:
            raise ValueError(
                f"The reasoner to start from has other sizes: {reasoner.config} in {str(path)!r}, "
                f"{self.reasoner.config} here."
            )
        self.reasoner.load_state_dict(reasoner.state_dict(), strict=True)
        self.average = {name: t.detach().clone() for name, t in self.reasoner.named_parameters()}
        card = read_card(path)
        self.earlier = [
            *card.get("earlier_stages", []),
            {name: card.get(name) for name in ("prior", "schedule", "steps", "tasks", "seconds", "loss")},
        ]

    def save(self, path, prior, schedule):
        """Write everything that the next step needs, atomically, without pickle."""
        tensors = training_tensors(self.reasoner, self.optimizer)
        for name in self.average:
            tensors[f"average.{name}"] = self.average[name]
        metadata = {
            "format": STATE_FORMAT,
            "config": json.dumps(self.reasoner.describe()),
            "schedule": json.dumps(asdict(schedule)),
            "prior": json.dumps(asdict(prior)),
            "counters": json.dumps([self.step, self.tasks, self.seconds, self.loss]),
            "earlier": json.dumps(self.earlier),
        }
        save_atomically(path, tensors, metadata)

    def load(self, path, prior, schedule):
        """Continue from a file of :meth:`save`; refuse one of another network, prior or seed."""
        tensors, metadata = read_safetensors(path)
        if not has_format(path, metadata, STATE_FORMAT, WITHOUT_CHECKSUM):
            raise ValueError(
                f"{str(path)!r} is not a state of a pretraining run (its format is "
                f"{metadata.get('format')!r}). Give the .state.safetensors file of a run."
            )
        before = {
            "config": json.loads(metadata["config"]),
            "prior": json.loads(metadata["prior"]),
            "seed": json.loads(metadata["schedule"])["seed"],
        }
        now = {
            "config": self.reasoner.describe(),
            "prior": json.loads(json.dumps(asdict(prior))),
            "seed": schedule.seed,
        }
        for name, value in now.items():
            if before[name] != value:
                raise ValueError(
                    f"The run in {str(path)!r} has another `{name}`: {before[name]} there, {value} here. "
                    "Use the same, or start a new run under another --out."
                )
        restore_training(tensors, self.reasoner, self.optimizer)
        for name, average in self.average.items():
            average.copy_(tensors[f"average.{name}"])
        self.step, self.tasks, self.seconds, self.loss = json.loads(metadata["counters"])
        self.earlier = json.loads(metadata["earlier"])

    def averaged(self):
        """The reasoner with the averaged weights, on the CPU."""
        reasoner = build_reasoner(self.reasoner.config)
        reasoner.load_state_dict({name: t.cpu() for name, t in self.average.items()}, strict=True)
        return reasoner.eval()


def task_loss(reasoner, tasks, layer_loss):
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


def objective(reasoner, tasks, schedule):
    """The loss to descend and the loss to report, of tasks that the reasoner can learn from."""
    if isinstance(tasks, Sequences) != isinstance(reasoner, CausalReasoner):
        raise TypeError(
            f"`prior` gave {type(tasks).__name__}, which a {type(reasoner).__name__} cannot learn from: a "
            "CausalConfig needs a prior of Sequences, such as LogisticPrior, any other one of Tasks."
        )
    if isinstance(tasks, Sequences):
        return sequence_loss(reasoner, tasks)
    return task_loss(reasoner, tasks, schedule.layer_loss)


def seed_of(*numbers):
    """One seed from several numbers, for the generator of one step on one process."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


def train_step(state, prior, schedule, generator, rank, world):
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


def _average_gradients(parameters, world):
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in parameters])
    torch.distributed.all_reduce(flat)
    flat /= world
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters])):
        parameter.grad.copy_(part.view_as(parameter))


@contextmanager
def _stop_on_interrupt():
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
    out,
    *,
    config=None,
    prior=None,
    schedule=None,
    start_from=None,
    device=None,
    save_every=500,
    stop_after=None,
    log=None,
):
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
    check_prior(prior)
    check_schedule(schedule, config)
    rank, world, device = _join(device)
    out = Path(out)
    if not out.parent.is_dir():
        raise FileNotFoundError(f"The folder of `out` does not exist: {str(out.parent)!r}. Create it first.")
    state = State(config, schedule, device)
    if start_from is not None:
        state.start_from(start_from)
    state_path = out.with_name(out.name + ".state.safetensors")
    if state_path.exists():
        state.load(state_path, prior, schedule)
    generator = torch.Generator(device)
    started, before, recent = time.monotonic(), state.seconds, []
    with _stop_on_interrupt() as stop:
        while state.step < schedule.steps and not _agree(bool(stop), world, device) and state.step != stop_after:
            recent.append(train_step(state, prior, schedule, generator, rank, world))
            state.seconds = before + time.monotonic() - started
            if state.step % 50 == 0 or state.step == schedule.steps:
                state.loss = torch.stack(recent).mean().item()
                recent.clear()
                if log is not None and rank == 0:
                    log(_progress(state, schedule))
            if state.step % save_every == 0 and rank == 0:
                _save(state, out, state_path, prior, schedule, device)
        if rank == 0:
            _save(state, out, state_path, prior, schedule, device)
    if world > 1:
        torch.distributed.destroy_process_group()
    return state


def check_prior(prior):
    """Refuse a prior that cannot be sampled, or not be written into the state of a run, before any step."""
    if not is_dataclass(prior) or isinstance(prior, type) or not callable(getattr(prior, "sample", None)):
        raise TypeError(
            "`prior` must be an instance of a dataclass with a method `sample(generator)`, got "
            f"{prior!r}. See the user guide for an example."
        )
    try:
        json.dumps(asdict(prior))
    except TypeError as error:
        raise TypeError(
            f"`prior` {type(prior).__name__} has a field that JSON cannot write: {error}. Use numbers, "
            "strings and tuples of them."
        ) from error


def _join(device):
    """Rank, number of processes and device of this process."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    if device is None:
        device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return rank, world, device


def _agree(stop, world, device):
    """True on every process if any was told to stop."""
    if world == 1:
        return stop
    flag = torch.tensor(float(stop), device=device)
    torch.distributed.all_reduce(flag)
    return flag.item() > 0


def _save(state, out, state_path, prior, schedule, device):
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


def _hardware(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU thread(s)"


def _progress(state, schedule):
    left = (schedule.steps - state.step) * state.seconds / max(1, state.step)
    return (
        f"step {state.step}/{schedule.steps}  loss {state.loss:.4f}  rate {schedule.rate(state.step - 1):.2e}  "
        f"{state.tasks / max(state.seconds, 1e-9):.0f} tasks/s  {left / 60:.1f} min left"
    )


def print_progress(line):
    """Write a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
