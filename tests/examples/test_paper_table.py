"""The comparison with TART: its tasks, its methods, its tables, and the loading of the models that it names."""

import gzip
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_modules import load
from encoders.tiny_language_models import save_tiny_model
from encoders.tiny_vision_audio import build_audio_model, build_image_model
from prompting.tiny_causal_models import save_pair
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

TOPICS = {
    "world": "war peace vote state",
    "sports": "goal race ball cup",
    "business": "bank trade sale fund",
    "sci_tech": "chip code star atom",
}


paper_table, paper_methods, paper_report, paper_tasks, data_sets = map(
    load, ("paper_table", "paper_methods", "paper_report", "paper_tasks", "data_sets")
)


def write_texts(folder, name, n_rows, weights, seed=0):
    rng = np.random.default_rng(seed)
    for part in ("train", "test"):
        rows = []
        for i in range(n_rows):
            label = rng.choice(list(weights), p=list(weights.values()))
            rows.append(f"{' '.join(rng.choice(TOPICS[label].split(), 3))} {i}{part[1]}\t{label}\n")
        text = "text\tlabel\n" + "".join(rows)
        (folder / f"{name}.{part}.tsv.gz").write_bytes(gzip.compress(text.encode()))


class Letters:
    """Stands for the encoder: frequencies of letters."""

    def __init__(self, name):
        self.name = name

    def fit_transform(self, texts):
        return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=float)


