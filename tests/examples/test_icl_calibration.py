"""The benchmark of ICLClassifier as it comes: what it works out from one reading is what the classifier says."""

import gzip
from argparse import Namespace

import numpy as np
import pytest
from benchmark_modules import load
from prompting.tiny_causal_models import save_pair

from skicl import ICLClassifier

benchmark = load("icl_calibration")
X = [f"{text} {i}" for i in range(5) for text in ("where is my parcel?", "I was charged twice", "late", "too dear")]
Y = np.array(["delivery", "billing", "delivery", "billing"] * 5)
QUERIES = ["my package is late", "please correct the invoice"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pair("gpt2", tmp_path_factory.mktemp("models") / "gpt2")


def test_arms_are_those_of_the_classifier(folder):
    options = Namespace(model=folder, dtype=None, device="cpu", many_shots=True, embeddings=False)
    found = dict(benchmark.arms(X, Y, QUERIES, np.unique(Y), options))
    words = {"readout": "label_words"}
    expected = {"as it comes": {}, "words": {**words, "calibration": None}, "auto": words}
    expected |= {name: {**words, "calibration": name} for name in benchmark.CALIBRATIONS}
    expected |= {"many shots": {**words, "demonstrations": 16}}
    for arm, parameters in expected.items():
        classifier = ICLClassifier(folder, device="cpu", **parameters).fit(X, Y)
        np.testing.assert_allclose(found[arm], classifier.predict_proba(QUERIES), atol=1e-4, err_msg=arm)
    probes = {"centroid", "lr", "tuned lr", "tuned lr on standardized", "tart", "tuned lr on last", "tart on last"}
    assert set(found) == {*expected, *probes}
    for probabilities in found.values():
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_a_run_is_recorded_and_goes_on(folder, tmp_path, capsys):
    for part in ("train", "test"):
        with gzip.open(tmp_path / f"some.{part}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("text\tlabel\n" + "".join(f"{part} {text}\t{y}\n" for text, y in zip(X, Y)))
    out, page = tmp_path / "out.csv", tmp_path / "page.md"
    sizes = ["--sets", "some", "--sizes", "8,16", "--queries", "6", "--draws", "natural"]
    command = ["--data", str(tmp_path), "--model", folder, *sizes, "--out", str(out), "--markdown", str(page)]
    benchmark.main([*command, "--seeds", "1"])
    first = out.read_text(encoding="utf-8")
    assert "some natural 16 0" in capsys.readouterr().out
    benchmark.main([*command, "--seeds", "2"])
    assert out.read_text(encoding="utf-8").startswith(first)
    said = capsys.readouterr().out
    assert "some natural 8 1" in said
    assert "some natural 8 0" not in said
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 14
    assert all(0 <= float(row.split("|")[2]) <= 100 for row in rows[2:])
