"""TART's three embeddings of a causal language model compared: stream, vanilla and leave-one-out.

    python examples/benchmarks/tart_protocols.py --data FOLDER --model MODEL --out results.csv --cache vectors

``MODEL`` is the name or folder of a causal language model; without it a small one is trained on the texts (see
``small_language_model.py``) and kept in the cache folder. All protocols get the same contexts and queries, and the same
two classifiers: ``TartClassifier`` and tuned logistic regression. A fourth line, "own label seen", is a mistake made on
purpose: training rows are encoded by ``transform``, so each stands in its own prompt together with its label.

With ``--out`` the run can be killed and started again: it continues. Vectors are kept in the cache folder.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from competitors import build_tuned_logistic_regression
from data_sets import read_text_part
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import make_pipeline
from small_language_model import small_language_model

from skicl import TartClassifier
from skicl.encoders import ContextualEncoder
from skicl.evaluation import few_shot_curve

SHOWN = {
    "stream": "stream: texts alone",
    "vanilla": "vanilla: demonstrations after one another",
    "loo": "loo: leave-one-out",
    "leak": "own label seen (a mistake)",
}
CLASSIFIERS = {"tart": "TartClassifier", "logistic": "tuned logistic regression"}


class OwnLabelSeen(TransformerMixin, BaseEstimator):
    """What happens without the contract: ``fit_transform`` is ``fit`` and then ``transform`` of the same rows."""

    def __init__(self, encoder):
        self.encoder = encoder

    def fit(self, X, y):
        self.encoder_ = clone(self.encoder).fit(X, y)
        return self

    def transform(self, X):
        return self.encoder_.transform(X)


def main(arguments=None):
    options = parse(arguments)
    parts = {name: [read_text_part(options.data, name, half) for half in ("train", "test")] for name in options.sets}
    model = options.model
    if model is None:
        texts = [text for train, _ in parts.values() for text in train.X]
        model = small_language_model(texts, options.cache / "small_language_model", seconds=options.seconds)
    records = []
    for name, (train, test) in parts.items():
        for k in options.ks:  # one size at a time, so that results show early
            found = few_shot_curve(
                estimators(model, options),
                *train,
                X_test=test.X,
                y_test=test.y,
                k=k,
                n_repeats=options.seeds,
                scoring=("accuracy", "macro_f1", "log_loss", "brier", "ece"),
                stratify=False,
                n_queries=options.queries,
                results_file=options.out,
                dataset=f"{name}.{k}",
            )
            records += [{**record, "dataset": name} for record in found]
            print(table([record for record in records if record["dataset"] == name], name), flush=True)
    if options.markdown:
        text = "\n\n".join(table([r for r in records if r["dataset"] == name], name) for name in parts)
        options.markdown.write_text(f"{setting(model, options)}\n\n{text}\n", encoding="utf-8")


def estimators(model, options):
    """Every protocol with every classifier, by name."""

    def encoder(embedding):
        return ContextualEncoder(
            model,
            embedding=embedding,
            layers=options.layers,
            pooling=options.pooling,
            max_length=options.max_length,
            dtype=options.dtype,
            cache=str(options.cache / "vectors"),
        )

    protocols = {name: encoder(name) for name in ("stream", "vanilla", "loo")}
    protocols["leak"] = OwnLabelSeen(encoder("loo"))
    makers = {"tart": TartClassifier, "logistic": build_tuned_logistic_regression}
    return {
        f"{protocol}.{classifier}": make_pipeline(one, make())
        for protocol, one in protocols.items()
        for classifier, make in makers.items()
    }


def table(records, name):
    """Accuracy and log-loss of one set: a row for each protocol and classifier, a column for each size."""
    ks = sorted({record["k"] for record in records})
    lines = [f"### {name}", "", "| protocol | classifier | " + " | ".join(f"k = {k}" for k in ks) + " |"]
    lines.append("|---|---|" + "---|" * len(ks))
    for protocol, shown in SHOWN.items():
        for classifier, of_classifier in CLASSIFIERS.items():
            rows = [r for r in records if r["estimator"] == f"{protocol}.{classifier}"]
            cells = [cell([r for r in rows if r["k"] == k]) for k in ks]
            lines.append(f"| {shown} | {of_classifier} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(records):
    """Mean accuracy in per cent with its standard error over repeats, and log-loss."""
    accuracy = 100 * np.array([record["accuracy"] for record in records])
    error = accuracy.std(ddof=1) / np.sqrt(len(accuracy)) if len(accuracy) > 1 else float("nan")
    return f"{accuracy.mean():.1f} ± {error:.1f} / {np.mean([record['log_loss'] for record in records]):.2f}"


def setting(model, options):
    """One line that says what was run."""
    layers = f"layers {options.layers}, {options.pooling} pooling"
    return (
        f"Model `{Path(str(model)).name}`, {layers}; {options.seeds} repeats, {options.queries} queries each, texts of "
        f"at most {options.max_length} tokens. Cells: accuracy in per cent ± standard error / log-loss in nats."
    )


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with NAME.train.tsv.gz and NAME.test.tsv.gz")
    parser.add_argument("--model", help="name or folder of a causal language model; without it a small one is trained")
    parser.add_argument("--sets", nargs="+", default=["sst2", "trec"])
    parser.add_argument("--ks", nargs="+", type=int, default=[8, 16, 32])
    parser.add_argument("--seeds", type=int, default=3, help="number of repeats")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--max-length", type=int, default=64, help="most tokens of a text")
    parser.add_argument("--layers", type=json.loads, default=-1, help="as in ContextualEncoder, for instance 0.5")
    parser.add_argument("--pooling", default="mean")
    parser.add_argument("--dtype")
    parser.add_argument("--seconds", type=float, default=300, help="training of the small model")
    parser.add_argument("--cache", type=Path, default=Path("protocol_vectors"), help="folder for vectors and the model")
    parser.add_argument("--out", type=Path, help="CSV file with every record; continued if it exists")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
