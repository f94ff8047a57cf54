"""Pairs: of the right kind, all of them reachable, drawn evenly, and their loss."""

import numpy as np
import pytest
import torch

from skicl.finetuning._pairs import PairSampler, cosine_pair_loss

CODES = np.array([0, 1, 0, 2, 1, 0, 2])


def test_pairs_are_of_the_kind_that_they_are_said_to_be():
    left, right, same = PairSampler(CODES).draw(1001, np.random.default_rng(0))
    np.testing.assert_array_equal(CODES[left] == CODES[right], same)
    assert same.sum() == 501
    assert (left != right).all()


def test_every_pair_comes_as_often_as_any_other_with_the_same_anchor():
    left, right, same = PairSampler(CODES).draw(60_000, np.random.default_rng(0))
    for kind in (True, False):
        counts = np.zeros((len(CODES), len(CODES)))
        np.add.at(counts, (left[same == kind], right[same == kind]), 1)
        allowed = (CODES[:, None] == CODES) == kind
        np.fill_diagonal(allowed, False)
        assert (counts[~allowed] == 0).all()
        for row, partners in zip(counts, allowed):
            expected = len(left) / 2 / len(CODES) / partners.sum()
            np.testing.assert_allclose(row[partners], expected, rtol=0.15)


def test_a_row_alone_in_its_class_is_in_no_pair_of_one_class():
    left, right, same = PairSampler(np.array([0, 0, 1])).draw(200, np.random.default_rng(0))
    assert 2 not in left[same]
    assert 2 in np.concatenate([left[~same], right[~same]])
    _, _, same = PairSampler(np.array([0, 1, 2])).draw(9, np.random.default_rng(0))
    assert not same.any()


def test_many_rows_need_no_list_of_pairs():
    codes = np.arange(300_000) % 7
    left, right, same = PairSampler(codes).draw(16, np.random.default_rng(0))  # 9e10 pairs
    np.testing.assert_array_equal(codes[left] == codes[right], same)


def test_names_of_classes_do_not_matter():
    first = PairSampler(CODES).draw(50, np.random.default_rng(3))
    again = PairSampler(CODES * 10).draw(50, np.random.default_rng(3))
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one, other)


def test_loss_is_the_weighted_mean_of_squares():
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)
    same, weights = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0]), torch.tensor([2.0, 0.5, 1.0, 1.0, 0.5])
    cosines = (left * right).sum(1) / left.norm(dim=1) / right.norm(dim=1)
    expected = np.mean(weights.numpy() * (cosines.numpy() - same.numpy()) ** 2)
    assert cosine_pair_loss(left, right, same, weights).item() == pytest.approx(expected, rel=1e-5)
    assert cosine_pair_loss(7 * left, right, same, weights).item() == pytest.approx(expected, rel=1e-5)
