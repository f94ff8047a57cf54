"""``python -m skicl.pretraining --out FILE``: pretrain a reasoner, or continue a run."""

import argparse
import sys
from dataclasses import fields
from typing import Any

import torch

from skicl.pretraining._causal_prior import LogisticPrior
from skicl.pretraining._loop import pretrain, print_progress
from skicl.pretraining._priors import EmbeddingPrior
from skicl.pretraining._schedule import Schedule
from skicl.reasoning import CausalConfig, EquivariantConfig

PARTS = {
    "equivariant": {"network": EquivariantConfig, "prior": EmbeddingPrior, "schedule": Schedule},
    "causal": {"network": CausalConfig, "prior": LogisticPrior, "schedule": Schedule},
}


def build_parser(reasoner: str = "equivariant") -> Any:
    """Options: those of the run, then one for every field of the network, the prior and the schedule."""
    parser = argparse.ArgumentParser(prog="python -m skicl.pretraining", description=__doc__)
    parser.add_argument("--out", required=True, help="path of the run, without suffix; an existing run is continued")
    parser.add_argument(
        "--reasoner",
        choices=list(PARTS),
        default="equivariant",
        help="equivariant: the default reasoner; causal: that of TART's paper, on its own tasks. The "
        "options below are those of the chosen one (default: equivariant)",
    )
    parser.add_argument("--start-from", help="reasoner file whose weights a new run starts from (a second stage)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: cuda where there is one")
    parser.add_argument("--threads", type=int, help="CPU threads; default: as PyTorch decides")
    parser.add_argument("--save-every", type=int, default=500, help="steps between two saves (default: 500)")
    parser.add_argument("--stop-after", type=int, help="save and stop at this step, to be continued")
    known = set()
    for title, part in PARTS[reasoner].items():
        group = parser.add_argument_group(title)
        for field in fields(part):
            if field.name in known:  # a size that network and prior share is one option
                continue
            known.add(field.name)
            default: Any = field.default
            several = isinstance(default, tuple)
            group.add_argument(
                "--" + field.name.replace("_", "-"),
                default=default,
                metavar="VALUE",
                type=type(default[0]) if several else type(default),
                nargs="+" if several else None,
                help=f"default: {field.default}",
            )
    return parser


def main(argv: Any = None) -> Any:
    """Run the command line; returns the exit status: 0 when the run is complete, 130 when interrupted."""
    which = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    which.add_argument("--reasoner", choices=list(PARTS), default="equivariant")
    reasoner = which.parse_known_args(argv)[0].reasoner
    arguments = build_parser(reasoner).parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    made = {}
    for title, part in PARTS[reasoner].items():
        values = {field.name: getattr(arguments, field.name) for field in fields(part)}
        made[title] = part(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    try:
        state = pretrain(
            arguments.out,
            config=made["network"],
            prior=made["prior"],
            schedule=made["schedule"],
            start_from=arguments.start_from,
            device=arguments.device,
            save_every=arguments.save_every,
            stop_after=arguments.stop_after,
            log=print_progress,
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finished = state.step >= made["schedule"].steps or state.step == arguments.stop_after
    print_progress(
        f"{'saved' if finished else 'interrupted, saved'} at step {state.step} to {arguments.out}.safetensors"
    )
    return 0 if finished else 130


if __name__ == "__main__":
    raise SystemExit(main())
