"""Few labelled rows: TartClassifier against the classifiers that people put on frozen vectors.

    python examples/benchmarks/few_shot_text.py --data FOLDER --draws natural,balanced --out results.csv

reads every set in the folder (texts, images, recordings: see ``data_sets.py`` for the formats), embeds texts once,
fits every classifier on the same nested contexts of k labelled examples, and prints accuracy / log-loss / calibration
error / seconds per set and size, then how far ahead of others TartClassifier is, the means over the text sets and over
the others, mean ranks and differences to tuned logistic regression. With ``--out`` the run can be killed and started
again: it continues.

``--draws`` says how labels are bought. ``natural``: one row of each class, then rows at random. ``balanced``: equally
many rows of each class, as many as k labels allow. Queries and rows without a label come from the population in both.

TartClassifier gets raw texts as from a user and looks their vectors up; other methods get vectors, either the encoder's
own or the blocks of its layers. ``--methods`` chooses: ``evidence`` (the default) compares methods that are given the
same evidence, ``labels`` many classifiers on labels alone, ``names`` and ``unlabelled`` what can be read beside them,
and ``misleading`` gives TartClassifier names that lie or say nothing. ``fine-tuning`` trains the encoder itself,
minutes a fit: run it with few ``--sets``, ``--k`` and ``--seeds``, into the same results.
Seconds are wall-clock; set ``OMP_NUM_THREADS=1`` for those of one core.
"""

import argparse
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from data_sets import HALVES, TEXT, embed, find_sets, half_of, read_set
from draws import BALANCED, DRAWS, NATURAL, drawn_name, with_draw
from few_shot_figure import draw_figure, in_figure
from known_texts import TEXTS, KnownTexts, Material, texts_of_names
from methods import EVIDENCE, EXCHANGED, GROUPS, TRUE, UNRELATED, methods
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
    means = mean_sections(records, options.methods, options.sets)
    print(means)
    if options.markdown:
        present = {record["dataset"] for record in records}
        sections = "\n\n".join(set_section(records, labels, name) for name in options.sets if name in present)
        text = f"{setting(records, options)}\n\n{means}\n\n## Every set\n\n{sections}\n"
        options.markdown.write_text(text, encoding="utf-8")
    if options.figure:
        texts = [record for record in records if options.sets[record["dataset"]] == TEXT]
        draw_figure(texts or records, in_figure(labels, texts or records), options.figure)


def run_set(name, kind, options):
    """Records of one set, of every draw, from the results file where it has them."""
    train, test = read_set(options.data, name)
    plans = {draw: plan_of_draw(name, kind, draw, train.y, options) for draw in options.draws}
    if not any(plans.values()):
        return []
    material = known_material(name, train, test, options) if kind == TEXT else None
    records = []
    for draw, plan in plans.items():
        for (ks, n_unlabelled), chosen in plan.items():
            design = {"k": ks, "n_unlabelled": n_unlabelled, "stratify": DRAWS[draw]}
            records += run_methods(name, draw, (train, test), material, chosen, design, options)
    return records


