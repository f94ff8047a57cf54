"""Training a language model on episodes."""

import random

import pytest
import torch

from skicl.pretraining import EpisodePrior, EpisodeSchedule, tiny_language_model, train_language_model
from skicl.pretraining._language_models._language_model import answer_loss, episode_tokens

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SCHEDULE = EpisodeSchedule(steps=6, tokens=256, lengths=(64, 128), parts=(0.5, 1.0), warmup=2)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_targets_are_the_answers_and_what_follows_them():
    tokenizer = tiny_language_model(**SMALL)[1]
    for seed in range(20):
        episode = EpisodePrior().sample(random.Random(seed), n_examples=4)
        ids, targets = episode_tokens([episode], tokenizer, 300)
        n_tokens = len(tokenizer(episode.text)["input_ids"])
        assert not targets[0, n_tokens:].any()
        answers = "".join(f" {episode.words[code]}\n" for code in episode.codes)
        shown = tokenizer.decode(ids[0][targets[0]])
        assert shown.replace("\n\n", "\n") == answers


def test_loss_is_the_mean_over_answers_only():
    network, tokenizer = tiny_language_model(**SMALL)
    ids, targets = episode_tokens([EpisodePrior().sample(random.Random(0))], tokenizer, 100)
    log_proba = network(ids).logits[0, :-1].log_softmax(dim=1)
    expected = -log_proba[torch.arange(99), ids[0, 1:]][targets[0, 1:]].mean()
    assert torch.isclose(answer_loss(network, ids, targets), expected, atol=1e-5)


def test_resumed_equals_uninterrupted(tmp_path):
    whole, tokenizer = tiny_language_model(**SMALL)
    run = train_language_model(whole, tokenizer, EpisodePrior(), schedule=SCHEDULE)
    parts, state = tiny_language_model(**SMALL)[0], tmp_path / "run.safetensors"
    train_language_model(parts, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state, stop_after=4)
    again = tiny_language_model(seed=9, **SMALL)[0]
    resumed = train_language_model(again, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state)
    assert torch.equal(weights(whole), weights(again))
    assert (resumed.step, resumed.tokens) == (run.step, run.tokens) == (6, 6 * 256)


def test_a_step_that_is_past_is_not_passed_again(tmp_path):
    network, tokenizer = tiny_language_model(**SMALL)
    state = tmp_path / "run.safetensors"
    train_language_model(network, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state, stop_after=3)
    before = weights(network).clone()
    run = train_language_model(network, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state, stop_after=2)
    assert run.step == 3
    assert torch.equal(weights(network), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_every": 0}, "`save_every` must be an integer of at least 1, got 0"),
        ({"stop_after": -1}, "`stop_after` must be an integer of at least 1 or None, got -1"),
        ({"schedule": EpisodeSchedule(lengths=(2048,), parts=(1.0,))}, "`schedule` has episodes of 2048 tokens"),
    ],
)
def test_bad_options_are_refused_before_any_step(options, message, tmp_path):
    network, tokenizer = tiny_language_model(**SMALL)
    before, state = weights(network).clone(), tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match=message):
        train_language_model(network, tokenizer, EpisodePrior(), **{"schedule": SCHEDULE, "state": state, **options})
    assert torch.equal(weights(network), before)
    assert not state.exists()


def test_a_state_of_another_run_is_refused(tmp_path):
    network, tokenizer = tiny_language_model(**SMALL)
    state = tmp_path / "run.safetensors"
    train_language_model(network, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state, stop_after=1)
    larger = tiny_language_model(**{**SMALL, "intermediate_size": 80})[0]
    before = weights(larger).clone()
    with pytest.raises(ValueError, match="another `network`"):
        train_language_model(larger, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state)
    assert torch.equal(weights(larger), before)
    with pytest.raises(ValueError, match="another `prior`"):
        train_language_model(network, tokenizer, EpisodePrior(max_classes=2), schedule=SCHEDULE, state=state)
    other = EpisodeSchedule(**{**vars(SCHEDULE), "seed": 1})
    with pytest.raises(ValueError, match="another `seed`"):
        train_language_model(network, tokenizer, EpisodePrior(), schedule=other, state=state)


def test_training_lowers_the_loss_and_leaves_the_mode():
    network, tokenizer = tiny_language_model(**SMALL)
    prior = EpisodePrior(families=("lookup",), max_classes=2)
    ids, targets = episode_tokens([prior.sample(random.Random(99 + i)) for i in range(8)], tokenizer, 128)
    schedule = EpisodeSchedule(steps=40, tokens=1024, lengths=(128,), parts=(1.0,), warmup=5)
    with torch.no_grad():
        before = answer_loss(network, ids, targets)
    train_language_model(network.eval(), tokenizer, prior, schedule=schedule)
    with torch.no_grad():
        assert answer_loss(network, ids, targets) < before - 0.5
    assert not network.training


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"precision": "float8"}, "`precision` must be"),
        ({"parts": (0.5, 0.2, 0.9, 1.0)}, "`parts` must rise to 1"),
        ({"lengths": (64,)}, "`parts` must rise to 1"),
        ({"lengths": (), "parts": ()}, "`lengths` must be positive integers"),
        ({"steps": 0}, "`steps` must be an integer of at least 1, got 0"),
        ({"tokens": 1.5}, "`tokens` must be an integer of at least 1, got 1.5"),
    ],
)
def test_bad_schedules_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        EpisodeSchedule(**parameters)


def test_bad_priors_and_tokenizers_are_refused():
    network, tokenizer = tiny_language_model(**SMALL)
    with pytest.raises(TypeError, match="`prior` must be an instance of a dataclass"):
        train_language_model(network, tokenizer, EpisodePrior)
    with pytest.raises(TypeError, match="`tokenizer` must be a fast one"):
        train_language_model(network, object(), EpisodePrior())


def test_a_byte_that_changes_in_a_state_is_noticed(tmp_path):
    network, tokenizer = tiny_language_model(**SMALL)
    state = tmp_path / "run.safetensors"
    train_language_model(network, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state, stop_after=1)
    sound = state.read_bytes()
    for i in (4, 40, len(sound) // 3, len(sound) - 1):
        state.write_bytes(sound[:i] + bytes([sound[i] ^ 1]) + sound[i + 1 :])
        with pytest.raises(ValueError, match=r"run\.safetensors' is (damaged|not a complete)"):
            train_language_model(network, tokenizer, EpisodePrior(), schedule=SCHEDULE, state=state)
