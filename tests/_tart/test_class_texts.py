"""From names of the classes to one vector for each."""

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skicl import SentenceEncoder
from skicl._tart._class_texts import (
    check_class_texts,
    class_entries,
    class_vectors,
    embed_names,
    holds_texts,
    name_vectors,
    nearest_name,
    texts_in_use,
    texts_of,
)

CLASSES = np.array(["a", "b"])


def vectors_of(class_texts, embedded=None, n_features=2, classes=CLASSES):
    check_class_texts(class_texts)
    return class_vectors(class_entries(class_texts, classes), embedded or {}, n_features)


def test_every_form_of_the_same_vectors():
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    embedded = {"a": expected[0], "b": expected[1], "one": np.array([0.0, 4.0]), "two": np.array([2.0, 0.0])}
    for class_texts in (
        expected,
        expected.tolist(),
        expected.astype(np.float32),
        {"b": [3, 4], "a": [1.0, 2.0]},
        {"a": [[0, 4], [2, 0]], "b": expected[1]},
        "labels",
        {"a": "a", "b": "b"},
        {"a": ["one", "two"], "b": [3.0, 4.0]},
        {"a": ("a",), "b": np.str_("b")},
    ):
        np.testing.assert_array_equal(vectors_of(class_texts, embedded), expected)
    assert vectors_of(None) is None


def test_labels_that_are_no_strings_are_written_out():
    assert class_entries("labels", np.array([3, 7])) == [("3",), ("7",)]
    assert class_entries({True: "yes", False: "no"}, np.array([False, True])) == [("no",), ("yes",)]


def test_what_needs_an_encoder():
    assert holds_texts("labels")
    assert holds_texts({"a": "text", "b": [1.0]})
    assert not holds_texts({"a": [1.0], "b": [1.0]})
    assert not holds_texts(np.eye(2))
    assert not holds_texts(None)


def test_texts_are_embedded_once():
    asked = []
    encoder = FunctionTransformer(lambda texts: asked.append(list(texts)) or np.array([[len(text)] for text in texts]))
    entries = class_entries({"a": ["x", "yy"], "b": ["yy", "zzz"]}, CLASSES)
    assert texts_of(entries) == ["x", "yy", "zzz"]
    embedded = embed_names(entries, encoder, {"x": np.array([9.0])})
    assert asked == [["yy", "zzz"]]
    np.testing.assert_array_equal(class_vectors(entries, embedded, 1), [[5.5], [2.5]])
    assert embed_names(entries, None, embedded) is embedded


@pytest.mark.parametrize(
    ("class_texts", "message"),
    [
        ("names", "got 'names'"),
        (3, "got a int"),
        ([1.0, 2.0], "got a list"),
        (["a", "b"], "got a list"),
        ([[1.0], [2.0, 3.0]], "got a list"),
        (np.array([[np.nan, 1.0], [1.0, 1.0]]), "NaN"),
        ({"a": 3, "b": "b"}, "for the class 'a'"),
        ({"a": [], "b": "b"}, "for the class 'a'"),
        ({"a": None, "b": "b"}, "for the class 'a'"),
        ({"a": ["x", 1.0], "b": "b"}, "for the class 'a'"),
        ({"a": [np.inf, 1.0], "b": "b"}, "infinity for the class 'a'"),
        ({"a": [1.0], "b": [1.0, 2.0]}, r"different numbers of features: \[1, 2\]"),
    ],
)
def test_unusable_values_are_refused(class_texts, message):
    with pytest.raises(ValueError, match=f"`class_texts`.*{message}"):
        check_class_texts(class_texts)


@pytest.mark.parametrize(
    ("class_texts", "message"),
    [
        ({"a": "x"}, r"no entry for the classes \['b'\]"),
        ({"a": "x", "b": "y", "c": "z"}, r"`classes` does not list: \['c'\]"),
        (np.eye(3), "3 rows, and there are 2 classes"),
    ],
)
def test_classes_must_agree(class_texts, message):
    with pytest.raises(ValueError, match=f"`class_texts`.*{message}"):
        class_entries(class_texts, CLASSES)


def test_widths_must_agree():
    for class_texts, embedded in (({"a": [1.0, 2.0], "b": "b"}, {"b": np.ones(3)}), (np.eye(2, 3), {})):
        with pytest.raises(ValueError, match=r"different numbers of features: \[2, 3\]"):
            vectors_of(class_texts, embedded, n_features=2 if embedded == {} else 3)


