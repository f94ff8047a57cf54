"""Put the measured evaluation into the card of a reasoner, and the file where the package ships it.

    python examples/benchmarks/few_shot_text.py --data FOLDER --reasoner RUN.safetensors --out results.csv
    python examples/benchmarks/release_reasoner.py --reasoner RUN.safetensors --results results.csv

The card then holds the mean accuracy, log-loss and calibration error over sets, sizes and seeds, beside those of
tuned logistic regression on the same contexts. ``--n-landmarks`` ships the network with another number of landmarks
than it was pretrained with, which changes no weight; measure a file of ``--out`` made so before it is released.
"""

import argparse
import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean

from skicl.reasoning import EquivariantReasoner, load_reasoner, read_card, save_reasoner

SHIPPED = Path(__file__).parents[2] / "skicl" / "reasoning" / "weights" / "tart-equivariant.safetensors"
MEASURES = ("accuracy", "log_loss", "ece")


def evaluation(path, estimator):
    """Means over cells (set, size), each the mean of its repeats, of the estimator and of tuned LR."""
    with open(path, newline="", encoding="utf-8") as file:
        records = [record for record in csv.DictReader(file) if int(record["k"]) >= 2 * int(record["n_classes"])]
    cells = defaultdict(list)
    for record in records:
        if record["estimator"] in (estimator, "tuned-lr"):
            cells[record["estimator"], record["dataset"], int(record["k"])].append(record)
    if not any(name == estimator for name, _, _ in cells):
        names = sorted({record["estimator"] for record in records})
        raise SystemExit(f"{path} has no results of {estimator!r}; it has {names}.")
    report = {
        "sets": sorted({key[1].partition("/")[0] for key in cells}),
        "k": sorted({key[2] for key in cells}),
        "repeats": len({record["repeat"] for record in records}),
    }
    for name, title in ((estimator, "reasoner"), ("tuned-lr", "tuned logistic regression")):
        own = [group for key, group in cells.items() if key[0] == name]
        report[title] = {m: round(mean(mean(float(r[m]) for r in group) for group in own), 4) for m in MEASURES}
    return report


def with_landmarks(reasoner, n_landmarks):
    """The same weights with another number of landmarks."""
    other = EquivariantReasoner(replace(reasoner.config, n_landmarks=n_landmarks))
    other.load_state_dict(reasoner.state_dict(), strict=True)
    return other


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reasoner", type=Path, required=True, help="reasoner file of a pretraining run")
    parser.add_argument("--results", type=Path, help="results of few_shot_text.py with that reasoner")
    parser.add_argument("--n-landmarks", type=int, help="landmarks to ship it with; default: as pretrained")
    parser.add_argument("--estimator", help="its name in the results; default: tart:STEM of the reasoner file")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="file to write; default: the one that ships")
    options = parser.parse_args()
    reasoner, card = load_reasoner(options.reasoner), read_card(options.reasoner)
    if options.n_landmarks is not None:
        reasoner = with_landmarks(reasoner, options.n_landmarks)
        card["n_landmarks_as_shipped"] = options.n_landmarks
    if options.results is not None:
        card["evaluation"] = evaluation(options.results, options.estimator or f"tart:{options.reasoner.stem}")
    save_reasoner(options.out, reasoner, card)
    print(f"wrote {options.out}: {card['evaluation']}")


if __name__ == "__main__":
    main()
