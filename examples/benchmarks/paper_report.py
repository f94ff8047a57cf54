"""Tables of the comparison with TART, and what was measured of the paper's claims."""

import re

from data_sets import PIXELS, TEXT
from paper_methods import PAPER, TEXTS, all_methods
from paper_tasks import BINARY, GROUPS
from tables import markdown_table, table_of_means, with_seconds

from skicl.evaluation import compare, mean_differences, mean_ranks

REASONERS = (
    ("of the paper", PAPER),
    ("default", "tart"),
    ("default, layers and names", "default"),
    ("default, layers, names, 200 unlabelled rows", "default+unlabelled"),
)
RECORDED = ("accuracy", "macro_f1", "log_loss", "brier", "ece")
SHOWN = {
    "accuracy": "Accuracy (%)",
    "log_loss": "Log-loss (nats)",
    "ece": "Expected calibration error",
    "seconds": "Seconds, fit and predict together",
}


def report(records, options):
    """Markdown: setting, claims, the tables of each group of tasks."""
    known = all_methods(options)
    labels = {key: method.label for key, method in known.items()}
    readers = {key for key, method in known.items() if method.reads == TEXTS}
    records = with_seconds(records)
    present = {record["estimator"] for record in records}
    parts = [setting(records, options)]
    claims = claim_rows(records, options)
    if claims:
        header = ["difference in accuracy", "claimed", "reasoner", "measured here, points", "on"]
        parts.append("## Claims\n\n" + markdown_table(header, claims))
    if present & readers:
        common = in_common(records, present)
        parts.append(slow_section(common, labels, options))
    fast = [record for record in records if record["estimator"] not in readers]
    for group, title in GROUPS.items():
        chosen = [record for record in fast if options.groups[record["dataset"]] == group]
        if chosen:
            parts.append(f"## {title}\n\n" + tables_of(chosen, labels))
    return "\n\n".join(parts)


def setting(records, options):
    tasks = ", ".join(dict.fromkeys(record["dataset"] for record in records))
    left_out = "".join(f" {label} was left out: {reason}." for label, reason in options.left_out.items())
    return (
        f"Encoder of texts: {options.encoder}. Images: {options.image_encoder or 'pixels'}. Recordings: "
        f"{options.audio_encoder or 'log-mel features'}. At most {options.queries} queries a repeat. Prompts: "
        f"{options.language_model or 'none'}; fine-tuned model: {options.fine_tuned}.{left_out} Tasks: {tasks}."
    )


def in_common(records, keys):
    """Records of the contexts on which all of the methods ran."""
    ran = {}
    for record in records:
        ran.setdefault(_context(record), set()).add(record["estimator"])
    return [record for record in records if record["estimator"] in keys and ran[_context(record)] >= set(keys)]


def _context(record):
    return record["dataset"], record["k"], record["repeat"]


def slow_section(records, labels, options):
    title = "## Prompts and fine-tuning among the others\n\n"
    if not records:
        return title + "There is no context on which all methods ran."
    tasks = ", ".join(dict.fromkeys(record["dataset"] for record in records))
    n_repeats = len({record["repeat"] for record in records})
    ran = f"The contexts on which every method ran: {counted(n_repeats, 'repeat')} of {tasks}.\n\n"
    return title + ran + tables_of(records, labels)


def tables_of(records, labels):
    """Means by score, ranks, and what can be said beyond noise."""
    n_sets = {k: len({r["dataset"] for r in records if r["k"] == k}) for k in sorted({r["k"] for r in records})}
    counts = ", ".join(f"{n} at {k}" for k, n in n_sets.items())
    parts = [f"Tasks: {counts}. The last column is the mean of the others."]
    for score, title in SHOWN.items():
        parts.append(f"### {title}\n\n" + table_of_means(records, labels, score))
    title = "### Mean rank over all sizes (95 % bootstrap interval over tasks and repeats)\n\n"
    parts.append(title + ranks(records, labels))
    parts += [_named(compare(records, score=score).advice, labels) for score in ("accuracy", "log_loss")]
    return "\n\n".join(parts)


def ranks(records, labels):
    """Mean ranks by accuracy and by log-loss."""
    scores = ("accuracy", "log_loss")
    found = {score: {r["estimator"]: r for r in mean_ranks(records, score) if r["k"] is None} for score in scores}
    rows = [
        [labels[key], *("{mean:.2f} ({low:.2f} to {high:.2f})".format(**found[score][key]) for score in scores)]
        for key in labels
        if all(key in found[score] for score in scores)
    ]
    return markdown_table(["method", "by accuracy", "by log-loss"], rows)


def _named(advice, labels):
    """The sentence with the names for people."""
    keys = sorted(labels, key=len, reverse=True)  # some are part of others
    pattern = rf"(?<![\w-])({'|'.join(map(re.escape, keys))})(?![\w-])"
    return re.sub(pattern, lambda found: labels[found[0]], advice)


def claim_rows(records, options):
    """A row for each claim that these records say something about: claimed, by which reasoner, measured, on what."""
    binary = {kind: [r for r in records if options.groups[r["dataset"]] == (BINARY, kind)] for kind in (TEXT, PIXELS)}
    of_tart = [
        ("TART minus prompt", "+18.4", "icl", TEXT, (18, 64)),
        ("TART minus full fine-tuning, texts", "-3", "full", TEXT, (18, 256)),
        ("TART minus adapters (here LoRA), texts", "+3.4", "lora", TEXT, (18, 256)),
        ("TART minus a tuned probe, texts", "none", "tuned-lr", TEXT, (18, 256)),
        ("TART minus the same, columns standardised", "none", "tuned-lr-std", TEXT, (18, 256)),
        ("TART minus a tuned probe, images and recordings", "none", "tuned-lr", PIXELS, (18, 256)),
    ]
    stated = [
        ("classifier on frozen vectors minus prompt", "+15.8", "-", "tuned-lr", "icl", TEXT, (18, 64)),
        ("full fine-tuning minus prompt", "up to +20", "-", "full", "icl", TEXT, (18, 64)),
        *((*claim[:2], *reasoner, *claim[2:]) for claim in of_tart for reasoner in REASONERS),
    ]
    rows = []
    for claim, claimed, reasoner, key, reference, kind, (low, high) in stated:
        pair = [r for r in binary[kind] if r["estimator"] in (key, reference) and low <= r["k"] <= high]
        pair = in_common(pair, (key, reference))
        if pair:
            rows.append([claim, claimed, reasoner, _difference(pair, key, reference), _extent(pair)])
    return rows


def _difference(records, key, reference):
    found = [row for row in mean_differences(records, reference) if (row["estimator"], row["k"]) == (key, None)]
    mean, low, high = (100 * found[0][name] for name in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _extent(records):
    sizes = sorted({record["k"] for record in records})
    n_tasks, n_repeats = (len({record[name] for record in records}) for name in ("dataset", "repeat"))
    return f"{counted(n_tasks, 'task')}, k = {', '.join(map(str, sizes))}, {counted(n_repeats, 'repeat')}"


def counted(n, noun):
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