def test_the_nearest_name_is_that_of_largest_cosine():
    rng = np.random.default_rng(0)
    X, vectors = rng.normal(size=(50, 6)), rng.normal(size=(4, 6)) * [[1.0], [5.0], [0.1], [1e160]]
    directions = [v / np.abs(v).max() for v in vectors]
    cosines = np.array([[x @ d / np.linalg.norm(x) / np.linalg.norm(d) for d in directions] for x in X])
    logits = nearest_name(X, vectors)
    assert (logits.argmax(axis=1) == cosines.argmax(axis=1)).all()
    np.testing.assert_allclose(logits / logits[0, 0], cosines / cosines[0, 0])
    np.testing.assert_allclose(nearest_name(X * 1e-170, vectors), logits)
    assert np.isfinite(nearest_name(np.zeros((1, 6)), vectors)).all()
    with pytest.raises(ValueError, match="different numbers of features"):
        nearest_name(X[:, :5], vectors)


def columns():
    return ColumnTransformer([("text", SentenceEncoder(device="cpu"), "text")])


@pytest.mark.parametrize("encoder", [columns(), make_pipeline(columns(), StandardScaler())])
@pytest.mark.parametrize("class_texts", ["labels", {"a": "one name", "b": ["another", "and a third"]}])
def test_an_encoder_of_frames_cannot_embed_names(encoder, class_texts):
    message = r"^`class_texts` holds texts.*`encoder` (ColumnTransformer|Pipeline) does not read a list of texts"
    with pytest.raises(ValueError, match=message):
        check_class_texts(class_texts, encoder)
    check_class_texts({"a": [0.0, 1.0], "b": [1.0, 0.0]}, encoder)
    check_class_texts(np.eye(2), encoder)
    check_class_texts(None, encoder)
    check_class_texts("auto", encoder)


def test_an_encoder_that_fails_on_names_is_named():
    encoder = FunctionTransformer(lambda frame: frame[["a"]])
    with pytest.raises(ValueError, match=r"`encoder` FunctionTransformer does not read a list of texts \(list indices"):
        embed_names([("one",), ("two",)], encoder, {})
    with pytest.raises(NotFittedError):
        embed_names([("one",), ("two",)], StandardScaler(), {})


def test_almost_labels():
    for given, meant in {"label": "labels", "Auto": "auto"}.items():
        with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
            check_class_texts(given)


def test_auto_is_names_where_they_can_be_read():
    classes = np.array(["GetWeather", "top_up"])
    assert texts_in_use("auto", classes, names_can_be_read=True) == {"GetWeather": "Get Weather", "top_up": "top up"}
    assert texts_in_use("auto", classes, names_can_be_read=False) is None
    assert texts_in_use("auto", np.array(["LABEL_0", "LABEL_1"]), names_can_be_read=True) is None
    assert texts_in_use("auto", np.array([0, 1]), names_can_be_read=True) is None
    for given in (None, "labels", {"GetWeather": "rain"}):
        assert texts_in_use(given, classes, names_can_be_read=True) is given
    assert not holds_texts("auto")


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        (FunctionTransformer(lambda frame: frame[["a"]]), "list indices"),
        (FunctionTransformer(lambda texts: np.full((len(texts), 2), np.nan)), "contains NaN"),
        (FunctionTransformer(lambda texts: np.eye(len(texts), 3)), "different numbers of features"),
    ],
)
def test_names_that_nobody_asked_for_may_be_missing(encoder, reason):
    entries, known = [("one",), ("two",)], {"zero": np.ones(2)}
    with pytest.raises(ValueError, match=r"^(`class_texts`|Input the output of FunctionTransformer)"):
        name_vectors(entries, encoder, known, 2, needed=True)
    with pytest.warns(UserWarning, match=f"`encoder` FunctionTransformer gave no vectors.*{reason}") as caught:
        assert name_vectors(entries, encoder, known, 2, needed=False) == (known, None)
    assert len(caught) == 1


def test_errors_that_are_no_refusal_of_names_go_through():
    def interrupted(texts):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        name_vectors([("one",), ("two",)], FunctionTransformer(interrupted), {}, 2, needed=False)


def test_names_of_which_the_encoder_knows_no_word_are_left_out():
    entries, embedded = [("one",), ("two",)], {"one": np.ones(2), "two": np.zeros(2)}
    assert name_vectors(entries, None, embedded, 2, needed=False) == (embedded, None)
    np.testing.assert_array_equal(name_vectors(entries, None, embedded, 2, needed=True)[1], [[1, 1], [0, 0]])
