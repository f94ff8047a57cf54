"""Ablations of the reasoner: each variant pretrained from random weights, with one thing changed.

    python examples/benchmarks/ablations.py --out ablations.csv --data FOLDER --embeddings CACHE

All variants take the same number of steps on tasks of the same seeds; what that cost is in the table, in floating-point
operations and seconds of a processor. Quality is the log-loss on synthetic tasks that no variant trained on and, with
``--data``, accuracy and log-loss on the development half of the public text sets. The run can be killed and started
again with the same options: it continues with the first variant that ``--out`` lacks.
"""

import argparse
import copy
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ablation_tables import markdown
from ablation_variants import DEFAULT, VARIANTS
from data_sets import TEXT, embed, find_sets, half_of, read_set
from few_shot_text import MINI_LM, make_encoder
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from skicl.evaluation import nested_contexts
from skicl.pretraining import EmbeddingPrior, Schedule
from skicl.pretraining._loop import task_loss, train_step
from skicl.pretraining._state import State
from skicl.reasoning import EquivariantConfig, Evidence

CONFIG = EquivariantConfig(n_landmarks=32)
PRIOR = EmbeddingPrior(
    max_labelled=64, max_unlabelled=64, n_queries=32, n_features=(8, 32, 64, 128), max_classes=6,
    unlabelled_share=0.2, side_share=0.2, budget=4096, max_tasks=32,
)  # fmt: skip
SCHEDULE = Schedule(steps=120, learning_rate=5e-3, warmup=12, decay=0.5)
KINDS = {
    "plain": {"side_share": 0.0, "unlabelled_share": 0.0},
    "names": {"side_share": 1.0, "unlabelled_share": 0.0},
    "unlabelled": {"side_share": 0.0, "unlabelled_share": 1.0},
}
FIRST_HELD_OUT_SEED = 10**9
N_REPEATS, N_QUERIES = 2, 300


class RealSet(NamedTuple):
    """A real set: vectors and classes (as indices) of the rows to label, and of the queries."""

    X: torch.Tensor
    y: torch.Tensor
    X_query: torch.Tensor
    y_query: torch.Tensor
    n_classes: int


# -- training -----------------------------------------------------------------------------------------------------


def make_state(variant, config, schedule):
    """What a run of the variant carries from step to step."""
    state = State(replace(config, **(variant.sizes or {})), schedule, torch.device("cpu"))
    if variant.alter is not None:
        variant.alter(state.reasoner)
        state.average = {name: t.detach().clone() for name, t in state.reasoner.named_parameters()}
    if variant.optimizer is not None:
        state.optimizer = variant.optimizer(state.reasoner, schedule)
    return state


def train(variant, state, prior, schedule, until=None):
    """Take the steps up to `until` (all, if None); returns the processor's seconds."""
    generator = torch.Generator()
    started = time.process_time()
    with variant.sampling():
        while state.step < (schedule.steps if until is None else until):
            train_step(state, prior, schedule, generator, rank=0, world=1)
    return time.process_time() - started


def averaged(state):
    """The network with the moving average of its weights, altered as the variant wants it."""
    reasoner = copy.deepcopy(state.reasoner)
    with torch.no_grad():
        for name, parameter in reasoner.named_parameters():
            parameter.copy_(state.average[name])
    return reasoner.eval()


