"""implicit_pattern_study: which estimators take a shortcut, with settings chosen before the test."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from skicl._progress import progress_bar
from skicl._validation._scalars import check_choice, check_integer, is_integer
from skicl.evaluation._implicit_patterns._learners import answers, choose, fitted, read_learners, scores_of_tests
from skicl.evaluation._implicit_patterns._results import ImplicitPatternStudy
from skicl.evaluation._implicit_patterns._splits import VARIANTS, Design, draw_splits, is_template
from skicl.evaluation._results import ResultsFile
from skicl.evaluation._rows import fingerprint

_COLUMNS = (
    "dataset", "task", "estimator", "k", "repeat", "setting", "curve", "value", "n_classes", "n_queries",
    "validation_accuracy", "validation_log_loss", "train_log_loss",
    *(f"accuracy_{variant}" for variant in VARIANTS), "shortcut_rate", "fit_seconds", "predict_seconds",
)  # fmt: skip


def implicit_pattern_study(
    estimators: Mapping[str, Any],
    task: str,
    *,
    n_train: int = 200,
    n_validation: int = 100,
    n_test: int = 200,
    n_repeats: int = 3,
    train_variant: str = "pattern",
    difficulty: int = 2,
    n_answers: int | None = None,
    template: str | None = None,
    curves: Mapping[str, tuple[str, Sequence[float]]] | None = None,
    random_state: int = 0,
    results_file: str | PathLike | None = None,
    verbose: bool = False,
) -> ImplicitPatternStudy:
    """Compare what classifiers learn from problems with a shortcut: the shortcut, the long way, or neither.

    All estimators learn from the same written problems of :func:`skicl.datasets.make_implicit_pattern` and are then
    tested on three kinds of new ones: with a shortcut that is right ("pattern"), with one that is wrong ("conflict"),
    and without any ("neutral"). An estimator that solves the problems does well on all three; one that follows the
    shortcut does well on the first only, and gives the shortcut's answer on the second. The question is that of a study
    of in-context learning and fine-tuning [1]_; the protocol is stricter than that of its released code.

    Settings, such as the number of demonstrations, are chosen by the accuracy on validation problems of the variant
    that is learned from. The chosen estimator is tested once. Each repeat draws all problems anew.

    Parameters
    ----------
    estimators : dict of {str: estimator or (estimator, grid)}
        Classifiers of texts by name, alone or with a grid of parameters to choose among, as for
        :class:`sklearn.model_selection.ParameterGrid`. They get a list of texts: the template, filled in up to the
        answer; :class:`~skicl.ICLClassifier` reads them as they are with ``template="{text} {label}"``. A name must
        stand for the same estimator and grid whenever a run continues.
    task : {"algebra", "boolean", "code", "expression", "parity", "relation", "topic"}
        Subject of the problems.
    n_train : int, default=200
        Number of labelled problems to learn from; demonstrations are chosen among them.
    n_validation : int, default=100
        Number of labelled problems on which settings are chosen; they serve nothing else.
    n_test : int, default=200
        Number of test problems of each variant.
    n_repeats : int, default=3
        Number of repeats.
    train_variant : {"pattern", "conflict", "neutral"}, default="pattern"
        Variant of the problems for learning and validation.
    difficulty : {1, 2, 3}, default=2
        Length of the problems.
    n_answers : int or None, default=None
        Number of answers of tasks with numbers; None means 10.
    template : str or None, default=None
        Form in which all estimators read a problem, with ``{text}`` and at its end ``{label}``. None means the template
        of the task. A small language model may read only layouts like those it was trained on.
    curves : dict of {str: (str, list of float)}, default=None
        For estimators by name, a parameter and its values, such as ``{"LoRA": ("epochs", [1, 2, 4])}``. For every value
        the estimator is fitted anew, with all other parameters as chosen, and scored. Curves choose nothing.
    random_state : int, default=0
        Seed of the problems; an integer, so that a run can continue. Estimators with a ``random_state`` of None get the
        seed of the repeat.
    results_file : path-like, default=None
        CSV file to continue from and to write to. None: nothing is written.
    verbose : bool, default=False
        Show the progress.

    Returns
    -------
    ImplicitPatternStudy
        One record per repeat and estimator, and one for each value of a curve.

    Raises
    ------
    ValueError
        If a parameter is not valid, or `results_file` holds records of the same task and `n_train` made in another
        way.
    TypeError
        If an estimator is no classifier with `predict_proba`.
    FileNotFoundError
        If the folder of `results_file` does not exist.

    See Also
    --------
    ImplicitPatternDisplay : Clean against misleading problems, and learning curves, as pictures.
    skicl.datasets.make_implicit_pattern : The problems.

    References
    ----------
    .. [1] Yin et al. (2024), "Deeper insights without updates: the power of in-context learning over fine-tuning",
       Findings of EMNLP, arXiv 2410.04691.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skicl.evaluation import implicit_pattern_study
    >>> letters = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 4)), LogisticRegression())
    >>> grid = {"logisticregression__C": [1, 100]}
    >>> study = implicit_pattern_study({"letters": (letters, grid)}, "parity", n_train=100, n_repeats=2)
    >>> [(record["estimator"], record["repeat"]) for record in study]
    [('letters', 0), ('letters', 1)]
    >>> means = {row["measure"]: row["mean"] for row in study.summary()}
    >>> means["accuracy_pattern"] > 0.8, means["accuracy_conflict"] < 0.2
    (True, True)
    """
    learners = read_learners(estimators, curves)
    _check(
        train_variant,
        template,
        random_state,
        n_train=n_train,
        n_validation=n_validation,
        n_test=n_test,
        n_repeats=n_repeats,
    )
    design = Design(task, n_train, n_validation, n_test, train_variant, difficulty, n_answers, template)
    seeds = [int(np.random.SeedSequence([random_state, repeat]).generate_state(1)[0]) for repeat in range(n_repeats)]
    first = draw_splits(design, seeds[0])
    if n_train < len(first.answers):
        raise ValueError(f"`n_train`={n_train} must be at least the number of answers, {len(first.answers)}.")
    file = ResultsFile(results_file, _COLUMNS)
    digest = fingerprint(first.train.texts, first.validation.texts, *(part.texts for part in first.tests.values()))
    recorded = _recorded(file, task, digest, n_train)
    head = {"dataset": task, "task": digest, "k": n_train}
    n_fits = n_repeats * sum(learner.n_fits for learner in learners)
    records = []
    with progress_bar(n_fits, "implicit_pattern_study", verbose, unit="fit", unasked=False) as bar:
        for repeat, seed in enumerate(seeds):
            run = _Repeat(design, repeat, seed, head, file, recorded, bar)
            for learner in learners:
                bar.set_postfix_str(f"{task}, repeat {repeat}, {learner.name}", refresh=False)
                try:
                    records += run.records(learner)
                except Exception as error:
                    error.add_note(f"Estimator {learner.name!r}, task {task!r}, repeat {repeat}.")
                    raise
    return ImplicitPatternStudy(records)


class _Repeat:
    """One draw of the problems: makes the records that the file does not have."""

    def __init__(self, design, repeat, seed, head, file, recorded, bar):
        self.design, self.repeat, self.seed, self.head = design, repeat, seed, head
        self.file, self.recorded, self.bar = file, recorded, bar
        self._splits = None

    @property
    def splits(self):
        """The problems, drawn when they are first asked for."""
        if self._splits is None:
            self._splits = draw_splits(self.design, self.seed)
        return self._splits

    def records(self, learner):
        """The record of the chosen setting, then those of the curve."""
        key = (learner.name, self.repeat, "", None)
        if key not in self.recorded:
            chosen = choose(learner, self.splits, self.seed, self.bar.update)
            scores = {
                "validation_accuracy": chosen.accuracy,
                "validation_log_loss": chosen.log_loss,
                "fit_seconds": chosen.fit_seconds,
                "train_log_loss": np.nan,
            }
            self._keep(key, chosen.setting, scores | scores_of_tests(chosen.estimator, self.splits.tests))
        else:
            self.bar.update(len(learner.candidates))
        setting = self.recorded[key]["setting"]
        if learner.values and setting not in learner.candidates:
            raise ValueError(
                f"`results_file` records the setting {setting!r} for {learner.name!r}, which its grid does not have; "
                "pass the same grid, or choose another file."
            )
        for value in learner.values:
            self._add_point(learner, setting, value)
        keys = [key, *((learner.name, self.repeat, learner.parameter, float(value)) for value in learner.values)]
        return [self.recorded[key] for key in keys]

    def _add_point(self, learner, setting, value):
        """Fit and score one value of a curve, unless it is recorded."""
        key = (learner.name, self.repeat, learner.parameter, float(value))
        if key not in self.recorded:
            parameters = learner.candidates[setting] | {learner.parameter: value}
            estimator, seconds = fitted(learner, parameters, self.splits.train, self.seed)
            words, losses = answers(estimator, self.splits.validation)
            # As many as for validation: the two losses are then equally noisy.
            seen = self.splits.train[np.arange(min(len(self.splits.train.texts), len(words)))]
            scores = {
                "validation_accuracy": float((words == self.splits.validation.target).mean()),
                "validation_log_loss": float(losses.mean()),
                "fit_seconds": seconds,
                "train_log_loss": float(answers(estimator, seen)[1].mean()),
            }
            self._keep(key, setting, scores | scores_of_tests(estimator, self.splits.tests))
        self.bar.update()

    def _keep(self, key, setting, scores):
        """Write a record to the file."""
        name, repeat, parameter, value = key
        record = (
            self.head
            | scores
            | {
                "estimator": name,
                "repeat": repeat,
                "setting": setting,
                "curve": parameter,
                "value": np.nan if value is None else value,
                "n_classes": len(self.splits.answers),
                "n_queries": len(self.splits.tests["pattern"].texts),
            }
        )
        record = {column: record[column] for column in _COLUMNS}
        self.file.append(record)
        self.recorded[key] = record


def _recorded(file, task, digest, n_train):
    """Records of this task and number of problems in the file, by estimator, repeat and place on a curve."""
    same = [record for record in file.records if (record["dataset"], record["k"]) == (task, n_train)]
    if any(record["task"] != digest for record in same):
        raise ValueError(
            f"`results_file` {str(file.path)!r} holds records of the task {task!r} with n_train={n_train} that were "
            "made with other numbers of problems, another variant, difficulty or `random_state`; choose another file."
        )
    return {
        (record["estimator"], record["repeat"], record["curve"], record["value"] if record["curve"] else None): record
        for record in same
    }


def _check(train_variant, template, random_state, **counts):
    """Refuse parameters that the problems do not check themselves."""
    for name, count in counts.items():
        check_integer(count, name)
    check_choice(train_variant, "train_variant", VARIANTS)
    if not is_integer(random_state) or random_state < 0:
        raise ValueError(
            f"`random_state` must be an integer of at least 0, so that a run can continue, got {random_state!r}."
        )
    if template is not None and not is_template(template):
        raise ValueError(
            "`template` must be a text with {text} in it, {label} at its end and no other braces, such as "
            f"'Text: {{text}} Label: {{label}}', got {template!r}."
        )
