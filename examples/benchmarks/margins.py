"""How far ahead: of tuned logistic regression, of the best rival with the same evidence, and of labels alone at worst.

All means are of sets and repeats at one size, then over the sizes of a window.
"""

from known_texts import LAYERS, TEXTS
from markdown_tables import interval, markdown_table
from methods import EXCHANGED, FINE_TUNING, TRUE, UNRELATED, is_ours

from skicl.evaluation import mean_differences, mean_scores

REFERENCE = "tuned-lr"
WINDOWS = ((8, 256), (8, 16))
CALIBRATED_FROM = 32  # rows, from which the calibration error is judged
UNHARMED_FROM = 64  # rows, from which more evidence must do no harm on any set
WARNED_FROM = 16  # rows, from which misleading names must be seen through


def margins(records, methods):
    """Markdown tables by title, as far as the methods that they are about were run."""
    present = {record["estimator"] for record in records}
    methods = [method for method in methods if method.key in present]
    found = {
        f"Ahead of {_label(methods, REFERENCE)}": _ahead_of_reference(records, methods),
        "Ahead of the best rival with the same evidence": _ahead_of_rivals(records, methods),
        f"More evidence where it does most harm, from {UNHARMED_FROM} rows": _at_worst(records, methods),
        f"Names that mislead, from {WARNED_FROM} rows": _misled(records, methods),
    }
    return {title: text for title, text in found.items() if text is not None}


def _ahead_of_reference(records, methods):
    others = [method for method in methods if method.key != REFERENCE]
    if len(others) == len(methods) or not others:
        return None
    header, columns = ["method"], []
    for low, high in WINDOWS:
        inside = [record for record in records if low <= record["k"] <= high]
        if inside:
            gain = _overall(mean_differences(inside, REFERENCE, "accuracy"))
            ratio = _overall(mean_differences(inside, REFERENCE, "log_loss", relative=True))
            header += [f"points, {_sizes(inside)}", f"log-loss ratio, {_sizes(inside)}"]
            columns += [(gain, 100, "{:+.1f}"), (ratio, 1, "{:.2f}")]
    largest = {}
    for row in mean_scores(records, "ece", n_bootstrap=1):
        if row["k"] is not None and row["k"] >= CALIBRATED_FROM:
            largest[row["estimator"]] = max(row["mean"], largest.get(row["estimator"], 0))
    rows = [
        [
            method.label,
            *(interval(found.get(method.key), form, factor) for found, factor, form in columns),
            f"{largest[method.key]:.3f}" if method.key in largest else "-",
        ]
        for method in others
    ]
    return (
        "Means over the sizes, with 95 % bootstrap intervals over sets and repeats. Ratios are of mean log-losses.\n\n"
        + markdown_table([*header, f"largest ECE, k ≥ {CALIBRATED_FROM}"], rows)
    )


def _ahead_of_rivals(records, methods):
    """The difference to whichever rival is best at a size, in accuracy and in log-loss."""
    ours = [m for m in methods if is_ours(m.key) and m.names in (None, TRUE)]
    means = {
        score: {(row["estimator"], row["k"]): row["mean"] for row in mean_scores(records, score, n_bootstrap=1)}
        for score in ("accuracy", "log_loss")
    }
    sizes = sorted({record["k"] for record in records})
    rows = []
    for own in ours:
        rivals = [method.key for method in methods if _is_rival(method, own)]
        cells = []
        for k in sizes:
            accuracy, loss = (
                [found[key, k] for key in (own.key, *rivals) if (key, k) in found] for found in means.values()
            )
            complete = (own.key, k) in means["accuracy"] and len(accuracy) > 1
            gain, ratio = (100 * (accuracy[0] - max(accuracy[1:])), loss[0] / min(loss[1:])) if complete else (0, 0)
            cells.append(f"{gain:+.1f} / {ratio:.2f}" if complete else "-")
        if set(cells) != {"-"}:
            rows.append([own.label, *cells])
    if not rows:
        return None
    note = (
        "Points ahead of the rival with the best mean accuracy at a size / log-loss divided by the least mean log-loss "
        "of a rival there. Rivals read no more than the method does: labels, layers, names, unlabelled rows.\n\n"
    )
    return note + markdown_table(["method", *(f"k = {k}" for k in sizes)], rows)


