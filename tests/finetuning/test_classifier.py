"""FineTuneClassifier: the battery of text classifiers, and the laws of fine-tuning."""

import os
import pickle
import shutil
import sys
import threading
import warnings
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from encoders.tiny_language_models import make_network, make_tokenizer, save_tiny_model
from finetuning.tiny_tasks import marked_texts
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from text_battery import CLASSIFIER_CHECKS, LABELS, TEXTS, check_pickle, name_of

from skicl import SentenceEncoder
from skicl.encoders import EmbeddingCache, LanguageModelEncoder, clear_model_cache
from skicl.finetuning import FineTuneClassifier, LoRASettings
from skicl.finetuning import _methods as methods_module
from skicl.finetuning._classifier import in_order_of_appearance, split_rows
from skicl.finetuning._methods import METHODS, Rows
from skicl.finetuning._vectors import module_of

try:
    import peft  # noqa: F401

    HAS_PEFT = True
except ImportError:
    HAS_PEFT = False

needs_peft = pytest.mark.skipif(not HAS_PEFT, reason="adapters need peft, the extra lora")
EVERY_METHOD = [pytest.param(name, marks=needs_peft if name == "lora" else ()) for name in METHODS]
# Rates at which networks of random weights and this size learn.
RATES = {"full": 0.01, "lora": 0.02, "last_layer": 0.1, "contrastive": 0.003}


def tuner(folder, method, **options):
    given = {"learning_rate": RATES[method], "epochs": 2, "random_state": 0, "lora": LoRASettings(2), **options}
    return FineTuneClassifier(SentenceEncoder(folder, device="cpu"), method=method, **given)


# The others differ from "full" in what is trained and in the loss only; their battery takes its time.
BATTERY = ["full", "last_layer", pytest.param("contrastive", marks=pytest.mark.slow)]
BATTERY += [pytest.param("lora", marks=[pytest.mark.slow, needs_peft])]


@pytest.mark.parametrize("method", BATTERY)
@pytest.mark.parametrize("check", CLASSIFIER_CHECKS, ids=name_of)
def test_battery(check, method, tiny_folder):
    if check is check_pickle and method in ("full", "contrastive"):
        pytest.skip("all weights have changed; test_a_pickle_holds_only_what_was_learnt sets their bound")
    check(tuner(tiny_folder, method))


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_same_seed_same_classifier_and_no_global_generator(method, tiny_folder):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (tuner(tiny_folder, method, random_state=seed).fit(TEXTS, LABELS) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    torch.randn(3)  # somebody else draws
    np.testing.assert_array_equal(again.predict_proba(TEXTS), first.predict_proba(TEXTS))
    assert not np.array_equal(other.predict_proba(TEXTS), first.predict_proba(TEXTS))


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_base_weights_stay_bit_for_bit(method, tiny_folder):
    clear_model_cache()
    encoder = SentenceEncoder(tiny_folder, device="cpu")
    vectors = encoder.fit_transform(TEXTS)
    base = module_of(encoder._load(torch.device("cpu")))
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    modules = [type(module) for module in base.modules()]
    tuned = tuner(tiny_folder, method).fit(TEXTS, LABELS)
    pickle.loads(pickle.dumps(tuned)).predict(TEXTS)
    assert module_of(encoder._load(torch.device("cpu"))) is base, "and it is loaded once"
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in base.parameters())
    assert [type(module) for module in base.modules()] == modules
    np.testing.assert_array_equal(encoder.transform(TEXTS), vectors)
    changed = not np.allclose(tuned.encoder_.transform(TEXTS), vectors, atol=1e-4)
    assert changed == (method != "last_layer")


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_pickle_holds_only_what_was_learnt(method, tiny_folder):
    trained = tuner(tiny_folder, method).fit(TEXTS, LABELS)
    data = pickle.dumps(trained)
    n_weights = sum(weight.numel() for weight in module_of(trained.encoder_._load(torch.device("cpu"))).parameters())
    assert len(data) < {"last_layer": 4_000, "lora": 8_000}.get(method, 4 * n_weights + 6_000)
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), trained.predict_proba(TEXTS))
    np.testing.assert_array_equal(again.encoder_.transform(TEXTS), trained.encoder_.transform(TEXTS))
    assert pickle.dumps(again) == data


