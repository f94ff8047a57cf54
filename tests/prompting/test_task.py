import pickle
from functools import cache

import numpy as np
import pytest
from prompting.tiny_causal_models import pair_of
from scipy.special import log_softmax

from skicl._models._language_model import LanguageModel
from skicl.prompting import (
    AffineCalibration,
    BatchCalibration,
    ContextualCalibration,
    DomainCalibration,
    NearestDemonstrations,
    PromptTemplate,
    RandomDemonstrations,
    StratifiedDemonstrations,
    Verbalizer,
)
from skicl.prompting._task import PromptedTask, Recipe

ROWS = [(f"{word} {number}",) for number in range(4) for word in ("late parcel", "wrong bill")]
CODES = np.array([0, 1] * 4)
QUERIES = [("my parcel",), ("the bill is wrong",), ("",)]
WORDS = [["delivery"], ["billing"]]


@cache
def model():
    return LanguageModel(*pair_of("llama"))


def fitted(rows=ROWS, codes=CODES, **changes):
    recipe = Recipe(PromptTemplate(), Verbalizer(), WORDS, StratifiedDemonstrations(k=2))._replace(**changes)
    return PromptedTask(recipe, ("text",)).fit(model(), rows, codes)


def proba(task, rows=QUERIES):
    return np.exp(task.scores(model(), rows).log_proba)


def words_after(plan, row, **changes):
    """Normalised scores of one row after some demonstrations, from a task that shows nothing else."""
    other = fitted(selector=None, **changes)
    return other._words_of(other._prompts.score([row], [plan]))[0]


def test_scores_are_those_of_the_plan():
    task = fitted()
    scores = task.scores(model(), QUERIES)
    np.testing.assert_allclose(np.exp(scores.log_proba).sum(axis=1), 1)
    for row, found in zip(QUERIES, scores.log_proba):
        np.testing.assert_allclose(found, words_after(task.plan_, row), atol=1e-4)
    assert ((scores.mass > 0) & (scores.mass < 1)).all()


def test_demonstrations_for_every_query():
    task = fitted(selector=NearestDemonstrations(k=2))
    assert task.plan_ is None
    for row, found in zip(QUERIES, task.scores(model(), QUERIES).log_proba):
        plan = tuple(task.selector.select([row[0]])[0].tolist())
        np.testing.assert_allclose(found, words_after(plan, row), atol=1e-4)


@pytest.mark.parametrize("selector", [StratifiedDemonstrations(k=4), NearestDemonstrations(k=3)])
def test_no_training_row_sees_its_own_label(selector):
    """Calibration reads a training row after demonstrations without it: its own label changes nothing."""
    task = fitted(selector=selector)
    plans = task._training_plans(list(range(len(ROWS))))
    assert all(i not in plan for i, plan in enumerate(plans))


@pytest.mark.parametrize(
    "selector",
    [StratifiedDemonstrations(k=8), StratifiedDemonstrations(k=6), NearestDemonstrations(k=6, per_class=True)],
)
def test_what_a_training_row_is_read_after_does_not_tell_its_label(selector):
    """As many demonstrations of each class for all; without the row alone, its class would be the rarer one."""
    task = fitted(selector=selector)
    plans = task._training_plans(list(range(len(ROWS))))
    whole = [task.plan_] * len(ROWS) if task.plan_ is not None else task._plans(ROWS)
    shown = {tuple(np.bincount(CODES[list(plan)])) for i, plan in enumerate(plans) if i in whole[i]}
    assert len(shown) == 1
    assert len(set(shown.pop())) == 1
    assert all(plan == all_of_it for i, (plan, all_of_it) in enumerate(zip(plans, whole)) if i not in all_of_it)


def test_demonstrations_that_vary_from_row_to_row_are_left_as_they_are():
    """Their classes are as mixed as those of the neighbours; leaving out more of them would tell the label."""
    task = fitted(selector=NearestDemonstrations(k=3))
    whole = task._plans(ROWS)
    assert len({tuple(np.bincount(CODES[list(plan)], minlength=2)) for plan in whole}) > 1
    expected = [tuple(one for one in plan if one != i) for i, plan in enumerate(whole)]
    assert task._training_plans(list(range(len(ROWS)))) == expected


