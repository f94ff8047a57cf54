"""Few labelled rows: TartClassifier against the classifiers that people put on frozen vectors.

    python examples/benchmarks/few_shot_text.py --data FOLDER --out results.csv

reads every set in the folder (texts, images, recordings: see ``data_sets.py`` for the formats), embeds texts once,
fits every classifier on the same nested contexts of k labelled examples, and prints accuracy / log-loss / calibration
error / seconds per set and size, then the means over the text sets and over the others, mean ranks and differences to
tuned logistic regression. With ``--out`` the run can be killed and started again: it continues. ``--methods names``
and ``--methods unlabelled`` add what can be read beside labels: the names of the classes, and rows without a label;
``--methods misleading`` gives TartClassifier names that lie or say nothing.
Seconds are wall-clock; set ``OMP_NUM_THREADS=1`` for those of one core.
"""

import argparse
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from data_sets import HALVES, TEXT, embed, find_sets, half_of, read_set
from few_shot_figure import draw_figure
from methods import DEFAULT, EXCHANGED, GROUPS, TRUE, UNRELATED, methods
from side_information import unrelated_words
from sklearn.exceptions import ConvergenceWarning
from tables import SCORES, mean_sections, set_section, setting

from skicl.evaluation import few_shot_curve

MINI_LM = "sentence-transformers/all-MiniLM-L6-v2"


def main(arguments=None):
    options = parse(arguments)
    labels = {method.key: method.label for method in options.methods}
    records = []
    for name, kind in options.sets.items():
        found = run_set(name, kind, options)
        if found:
            records += found
            print(set_section(found, labels, name), end="\n\n", flush=True)
    if not records:
        sys.exit("No set has two rows per class at any size in --k.")
    means = mean_sections(records, labels, options.sets)
    print(means)
    if options.markdown:
        present = {record["dataset"] for record in records}
        sections = "\n\n".join(set_section(records, labels, name) for name in options.sets if name in present)
        text = f"{setting(records, options)}\n\n{means}\n\n## Every set\n\n{sections}\n"
        options.markdown.write_text(text, encoding="utf-8")
    if options.figure:
        texts = [record for record in records if options.sets[record["dataset"]] == TEXT]
        draw_figure(texts or records, labels, options.figure)


def run_set(name, kind, options):
    """Records of one set, from the results file where it has them."""
    train, test = read_set(options.data, name)
    n_classes = len(np.unique(train.y))
    sizes = [k for k in options.ks if 2 * n_classes <= k <= len(train.y)]
    plan = defaultdict(list)  # methods that run at the same sizes with the same rows
    for method in options.methods:
        ks = tuple(k for k in sizes if method.affords(k, n_classes))
        if ks and (kind == TEXT or method.names is None):
            plan[ks, method.n_unlabelled].append(method)
    if not plan:
        print(f"{name}: {n_classes} classes and {len(train.y)} rows allow none of the sizes, left out.\n")
        return []
    if kind == TEXT:
        train, test = (
            part._replace(X=encoded(part.X, f"{name}.{half}", options))
            for part, half in ((train, "train"), (test, "test"))
        )
    names = names_of_classes(name, train.y, options) if kind == TEXT else None
    records = []
    for (ks, n_unlabelled), chosen in plan.items():
        with warnings.catch_warnings():
            ignore_warnings_of_few_rows()
            estimators = {method.key: method.make(names) for method in chosen}
            cold = {key: estimator for key, estimator in estimators.items() if key not in options.warmed}
            if cold:  # imports and the loading of weights are no part of the seconds
                one = {"k": ks[:1], "n_repeats": 1, "n_queries": 1, "stratify": False, "n_unlabelled": n_unlabelled}
                few_shot_curve(cold, *train, X_test=test.X, y_test=test.y, **one)
                options.warmed |= set(cold)
            records += few_shot_curve(
                estimators,
                *train,
                X_test=test.X,
                y_test=test.y,
                k=ks,
                n_repeats=options.seeds,
                scoring=tuple(score for score in SCORES if score != "seconds"),
                stratify=False,
                min_per_class=2,
                n_queries=options.queries,
                n_unlabelled=n_unlabelled,
                results_file=options.out,
                dataset=name,
            )
    return records


