"""The robustness benchmark: conditions that do what they say, classifiers that are judged as they predict."""

import csv

import numpy as np
import pytest
from benchmark_modules import load

conditions, robustness = load("conditions"), load("robustness")
BY_KEY = {condition.key: condition for condition in conditions.conditions()}
each_condition = pytest.mark.parametrize("key", BY_KEY)


@pytest.fixture(scope="module")
def data():
    return robustness.gaussian_classes(n_classes=3, n_features=20, n_rows=2400)


def drawn(key, data, seed=0):
    return BY_KEY[key].draw(data, np.random.default_rng(seed))


def changed_rows(a, b):
    return (a != b).any(axis=1).sum()


@each_condition
def test_every_condition_gives_a_task_that_can_be_learned(key, data):
    task = drawn(key, data)
    assert len(task.X) == len(task.y) <= 400
    assert len(task.X_query) == len(task.y_query) > 0
    assert task.X.shape[1] == task.X_query.shape[1]
    assert set(task.y) == set(data.y) >= set(task.y_query)
    again, other = drawn(key, data), drawn(key, data, seed=1)
    np.testing.assert_array_equal(task.X, again.X)
    assert not np.array_equal(task.X, other.X)


@each_condition
def test_only_one_condition_leaves_everything_as_it_is(key, data):
    clean, task = drawn("clean", data), drawn(key, data)
    same = all(np.array_equal(a, b) for a, b in zip(clean, task))
    assert same == (key == "clean")


@pytest.mark.parametrize("percent", [5, 10, 20, 40])
def test_so_many_labels_are_wrong(data, percent):
    clean, task = drawn("clean", data), drawn(f"noise-{percent}", data)
    assert (clean.y != task.y).sum() == round(percent / 100 * len(task.y))
    np.testing.assert_array_equal(clean.X, task.X)
    np.testing.assert_array_equal(clean.y_query, task.y_query)


def test_wrong_labels_leave_a_row_to_every_class():
    data = conditions.Data(np.eye(6), np.array([0, 1, 1, 1, 1, 1]), np.eye(6), np.arange(6))
    for seed in range(20):
        assert set(conditions.wrong_labels(data, np.random.default_rng(seed), 1.0).y) == {0, 1}


def test_imbalanced_contexts_have_balanced_queries(data):
    task = drawn("imbalance", data)
    assert sorted(np.unique(task.y, return_counts=True)[1]) == [5, 5, 250]
    assert len(set(np.unique(task.y_query, return_counts=True)[1])) == 1


def test_near_copies_are_the_rows_of_the_small_context(data):
    few, copies = drawn("rows-32", data), drawn("copies", data)
    assert len(copies.X) == 10 * len(few.X) == 320
    distance = np.linalg.norm(copies.X - np.repeat(few.X, 10, axis=0), axis=1)
    assert 0 < distance.max() < 0.01 * conditions.spread(few.X)
    np.testing.assert_array_equal(copies.y, np.repeat(few.y, 10))


def test_outliers_are_few_and_far(data):
    clean, far, random = (drawn(key, data) for key in ("clean", "long-outliers", "random-outliers"))
    for task in (far, random):
        assert changed_rows(clean.X, task.X) == round(0.05 * len(clean.X))
    centre = clean.X.mean(axis=0)
    ratio = np.linalg.norm(far.X - centre, axis=1) / np.linalg.norm(clean.X - centre, axis=1)
    np.testing.assert_allclose(np.sort(ratio)[-round(0.05 * len(ratio)) :], 10.0, rtol=1e-3)


def test_shifts_and_noise_have_the_length_they_say(data):
    clean = drawn("clean", data)
    unit = conditions.spread(clean.X)
    shift = drawn("shift-0.5", data).X_query - clean.X_query
    np.testing.assert_allclose(np.linalg.norm(shift, axis=1), 0.5 * unit, rtol=1e-4)
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-5)
    noise = drawn("query-noise-1", data).X_query - clean.X_query
    assert np.sqrt((noise**2).sum(axis=1).mean()) == pytest.approx(unit, rel=0.1)
    padding = drawn("pad-1024", data).X[:, data.X.shape[1] :]
    assert padding.shape[1] == 1024 - data.X.shape[1]
    assert conditions.spread(padding) == pytest.approx(unit, rel=0.1)


def test_probabilities_that_are_no_numbers_are_mistakes():
    classes, y = np.array(["a", "b"]), np.array(["a", "b", "b"])
    probabilities = np.array([[0.8, 0.2], [np.nan, np.nan], [0.4, 0.6]])
    record = robustness.score(("set", "clean", 0), "lda", classes, probabilities, y, 0.0)
    assert record["accuracy"] == pytest.approx(2 / 3)
    assert record["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(1e-15) + np.log(0.6)) / 3)
    assert record["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(record["smallest"])


def test_a_run_is_continued_and_reported(tmp_path, monkeypatch, capsys):
    chosen = ["--conditions", "clean,far-queries", "--seeds", "1"]
    out, markdown = tmp_path / "robustness.csv", tmp_path / "robustness.md"
    monkeypatch.setattr(conditions, "N_QUERIES", 40)
    robustness.main([*chosen, "--out", str(out), "--markdown", str(markdown)])
    with open(out, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"tuned-lr", "lda"}
    assert len(rows) == 2 * 2
    text = markdown.read_text(encoding="utf-8")
    assert text.count("\n| ") == (2 + 2) + (2 + 3)
    assert text.count("0 of 2") == 3

    def refuse():
        raise AssertionError("fitted although the file has it")

    refusing = {k: (label, refuse) for k, (label, _) in robustness.COMPETITORS.items()}
    monkeypatch.setattr(robustness, "COMPETITORS", refusing)
    robustness.main([*chosen, "--out", str(out), "--markdown", str(markdown)])
    assert markdown.read_text(encoding="utf-8") == text
    with pytest.raises(AssertionError, match="fitted although"):
        robustness.main([*chosen[:2], "--seeds", "2", "--out", str(out)])


def test_text_sets_need_their_folder():
    assert robustness.parse([]).sets == ["synthetic"]
    assert robustness.parse(["--data", "folder"]).sets == [*robustness.SETS, "synthetic"]


@pytest.mark.parametrize("wrong", [["--seeds", "0"], ["--conditions", "clean,fog"], ["--reasoner", "missing.file"]])
def test_unusable_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        robustness.parse(wrong)
    assert wrong[0] in capsys.readouterr().err