def test_shift_calibrations_take_off_what_they_read():
    plain = fitted()
    raw = plain.scores(model(), QUERIES).log_proba
    for calibrator in (ContextualCalibration(), DomainCalibration(n_texts=3)):
        probes = calibrator.probes(ROWS)
        bias = np.mean([words_after(plain.plan_, probe) for probe in probes], axis=0)
        found = np.exp(fitted(calibrator=calibrator).scores(model(), QUERIES).log_proba)
        expected = np.exp(raw - bias)
        np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)


def test_batch_calibration_reads_the_training_rows():
    plain, task = fitted(), fitted(calibrator=BatchCalibration())
    left = [tuple(i for i in plain.plan_ if i != number) for number in range(len(ROWS))]
    mean = np.mean([words_after(plan, row) for plan, row in zip(left, ROWS)], axis=0)
    np.testing.assert_allclose(task._calibrator.bias_, mean, atol=1e-4)
    np.testing.assert_allclose(proba(task)[:1], proba(task, QUERIES[:1]), atol=1e-5)


def test_affine_calibration_learns_the_labels_of_the_training_rows():
    from sklearn.metrics import log_loss

    before, after = fitted(), fitted(calibrator=AffineCalibration(C=10.0))
    assert log_loss(CODES, proba(after, ROWS)) < log_loss(CODES, proba(before, ROWS))


@pytest.mark.parametrize("readout", ["label_words", "reasoner", "hidden_centroid", "knn"])
def test_pickles_of_what_was_loaded(readout):
    task = fitted(readout=readout)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(task))))
    np.testing.assert_allclose(proba(again), proba(task), atol=1e-5)


def test_an_interrupt_while_anchors_are_read_anew_leaves_nothing_half_made(monkeypatch):
    task = fitted(readout="hidden_centroid")
    expected, again = proba(task), pickle.loads(pickle.dumps(task))

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PromptedTask, "_listen", interrupted)
        with pytest.raises(KeyboardInterrupt):
            proba(again)
    np.testing.assert_allclose(proba(again), expected, atol=1e-5)


def test_a_transductive_calibration_looks_at_the_whole_call():
    queries = [(f"parcel {i}" if i < 200 else f"wrong bill {i}",) for i in range(300)]
    for readout in ("label_words", "knn"):
        task = fitted(calibrator=BatchCalibration(transductive=True), readout=readout)
        plain = np.log(proba(fitted(readout=readout), queries))
        expected = log_softmax(plain - plain.mean(axis=0), axis=1)
        np.testing.assert_allclose(np.log(proba(task, queries)), expected, atol=1e-4)


def test_a_copy_of_a_demonstration_is_not_read_after_it():
    for selector in (StratifiedDemonstrations(k=4), NearestDemonstrations(k=3)):
        task = fitted(ROWS + ROWS, np.concatenate([CODES, CODES]), selector=selector)
        rows = ROWS + ROWS
        plans = task._training_plans(list(range(len(rows))))
        assert all(rows[i] not in [rows[j] for j in plan] for i, plan in enumerate(plans))


@pytest.mark.parametrize("readout", ["hidden_centroid", "knn"])
def test_readouts(readout):
    task = fitted(readout=readout, selector=StratifiedDemonstrations(k=2))
    found = proba(task)
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found - proba(fitted())).max() > 0.01
    many = proba(task, QUERIES * 100)
    np.testing.assert_allclose(many, np.tile(found, (100, 1)), atol=1e-4)
    again = pickle.loads(pickle.dumps(task))
    assert again._readout is None
    np.testing.assert_allclose(proba(again), found, atol=1e-5)
    with pytest.raises(ValueError, match=r"needs a labelled row of every class.*'other'"):
        fitted(readout=readout, words=[*WORDS, ["other"]])


def test_pickles_keep_no_part_of_the_model():
    task = fitted(calibrator=BatchCalibration())
    data = pickle.dumps(task)
    assert len(data) < 3000
    np.testing.assert_allclose(proba(pickle.loads(data)), proba(task), atol=1e-6)
    again = pickle.loads(pickle.dumps(pickle.loads(data)))
    np.testing.assert_allclose(proba(again), proba(task), atol=1e-6)