def ignore_warnings_of_few_rows():
    """Few rows are what this benchmark is about."""
    warnings.filterwarnings("ignore", message="Only one sample available")  # of LDA
    warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # of label spreading, after its 30 rounds


def names_of_classes(name, y, options):
    """Vectors of what the methods take for names of the classes: for every kind a dict by label."""
    kinds = {method.names for method in options.methods} - {None}
    labels = np.unique(y).tolist()
    found = {}
    if kinds & {TRUE, EXCHANGED}:
        found[TRUE] = dict(zip(labels, encoded(labels, f"{name}.names", options)))
        found[EXCHANGED] = dict(zip(labels, np.roll(list(found[TRUE].values()), 1, axis=0)))
    if UNRELATED in kinds:
        found[UNRELATED] = dict(zip(labels, encoded(unrelated_words(len(labels)), f"{name}.unrelated", options)))
    return found


def encoded(texts, stem, options):
    return embed(texts, make_encoder, options.encoder, options.embeddings, stem)


def make_encoder(name):
    from skicl import SentenceEncoder

    return SentenceEncoder(name)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    keys = ", ".join(method.key for method in methods())
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--sets", help="comma-separated names; default: every set in the folder, and digits")
    parser.add_argument("--split", choices=(*HALVES, "all"), default="all", help="which half of the sets (%(default)s)")
    parser.add_argument("--k", default="4,8,16,32,64,128,256,512,1024", help="comma-separated sizes (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="number of repeats (%(default)s)")
    parser.add_argument("--queries", type=int, default=1000, help="test rows scored per repeat (%(default)s)")
    parser.add_argument(
        "--methods",
        default=DEFAULT,
        help=f"comma-separated out of the groups {', '.join(GROUPS)}, all, and the single {keys} (%(default)s)",
    )
    parser.add_argument("--out", type=Path, help="CSV file of results, to write and to continue from")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--encoder", default=MINI_LM, help="model for SentenceEncoder (%(default)s)")
    parser.add_argument(
        "--reasoner",
        action="append",
        default=[],
        type=Path,
        help="weights to score too, as tart:STEM, tart:STEM+names and so on; may be repeated",
    )
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--figure", type=Path, help="file for the figure: .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    options.sets = chosen_sets(parser, options)
    options.methods = chosen_methods(parser, options.methods.split(","), options.reasoner)
    try:
        options.ks = sorted({int(k) for k in options.k.split(",")})
    except ValueError:
        parser.error(f"--k must be numbers separated by commas, got {options.k!r}")
    if options.seeds < 1 or options.queries < 1 or options.ks[0] < 1:
        parser.error("--k, --seeds and --queries must be at least 1")
    for path in (options.out, options.markdown, options.figure):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {str(path)!r} does not exist")
    options.warmed = set()
    return options


def chosen_sets(parser, options):
    """Kind of every set to run, by name."""
    found = find_sets(options.data)
    names = list(found) if options.sets is None else options.sets.split(",")
    unknown = [name for name in names if name not in found]
    if unknown:
        parser.error(f"--sets: {unknown[0]!r} is not in the folder, which has {', '.join(found)}")
    kept = {name: found[name] for name in names if options.split in ("all", half_of(name))}
    if not kept:
        parser.error(f"--split: no set of {', '.join(names)} is in the half {options.split!r}")
    return kept


def chosen_methods(parser, asked, reasoners):
    """The methods asked for by key or group; weights given as a file are always among them."""
    for path in reasoners:
        if not path.is_file():
            parser.error(f"--reasoner: there is no file {str(path)!r}")
    known = methods(reasoners)
    unknown = [word for word in asked if word not in {"all", *GROUPS, *(method.key for method in known)}]
    if unknown:
        keys = ", ".join(method.key for method in known)
        parser.error(f"--methods: {unknown[0]!r} is not one of {keys}, {', '.join(GROUPS)}, all")
    asked = {*asked, *(f"tart:{path.stem}" for path in reasoners)}
    return [method for method in known if asked & {"all", method.group, method.key}]


if __name__ == "__main__":
    main()
