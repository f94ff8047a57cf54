"""MTEB's and SetFit's few-shot protocols: published numbers of the same encoder beside those measured here.

    python examples/benchmarks/published_protocols.py --data FOLDER --out protocols.csv --markdown protocols.md

Both protocols draw equally many rows of each class, 8 unless said otherwise, ten times, and report the mean accuracy on
the whole test part. MTEB fits ``LogisticRegression(max_iter=100)`` on frozen vectors; SetFit fine-tunes the encoder.
The sets are those of the folder: AG News and DBpedia are samples of the published ones, Banking77 one of its training
rows, so contexts are drawn in the same way and are not the same rows. Banking77 is run at 2, 5 and 10 rows a class too.
With ``--out`` the run can be killed and started again: it continues.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from data_sets import find_sets, read_set
from draws import BALANCED, DRAWS
from few_shot_text import MINI_LM, known_material, run_methods
from markdown_tables import markdown_table
from methods import Method, methods
from sklearn.linear_model import LogisticRegression

N_DRAWS, SEED = 10, 42


class Protocol(NamedTuple):
    """One line of the table: rows of each class, and what was published for all-MiniLM-L6-v2, accuracy in per cent."""

    dataset: str
    title: str
    n_each: int = 8
    mteb: str = "-"
    setfit: str = "-"


# MTEB: the results repository, f4cc6c8 (2026-08-20), task names Banking77Classification, NewsClassification and
# DBpediaClassification; in brackets the least and the largest of the ten draws. SetFit: its repository, 0f8e322, raw
# results in final_results, all-MiniLM-L6-v2, mean and standard deviation of ten draws.
PROTOCOLS = (
    Protocol("banking77", "Banking77", 2),
    Protocol("banking77", "Banking77", 5),
    Protocol("banking77", "Banking77", mteb="80.0 (78.9 to 81.3)"),
    Protocol("banking77", "Banking77", 10),
    Protocol("agnews", "AG News", mteb="75.6 (70.0 to 79.0)", setfit="83.1 ± 2.3"),
    Protocol("dbpedia", "DBpedia", mteb="85.4 (84.3 to 86.5)"),
    Protocol("cr", "CR", setfit="71.6 ± 3.7"),
    Protocol("tweet_emotion", "emotion (TweetEval)"),
)
NOTE = (
    "Published: all-MiniLM-L6-v2, ten balanced draws, the whole test part. MTEB: mean accuracy in % (least to largest "
    "draw), from its results repository at f4cc6c8. SetFit: mean ± standard deviation, from the raw results in its "
    "repository at 0f8e322. Measured: {encoder}, {seeds} balanced draws, the whole test part; mean accuracy in % ± "
    "standard deviation over the draws / log-loss. AG News, DBpedia and Banking77 are samples of the published sets "
    "here. The emotion set of MTEB and SetFit has other texts and six classes (SetFit has 39.1 ± 4.7 there), and the "
    "one of TweetEval four: there is no published number for it."
)
MTEB = Method("mteb-lr", "LR as in MTEB", lambda: LogisticRegression(max_iter=100))
SHOWN = (MTEB.key, "tuned-lr", "default", "default+unlabelled")


def main(arguments=None):
    options = parse(arguments)
    records = [record for name in options.sets for record in run_protocols(name, options)]
    note = NOTE.format(encoder=options.encoder.rpartition("/")[2], seeds=options.seeds)
    text = f"{note}\n\n{table(records, options)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def run_protocols(name, options):
    """Records of all protocols of one set."""
    train, test = read_set(options.data, name)
    material, n_classes = known_material(name, train, test, options), len(np.unique(train.y))
    plan = defaultdict(list)
    for method in options.methods:
        plan[method.n_unlabelled].append(method)
    for n_unlabelled, chosen in plan.items():
        design = {
            "k": tuple(protocol.n_each * n_classes for protocol in options.protocols if protocol.dataset == name),
            "n_unlabelled": n_unlabelled,
            "stratify": DRAWS[BALANCED],
            "random_state": SEED,
        }
        yield from run_methods(name, BALANCED, (train, test), material, chosen, design, options)


def table(records, options):
    """A row for each protocol: what was published, and what every method has here."""
    rows = []
    for protocol in options.protocols:
        here = [record for record in records if record["dataset"] == protocol.dataset]
        here = [record for record in here if record["k"] == protocol.n_each * record["n_classes"]]
        cells = [_cell([record for record in here if record["estimator"] == m.key]) for m in options.methods]
        rows.append([protocol.title, protocol.n_each, protocol.mteb, protocol.setfit, *cells])
    header = ["set", "rows a class", "MTEB, published", "SetFit, published", *(m.label for m in options.methods)]
    return markdown_table(header, rows)


def _cell(records):
    if not records:
        return "-"
    accuracy = 100 * np.array([record["accuracy"] for record in records])
    spread = f" ± {accuracy.std(ddof=1):.1f}" if len(accuracy) > 1 else ""
    return f"{accuracy.mean():.1f}{spread} / {np.mean([record['log_loss'] for record in records]):.3f}"


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    known = {method.key: method for method in (MTEB, *methods())}
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--sets", help="comma-separated names; default: all that are in the folder")
    parser.add_argument("--methods", default=",".join(SHOWN), help="comma-separated keys of methods (%(default)s)")
    parser.add_argument("--seeds", type=int, default=N_DRAWS, help="number of draws (%(default)s)")
    parser.add_argument("--out", type=Path, help="CSV file of results, to write and to continue from")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--encoder", default=MINI_LM, help="model for SentenceEncoder (%(default)s)")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    options = parser.parse_args(arguments)
    found = find_sets(options.data)
    asked = [protocol.dataset for protocol in PROTOCOLS] if options.sets is None else options.sets.split(",")
    options.protocols = [protocol for protocol in PROTOCOLS if protocol.dataset in asked and protocol.dataset in found]
    if not options.protocols:
        parser.error(f"--sets: no protocol is of {', '.join(asked)}, out of the folder's {', '.join(found)}")
    unknown = [key for key in options.methods.split(",") if key not in known]
    if unknown:
        parser.error(f"--methods: {unknown[0]!r} is not one of {', '.join(known)}")
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    for path in (options.out, options.markdown):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {str(path)!r} does not exist")
    options.methods = [known[key] for key in options.methods.split(",")]
    options.sets = list(dict.fromkeys(protocol.dataset for protocol in options.protocols))
    options.queries, options.warmed = None, set()
    return options


if __name__ == "__main__":
    main()
