"""The paper's logistic tasks, their curriculum, and a run of the loop on them."""

import math
from dataclasses import replace

import pytest
import torch

from skicl.pretraining import EmbeddingPrior, LogisticPrior, Schedule, Sequences, pretrain
from skicl.pretraining._causal_prior import sequence_loss
from skicl.reasoning import CausalConfig, CausalReasoner, load_reasoner, read_card

CONFIG = CausalConfig(n_features=4, n_points=10, n_channels=16, n_heads=2, n_layers=2)
PRIOR = LogisticPrior(
    n_features=4,
    n_points=10,
    n_sequences=32,
    start_features=1,
    more_features=1,
    features_every=2,
    start_points=4,
    more_points=3,
    points_every=3,
)
SCHEDULE = Schedule(steps=8, warmup=2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def run(out, **options):
    return pretrain(out, **{"config": CONFIG, "prior": PRIOR, "schedule": SCHEDULE, "device": "cpu", **options})


def weights(state):
    return torch.cat([p.detach().flatten() for p in state.reasoner.parameters()])


def test_the_curriculum_is_that_of_the_paper():
    prior, sizes = LogisticPrior(n_sequences=2), {}
    for step in (0, 999, 1000, 3000, 7999, 8000, 10**6):
        X, y, _ = prior.at(step).sample(generator())
        assert y.shape == X.shape[:2]
        sizes[step] = (X.shape[1], int((X != 0).any(0).any(0).sum()))
    assert sizes == {
        0: (18, 4),
        999: (18, 4),
        1000: (48, 8),
        3000: (108, 16),
        7999: (228, 16),
        8000: (258, 16),
        10**6: (258, 16),
    }
    assert prior.sample(generator()).X.shape == (2, 258, 16)


def test_the_noise_is_that_of_the_paper():
    """At alpha = 10 and 16 features the median log-odds are 26 and the Bayes error is 1.4 %."""
    prior = LogisticPrior(n_sequences=4000, n_points=20)
    X, y, _ = prior.sample(generator())
    assert abs(X.mean()) < 0.01
    assert abs(X.std() - 1) < 0.01
    assert abs(y.float().mean() - 0.5) < 0.01
    # Log-odds of normal points under normal weights are N(0, alpha^2 chi^2_16).
    size = torch.randn(400_000, 16, generator=generator(1)).norm(dim=1) * 10
    log_odds = (size * torch.randn(400_000, generator=generator(2))).abs()
    assert 25 < log_odds.median() < 28
    assert 0.012 < torch.sigmoid(-log_odds).mean() < 0.016


def test_labels_are_linear_in_the_points():
    """With more points than features a plane through the origin separates nearly all of them."""
    X, y, _ = LogisticPrior(n_sequences=50, n_points=400, n_features=3, alpha=30.0).sample(generator())
    signs = 2.0 * y - 1
    direction = (signs[..., None] * X).mean(1)  # proportional to the weights, for normal points
    right = ((X @ direction[..., None])[..., 0].sign() == signs).float().mean()
    assert right > 0.93


def test_long_sequences_come_in_smaller_numbers():
    prior = replace(PRIOR, points_a_step=60)
    assert prior.at(0).sample(generator()).X.shape == (15, 4, 4)
    assert prior.at(100).sample(generator()).X.shape == (6, 10, 4)


def test_some_steps_have_fewer_features():
    prior = replace(PRIOR, small_share=0.5)
    active = [int((prior.sample(generator(seed)).X != 0).any(0).any(0).sum()) for seed in range(60)]
    assert set(active) == {1, 2, 3, 4}
    assert 25 < active.count(4) < 55
    assert {int((PRIOR.sample(generator(seed)).X != 0).any(0).any(0).sum()) for seed in range(20)} == {4}


def test_some_sequences_begin_anywhere_that_leaves_room():
    prior = replace(PRIOR, n_sequences=400, random_start=0.75)
    assert PRIOR.sample(generator()).start is None
    start = prior.at(0).sample(generator()).start
    assert set(start.tolist()) == set(range(10 - 4 + 1))
    assert 0.17 < (start == 0).float().mean() - 0.75 / 7 < 0.33
    assert prior.at(3).sample(generator()).start.max() == 10 - 7
    assert (prior.sample(generator()).start == 0).all()


def test_the_loss_counts_every_label_and_no_label_is_seen_before():
    reasoner = CausalReasoner(CONFIG)
    sequences = PRIOR.sample(generator())
    log_odds = reasoner.sequence_log_odds(*sequences).double()
    p = torch.where(sequences.y == 1, log_odds, -log_odds).sigmoid()
    loss, reported = sequence_loss(reasoner, sequences)
    torch.testing.assert_close(loss.double(), -p.log().mean(), atol=1e-6, rtol=1e-5)
    assert not reported.requires_grad
    flipped = sequences._replace(y=torch.cat([sequences.y[:, :-1], 1 - sequences.y[:, -1:]], 1))
    torch.testing.assert_close(reasoner.sequence_log_odds(*flipped), reasoner.sequence_log_odds(*sequences))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, optimizer):
    schedule = replace(SCHEDULE, optimizer=optimizer)
    whole = run(tmp_path / "whole", schedule=schedule)
    for stop in (1, 4, 8):
        parts = run(tmp_path / "parts", schedule=schedule, stop_after=stop)
    assert torch.equal(weights(parts), weights(whole))
    assert parts.tasks == whole.tasks == 8 * 32
    card = read_card(tmp_path / "parts.safetensors")
    assert card["prior"]["name"] == "LogisticPrior"
    assert card["prior"]["alpha"] == 10.0
    assert load_reasoner(tmp_path / "parts.safetensors").config == CONFIG


