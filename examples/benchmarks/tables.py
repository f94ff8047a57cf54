"""Tables of few-shot results: means over sets, ranks, and differences with bootstrap intervals, as markdown."""

import csv
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

REFERENCE = "tuned-lr"
METRICS = ("accuracy", "macro_f1", "log_loss", "brier", "ece", "seconds")


class Scores(NamedTuple):
    """Dense results. Axes: M methods, S sets, K sizes of the context, R repeats; nan where there is none."""

    labels: dict  # method key -> name for people; its keys are the M methods
    sets: list
    ks: list
    n_classes: np.ndarray  # (S,)
    values: dict  # metric -> (M, S, K, R)

    def counted(self):
        """(S, K): whether the set counts in the mean at this size, which has at least two rows per class."""
        return 2 * self.n_classes[:, None] <= np.asarray(self.ks)

    def masked(self, metric):
        """(M, S, K, R) with nan where the set does not count, and where a method lacks a set that counts."""
        values = np.where(self.counted()[None, :, :, None], self.values[metric], np.nan)
        lacking = (np.isnan(values) & self.counted()[None, :, :, None]).any(axis=(1, 3), keepdims=True)
        return np.where(lacking, np.nan, values)


def read_records(path):
    """Records of a results file, numbers as numbers."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    whole, text = {"k", "repeat", "n_classes", "n_queries"}, {"dataset", "task", "estimator"}
    return [
        {name: v if name in text else int(v) if name in whole else float(v) for name, v in row.items()}
        for row in rows
    ]


def collect(records, labels):
    """Arrange records densely; methods and their order are those of `labels` that have records."""
    found = {record["estimator"] for record in records}
    labels = {key: label for key, label in labels.items() if key in found}
    records = [record for record in records if record["estimator"] in labels]
    sets = sorted({record["dataset"] for record in records})
    ks = sorted({record["k"] for record in records})
    shape = (len(labels), len(sets), len(ks), 1 + max(record["repeat"] for record in records))
    values = {metric: np.full(shape, np.nan) for metric in METRICS}
    n_classes = np.zeros(len(sets), dtype=int)
    methods = list(labels)
    for record in records:
        at = (
            methods.index(record["estimator"]),
            sets.index(record["dataset"]),
            ks.index(record["k"]),
            record["repeat"],
        )
        n_classes[at[1]] = record["n_classes"]
        for metric in METRICS[:-1]:
            values[metric][at] = record[metric]
        values["seconds"][at] = record["fit_seconds"] + record["predict_seconds"]
    return Scores(labels, sets, ks, n_classes, values)


def mean_by_size(values):
    """(M, K): mean over sets and repeats of (M, S, K, R), nan where there is nothing to average."""
    counts = (~np.isnan(values)).sum(axis=(1, 3))
    return np.where(counts > 0, np.nansum(values, axis=(1, 3)) / np.maximum(counts, 1), np.nan)


def bootstrap(values, n_draws=1000):
    """(n_draws, M, K) means by size, of sets drawn with replacement and of repeats drawn within each.

    The draws are the same for all methods and sizes: differences between them are paired.
    """
    rng = np.random.default_rng(0)
    n_sets, n_repeats = values.shape[1], values.shape[3]
    draws = []
    for _ in range(n_draws):
        drawn = rng.integers(n_sets, size=n_sets)[:, None]
        repeats = rng.integers(n_repeats, size=(n_sets, n_repeats))
        draws.append(mean_by_size(values[:, drawn, :, repeats].transpose(2, 0, 3, 1)))
    return np.stack(draws)


def ranks(values, *, largest_first):
    """(M, S, K, R) ranks of the methods in each cell, 1 is best; nan for a method that lacks a size."""
    ranked = np.full(values.shape, np.nan)
    for k in range(values.shape[2]):
        present = np.flatnonzero(~np.isnan(values[:, :, k]).all(axis=(1, 2)))
        if len(present) == 0:
            continue
        cells = values[present, :, k]
        ranked[present, :, k] = rankdata(-cells if largest_first else cells, axis=0, nan_policy="omit")
    return ranked


def set_section(scores, name):
    """Markdown table of one set: accuracy in %, log-loss, ECE and seconds, by method and size."""
    at = scores.sets.index(name)
    means = {metric: mean_by_size(scores.values[metric][:, [at]]) for metric in METRICS}
    sizes = [column for column in range(len(scores.ks)) if not np.isnan(means["accuracy"][:, column]).all()]
    rows = []
    for m, label in enumerate(scores.labels.values()):
        cells = [_summary({metric: means[metric][m, column] for metric in METRICS}) for column in sizes]
        rows.append([label, *cells])
    title = f"### {name} ({scores.n_classes[at]} classes)\n\n"
    return title + markdown_table(["method", *(f"k = {scores.ks[column]}" for column in sizes)], rows)


def mean_section(scores):
    """Markdown: the means over the sets, one table per measure, then ranks and differences."""
    digits = {"accuracy": 1, "macro_f1": 1, "log_loss": 3, "brier": 3, "ece": 3, "seconds": 3}
    titles = {
        "accuracy": "Accuracy (%)",
        "macro_f1": "Macro F1 (%)",
        "log_loss": "Log-loss (nats)",
        "brier": "Brier score",
        "ece": "Expected calibration error",
        "seconds": "Seconds, fit and predict together",
    }
    parts = []
    for metric in METRICS:
        means = mean_by_size(scores.masked(metric)) * (100 if digits[metric] == 1 else 1)
        best = np.fmax if metric in ("accuracy", "macro_f1") else np.fmin
        parts.append(f"### {titles[metric]}\n\n" + _table_by_size(scores, means, digits[metric], best))
    for metric, largest_first in (("accuracy", True), ("log_loss", False)):
        ranked = ranks(scores.masked(metric), largest_first=largest_first)
        title = f"### Mean rank by {titles[metric].split(' (')[0].lower()}, 95 % interval\n\n"
        parts.append(title + _interval_table(scores, mean_by_size(ranked), bootstrap(ranked), "{:.2f}"))
    if REFERENCE in scores.labels and len(scores.labels) > 1:
        parts.extend(_difference_sections(scores))
    counts = ", ".join(f"{n} at {k}" for k, n in zip(scores.ks, scores.counted().sum(axis=0)))
    return (
        f"Means over the sets with at most k / 2 classes (sets: {counts}) and over {_n_repeats(scores)} repeats. "
        "The last column is the mean of the others. Intervals: bootstrap over sets and repeats.\n\n"
    ) + "\n\n".join(parts)


def markdown_table(header, rows):
    """A markdown table that is also legible as plain text."""
    widths = [max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in [header, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def _difference_sections(scores):
    reference = list(scores.labels).index(REFERENCE)
    name = scores.labels[REFERENCE]
    accuracy = 100 * scores.masked("accuracy")
    gain = accuracy - accuracy[reference]
    yield f"### Accuracy minus that of {name} (points), 95 % interval\n\n" + _interval_table(
        scores, mean_by_size(gain), bootstrap(gain), "{:+.1f}"
    )
    loss = scores.masked("log_loss")
    means, draws = mean_by_size(loss), bootstrap(loss)
    means, draws = _with_mean(means), _with_mean(draws)
    yield f"### Log-loss divided by that of {name}, 95 % interval\n\n" + _interval_table(
        scores, means / means[reference], draws / draws[:, [reference]], "{:.2f}", has_mean=True
    )


def _with_mean(by_size):
    """Append the mean over the sizes, (..., K) -> (..., K + 1); nan if a size is missing."""
    return np.concatenate([by_size, by_size.mean(axis=-1, keepdims=True)], axis=-1)


def _table_by_size(scores, means, n_digits, best):
    means = _with_mean(means)
    shown = np.round(means, n_digits)
    leading = best.reduce(shown, axis=0)
    rows = [[label] for label in scores.labels.values()]
    for row, values in zip(rows, shown):
        for value, lead in zip(values, leading):
            text = "-" if np.isnan(value) else f"{value:.{n_digits}f}"
            row.append(f"**{text}**" if value == lead and len(rows) > 1 else text)
    return markdown_table(["method", *(f"k = {k}" for k in scores.ks), "mean"], rows)


def _interval_table(scores, means, draws, form, *, has_mean=False):
    if not has_mean:
        means, draws = _with_mean(means), _with_mean(draws)
    low, high = interval(draws)
    rows = []
    for m, label in enumerate(scores.labels.values()):
        cells = [
            "-" if np.isnan(mid) else f"{form.format(mid)} ({form.format(a)} to {form.format(b)})"
            for mid, a, b in zip(means[m], low[m], high[m])
        ]
        rows.append([label, *cells])
    return markdown_table(["method", *(f"k = {k}" for k in scores.ks), "mean"], rows)


def interval(draws):
    """2.5 and 97.5 % quantiles over the draws that have a value."""
    missing = np.isnan(draws).all(axis=0)
    low, high = np.nanquantile(np.where(missing, 0, draws), [0.025, 0.975], axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def _summary(cell):
    if np.isnan(cell["accuracy"]):
        return "-"
    return (
        f"{100 * cell['accuracy']:.1f} / {cell['log_loss']:.3f} / {cell['ece']:.3f} / {cell['seconds']:.3f}"
    )


def _n_repeats(scores):
    return scores.values["accuracy"].shape[3]
