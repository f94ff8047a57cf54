"""Long contexts: sets of the size asked for, measured in processes of their own, continued and reported."""

import csv

import numpy as np
import pytest
from benchmark_modules import load
from sklearn.metrics import log_loss

long_contexts = load("long_contexts")


@pytest.mark.parametrize("name", long_contexts.SYNTHETIC)
def test_sets_have_the_rows_asked_for(name, tmp_path):
    assert long_contexts.save_set(name, 1500, tmp_path, None) == (long_contexts.N_CLASSES, 1500)
    X, y = np.load(tmp_path / "X.npy"), np.load(tmp_path / "y.npy")
    assert X.shape == (1500, long_contexts.N_COLUMNS)
    assert X.dtype == np.float32
    assert set(y[: long_contexts.N_CLASSES]) == set(range(long_contexts.N_CLASSES)), "each class once"
    assert len(np.unique(X, axis=0)) == 1500, "no row twice"
    assert np.load(tmp_path / "X_query.npy").shape == (long_contexts.N_QUERIES, long_contexts.N_COLUMNS)


def test_a_measurement_scores_what_the_classifier_says(tmp_path):
    long_contexts.save_set("leading clusters", 300, tmp_path, None)
    options = long_contexts.parse(["--measure", "knn", "--n", "200", "--folder", str(tmp_path)])
    record = long_contexts.measure(options)
    X, y = np.load(tmp_path / "X.npy")[:200], np.load(tmp_path / "y.npy")[:200]
    X_query, y_query = np.load(tmp_path / "X_query.npy"), np.load(tmp_path / "y_query.npy")
    classifier = long_contexts.build("knn", 200, None).fit(X, y)
    assert record["accuracy"] == classifier.score(X_query, y_query)
    assert record["log_loss"] == pytest.approx(log_loss(y_query, classifier.predict_proba(X_query)))
    assert record["peak_mb"] >= record["before_mb"] > 10
    assert 0 < record["latency_ms"] < 1000


def test_the_penalty_is_chosen_on_held_out_rows():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    X = rng.normal(size=(300, 30)) + 0.3 * np.eye(30)[y]
    assert long_contexts.HeldOutLogisticRegression().fit(X, y).model_.C == 0.01


def test_a_run_is_continued_and_reported(tmp_path, monkeypatch):
    out, markdown = tmp_path / "long.csv", tmp_path / "long.md"
    measured = []

    def measure(method, n, folder, reasoner):
        measured.append((method, n))
        options = long_contexts.parse(["--measure", "knn", "--n", str(n), "--folder", str(folder)])
        return long_contexts.measure(options)

    monkeypatch.setattr(long_contexts, "in_own_process", measure)
    monkeypatch.setattr(long_contexts, "SYNTHETIC", {"leading clusters": long_contexts.leading_clusters})
    arguments = ["--n", "400,200", "--out", str(out), "--markdown", str(markdown)]
    long_contexts.main(arguments)
    assert measured == [(method, n) for n in (200, 400) for method in long_contexts.LABELS]
    with open(out, encoding="utf-8", newline="") as file:
        kept = [(row["method"], row["n"]) for row in csv.DictReader(file)]
    assert kept == [("tuned-lr", "200"), ("knn", "200"), ("tuned-lr", "400"), ("knn", "400")]
    text = markdown.read_text(encoding="utf-8")
    assert text.count("\n| ") == 2 + 2 * 3
    assert "From 200 to 400 rows" in text
    measured.clear()
    long_contexts.main(arguments)
    assert measured == [("tart", 200), ("tart", 400)]


@pytest.mark.parametrize("wrong", [["--n", "5"], ["--reasoner", "missing.file"]])
def test_unusable_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        long_contexts.parse(wrong)
    assert wrong[0] in capsys.readouterr().err
