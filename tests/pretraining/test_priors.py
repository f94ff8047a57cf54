"""Priors: seeded, of the sizes asked for, with contexts that hold what they promise."""

import pytest
import torch

from skicl.pretraining import EmbeddingPrior, Sizes
from skicl.pretraining._priors import (
    Draw,
    _logistic,
    class_directions,
    concentrate,
    confuse,
    context_order,
    flip_labels,
    sample_relevance,
    sample_spectra,
    sample_tasks,
    side_scores,
)


def draw(seed=0):
    return Draw(torch.Generator().manual_seed(seed))


def equal(a, b):
    return all((x is None and y is None) or (x == y if isinstance(x, int) else torch.equal(x, y)) for x, y in zip(a, b))


def test_same_seed_same_tasks_and_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    prior = EmbeddingPrior(max_labelled=64)
    for seed in range(20):
        first = prior.sample(torch.Generator().manual_seed(seed))
        assert equal(first, prior.sample(torch.Generator().manual_seed(seed)))
        assert not torch.equal(first.X, prior.sample(torch.Generator().manual_seed(seed + 100)).X[:1])
    assert torch.equal(torch.get_rng_state(), state)


def test_tasks_are_finite_and_consistent():
    prior = EmbeddingPrior(max_labelled=128, unlabelled_share=0.5, side_share=0.5)
    kinds = set()
    for seed in range(60):
        tasks = prior.sample(torch.Generator().manual_seed(seed))
        n_tasks, n_context, n_features = tasks.X.shape
        assert tasks.X_query.shape == (n_tasks, prior.n_queries, n_features)
        assert tasks.y.shape == (n_tasks, n_context)
        assert torch.isfinite(tasks.X).all()
        assert torch.isfinite(tasks.X_query).all()
        assert int(tasks.y.max()) < tasks.n_classes <= prior.max_classes
        assert int(tasks.y.min()) >= -1
        if tasks.side is not None:
            assert tasks.side.shape == (n_tasks, n_context, tasks.n_classes)
            assert torch.isfinite(tasks.side_query).all()
        kinds.add((bool((tasks.y < 0).any()), tasks.side is not None))
    assert len(kinds) == 4  # with and without unlabelled rows and side scores


def test_queries_of_a_class_without_examples_are_not_asked_for():
    for seed in range(30):
        tasks = EmbeddingPrior(max_labelled=32, side_share=0.0).sample(torch.Generator().manual_seed(seed))
        for y, y_query in zip(tasks.y, tasks.y_query):
            assert set(y_query[y_query >= 0].tolist()) <= set(y[y >= 0].tolist())


def test_the_context_starts_with_one_row_of_every_class_in_most_tasks():
    y = torch.randint(0, 5, (400, 60), generator=torch.Generator().manual_seed(1))
    order = context_order(draw(), y, Sizes(400, 30, 0, 30, 2, 5))
    assert (order.sort(1).values == torch.arange(60)).all()
    complete = [len(set(row[:5].tolist())) == 5 for row in y.gather(1, order)]
    assert 0.75 < sum(complete) / 400 < 0.95
    counts = torch.nn.functional.one_hot(y.gather(1, order)[:, :20], 5).sum(1)
    balanced = (counts == 4).all(1).float().mean()
    assert 0.15 < balanced < 0.35


def test_spectra_and_relevance_are_normalised():
    spread = sample_spectra(draw(), 50, 64)
    torch.testing.assert_close(spread.square().mean(1), torch.ones(50))
    assert (spread[:, :-1] >= spread[:, 1:]).all()
    relevance = sample_relevance(draw(), spread)
    torch.testing.assert_close(relevance.sum(1), torch.ones(50))
    assert (relevance >= 0).all()