class Reader(ClassifierMixin, BaseEstimator):
    """Stands for a method that reads texts: remembers the words of each class."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.words_ = [{w for text, label in zip(X, y) if label == c for w in text.split()} for c in self.classes_]
        return self

    def predict_proba(self, X):
        hits = np.array([[1e-3 + len(words & set(text.split())) for words in self.words_] for text in X])
        return hits / hits.sum(axis=1, keepdims=True)


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    write_texts(folder, "spam", 120, {"sports": 0.2, "business": 0.8})
    write_texts(folder, "agnews", 160, dict.fromkeys(TOPICS, 0.25))
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=200)
    images = (np.eye(10)[y][:, :, None] * 150 + rng.integers(100, size=(200, 10, 6))).astype(np.uint8)
    np.savez(folder / "mnist.npz", X_train=images[:150], y_train=y[:150], X_test=images[150:], y_test=y[150:])
    waves = (np.sin(np.arange(2000) * (0.1 + 0.1 * y[:40, None])) * 9000).astype(np.int16)
    sound = {"X_train": waves[:20], "X_test": waves[20:], "len_train": np.full(20, 1800), "len_test": np.full(20, 1900)}
    digit = np.arange(20) % 10
    np.savez(folder / "fsdd.npz", **sound, y_train=digit, y_test=digit, sample_rate=np.array(8000))
    monkeypatch.setattr(paper_table, "make_text_encoder", Letters)
    monkeypatch.setattr(paper_table, "make_layers_encoder", Letters)
    return folder


def options_for(data, *more):
    return [str(option) for option in ("--data", data, "--k", "4,8,16", "--seeds", "5", "--queries", "30", *more)]


def records_of(path):
    return load("tables").read_records(path)


class TestTasks:
    def test_two_classes_are_equally_frequent(self, data):
        (task,) = paper_tasks.tasks_of("spam", "text", *data_sets.read_set(data, "spam"))
        for part in (task.train, task.test):
            assert (part.y == "sports").sum() == (part.y == "business").sum() > 10
            assert len(part.X) == len(part.y)
        assert task.group == (paper_tasks.BINARY, "text")

    def test_topics_stand_against_the_rest(self, data):
        train, test = data_sets.read_set(data, "agnews")
        whole, *binary = paper_tasks.tasks_of("agnews", "text", train, test)
        assert [task.name for task in binary] == [f"agnews.{topic}" for topic in TOPICS]
        assert whole.train.X == train.X
        label_of = dict(zip(train.X, train.y))
        for task in binary:
            topic = task.name.split(".")[1]
            assert set(task.train.y) == {topic, "other"}
            assert all((label_of[text] == topic) == (label == topic) for text, label in zip(task.train.X, task.train.y))
            assert len({label_of[text] for text in task.train.X}) == 4, "the rest is of all other classes"

    def test_images_are_pairs(self, data):
        train, test = data_sets.read_set(data, "mnist")
        whole, first, second = paper_tasks.tasks_of("mnist", "image", train, test)
        assert (whole.name, first.name, second.name) == ("mnist", "mnist.0-8", "mnist.2-4")
        assert set(first.train.y) == {0, 8}
        assert whole.group == (paper_tasks.WHOLE, "image")

    def test_the_same_rows_are_drawn_every_time(self):
        y = np.array(["a"] * 5 + ["b"] * 50)
        np.testing.assert_array_equal(paper_tasks.equally_many(y), paper_tasks.equally_many(y))
        assert np.unique(y[paper_tasks.equally_many(y)], return_counts=True)[1].tolist() == [5, 5]


class TestRun:
    def test_tables_and_a_second_run(self, data, tmp_path, capsys):
        files = ["--out", tmp_path / "r.csv", "--markdown", tmp_path / "t.md"]
        arguments = options_for(data, "--methods", "tart,tuned-lr,lda", "--tasks", "spam,agnews,mnist.0-8", *files)
        paper_table.main(arguments)
        text, before = (tmp_path / "t.md").read_text(encoding="utf-8"), (tmp_path / "r.csv").read_bytes()
        assert capsys.readouterr().out == text
        assert re.findall("^## (.*)", text, flags=re.MULTILINE) == [
            *("Two classes, texts", "Two classes, images and recordings", "More than two classes, texts"),
        ]
        records = records_of(tmp_path / "r.csv")
        assert {record["dataset"] for record in records} == {"spam", "agnews", "mnist.0-8"}
        assert "By accuracy on 5 contexts" in text
        row = next(line for line in text.splitlines() if line.startswith("| TartClassifier ") and "." in line)
        chosen = [r for r in records if (r["dataset"], r["estimator"], r["k"]) == ("spam", "tart", 4)]
        mean = np.mean([record["accuracy"] for record in chosen])
        assert f"{100 * mean:.1f}" in row
        paper_table.main(arguments)
        assert (tmp_path / "r.csv").read_bytes() == before

    def test_methods_that_read_texts_run_on_their_own_grid(self, data, tmp_path, monkeypatch, capsys):
        def some(options):
            method = paper_methods.Method
            found = [method("tart", "TART", LogisticRegression), method("full", "Full", Reader, paper_methods.TEXTS)]
            return {one.key: one for one in found}

        monkeypatch.setattr(paper_table, "all_methods", some)
        monkeypatch.setattr(paper_report, "all_methods", some)
        monkeypatch.setattr(paper_table, "missing", lambda key, options: None)
        slow = ["--slow-tasks", "spam", "--slow-k", "18", "--slow-seeds", "2"]
        grid = ["--k", "8,18", *slow, "--out", tmp_path / "r.csv"]
        paper_table.main(options_for(data, "--tasks", "spam,agnews,mnist", *grid))
        records = records_of(tmp_path / "r.csv")
        slow = {(r["dataset"], r["k"], r["repeat"]) for r in records if r["estimator"] == "full"}
        assert slow == {("spam", 18, 0), ("spam", 18, 1)}
        text = capsys.readouterr().out
        assert "every method ran: 2 repeats of spam." in text
        claim = next(line for line in text.splitlines() if line.startswith("| TART minus full fine-tuning"))
        common = [r for r in records if (r["dataset"], r["k"], r["repeat"]) in slow]
        mean = {key: np.mean([r["accuracy"] for r in common if r["estimator"] == key]) for key in ("tart", "full")}
        assert f"| {100 * (mean['tart'] - mean['full']):+.1f} (" in claim

    def test_the_default_classifier_reads_texts_and_names(self, data, tmp_path, capsys):
        grid = ["--k", "8", "--slow-k", "8", "--slow-seeds", "2", "--out", tmp_path / "r.csv"]
        keys = "tuned-lr,default,default+unlabelled"
        paper_table.main(options_for(data, "--methods", keys, "--tasks", "agnews.sports", *grid))
        by_key = {
            key: [r["accuracy"] for r in records_of(tmp_path / "r.csv") if r["estimator"] == key]
            for key in keys.split(",")
        }
        assert [len(found) for found in by_key.values()] == [5, 2, 2]
        text = capsys.readouterr().out
        assert "| TART minus a tuned probe, texts" not in text, "8 is none of the sizes of this claim"
        assert "| TartClassifier() on texts + 200 unlabelled |" in text
        options = paper_table.parse(options_for(data, "--encoder", "lm:some"))
        assert options.left_out["TartClassifier() on texts"] == "the encoder is a language model"

    def test_claims_are_differences_on_common_contexts(self):
        rng = np.random.default_rng(0)
        records = [
            {"dataset": f"set {s}", "estimator": key, "k": 18, "repeat": r, "accuracy": rng.random()}
            for s in range(3)
            for r in range(4)
            for key in ("tart", "full", "tuned-lr")
            if key != "full" or r < 2
        ]

        options = SimpleNamespace(groups={f"set {s}": (paper_tasks.BINARY, "text") for s in range(3)})
        rows = paper_report.claim_rows(records, options)
        mean = {
            key: np.mean([r["accuracy"] for r in records if r["estimator"] == key and r["repeat"] < 2])
            for key in ("tart", "full")
        }
        assert rows[0][3].startswith(f"{100 * (mean['tart'] - mean['full']):+.1f} (")
        assert [row[4] for row in rows] == ["3 tasks, k = 18, 2 repeats", "3 tasks, k = 18, 4 repeats"]

    def test_the_advice_has_the_names_for_people(self):
        labels = {"tart": "TART", "tart-paper": "TART of the paper", "lr": "LR"}
        advice = "By accuracy on 9 contexts, take tart: it is ahead of tart-paper, and cannot be told from lr."
        expected = "By accuracy on 9 contexts, take TART: it is ahead of TART of the paper, and cannot be told from LR."
        assert paper_report._named(advice, labels) == expected

    def test_quick_is_a_choice_that_other_options_change(self, data):
        write_texts(data, "sst2", 20, {"sports": 0.5, "business": 0.5})
        write_texts(data, "sms_spam", 20, {"sports": 0.5, "business": 0.5})
        write_texts(data, "trec", 20, {"sports": 0.5, "business": 0.5})
        quick = paper_table.parse(["--data", str(data), "--quick"])
        assert quick.ks == [18, 64, 256]
        assert (quick.seeds, quick.slow_seeds, quick.slow_tasks) == (5, 1, {"sst2", "sms_spam"})
        assert paper_table.parse(["--data", str(data), "--quick", "--seeds", "2"]).seeds == 2
        assert 18 in paper_table.parse(["--data", str(data)]).ks

    def test_what_cannot_run_is_left_out_with_the_reason(self, data, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "skicl.finetuning", None)
        monkeypatch.setattr("skicl.reasoning.bundled_reasoners", lambda: ["tart-equivariant"])
        options = paper_table.parse(options_for(data))
        keys = {method.key for method in options.methods}
        vectors = {"tart", "tuned-lr", "tuned-lr-std", "lda", "centroid", "knn", "svm"}
        assert keys == vectors | {"default", "default+unlabelled"}
        said = capsys.readouterr().err
        assert "left out: Prompt ICL (icl): no --language-model was given" in said
        assert "this installation of skicl holds no weights called tart-paper" in said
        assert "left out: LoRA fine-tuning (lora): skicl.finetuning cannot be imported" in said
        assert set(options.left_out) >= {"Full fine-tuning", "TartClassifier, reasoner of the paper"}

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--methods", "lr,magic"], "'lr' is not one of tart, default"),
            (["--methods", "icl"], "none of them can run here"),
            (["--tasks", "spam,four"], "'four' is made of no set in the folder"),
            (["--k", "many"], "must be numbers"),
            (["--slow-seeds", "0"], "must be at least 1"),
            (["--out", "no/such/folder/r.csv"], "the folder of 'no/such/folder/r.csv' does not exist"),
        ],
    )
    def test_wrong_options_are_refused(self, data, capsys, more, message):
        with pytest.raises(SystemExit):
            paper_table.main(options_for(data, *more))
        assert message in capsys.readouterr().err


class TestModelsOfThePaper:
    """Networks of the classes that the paper used, tiny and random, go through the commands of the page."""

    @pytest.mark.parametrize("family", ["gpt_neo", "bloom", "gpt_neox"])
    def test_language_models_as_encoders_and_with_prompts(self, data, tmp_path, monkeypatch, capsys, family):
        monkeypatch.undo()  # the real encoder
        encoder = save_tiny_model(family, tmp_path / "encoder")
        prompted = save_pair(family, tmp_path / "prompted")
        more = ["--encoder", f"lm:{encoder}", "--language-model", prompted, "--methods", "tuned-lr,icl"]
        grid = ["--tasks", "spam", "--k", "4", "--slow-k", "4", "--seeds", "1", "--queries", "6"]
        paper_table.main(options_for(data, *more, *grid, "--out", tmp_path / "r.csv"))
        records = records_of(tmp_path / "r.csv")
        assert {(r["estimator"], r["n_queries"]) for r in records} == {("tuned-lr", 6), ("icl", 6)}
        assert "minus prompt" not in capsys.readouterr().out, "4 is none of the sizes of this claim"

    def test_networks_for_images_and_recordings(self, data, tmp_path, capsys):
        models = {
            "mnist": ("--image-encoder", build_image_model("vit", tmp_path / "vit")),
            "fsdd": ("--audio-encoder", build_audio_model("whisper", tmp_path / "whisper")),
        }
        for name, option in models.items():
            out = ["--out", tmp_path / f"{name}.csv", "--embeddings", tmp_path / "kept"]
            paper_table.main(options_for(data, *option, "--tasks", name, "--k", "20", "--methods", "lda", *out))
            assert {r["dataset"] for r in records_of(tmp_path / f"{name}.csv")} == {name}
            assert str(option[1]) in capsys.readouterr().out
        assert (tmp_path / "kept" / "items").is_dir()
