"""ICLClassifier as it comes, against its own label words and against probes on the states of the same model.

    python examples/benchmarks/icl_calibration.py --data FOLDER --model HuggingFaceTB/SmolLM2-135M-Instruct \\
        [--out FILE.csv] [--markdown FILE]

Per set, draw, size and seed: labelled rows, of which four stand in the prompt, and queries of the test part. The
classifier is fitted as it comes; everything else is worked out from what the model said after the same prompts in that
fit and after the queries (a test shows that ICLClassifier with these parameters gives the same), but for the label
words after 16 demonstrations, which are read for themselves, and for the rivals on a sentence encoder. Small contexts
are part of large ones. A run that was killed continues from its file.
"""

import argparse
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from competitors import build_logistic_regression, build_tuned_logistic_regression
from data_sets import TEXT, find_sets, read_set
from draws import DRAWS, TITLES
from icl_records import SCORES, read_records, scores_of, write_records
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import markdown_table

from skicl import ICLClassifier, TartClassifier
from skicl.evaluation import nested_contexts
from skicl.prompting import ModelSettings

CALIBRATIONS = ("contextual", "domain", "batch", "affine")
NAMES = {
    "as it comes": "`ICLClassifier` as it comes",
    "words": "label words, no calibration",
    **{name: f"label words, `calibration={name!r}`" for name in (*CALIBRATIONS, "auto")},
    "many shots": "label words, 'auto', 16 demonstrations",
    "centroid": "nearest mean state",
    "lr": "LR (C=1) on standardised states",
    "tuned lr": "tuned LR on the states",
    "tuned lr on standardized": "tuned LR on standardised states",
    "tart": "`TartClassifier` on the states",
    "tuned lr on last": "tuned LR on the last state",
    "tart on last": "`TartClassifier` on the last state",
    "embeddings": "tuned LR on MiniLM",
    "tart on embeddings": "`TartClassifier` on MiniLM and names",
}
FIELDS = ("set", "draw", "k", "seed", "arm", *SCORES)


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(1)
    records = read_records(options.out, ("k", "seed"))
    known = {(record["set"], record["draw"], record["k"], record["seed"]) for record in records}
    for seed in range(options.seeds):
        for draw in options.draws:
            for name in options.sets:
                train, test = read_set(options.data, name)
                context = nested_contexts(train.y, options.sizes, seed + 1, stratify=DRAWS[draw])[seed]
                asked = np.random.default_rng(seed).permutation(len(test.X))[: options.queries]
                queries = [test.X[i] for i in asked]
                for k, rows in context.items():
                    if (name, draw, k, seed) in known:
                        continue
                    X = [train.X[i] for i in rows]
                    found = dict(arms(X, train.y[rows], queries, np.unique(train.y), options))
                    cell = {"set": name, "draw": draw, "k": k, "seed": seed}
                    scores = {arm: scores_of(test.y[asked], found[arm], np.unique(train.y)) for arm in found}
                    records += [cell | {"arm": arm} | scores[arm] for arm in found]
                    write_records(options.out, FIELDS, records)
                    best = scores["as it comes"]
                    print(f"{name} {draw} {k} {seed}: {best['accuracy']:.3f} {best['log_loss']:.3f}", flush=True)
    text = report(records, options)
    print("\n" + text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def arms(X, y, queries, classes, options):
    """Pairs of an arm and probabilities of the classes, sorted."""
    classifier = ICLClassifier(
        options.model, classes=classes, model_settings=ModelSettings(dtype=options.dtype), device=options.device
    )
    task, labelled, codes, asked = heard(classifier, X, y, queries)
    yield "as it comes", np.exp(task._read_off(asked))
    yield from arms_of_words(task, labelled, codes, asked)
    yield from arms_of_states(labelled, codes, asked, len(classes))
    if options.many_shots:
        many = ICLClassifier(**{**classifier.get_params(deep=False), "readout": "label_words", "demonstrations": 16})
        yield "many shots", many.fit(X, y).predict_proba(queries)
    if options.embeddings:
        yield from arms_of_embeddings(X, y, queries, classes)


def heard(classifier, X, y, queries):
    """The fitted task, and what the model said after all labelled rows and after queries, each read once."""
    from skicl.prompting._task import PromptedTask

    kept, learn = {}, PromptedTask.learn

    def keep_and_learn(task):
        kept["rows"] = task._listen(range(len(X)))
        return learn(task)

    with mock.patch.object(PromptedTask, "learn", keep_and_learn):
        classifier.fit(X, y)
    task = classifier._learnt.questions[0][0]
    rows = [(text,) for text in queries]
    parts = [task._hear(rows[i : i + 64], task._plans(rows[i : i + 64])) for i in range(0, len(rows), 64)]
    asked = type(parts[0]).of_rows([row for part in parts for row in part.by_row()])
    return task, kept["rows"], np.searchsorted(classifier.classes_, y), asked


def arms_of_words(task, labelled, codes, asked):
    """The label words after each calibration, learnt as ``readout="label_words"`` does."""
    from skicl.prompting._calibration import CALIBRATIONS as KINDS
    from skicl.prompting._choosing_calibration import N_ROWS, choose_calibration
    from skicl.prompting._training_rows import rows_as_they_come, rows_by_class

    yield "words", np.exp(asked.words)
    shown = set(task.plan_)
    brought = {}
    for name in CALIBRATIONS:
        calibrator = KINDS[name]()
        probes = calibrator.probes(task._rows)
        if probes is None:
            rows = rows_by_class(codes, shown, calibrator.n_rows)
            calibrator.fit(labelled.words[rows], codes[rows])
        else:
            brought[name] = task._hear(probes, task._plans(probes)).words
            calibrator.fit(brought[name])
        yield name, np.exp(calibrator.transform(asked.words))
    rows = rows_as_they_come(codes, shown, min(N_ROWS, len(codes) - len(shown)))
    chosen = choose_calibration(labelled.words[rows], codes[rows], brought).calibrator
    yield "auto", np.exp(asked.words if chosen is None else chosen.transform(asked.words))


def arms_of_states(labelled, codes, asked, n_classes):
    """Probes on the states of the labelled rows that the classifier reads, of three depths, and on the last alone."""
    from skicl.prompting._readouts import centroid_scores

    last = labelled.states.shape[1] // 3 * 2
    scale = np.linalg.norm(labelled.states, axis=1).mean()
    states, queries = labelled.states / scale, asked.states / scale
    known = np.unique(codes)
    means = centroid_scores(labelled.states, np.searchsorted(known, codes), asked.states, len(known))
    yield "centroid", spread(np.exp(means), known, n_classes)
    probes = {
        "lr": make_pipeline(StandardScaler(), build_logistic_regression()),
        "tuned lr": build_tuned_logistic_regression(),
        "tuned lr on standardized": make_pipeline(StandardScaler(), build_tuned_logistic_regression()),
    }
    for arm, probe in probes.items():
        yield arm, spread(probe.fit(states, codes).predict_proba(queries), known, n_classes)
    probe = build_tuned_logistic_regression().fit(states[:, last:], codes)
    yield "tuned lr on last", spread(probe.predict_proba(queries[:, last:]), known, n_classes)
    last_tart = TartClassifier(None, device="cpu").fit(labelled.states[:, last:], codes, classes=np.arange(n_classes))
    yield "tart on last", last_tart.predict_proba(asked.states[:, last:])
    tart = TartClassifier(None, device="cpu").fit(labelled.states, codes, classes=np.arange(n_classes))
    yield "tart", tart.predict_proba(asked.states)


def arms_of_embeddings(X, y, queries, classes):
    from skicl import SentenceEncoder

    encoder = SentenceEncoder(device="cpu", cache=True)
    probe = build_tuned_logistic_regression().fit(encoder.fit_transform(X), y)
    proba = probe.predict_proba(encoder.transform(queries))
    yield "embeddings", spread(proba, np.searchsorted(classes, probe.classes_), len(classes))
    yield "tart on embeddings", TartClassifier(device="cpu").fit(X, y, classes=classes).predict_proba(queries)


def spread(proba, known, n_classes):
    """Probabilities of all classes, of which a probe knows some."""
    whole = np.zeros((len(proba), n_classes))
    whole[:, known] = proba
    return whole


def report(records, options):
    """For each draw the means over the sets, by size; then each set."""
    sets = sorted({record["set"] for record in records})
    n_seeds = len({record["seed"] for record in records})
    lines = [
        f"{Path(options.model).name}, {options.dtype or 'float32'}; {options.queries} queries, {n_seeds} seeds. "
        "Accuracy in percent and log-loss in nats; the last columns are means over the sizes."
    ]
    for draw in DRAWS:
        for name in [None, *sets] if len(sets) > 1 else sets:
            some = [record for record in records if record["draw"] == draw and name in (None, record["set"])]
            if some:
                heading = f"{name or 'Mean over ' + ', '.join(sets)}: {TITLES[draw]}"
                lines.append(f"### {heading}\n\n" + table(some))
    return "\n\n".join(lines)


def table(records):
    sizes = sorted({record["k"] for record in records})
    rows = []
    for arm, name in NAMES.items():
        some = [record for record in records if record["arm"] == arm]
        if not some:
            continue
        row = [name]
        for k in sizes:
            accuracy, loss = (mean(some, score, k) for score in ("accuracy", "log_loss"))
            row += [f"{100 * accuracy:.1f}", f"{loss:.3f}"]
        rows.append([*row, *(f"{np.mean([mean(some, score, k) for k in sizes]):.3f}" for score in ("brier", "ece"))])
    header = ["", *(text for k in sizes for text in (f"{k} labels (%)", "log-loss")), "Brier", "ECE"]
    return markdown_table(header, rows)


def mean(records, score, k):
    """Mean over sets and seeds of those of one size."""
    return np.mean([record[score] for record in records if record["k"] == k])


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the text sets, see few_shot_text.py")
    parser.add_argument("--model", required=True, help="a causal language model: name or folder")
    parser.add_argument("--sets", default="sst2,trec,snips,agnews,cr", help="names, separated by commas (%(default)s)")
    parser.add_argument("--draws", default="natural,balanced", help="how labels are drawn (%(default)s)")
    parser.add_argument("--sizes", default="16,64,256", help="labelled rows (%(default)s)")
    parser.add_argument("--queries", type=int, default=150, help="of each seed (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="draws of rows and queries (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the language model runs (%(default)s)")
    parser.add_argument("--dtype", help="number format of the language model (default: that of the device)")
    parser.add_argument("--many-shots", action="store_true", help="also the label words after 16 demonstrations")
    parser.add_argument("--embeddings", action="store_true", help="also rivals on the default sentence encoder")
    parser.add_argument("--out", type=Path, help="file of the scores; a run continues from it")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    known = [name for name, kind in find_sets(options.data).items() if kind == TEXT]
    options.sets, options.draws = options.sets.split(","), options.draws.split(",")
    options.sizes = [int(k) for k in options.sizes.split(",")]
    if unknown := set(options.sets) - set(known):
        parser.error(f"--sets: no text set is called {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    if unknown := set(options.draws) - set(DRAWS):
        parser.error(f"--draws: {sorted(unknown)[0]!r} is none of {', '.join(DRAWS)}")
    for name in ("queries", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


if __name__ == "__main__":
    main()
