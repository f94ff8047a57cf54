"""How long and how fast to train, and on which tasks: checked before the first step."""

import json
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from skicl._validation._scalars import check_choice
from skicl.reasoning import CausalConfig


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


def rate_at(schedule: Any, step: int) -> Any:
    """Learning rate of a step of any schedule: linear warm-up, constant, then linear decay to zero."""
    rising = min(1.0, (step + 1) / max(1, schedule.warmup))
    falling = min(1.0, (schedule.steps - step) / max(1.0, schedule.decay * schedule.steps))
    return schedule.learning_rate * rising * max(0.0, falling)


def check_schedule(schedule: Any, config: Any) -> None:
    """Refuse words that a schedule does not know, before any step."""
    for name, known in {"precision": ("float32", "bfloat16"), "optimizer": ("adamw", "muon")}.items():
        check_choice(getattr(schedule, name), name, known)
    if schedule.optimizer == "muon" and not isinstance(config, CausalConfig):
        raise ValueError("`optimizer` 'muon' knows the hidden layers of a CausalConfig only; use 'adamw'.")


def check_task_prior(prior: Any) -> None:
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
