"""Who takes the shortcut: in-context learning, fine-tuning, TART and counted letters on implicit patterns.

    python examples/benchmarks/implicit_pattern_study.py --quick [--model NAME] [--out FILE.csv] [--markdown FILE.md]

All learn from the same written problems, and are asked new ones whose shortcut is right, wrong, or not there;
settings are chosen on validation problems (``skicl.evaluation.implicit_pattern_study``). ``--model`` is any causal
language model: a name on the Hugging Face hub or a folder. ``--layout plain`` writes every problem as a text with a
label, the layout that skicl-tiny was trained on; ``task`` as its task does. With ``--out`` a run that was killed
continues. Learners that train the language model, which take longest, may have fewer repeats than the others.
"""

import argparse
import time
import warnings
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tables import markdown_table

from skicl import ICLClassifier, TartClassifier
from skicl.datasets import make_implicit_pattern
from skicl.encoders import LanguageModelEncoder
from skicl.evaluation import ImplicitPatternDisplay, implicit_pattern_study
from skicl.finetuning import FineTuneClassifier

TASKS = ("topic", "boolean", "parity", "relation", "expression", "algebra", "code")
TUNED = ("fine-tuned", "LoRA")
PLAIN = "Text: {text}\nLabel: {label}"
# What the model says itself: no other way of reading it, no correction.
PROMPT = {"template": "{text} {label}", "demonstrations": 16, "calibration": None, "readout": "label_words"}
MEASURES = {
    "accuracy_pattern": "shortcut right",
    "accuracy_conflict": "shortcut wrong",
    "accuracy_neutral": "no shortcut",
    "shortcut_rate": "wrong shortcut followed",
}


def main(arguments=None):
    options = parse(arguments)
    sizes = {"n_train": 128, "n_validation": 60, "n_test": 100, "n_repeats": 5, "tuned_repeats": 2, "difficulty": 1}
    if not options.quick:
        sizes = {
            "n_train": 1000,
            "n_validation": 200,
            "n_test": 500,
            "n_repeats": 5,
            "tuned_repeats": 3,
            "difficulty": 2,
        }
    sizes |= {name: value for name in sizes if (value := getattr(options, name)) is not None}
    learners, curves = build(options.model, options.quick, options.seed)
    learners = {name: learner for name, learner in learners.items() if name in options.methods}
    # The first to load a model and its libraries shall not pay for all.
    LanguageModelEncoder(options.model).fit_transform(["a"])
    whole = options.out is None or not options.out.exists()
    studies, started = [], time.process_time()
    for task in options.tasks:
        with warnings.catch_warnings():
            # Demonstrations that do not fit into the window are left out: the tables then say what the window allows.
            warnings.filterwarnings("ignore", message=".*demonstration")
            studies += [run(task, some, curves, options, sizes) for some in of_a_kind(learners)]
    study = sum(studies[1:], studies[0])
    text = report(study, options, sizes, time.process_time() - started if whole else None)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.figure:
        import matplotlib

        matplotlib.use("Agg")
        for kind in ("scatter", "curves"):
            display = ImplicitPatternDisplay.from_results(study, kind=kind)
            display.figure_.savefig(options.figure.with_stem(f"{options.figure.stem}_{kind}"))


def of_a_kind(learners):
    """Those that leave the language model as it is, and those that train it."""
    kinds = [{name: one for name, one in learners.items() if (name in TUNED) is tuned} for tuned in (False, True)]
    return [kind for kind in kinds if kind]


def run(task, learners, curves, options, sizes):
    """The study of learners of a kind on one task."""
    sizes = dict(sizes)
    tuned_repeats = sizes.pop("tuned_repeats")
    if next(iter(learners)) in TUNED:
        sizes["n_repeats"] = tuned_repeats
    return implicit_pattern_study(
        learners,
        task,
        curves={name: curve for name, curve in curves.items() if name in learners},
        template=PLAIN if options.layout == "plain" else None,
        random_state=options.seed,
        results_file=options.out,
        verbose=True,
        **sizes,
    )


