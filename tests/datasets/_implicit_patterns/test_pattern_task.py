"""The answers of a task: its words, or numbers."""

import pytest

from skicl.datasets._implicit_patterns._make_implicit_pattern import TASKS


@pytest.mark.parametrize("name", sorted(TASKS))
def test_answers_are_words_or_numbers(name):
    task = TASKS[name]
    assert task.answers(4) == (task.words or ("0", "1", "2", "3"))
    assert len(set(task.answers(100))) == (2 if task.words else 100)


def test_no_single_digit_answer_begins_another():
    """The default answers: generated text is compared as a whole, and no answer is the start of a longer one."""
    for task in TASKS.values():
        answers = task.answers(10)
        assert not [(a, b) for a in answers for b in answers if a != b and b.startswith(a)]
