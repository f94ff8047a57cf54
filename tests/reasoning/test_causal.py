"""The paper's reasoner: what holds exactly although the network itself depends on the order of its context."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from skicl import TartClassifier
from skicl.pretraining import LogisticPrior
from skicl.reasoning import (
    CausalConfig,
    CausalReasoner,
    Evidence,
    load_reasoner,
    map_tensors,
    read_card,
    save_reasoner,
)
from skicl.reasoning._causal_network import CausalNetwork

SMALL = CausalConfig(n_features=8, n_points=20, n_channels=16, n_heads=2, n_layers=2)
TASKS, ROWS, QUERIES, FEATURES = 2, 50, 7, 30


@pytest.fixture(scope="module")
def reasoner():
    reasoner = CausalReasoner(SMALL)
    reasoner.reset_parameters(torch.Generator().manual_seed(0))
    return reasoner.double().eval().requires_grad_(False)


@pytest.fixture(params=[2, 3])
def evidence(request):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(TASKS, ROWS, FEATURES, dtype=torch.float64, generator=generator)
    return Evidence(X, torch.randint(0, request.param, (TASKS, ROWS), generator=generator), request.param)


@pytest.fixture
def queries():
    return torch.randn(TASKS, QUERIES, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_queries_are_independent(reasoner, evidence, queries, monkeypatch):
    context = reasoner.encode(evidence)
    together = reasoner.score(context, queries)
    assert together.shape == (TASKS, QUERIES, evidence.n_classes)
    alone = [reasoner.score(context, queries[:, [i]]) for i in range(QUERIES)]
    torch.testing.assert_close(torch.cat(alone, 1), together)
    torch.testing.assert_close(reasoner.score(context, queries.flip(1)).flip(1), together)
    torch.testing.assert_close(reasoner(evidence, queries), together)
    monkeypatch.setattr("skicl.reasoning._causal.WEIGHTS_AT_A_TIME", 1)  # one sequence at a time
    torch.testing.assert_close(reasoner.score(context, queries), together)


def test_layers_are_read_as_if_they_were_the_last(reasoner, evidence, queries):
    layers = reasoner.score_all_layers(reasoner.encode(evidence), queries)
    assert len(layers) == SMALL.n_layers
    assert torch.equal(layers[-1], reasoner(evidence, queries))
    first = CausalReasoner(replace(SMALL, n_layers=1)).double()
    first.load_state_dict({name: reasoner.state_dict()[name] for name in first.state_dict()})
    torch.testing.assert_close(layers[0], first(evidence, queries))


def test_the_order_of_the_context_does_not_matter(reasoner, evidence, queries):
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(3))
    shuffled = evidence._replace(X=evidence.X[:, order], y=evidence.y[:, order])
    torch.testing.assert_close(reasoner(shuffled, queries), reasoner(evidence, queries))


def test_the_network_itself_depends_on_the_order():
    """Why the order is computed: the law is none of the network's."""
    network = CausalNetwork(3, 12, 16, 2, 2)
    network.reset_parameters(torch.Generator().manual_seed(0))
    X = torch.randn(1, 12, 3, generator=torch.Generator().manual_seed(1))
    y = torch.arange(12)[None] % 2
    order = torch.cat([torch.arange(10, -1, -1), torch.tensor([11])])
    assert (network(X[:, order], y[:, order])[:, -1] - network(X, y)[:, -1]).abs() > 1e-4