def build(model, quick, seed):
    """Estimators with their grids, all on the same language model, and whose learning curves are drawn."""
    encoder = LanguageModelEncoder(model, pooling="last")
    rates = (
        {"full": [1e-4, 1e-3], "lora": [1e-3, 1e-2]}
        if quick
        else {"full": [2e-5, 1e-4, 1e-3], "lora": [5e-4, 2e-3, 1e-2]}
    )
    epochs = [8] if quick else [5, 15]
    tuned = {
        method: FineTuneClassifier(encoder, method=method, validation_fraction=0, random_state=seed)
        for method in ("full", "lora")
    }
    letters = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 4)), LogisticRegression(max_iter=2000))
    prompts = {"demonstrations": [4, 16, 32] if quick else [2, 4, 8, 16, 32], "calibration": [None, "contextual"]}
    words = {
        "tfidfvectorizer__analyzer": ["char"] if quick else ["char", "word"],
        "logisticregression__C": [0.1, 1, 10, 100],
    }
    learners = {
        "in context": (ICLClassifier(model, **PROMPT), prompts),
        "fine-tuned": (tuned["full"], {"learning_rate": rates["full"], "epochs": epochs}),
        "LoRA": (tuned["lora"], {"learning_rate": rates["lora"], "epochs": epochs}),
        "TART": (TartClassifier(), {"encoder": [encoder, LanguageModelEncoder(model, pooling="mean")]}),
        "TF-IDF + LR": (letters, words),
    }
    shots = [1, 4, 16] if quick else [1, 2, 4, 8, 16, 32]
    passes = [1, 4, 16] if quick else [1, 2, 4, 8, 16, 32]
    curves = {"in context": ("demonstrations", shots), "fine-tuned": ("epochs", passes)}
    return learners, curves if quick else curves | {"LoRA": ("epochs", passes)}


def report(study, options, sizes, seconds):
    """Markdown: what was run, and for every task a table of all learners."""
    took = "" if seconds is None else f" The run took {seconds:.0f} seconds of processor time."
    parts = [
        f"Model: {options.model}, layout: {options.layout}. {sizes['n_train']} labelled problems to learn from (all "
        f"with a right shortcut), {sizes['n_validation']} to choose settings by, {sizes['n_test']} test problems of "
        f"each kind, difficulty {sizes['difficulty']}. Every repeat has problems of its own.{took} Cells: % with the "
        "95 % bootstrap interval over repeats and problems."
    ]
    found = {(row["dataset"], row["estimator"], row["measure"]): row for row in study.summary()}
    for task in dict.fromkeys(record["dataset"] for record in study):
        records = [record for record in study if record["dataset"] == task]
        rows = []
        for name in dict.fromkeys(record["estimator"] for record in records):
            cells = [_cell(found[task, name, measure]) for measure in MEASURES]
            mine = [record for record in records if record["estimator"] == name]
            rows.append([name, str(len(mine)), *cells, _settings(mine)])
        chance = 100 / records[0]["n_classes"]
        problem = make_implicit_pattern(
            task, 1, variant="conflict", difficulty=sizes["difficulty"], random_state=options.seed
        )
        example = f"A problem whose shortcut is wrong ({problem.shortcut_target[0]} instead of {problem.target[0]}):"
        example += f"\n\n```text\n{problem.data[0]}\n```"
        header = ["learner", "repeats", *MEASURES.values(), "chosen on validation"]
        parts.append(f"### {task} (guessing: {chance:.0f} %)\n\n{example}\n\n{markdown_table(header, rows)}")
    return "\n\n".join(parts)


def _cell(row):
    return f"{100 * row['mean']:.0f} ({100 * row['low']:.0f} to {100 * row['high']:.0f})"


def _settings(records):
    """What was chosen in each repeat, once if it was always the same; of an encoder its pooling."""
    texts = []
    for record in records:
        pooled = "last token" if "pooling='last'" in record["setting"] else "mean of tokens"
        short = pooled if "Encoder(" in record["setting"] else record["setting"]
        texts.append(short.replace("logisticregression__", "").replace("tfidfvectorizer__", "") or "-")
    return "; ".join(dict.fromkeys(texts))


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    methods = "in context,fine-tuned,LoRA,TART,TF-IDF + LR"
    parser.add_argument("--model", default="skicl-tiny", help="causal language model (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="short problems, fewer of them, smaller grids")
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated (%(default)s)")
    parser.add_argument("--layout", choices=("plain", "task"), help="plain for skicl-tiny, otherwise task")
    parser.add_argument("--methods", default=methods, help="comma-separated (%(default)s)")
    for name in ("n_train", "n_validation", "n_test", "n_repeats", "tuned_repeats", "difficulty"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="instead of the default of the size")
    parser.add_argument("--seed", type=int, default=0, help="seed of the problems (%(default)s)")
    parser.add_argument("--out", type=Path, help="CSV file of the results, to write and continue from")
    parser.add_argument("--markdown", type=Path, help="file to write the tables to")
    parser.add_argument("--figure", type=Path, help="NAME.svg: writes NAME_scatter.svg and NAME_curves.svg")
    options = parser.parse_args(arguments)
    options.tasks = options.tasks.split(",")
    options.layout = options.layout or ("plain" if options.model == "skicl-tiny" else "task")
    options.methods = options.methods.split(",")
    unknown = [name for name in options.methods if name not in methods.split(",")]
    if unknown:
        parser.error(f"--methods: unknown {unknown[0]!r}; there are {methods}")
    return options


if __name__ == "__main__":
    main()