def test_the_default_prior_of_a_causal_network_is_that_of_the_paper(tmp_path):
    run(tmp_path / "run", prior=None, stop_after=0)
    assert read_card(tmp_path / "run.safetensors")["prior"]["name"] == "LogisticPrior"


def test_half_precision_is_close_and_an_unknown_one_refused(tmp_path):
    half = run(tmp_path / "half", schedule=replace(SCHEDULE, precision="bfloat16"))
    assert all(p.dtype == torch.float32 for p in half.reasoner.parameters())
    torch.testing.assert_close(weights(half), weights(run(tmp_path / "whole")), atol=0.05, rtol=0)
    assert not torch.equal(weights(half), weights(run(tmp_path / "whole")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": Schedule(precision="half")}, "`precision` must be"),
        ({"schedule": Schedule(optimizer="sgd")}, "`optimizer` must be"),
        ({"schedule": Schedule(optimizer="muon"), "config": None}, "`optimizer` 'muon' knows"),
    ],
)
def test_words_that_a_schedule_does_not_know_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [{"prior": EmbeddingPrior(max_labelled=8, n_features=(4,), budget=64)}, {"config": None}]
)
def test_priors_and_networks_of_unlike_kinds_are_refused(tmp_path, options):
    with pytest.raises(TypeError, match="cannot learn from"):
        run(tmp_path / "run", **options)


@pytest.mark.slow
def test_training_finds_the_boundary(tmp_path):
    """One feature, no noise to speak of: after 300 steps a sign is read from the points before."""
    prior = LogisticPrior(n_features=1, n_points=10, n_sequences=64, alpha=30.0, start_features=1, start_points=10)
    config = replace(CONFIG, n_features=1)
    schedule = Schedule(steps=300, warmup=20, learning_rate=5e-3, optimizer="muon", averaging=0.98)
    state = run(tmp_path / "run", config=config, prior=prior, schedule=schedule)
    X, y, _ = replace(prior, n_sequences=1000).sample(generator(10**6))
    with torch.no_grad():
        log_odds = state.averaged().sequence_log_odds(X, y)
        loss, _ = sequence_loss(state.averaged(), Sequences(X, y))
    right = ((log_odds > 0) == (y == 1)).float().mean(0)
    assert abs(right[0] - 0.5) < 0.06
    assert right[-3:].min() > 0.9
    assert loss < 0.5 * math.log(2)
