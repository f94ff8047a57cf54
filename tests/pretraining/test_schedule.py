"""Rates along a run, and words and priors that are refused before any step."""

from dataclasses import dataclass

import pytest
import torch
from pretraining.test_loop import PRIOR, run

from skicl.pretraining import EmbeddingPrior, Schedule
from skicl.pretraining._schedule import check_schedule
from skicl.reasoning import CausalConfig, EquivariantConfig


@dataclass(frozen=True)
class Unwritable:
    generator: torch.Generator

    def sample(self, generator):
        raise AssertionError("refused before any step")


class NoDataclass:
    sample = PRIOR.sample


@pytest.mark.parametrize("prior", [NoDataclass(), EmbeddingPrior, Schedule(), Unwritable(torch.Generator())])
def test_a_prior_that_no_run_can_use_is_refused_before_any_step(tmp_path, prior):
    with pytest.raises(TypeError, match="`prior`"):
        run(tmp_path / "run", prior=prior)
    assert not list(tmp_path.iterdir())


def test_rates_rise_stay_and_fall_to_zero():
    schedule = Schedule(steps=100, warmup=10, decay=0.5, learning_rate=2.0)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[9:51] == [2.0] * 42
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] == 0.2
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[100] == 0.0


def test_words_that_a_schedule_does_not_know_are_refused():
    check_schedule(Schedule(optimizer="muon", precision="bfloat16"), CausalConfig())
    with pytest.raises(ValueError, match=r"`precision` must be one of .* Did you mean 'bfloat16'\?"):
        check_schedule(Schedule(precision="bflaot16"), EquivariantConfig())
    with pytest.raises(ValueError, match="`optimizer` must be one of 'adamw', 'muon', got 'sgd'"):
        check_schedule(Schedule(optimizer="sgd"), EquivariantConfig())
    with pytest.raises(ValueError, match="'muon' knows the hidden layers of a CausalConfig only"):
        check_schedule(Schedule(optimizer="muon"), EquivariantConfig())
