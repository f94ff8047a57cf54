"""TART's comparison on public sets: in-context learning, probes, TART and fine-tuning on the same labelled rows.

    python examples/benchmarks/paper_table.py --data FOLDER [--quick] [--out results.csv] [--markdown table.md]

reads every set in the folder (``data_sets.py`` says in which format), makes tasks of two classes as the paper has them
(``paper_tasks.py``) beside the whole sets, fits every method on the same nested, stratified contexts and prints
accuracy, log-loss and calibration error by number of labelled rows, and what was measured of the paper's claims. With
``--out`` a run that was killed continues, and later runs may add methods, tasks, sizes and repeats.

Methods that read texts themselves (prompts, fine-tuning) cost minutes where the others cost milliseconds. They run on
the tasks, sizes and repeats of ``--slow-tasks``, ``--slow-k`` and ``--slow-seeds``; their tables compare all methods on
just these contexts. Methods that cannot run here are left out with the reason: prompts need ``--language-model``, LoRA
needs peft. ``--quick`` is a choice of all this that takes ten minutes on two cores.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from data_sets import PIXELS, SOUND, TEXT, Part, embed, find_sets, read_items, read_set
from few_shot_text import MINI_LM, ignore_warnings_of_few_rows, make_encoder, make_layers_encoder
from known_texts import KnownTexts
from paper_methods import LANGUAGE_MODEL, ON_TEXTS, TEXTS, VECTORS, all_methods, missing
from paper_report import RECORDED, report
from paper_tasks import tasks_of

from skicl.evaluation import FewShotCurve, few_shot_curve

QUICK = {
    "tasks": "sst2,sms_spam,agnews.sports,trec,digits.0-8,digits,fsdd",
    "k": "18,64,256",
    "seeds": 5,
    "queries": 200,
    "slow_tasks": "sst2,sms_spam",
    "slow_k": "18,64",
    "slow_seeds": 1,
}


def main(arguments=None):
    options = parse(arguments)
    records = FewShotCurve([])
    for name, kind in options.sets.items():
        for task in chosen_tasks(name, kind, options):
            encoder = None if kind != TEXT else known_vectors(name, options)
            records += run_task(task, encoder, options)
            print(f"{task.name}: done", file=sys.stderr, flush=True)
    if not len(records):
        sys.exit("No task has two rows per class at any size in --k.")
    text = report(records, options)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def chosen_tasks(name, kind, options):
    """The tasks made of a set that were asked for: texts as texts, all else as vectors."""
    model = options.encoders.get(kind)
    parts = read_set(options.data, name) if model is None else encoded_items(name, kind, model, options)
    found = tasks_of(name, kind, *parts)
    options.groups |= {task.name: task.group for task in found}
    return [task for task in found if options.tasks is None or task.name in options.tasks]


def run_task(task, encoder, options):
    """Records of one task, from the results file where it has them."""
    sizes = [k for k in options.ks if 2 * task.n_classes <= k <= len(task.train.y)]
    slow = options.slow_tasks is None or task.name in options.slow_tasks
    plan = {}  # methods that run at the same sizes and repeats
    for method in options.methods:
        if method.reads == VECTORS:
            ks, repeats = tuple(k for k in sizes if k * task.n_classes <= method.max_pairs), options.seeds
        else:
            ks, repeats = tuple(k for k in sizes if k in options.slow_ks), min(options.slow_seeds, options.seeds)
        if ks and (method.reads == VECTORS or (slow and encoder is not None)):
            plan.setdefault((ks, repeats, method.reads, method.n_unlabelled), []).append(method)
    curve = FewShotCurve([])
    for (ks, repeats, reads, n_unlabelled), methods in plan.items():
        with warnings.catch_warnings():
            ignore_warnings_of_few_rows()
            curve += few_shot_curve(
                {method.key: method.build() for method in methods},
                *task.train,
                X_test=task.test.X,
                y_test=task.test.y,
                k=ks,
                n_repeats=repeats,
                scoring=RECORDED,
                encoder=encoder,
                raw=[method.key for method in methods if reads == TEXTS],
                n_queries=options.queries,
                n_unlabelled=n_unlabelled,
                results_file=options.out,
                dataset=task.name,
                verbose=options.verbose,
            )
    return curve


def known_vectors(name, options):
    """The vectors of all texts of a set; those of their layers too, if a method reads them."""
    if name not in options.known:
        options.known = {name: _looked_up(name, make_text_encoder, "", options)}  # one set at a time
        if any(method.key in ON_TEXTS for method in options.methods):
            options.layers = _looked_up(name, make_layers_encoder, ".layers", options)
    return options.known[name]


def _looked_up(name, make, mark, options):
    parts = {f"{name}.{half}{mark}": part.X for half, part in zip(("train", "test"), read_set(options.data, name))}
    vectors = [embed(X, make, options.encoder, options.embeddings, stem) for stem, X in parts.items()]
    texts = [text for part in parts.values() for text in part]
    return KnownTexts(make(options.encoder), texts, np.concatenate(vectors))


def make_text_encoder(name):
    """A sentence encoder; or the mean of the last layer of a causal language model, as TART reads it."""
    from skicl.encoders import LanguageModelEncoder

    if name.startswith(LANGUAGE_MODEL):
        return LanguageModelEncoder(name.removeprefix(LANGUAGE_MODEL))
    return make_encoder(name)


def encoded_items(name, kind, model, options):
    """Both parts of an image or audio set through a network."""
    from skicl.encoders import AudioEncoder, ImageEncoder

    cache = None if options.embeddings is None else str(options.embeddings / "items")
    encoder = ImageEncoder(model, cache=cache) if kind == PIXELS else AudioEncoder(model, cache=cache)
    train, test = read_items(options.data, name)
    return Part(encoder.fit_transform(train.X), train.y), Part(encoder.transform(test.X), test.y)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--quick", action="store_true", help="a small choice; options beside it still hold")
    parser.add_argument("--out", type=Path, help="CSV file of results, to write and to continue from")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--tasks", help="comma-separated names of tasks or sets (default: all)")
    parser.add_argument("--methods", help="comma-separated keys of methods (default: all that can run)")
    parser.add_argument("--k", default="4,8,16,18,32,48,64,128,256,512,1024", help="sizes (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="number of repeats (%(default)s)")
    parser.add_argument("--queries", type=int, default=300, help="test rows scored per repeat (%(default)s)")
    parser.add_argument("--slow-tasks", help="tasks of the methods that read texts (default: all texts)")
    parser.add_argument("--slow-k", default="18,64,256", help="their sizes (%(default)s)")
    parser.add_argument("--slow-seeds", type=int, default=3, help="their number of repeats (%(default)s)")
    parser.add_argument(
        "--encoder",
        default=MINI_LM,
        help="model for SentenceEncoder, or lm:MODEL for a causal language model (%(default)s)",
    )
    parser.add_argument("--image-encoder", help="model for ImageEncoder (default: pixels)")
    parser.add_argument("--audio-encoder", help="model for AudioEncoder (default: log-mel features)")
    parser.add_argument("--language-model", help="causal language model for the prompts")
    parser.add_argument("--demonstrations", type=int, default=64, help="most texts in a prompt (%(default)s)")
    parser.add_argument("--fine-tuned", default=MINI_LM, help="model to fine-tune (%(default)s)")
    parser.add_argument("--verbose", action="store_true", help="progress bars")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**QUICK)
    return checked(parser, parser.parse_args(arguments))


def checked(parser, options):
    """Options made ready for the run; what cannot be meant ends the program, what cannot run here is left out."""
    found = find_sets(options.data)
    options.tasks = None if options.tasks is None else set(options.tasks.split(","))
    options.slow_tasks = None if options.slow_tasks is None else set(options.slow_tasks.split(","))
    for name in sorted((options.tasks or set()) | (options.slow_tasks or set())):
        if name.split(".")[0] not in found:
            parser.error(f"{name!r} is made of no set in the folder, which has {', '.join(found)}")
    wanted = None if options.tasks is None else {name.split(".")[0] for name in options.tasks}
    options.sets = {name: kind for name, kind in found.items() if wanted is None or name in wanted}
    options.ks, options.slow_ks = (numbers(parser, text) for text in (options.k, options.slow_k))
    if min(options.seeds, options.slow_seeds, options.queries, options.demonstrations, *options.ks) < 1:
        parser.error("--k, --seeds, --slow-seeds, --queries and --demonstrations must be at least 1")
    for path in (options.out, options.markdown):
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {str(path)!r} does not exist")
    options.encoders = {PIXELS: options.image_encoder, SOUND: options.audio_encoder}
    options.methods = chosen_methods(parser, options)
    options.known, options.layers, options.groups = {}, None, {}
    return options


def chosen_methods(parser, options):
    known = all_methods(options)
    asked = known if options.methods is None else options.methods.split(",")
    unknown = [key for key in asked if key not in known]
    if unknown:
        parser.error(f"--methods: {unknown[0]!r} is not one of {', '.join(known)}")
    reasons = {key: missing(key, options) for key in asked}
    for key, reason in reasons.items():
        if reason is not None:
            print(f"left out: {known[key].label} ({key}): {reason}", file=sys.stderr)
    options.left_out = {known[key].label: reason for key, reason in reasons.items() if reason is not None}
    kept = [method for key, method in known.items() if key in asked and reasons[key] is None]
    if not kept:
        parser.error("--methods: none of them can run here")
    return kept


def numbers(parser, text):
    try:
        return sorted({int(k) for k in text.split(",")})
    except ValueError:
        parser.error(f"--k and --slow-k must be numbers separated by commas, got {text!r}")


if __name__ == "__main__":
    main()
