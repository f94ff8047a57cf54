"""Parts that share no text, hold the answers equally often, and are written out in full."""

import numpy as np
import pytest

from skicl.datasets import make_implicit_pattern
from skicl.evaluation._implicit_patterns._splits import VARIANTS, Design, by_turns, draw_splits, is_template


@pytest.mark.parametrize("task", ["expression", "relation", "code"])
@pytest.mark.parametrize("train_variant", ["pattern", "neutral"])
def test_parts_are_balanced_distinct_and_of_the_asked_size(task, train_variant):
    splits = draw_splits(Design(task, 40, 30, 20, train_variant, 1, None, None), seed=3)
    parts = [splits.train, splits.validation, *splits.tests.values()]
    assert [len(part.texts) for part in parts] == [40, 30, 20, 20, 20]
    texts = [*splits.train.texts, *splits.validation.texts, *splits.tests[train_variant].texts]
    assert len(set(texts)) == len(texts)
    for part in parts:
        counts = [int((part.target == answer).sum()) for answer in splits.answers]
        assert max(counts) - min(counts) <= 1
        assert len(part.target) == len(part.shortcut) == len(part.texts)


def test_shortcuts_belong_to_their_problems():
    splits = draw_splits(Design("parity", 10, 10, 50, "pattern", 2, None, None), seed=0)
    assert list(splits.tests) == list(VARIANTS)
    assert (splits.tests["pattern"].shortcut == splits.tests["pattern"].target).all()
    assert (splits.tests["conflict"].shortcut != splits.tests["conflict"].target).all()
    assert set(splits.tests["neutral"].shortcut) == {""}
    for text, answer in zip(splits.tests["conflict"].texts, splits.tests["conflict"].target):
        assert (text.removeprefix("Sequence: ").count("X") - 1) % 2 == (answer == "odd")


def test_texts_are_the_template_up_to_the_answer():
    problems = make_implicit_pattern("relation", 30, random_state=5)
    splits = draw_splits(Design("relation", 10, 10, 10, "pattern", 2, None, None), seed=5)
    written = {f"{text}\nCities A and Z are connected:": answer for text, answer in zip(problems.data, problems.target)}
    for part in (splits.train, splits.validation, splits.tests["pattern"]):
        assert part.target.tolist() == [written.pop(text) for text in part.texts]
    assert not written


def test_a_template_of_ones_own_changes_the_writing_and_nothing_else():
    own, plain = (
        draw_splits(Design("parity", 10, 10, 10, "pattern", 2, None, template), seed=5)
        for template in ("Q: {text} ->  {label}", None)
    )
    assert own.train.texts == [f"Q: {text.splitlines()[0].removeprefix('Sequence: ')} ->" for text in plain.train.texts]
    np.testing.assert_array_equal(own.train.target, plain.train.target)


@pytest.mark.parametrize(
    ("template", "good"),
    [
        ("{text} {label}", True),
        ("a {text}\n{label}\n", True),
        ("{{}} {text} {label}", True),
        ("{label} {text}", False),
        ("{text}", False),
        ("{text} {text} {label}", False),
        ("{text} {label} .", False),
        ("{text} {x} {label}", False),
        ("{text {label}", False),
        (3, False),
    ],
)
def test_what_is_a_template(template, good):
    assert is_template(template) == good


def test_turns_take_one_of_each_and_keep_the_order():
    assert by_turns(np.array(["b", "b", "a", "b", "a"])).tolist() == [0, 2, 1, 4, 3]