def plan_of_draw(name, kind, draw, y, options):
    """Methods that run at the same sizes with the same rows; what cannot be drawn is said."""
    n_classes, rarest = len(np.unique(y)), np.unique(y, return_counts=True)[1].min()
    sizes = [k for k in options.ks if 2 * n_classes <= k <= len(y)]
    if draw == BALANCED:
        lacking = [k for k in sizes if k // n_classes > rarest]
        sizes = [k for k in sizes if k not in lacking]
        if lacking:
            left_out = ", ".join(map(str, lacking))
            print(f"{name}: the rarest class has {rarest} rows, too few for balanced draws at k = {left_out}.\n")
    plan = defaultdict(list)
    for method in options.methods:
        ks = tuple(k for k in sizes if method.affords(k, n_classes))
        if ks and method.reads_kind(kind == TEXT):
            plan[ks, method.n_unlabelled].append(method)
    if not plan:
        print(f"{name}: {n_classes} classes and {len(y)} rows allow none of the sizes in {draw} draws, left out.\n")
    return plan


def run_methods(name, draw, parts, material, chosen, design, options):
    """Records of methods that run at the same sizes with the same rows."""
    train, test = parts
    estimators = {method.key: method.make(material) for method in chosen}
    readers = [method.key for method in chosen if method.reads == TEXTS] if material is not None else []
    common = {"X_test": test.X, "y_test": test.y, "encoder": None if material is None else material.everything}
    with warnings.catch_warnings():
        ignore_warnings_of_few_rows()
        cold = {key: estimator for key, estimator in estimators.items() if key not in options.warmed}
        if cold:  # imports and the loading of weights are no part of the seconds
            once = {**design, "k": design["k"][:1], "n_repeats": 1, "n_queries": 1}
            few_shot_curve(cold, *train, raw=[key for key in readers if key in cold], **common, **once)
            options.warmed |= set(cold)
        found = few_shot_curve(
            estimators,
            *train,
            raw=readers,
            **common,
            **design,
            n_repeats=options.seeds,
            scoring=tuple(score for score in SCORES if score != "seconds"),
            min_per_class=2,
            n_queries=options.queries,
            results_file=options.out,
            dataset=drawn_name(name, draw),
        )
    return [with_draw(record) for record in found]


def ignore_warnings_of_few_rows():
    """Few rows are what this benchmark is about."""
    warnings.filterwarnings("ignore", message="Only one sample available")  # of LDA
    warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # of label spreading, after its 30 rounds


def known_material(name, train, test, options):
    """Vectors of all texts of a set and of the names of its classes, all embedded once."""
    labels = np.unique(train.y).tolist()
    true = texts_of_names(labels)
    others = np.roll(list(true.values()), 1).tolist()
    texts = {
        TRUE: true,
        EXCHANGED: dict(zip(labels, others)),
        UNRELATED: dict(zip(labels, unrelated_words(len(labels)))),
    }
    parts = {
        "train": train.X,
        "test": test.X,
        "names": list(true.values()),
        "unrelated": list(texts[UNRELATED].values()),
    }
    layers = embedded(name, parts, make_layers_encoder, ".layers", options)
    own = own_vectors(name, parts, layers, options)
    every, encoder = [text for part in parts.values() for text in part], make_layers_encoder(options.encoder)
    return Material(
        options.encoder,
        KnownTexts(encoder, every, np.hstack([own, layers])),
        KnownTexts(encoder, every, layers),
        own.shape[1],
        texts,
    )


def own_vectors(name, parts, layers, options):
    """The model's own vectors: the last columns of the layers where these are the same, else embedded for themselves.

    They are the same for models whose vectors have unit length; a few texts tell.
    """
    few = embedded(name, {"first": parts["train"][:8]}, make_encoder, "", options)
    n_own = few.shape[1]
    last = layers[: len(few), -n_own:]
    if last.shape == few.shape and np.allclose(last, few, atol=1e-5):
        return layers[:, -n_own:]
    return embedded(name, parts, make_encoder, "", options)


def embedded(name, parts, make, mark, options):
    """Vectors of all parts, one behind the other, from the folder of embeddings where it has them."""
    return np.concatenate(
        [embed(X, make, options.encoder, options.embeddings, f"{name}.{part}{mark}") for part, X in parts.items()]
    )


def make_encoder(name):
    """The encoder with the vectors of the model itself."""
    from skicl import SentenceEncoder

    return SentenceEncoder(name)


def make_layers_encoder(name):
    """The encoder as TartClassifier uses it by default: blocks of several layers."""
    from skicl import SentenceEncoder

    return SentenceEncoder(name, layers="auto")


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    keys = ", ".join(method.key for method in methods())
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--sets", help="comma-separated names; default: every set in the folder, and digits")
    parser.add_argument("--split", choices=(*HALVES, "all"), default="all", help="which half of the sets (%(default)s)")
    parser.add_argument("--draws", default=NATURAL, help=f"comma-separated out of {', '.join(DRAWS)} (%(default)s)")
    parser.add_argument("--k", default="8,16,32,64,128,256,512", help="comma-separated sizes (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="number of repeats (%(default)s)")
    parser.add_argument("--queries", type=int, default=1000, help="test rows scored per repeat (%(default)s)")
    parser.add_argument(
        "--methods",
        default=EVIDENCE,
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
        help="weights to score too, as default:STEM, tart:STEM+names and so on; may be repeated",
    )
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--figure", type=Path, help="file for the figure: .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    options.sets = chosen_sets(parser, options)
    options.methods = chosen_methods(parser, options.methods.split(","), options.reasoner)
    options.draws = list(dict.fromkeys(options.draws.split(",")))
    unknown = [draw for draw in options.draws if draw not in DRAWS]
    if unknown:
        parser.error(f"--draws: {unknown[0]!r} is not one of {', '.join(DRAWS)}")
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
    asked = {*asked, *(f"{arm}:{path.stem}" for arm in ("default", "tart") for path in reasoners)}
    return [method for method in known if asked & {"all", *method.groups, method.key}]


if __name__ == "__main__":
    main()
