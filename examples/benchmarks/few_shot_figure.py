"""Figure of a few-shot benchmark: accuracy and log-loss against the number of labelled examples.

    python examples/benchmarks/few_shot_figure.py results.csv --figure few_shot.svg

reads the results file of ``few_shot_text.py --out results.csv``. Needs matplotlib (``pip install skicl[plot]``).
"""

import argparse

import numpy as np
from competitors import methods
from tables import REFERENCE, Scores, bootstrap, collect, interval, mean_by_size, read_records

# Okabe and Ito's colours, told apart by colour-blind readers; the first is ours.
STYLES = {
    "tart": ("#D55E00", "o"),
    "tuned-lr": ("#000000", "s"),
    "tuned-lr-accuracy": ("#777777", "s"),
    "lr": ("#999999", "D"),
    "lda": ("#0072B2", "^"),
    "centroid": ("#009E73", "v"),
    "knn": ("#CC79A7", "P"),
    "svm": ("#56B4E9", "X"),
    "gp": ("#E69F00", "<"),
    "forest": ("#8C6D31", ">"),
}


def draw_figure(scores: Scores, path):
    """Draw both panels and write them to `path` (.svg, .png or .pdf).

    Lines are means over the sets with at most k / 2 classes. Bands are 95 % bootstrap intervals, over sets and
    repeats, of the distance to tuned logistic regression (the first method if that was not run), on the same
    contexts and queries: how hard a set is moves all lines alike and says nothing about their distance.
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
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
        accuracy, loss = 100 * scores.masked("accuracy"), scores.masked("log_loss")
        top = 1.15 * np.median(np.nanmax(mean_by_size(loss), axis=1))  # above the better half of the methods
        _draw_panel(left, scores, accuracy, "Accuracy (%), higher is better")
        _draw_panel(right, scores, loss, "Log-loss (nats), lower is better", top)
        _limit(right, scores, mean_by_size(loss), top)
        reference = scores.labels.get(REFERENCE)
        if reference and len(scores.labels) > 1:
            _note(left, 0.03, "bottom", f"bands: 95 % interval of the\ndistance to {reference}")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(
            handles[::-1],
            labels[::-1],
            loc="outside lower center",
            ncols=len(labels) if len(labels) <= 6 else -(-len(labels) // 2),
            columnspacing=1.4,
            handlelength=1.8,
            frameon=False,
        )
        date = {"Date": None} if str(path).endswith(".svg") else None
        figure.savefig(path, dpi=150, metadata=date)
        plt.close(figure)


def _draw_panel(axes, scores, values, title, top=np.inf):
    means = mean_by_size(values)
    low, high = _bands(scores, values)
    steps = np.arange(len(scores.ks))
    for m, (key, label) in reversed(list(enumerate(scores.labels.items()))):  # ours is drawn last, on top
        colour, marker = STYLES.get(key, ("#882255", "*"))
        is_ours = key.startswith("tart")
        if np.nanmax(means[m]) <= top:
            axes.fill_between(steps, low[m], high[m], color=colour, alpha=0.12, linewidth=0)
        axes.plot(
            steps,
            means[m],
            color=colour,
            marker=marker,
            markersize=6 if is_ours else 4,
            linewidth=2.6 if is_ours else 1.3,
            label=label,
        )
    n_sets = scores.counted().sum(axis=0)
    axes.set_xticks(steps, [f"{k}\n{n} set{'s' if n > 1 else ''}" for k, n in zip(scores.ks, n_sets)])
    axes.set_xlabel("labelled examples")
    axes.set_title(title)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)


def _bands(scores, values):
    """Ends, two arrays (M, K), of the 95 % interval of the distance to the reference, around each mean."""
    reference = list(scores.labels).index(REFERENCE) if REFERENCE in scores.labels else 0
    distance = values - values[reference]
    low, high = interval(bootstrap(distance))
    level = mean_by_size(values)[reference]
    return level + low, level + high


def _limit(axes, scores, means, top):
    """Cut the axis, and say which lines leave it."""
    axes.set_ylim(max(0, 0.8 * np.nanmin(means)), min(top, axes.get_ylim()[1]))
    peaks = zip(scores.labels.values(), np.nanmax(means, axis=1))
    leaving = [label for label, peak in peaks if peak > top]
    if leaving:
        _note(axes, 0.98, "top", f"partly or wholly above the axis:\n{', '.join(leaving)}")


def _note(axes, height, side, text):
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(
        0.99, height, text, transform=axes.transAxes, ha="right", va=side, size=8, color="#444444", bbox=box
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="CSV file written by few_shot_text.py --out")
    parser.add_argument("--figure", required=True, help="file to write: .svg, .png or .pdf")
    parser.add_argument(
        "--methods", help="comma-separated keys of the methods to draw; default: all recorded"
    )
    arguments = parser.parse_args()
    labels = {method.key: method.label for method in methods()}
    if arguments.methods:
        labels = {key: labels[key] for key in arguments.methods.split(",")}
    draw_figure(collect(read_records(arguments.results), labels), arguments.figure)


if __name__ == "__main__":
    main()
