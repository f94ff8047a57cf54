import numpy as np
import pytest

from skicl.prompting import Verbalizer
from skicl.prompting._verbalizer import class_scores, normalized


def test_words():
    assert Verbalizer().words_of([0, 1]) == [["0"], ["1"]]
    assert Verbalizer({"b": "bad", "a": ("fine", "good")}).words_of(["a", "b"]) == [["fine", "good"], ["bad"]]
    assert Verbalizer([["fine", "good"], "bad"]).words_of([0, 1]) == [["fine", "good"], ["bad"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"a": "x"}, "no word for the class 'b'"),
        ({"a": "x", "b": "y", "c": "z"}, "'c', which is no class"),
        ({"a": "x", "b": []}, "empty list for the class 'b'"),
        ({"a": "x", "b": "  "}, "not blank"),
        ({"a": "x", "b": 3.0}, "'float' object|not blank"),
        ({"a": "x", "b": ["y", "x"]}, "'x' twice"),
        (["x"], "1 entries, and there are 2 classes"),
    ],
)
def test_bad_words(words, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Verbalizer(words).words_of(["a", "b"])


@pytest.mark.parametrize(
    "parameters",
    [{"words": "ab"}, {"normalize": "max"}, {"low_mass": True}, {"min_mass": 2}, {"domain_prompt": 3}],
)
def test_bad_parameters(parameters):
    with pytest.raises((ValueError, TypeError), match=f"`{next(iter(parameters))}`"):
        Verbalizer(**parameters).check()


def test_several_words_add_their_probabilities():
    p = np.array([[0.1, 0.2, 0.3], [0.4, 0.05, 0.05]])
    np.testing.assert_allclose(np.exp(class_scores(np.log(p), np.array([0, 0, 1]), 2)), [[0.3, 0.3], [0.45, 0.05]])


def test_normalisations():
    log_probs, lengths = np.array([[-2.0, -6.0]]), np.array([[1, 3]])
    np.testing.assert_allclose(normalized(log_probs, lengths, "sum"), [[-2, -6]])
    np.testing.assert_allclose(normalized(log_probs, lengths, "mean"), [[-2, -2]])
    np.testing.assert_allclose(normalized(log_probs, lengths, "auto"), [[-2, -2]])
    np.testing.assert_allclose(normalized(log_probs, lengths * 0 + 2, "auto"), [[-2, -6]])
    np.testing.assert_allclose(normalized(log_probs, lengths, "pmi", np.array([-1.0, -5.5])), [[-1, -0.5]])
