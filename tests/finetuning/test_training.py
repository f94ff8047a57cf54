"""The loop: it descends, its rate goes up and down, it stops early and keeps the best, it refuses nonsense."""

import numpy as np
import pytest
import torch

from skicl.finetuning._training import Course, rate_factor, shuffled_batches, train


class Bar:
    n = 0

    def update(self, n):
        self.n += n


def parabola(weight, n_steps):
    def losses(epoch):
        for _ in range(n_steps):
            yield ((weight - 3.0) ** 2).sum()

    return losses


def test_it_descends_for_all_epochs_without_validation():
    weight, bar = torch.zeros(2, requires_grad=True), Bar()
    history = train([{"params": [weight], "lr": 0.2}], parabola(weight, 10), Course(8, 10, 1), bar=bar)
    assert history == ([], 8, 8)
    assert bar.n == 80
    np.testing.assert_allclose(weight.detach().numpy(), 3.0, atol=0.05)


def test_rate_rises_to_one_and_falls_to_nearly_zero():
    rates = np.array([rate_factor(step, 50) for step in range(50)])
    assert rates.max() == 1.0
    assert (np.diff(rates[:5]) > 0).all()
    assert (np.diff(rates[5:]) < 0).all()
    assert 0 < rates[-1] < 0.05
    assert rate_factor(0, 1) == 1.0
    assert [round(rate_factor(step, 20), 2) for step in (0, 1, 2, 11, 19)] == [0.5, 1.0, 1.0, 0.5, 0.06]


@pytest.mark.parametrize("rate", [0.1, 0.01])
def test_each_group_has_its_own_rate(rate):
    fast, slow = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)

    def losses(epoch):
        yield -(fast + slow).sum()

    train([{"params": [fast], "lr": 1.0}, {"params": [slow], "lr": rate}], losses, Course(4, 1, 1))
    assert slow.item() == pytest.approx(rate * fast.item(), rel=1e-4)


def test_it_stops_after_patience_and_keeps_the_best():
    weight = torch.zeros(1, requires_grad=True)
    seen, script = [], iter([5.0, 4.0, 1.0, 2.0, 3.0, 0.0])

    def validate():
        seen.append(weight.item())
        return next(script)

    history = train([{"params": [weight], "lr": 0.1}], parabola(weight, 3), Course(20, 3, 2), validate=validate)
    assert history == ([5.0, 4.0, 1.0, 2.0, 3.0], 2, 4), "the loss rose in epochs 3 and 4"
    assert weight.item() == seen[2]
    assert len(set(seen)) == 5


def test_what_only_gets_worse_is_left_as_it_was():
    weight, worse = torch.zeros(1, requires_grad=True), iter(range(100))
    history = train(
        [{"params": [weight], "lr": 0.1}], parabola(weight, 3), Course(9, 3, 1), validate=lambda: float(next(worse))
    )
    assert weight.item() == 0.0
    assert (history.best_epoch, history.n_epochs) == (0, 1)


def test_divergence_is_refused():
    weight = torch.zeros(1, requires_grad=True)

    def losses(epoch):
        yield weight.sum() * float("nan")

    with pytest.raises(ValueError, match="`learning_rate`"):
        train([{"params": [weight], "lr": 0.1}], losses, Course(1, 1, 1))
    assert weight.item() == 0.0


def test_batches_hold_every_row_once():
    generator = np.random.default_rng(0)
    first, second = shuffled_batches(11, 4, generator), shuffled_batches(11, 4, generator)
    for batches in (first, second):
        assert sorted(np.concatenate(batches).tolist()) == list(range(11))
        assert sorted(map(len, batches)) == [3, 4, 4]
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