def operations(state, prior, schedule, n_batches=4):
    """Floating-point operations of a step, forward and backward, by PyTorch's count (matrix products alone)."""
    reasoner = copy.deepcopy(state.reasoner)
    with FlopCounterMode(display=False) as counter:
        for tasks in held_out_tasks(prior, n_batches, first=FIRST_HELD_OUT_SEED // 2):
            task_loss(reasoner, tasks, schedule.layer_loss)[0].backward()
    return counter.get_total_flops() / n_batches


# -- quality ------------------------------------------------------------------------------------------------------


def held_out_tasks(prior, n_batches, first=FIRST_HELD_OUT_SEED):
    """Batches of tasks of the default prior, the same for all variants and apart from those of the training."""
    for number in range(n_batches):
        yield prior.sample(torch.Generator().manual_seed(first + number))


@torch.no_grad()
def synthetic_log_loss(reasoner, prior, n_batches):
    """Mean log-loss over held-out tasks, by kind; every batch counts alike."""
    losses = {}
    for kind, shares in KINDS.items():
        of_kind = replace(prior, **shares)
        batches = [task_loss(reasoner, tasks, 0.0)[1].item() for tasks in held_out_tasks(of_kind, n_batches)]
        losses[kind] = float(np.mean(batches))
    return losses


def read_real_sets(options):
    """The development half of the text sets, embedded; none without ``--data``."""
    if options.data is None:
        return {}
    names = [name for name, kind in find_sets(options.data).items() if kind == TEXT]
    names = [name for name in names if half_of(name) == "development"]
    if options.sets:
        names = [name for name in names if name in options.sets.split(",")]
    return {name: _real_set(name, options) for name in names}


def _real_set(name, options):
    parts = {}
    for half, part in zip(("train", "test"), read_set(options.data, name)):
        parts[half] = (embed(part.X, make_encoder, MINI_LM, options.embeddings, f"{name}.{half}"), part.y)
    classes, y = np.unique(parts["train"][1], return_inverse=True)
    X_query, y_query = parts["test"]
    queries = np.random.default_rng(0).permutation(len(y_query))[:N_QUERIES]
    y_query = np.searchsorted(classes, y_query[queries])
    return RealSet(*map(torch.as_tensor, (parts["train"][0], y, X_query[queries], y_query)), n_classes=len(classes))


@torch.no_grad()
def real_scores(reasoner, sets, ks):
    """Mean accuracy and log-loss over sets and repeats, by size of the context."""
    found = {k: [] for k in ks}
    for one in sets.values():
        repeats = nested_contexts(one.y.numpy(), ks, N_REPEATS, min_per_class=2, stratify=False)
        for k in repeats[0]:
            rows = torch.as_tensor(np.stack([context[k] for context in repeats]))
            queries = one.X_query[None].expand(len(rows), -1, -1)
            logits = reasoner(Evidence(one.X[rows], one.y[rows], one.n_classes), queries)
            target = one.y_query.repeat(len(rows))
            loss = F.cross_entropy(logits.flatten(0, 1), target).item()
            right = (logits.flatten(0, 1).argmax(-1) == target).float().mean().item()
            found[k].append((100 * right, loss))
    # A size that gives the classes of every set fewer than two rows each has no cell.
    cells = {k: np.mean(scores, axis=0) for k, scores in found.items() if scores}
    return {f"{m}_{k}": float(cell[i]) for k, cell in cells.items() for i, m in enumerate(("accuracy", "log_loss"))}


# -- the run ------------------------------------------------------------------------------------------------------


def run_variant(variant, seed, options, sets):
    """Pretrain a variant and measure it: one record; of the default a second one, without averaging."""
    schedule = replace(SCHEDULE, steps=options.steps, seed=seed)
    state = make_state(variant, CONFIG, schedule)
    cost = operations(state, PRIOR, schedule)
    seconds = train(variant, state, PRIOR, schedule)
    reasoners = {variant.key: averaged(state)}
    if variant.key == DEFAULT:
        reasoners["no-averaging"] = state.reasoner.eval()
    for key, reasoner in reasoners.items():
        scores = {**synthetic_log_loss(reasoner, PRIOR, options.batches), **real_scores(reasoner, sets, options.ks)}
        yield {
            "variant": key, "seed": seed, "steps": options.steps, "batches": options.batches,
            "sets": " ".join(sets), "parameters": sum(p.numel() for p in reasoner.parameters()),
            "tasks": state.tasks, "cpu_seconds": round(seconds, 2), "gflop_per_step": round(cost / 1e9, 5),
            **{name: round(score, 5) for name, score in scores.items()},
        }  # fmt: skip


def read_records(path):
    if path is None or not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_same_terms(records, options, sets):
    """Refuse to put results under other terms into one table."""
    now = {"steps": str(options.steps), "batches": str(options.batches), "sets": " ".join(sets)}
    for record in records:
        for name, value in now.items():
            if record[name] != value:
                sys.exit(f"--out: the results there are of {name} {record[name]!r}, not {value!r}: use another file.")


def append(path, records):
    is_new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(records)


def plan(options):
    """Variants with their seeds, in the order of the run: the default with all its seeds first."""
    chosen = [v for v in VARIANTS if options.variants is None or v.key in options.variants.split(",")]
    for variant in chosen:
        for seed in range(options.default_seeds if variant.key == DEFAULT else options.seeds):
            yield variant, seed


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(1)
    sets = read_real_sets(options)
    records = read_records(options.out)
    check_same_terms(records, options, sets)
    skipped = {}
    for variant, seed in plan(options):
        if any(record["variant"] == variant.key and int(record["seed"]) == seed for record in records):
            continue
        try:
            found = list(run_variant(variant, seed, options, sets))
        except NotImplementedError as reason:
            skipped[variant.label] = str(reason)
            continue
        if options.out is not None:
            append(options.out, found)
        records += [{name: str(value) for name, value in record.items()} for record in found]
        print(f"{variant.key}, seed {seed}: {found[0]}", file=sys.stderr, flush=True)
    text = markdown(records, skipped, PRIOR, SCHEDULE)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    keys = [variant.key for variant in VARIANTS]
    parser.add_argument("--variants", help=f"comma-separated out of {', '.join(keys)}; default: all")
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps, help="steps of pretraining (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of every variant (%(default)s)")
    parser.add_argument("--default-seeds", type=int, default=3, help="runs of the default (%(default)s)")
    options = parse_with_measures(parser, arguments)
    unknown = [key for key in (options.variants or DEFAULT).split(",") if key not in keys]
    if unknown:
        parser.error(f"--variants: {unknown[0]!r} is not one of {', '.join(keys)}")
    if min(options.steps, options.seeds, options.default_seeds) < 1:
        parser.error("--steps, --seeds and --default-seeds must be at least 1")
    return options


def parse_with_measures(parser, arguments):
    """Add what every script that measures pretraining runs takes, and parse."""
    parser.add_argument("--out", type=Path, help="CSV file of results, to write and to continue from")
    parser.add_argument("--batches", type=int, default=40, help="held-out batches of each kind (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder with public sets, see data_sets.py")
    parser.add_argument("--sets", help="comma-separated development sets; default: all text sets of that half")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--k", default="16,64,256", help="comma-separated sizes of the contexts (%(default)s)")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    options = parser.parse_args(arguments)
    try:
        options.ks = sorted({int(k) for k in options.k.split(",")})
    except ValueError:
        parser.error(f"--k must be numbers separated by commas, got {options.k!r}")
    if options.batches < 1 or options.ks[0] < 1:
        parser.error("--batches and --k must be at least 1")
    for path in (options.out, options.markdown):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {str(path)!r} does not exist")
    return options


if __name__ == "__main__":
    main()
