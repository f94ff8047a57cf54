"""Tables of few-shot results as markdown: one for each set, means over text sets and over the others, comparisons."""

import csv

from data_sets import HALVES, TEXT, half_of
from draws import TITLES, by_draw, with_draw
from margins import REFERENCE, margins
from markdown_tables import interval, markdown_table

from skicl.evaluation import mean_differences, mean_ranks, mean_scores

# Score: title, factor and form of a cell, and which value is the best.
SCORES = {
    "accuracy": ("Accuracy (%)", 100, "{:.1f}", max),
    "macro_f1": ("Macro F1 (%)", 100, "{:.1f}", max),
    "log_loss": ("Log-loss (nats)", 1, "{:.3f}", min),
    "brier": ("Brier score", 1, "{:.3f}", min),
    "ece": ("Expected calibration error", 1, "{:.3f}", min),
    "seconds": ("Seconds, fit and predict together", 1, "{:.3f}", min),
}
OF_HALVES = ("accuracy", "log_loss", "ece")


def read_records(path):
    """Records of a results file, numbers as numbers; without their checksums."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    whole, text = {"k", "repeat", "n_classes", "n_queries"}, {"dataset", "task", "estimator"}
    for row in rows:
        row.pop("checksum", None)
    return [
        with_draw({name: v if name in text else int(v) if name in whole else float(v) for name, v in row.items()})
        for row in rows
    ]


def setting(records, options):
    """What was run, for the head of the recorded tables."""
    classes = {record["dataset"]: record["n_classes"] for record in records}
    names = ", ".join(f"{name} ({classes[name]})" for name in options.sets if name in classes)
    return (
        f"Encoder of texts: {options.encoder}. {options.seeds} repeats, at most {options.queries} queries each, the "
        f"same contexts and queries for all methods. Sets (classes): {names}. A set is run at k examples if it has at "
        "most k / 2 classes, and in balanced draws if its rarest class has enough rows. Calibration errors are means "
        "over sets and repeats. Each is too large by chance, for every method: even perfect probabilities get about "
        "0.03 from 1000 queries and 0.05 from 300."
    )


def set_section(records, labels, name):
    """Markdown tables of one set, one for each draw."""
    records = with_seconds(record for record in records if record["dataset"] == name)
    return "\n\n".join(_set_table(chosen, labels, name, TITLES[draw]) for draw, chosen in by_draw(records).items())


def _set_table(records, labels, name, draws):
    scores = ("accuracy", "log_loss", "ece", "seconds")
    found = {score: _by_place(mean_scores(records, score, n_bootstrap=1)) for score in scores}
    sizes = sorted({record["k"] for record in records})
    rows = []
    for key in _present(records, labels):
        places = [(key, k) for k in sizes]
        cells = [
            " / ".join(_cell(found[score].get(place), score) for score in scores) if place in found["accuracy"] else "-"
            for place in places
        ]
        rows.append([labels[key], *cells])
    title = f"### {name} ({records[0]['n_classes']} classes, {half_of(name)}), {draws}\n\n"
    note = "Accuracy in % / log-loss / expected calibration error / seconds for fit and predict.\n\n"
    return title + note + markdown_table(["method", *(f"k = {k}" for k in sizes)], rows)


def mean_sections(records, methods, kinds):
    """Markdown: margins, means, ranks and differences, separately by draw, and for text sets and the others.

    `methods` are those of the rows, in their order, and `kinds` holds the kind of each set.
    """
    parts, labels = [], {method.key: method.label for method in methods}
    for draw, drawn in by_draw(with_seconds(records)).items():
        for sets, wanted in (("text sets", True), ("image and audio sets", False)):
            chosen = [record for record in drawn if (kinds[record["dataset"]] == TEXT) == wanted]
            if chosen:
                title = f"{sets}, {TITLES[draw]}"
                parts.append(f"## Mean over the {title}\n\n" + _mean_section(chosen, methods, labels))
                parts.extend(_half_sections(chosen, labels, title))
    return "\n\n".join(parts)


def _mean_section(records, methods, labels):
    n_sets = {row["k"]: row["n_datasets"] for row in mean_scores(records, n_bootstrap=1)}
    counts = ", ".join(f"{n_sets[k]} at {k}" for k in sorted(filter(None, n_sets)))
    n_repeats = len({record["repeat"] for record in records})
    parts = [
        f"Sets: {counts}. {n_repeats} repeats. The last column is the mean of the others. Intervals: 95 % bootstrap "
        "over sets and repeats. A method that does not run on all sets of a size has no mean there."
    ]
    parts += [f"### {title}\n\n{text}" for title, text in margins(records, methods).items()]
    for score, (title, *_) in SCORES.items():
        parts.append(f"### {title}\n\n" + table_of_means(records, labels, score))
    for score in ("accuracy", "log_loss"):
        name = SCORES[score][0].split(" (")[0].lower()
        ranks = mean_ranks(records, score)
        parts.append(f"### Mean rank by {name}\n\n" + table_of_intervals(ranks, labels, "{:.2f}"))
    present = _present(records, labels)
    if REFERENCE in present and len(present) > 1:
        others = {key: labels[key] for key in present if key != REFERENCE}
        gain = mean_differences(records, REFERENCE, "accuracy")
        ratio = mean_differences(records, REFERENCE, "log_loss", relative=True)
        title = f"### Accuracy minus that of {labels[REFERENCE]} (points)\n\n"
        parts.append(title + table_of_intervals(gain, others, "{:+.1f}", 100))
        title = f"### Log-loss divided by that of {labels[REFERENCE]}\n\n"
        parts.append(title + table_of_intervals(ratio, others, "{:.2f}"))
    return "\n\n".join(parts)


def _half_sections(records, labels, title):
    """The means of each half, where both are there."""
    halves = {half: [record for record in records if half_of(record["dataset"]) == half] for half in HALVES}
    if not all(halves.values()):
        return
    for half, chosen in halves.items():
        names = ", ".join(sorted({record["dataset"] for record in chosen}))
        yield f"## Mean over the {title}, {half} half\n\nSets: {names}."
        for score in OF_HALVES:
            yield f"### {SCORES[score][0]}, {half} half\n\n" + table_of_means(chosen, labels, score)


def table_of_means(records, labels, score):
    found = _by_place(mean_scores(records, score, n_bootstrap=1))
    columns = _columns(found)
    shown = {place: _cell(row, score) for place, row in found.items()}
    best = SCORES[score][3]
    leading = {k: best((text for (_, at), text in shown.items() if at == k), key=float, default=None) for k in columns}
    rows = []
    for key in _present(records, labels):
        texts = [shown.get((key, k), "-") for k in columns]
        rows.append([labels[key], *(f"**{t}**" if t == leading[k] else t for t, k in zip(texts, columns))])
    return markdown_table(["method", *_titles(columns)], rows)


def table_of_intervals(summary, labels, form, factor=1):
    found = _by_place(summary)
    columns = _columns(found)
    rows = []
    for key in _present(summary, labels):
        cells = [found.get((key, k)) for k in columns]
        rows.append([labels[key], *(interval(row, form, factor) for row in cells)])
    return markdown_table(["method", *_titles(columns)], rows)


def _cell(row, score):
    _, factor, form, _ = SCORES[score]
    return form.format(factor * row["mean"])


def with_seconds(records):
    return [record | {"seconds": record["fit_seconds"] + record["predict_seconds"]} for record in records]


def _by_place(summary):
    return {(row["estimator"], row["k"]): row for row in summary}


def _columns(found):
    """The sizes in ascending order, then None for their mean."""
    return [*sorted({k for _, k in found} - {None}), None]


def _titles(columns):
    return ["mean" if k is None else f"k = {k}" for k in columns]


def _present(records, labels):
    found = {record["estimator"] for record in records}
    return [key for key in labels if key in found]
