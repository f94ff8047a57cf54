"""make_implicit_pattern: problems with a shortcut that is right, wrong, or not there."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils import Bunch

from skicl._validation._environment import import_optional
from skicl._validation._scalars import check_choice, check_integer, is_integer, is_number
from skicl.datasets._implicit_patterns._arithmetic_patterns import ALGEBRA, EXPRESSION
from skicl.datasets._implicit_patterns._code_pattern import CODE
from skicl.datasets._implicit_patterns._draws import Draws
from skicl.datasets._implicit_patterns._logic_patterns import BOOLEAN, PARITY
from skicl.datasets._implicit_patterns._pattern_task import VARIANTS
from skicl.datasets._implicit_patterns._relation_pattern import RELATION
from skicl.datasets._implicit_patterns._topic_pattern import TOPIC

TASKS = {
    "algebra": ALGEBRA,
    "boolean": BOOLEAN,
    "code": CODE,
    "expression": EXPRESSION,
    "parity": PARITY,
    "relation": RELATION,
    "topic": TOPIC,
}
DIFFICULTIES = (1, 2, 3)
DEFAULT_ANSWERS = 10
MOST_ANSWERS = 100
# If so many items in a row have occurred before, hardly any others are left to find.
MOST_REPETITIONS = 1000


def make_implicit_pattern(
    task: str,
    n_samples: int = 100,
    *,
    variant: str = "pattern",
    difficulty: int = 2,
    n_answers: int | None = None,
    proportions: Mapping[str, float] | None = None,
    random_state: int | np.random.RandomState | None = None,
    as_frame: bool = False,
) -> Bunch:
    """Generate problems with an implicit pattern: a shortcut that is never mentioned and saves the long way.

    Every problem can be solved step by step. In the variant "pattern" there is also a shortcut, which is always right.
    In "conflict" the shortcut looks the same and is always wrong. In "neutral" it cannot be applied. A learner that is
    taught with "pattern" and tested on "conflict" shows which of the two it has learned.

    The idea and most of the tasks are those of a study of in-context learning and fine-tuning [1]_; the generators are
    new, and answers are balanced here. "topic", which asks for the meaning of words and needs no reasoning, is ours: it
    is meant for language models too small for the others.

    Parameters
    ----------
    task : {"algebra", "boolean", "code", "expression", "parity", "relation", "topic"}
        What the problems are about. `DESCR` and the user guide describe each task.
    n_samples : int, default=100
        Number of problems. No text occurs twice.
    variant : {"pattern", "conflict", "neutral", "mixed"}, default="pattern"
        Whether the shortcut is right, wrong or absent. "mixed" mixes the three.
    difficulty : {1, 2, 3}, default=2
        Length of the problems. 2 is about that of the study.
    n_answers : int or None, default=None
        Number of answers of "algebra", "code" and "expression": 0 to `n_answers` - 1, from 3 to 100. None means 10, so
        that every answer is one digit. The other tasks have two answers.
    proportions : dict of {str: float} or None, default=None
        Shares of the variants in "mixed", which sum to one. None means equal shares.
    random_state : int, RandomState instance or None, default=None
        Equal seeds give equal texts, on every machine.
    as_frame : bool, default=False
        If True, `data` and `target` are pandas Series, and `frame` holds the columns. Needs pandas.

    Returns
    -------
    problems : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (n_samples,), dtype object, or Series
            The problems, each a str.
        target : ndarray of shape (n_samples,), dtype str, or Series
            The right answers. Within each variant every answer is equally frequent, up to one item.
        target_names : list of str
            All answers: the numbers in ascending order, or the two words, the negative one first.
        shortcut_target : ndarray of shape (n_samples,), dtype str
            The answer of the shortcut. Empty where it cannot be applied.
        variant : ndarray of shape (n_samples,), dtype str
            The variant of each item.
        features : list of dict
            What each text was made from; the keys depend on the task.
        task : str
            The name of the task.
        template : str
            A template for :class:`skicl.prompting.PromptTemplate`.
        instruction : str
            One sentence that says what is asked, but not how to find it.
        DESCR : str
            The task, its shortcut and its variants.
        frame : DataFrame of shape (n_samples, 4) or None
            The columns "text", "target", "shortcut_target" and "variant"; None unless ``as_frame=True``.

    Raises
    ------
    TypeError
        If `as_frame` is not a bool.
    ValueError
        If a parameter is out of range or does not fit the others, or there are too few different problems.
    ImportError
        If ``as_frame=True`` and pandas is not installed.

    Notes
    -----
    All items of one call differ, so parts of one call may serve for training and for testing. Items of two calls with
    different seeds may coincide.

    These generators depart from those of the study where the latter would let something other than the shortcut give
    away the answer, or would leave a class out. Items of "conflict" keep the range and the balance of the answers, the
    operators and constants in programs are those that the answer was computed with, and every item of "relation"
    mentions city Z.

    References
    ----------
    .. [1] Yin et al. (2024), "Deeper insights without updates: the power of in-context learning over fine-tuning",
       Findings of EMNLP, arXiv 2410.04691.

    Examples
    --------
    >>> from skicl.datasets import make_implicit_pattern
    >>> problems = make_implicit_pattern("expression", 200, variant="conflict", random_state=0)
    >>> for text, right, wrong in zip(problems.data[:2], problems.target, problems.shortcut_target):
    ...     print(text, "is", right, "and not", wrong)
    (5)+(12+8-12-7)*(19-8-17+3) is 2 and not 5
    (4)+(-9+3-15+19)*(-8+14-12+5) is 6 and not 4
    >>> bool((problems.target == problems.shortcut_target).any())
    False
    >>> mixed = make_implicit_pattern("parity", 6, variant="mixed", random_state=0)
    >>> sorted(set(mixed.variant.tolist()))
    ['conflict', 'neutral', 'pattern']
    """
    n_answers, shares = _check_parameters(task, n_samples, variant, difficulty, n_answers, proportions, as_frame)
    if as_frame:
        pandas = import_optional("pandas", needed="for `as_frame=True`", instead="Or use as_frame=False.")
    # Each variant draws its own numbers. With the same ones, a test item would be a training item with another end.
    draws = Draws(random_state, sorted(TASKS).index(task), (*VARIANTS, "mixed").index(variant))
    pattern_task = TASKS[task]
    answers = pattern_task.answers(n_answers)
    plan = [
        (name, number) for name, count in _counts(shares, n_samples) for number in _balanced(draws, len(answers), count)
    ]
    plan = draws.shuffled(plan)
    items = _distinct_items(pattern_task, draws, plan, len(answers), difficulty)
    words = np.array(["", *answers])
    variants = np.array([name for name, _ in plan])
    target = words[[number + 1 for _, number in plan]]
    shortcut = words[[0 if item.shortcut is None else item.shortcut + 1 for item in items]]
    data = np.empty(n_samples, dtype=object)
    data[:] = [item.text for item in items]
    frame = None
    if as_frame:
        columns = {"text": data, "target": target, "shortcut_target": shortcut, "variant": variants}
        frame = pandas.DataFrame(columns)
        data, target = frame["text"], frame["target"]
    return Bunch(
        data=data,
        target=target,
        target_names=list(answers),
        shortcut_target=shortcut,
        variant=variants,
        features=[item.features for item in items],
        task=task,
        template=pattern_task.template,
        instruction=pattern_task.instruction,
        DESCR=pattern_task.description,
        frame=frame,
    )


def _counts(shares, n_samples):
    """Pairs (variant, number of items): shares rounded so that they add up, the largest remainders upwards."""
    exact = {name: share * n_samples for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], VARIANTS.index(name)))
    for name in by_remainder[: n_samples - sum(counts.values())]:
        counts[name] += 1
    return [(name, counts[name]) for name in VARIANTS if counts.get(name)]


def _balanced(draws, n_answers, count):
    """Numbers of answers, each equally often up to one."""
    n_rounds, n_extra = divmod(count, n_answers)
    return list(range(n_answers)) * n_rounds + draws.shuffled(range(n_answers))[:n_extra]


def _distinct_items(task, draws, plan, n_answers, difficulty):
    """An item for each planned (variant, answer), all texts different."""
    items, seen = [], set()
    for variant, number in plan:
        for _ in range(MOST_REPETITIONS):
            item = task.make(draws, variant, number, n_answers, difficulty)
            if item.text not in seen:
                break
        else:
            raise ValueError(
                f"`n_samples`={len(plan)} is more than the number of different problems: only {len(seen)} "
                f"were found with `difficulty`={difficulty}. Take fewer, or a higher difficulty."
            )
        seen.add(item.text)
        items.append(item)
    return items


def _check_parameters(task, n_samples, variant, difficulty, n_answers, proportions, as_frame):
    """Refuse bad parameters; return the number of answers and the shares of the variants."""
    check_choice(task, "task", sorted(TASKS))
    check_choice(variant, "variant", (*VARIANTS, "mixed"))
    check_integer(n_samples, "n_samples")
    if not is_integer(difficulty) or difficulty not in DIFFICULTIES:
        raise ValueError(f"`difficulty` must be 1, 2 or 3, got {difficulty!r}.")
    if not isinstance(as_frame, bool | np.bool_):
        raise TypeError(f"`as_frame` must be True or False, got {as_frame!r}.")
    if proportions is not None and variant != "mixed":
        raise ValueError(f"`proportions` applies to variant='mixed' only, got `variant`={variant!r}.")
    shares = {variant: 1.0} if variant != "mixed" else _check_proportions(proportions)
    if n_answers is None:
        return DEFAULT_ANSWERS, shares
    if TASKS[task].words:
        raise ValueError(
            f"`n_answers` applies to tasks with numeric answers only; {task!r} has the answers {TASKS[task].words}. "
            "Leave it None."
        )
    check_integer(n_answers, "n_answers", least=3, most=MOST_ANSWERS)
    return int(n_answers), shares


def _check_proportions(proportions):
    if proportions is None:
        return dict.fromkeys(VARIANTS, 1 / len(VARIANTS))
    if not isinstance(proportions, Mapping) or not set(proportions) <= set(VARIANTS):
        raise ValueError(f"`proportions` must be a dict with keys among {VARIANTS}, got {proportions!r}.")
    values = list(proportions.values())
    bad = [v for v in values if not (is_number(v) and 0 <= v <= 1)]
    if bad or not np.isclose(sum(values), 1):
        raise ValueError(f"`proportions` must be shares that sum to 1, got {dict(proportions)}.")
    return {name: share / sum(values) for name, share in proportions.items()}