def test_weights_of_tokens_that_did_not_occur_are_not_pickled(tiny_folder):
    few = tuner(tiny_folder, "full").fit(["aa", "ab", "bb", "ba"], [0, 0, 1, 1])
    changes = few._learnt.changes
    rows, values = next(changes[name] for name in changes if name.endswith("word_embeddings.weight"))
    assert len(rows) == len(values) <= 6, "a, b, ##a, ##b and two special tokens"


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_other_base_weights_are_refused_after_unpickling(method, tmp_path):
    from conftest import build_tiny_model

    folder = str(build_tiny_model(tmp_path / "model"))
    data = pickle.dumps(tuner(folder, method).fit(TEXTS, LABELS))
    build_tiny_model(tmp_path / "model", seed=5)
    with pytest.raises(ValueError, match="other weights than when this classifier was fitted"):
        pickle.loads(data).predict(TEXTS)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_names_of_labels_do_not_matter(method, tiny_folder):
    expected = tuner(tiny_folder, method).fit(TEXTS, LABELS).predict_proba(TEXTS)  # card, login, refund
    renamed = [{"card": "z", "login": "a", "refund": "m"}[label] for label in LABELS]
    found = tuner(tiny_folder, method).fit(TEXTS, renamed)
    assert found.classes_.tolist() == ["a", "m", "z"]
    # The columns are only summed in another order.
    np.testing.assert_allclose(found.predict_proba(TEXTS), expected[:, [1, 2, 0]], rtol=1e-12)


@pytest.mark.parametrize("method", [p for p in EVERY_METHOD if p.values != ("last_layer",)])
def test_it_learns_what_the_frozen_vectors_do_not_say(method, tiny_folder):
    texts, labels = marked_texts(80)
    new, truth = marked_texts(200, seed=1)
    options = {"epochs": 15, "validation_fraction": 0}
    frozen = tuner(tiny_folder, "last_layer", **options).fit(texts, labels).score(new, truth)
    assert tuner(tiny_folder, method, **options).fit(texts, labels).score(new, truth) > max(0.9, frozen + 0.1)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_scrambled_labels_teach_nothing(method, tiny_folder):
    texts, labels = marked_texts(80)
    scrambled = np.random.default_rng(0).permutation(labels)
    new, truth = marked_texts(400, seed=1)
    accuracy = tuner(tiny_folder, method, epochs=3, validation_fraction=0).fit(texts, scrambled).score(new, truth)
    assert abs(accuracy - 0.5) < 0.15


@pytest.mark.parametrize("method", EVERY_METHOD)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_leaves_it_as_it_was(method, error, tiny_folder, monkeypatch):
    trained = tuner(tiny_folder, method).fit(TEXTS, LABELS)
    given, expected = trained.get_params(), trained.predict_proba(TEXTS)
    train = methods_module.train

    def interrupted(*args, **kwargs):
        train(*args, **kwargs)
        raise error

    monkeypatch.setattr(methods_module, "train", interrupted)
    with pytest.raises(error):
        trained.fit(TEXTS, LABELS)
    np.testing.assert_array_equal(trained.predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(trained)).predict_proba(TEXTS), expected)
    first = clone(trained)
    with pytest.raises(error):
        first.fit(TEXTS, LABELS)
    for call in (first.predict, first.predict_proba, first.decision_function):
        with pytest.raises(NotFittedError):
            call(TEXTS)
    assert not [name for name in vars(first) if name.endswith("_") or name == "_learnt"]
    assert not hasattr(first, "encoder_")
    assert trained.get_params() == given
    monkeypatch.undo()
    np.testing.assert_array_equal(trained.fit(TEXTS, LABELS).predict_proba(TEXTS), expected)