def test_rotating_moving_and_scaling_features_changes_nothing(reasoner, evidence, queries):
    rotation = torch.linalg.qr(
        torch.randn(FEATURES, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    ).Q
    moved = evidence._replace(X=3 * evidence.X @ rotation + 1)
    torch.testing.assert_close(reasoner(moved, 3 * queries @ rotation + 1), reasoner(evidence, queries))


def test_renaming_classes_permutes_the_logits(reasoner, evidence, queries):
    renamed = evidence._replace(y=(evidence.y + 1) % evidence.n_classes)
    torch.testing.assert_close(reasoner(renamed, queries).roll(-1, 2), reasoner(evidence, queries))


def test_a_row_of_weight_two_is_two_rows_and_one_of_weight_zero_none(reasoner, evidence, queries):
    weight = torch.randint(0, 3, (ROWS,), generator=torch.Generator().manual_seed(5))
    rows = torch.arange(ROWS).repeat_interleave(weight)
    repeated = Evidence(evidence.X[:, rows], evidence.y[:, rows], evidence.n_classes)
    weighted = evidence._replace(weight=weight.double().expand(TASKS, -1))
    torch.testing.assert_close(reasoner(weighted, queries), reasoner(repeated, queries))


def test_tasks_of_a_batch_are_independent_whatever_their_weights(reasoner, evidence, queries):
    weight = torch.ones(TASKS, ROWS, dtype=torch.float64)
    weight[1, :30] = 0.0
    together = reasoner(evidence._replace(weight=weight), queries)
    for i in range(TASKS):
        one = Evidence(evidence.X[i : i + 1], evidence.y[i : i + 1], evidence.n_classes, weight[i : i + 1])
        torch.testing.assert_close(reasoner(one, queries[i : i + 1]), together[i : i + 1])


def test_unlabelled_rows_shape_the_axes_alone(reasoner, evidence, queries):
    y = torch.where(torch.arange(ROWS) < 12, evidence.y, -1)
    context = reasoner.encode(evidence._replace(y=y))
    assert context.lengths.flatten().tolist() == [12, 12]
    without = reasoner(Evidence(evidence.X[:, :12], y[:, :12], evidence.n_classes), queries)
    assert not torch.allclose(reasoner.score(context, queries), without, atol=1e-3)


def test_long_contexts_are_averaged_over_blocks(reasoner, evidence, queries):
    context = reasoner.encode(evidence)
    assert context.lengths[..., 0].tolist() == [[17, 17, 16]] * TASKS
    assert context.layers[0].keys.shape[0] == TASKS * 3 * evidence.n_classes
    long = Evidence(evidence.X.repeat(1, 20, 1), evidence.y.repeat(1, 20), evidence.n_classes)
    assert int(reasoner.encode(long).lengths.sum(1).max()) == 8 * (SMALL.n_points - 1)


def test_two_classes_are_read_both_ways(reasoner, queries):
    X = torch.randn(1, 10, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    one_class = reasoner(Evidence(X, torch.zeros(1, 10, dtype=torch.long), 2), queries[:1])
    other = reasoner(Evidence(X, torch.ones(1, 10, dtype=torch.long), 2), queries[:1])
    torch.testing.assert_close(one_class.flip(2), other)


def test_outside_scores_are_refused(reasoner, evidence):
    side = torch.zeros(TASKS, ROWS, evidence.n_classes)
    with pytest.raises(ValueError, match="`side` must be None"):
        reasoner.encode(evidence._replace(side=side))


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`n_channels` must be a multiple of `n_heads`, got 10 and 4"):
        CausalReasoner(replace(SMALL, n_channels=10, n_heads=4))


def test_a_shortened_one_reads_short_contexts_alike_and_longer_ones_in_more_blocks(reasoner, evidence, queries):
    short = reasoner.shortened(13)
    few = evidence._replace(X=evidence.X[:, :12], y=evidence.y[:, :12])
    assert torch.equal(short(few, queries), reasoner(few, queries))
    assert short.encode(evidence).lengths[..., 0].tolist() == [[10] * 5] * TASKS
    for n_points in (1, SMALL.n_points + 1):
        with pytest.raises(ValueError, match="`n_points` must be from 2 to 20"):
            reasoner.shortened(n_points)


def test_a_saved_and_loaded_one_scores_alike(reasoner, evidence, queries, tmp_path):
    save_reasoner(tmp_path / "causal.safetensors", reasoner, {"steps": 1})
    loaded = load_reasoner(tmp_path / "causal.safetensors")
    assert loaded.config == SMALL
    torch.testing.assert_close(loaded.double()(evidence, queries), reasoner(evidence, queries), atol=1e-4, rtol=1e-4)


def test_a_moved_context_scores_like_the_original(reasoner, evidence, queries):
    context = reasoner.encode(evidence)
    copied = map_tensors(torch.clone, context)
    assert torch.equal(reasoner.score(copied, queries), reasoner.score(context, queries))


def rows_of_three_classes():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 3
    centres = rng.normal(size=(3, 12))
    return rng.normal(size=(40, 12)) + centres[y], np.array(["red", "green", "blue"])[y], rng.normal(size=(9, 12))


def test_a_classifier_takes_it_by_path(reasoner, tmp_path):
    save_reasoner(tmp_path / "mine.safetensors", reasoner)
    X, y, Q = rows_of_three_classes()
    classifier = TartClassifier(reasoner=tmp_path / "mine.safetensors").fit(X, y)
    proba = classifier.predict_proba(Q)
    np.testing.assert_allclose(proba.sum(1), 1)
    order = np.random.default_rng(1).permutation(40)
    again = TartClassifier(reasoner=tmp_path / "mine.safetensors").fit(X[order], y[order])
    np.testing.assert_allclose(again.predict_proba(Q), proba, atol=1e-8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(Q), proba)
    parts = TartClassifier(reasoner=tmp_path / "mine.safetensors", batch_size=2)
    parts.partial_fit(X[:20], y[:20], classes=["red", "green", "blue"]).partial_fit(X[20:], y[20:])
    np.testing.assert_allclose(parts.predict_proba(Q), proba, atol=1e-8)


def test_influences_are_those_of_fitting_again(reasoner):
    X, y, Q = rows_of_three_classes()
    classifier = TartClassifier(reasoner=reasoner, standardize=False).fit(X, y)
    influence = classifier.context_influence(Q, rows=[3, 8])
    for number, row in enumerate((3, 8)):
        kept = np.arange(40) != row
        without = TartClassifier(reasoner=reasoner, standardize=False).fit(X[kept], y[kept])
        expected = classifier.predict_log_proba(Q) - without.predict_log_proba(Q)
        np.testing.assert_allclose(influence[:, number], expected, atol=1e-8)


def test_names_of_classes_and_priors_are_refused_before_any_work(reasoner):
    X, y, _ = rows_of_three_classes()
    for name, value in {"class_texts": dict.fromkeys(y, X[0]), "prior": LogisticRegression()}.items():
        with pytest.raises(ValueError, match=f"`{name}` must be None with the reasoner"):
            TartClassifier(reasoner=reasoner, **{name: value}).fit(X, y)


@pytest.mark.parametrize(("n_rows", "least"), [(16, 0.70), (64, 0.85), (250, 0.92)])
def test_the_bundled_network_knows_its_own_tasks(n_rows, least):
    """Bayes has 75, 90 and 96 %, the better of averaging and chance 72, 82 and 90 %."""
    X, y, _ = LogisticPrior(n_points=n_rows + 50, n_sequences=60).sample(torch.Generator().manual_seed(3))
    with torch.inference_mode():
        found = load_reasoner("tart-paper").query_log_odds(X[:, :n_rows], y[:, :n_rows], X[:, n_rows:])
    assert ((found > 0).long() == y[:, n_rows:]).float().mean() > least


def test_log_odds_of_queries_are_those_of_the_next_point_of_a_sequence(reasoner):
    generator = torch.Generator().manual_seed(7)
    X = torch.randn(3, 12, SMALL.n_features, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 2, (3, 12), generator=generator)
    queries = torch.randn(3, 4, SMALL.n_features, dtype=torch.float64, generator=generator)
    for at in range(4):
        points, labels = torch.cat([X, queries[:, [at]]], 1), torch.cat([y, y[:, :1]], 1)
        torch.testing.assert_close(
            reasoner.query_log_odds(X, y, queries)[:, at], reasoner.sequence_log_odds(points, labels)[:, -1]
        )
    layers = reasoner.query_log_odds(X, y, queries, all_layers=True)
    assert layers.shape == (SMALL.n_layers, 3, 4)
    assert torch.equal(layers[-1], reasoner.query_log_odds(X, y, queries))


def test_the_bundled_weights_have_the_positions_of_the_paper_and_a_complete_card():
    reasoner, card = load_reasoner("tart-paper"), read_card("tart-paper")
    assert (reasoner.config.n_features, reasoner.config.n_points) == (16, 258)
    assert {"prior", "schedule", "steps", "tasks", "seconds", "hardware", "evaluation", "earlier_stages"} <= set(card)
    scores = card["evaluation"]["accuracy and log-loss by rows"]
    assert all(scores[n]["network"]["accuracy"] > scores[n]["bayes"]["accuracy"] - 0.03 for n in scores)


@parametrize_with_checks(
    [TartClassifier(reasoner="tart-paper")],
    expected_failed_checks=lambda estimator: {
        "check_class_weight_classifiers": "its prior has no intercept: a context of one class is not given everywhere"
    },
)
def test_the_classifier_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
