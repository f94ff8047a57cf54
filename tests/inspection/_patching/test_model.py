"""Models by name: those of the classifiers, shared with them, held while they are used."""

import threading

import numpy as np
import pytest
from inspection.patched_networks import hooks_of, random_network

from skicl import ICLClassifier
from skicl.inspection import activation_patching, make_patching_pairs
from skicl.inspection._patching._model import opened_model, opened_tokenizer

PRAISE = ["a great lemon", "the tea was superb", "it is a lovely dog", "wonderful rain"]
BLAME = ["a poor lemon", "the tea was dreadful", "it is a nasty dog", "awful rain"]


@pytest.fixture(scope="module")
def pairs():
    answers = ["positive"] * len(PRAISE) + ["negative"] * len(BLAME)
    return make_patching_pairs(
        PRAISE + BLAME, answers, "skicl-tiny", template="Text: {text}\nLabel: {label}", random_state=0
    )


def test_the_bundled_model_by_name_is_the_one_in_memory_and_its_folder(pairs, tmp_path):
    with opened_model("skicl-tiny") as (network, _):
        before = hooks_of(network)  # of transformers, where somebody asked the same network for hidden states
    by_name = activation_patching("skicl-tiny", pairs)
    assert by_name.coverage == 1
    assert by_name.completeness == pytest.approx(1, abs=1e-4)
    with opened_model("skicl-tiny") as (network, tokenizer):
        assert hooks_of(network) == before
        in_memory = activation_patching((network, tokenizer), pairs)
        network.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    np.testing.assert_array_equal(by_name.head_terms, in_memory.head_terms)
    np.testing.assert_allclose(activation_patching(tmp_path, pairs).head_terms, by_name.head_terms, atol=1e-5)


def test_classifiers_share_the_network():
    classifier = ICLClassifier("skicl-tiny").fit(None, ["positive", "negative"])
    with opened_model("skicl-tiny") as (network, _):
        calls = []
        handle = network.base_model.register_forward_pre_hook(lambda *_: calls.append(1))
        classifier.predict(PRAISE[:1])
        handle.remove()
    assert calls


def test_nobody_else_reads_a_network_with_hooks_on_it():
    done = threading.Event()

    def use():
        with opened_model("skicl-tiny"):
            done.set()

    with opened_model("skicl-tiny"):
        thread = threading.Thread(target=use)
        thread.start()
        assert not done.wait(0.2)
    thread.join(10)
    assert done.is_set()


def test_models_in_memory_stay_as_they_are():
    network, tokenizer = random_network("llama")
    with opened_model([network, tokenizer]) as found:
        assert found == (network, tokenizer)
    assert opened_tokenizer(tokenizer) is tokenizer


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, TypeError, "`model` must be the name or the folder of a causal language model, .* got int"),
        ((1, 2, 3), TypeError, "got tuple"),
        ((1, 2), TypeError, r"got \(int, int\)"),
        ("./nowhere", ValueError, "`model`='./nowhere' does not exist"),
    ],
)
def test_errors(model, error, message):
    with pytest.raises(error, match=message), opened_model(model):
        pytest.fail("opened")