def _is_rival(method, own):
    """Whether a method is another's, and reads nothing that our own does not."""
    return not (
        is_ours(method.key)
        or FINE_TUNING in method.groups
        or (method.reads == LAYERS and own.reads != TEXTS)
        or (method.names is not None and own.names is None)
        or method.n_unlabelled > own.n_unlabelled
    )


def _at_worst(records, methods):
    """Where more evidence loses most against labels alone, by set and size."""
    records = [record for record in records if record["k"] >= UNHARMED_FROM]
    rows = []
    for own in methods:
        alone = f"layers{_weights(own.key)}"
        if not is_ours(own.key) or own.reads != TEXTS or own.names not in (None, TRUE) or own.key == alone:
            continue
        for other in (alone, f"tart{_weights(own.key)}"):
            pair = [record for record in records if record["estimator"] in (own.key, other)]
            if {own.key, other} <= {record["estimator"] for record in pair}:
                rows.append([own.label, _label(methods, other), *_worst(pair, own.key, other)])
    if not rows:
        return None
    return markdown_table(["method", "against", "points (set, k)", "log-loss (set, k)"], rows)


def _worst(pair, key, other):
    """The least difference in accuracy and the largest in log-loss, each with its set and size."""
    for score, worst, factor, form in (("accuracy", min, 100, "{:+.1f}"), ("log_loss", max, 1, "{:+.3f}")):
        found = [
            (row["mean"], name, row["k"])
            for name in sorted({record["dataset"] for record in pair})
            for row in mean_differences(_of(pair, name), other, score, n_bootstrap=1)
            if row["estimator"] == key and row["k"] is not None
        ]
        value, name, k = worst(found)
        yield f"{form.format(factor * value)} ({name}, {k})"


def _of(records, name):
    return [record for record in records if record["dataset"] == name]


def _misled(records, methods):
    """What names that lie or say nothing cost, against labels alone."""
    records = [record for record in records if record["k"] >= WARNED_FROM]
    keys, rows = {method.key for method in methods}, []
    sizes = [*sorted({record["k"] for record in records}), None]
    for own in methods:
        alone = f"layers{_weights(own.key)}"
        if own.names in (EXCHANGED, UNRELATED) and alone in keys and records:
            found = {
                score: {
                    row["k"]: row["mean"]
                    for row in mean_differences(records, alone, score, n_bootstrap=1)
                    if row["estimator"] == own.key
                }
                for score in ("accuracy", "log_loss")
            }
            cells = [
                f"{100 * found['accuracy'][k]:+.1f} / {found['log_loss'][k]:+.3f}" if k in found["accuracy"] else "-"
                for k in sizes
            ]
            rows.append([own.label, *cells])
    if not rows:
        return None
    note = "Points / log-loss, minus those of labels alone.\n\n"
    return note + markdown_table(["method", *("mean" if k is None else f"k = {k}" for k in sizes)], rows)


def _weights(key):
    """What a key says of the weights: an empty string for the bundled ones."""
    return "".join(key.partition("+")[0].partition(":")[1:])


def _overall(summary):
    """The means over the sizes, by estimator."""
    return {row["estimator"]: row for row in summary if row["k"] is None}


def _sizes(records):
    sizes = sorted({record["k"] for record in records})
    return f"k = {sizes[0]}" if len(sizes) == 1 else f"k = {sizes[0]} to {sizes[-1]}"


def _label(methods, key):
    return next((method.label for method in methods if method.key == key), key)
