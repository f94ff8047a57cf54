"""Whitening, the order that hangs on no caller, and blocks."""

import torch

from skicl.reasoning._causal_points import (
    FARTHEST_POINT,
    apply_whitening,
    canonical_order,
    cut_into_blocks,
    whiten,
)


def rows(n_rows, n_features, seed=0, n_tasks=2):
    generator = torch.Generator().manual_seed(seed)
    spread = 0.8 ** torch.arange(n_features, dtype=torch.float64)
    return torch.randn(n_tasks, n_rows, n_features, dtype=torch.float64, generator=generator) * spread


def ones(X):
    return torch.ones_like(X[..., 0])


def test_the_context_gets_unit_covariance():
    X = rows(60, 10)
    _, z = whiten(X, ones(X), 4)
    torch.testing.assert_close(z.mean(1), torch.zeros(2, 4, dtype=torch.float64), atol=1e-12, rtol=0)
    covariance = z.mT @ z / 60
    torch.testing.assert_close(covariance, torch.eye(4, dtype=torch.float64).expand(2, -1, -1), atol=0.05, rtol=0)


def test_missing_directions_are_zeros_and_equal_rows_no_division_by_zero():
    X = rows(6, 3) @ rows(3, 40, seed=1)  # rank 3 in 40 dimensions
    whitening, z = whiten(X, ones(X), 16)
    assert z.shape == (2, 6, 16)
    assert (z[..., 3:].abs() < 1e-12).all()
    assert (apply_whitening(whitening, X + 1.0, 16, new=True)[..., 3:] == 0).all()
    equal = torch.ones(1, 5, 4, dtype=torch.float64)
    whitening, z = whiten(equal, ones(equal), 16)
    assert (z == 0).all()
    assert torch.isfinite(apply_whitening(whitening, 5 * equal, 16, new=True)).all()


def test_orientation_and_scale_of_the_features_do_not_matter():
    X = rows(40, 8)
    rotation = torch.linalg.qr(rows(8, 8, seed=3)[0]).Q
    (one, z), (other, moved) = whiten(X, ones(X), 5), whiten(7 * X @ rotation + 2, ones(X), 5)
    torch.testing.assert_close(moved, z)
    torch.testing.assert_close(other.stretch, one.stretch)


def test_new_rows_get_the_spread_of_the_context():
    """Of 24 rows in 300 dimensions the axes follow the rows: others shrink, and are stretched back."""
    generator = torch.Generator().manual_seed(0)
    spread = (1 + torch.arange(300, dtype=torch.float64)) ** -0.5
    X = torch.randn(20, 424, 300, dtype=torch.float64, generator=generator) * spread
    whitening, _ = whiten(X[:, :24], ones(X[:, :24]), 16)
    plain = apply_whitening(whitening, X[:, 24:], 16).std()
    stretched = apply_whitening(whitening, X[:, 24:], 16, new=True).std()
    assert plain < 0.65
    assert 0.8 < stretched < 1.2


def test_points_far_out_are_pulled_in():
    X = rows(40, 8)
    whitening, _ = whiten(X, ones(X), 8)
    far = apply_whitening(whitening, 1e6 * X, 8, new=True)
    torch.testing.assert_close(far.norm(dim=-1), torch.full((2, 40), FARTHEST_POINT, dtype=torch.float64))


def test_the_order_follows_the_rows():
    z, y = rows(50, 4), torch.arange(50).expand(2, -1) % 2
    order = canonical_order(z, y)
    shuffled = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    again = shuffled[canonical_order(z[:, shuffled], y[:, shuffled])]
    assert torch.equal(again, order)
    assert not torch.equal(order, torch.arange(50).expand(2, -1))
    blocked = canonical_order(torch.cat([z[:, ::2], z[:, 1::2]], 1), y)
    labels = (blocked >= 25).double()[:, :25].mean()  # labels that came in blocks are mixed
    assert 0.3 < labels < 0.7


def test_blocks_hold_every_row_once():
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))[None]
    index, length = cut_into_blocks(order, torch.ones(1, 50), 17, 8)
    assert index.shape == (1, 3, 17)
    assert length.tolist() == [[17, 17, 16]]
    read = torch.cat([rows[:n] for rows, n in zip(index[0], length[0])])
    assert torch.equal(read, order[0])


def test_weights_are_numbers_of_rows():
    order = torch.arange(4)[None]

    def read(*weight, n_points=9, n_blocks=8):
        index, length = cut_into_blocks(order, torch.tensor([weight]), n_points, n_blocks)
        return [row for rows, n in zip(index[0], length[0]) for row in rows[:n].tolist()]

    assert read(1.0, 0.0, 2.0, 1.0) == [0, 2, 2, 3]
    assert len(read(0.5, 0.5, 0.5, 0.5)) == 2
    assert read(0.0, 0.0, 0.3, 0.0) == [2]  # something is read wherever there is weight
    assert read(0.0, 0.0, 0.0, 0.0) == []
    assert len(read(1.0, 1.0, 1.0, 1.0, n_points=1, n_blocks=2)) == 2
    assert read(1e12, 0.0, 0.0, 1e12, n_points=3, n_blocks=2) == [0, 0, 0, 3, 3, 3]
