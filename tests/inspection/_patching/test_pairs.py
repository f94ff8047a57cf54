"""Pairs of prompts: aligned in every tokenizer, each problem once, and errors that say what is not aligned."""

import numpy as np
import pytest
from inspection.patched_networks import letter_pairs, word_tokenizer
from prompting.tiny_causal_models import TOKENIZERS, tokenizer_of

from skicl._models._files import local_folder
from skicl.datasets import make_implicit_pattern
from skicl.inspection import PatchingPairs, make_patching_pairs
from skicl.inspection._patching._pairs import tokenise_pair, tokenise_pairs


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("task", ["boolean", "code", "expression", "parity", "relation"])
def test_pairs_of_every_task(task, kind):
    problems, tokenizer = make_implicit_pattern(task, 60, difficulty=1, random_state=0), tokenizer_of(kind)
    pairs = make_patching_pairs(problems.data, problems.target, tokenizer, template=problems.template, random_state=0)
    items = zip(problems.data, problems.target)
    written = [problems.template.replace("{text}", text).replace("{label}", answer) for text, answer in items]
    used = [p + a for p, a in zip(pairs.clean + pairs.corrupt, pairs.clean_answers + pairs.corrupt_answers)]
    assert set(used) <= set(written)
    assert len(set(used)) == len(used)
    assert all(one != other for one, other in zip(pairs.clean_answers, pairs.corrupt_answers))
    for pair in tokenise_pairs(tokenizer, pairs, "Some demonstrations.\n"):
        assert len(pair.clean) == len(pair.corrupt)
        assert pair.clean[-1] == pair.corrupt[-1]
        assert pair.answers[0] != pair.answers[1]


def test_seeds_and_numbers():
    problems = make_implicit_pattern("expression", 100, difficulty=1, random_state=0)

    def make(n_pairs, seed):
        return make_patching_pairs(
            problems.data,
            problems.target,
            tokenizer_of("bytes"),
            template=problems.template,
            n_pairs=n_pairs,
            random_state=seed,
        )

    assert make(5, 0) == make(5, 0)
    assert make(5, 0) != make(5, 1)
    assert len(make(5, 0).clean) == 5
    assert make(None, 0).clean[:5] == make(5, 0).clean
    with pytest.raises(ValueError, match=r"`n_pairs`=80: only \d+ pairs of equal length in tokens"):
        make(80, 0)


def test_the_nearest_problem_is_the_partner():
    texts, answers = ["a b c", "a b d", "e f g", "e f h"], [1, 2, 1, 2]
    pairs = make_patching_pairs(texts, answers, tokenizer_of("bytes"), template="{text} is {label}", random_state=0)
    found = {frozenset(pair) for pair in zip(pairs.clean, pairs.corrupt)}
    assert found == {frozenset(("a b c is", "a b d is")), frozenset(("e f g is", "e f h is"))}
    assert set(pairs.clean_answers) <= {" 1", " 2"}


def test_what_answers_begin_with_belongs_to_the_prompt():
    tokenizer = tokenizer_of("bytes")
    tokens = tokenise_pair(tokenizer, ("12+3=", "12+4=", " 15", " 16"))
    assert tokenizer.decode(tokens.clean) == "12+3= 1"
    assert tokenizer.decode(tokens.corrupt) == "12+4= 1"
    assert [tokenizer.decode([i]) for i in tokens.answers] == ["5", "6"]


def test_prefixes():
    one = tokenise_pairs(word_tokenizer(), letter_pairs(2), "k ")
    assert one == tokenise_pairs(word_tokenizer(), letter_pairs(2), ["k ", "k "])
    bare = tokenise_pairs(word_tokenizer(), letter_pairs(2))
    assert [pair.clean[1:] for pair in one] == [pair.clean for pair in bare]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a b", "a c d b", " e", " f"), r"pair 0 \('a b', 'a c d b'\) is not aligned: 2 and 4 tokens"),
        (("a b", "c d", " e", " f"), "must end with the same token before the answer"),
        (("a b", "c b", " e", " e"), "of which one is the beginning of the other"),
        (("a b", "c b", " e", " e f"), "of which one is the beginning of the other"),
    ],
)
def test_pairs_that_are_not_aligned_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        tokenise_pairs(word_tokenizer(), PatchingPairs(*([part] for part in row)))


def test_answers_must_have_the_same_tokens_after_both_prompts():
    # Without a space the answer merges with what stands before it, or does not.
    tokenizer, row = tokenizer_of("bytes"), ("ab", "cb", "e", "f")
    assert tokenise_pair(tokenizer, row).answers == tuple(tokenizer("ef")["input_ids"])

    def merging(text, **_):
        return {"input_ids": [ord(c) for c in text] if text[0] == "a" else [ord(c) + 1 for c in text]}

    with pytest.raises(ValueError, match="have other tokens after the clean prompt than after the corrupt one"):
        tokenise_pair(merging, row)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [1]}, "`y` has 1 entries, expected 2"),
        ({"template": "{label} {text}"}, r"`template` must hold \{text\} and end with \{label\}"),
        ({"n_pairs": 0}, "`n_pairs` must be an integer of at least 1 or None, got 0"),
        ({"X": "ab"}, "`X` is a bare string"),
        ({"y": [1, 1]}, "`n_pairs`=None: only 0 pairs"),
        ({"y": [1, None]}, "`y` has a missing value at position 1"),
        ({"y": np.array([np.nan, 1])}, "`y` has a missing value at position 0"),
        ({"y": "12"}, "`y` is a bare string"),
    ],
)
def test_errors(arguments, message):
    given = {"X": ["a", "b"], "y": [1, 2], "tokenizer": tokenizer_of("bytes"), **arguments}
    with pytest.raises(ValueError, match=message):
        make_patching_pairs(given.pop("X"), given.pop("y"), given.pop("tokenizer"), **given)


def test_answers_in_a_column():
    tokenizer, options = tokenizer_of("bytes"), {"template": "{text}={label}", "random_state": 0}
    column = make_patching_pairs(["a", "b"], np.array([["1"], ["2"]]), tokenizer, **options)
    assert column == make_patching_pairs(["a", "b"], ["1", "2"], tokenizer, **options)
    with pytest.raises(TypeError, match="`y` is of type NoneType"):
        make_patching_pairs(["a", "b"], None, tokenizer)


def test_tokenizers_by_name():
    from transformers import AutoTokenizer

    texts, answers = ["a great lemon", "a poor lemon"], ["positive", "negative"]
    tokenizer = AutoTokenizer.from_pretrained(local_folder("skicl-tiny"))
    options = {"template": "Text: {text}\nLabel: {label}", "random_state": 0}
    by_name = make_patching_pairs(texts, answers, "skicl-tiny", **options)
    assert by_name == make_patching_pairs(texts, answers, tokenizer, **options)
    with pytest.raises(ValueError, match=r"`tokenizer`='\./nowhere' names no model with a tokenizer"):
        make_patching_pairs(["a", "b"], [1, 2], "./nowhere")
    with pytest.raises(TypeError, match="`tokenizer` must be a tokenizer of transformers or the name or folder"):
        make_patching_pairs(["a", "b"], [1, 2], 3)


def test_columns_of_unequal_length():
    with pytest.raises(ValueError, match=r"`pairs` has columns of lengths \[2, 1, 1, 1\]"):
        tokenise_pairs(word_tokenizer(), (["a", "b"], ["a"], ["c"], ["d"]))
    with pytest.raises(TypeError, match="`pairs` must be PatchingPairs"):
        tokenise_pairs(word_tokenizer(), np.zeros(4))
