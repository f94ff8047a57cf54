"""Problems with an implicit pattern, written out once for every learner, and split so that no text occurs twice."""

from string import Formatter
from typing import NamedTuple

import numpy as np

from skicl.datasets import make_implicit_pattern

VARIANTS = ("pattern", "conflict", "neutral")


class Problems(NamedTuple):
    """Written problems up to where the answer stands, the answers, and what the shortcut answers."""

    texts: list
    target: np.ndarray
    shortcut: np.ndarray

    def __getitem__(self, rows):
        return Problems([self.texts[row] for row in rows], self.target[rows], self.shortcut[rows])


class Splits(NamedTuple):
    """What one repeat learns from, chooses by, and is tested on."""

    train: Problems
    validation: Problems
    tests: dict
    answers: list


class Design(NamedTuple):
    """What the problems are and how many of them each part gets: parameters of implicit_pattern_study."""

    task: str
    n_train: int
    n_validation: int
    n_test: int  # of each variant
    train_variant: str
    difficulty: int
    n_answers: int | None
    template: str | None  # None means that of the task


def draw_splits(design, seed):
    """Training, validation and test problems of one repeat, as Splits.

    Training and validation problems and the test problems of the same variant come from one draw, in which no text
    occurs twice, and each part holds the answers equally often, up to one.
    """
    drawn = {}
    for variant in VARIANTS:
        for_learning = design.n_train + design.n_validation if variant == design.train_variant else 0
        drawn[variant] = make_implicit_pattern(
            design.task,
            design.n_test + for_learning,
            variant=variant,
            difficulty=design.difficulty,
            n_answers=design.n_answers,
            random_state=seed,
        )
    written = {variant: _written(problems, design.template) for variant, problems in drawn.items()}
    learned_from = written[design.train_variant]
    ends = np.cumsum([design.n_train, design.n_validation])
    train, validation, test = (learned_from[rows] for rows in np.split(by_turns(learned_from.target), ends))
    tests = written | {design.train_variant: test}
    return Splits(train, validation, tests, drawn["pattern"].target_names)


def by_turns(target):
    """Row numbers (n_samples,), one of each answer of target (n_samples,) by turns, otherwise in their order."""
    rank = np.empty(len(target), dtype=np.int64)
    for answer in np.unique(target):
        rows = np.flatnonzero(target == answer)
        rank[rows] = np.arange(len(rows))
    return np.argsort(rank, kind="stable")


def is_template(template):
    """Whether something is a text with one ``{text}``, and one ``{label}`` at its end."""
    try:
        fields = [field for _, field, *_ in Formatter().parse(template) if field is not None]
    except (TypeError, ValueError):
        return False
    return fields == ["text", "label"] and template.rstrip().endswith("{label}")


def _written(problems, template):
    """Problems with the template, None meaning that of the task, filled in up to the answer."""
    template = problems.template if template is None else template
    texts = [template.format(text=text, label="").rstrip() for text in problems.data]
    return Problems(texts, problems.target, problems.shortcut_target)
