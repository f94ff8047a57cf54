"""Compute against quality: networks of several sizes, pretrained for the same seconds of one core.

    python examples/benchmarks/scaling_curve.py --out scaling.csv --figure scaling_curve.svg --markdown scaling.md

Every size starts from random weights and sees the same tasks in the same order, with one constant rate of learning, so
that every point of a curve is a run of its own that stopped there. Quality is the log-loss on held-out synthetic tasks
and, with ``--data``, on the development half of the public text sets, as in ``ablations.py``. A size that
``--out`` has is not run again.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ablation_variants import DEFAULT, VARIANTS
from ablations import (
    KINDS,
    PRIOR,
    SCHEDULE,
    append,
    averaged,
    make_state,
    operations,
    parse_with_measures,
    read_real_sets,
    read_records,
    real_scores,
    synthetic_log_loss,
)

from skicl.pretraining._loop import train_step
from skicl.reasoning import EquivariantConfig

SIZES = {
    "tiny": EquivariantConfig(n_layers=4, n_channels=16, n_values=8, n_hidden=32, n_landmarks=32),
    "small": EquivariantConfig(n_layers=4, n_channels=24, n_values=16, n_hidden=64, n_landmarks=32),
    "default": EquivariantConfig(n_landmarks=32),
    "wide": EquivariantConfig(n_layers=6, n_channels=64, n_values=40, n_hidden=192, n_landmarks=32),
    "large": EquivariantConfig(n_layers=8, n_channels=64, n_values=40, n_hidden=224, n_landmarks=32),
}
COLOURS = ("#56B4E9", "#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's
MARKS = ("v", "^", "o", "s", "D")
STEPS = 10**9  # the seconds end a run; without a last step the rate stays constant


def run_size(name, options, sets):
    """One record for every point of the curve of a size."""
    schedule = replace(SCHEDULE, steps=STEPS, decay=0.0, seed=options.seed)
    variant = next(v for v in VARIANTS if v.key == DEFAULT)
    state = make_state(variant, SIZES[name], schedule)
    cost, spent, generator = operations(state, PRIOR, schedule), 0.0, torch.Generator()
    n_parameters = sum(p.numel() for p in state.reasoner.parameters())
    records = []
    for seconds in options.seconds * 0.5 ** np.arange(options.points - 1, -1, -1.0):
        while spent < seconds:
            started = time.process_time()
            train_step(state, PRIOR, schedule, generator, rank=0, world=1)
            spent += time.process_time() - started
        reasoner = averaged(state)
        losses = synthetic_log_loss(reasoner, PRIOR, options.batches)
        records.append({
            "size": name, "seed": options.seed, "batches": options.batches, "sets": " ".join(sets),
            "seconds_given": options.seconds, "points": options.points, "parameters": n_parameters,
            "steps": state.step, "tasks": state.tasks, "cpu_seconds": round(spent, 2),
            "gflop": round(cost * state.step / 1e9, 4),
            **{kind: round(loss, 5) for kind, loss in losses.items()},
            **{key: round(score, 5) for key, score in real_scores(reasoner, sets, options.ks).items()},
        })  # fmt: skip
        print(f"{name}: {records[-1]}", file=sys.stderr, flush=True)
    return records


def check_same_terms(records, options, sets):
    """Refuse to draw curves of other terms into one figure."""
    now = {"seed": options.seed, "batches": options.batches, "sets": " ".join(sets), "seconds_given": options.seconds,
           "points": options.points}  # fmt: skip
    for record in records:
        for name, value in now.items():
            if record[name] != str(value):
                sys.exit(f"--out: the results there are of {name} {record[name]!r}, not {value!r}: use another file.")


def curves(records):
    """Points of every size, in the order of SIZES: compute, synthetic and real log-loss (none without sets)."""
    found = {}
    for name in SIZES:
        own = [record for record in records if record["size"] == name]
        if own:
            synthetic = [np.mean([float(record[kind]) for kind in KINDS]) for record in own]
            keys = [key for key in own[0] if key.startswith("log_loss_")]
            real = [np.mean([float(record[key]) for key in keys]) for record in own] if keys else None
            found[name] = ([float(record["gflop"]) for record in own], synthetic, real)
    return found


def markdown(records):
    """A table with one line for every point."""
    ks = [key.removeprefix("log_loss_") for key in records[0] if key.startswith("log_loss_")]
    head = ["size", "parameters", "steps", "tasks", "seconds", "TFLOP", "tasks a second", *KINDS]
    head += ["accuracy, real", "log-loss, real"] if ks else []
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for record in sorted(records, key=lambda record: list(SIZES).index(record["size"])):
        seconds, tasks = float(record["cpu_seconds"]), int(record["tasks"])
        line = [record["size"], f"{int(record['parameters']):,}", record["steps"], f"{tasks:,}", f"{seconds:.0f}",
                f"{float(record['gflop']) / 1000:.3g}", f"{tasks / seconds:.0f}",
                *(f"{float(record[kind]):.3f}" for kind in KINDS)]  # fmt: skip
        if ks:
            line.append(f"{np.mean([float(record[f'accuracy_{k}']) for k in ks]):.1f}")
            line.append(f"{np.mean([float(record[f'log_loss_{k}']) for k in ks]):.3f}")
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def draw_figure(records, path):
    """Log-loss against floating-point operations, one line a size; a second panel if there are real sets."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = curves(records)
    n_parameters = {record["size"]: int(record["parameters"]) for record in records}
    titles = ["Held-out synthetic tasks"]
    if all(real is not None for _, _, real in found.values()):
        titles.append("Development sets")
    style = {"svg.hashsalt": "scaling", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
             "axes.titlelocation": "left", "axes.titleweight": "bold"}  # fmt: skip
    with plt.rc_context(style):
        figure, panels = plt.subplots(
            1, len(titles), figsize=(5 * len(titles), 3.8), layout="constrained", squeeze=False
        )
        for column, (panel, title) in enumerate(zip(panels[0], titles)):
            for (name, points), colour, mark in zip(found.items(), COLOURS, MARKS):
                label = f"{n_parameters[name] / 1e6:.2f} M parameters"
                panel.plot(np.array(points[0]) / 1000, points[1 + column], color=colour, marker=mark, label=label)
            panel.set(xscale="log", title=title, xlabel="Operations spent (TFLOP)", ylabel="Log-loss (nats)")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False,
                      columnspacing=1.4, handlelength=1.8)  # fmt: skip
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(1)
    sets = read_real_sets(options)
    records = read_records(options.out)
    check_same_terms(records, options, sets)
    for name in options.sizes:
        if any(record["size"] == name for record in records):
            continue
        found = run_size(name, options, sets)
        if options.out is not None:
            append(options.out, found)
        records += [{key: str(value) for key, value in record.items()} for record in found]
    text = markdown(records)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")
    if options.figure is not None:
        draw_figure(records, options.figure)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--sizes", default=",".join(SIZES), help="comma-separated sizes (%(default)s)")
    parser.add_argument("--seconds", type=float, default=600.0, help="seconds of training a size (%(default)s)")
    parser.add_argument("--points", type=int, default=5, help="points, each at half of the next one's seconds")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and tasks (%(default)s)")
    parser.add_argument("--figure", type=Path, help="file for the figure: .svg, .png or .pdf")
    options = parse_with_measures(parser, arguments)
    options.sizes = options.sizes.split(",")
    unknown = [name for name in options.sizes if name not in SIZES]
    if unknown:
        parser.error(f"--sizes: {unknown[0]!r} is not one of {', '.join(SIZES)}")
    if options.seconds <= 0 or options.points < 1 or options.seed < 0:
        parser.error("--seconds and --points must be positive, --seed at least 0")
    if options.figure is not None and not options.figure.absolute().parent.is_dir():
        parser.error(f"the folder of {str(options.figure)!r} does not exist")
    return options


if __name__ == "__main__":
    main()