def test_pickles_hold_the_rows_that_prompts_show():
    more = [(f"another row {i}",) for i in range(500)]
    task = fitted(ROWS + more, np.array([*CODES, *([0, 1] * 250)]))
    assert len(pickle.dumps(task)) < 3000
    np.testing.assert_allclose(proba(pickle.loads(pickle.dumps(task))), proba(task), atol=1e-6)
    nearest = fitted(selector=NearestDemonstrations(k=2))
    np.testing.assert_allclose(proba(pickle.loads(pickle.dumps(nearest))), proba(nearest), atol=1e-6)


def test_another_model_object_is_read_anew():
    task, expected = fitted(), proba(fitted())
    other = LanguageModel(*pair_of("llama", seed=3))
    assert np.abs(np.exp(task.scores(other, QUERIES).log_proba) - expected).max() > 1e-3
    np.testing.assert_allclose(proba(task), expected, atol=1e-6)


def test_order_of_an_ensemble_member():
    one, other = (fitted(selector=RandomDemonstrations(k=6), shuffle=seed) for seed in (None, 1))
    assert one.plan_ != other.plan_
    assert sorted(one.plan_) == sorted(other.plan_)


def test_domain_prompt():
    own = Verbalizer(normalize="pmi", domain_prompt="Topic:")
    for verbalizer in (Verbalizer(normalize="pmi"), own):
        task = fitted(verbalizer=verbalizer)
        prior = task._prompts.score_text(verbalizer.domain_prompt or "Label:")
        raw = task._prompts.score(QUERIES, [task.plan_] * 3).log_probs - prior
        expected = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(proba(task), expected, atol=1e-4)
    with pytest.raises(ValueError, match="`domain_prompt` is None"):
        fitted(template=PromptTemplate("{text} {label}"), verbalizer=Verbalizer(normalize="pmi"))


def test_without_rows():
    task = fitted([], np.zeros(0, int))
    assert task.plan_ == ()
    np.testing.assert_allclose(proba(task), np.exp([words_after((), row) for row in QUERIES]), atol=1e-4)
    assert proba(fitted([], np.zeros(0, int), calibrator=ContextualCalibration())).shape == (3, 2)
    for calibrator in (BatchCalibration(), DomainCalibration(), AffineCalibration()):
        with pytest.raises(ValueError, match="needs training rows"):
            fitted([], np.zeros(0, int), calibrator=calibrator)


class FixedBias:
    """A calibrator of the user, known by what it declares and not by its name."""

    def __init__(self, needs_rows):
        self.needs_rows = needs_rows

    def get_params(self, deep=False):
        return {"needs_rows": self.needs_rows}

    def probes(self, rows):
        return [("",) * len(rows[0])]

    def fit(self, log_proba, y=None):
        return self

    def transform(self, log_proba):
        return log_softmax(np.asarray(log_proba) + [1.0, 0.0], axis=1)


def test_a_calibrator_of_the_user_declares_whether_it_needs_rows():
    plain = proba(fitted([], np.zeros(0, int)))
    moved = proba(fitted([], np.zeros(0, int), calibrator=FixedBias(needs_rows=False)))
    np.testing.assert_allclose(moved[:, 0] / moved[:, 1], np.e * plain[:, 0] / plain[:, 1], rtol=1e-6)
    with pytest.raises(ValueError, match=r"FixedBias needs training rows.*`needs_rows = False`"):
        fitted([], np.zeros(0, int), calibrator=FixedBias(needs_rows=True))


def test_a_window_without_room_for_any_row_is_refused():
    with pytest.raises(ValueError, match=r"even the shortest .* \d+ tokens .* 10 fit"):
        fitted(window=10)


def test_one_long_row_does_not_cost_the_others_their_demonstrations():
    rows = [*ROWS, *ROWS[:4], ("late " * 150,)]
    codes = np.array([*CODES, *CODES[:4], 0])
    selector = _First(4)
    assert len(fitted(rows, codes, selector=selector, window=300).plan_) == 4


class _First(RandomDemonstrations):
    def select(self, X):
        return np.arange(self.k)


def test_scorer_of_learned_selectors():
    task = fitted()
    found = task._scorer([5, 2], [0, 7])
    np.testing.assert_allclose(found, [words_after((5, 2), ROWS[0]), words_after((5, 2), ROWS[7])], atol=1e-4)
