"""The benchmark of circuit shifts: its states are what they are called, and fine-tuned ones can be compared."""

import numpy as np
import pytest
from benchmark_modules import load

benchmark = load("circuit_shift")
SMALL = benchmark.Sizes(n_pairs=8, n_examples=2, n_draws=1, n_rows=32, n_steps=8, n_bootstrap=20)


def test_texts_are_different_and_half_of_them_praise():
    texts, labels = benchmark.opinions(60, 0)
    assert len(set(texts)) == 60
    assert labels.count("positive") == labels.count("negative") == 30
    assert benchmark.opinions(60, 0) == (texts, labels)
    assert benchmark.opinions(60, 1)[0] != texts


def test_shuffled_demonstrations_have_the_same_texts_and_labels():
    texts, labels = benchmark.opinions(60, 0)
    right, shuffled = (
        benchmark.demonstrations(texts, labels, 20, np.random.default_rng(0), shuffled=shuffled)
        for shuffled in (False, True)
    )
    for line in ("Text: ", "Label: "):
        parts = [[part for part in prefix.splitlines() if part.startswith(line)] for prefix in (right, shuffled)]
        assert len(parts[0]) == 20
        assert sorted(parts[0]) == sorted(parts[1])
    assert right != shuffled
    assert all(f"Text: {text}\nLabel: {label}\n\n" in right for text, label in zip(texts, labels) if text in right)


@pytest.mark.filterwarnings("ignore:The difference of logits")
def test_fine_tuned_states_are_compared_with_demonstrations():
    lines = []
    states = benchmark.measure(SMALL, log=lines.append)
    (base,) = states["no demonstrations"]
    assert base.coverage > 0.8, "there is a circuit to start from"
    for draws in states.values():
        assert draws[0].heads.shape == (3, 4)
        assert draws[0].completeness == pytest.approx(1, abs=1e-3)
    tuned, noise = states["fine-tuned"][0], states["tuned on noise"][0]
    assert tuned.differences.mean() > base.differences.mean() > noise.differences.mean()
    shifts = benchmark.compare(states, SMALL)
    assert shifts["demonstrations"][0].null_names == ("split half", "labels shuffled", "another task")
    assert shifts["fine-tuned"][0].null_names == ("split half", "tuned on noise", "tuned on another task")
    assert (shifts["fine-tuned"][0].values[:, 2] > 0).all()
    text = benchmark.report(states, shifts)
    assert text.count("mlps  l1") == text.count("heads l1") == 2


def test_the_model_that_everyone_shares_is_not_trained():
    network, tokenizer = benchmark.load()
    before = [weight.clone() for weight in network.parameters()]
    tuned, _ = benchmark.fine_tuned(network, tokenizer, ("a great lemon",), ("positive",), 1, 0)
    assert all(weight.equal(old) for weight, old in zip(network.parameters(), before))
    assert not all(weight.equal(old) for weight, old in zip(tuned.parameters(), before))