def test_bad_input_to_a_second_fit_leaves_it_as_it_was(tiny_folder):
    trained = tuner(tiny_folder, "last_layer").fit(TEXTS, LABELS)
    expected = trained.predict_proba(TEXTS)
    with pytest.raises(ValueError, match="missing value"):
        trained.fit([None, "a"], [0, 1])
    np.testing.assert_array_equal(trained.predict_proba(TEXTS), expected)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_weights_of_classes_matter(method, tiny_folder):
    texts, labels = marked_texts(60)
    heavy = {"yes": 20.0, "no": 1.0}
    options = {"epochs": 3, "validation_fraction": 0}
    plain = tuner(tiny_folder, method, **options).fit(texts, labels).predict_proba(texts)[:, 1]
    weighted = tuner(tiny_folder, method, **options, class_weight=heavy).fit(texts, labels).predict_proba(texts)[:, 1]
    assert weighted.mean() > plain.mean() + 0.05
    same = tuner(tiny_folder, method, **options, class_weight="balanced").fit(texts, labels).predict_proba(texts)[:, 1]
    np.testing.assert_allclose(same, plain, atol=1e-6, err_msg="the classes have equally many rows")


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_weights_of_rows(method, tiny_folder):
    weights = np.array([2.0 if label == "card" else 0.5 for label in LABELS])
    of_rows = tuner(tiny_folder, method).fit(TEXTS, LABELS, sample_weight=weights).predict_proba(TEXTS)
    of_classes = tuner(tiny_folder, method, class_weight={"card": 2.0, "refund": 0.5, "login": 0.5})
    np.testing.assert_array_equal(of_classes.fit(TEXTS, LABELS).predict_proba(TEXTS), of_rows)
    none = np.ones(len(TEXTS))
    none[[1, 5]] = 0
    kept = np.flatnonzero(none)
    without = tuner(tiny_folder, method).fit([TEXTS[i] for i in kept], [LABELS[i] for i in kept])
    zero = tuner(tiny_folder, method).fit(TEXTS, LABELS, sample_weight=none)
    np.testing.assert_array_equal(zero.predict_proba(TEXTS), without.predict_proba(TEXTS))


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_early_stopping_stops_and_keeps_the_best(method, tiny_folder):
    texts, labels = marked_texts(100)
    labels = np.random.default_rng(0).permutation(labels)  # the loss of held-out rows can only rise
    early = tuner(tiny_folder, method, epochs=60, patience=2, learning_rate=5 * RATES[method]).fit(texts, labels)
    assert early.n_epochs_ < 60
    assert early.validation_losses_.shape == (early.n_epochs_ + 1,)
    assert early.best_epoch_ == early.validation_losses_.argmin()
    assert early.n_epochs_ == early.best_epoch_ + 2
    all_rows = tuner(tiny_folder, method, epochs=4, validation_fraction=0).fit(texts, labels)
    assert (all_rows.n_epochs_, all_rows.best_epoch_, len(all_rows.validation_losses_)) == (4, 4, 0)


def test_contrast_with_a_rare_class_needs_no_pair_that_is_not_there(tiny_folder):
    """Ten rows would be held out, all of one class: there is no pair of two classes among them."""
    texts, labels = [f"text {i}" for i in range(100)], np.repeat(["often", "rare"], [98, 2])
    trained = tuner(tiny_folder, "contrastive", epochs=1, batch_size=64).fit(texts, labels)
    assert len(trained.validation_losses_) == 0
    assert np.isfinite(trained.predict_log_proba(texts[:3])).all()


def test_classes_are_numbered_as_they_appear():
    rows, order = in_order_of_appearance(["x", "y", "z"], np.array([2, 0, 1]), np.ones(3))
    assert rows.codes.tolist() == [0, 1, 2]
    assert order.tolist() == [1, 2, 0], "the new number of each old one"


