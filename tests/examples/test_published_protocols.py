"""Published protocols from files to a table."""

import gzip

import numpy as np
import pytest
from benchmark_modules import load
from sklearn.base import BaseEstimator, ClassifierMixin

few_shot_text, known_texts, methods, protocols, tables = map(
    load, ("few_shot_text", "known_texts", "methods", "published_protocols", "tables")
)
LABELS = {"agnews": ["business", "sports", "world"], "cr": ["negative", "positive"]}


class Letters:
    """Letters of a text."""

    def __init__(self, name):
        self.name = name

    def fit_transform(self, texts):
        return np.array([[text.count(chr(97 + i)) + 0.1 for i in range(26)] for text in texts])


class Spy(ClassifierMixin, BaseEstimator):
    """Notes the classes of its context, how many rows have no label and how many queries there are."""

    seen = ()

    def fit(self, X, y):
        known = [label for label in y if label is not None]
        self.classes_, counts = np.unique(known, return_counts=True)
        self.note_ = sorted(counts.tolist()), len(y) - len(known)
        return self

    def predict_proba(self, X):
        Spy.seen = (*Spy.seen, (*self.note_, len(X)))
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, labels in LABELS.items():
        for part, n_rows in (("train", 120), ("test", 47)):
            rows = [(label, " ".join(rng.permutation(list(label)))) for label in rng.choice(labels, n_rows)]
            text = "text\tlabel\n" + "".join(f"{words}\t{label}\n" for label, words in rows)
            (folder / f"{name}.{part}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(few_shot_text, "make_encoder", Letters)
    monkeypatch.setattr(few_shot_text, "make_layers_encoder", Letters)
    return folder


def test_equally_many_rows_and_the_whole_test_part(data, monkeypatch):
    spies = [
        methods.Method("spy", "Spy", Spy),
        methods.Method("spy+U30", "Spy", lambda material: Spy(), reads=known_texts.TEXTS, n_unlabelled=30),
    ]
    monkeypatch.setattr(protocols, "methods", lambda: spies)
    monkeypatch.setattr(Spy, "seen", ())
    protocols.main(["--data", str(data), "--methods", "spy,spy+U30", "--seeds", "3"])
    seen = [found for found in Spy.seen if found[2] > 1]  # one query before the clock runs
    assert seen == [([8] * n, n_more, 47) for n in (3, 2) for n_more in (0, 30) for _ in range(3)]


def test_the_table_has_published_and_measured_numbers(data, tmp_path, capsys):
    path, table = tmp_path / "r.csv", tmp_path / "t.md"
    options = ["--data", data, "--methods", "mteb-lr,tuned-lr", "--seeds", "2", "--out", path, "--markdown", table]
    protocols.main(list(map(str, options)))
    first, before = table.read_text(encoding="utf-8"), path.read_bytes()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines() if "|" in line]
    by_set = {row[0]: row for row in rows}
    assert list(by_set) == ["set", "-" * len(rows[1][0]), "AG News", "CR"]
    assert by_set["AG News"][1:4] == ["8", "75.6 (70.0 to 79.0)", "83.1 ± 2.3"]
    assert by_set["CR"][1:4] == ["8", "-", "71.6 ± 3.7"]
    records = [r for r in tables.read_records(path) if (r["dataset"], r["estimator"]) == ("cr", "mteb-lr")]
    assert {record["draw"] for record in records} == {"balanced"}
    accuracy = 100 * np.array([record["accuracy"] for record in records])
    loss = np.mean([record["log_loss"] for record in records])
    assert by_set["CR"][4] == f"{accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f} / {loss:.3f}"
    protocols.main(list(map(str, options)))
    assert path.read_bytes() == before
    assert table.read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sets", "trec"], "no protocol is of trec, out of the folder's agnews, cr, digits"),
        (["--methods", "magic"], "'magic' is not one of mteb-lr, default"),
        (["--seeds", "0"], "--seeds must be at least 1"),
    ],
)
def test_wrong_options_are_refused(data, capsys, more, message):
    with pytest.raises(SystemExit):
        protocols.main(["--data", str(data), *more])
    assert message in capsys.readouterr().err
