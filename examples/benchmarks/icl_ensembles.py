"""What ensembles of prompts do for the label words of ICLClassifier on public text sets.

    python examples/benchmarks/icl_ensembles.py --data FOLDER --model HuggingFaceTB/SmolLM2-135M [--out FILE.csv]

Per set and seed: some labelled rows, of which the first stand in the prompt, and queries of the test part. Every
ensemble has three members, each of which reads all queries; one prompt with calibration stands beside them. A run that
was killed continues from its file.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from data_sets import TEXT, find_sets, read_set
from icl_prompts import wording_of
from icl_records import SCORES, read_records, scores_of, write_records
from tables import markdown_table

from skicl import ICLClassifier
from skicl.evaluation import nested_contexts

MEMBERS = 3
VARIED = ("demonstrations", "order", "template", "words")
NAMES = {
    "plain": "one prompt",
    "batch": "one prompt, calibration='batch'",
    "affine": "one prompt, calibration='affine'",
    **{f"{varied}, {how}": f"3 prompts: {varied}, {how}" for varied in VARIED for how in ("mean", "vote", "max")},
}
FIELDS = ("set", "seed", "arm", *SCORES)


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(1)
    records = read_records(options.out)
    for seed in range(options.seeds):
        for name in options.sets:
            if (name, seed) in {(record["set"], record["seed"]) for record in records}:
                continue
            found = [{"set": name, "seed": seed, "arm": arm, **scores} for arm, scores in run(name, seed, options)]
            records += found
            write_records(options.out, FIELDS, records)
            print(f"{name} {seed}: plain {found[0]['accuracy']:.2f}", flush=True)
    text = report(records, options)
    print("\n" + text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def draw(name, seed, options):
    """Labelled texts and queries, with their labels."""
    train, test = read_set(options.data, name)
    chosen = nested_contexts(train.y, [options.rows], n_repeats=1, random_state=seed)[0][options.rows]
    queries = np.random.default_rng(seed).permutation(len(test.X))[: options.queries]
    return ([train.X[i] for i in chosen], train.y[chosen], [test.X[i] for i in queries], test.y[queries])


def run(name, seed, options):
    """Pairs of an arm and its scores."""
    X, y, queries, truth = draw(name, seed, options)
    wording = wording_of(name, np.unique(y))
    base = {"template": wording.templates[0], "verbalizer": wording.words[0]}
    found = {}
    for arm, calibration in (("plain", None), ("batch", "batch"), ("affine", "affine")):
        classifier = make(options, seed, **base, calibration=calibration).fit(X, y)
        found[arm] = classifier.predict_proba(queries)
        yield arm, scores_of(truth, found[arm], classifier.classes_)
    for varied in options.vary:
        if varied == "words" and len(wording.words) < MEMBERS:
            continue
        members = [make(options, seed, **{**base, **change}) for change in changes(varied, wording, seed, options)]
        others = [member.fit(X, y).predict_log_proba(queries) for member in members]
        opinions = np.stack([np.log(found["plain"]), *others])  # the first member is the prompt without any change
        for how in ("mean", "vote", "max"):
            yield f"{varied}, {how}", scores_of(truth, combined(opinions, how), classifier.classes_)


def make(options, seed, **parameters):
    from skicl.prompting import ModelSettings, StratifiedDemonstrations

    demonstrations = StratifiedDemonstrations(options.demonstrations, random_state=seed)
    settings = ModelSettings(dtype=options.dtype)
    defaults = {"calibration": None, "readout": "label_words", "demonstrations": demonstrations}
    return ICLClassifier(options.model, model_settings=settings, device=options.device, **{**defaults, **parameters})


def changes(varied, wording, seed, options):
    """Parameters of all members but the first of an ensemble in which one thing varies."""
    from skicl.prompting import PromptEnsemble, StratifiedDemonstrations

    seeds = [seed + 1000 * number for number in range(1, MEMBERS)]
    if varied == "demonstrations":
        return [{"demonstrations": StratifiedDemonstrations(options.demonstrations, random_state=s)} for s in seeds]
    if varied == "order":
        return [{"ensemble": PromptEnsemble(1, vary=["order"], random_state=s)} for s in seeds]
    if varied == "template":
        return [{"template": template} for template in wording.templates[1:MEMBERS]]
    return [{"verbalizer": words} for words in wording.words[1:MEMBERS]]


def combined(opinions, how):
    from skicl.prompting import PromptEnsemble

    return np.exp(PromptEnsemble(len(opinions), combine=how).combined(opinions))


HEADER = ["", "accuracy (%)", "± s.e.", "log-loss", "Brier", "ECE"]


def report(records, options):
    """One table for each set and one of their means."""
    found = sorted({record["set"] for record in records})
    n_seeds = len({record["seed"] for record in records})
    lines = [
        f"{Path(options.model).name}, {options.dtype or 'float32'}; {options.demonstrations} demonstrations, "
        f"{options.rows} labelled rows, {options.queries} queries, {n_seeds} seeds. Standard errors are over seeds."
    ]
    for name in [None, *found] if len(found) > 1 else found:
        some = [record for record in records if name is None or record["set"] == name]
        rows = [table_row(arm, some) for arm in NAMES if any(record["arm"] == arm for record in some)]
        heading = name or "Mean over " + ", ".join(found)
        lines.append(f"### {heading}\n\n" + markdown_table(HEADER, rows))
    return "\n\n".join(lines)


def table_row(arm, records):
    """One line: means over sets and seeds, and the standard error over seeds of the mean over sets."""
    values = {score: [record[score] for record in records if record["arm"] == arm] for score in SCORES}
    seeds = sorted({record["seed"] for record in records})
    by_seed = [
        np.mean([record["accuracy"] for record in records if (record["arm"], record["seed"]) == (arm, seed)])
        for seed in seeds
    ]
    error = f"{100 * np.std(by_seed, ddof=1) / np.sqrt(len(seeds)):.1f}" if len(seeds) > 1 else ""
    accuracy, *others = (np.mean(values[score]) for score in SCORES)
    return [NAMES[arm], f"{100 * accuracy:.1f}", error, *(f"{value:.3f}" for value in others)]


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the text sets, see few_shot_text.py")
    parser.add_argument("--model", required=True, help="a causal language model: name or folder")
    parser.add_argument("--sets", default="sst2,trec", help="names, separated by commas (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the language model runs (%(default)s)")
    parser.add_argument("--dtype", help="number format of the language model (default: that of the device)")
    parser.add_argument("--demonstrations", type=int, default=16, help="in a prompt (%(default)s)")
    parser.add_argument("--rows", type=int, default=64, help="labelled rows in all (%(default)s)")
    parser.add_argument("--queries", type=int, default=100, help="of each seed (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="draws of rows and queries (%(default)s)")
    parser.add_argument("--vary", default=",".join(VARIED), help="what varies in ensembles (%(default)s)")
    parser.add_argument("--out", type=Path, help="file of the scores; a run continues from it")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    known = [name for name, kind in find_sets(options.data).items() if kind == TEXT]
    options.sets = options.sets.split(",")
    options.vary = options.vary.split(",")
    if unknown := set(options.vary) - set(VARIED):
        parser.error(f"--vary: {sorted(unknown)[0]!r} is none of {', '.join(VARIED)}")
    if unknown := set(options.sets) - set(known):
        parser.error(f"--sets: no text set is called {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    for name in ("demonstrations", "queries", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.rows < options.demonstrations:
        parser.error("--rows must be at least --demonstrations")
    return options


if __name__ == "__main__":
    main()
