"""Side scores: symmetries, limits, and what happens where there is nothing to measure."""

import numpy as np
import pytest
import torch

from skicl._tart._side_scores import FARTHEST_SCORE, PSEUDO_ROWS, fit_side_scorer


def tensor(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.fixture
def context():
    """Rows whose weighted mean is the origin, their weights, names of three classes, opinions, queries."""
    rows, weight = tensor(30, 5), torch.from_numpy(np.random.default_rng(1).integers(0, 4, size=30) + 0.0)
    rows = rows - (weight[:, None] * rows).sum(0) / weight.sum()
    return rows, weight, tensor(3, 5, seed=2), tensor(30, 3, seed=3), tensor(7, 5, seed=4)


def scores_of(rows, weight, names, opinions, queries, query_opinions=None):
    scorer = fit_side_scorer(rows, weight, names, opinions)
    return scorer.score(rows, opinions), scorer.score(queries, query_opinions)


def test_they_are_cosines_seen_from_the_centre(context):
    rows, weight, names, _, queries = context
    spread = ((weight[:, None] * rows**2).sum() / weight.sum()).sqrt()
    middle = names.mean(0)
    assert middle.norm() < spread
    centre = middle * PSEUDO_ROWS / (weight.sum() + PSEUDO_ROWS)
    _, got = scores_of(rows, weight, names, None, queries)
    for query, scores in zip(queries, got):
        for name, score in zip(names, scores):
            a, b = query - centre, name - middle
            assert score.item() == pytest.approx((a @ b / a.norm() / b.norm()).item())


def test_the_centre_of_many_rows_is_their_mean(context):
    rows, weight, names, _, queries = context
    got = scores_of(rows, 1e9 * weight, names, None, queries)[1]
    directions = (names - names.mean(0)) / (names - names.mean(0)).norm(dim=1, keepdim=True)
    np.testing.assert_allclose(got, queries / queries.norm(dim=1, keepdim=True) @ directions.mT, atol=1e-7)


def test_rotations_and_units_do_not_matter(context):
    rows, weight, names, _, queries = context
    turn = torch.linalg.qr(tensor(5, 5, seed=9))[0]
    expected = scores_of(rows, weight, names, None, queries)
    for change in (lambda X: X @ turn, lambda X: 1e-4 * X, lambda X: 1e5 * X):
        got = scores_of(change(rows), weight, change(names), None, change(queries))
        for a, b in zip(got, expected):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_classes_may_be_permuted(context):
    rows, weight, names, opinions, queries = context
    own = tensor(7, 3, seed=5)
    order = [2, 0, 1]
    expected = scores_of(rows, weight, names, opinions, queries, own)
    got = scores_of(rows, weight, names[order], opinions[:, order], queries, own[:, order])
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b[:, order], atol=1e-12)


def test_names_far_from_the_rows_do_not_move_the_centre_beyond_them(context):
    rows, weight, names, _, _ = context
    spread = ((weight[:, None] * rows**2).sum() / weight.sum()).sqrt()
    scorer = fit_side_scorer(rows, weight, names + 1e6, None)
    assert scorer.centre.norm() <= spread * PSEUDO_ROWS / (weight.sum() + PSEUDO_ROWS) * (1 + 1e-9)


def test_names_and_opinions_weigh_the_same(context):
    rows, weight, names, opinions, queries = context
    own = tensor(7, 3, seed=5)
    by_names = scores_of(rows, weight, names, None, queries)
    by_opinions = scores_of(rows, weight, None, opinions, queries, own)
    both = scores_of(rows, weight, names, opinions, queries, own)
    total = weight.sum() * 3
    scales = [((weight[:, None] * scores[0] ** 2).sum() / total).sqrt() for scores in (by_names, by_opinions)]
    for a, b, got in zip(by_names, by_opinions, both):
        np.testing.assert_allclose(got, a / scales[0] + b / scales[1])
    np.testing.assert_array_equal(by_opinions[0], opinions)
    np.testing.assert_allclose(scores_of(rows, weight, names, 1000 * opinions, queries, 1000 * own)[1], both[1])


def test_scores_of_queries_are_cut_off_where_the_context_has_seen_nothing_like_them(context):
    rows, weight, _, opinions, queries = context
    far = torch.full((7, 3), 1e9, dtype=torch.float64)
    seen = opinions[weight > 0].abs().max()
    np.testing.assert_allclose(scores_of(rows, weight, None, opinions, queries, far)[1], FARTHEST_SCORE * seen)


def test_rows_of_weight_zero_have_no_say(context):
    rows, weight, names, opinions, queries = context
    odd, wild = torch.full((1, 5), 1e3, dtype=torch.float64), torch.full((1, 3), 1e3, dtype=torch.float64)
    expected = scores_of(rows, weight, names, opinions, queries, opinions[:7])[1]
    got = scores_of(
        torch.cat([rows, odd]),
        torch.cat([weight, torch.zeros(1)]),
        names,
        torch.cat([opinions, wild]),
        queries,
        opinions[:7],
    )[1]
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("opinions", [None, torch.zeros(1, 3, dtype=torch.float64)])
def test_a_context_without_spread_gives_finite_scores(opinions):
    row, weight, names = torch.zeros(1, 5, dtype=torch.float64), torch.ones(1, dtype=torch.float64), tensor(3, 5)
    queries = tensor(7, 5, seed=4)
    own = None if opinions is None else tensor(7, 3, seed=5)
    for given in (names, names * 0, torch.ones(3, 5, dtype=torch.float64) * 1e300):
        for scores in scores_of(row, weight, given, opinions, queries, own):
            assert torch.isfinite(scores).all()


def test_equal_names_point_nowhere():
    rows = tensor(30, 5)
    names = (torch.ones(3, 5, dtype=torch.float64) * 0.1 + 1e-17).repeat_interleave(1, 0)
    context, queries = scores_of(rows - rows.mean(0), torch.ones(30, dtype=torch.float64), names, None, tensor(4, 5))
    assert context.abs().max() < 1e-6
    assert queries.abs().max() < 1e-6


def test_opinions_that_say_nothing_in_the_context_are_left_out(context):
    rows, weight, names, opinions, queries = context
    neutral = torch.zeros_like(opinions)
    got = scores_of(rows, weight, names, neutral, queries, tensor(7, 3, seed=5))[1]
    by_names = scores_of(rows, weight, names, None, queries)[1]
    ratio = got / by_names
    np.testing.assert_allclose(ratio, ratio[0, 0].expand(7, 3))
    assert scores_of(rows, weight, None, neutral, queries, tensor(7, 3, seed=5))[1].abs().max() == 0
