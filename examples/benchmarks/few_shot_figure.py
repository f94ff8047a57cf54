"""Figure of a few-shot benchmark: accuracy and log-loss against the number of labelled examples.

    python examples/benchmarks/few_shot_figure.py results.csv --data FOLDER --figure few_shot.svg

reads the results file of ``few_shot_text.py --data FOLDER --out results.csv`` and draws the mean of the text sets.
Needs matplotlib (``pip install skicl[plot]``).
"""

import argparse

from data_sets import TEXT, find_sets
from methods import methods
from tables import REFERENCE, read_records

from skicl.evaluation import FewShotCurveDisplay

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
    distance to tuned logistic regression (of the mean itself if that was not run), on the same contexts and queries.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = {record["estimator"] for record in records}
    names = {key: label for key, label in labels.items() if key in found}
    with plt.rc_context({"svg.hashsalt": "few-shot", "axes.titleweight": "bold"}):
        display = FewShotCurveDisplay.from_results(
            records,
            score=("accuracy", "log_loss"),
            reference=REFERENCE if REFERENCE in found else None,
            names=names,
            styles={key: style_of(key) for key in names},
            bands=[key for key in names if is_ours(key)],
        )
        date = {"Date": None} if str(path).endswith(".svg") else None
        display.figure_.savefig(path, dpi=150, metadata=date)
        plt.close(display.figure_)


def style_of(key):
    """Colour and marker of a line; ours are thick."""
    colour, marker = STYLES.get(key, ("#882255", "*"))
    width, size = (2.6, 6) if is_ours(key) else (1.3, 4)
    return {"color": colour, "marker": marker, "linewidth": width, "markersize": size}


def is_ours(key):
    return key.startswith("tart")


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