def test_label_noise_stays_within_its_bounds():
    y = torch.randint(0, 2, (500, 200), generator=torch.Generator().manual_seed(0))
    changed = (flip_labels(draw(), y, 2) != y).float().mean(1)
    assert 0.6 < (changed == 0).float().mean() < 0.85
    assert ((changed > 0) & (changed < 0.3)).float().mean() > 0.15
    assert (changed > 0.35).float().mean() < 0.06  # the few tasks without any signal


def test_confused_rows_take_the_label_of_the_nearest_class_in_some_tasks():
    y = torch.randint(0, 4, (400, 300), generator=torch.Generator().manual_seed(0))
    centres = torch.tensor([[0.0], [1.0], [5.0], [6.0]]).expand(400, -1, -1)
    confused = confuse(draw(), y, centres)
    changed = confused != y
    assert (confused[changed] == torch.tensor([1, 0, 3, 2])[y[changed]]).all()
    share = changed.float().mean(1)
    assert 0.6 < (share == 0).float().mean() < 0.8
    assert 0.2 < share.max() < 0.6


def test_concentrated_relevance_keeps_the_first_directions_of_most_tasks():
    relevance = torch.full((300, 32), 1 / 32)
    kept = (concentrate(draw(), relevance, 8) > 0).sum(1)
    assert (concentrate(draw(), relevance, 8)[:, 0] > 0).all()
    assert ((kept <= 8) | (kept == 32)).all()
    assert 0.55 < (kept <= 8).float().mean() < 0.8


def test_logistic_tasks_have_the_noise_of_the_paper():
    """Bayes' error of TART's tasks lies between 1.4 % at alpha = 10 and 22.7 % at 0.5, whatever the dimension."""
    for n_features in (16, 128):
        X, y = _logistic(draw(), Sizes(200, 8, 0, 8, n_features, 2), 4 * n_features)
        assert abs(X.std() - 1) < 0.02
        signs = 2.0 * y - 1
        weights = (signs[:, :, None] * X).mean(1)  # proportional to the true ones, with noise
        agreement = ((X @ weights[..., None])[..., 0].sign() == signs).float().mean(1)
        assert agreement.mean() > 0.7
        assert agreement.min() < 0.9 < agreement.max()


def test_contexts_without_any_label_have_names_and_unlabelled_rows():
    prior, found = EmbeddingPrior(max_labelled=32, side_share=1.0, unlabelled_share=1.0), 0
    for seed in range(60):
        tasks = prior.sample(torch.Generator().manual_seed(seed))
        if not (tasks.y >= 0).any():
            found += 1
            assert tasks.side is not None
            assert tasks.X.shape[1] >= 16
    assert 0 < found < 20


def test_names_of_classes_hint_at_them_and_some_lie():
    n_tasks, n_classes = 300, 4
    y = torch.randint(0, n_classes, (n_tasks, 200), generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    centres = 3 * torch.randn(n_tasks, n_classes, 16, generator=generator)
    X = centres.gather(1, y[..., None].expand(-1, -1, 16)) + torch.randn(n_tasks, 200, 16, generator=generator)
    scores = side_scores(draw(), X, class_directions(X, y, n_classes))
    accuracy = (scores.argmax(-1) == y).float().mean(1)
    assert accuracy.max() > 0.95
    assert accuracy.min() < 0.1
    assert accuracy.mean() > 0.4


@pytest.mark.parametrize("n_classes", [2, 7])
def test_tasks_can_be_learned(n_classes):
    """A nearest-centroid rule beats chance on average: the labels depend on the rows."""
    right = []
    for seed in range(12):
        tasks = sample_tasks(draw(seed), Sizes(8, 100, 0, 50, 16, n_classes), False)
        one_hot = torch.nn.functional.one_hot(tasks.y, n_classes).float()
        centres = one_hot.mT @ tasks.X / one_hot.sum(1)[..., None].clamp_min(1)
        nearest = torch.cdist(tasks.X_query, centres).argmin(-1)
        right.append((nearest == tasks.y_query).float().mean())
    assert torch.stack(right).mean() > 1.3 / n_classes
