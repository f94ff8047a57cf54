"""Few labelled texts: TartClassifier against the classifiers that people put on frozen embeddings.

    python examples/benchmarks/few_shot_text.py --data FOLDER --out results.csv

reads every text set in the folder (see ``text_sets.py`` for the format), embeds it once, fits every classifier
on the same nested contexts of k labelled examples, and prints accuracy / log-loss / calibration error / seconds
per set and size, and in the mean. With ``--out`` the run can be killed and started again: it continues.
Seconds are wall-clock; set ``OMP_NUM_THREADS=1`` for those of one core.
"""

import argparse
import sys
import warnings
from pathlib import Path

from competitors import methods, tart_with
from few_shot_figure import draw_figure
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from tables import collect, mean_section, set_section
from text_sets import embed, find_sets, read_part

from skicl.evaluation import few_shot_scores, nested_contexts

MINI_LM = "sentence-transformers/all-MiniLM-L6-v2"


def main(arguments=None):
    options = parse(arguments)
    labels = {method.key: method.label for method in options.methods}
    records = []
    for name in options.sets:
        found = run_set(name, options)
        if found:
            records += found
            print(set_section(collect(found, labels), name), end="\n\n", flush=True)
    if not records:
        sys.exit("No set has two rows per class at any size in --k.")
    scores = collect(records, labels)
    means = mean_section(scores)
    print(f"## Mean over the sets\n\n{means}")
    if options.markdown:
        sections = "\n\n".join(set_section(scores, name) for name in scores.sets)
        text = (
            f"{setting(options, scores)}\n\n## Mean over the sets\n\n{means}\n\n## Every set\n\n{sections}\n"
        )
        options.markdown.write_text(text, encoding="utf-8")
    if options.figure:
        draw_figure(scores, options.figure)


def run_set(name, options):
    """Records of one set, from the results file where it has them."""
    (train, y_train), (test, y_test) = (read_part(options.data, name, part) for part in ("train", "test"))
    n_classes = len(set(y_train))
    sizes = [k for k in options.ks if 2 * n_classes <= k <= len(train)]
    if not sizes:
        print(f"{name}: {n_classes} classes and {len(train)} rows allow none of the sizes, left out.\n")
        return []
    X_train, X_test = (
        embed(texts, make_encoder, options.encoder, options.embeddings, f"{name}.{part}")
        for texts, part in ((train, "train"), (test, "test"))
    )
    records = []
    with warnings.catch_warnings():
        # Few rows are what this benchmark is about: LDA warns of classes with one row, scikit-learn of many
        # classes for the rows, the Gaussian process of kernels at the end of their range.
        warnings.filterwarnings("ignore", message="Only one sample available")
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        for max_k in sorted({method.max_k for method in options.methods}):
            chosen = {method.key: method.build() for method in options.methods if method.max_k == max_k}
            affordable = [k for k in sizes if k <= max_k]
            if not affordable:
                continue
            cold = {key: estimator for key, estimator in chosen.items() if key not in options.warmed}
            warm_up(cold, X_train, y_train, affordable[0])
            options.warmed |= set(cold)
            records += few_shot_scores(
                chosen,
                X_train,
                y_train,
                X_test,
                y_test,
                ks=affordable,
                n_repeats=options.seeds,
                min_per_class=2,
                n_queries=options.queries,
                results_file=options.out,
                dataset=name,
            )
    return records


def make_encoder(name):
    from skicl import SentenceEncoder

    return SentenceEncoder(name)


def warm_up(estimators, X, y, k):
    """Fit and predict once, so that imports and the loading of weights are not in the seconds."""
    rows = nested_contexts(y, k, n_repeats=1)[0][k]
    for estimator in estimators.values():
        clone(estimator).fit(X[rows], y[rows]).predict_proba(X[rows])


def setting(options, scores):
    """What was run, for the head of the recorded tables."""
    names = ", ".join(f"{name} ({n})" for name, n in zip(scores.sets, scores.n_classes))
    return (
        f"Encoder: {options.encoder}. {options.seeds} repeats, {options.queries} queries each, the same contexts "
        f"and queries for all methods. Sets (classes): {names}. Cells of the sets: accuracy in % / log-loss / "
        "expected calibration error / seconds for fit and predict. The calibration error of few queries is too "
        "large by chance, for every method: with 300 queries even perfect probabilities get about 0.05."
    )


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    keys = ", ".join(method.key for method in methods())
    parser.add_argument("--data", type=Path, required=True, help="folder with the text sets")
    parser.add_argument("--sets", help="comma-separated names; default: every set in the folder")
    parser.add_argument("--k", default="8,16,32,64,128,256,512", help="comma-separated sizes (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="number of repeats (%(default)s)")
    parser.add_argument("--queries", type=int, default=300, help="test rows scored per repeat (%(default)s)")
    parser.add_argument("--methods", help=f"comma-separated out of {keys}, or all; default: the quick ones")
    parser.add_argument("--out", type=Path, help="CSV file of results, to write and to continue from")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--encoder", default=MINI_LM, help="model for SentenceEncoder (%(default)s)")
    parser.add_argument(
        "--reasoner", action="append", type=Path, help="weights to score too, as tart:STEM; may be repeated"
    )
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--figure", type=Path, help="file for the figure: .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    options.sets = chosen_sets(parser, options)
    options.methods = chosen_methods(parser, options.methods, options.reasoner or [])
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
    found = find_sets(options.data)
    if options.sets is None:
        return found
    unknown = [name for name in options.sets.split(",") if name not in found]
    if unknown:
        parser.error(f"--sets: {unknown[0]!r} is not in the folder, which has {', '.join(found)}")
    return options.sets.split(",")


def chosen_methods(parser, asked, reasoners):
    known = {method.key: method for method in methods()}
    if asked is None:
        keys = [key for key, method in known.items() if method.is_default]
    else:
        keys = list(known) if asked == "all" else asked.split(",")
    unknown = [key for key in keys if key not in known]
    if unknown:
        parser.error(f"--methods: {unknown[0]!r} is not one of {', '.join(known)}, all")
    for path in reasoners:
        if not path.is_file():
            parser.error(f"--reasoner: there is no file {str(path)!r}")
    return [tart_with(path) for path in reasoners] + [known[key] for key in keys]


if __name__ == "__main__":
    main()
