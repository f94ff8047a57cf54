"""Tables of the ablations: the default as it is, every variant as a difference to it."""

import numpy as np
from ablation_variants import DEFAULT, NETWORK, VARIANTS

KINDS = ("plain", "names", "unlabelled")
AVERAGING = "no-averaging"


def markdown(records, skipped, prior, schedule):
    """What was run, the table of cost and means, the table by size of the context, what was left out."""
    by_key = _by_key(records)
    if DEFAULT not in by_key:
        return "No results of the default yet: differences to it cannot be told.\n"
    parts = [_setting(records, prior, schedule), _main_table(by_key)]
    ks = _sizes(records)
    if ks:
        parts += ["Development sets by size of the context, accuracy in points / log-loss:", _table_by_size(by_key, ks)]
    missing = [v.label for v in VARIANTS if v.key not in by_key and v.label not in skipped]
    if missing:
        parts.append(f"Not run: {', '.join(missing)}.")
    parts += [f"Not run: {label} ({reason})." for label, reason in skipped.items()]
    return "\n\n".join(parts) + "\n"


def _by_key(records):
    """Records as numbers: variant -> seed -> measure -> value."""
    found = {}
    for record in records:
        numbers = {name: float(v) for name, v in record.items() if name not in ("variant", "sets") and v != ""}
        found.setdefault(record["variant"], {})[int(record["seed"])] = numbers
    return found


def _sizes(records):
    return sorted(int(name.removeprefix("accuracy_")) for name in records[0] if name.startswith("accuracy_"))


def _labels():
    """Labels in the order of the table, groups together; averaging is a matter of the optimiser."""
    labels = {}
    for group in dict.fromkeys(variant.group for variant in VARIANTS):
        if group != NETWORK and AVERAGING not in labels:
            labels[AVERAGING] = "last weights instead of their average"
        labels.update({variant.key: variant.label for variant in VARIANTS if variant.group == group})
    return labels


def _setting(records, prior, schedule):
    first = records[0]
    sets = f"Development sets: {', '.join(first['sets'].split())}, {{}}. " if first["sets"] else ""
    sizes = f"mean over k = {', '.join(map(str, _sizes(records)))}" if first["sets"] else ""
    runs = len(_by_key(records)[DEFAULT])
    return (
        f"{first['steps']} steps at a peak rate of {schedule.learning_rate:g} from random weights, tasks with at most "
        f"{prior.max_labelled} labelled rows, {max(prior.n_features)} features and {prior.max_classes} classes, one "
        f"core. Held-out tasks: {first['batches']} batches of each kind, of the default prior. {sets.format(sizes)}"
        f"The default is the mean of {runs} run{'s' if runs > 1 else ''} with its own numbers; the other lines are "
        "differences to the default of the same seed. Noise: standard deviation of the difference of two runs that "
        "differ in the seed alone."
    )


def _measures(by_key):
    """Columns: measure -> (how to compute it from one record, decimals)."""
    ks = [name.removeprefix("log_loss_") for name in next(iter(by_key[DEFAULT].values())) if "log_loss_" in name]
    columns = {f"log-loss, {kind}": (lambda r, kind=kind: r[kind], 3) for kind in KINDS}
    if ks:
        columns["accuracy, real"] = (lambda r: np.mean([r[f"accuracy_{k}"] for k in ks]), 1)
        columns["log-loss, real"] = (lambda r: np.mean([r[f"log_loss_{k}"] for k in ks]), 3)
    return columns


def _rows(by_key, columns):
    """Label and cells of every line: the default, its noise, the variants."""
    reference = by_key[DEFAULT]
    own = {name: [measure(r) for r in reference.values()] for name, (measure, _) in columns.items()}
    yield "**default**", DEFAULT, [f"{np.mean(own[name]):.{d}f}" for name, (_, d) in columns.items()]
    if len(reference) > 1:
        noise = [f"± {np.sqrt(2) * np.std(own[name], ddof=1):.{d}f}" for name, (_, d) in columns.items()]
        yield "noise", None, noise
    for key, label in _labels().items():
        seeds = set(by_key.get(key, {})) & set(reference)
        if key == DEFAULT or not seeds:
            continue
        cells = []
        for measure, decimals in columns.values():
            difference = np.mean([measure(by_key[key][s]) - measure(reference[s]) for s in seeds])
            cells.append(f"{difference:+.{decimals}f}")
        yield label, key, cells


def _main_table(by_key):
    columns = _measures(by_key)
    lines = [["variant", "parameters", "GFLOP a step", "tasks a second", *columns]]
    for label, key, cells in _rows(by_key, columns):
        runs = list(by_key[key].values()) if key else []
        cost = ["", "", ""]
        if runs:
            tasks, seconds = (sum(run[name] for run in runs) for name in ("tasks", "cpu_seconds"))
            cost = [f"{runs[0]['parameters']:,.0f}", f"{runs[0]['gflop_per_step']:.2f}", f"{tasks / seconds:.0f}"]
        lines.append([label, *cost, *cells])
    return _as_markdown(lines)


def _table_by_size(by_key, ks):
    columns = {}
    for k in ks:
        columns[f"accuracy, k = {k}"] = (lambda r, k=k: r[f"accuracy_{k}"], 1)
        columns[f"log-loss, k = {k}"] = (lambda r, k=k: r[f"log_loss_{k}"], 3)
    lines = [["variant", *(f"k = {k}" for k in ks)]]
    for label, _, cells in _rows(by_key, columns):
        lines.append([label, *(f"{a} / {b}" for a, b in zip(cells[::2], cells[1::2]))])
    return _as_markdown(lines)


def _as_markdown(lines):
    head, *body = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])
