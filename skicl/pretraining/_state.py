"""What a run carries from step to step, written to a file from which it goes on bit for bit."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skicl._storage._tensors import has_format, read_safetensors, save_atomically
from skicl.pretraining._causal_optimizer import Muon
from skicl.reasoning import load_reasoner, read_card
from skicl.reasoning._checkpoint import build_reasoner

STATE_FORMAT, WITHOUT_CHECKSUM = "skicl-pretraining-2", "skicl-pretraining-1"


def make_optimizer(reasoner: Any, schedule: Any) -> Any:
    """The optimiser that a schedule names."""
    options = {"lr": schedule.learning_rate, "betas": (0.9, 0.98), "weight_decay": schedule.weight_decay}
    if schedule.optimizer == "muon":
        return Muon(reasoner.named_parameters(), hidden=lambda name: ".blocks." in name, **options)
    return torch.optim.AdamW(reasoner.parameters(), **options)


def training_tensors(network: nn.Module, optimizer: Any) -> Any:
    """Weights, and what the optimiser remembers of each, by the names under which the state of a run keeps them."""
    tensors = {}
    for name, parameter in network.named_parameters():
        tensors[f"weight.{name}"] = parameter
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    return tensors


def restore_training(tensors: Any, network: nn.Module, optimizer: Any) -> None:
    """Put the tensors of :func:`training_tensors` back where they came from."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[f"weight.{name}"])
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (value := tensors.get(f"optimizer.{key}.{name}")) is not None:
                    optimizer.state[parameter][key] = value.to("cpu" if key == "step" else parameter.device)


class State:
    """What a run carries from step to step: network, optimiser, averaged weights, counters."""

    def __init__(self, config: Any, schedule: Any, device: torch.device) -> None:
        self.reasoner = build_reasoner(config)
        self.reasoner.reset_parameters(torch.Generator().manual_seed(schedule.seed))
        self.reasoner.to(device)
        self.average = {name: t.detach().clone() for name, t in self.reasoner.named_parameters()}
        self.optimizer = make_optimizer(self.reasoner, schedule)
        self.step, self.tasks, self.seconds, self.loss = 0, 0, 0.0, float("nan")
        self.earlier: list[dict] = []  # what the stages before did, oldest first

    def start_from(self, path: str | Path) -> None:
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

    def save(self, path: str | Path, prior: Any, schedule: Any) -> None:
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

    def load(self, path: str | Path, prior: Any, schedule: Any) -> None:
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

    def averaged(self) -> Any:
        """The reasoner with the averaged weights, on the CPU."""
        reasoner = build_reasoner(self.reasoner.config)
        reasoner.load_state_dict({name: t.cpu() for name, t in self.average.items()}, strict=True)
        return reasoner.eval()
