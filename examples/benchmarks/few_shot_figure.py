"""Figure of a few-shot benchmark: accuracy and log-loss against the number of labelled examples.

    python examples/benchmarks/few_shot_figure.py results.csv --data FOLDER --figure few_shot.svg

reads the results file of ``few_shot_text.py --data FOLDER --out results.csv`` and draws the mean of the text sets.
Needs matplotlib (``pip install skicl[plot]``).
"""

import argparse

import numpy as np
from data_sets import TEXT, find_sets
from methods import methods
from tables import REFERENCE, read_records

from skicl.evaluation import mean_differences, mean_scores

# Okabe and Ito's colours, told apart by colour-blind readers; the first is ours.
STYLES = {
    "tart": ("#D55E00", "o"),
    "tart+names": ("#B2182B", "o"),
    "tart+U100": ("#F4A582", "o"),
    "tart+U1000": ("#E08214", "o"),
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
    "nearest-name": ("#5E3C99", "h"),
    "self-training+U100": ("#80CDC1", "d"),
    "self-training+U1000": ("#018571", "d"),
    "label-spreading+U100": ("#A6CEE3", "*"),
    "label-spreading+U1000": ("#1F78B4", "*"),
}


def draw_figure(records, labels, path):
    """Draw both panels and write them to `path` (.svg, .png or .pdf); `labels` names the methods by key.

    Lines are means over the sets. Bands around ours are 95 % bootstrap intervals, over sets and repeats, of the
    distance to tuned logistic regression (the first method if that was not run), on the same contexts and queries:
    how hard a set is moves all lines alike and says nothing about their distance.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    style = {
        "svg.hashsalt": "few-shot",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
    }
    with plt.rc_context(style):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
        _draw_panel(left, records, labels, "accuracy", "Accuracy (%), higher is better")
        _draw_panel(right, records, labels, "log_loss", "Log-loss (nats), lower is better")
        found = {record["estimator"] for record in records}
        if REFERENCE in found and any(_is_ours(key) for key in found):
            _note(left, 0.03, "bottom", f"bands: 95 % interval of the\ndistance to {labels[REFERENCE]}")
        handles, names = left.get_legend_handles_labels()
        figure.legend(
            handles[::-1],
            names[::-1],
            loc="outside lower center",
            ncols=len(names) if len(names) <= 6 else min(5, -(-len(names) // 2)),
            columnspacing=1.4,
            handlelength=1.8,
            frameon=False,
        )
        date = {"Date": None} if str(path).endswith(".svg") else None
        figure.savefig(path, dpi=150, metadata=date)
        plt.close(figure)


def _draw_panel(axes, records, labels, score, title):
    factor = 100 if score == "accuracy" else 1
    lines = _by_estimator(mean_scores(records, score, n_draws=1))
    keys = [key for key in labels if key in lines]
    reference = REFERENCE if REFERENCE in keys else keys[0]
    distances = _by_estimator(mean_differences(records, reference, score))
    sizes = sorted({record["k"] for record in records})
    step = {k: at for at, k in enumerate(sizes)}
    # Above the better half of the methods: some log-losses would flatten all others.
    top = 1.15 * np.median([max(row["mean"] for row in lines[key].values()) for key in keys]) if factor == 1 else np.inf
    for key in reversed(keys):  # ours is drawn last, on top
        colour, marker = STYLES.get(key, ("#882255", "*"))
        means = {k: factor * row["mean"] for k, row in lines[key].items()}
        band = [k for k in distances.get(key, ()) if k in lines[reference]]
        if _is_ours(key) and key != reference:
            level = np.array([lines[reference][k]["mean"] for k in band])
            low, high = (np.array([distances[key][k][end] for k in band]) for end in ("low", "high"))
            ends = factor * (level + low), factor * (level + high)
            axes.fill_between([step[k] for k in band], *ends, color=colour, alpha=0.12, linewidth=0)
        axes.plot(
            [step[k] for k in means],
            list(means.values()),
            color=colour,
            marker=marker,
            markersize=6 if _is_ours(key) else 4,
            linewidth=2.6 if _is_ours(key) else 1.3,
            label=labels[key],
        )
    if factor == 1:
        _limit(axes, {labels[key]: [row["mean"] for row in lines[key].values()] for key in keys}, top)
    n_sets = {k: len({record["dataset"] for record in records if record["k"] == k}) for k in sizes}
    axes.set_xticks(range(len(sizes)), [f"{k}\n{n} set{'s' if n > 1 else ''}" for k, n in n_sets.items()], fontsize=8)
    axes.set_xlabel("labelled examples")
    axes.set_title(title)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)


def _is_ours(key):
    return key.startswith("tart")


def _by_estimator(summary):
    """Rows by estimator and size, without the mean over the sizes."""
    found = {}
    for row in summary:
        if row["k"] is not None:
            found.setdefault(row["estimator"], {})[row["k"]] = row
    return found


def _limit(axes, lines, top):
    """Cut the axis, and say which lines leave it."""
    axes.set_ylim(max(0, 0.8 * min(map(min, lines.values()))), min(top, axes.get_ylim()[1]))
    leaving = [label for label, means in lines.items() if max(means) > top]
    if leaving:
        _note(axes, 0.98, "top", f"partly or wholly above the axis:\n{', '.join(leaving)}")


def _note(axes, height, side, text):
    """A remark at the right, under the lines."""
    place = {"transform": axes.transAxes, "ha": "right", "va": side, "zorder": 1}
    box = {"facecolor": "white", "edgecolor": "none"}
    axes.text(0.99, height, text, size=8, color="#444444", bbox=box, **place)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="CSV file written by few_shot_text.py --out")
    parser.add_argument("--data", required=True, help="folder with the data sets, which says what are texts")
    parser.add_argument("--figure", required=True, help="file to write: .svg, .png or .pdf")
    parser.add_argument("--methods", help="comma-separated keys of the methods to draw; default: all recorded")
    options = parser.parse_args()
    records = [record for record in read_records(options.results) if find_sets(options.data)[record["dataset"]] == TEXT]
    keys = dict.fromkeys(record["estimator"] for record in records)
    if options.methods:
        keys = options.methods.split(",")
    names = {method.key: method.label for method in methods()}
    draw_figure(
        [record for record in records if record["estimator"] in keys],
        {key: names.get(key, key) for key in keys},
        options.figure,
    )


if __name__ == "__main__":
    main()
