"""Figure of a few-shot benchmark: accuracy and log-loss against the number of labelled examples, a column a draw.

    python examples/benchmarks/few_shot_figure.py results.csv --data FOLDER --figure few_shot.svg

reads the results file of ``few_shot_text.py --data FOLDER --out results.csv`` and draws the mean of the text sets.
Methods that ran on some of the contexts only, such as fine-tuning, are drawn as points: their mean distance to tuned
logistic regression on these contexts, from its line.
Needs matplotlib (``pip install skicl[plot]``).
"""

import argparse

import numpy as np
from data_sets import TEXT, find_sets
from draws import TITLES, by_draw
from margins import REFERENCE
from methods import is_ours, methods
from tables import read_records

from skicl.evaluation import FewShotCurveDisplay, mean_scores

SHOWN = ("default", "default+unlabelled", "tuned-lr", "centroid", "fine-tuned-full", "fine-tuned-contrastive")
PANELS = {"accuracy": "accuracy (%)", "log_loss": "log-loss (nats)"}
# Okabe and Ito's colours, told apart by colour-blind readers; the first is ours.
STYLES = {
    "default": ("#D55E00", "o"),
    "default+unlabelled": ("#7F2704", "o"),
    "layers": ("#FDAE6B", "o"),
    "tart": ("#F4A582", "o"),
    "tart+names": ("#B2182B", "o"),
    "tart+U100": ("#E08214", "o"),
    "tart+U1000": ("#E08214", "d"),
    "tart+names+U200": ("#67001F", "o"),
    "tuned-lr": ("#000000", "s"),
    "tuned-lr-accuracy": ("#777777", "s"),
    "lr": ("#999999", "D"),
    "lda": ("#0072B2", "^"),
    "centroid": ("#009E73", "v"),
    "knn": ("#CC79A7", "P"),
    "svm": ("#56B4E9", "X"),
    "gp": ("#E69F00", "<"),
    "forest": ("#8C6D31", ">"),
    "lr+names": ("#000000", "p"),
    "gaussians+names": ("#5E3C99", "^"),
    "nearest-name": ("#5E3C99", "h"),
    "self-training+U100": ("#80CDC1", "d"),
    "self-training+U1000": ("#018571", "d"),
    "label-spreading+U100": ("#A6CEE3", "*"),
    "label-spreading+U1000": ("#1F78B4", "*"),
    "fine-tuned-full": ("#0072B2", "X"),
    "fine-tuned-lora": ("#56B4E9", "X"),
    "fine-tuned-contrastive": ("#CC79A7", "P"),
}


def in_figure(labels, records):
    """Names by key of the methods to draw: the chosen ones of those that ran, or all if hardly any of them did."""
    ran = {record["estimator"] for record in records}
    chosen = {key: label for key, label in labels.items() if key in ran and key in SHOWN}
    return chosen if len(chosen) > 1 else {key: label for key, label in labels.items() if key in ran}


def draw_figure(records, names, path):
    """Draw both panels of every draw and write them to `path` (.svg, .png or .pdf); `names` are those of the methods.

    Lines are means over the sets. Bands around ours are 95 % bootstrap intervals, over sets and repeats, of the
    distance to tuned logistic regression (of the mean itself if that was not run), on the same contexts and queries.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    drawn = by_draw(records)
    with plt.rc_context({"svg.hashsalt": "few-shot", "axes.titleweight": "bold"}):
        alone = len(drawn) == 1  # the panels then stand side by side
        shape = (1, len(PANELS)) if alone else (len(PANELS), len(drawn))
        size = (5 * shape[1], 4 * shape[0] + 0.6)
        figure, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
        handles = {}
        for column, (draw, chosen) in zip(axes if alone else axes.T, drawn.items()):
            handles |= _draw_column(column, draw, chosen, names)
        figure.legends.clear()
        order = [handles[label] for label in names.values() if label in handles]
        figure.legend(handles=order, loc="outside lower center", ncols=min(len(order), 4), frameon=False)
        date = {"Date": None} if str(path).endswith(".svg") else None
        figure.savefig(path, dpi=150, metadata=date)
        plt.close(figure)


def _draw_column(axes, draw, records, names):
    """Draw the panels of one draw; lines and points by name."""
    here = [record for record in records if record["estimator"] in names]
    lines = {row["estimator"] for row in mean_scores(here, n_bootstrap=1) if row["k"] is not None}
    present = {key: label for key, label in names.items() if key in lines}
    display = FewShotCurveDisplay.from_results(
        here,
        score=tuple(PANELS),
        reference=REFERENCE if REFERENCE in present else None,
        names=present,
        styles={key: style_of(key) for key in present},
        bands=[key for key in present if is_ours(key)],
        ax=axes,
    )
    handles = {line.get_label(): line for line in display.lines_["accuracy"].values()}
    for ax, (score, title) in zip(axes, PANELS.items()):
        ax.set_title(f"{TITLES[draw].capitalize()}: {title}", loc="left", fontsize=10)
        for key, label in names.items():
            if REFERENCE in present and key not in present:
                handles |= _draw_points(ax, here, key, label, score, display.scores[score][REFERENCE])
    return handles


def _draw_points(ax, records, key, label, score, line):
    """Points of a method that lacks contexts: its distance to the reference on those that it has, from the line."""
    cells = {}
    for record in records:
        place = record["k"], record["dataset"], record["repeat"]
        cells.setdefault(place, {})[record["estimator"]] = record[score]
    pairs = [(place, cell[key] - cell[REFERENCE]) for place, cell in cells.items() if {key, REFERENCE} <= set(cell)]
    of_line = dict(zip(line["k"].tolist(), line["mean"].tolist()))
    sizes = sorted({place[0] for place, _ in pairs} & set(of_line))
    if not sizes:
        return {}
    heights = [of_line[k] + np.mean([distance for place, distance in pairs if place[0] == k]) for k in sizes]
    n_sets = len({place[1] for place, _ in pairs})
    called = f"{label} (on {n_sets} set{'s' * (n_sets > 1)})"
    points = ax.plot(sizes, heights, label=called, zorder=20, **{**style_of(key), "linestyle": "none", "markersize": 8})
    return {label: points[0]}


def style_of(key):
    """Colour and marker of a line; ours are thick."""
    colour, marker = STYLES.get(key.removesuffix("@layers"), ("#882255", "*"))
    width, size = (2.6, 6) if is_ours(key) else (1.3, 4)
    dashes = {"linestyle": "--"} if key.endswith("@layers") else {}
    return {"color": colour, "marker": marker, "linewidth": width, "markersize": size, **dashes}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="CSV file written by few_shot_text.py --out")
    parser.add_argument("--data", required=True, help="folder with the data sets, which says what are texts")
    parser.add_argument("--figure", required=True, help="file to write: .svg, .png or .pdf")
    parser.add_argument("--methods", help=f"comma-separated keys of the methods to draw (default: {','.join(SHOWN)})")
    options = parser.parse_args()
    kinds = find_sets(options.data)
    records = [record for record in read_records(options.results) if kinds[record["dataset"]] == TEXT]
    labels = {method.key: method.label for method in methods()}
    labels |= {record["estimator"]: record["estimator"] for record in records if record["estimator"] not in labels}
    names = in_figure(labels, records)
    if options.methods:
        names = {key: labels.get(key, key) for key in options.methods.split(",")}
    draw_figure(records, names, options.figure)


if __name__ == "__main__":
    main()
