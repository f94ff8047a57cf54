"""Ctrl-C or a lack of memory at any step: the former state or the new one as a whole, in memory and in files."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from batteries.estimators import (
    NUMBERS,
    OTHER_NAMES,
    OTHER_NUMBERS,
    WINE,
    WORDS,
    Rows,
    alike,
    all_alike,
    answers_of,
    folder_of,
    sentences,
    subject_named,
    subjects_of,
    tart,
    together,
)
from batteries.interruptions import ERRORS, chosen_steps, run
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skicl import TartClassifier
from skicl._command_line._parser import main
from skicl.encoders import EmbeddingCache
from skicl.evaluation._results import ResultsFile
from skicl.reasoning import CausalConfig, CausalReasoner, load_reasoner, save_reasoner

FEW = {"n_even": 8, "n_last": 6}
MANY = {"n_even": 50, "n_last": 100}
# Fitted in milliseconds: interrupted at many steps in the slow part.
QUICK = ("TartClassifier", "TartClassifier, class_texts")


class State:
    """What an estimator says of itself and of queries, taken from one that nobody interrupted."""

    def __init__(self, subject, estimator, new):
        self.subject, self.new = subject, new
        self.facts, self.answers = facts_of(estimator), answers_of(subject, estimator, new, quick=True)

    def differs_from(self, estimator):
        """None, or in what an estimator differs."""
        facts = facts_of(estimator)
        wrong = {name for name in self.facts.keys() | facts if not equal(self.facts.get(name), facts.get(name))}
        if wrong:
            return {name: facts.get(name) for name in sorted(wrong)}
        try:
            found = answers_of(self.subject, estimator, self.new, quick=True)
        except Exception as error:
            return repr(error)
        wrong = [name for name, values in found.items() if not alike(values, self.answers[name])]
        return f"{wrong} answer wrongly" if wrong else None


def facts_of(estimator):
    """Fitted attributes that are plain values: classes_, n_features_in_, feature_names_in_, n_context_, ..."""
    fitted = {name: value for name, value in vars(estimator).items() if name.endswith("_") and name[0] != "_"}
    return {name: value for name, value in fitted.items() if isinstance(value, int | float | str | list | np.ndarray)}


def equal(one, other):
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return alike(one, other)
    return type(one) is type(other) and one == other


def is_fitted(estimator):
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def check_one_state(estimator, states, *, may_be_unfitted, when):
    """The estimator and its pickle are both of one of the states, and of the same one."""
    kinds = []
    for one in (estimator, pickle.loads(pickle.dumps(estimator))):
        if may_be_unfitted and not is_fitted(one):
            with pytest.raises(NotFittedError):
                answers_of(states[-1].subject, one, states[-1].new, quick=True)
            kinds.append(None)
            continue
        differences = [state.differs_from(one) for state in states]
        assert None in differences, f"interrupted {when}, it differs from the states by {differences}"
        kinds.append(differences.index(None))
    # Of encoders that learn nothing all states are one.
    assert kinds[0] == kinds[1], f"interrupted {when}, its pickle is of another state"


def check_interrupts(subject, start, change, before, after, amount, *, rows=None):
    """Interrupt a change of what ``start()`` makes at many steps; look at the outcome each time.

    A clone of the last one is fitted on ``rows``, those of the subject if there are none.
    """
    whole = start()
    _, n_steps, changes = run(lambda: change(whole), watch=whole)
    after = State(subject, whole, after)
    states = [after] if before is None else [State(subject, start(), before), after]
    for number, step in enumerate(chosen_steps(n_steps, changes, **amount)):
        estimator, error = start(), ERRORS[number % len(ERRORS)]
        came, *_ = run(lambda one=estimator: change(one), at=step, error=error)
        when = f"by {error.__name__} at step {step} of {n_steps}" if came else "in vain"
        check_one_state(estimator, states, may_be_unfitted=before is None, when=when)
        if number % 8 == 0:
            change(estimator)
            assert after.differs_from(estimator) is None, f"interrupted {when}, it cannot be fitted again"
    again = clone(estimator)
    assert not is_fitted(again)
    rows = subject.rows if rows is None else rows
    again.fit(rows.X, rows.y)
    fresh = clone(start()).set_params(**again.get_params()).fit(rows.X, rows.y)
    assert State(subject, fresh, rows.new).differs_from(again) is None, "its clone differs"


def warmed(subject, rows):
    """A function that makes fitted estimators which have answered before, as in a running service."""
    trained = subject.fitted(rows)

    def start():
        estimator = copy.deepcopy(trained)
        answers_of(subject, estimator, rows.new, quick=True)
        return estimator

    return start


def each_case(wanted=lambda subject: True):
    """Subjects and numbers of steps: few for all of them, many for the quick ones."""
    cases = []
    for subject in filter(wanted, subjects_of("interrupts")):
        marks = [pytest.mark.slow] if subject.is_variant else []
        cases.append(pytest.param(subject, FEW, id=f"{subject.name}-few", marks=marks))
        if subject.name in QUICK:
            cases.append(pytest.param(subject, MANY, id=f"{subject.name}-many", marks=pytest.mark.slow))
    return pytest.mark.parametrize(("subject", "amount"), cases)


AMOUNTS = pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"])


@each_case()
def test_an_interrupted_first_fit_leaves_it_unfitted_or_fitted(subject, amount):
    X, y, new = subject.rows
    check_interrupts(subject, subject.make, lambda one: one.fit(X, y), None, new, amount)


@each_case()
def test_an_interrupted_refit_leaves_the_old_or_the_new_state(subject, amount):
    start = warmed(subject, subject.rows)
    for number, rows in enumerate(subject.others.values()):
        some = amount if number == 0 or amount is MANY else {"n_even": 2, "n_last": 3}
        check_interrupts(
            subject, start, lambda one, rows=rows: one.fit(rows.X, rows.y), subject.rows.new, rows.new, some
        )


@each_case(lambda subject: hasattr(subject.cls, "partial_fit"))
def test_an_interrupted_partial_fit_leaves_the_old_or_the_new_context(subject, amount):
    X, y, new = subject.rows
    half = 2 * len(X) // 3
    start = warmed(subject, Rows(X[:half], y[:half], new))
    check_interrupts(subject, start, lambda one: one.partial_fit(X[half:], y[half:]), new, new, amount)


@each_case(lambda subject: subject.is_encoder)
def test_an_interrupted_fit_transform_leaves_the_old_or_the_new_state(subject, amount):
    start = warmed(subject, subject.rows)
    for rows in subject.others.values():
        check_interrupts(
            subject, start, lambda one, rows=rows: one.fit_transform(rows.X, rows.y), subject.rows.new, rows.new, amount
        )


@each_case()
def test_an_interrupted_answer_changes_nothing(subject, amount):
    """Also the first of a loaded estimator, which reads its rows anew."""
    trained, new = subject.fitted(), subject.rows.new
    check_interrupts(
        subject,
        lambda: pickle.loads(pickle.dumps(trained)),
        lambda one: answers_of(subject, one, quick=True),
        new,
        new,
        amount,
    )


@AMOUNTS
@pytest.mark.parametrize("back", [False, True], ids=["to texts", "to numbers"])
def test_an_interrupted_change_between_numbers_and_texts(back, amount):
    subject = subject_named("TartClassifier")
    frame = pd.DataFrame(WINE[::8], columns=[f"x{i}" for i in range(WINE.shape[1])])
    numbers = Rows(frame, NUMBERS.y, frame[:4])
    first, then = (WORDS, numbers) if back else (numbers, WORDS)
    encoders = {True: sentences(), False: None}

    def start():
        estimator = tart(encoder=encoders[back]).fit(first.X, first.y)
        return estimator.set_params(encoder=encoders[not back])

    def change(one):
        one.set_params(encoder=encoders[not back]).fit(then.X, then.y)

    check_interrupts(subject, start, change, first.new, then.new, amount, rows=then)


@AMOUNTS
def test_an_interrupted_refit_on_a_frame_keeps_the_names_of_the_columns(amount):
    subject = subject_named("TartClassifier")

    def frame(rows, letter):
        return Rows(
            *(
                pd.DataFrame(some, columns=[f"{letter}{i}" for i in range(some.shape[1])])
                if getattr(some, "ndim", 0) == 2
                else some
                for some in rows
            )
        )

    pairs = {"x": NUMBERS, "y": OTHER_NUMBERS["fewer columns"], "z": Rows(WINE[2::8], OTHER_NAMES[2::8], NUMBERS.new)}
    frames = [frame(rows, letter) for letter, rows in pairs.items()]
    for first, then in ((frames[0], frames[1]), (frames[1], frames[2]), (frames[0], NUMBERS), (NUMBERS, frames[0])):
        check_interrupts(
            subject, warmed(subject, first), lambda one, then=then: one.fit(then.X, then.y), first.new, then.new, amount
        )


@AMOUNTS
def test_an_interrupted_start_without_rows(amount):
    """A classifier that knows the names of its classes only, in place of one with rows and of none."""
    subject = subject_named("TartClassifier")
    vectors = {"bee": WINE[0], "cat": WINE[80], "dog": WINE[150]}

    def start():
        one = tart().fit(NUMBERS.X, NUMBERS.y)
        answers_of(subject, one, NUMBERS.new, quick=True)
        return one.set_params(class_texts=vectors)

    check_interrupts(
        subject,
        start,
        lambda one: one.set_params(class_texts=vectors).fit(None),
        NUMBERS.new,
        NUMBERS.new,
        amount,
        rows=OTHER_NUMBERS["other rows and labels"],
    )
    check_interrupts(
        subject,
        lambda: tart(class_texts=vectors).fit(None),
        lambda one: one.fit(OTHER_NUMBERS["other rows and labels"].X, OTHER_NUMBERS["other rows and labels"].y),
        NUMBERS.new,
        NUMBERS.new,
        amount,
        rows=OTHER_NUMBERS["other rows and labels"],
    )


# -- files -----------------------------------------------------------------------------------------


def each_step(call, amount, within=None):
    """Call ``call(run)`` for many steps; it runs the part to interrupt through its argument."""
    inside = {} if within is None else {"within": within}
    n_steps = []
    call(lambda part: n_steps.append(run(part, **inside)[1]))
    for number, step in enumerate(chosen_steps(n_steps[0], [], **amount)):
        error = ERRORS[number % len(ERRORS)]
        call(lambda part, step=step, error=error: run(part, at=step, error=error, **inside))


@AMOUNTS
def test_an_interrupted_record_is_in_the_results_file_or_not(tmp_path, amount):
    columns = ("dataset", "k", "accuracy")
    records = [{"dataset": "a, b", "k": k, "accuracy": 0.1 * k} for k in range(4)]

    def call(run_it):
        path = tmp_path / "results.csv"
        path.unlink(missing_ok=True)
        file = ResultsFile(path, columns)
        for record in records[:3]:
            file.append(record)
        run_it(lambda: file.append(records[3]))
        there = ResultsFile(path, columns).records
        assert there in (records[:3], records)
        assert file.records in (records[:3], there), "what is in memory is on the disk"
        if file.records == records[:3]:  # a run that goes on computes the record anew
            file.append(records[3])
            assert ResultsFile(path, columns).records == records
        assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]

    each_step(call, {"n_even": 40, "n_last": 40} if amount is FEW else MANY)


@AMOUNTS
def test_an_interrupted_curve_goes_on_where_it_was(tmp_path, amount):
    from sklearn.dummy import DummyClassifier

    from skicl.evaluation import few_shot_curve

    path = tmp_path / "curve.csv"

    def curve():
        # DummyClassifier has nothing of ours to interrupt, so all steps are the curve's own.
        return few_shot_curve(
            {"dummy": DummyClassifier()},
            WINE,
            load_wine(return_X_y=True)[1],
            k=(4, 8),
            n_repeats=2,
            results_file=path,
            random_state=0,
        )

    expected = pd.DataFrame(curve().records).drop(columns=["fit_seconds", "predict_seconds"])

    def call(run_it):
        path.unlink(missing_ok=True)
        run_it(curve)
        if path.exists():
            *columns, checksum = path.read_text().splitlines()[0].split(",")
            assert checksum == "checksum"
            assert len(ResultsFile(path, columns).records) <= len(expected)
        found = pd.DataFrame(curve().records).drop(columns=["fit_seconds", "predict_seconds"])
        pd.testing.assert_frame_equal(found, expected)

    each_step(call, {"n_even": 12, "n_last": 12} if amount is FEW else MANY)


@AMOUNTS
def test_an_interrupted_encoder_leaves_a_cache_that_tells_the_truth(tmp_path, amount):
    expected = sentences().fit_transform(WORDS.X)
    numbers = iter(range(10_000))

    def call(run_it):
        folder = tmp_path / str(next(numbers))
        for cache in (folder, EmbeddingCache(folder), EmbeddingCache()):
            encoder = sentences(cache=cache)
            run_it(lambda encoder=encoder: encoder.fit_transform(WORDS.X[:9]))
            (found,) = together(lambda encoder=encoder: clone(encoder).fit_transform(WORDS.X))
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    each_step(call, {"n_even": 15, "n_last": 15} if amount is FEW else {"n_even": 300, "n_last": 100})


@AMOUNTS
def test_an_interrupted_save_leaves_the_old_or_the_new_reasoner(tmp_path, amount):
    import torch

    def reasoner(seed):
        one = CausalReasoner(CausalConfig(n_features=4, n_points=10, n_channels=8, n_heads=2, n_layers=1))
        one.reset_parameters(torch.Generator().manual_seed(seed))
        return one

    path = tmp_path / "reasoner.safetensors"
    old, new = reasoner(0), reasoner(1)

    def same(one, other):
        return all(torch.equal(one.state_dict()[name], tensor) for name, tensor in other.state_dict().items())

    def call(run_it):
        save_reasoner(path, old)
        run_it(lambda: save_reasoner(path, new))
        there = load_reasoner(path)
        assert same(there, old) or same(there, new)
        assert [one.name for one in tmp_path.iterdir()] == [path.name]

    each_step(call, {"n_even": 30, "n_last": 30} if amount is FEW else MANY)


@AMOUNTS
def test_an_interrupted_command_leaves_the_old_table_or_the_new_one(tmp_path, amount, capsys):
    labelled, asked, out = (tmp_path / name for name in ("labelled.csv", "new.csv", "out.csv"))
    pd.DataFrame({"text": WORDS.X, "label": WORDS.y}).to_csv(labelled, index=False)
    pd.DataFrame({"text": WORDS.new}).to_csv(asked, index=False)
    command = [
        "classify",
        "--train",
        labelled,
        "--text-column",
        "text",
        "--label-column",
        "label",
        "--predict",
        asked,
        "--out",
        out,
        "--encoder",
        folder_of("sentence"),
        "--device",
        "cpu",
    ]
    old = "an earlier table\n"
    out.write_text(old)
    assert main([str(part) for part in command]) == 0
    new = out.read_text()

    def call(run_it):
        out.write_text(old)
        run_it(lambda: main([str(part) for part in command]))
        capsys.readouterr()
        assert out.read_text() in (old, new)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.csv", "new.csv", "out.csv"]

    each_step(call, {"n_even": 12, "n_last": 20} if amount is FEW else MANY)


def test_the_interruptions_come_where_they_are_asked_for():
    """The machinery itself: it sees the half-changed state of a class that changes in two steps."""
    classifier = TartClassifier(encoder=None, device="cpu").fit(NUMBERS.X, NUMBERS.y)
    came, n_steps, changes = run(lambda: classifier.fit(NUMBERS.X, NUMBERS.y), watch=classifier)
    assert not came
    assert n_steps > 100
    assert changes
    came, steps, _ = run(lambda: classifier.fit(NUMBERS.X, NUMBERS.y), at=n_steps // 2, error=ERRORS[0])
    assert came
    assert steps == n_steps // 2
    assert all_alike({}, {})
