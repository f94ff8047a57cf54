"""The few-shot benchmark from files to tables, and what its competitors promise."""

import gzip
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
WORDS = {
    "weather": "rain sun wind snow cloud",
    "food": "bread soup cheese apple rice",
    "sport": "goal race ball",
}


def load(name):
    """A module of the benchmark, which lies outside the package."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


few_shot_text, competitors, tables, text_sets = map(
    load, ("few_shot_text", "competitors", "tables", "text_sets")
)
EVERY_METHOD = [method for method in competitors.methods() if method.key != "tart"]


class CountingEncoder:
    """Letters of a text, and a count of the texts that were encoded."""

    encoded = 0

    def __init__(self, name):
        self.name = name

    def fit_transform(self, texts):
        CountingEncoder.encoded += len(texts)
        counts = np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=float)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def build(method):
    """The competitor; the forest with fewer trees, for speed."""
    estimator = method.build()
    return estimator.set_params(n_estimators=30) if method.key == "forest" else estimator


def write_set(folder, name, n_rows, labels, seed=0):
    rng = np.random.default_rng(seed)
    for part in ("train", "test"):
        rows = []
        for _ in range(n_rows):
            label = labels[rng.integers(len(labels))]
            rows.append(f'{" ".join(rng.choice(WORDS[label].split(), 4))} "\t{label}\n')
        text = "text\tlabel\n" + "".join(rows)
        (folder / f"{name}.{part}.tsv.gz").write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    write_set(folder, "two", 60, ["weather", "food"])
    write_set(folder, "three", 50, ["weather", "food", "sport"])
    monkeypatch.setattr(few_shot_text, "make_encoder", CountingEncoder)
    monkeypatch.setattr(CountingEncoder, "encoded", 0)
    return folder


def arguments(data, *more):
    options = ["--data", data, "--k", "4,8,16", "--seeds", "2", "--queries", "20", *more]
    return [str(option) for option in options]


class TestSets:
    def test_sets_are_found_and_read(self, data):
        (data / "alone.train.tsv.gz").touch()
        assert text_sets.find_sets(data) == ["three", "two"]
        texts, labels = text_sets.read_part(data, "two", "train")
        assert len(texts) == len(labels) == 60
        assert set(labels) == {"weather", "food"}
        assert all(text.endswith('"') for text in texts), "quotes mean nothing"

    def test_what_is_not_a_set_is_refused(self, data, tmp_path):
        with pytest.raises(SystemExit, match="is not a folder"):
            text_sets.find_sets(tmp_path / "missing")
        with pytest.raises(SystemExit, match=r"no NAME\.train\.tsv\.gz"):
            text_sets.find_sets(tmp_path)
        path = data / "two.train.tsv.gz"
        path.write_bytes(gzip.compress(b"text\tlabel\nfine\tyes\nno label\n"))
        with pytest.raises(SystemExit, match="line 3: expected two fields"):
            text_sets.read_part(data, "two", "train")
        path.write_bytes(gzip.compress(b"a\tb\nfine\tyes\n"))
        with pytest.raises(SystemExit, match="expected the columns text and label"):
            text_sets.read_part(data, "two", "train")

    def test_embeddings_are_kept_by_content(self, tmp_path):
        CountingEncoder.encoded = 0

        def embed(texts, name="m"):
            return text_sets.embed(texts, CountingEncoder, name, tmp_path, "demo")

        first = embed(["ab", "c"])
        np.testing.assert_array_equal(embed(["ab", "c"]), first)
        assert first.dtype == np.float32
        assert CountingEncoder.encoded == 2
        for texts, name in ((["a", "bc"], "m"), (["ab", "c"], "n"), (["c", "ab"], "m")):
            before = CountingEncoder.encoded
            embed(texts, name)
            assert CountingEncoder.encoded == before + 2


class TestBenchmark:
    def test_tables_and_files(self, data, tmp_path, capsys):
        files = {name: tmp_path / name for name in ("r.csv", "t.md", "f.svg")}
        few_shot_text.main(
            arguments(data, "--methods", "tuned-lr,lda,centroid", "--out", files["r.csv"])
            + ["--markdown", str(files["t.md"]), "--figure", str(files["f.svg"])]
        )
        printed = capsys.readouterr().out
        written = files["t.md"].read_text(encoding="utf-8")
        for text in (printed, written):
            assert "### two (2 classes)" in text
            assert "### three (3 classes)" in text
            assert "(sets: 1 at 4, 2 at 8, 2 at 16) and over 2 repeats" in text
            for title in (
                "Accuracy (%)",
                "Log-loss (nats)",
                "Mean rank by log-loss",
                "Accuracy minus that of",
            ):
                assert f"### {title}" in text
        records = tables.read_records(files["r.csv"])
        assert len(records) == 3 * 2 * (3 + 2), "methods, repeats, sizes of each set"
        assert files["f.svg"].read_text(encoding="utf-8").startswith("<?xml")
        recorded = tables.collect(records, {"tuned-lr": "Tuned LR", "lda": "LDA"})
        mean = 100 * np.mean([r["accuracy"] for r in records if r["estimator"] == "lda" and r["k"] == 16])
        row = next(line for line in written.splitlines() if line.startswith("| LDA"))
        assert f"{mean:.1f}" in row.split("|")[4]
        assert recorded.sets == ["three", "two"]

    def test_a_second_run_computes_nothing(self, data, tmp_path, capsys):
        options = arguments(
            data, "--methods", "lr", "--out", tmp_path / "r.csv", "--embeddings", tmp_path / "e"
        )
        few_shot_text.main(options)
        first, before = capsys.readouterr().out, (tmp_path / "r.csv").read_bytes()
        assert CountingEncoder.encoded == 2 * (60 + 50)
        few_shot_text.main(options)
        assert capsys.readouterr().out == first
        assert (tmp_path / "r.csv").read_bytes() == before
        assert CountingEncoder.encoded == 2 * (60 + 50)

    def test_a_method_that_lacks_a_size_is_left_out_of_its_mean(self, data, monkeypatch, capsys):
        methods = [m._replace(max_k=8) if m.key == "lda" else m for m in EVERY_METHOD]
        monkeypatch.setattr(few_shot_text, "methods", lambda: methods)
        few_shot_text.main(arguments(data, "--methods", "lr,lda"))
        table = capsys.readouterr().out.split("### Accuracy (%)")[1].split("###")[0]
        row = next(line for line in table.splitlines() if line.startswith("| LDA"))
        cells = [cell.strip() for cell in row.split("|")[2:6]]
        assert cells[2:] == ["-", "-"]
        assert "-" not in cells[:2]

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--sets", "two,four"], "'four' is not in the folder, which has three, two"),
            (["--methods", "lr,magic"], "'magic' is not one of tart, tuned-lr"),
            (["--k", "8,many"], "--k must be numbers"),
            (["--seeds", "0"], "must be at least 1"),
            (["--out", "no/such/folder/r.csv"], "the folder of 'no/such/folder/r.csv' does not exist"),
            (["--reasoner", "none.safetensors"], "there is no file 'none.safetensors'"),
        ],
    )
    def test_wrong_options_are_refused_before_any_work(self, data, capsys, more, message):
        with pytest.raises(SystemExit):
            few_shot_text.main(arguments(data, *more))
        assert message in capsys.readouterr().err
        assert CountingEncoder.encoded == 0

    def test_tart_is_the_default_and_weights_get_their_own_name(self, data, tmp_path):
        weights = tmp_path / "step-1000.safetensors"
        weights.touch()
        chosen = few_shot_text.parse(arguments(data, "--reasoner", weights)).methods
        assert [method.key for method in chosen[:3]] == ["tart:step-1000", "tart", "tuned-lr"]
        assert all(method.is_default for method in chosen)


class TestTables:
    def scores(self, n_repeats=3):
        rng = np.random.default_rng(0)
        values = {metric: rng.random((3, 4, 2, n_repeats)) for metric in tables.METRICS}
        labels = {"tart": "A", "tuned-lr": "B", "gp": "C"}
        return tables.Scores(labels, list("wxyz"), [8, 16], np.array([2, 4, 5, 8]), values)

    def test_means_are_over_the_sets_that_count(self):
        scores = self.scores()
        means = tables.mean_by_size(scores.masked("accuracy"))
        accuracy = scores.values["accuracy"]
        np.testing.assert_allclose(means[:, 0], accuracy[:, :2, 0].mean(axis=(1, 2)))
        np.testing.assert_allclose(means[:, 1], accuracy[:, :, 1].mean(axis=(1, 2)))

    def test_a_gap_removes_a_mean_and_a_rank(self):
        scores = self.scores()
        scores.values["accuracy"][2, 3, 1, 0] = np.nan
        masked = scores.masked("accuracy")
        assert np.isnan(tables.mean_by_size(masked)).tolist() == [[False] * 2, [False] * 2, [False, True]]
        ranks = tables.ranks(masked, largest_first=True)
        assert np.nanmax(ranks[:, :, 1]) == 2
        assert np.isnan(ranks[2, :, 1]).all()

    def test_ranks_share_ties(self):
        values = np.array([0.9, 0.5, 0.9]).reshape(3, 1, 1, 1)
        assert tables.ranks(values, largest_first=True).ravel().tolist() == [1.5, 3, 1.5]
        assert tables.ranks(values, largest_first=False).ravel().tolist() == [2.5, 1, 2.5]

    def test_the_bootstrap_is_paired_and_centred(self):
        values = self.scores(n_repeats=40).masked("accuracy")
        values[1] = values[0] + 0.1
        draws = tables.bootstrap(values)
        empty = np.isnan(draws[:, 0])
        assert 0 < empty[:, 0].mean() < 0.1, "one draw in 16 has neither of the two sets that count at k = 8"
        assert not empty[:, 1].any()
        np.testing.assert_allclose((draws[:, 1] - draws[:, 0])[~empty], 0.1)
        np.testing.assert_allclose(np.nanmean(draws, axis=0), tables.mean_by_size(values), atol=0.02)

    def test_the_bootstrap_has_the_spread_of_drawn_sets(self):
        values = np.tile(np.arange(12.0)[None, :, None, None], (1, 1, 1, 5))
        expected = np.arange(12.0).std() / np.sqrt(12)
        assert tables.bootstrap(values).std() == pytest.approx(expected, rel=0.1)


class TestCompetitors:
    @pytest.mark.parametrize("method", EVERY_METHOD, ids=lambda method: method.key)
    @pytest.mark.parametrize("counts", [(7, 1), (2, 1, 1), (1, 1), (5, 5, 5), (12, 1)])
    @pytest.mark.filterwarnings("ignore:Only one sample available")
    @pytest.mark.filterwarnings("ignore:The number of unique classes")
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_contexts_of_any_balance(self, method, counts):
        if method.key == "lda" and max(counts) == 1:
            pytest.skip("LDA needs more rows than classes")
        rng = np.random.default_rng(0)
        y = np.repeat(np.array(["a", "b", "c"])[: len(counts)], counts)
        X = rng.normal(size=(len(y), 20)).astype(np.float32)
        fitted = build(method).fit(X, y)
        query = rng.normal(size=(9, 20)).astype(np.float32)
        prob = fitted.predict_proba(query)
        assert prob.shape == (9, len(counts))
        assert fitted.classes_.tolist() == sorted(set(y))
        np.testing.assert_allclose(prob.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(build(method).fit(X, y).predict_proba(query), prob)

    @pytest.mark.parametrize("method", EVERY_METHOD, ids=lambda method: method.key)
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_each_learns_digits(self, method):
        X, y = load_digits(return_X_y=True)
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
        fitted = method.build().fit(X[:120], y[:120])
        prob = fitted.predict_proba(X[900:1200])
        assert np.mean(fitted.classes_[prob.argmax(axis=1)] == y[900:1200]) > 0.75

    @pytest.mark.parametrize("counts", [(7, 1), (2, 1, 1), (3, 2), (20, 9, 4)])
    def test_every_fold_knows_every_class(self, counts):
        y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
        folds = competitors.dealt_folds(y)
        held_out = np.concatenate([test for _, test in folds])
        repeated = np.flatnonzero(np.array(counts)[y] > 1)
        assert sorted(held_out) == repeated.tolist()
        for train, test in folds:
            assert sorted([*train, *test]) == list(range(len(y)))
            assert set(y[train]) == set(y)
        for label in range(len(counts)):
            sizes = [np.sum(y[test] == label) for _, test in folds]
            assert max(sizes) - min(sizes) <= 1

    def test_tuned_lr_picks_the_best_held_out_penalty(self):
        X, y = make_classification(60, 10, n_informative=3, flip_y=0.2, random_state=0)
        tuned = competitors.build_tuned_logistic_regression().fit(X, y)
        losses = {}
        for C in np.logspace(-2, 4, 7):
            prob = np.empty((60, 2))
            for train, test in competitors.dealt_folds(y):
                prob[test] = (
                    LogisticRegression(C=C, max_iter=1000).fit(X[train], y[train]).predict_proba(X[test])
                )
            losses[C] = log_loss(y, prob)
        assert tuned.best_params_["C"] == min(losses, key=losses.get)

    def test_temperature_makes_an_overconfident_centroid_honest(self):
        rng = np.random.default_rng(0)
        y = rng.integers(2, size=700)
        common = rng.normal(size=(700, 1)) * 3  # correlated features fool the independent Gaussians
        X = 0.8 * y[:, None] + common + rng.normal(size=(700, 30)) * 0.3
        raw = competitors.Tempered(competitors.NearestMean()).fit(X[:200], y[:200])
        tempered = log_loss(y[200:], raw.predict_proba(X[200:]))
        raw.temperature_ = 1.0
        assert tempered < 0.7
        assert log_loss(y[200:], raw.predict_proba(X[200:])) > 1.5 * tempered
