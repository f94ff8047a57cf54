"""The loop: resumed equals uninterrupted, bit for bit; interrupts and failures lose nothing."""

import math
import os
from dataclasses import replace

import torch

from skicl.pretraining import EmbeddingPrior, Schedule, pretrain
from skicl.pretraining._loop import task_loss
from skicl.reasoning import EquivariantConfig, load_reasoner, read_card

CONFIG = EquivariantConfig(n_channels=8, n_values=4, n_logits=2, n_hidden=8, n_layers=2, n_landmarks=16)
PRIOR = EmbeddingPrior(max_labelled=16, n_queries=8, n_features=(4, 8), max_classes=4, budget=512, max_unlabelled=20)
SCHEDULE = Schedule(steps=12, warmup=2)


def run(out, **options):
    return pretrain(out, **{"config": CONFIG, "prior": PRIOR, "schedule": SCHEDULE, "device": "cpu", **options})


def weights(state):
    return torch.cat([p.detach().flatten() for p in state.reasoner.parameters()])


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    whole = run(tmp_path / "whole")
    for stop in (1, 5, 12):
        parts = run(tmp_path / "parts", stop_after=stop)
        assert parts.step == stop
    assert torch.equal(weights(parts), weights(whole))
    first, second = load_reasoner(tmp_path / "parts.safetensors"), load_reasoner(tmp_path / "whole.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert parts.tasks == whole.tasks
    assert run(tmp_path / "whole").step == 12  # a complete run is left as it is


def test_seeds_differ(tmp_path):
    other = run(tmp_path / "b", schedule=replace(SCHEDULE, seed=1))
    assert not torch.equal(weights(run(tmp_path / "a")), weights(other))


def test_the_card_tells_how_it_was_made(tmp_path):
    run(tmp_path / "run")
    card = read_card(tmp_path / "run.safetensors")
    assert card["steps"] == 12
    assert card["prior"]["name"] == "EmbeddingPrior"
    assert card["prior"]["max_labelled"] == 16
    assert card["schedule"]["learning_rate"] == SCHEDULE.learning_rate
    assert card["tasks"] > 12
    assert card["seconds"] >= 0
    assert card["earlier_stages"] == []


def test_a_second_stage_starts_from_the_first_and_remembers_it(tmp_path):
    run(tmp_path / "one")
    longer = replace(PRIOR, max_labelled=32)
    parts = run(tmp_path / "two", prior=longer, start_from=tmp_path / "one.safetensors", stop_after=0)
    first = load_reasoner(tmp_path / "one.safetensors")
    assert torch.equal(weights(parts), torch.cat([p.flatten() for p in first.parameters()]))
    for _ in range(2):  # also after a resume
        run(tmp_path / "two", prior=longer, start_from=tmp_path / "one.safetensors", stop_after=1)
    run(tmp_path / "three", start_from=tmp_path / "two.safetensors", stop_after=0)
    stages = read_card(tmp_path / "three.safetensors")["earlier_stages"]
    assert [stage["prior"]["max_labelled"] for stage in stages] == [16, 32]
    assert [stage["steps"] for stage in stages] == [12, 1]


def test_training_lowers_the_loss():
    state_before, losses = torch.get_rng_state(), {}
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        state = run(os.path.join(folder, "run"), schedule=Schedule(steps=150, warmup=10, learning_rate=5e-3))
    for name, reasoner in {"trained": state.averaged(), "untrained": type(state.reasoner)(CONFIG)}.items():
        with torch.no_grad():
            losses[name] = (
                sum(
                    task_loss(reasoner, PRIOR.sample(torch.Generator().manual_seed(10**6 + i)), 0.0)[1]
                    for i in range(30)
                ).item()
                / 30
            )
    torch.set_rng_state(state_before)
    assert math.isfinite(losses["trained"])
    assert losses["trained"] < losses["untrained"] - 0.05