def test_what_early_stopping_keeps_is_what_predicts(tiny_folder):
    """The last of the losses recorded for the kept weights can be computed again from the outside."""
    texts, labels = marked_texts(100)
    trained = tuner(tiny_folder, "full", epochs=3).fit(texts, labels)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    codes = (labels != labels[0]).astype(int)
    _, held_out = split_rows(Rows(texts, codes, np.ones(100)), 0.1, seed)
    truth = np.where(held_out.codes == 0, labels[0], "yes")
    expected = log_loss(truth, trained.predict_proba(held_out.texts), labels=trained.classes_)
    assert trained.validation_losses_[trained.best_epoch_] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("counts", "fraction", "n_held_out"),
    [
        ((60, 40), 0.1, 10),
        ((60, 40), 0.0, 0),
        ((60, 40), 0.09, 0),
        ((99, 1), 0.5, 0),
        ((97, 3), 0.3, 30),
        ([4] * 30, 0.1, 0),
        ([4] * 30, 0.5, 60),
        ((20, 20), 0.99, 0),
        ((98, 2), 0.1, 0),
    ],
)
def test_when_rows_are_held_out(counts, fraction, n_held_out):
    codes = np.repeat(np.arange(len(counts)), counts)
    rows = Rows([str(i) for i in range(len(codes))], codes, np.arange(len(codes)) + 1.0)
    kept, held_out = split_rows(rows, fraction, 0)
    if not n_held_out:
        assert kept is rows
        assert held_out is None
        return
    assert len(held_out.texts) == n_held_out
    assert sorted(kept.texts + held_out.texts, key=int) == rows.texts
    for part in (kept, held_out):
        np.testing.assert_array_equal(part.weights, [int(text) + 1 for text in part.texts])
        np.testing.assert_array_equal(part.codes, codes[[int(text) for text in part.texts]])
        assert abs((part.codes == 0).mean() - counts[0] / len(codes)) < 0.05


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt2", "llama", "bloom"])
@pytest.mark.parametrize("method", [pytest.param("full"), pytest.param("lora", marks=needs_peft)])
def test_language_models_of_every_kind(family, method, tmp_path):
    encoder = LanguageModelEncoder(save_tiny_model(family, tmp_path), device="cpu")
    trained = FineTuneClassifier(encoder, method=method, epochs=2, random_state=0).fit(TEXTS, LABELS)
    frozen = encoder.fit_transform(TEXTS)
    assert not np.allclose(trained.encoder_.transform(TEXTS), frozen)
    np.testing.assert_array_equal(encoder.transform(TEXTS), frozen)
    again = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(again.predict_proba(TEXTS), trained.predict_proba(TEXTS))
    one_by_one = np.concatenate([trained.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, trained.predict_proba(TEXTS), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_model_in_memory_is_shared_and_left_alone(method):
    network = make_network("bert")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    encoder = LanguageModelEncoder((network, make_tokenizer("bert")))
    trained = FineTuneClassifier(encoder, method=method, epochs=1, random_state=0).fit(TEXTS, LABELS)
    assert clone(trained).encoder.model is encoder.model
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(pickle.PicklingError, match="live"):
        pickle.dumps(trained)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_bfloat16_computes_in_passes_and_weights_stay_float32(method, tiny_folder):
    encoder = SentenceEncoder(tiny_folder, device="cpu", dtype="bfloat16")
    half = FineTuneClassifier(encoder, method=method, epochs=2, random_state=0, learning_rate=RATES[method] / 10)
    half.fit(TEXTS, LABELS)
    full = clone(half).set_params(encoder__dtype="float32").fit(TEXTS, LABELS)
    difference = np.abs(half.predict_proba(TEXTS) - full.predict_proba(TEXTS)).max()
    assert 0 < difference < 0.1
    if method in ("full", "contrastive"):
        own = module_of(half.encoder_._load(torch.device("cpu")))
        assert {weight.dtype for weight in own.parameters()} == {torch.float32}


def test_objects_that_are_numbers_are_labels(tiny_folder):
    codes = np.unique(LABELS, return_inverse=True)[1]
    trained = tuner(tiny_folder, "last_layer").fit(TEXTS, codes.astype(object))
    assert trained.classes_.tolist() == [0, 1, 2]


def test_the_tuned_encoder_is_an_encoder(tiny_folder):
    trained = tuner(tiny_folder, "contrastive", epochs=4).fit(TEXTS, LABELS)
    vectors = trained.encoder_.transform(TEXTS)
    assert vectors.shape == (len(TEXTS), len(trained.encoder_.get_feature_names_out()))


def test_contrast_brings_a_class_together(tiny_folder):
    texts, labels = marked_texts(60)
    trained = tuner(tiny_folder, "contrastive", epochs=15, validation_fraction=0).fit(texts, labels)

    def contrast(vectors):
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        same = labels[:, None] == labels
        return (vectors @ vectors.T)[same].mean() - (vectors @ vectors.T)[~same].mean()

    before = SentenceEncoder(tiny_folder, device="cpu").fit_transform(texts)
    assert contrast(trained.encoder_.transform(texts)) > contrast(before) + 0.3


def test_one_classifier_in_several_threads(tiny_folder):
    trained = pickle.loads(pickle.dumps(tuner(tiny_folder, "full").fit(TEXTS, LABELS)))
    expected = tuner(tiny_folder, "full").fit(TEXTS, LABELS).predict_proba(TEXTS)
    found = []
    threads = [threading.Thread(target=lambda: found.append(trained.predict_proba(TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for probabilities in found:
        np.testing.assert_array_equal(probabilities, expected)


def test_two_fits_at_once_draw_from_their_own_generators(tiny_folder):
    """Dropout, the order of rows and pairs do not depend on what another thread draws."""
    expected = tuner(tiny_folder, "full", epochs=5).fit(TEXTS, LABELS).predict_proba(TEXTS)
    both = [tuner(tiny_folder, "full", epochs=5) for _ in range(2)]
    threads = [threading.Thread(target=one.fit, args=(TEXTS, LABELS)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in both:
        np.testing.assert_array_equal(one.predict_proba(TEXTS), expected)


def test_grid_search_over_methods_and_rates(tiny_folder):
    grid = {"method": ["last_layer", "full"], "learning_rate": [1e-3, 1e-2]}
    search = GridSearchCV(tuner(tiny_folder, "full"), grid, cv=2, error_score="raise").fit(TEXTS, LABELS)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(TEXTS).shape == (len(TEXTS),)


def test_outputs_agree_with_each_other(tiny_folder):
    three = tuner(tiny_folder, "last_layer").fit(TEXTS, LABELS)
    np.testing.assert_allclose(np.exp(three.predict_log_proba(TEXTS)), three.predict_proba(TEXTS))
    np.testing.assert_array_equal(three.decision_function(TEXTS), three.predict_log_proba(TEXTS))
    two = tuner(tiny_folder, "last_layer").fit(TEXTS, np.array(LABELS) == "card")
    odds = two.decision_function(TEXTS)
    assert odds.shape == (len(TEXTS),)
    np.testing.assert_array_equal(two.predict(TEXTS), odds > 0)
    assert not hasattr(two, "partial_fit")


def test_long_texts_are_announced_once(tiny_folder):
    for method in ("full", "contrastive"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tuner(tiny_folder, method).fit([*TEXTS[:-1], "x" * 99], LABELS)
        assert [str(w.message)[:40] for w in caught] == ["1 of 18 texts are longer than 32 tokens "]


def test_progress(tiny_folder, capsys):
    tuner(tiny_folder, "full", verbose=True).fit(TEXTS, LABELS)
    assert "FineTuneClassifier, full: 100%" in capsys.readouterr().err
    tuner(tiny_folder, "full").fit(TEXTS, LABELS)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"method": "partial"}, ValueError, "`method` must be one of 'full', 'lora', 'last_layer', 'contrastive'"),
        ({"learning_rate": 0}, ValueError, "`learning_rate`"),
        ({"learning_rate": "high"}, ValueError, "`learning_rate`"),
        ({"epochs": 0}, ValueError, "`epochs`"),
        ({"batch_size": 1.5}, ValueError, "`batch_size`"),
        ({"validation_fraction": 1.0}, ValueError, "`validation_fraction`"),
        ({"patience": 0}, ValueError, "`patience`"),
        ({"class_weight": "heavy"}, ValueError, "`class_weight`"),
        ({"class_weight": {"nobody": 1.0}}, ValueError, "`class_weight` names"),
        ({"class_weight": {"card": 0.0}}, ValueError, "`class_weight` must hold positive numbers, got 0.0 for 'card'"),
        ({"lora": 8}, TypeError, "`lora`"),
        ({"verbose": "yes"}, ValueError, "`verbose`"),
        ({"encoder": 3}, TypeError, "`encoder`"),
        ({"random_state": "x"}, ValueError, "seed"),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message, tiny_folder):
    classifier = tuner(tiny_folder, "last_layer").set_params(**parameters)
    with pytest.raises(error, match=message):
        classifier.fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("y", "weights", "message"),
    [
        (None, None, "requires y"),
        (["card"] * 18, None, "greater than one"),
        ([None, *LABELS[1:]], None, "missing label at position 0"),
        (np.array([3, *LABELS[1:]], dtype=object), None, "types that cannot be sorted"),
        (np.linspace(0, 1, 18), None, "(?i)unknown label type"),
        (np.array([], dtype=object), None, "one entry for every row, got 18 and 0"),
        (LABELS, np.ones(3), "`sample_weight`"),
        (LABELS, -np.ones(18), "`sample_weight`"),
        (LABELS, np.zeros(18), "`sample_weight` is 0 for every row"),
    ],
)
def test_bad_targets_are_refused(y, weights, message, tiny_folder):
    with pytest.raises(ValueError, match=message):
        tuner(tiny_folder, "full").fit(TEXTS, y, sample_weight=weights)


def test_divergence_is_named(tiny_folder):
    with pytest.raises(ValueError, match="`learning_rate`"):
        tuner(tiny_folder, "full", learning_rate=1e30, epochs=4).fit(TEXTS, LABELS)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_divergence_in_the_last_step_is_named_too(method, tiny_folder):
    """After the only step no loss is computed that could tell; the classifier must not give NaN for probabilities."""
    one_step = tuner(tiny_folder, method, learning_rate=1e38, epochs=1, batch_size=64)
    with pytest.raises(ValueError, match=r"Training has diverged: what the trained model .* lower `learning_rate`"):
        one_step.fit(TEXTS, LABELS)
    with pytest.raises(NotFittedError):
        one_step.predict(TEXTS)


def test_an_interrupt_at_any_line_of_fit_leaves_all_or_nothing(tiny_folder):
    """Of a second fit on other labels what was learnt before is left; of a first fit nothing."""
    code, n_interrupts = FineTuneClassifier.fit.__code__, 0
    fitted = tuner(tiny_folder, "last_layer").fit(TEXTS, LABELS)
    old, expected = fitted._learnt, fitted.predict_proba(TEXTS)

    def interrupt(frame, event, _):
        nonlocal seen
        if frame.f_code is not code:
            return None
        seen += event == "line"
        if event == "line" and seen == line:
            raise KeyboardInterrupt
        return interrupt

    for trained in (fitted, clone(fitted)):
        for line in count(1):  # noqa: B007 - read by `interrupt`
            seen, done = 0, False
            sys.settrace(interrupt)
            try:
                trained.fit(TEXTS, [label.upper() for label in LABELS])
                done = True
            except KeyboardInterrupt:
                n_interrupts += 1
            finally:
                sys.settrace(None)
            if done or (hasattr(trained, "classes_") and trained.classes_[0].isupper()):
                break
            if trained is fitted:
                assert trained._learnt is old
                assert trained.classes_.tolist() == np.unique(LABELS).tolist()
                np.testing.assert_array_equal(trained.predict_proba(TEXTS), expected)
            else:
                assert not [name for name in vars(trained) if name.endswith("_") or name == "_learnt"]
    assert n_interrupts > 20


def test_weights_of_classes_whose_rows_all_have_weight_zero(tiny_folder):
    none = [0.0 if label == "card" else 1.0 for label in LABELS]
    given = tuner(tiny_folder, "last_layer", class_weight={"card": 2.0, "refund": 3.0})
    trained = given.fit(TEXTS, LABELS, sample_weight=none)
    kept = [i for i, label in enumerate(LABELS) if label != "card"]
    without = clone(given).set_params(class_weight={"refund": 3.0})
    without.fit([TEXTS[i] for i in kept], [LABELS[i] for i in kept])
    assert trained.classes_.tolist() == ["login", "refund"]
    np.testing.assert_array_equal(trained.predict_proba(TEXTS), without.predict_proba(TEXTS))


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_two_rows_duplicates_and_empty_texts(method, tiny_folder):
    for texts, labels in ((["aa", "bb"], [0, 1]), (["aa"] * 6, [0, 1] * 3), (["", "b", "", "c"], [0, 1, 0, 1])):
        trained = tuner(tiny_folder, method).fit(texts, labels)
        probabilities = trained.predict_proba(["", *texts])
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert trained.n_epochs_ == 2


@pytest.mark.parametrize(
    ("parameter", "word", "meant"),
    [
        ("method", "last-layer", "last_layer"),
        ("method", "LORA", "lora"),
        ("class_weight", "Balanced", "balanced"),
        ("encoder", "atuo", "auto"),
    ],
)
def test_words_that_are_almost_right_are_answered_with_the_right_one(parameter, word, meant):
    with pytest.raises(ValueError, match=rf"{word}.* Did you mean '{meant}'"):
        FineTuneClassifier(**{parameter: word}).fit(["a", "b"], [0, 1])


# -- weights that change --------------------------------------------------------------------------


def exchange_rows(network):
    weight = max(network.parameters(), key=lambda parameter: parameter.numel())
    weight.data[5:] = weight.data[5:].flip(0)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_model_in_memory_that_was_changed_after_fit(method):
    """Refused where its weights are used; what has its own goes on as before."""
    network = make_network("bert")
    encoder = LanguageModelEncoder((network, make_tokenizer("bert")))
    trained = FineTuneClassifier(encoder, method=method, epochs=1, random_state=0).fit(TEXTS, LABELS)
    before = trained.predict_proba(TEXTS)
    exchange_rows(network)
    if method in ("full", "contrastive"):
        np.testing.assert_allclose(trained.predict_proba(TEXTS), before, rtol=1e-4, atol=1e-6)
    else:
        with pytest.raises(ValueError, match="other weights than when this classifier was fitted"):
            trained.predict_proba(TEXTS)
        exchange_rows(network)
        np.testing.assert_allclose(trained.predict_proba(TEXTS), before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_files_that_were_overwritten_in_place_after_fit(method, tiny_folder, other_tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    trained = tuner(str(folder), method).fit(TEXTS, LABELS)
    before = trained.predict_proba(TEXTS)
    data = pickle.dumps(trained)
    shutil.copyfile(Path(other_tiny_folder) / "model.safetensors", folder / "model.safetensors")
    os.utime(folder / "model.safetensors", (0, 0))
    if method == "last_layer":
        with pytest.raises(ValueError, match="other weights than when this classifier was fitted"):
            trained.predict_proba(TEXTS)
    else:
        np.testing.assert_allclose(trained.predict_proba(TEXTS), before, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="other weights than when this classifier was fitted"):
        pickle.loads(data).predict_proba(TEXTS)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_cache_of_the_encoder_is_no_other_model(method, tiny_folder):
    """Whether the encoder or the classifier asks first for a checksum."""
    encoder = SentenceEncoder(tiny_folder, device="cpu", cache=EmbeddingCache())
    trained = tuner(tiny_folder, method).set_params(encoder=encoder)
    clear_model_cache()
    expected = trained.fit(TEXTS, LABELS).predict_proba(TEXTS)
    clear_model_cache()
    found = pickle.loads(pickle.dumps(trained)).predict_proba(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    clear_model_cache()
    encoder.fit_transform(["another text"])
    found = pickle.loads(pickle.dumps(trained)).predict_proba(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_numbers_that_are_nan_are_named(method, tiny_folder):
    trained = tuner(tiny_folder, method).fit(TEXTS, LABELS)
    trained._learnt.head.coef[:] = np.nan
    for name in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(ValueError, match=r"are NaN or infinite\. The weights of the model may be damaged"):
            getattr(trained, name)(TEXTS)
