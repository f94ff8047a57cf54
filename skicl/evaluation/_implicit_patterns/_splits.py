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


def draw_splits(task, n_train, n_validation, n_test, train_variant, difficulty, n_answers, template, seed):
    """Training, validation and test problems of one repeat.

    Training and validation problems and the test problems of the same variant come from one draw, in which no text
    occurs twice, and each part holds the answers equally often, up to one.

    Parameters
    ----------
    task : str
        Name of the task.
    n_train, n_validation, n_test : int
        Numbers of problems; `n_test` of each variant.
    train_variant : str
        What training and validation problems are like.
    difficulty : int
        Length of the problems.
    n_answers : int or None
        Number of answers.
    template : str or None
        How a problem is written; None means the template of the task.
    seed : int
        Seed of the draw.

    Returns
    -------
    Splits
    """
    drawn = {}
    for variant in VARIANTS:
        more = n_train + n_validation if variant == train_variant else 0
        drawn[variant] = make_implicit_pattern(
            task, n_test + more, variant=variant, difficulty=difficulty, n_answers=n_answers, random_state=seed
        )
    written = {variant: _written(problems, template) for variant, problems in drawn.items()}
    order = by_turns(written[train_variant].target)
    ends = np.cumsum([n_train, n_validation])
    train, validation, test = (written[train_variant][rows] for rows in np.split(order, ends))
    tests = {variant: test if variant == train_variant else written[variant] for variant in VARIANTS}
    return Splits(train, validation, tests, drawn["pattern"].target_names)


def by_turns(target):
    """Numbers of rows, one of each answer by turns, otherwise in their order.

    Parameters
    ----------
    target : ndarray of shape (n_samples,)
        The answers.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    rank = np.empty(len(target), dtype=np.int64)
    for answer in np.unique(target):
        rows = np.flatnonzero(target == answer)
        rank[rows] = np.arange(len(rows))
    return np.argsort(rank, kind="stable")


def is_template(template):
    """Whether something is a text with one ``{text}``, and one ``{label}`` at its end.

    Parameters
    ----------
    template : object
        What the user passed.

    Returns
    -------
    bool
    """
    try:
        fields = [field for _, field, *_ in Formatter().parse(template) if field is not None]
    except (TypeError, ValueError):
        return False
    return fields == ["text", "label"] and template.rstrip().endswith("{label}")


def _written(problems, template):
    """Fill the template up to the answer."""
    template = problems.template if template is None else template
    texts = [template.format(text=text, label="").rstrip() for text in problems.data]
    return Problems(texts, problems.target, problems.shortcut_target)
