import copy
import os
import pickle
import random
import warnings
from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from encoders.argument_names import MANNERS, CountsTokens, forget_past, rename_past
from prompting.tiny_causal_models import FAMILIES, pair_of, save_pair
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, check_cv, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from text_battery import CLASSIFIER_CHECKS, LABELS, SKLEARN, SUBJECTS, TEXTS, name_of

from skicl import ICLClassifier, TartClassifier
from skicl._models._reading_on import NAMES
from skicl.encoders import LanguageModelEncoder, LiveModel, clear_model_cache
from skicl.pretraining import EpisodePrior
from skicl.prompting import (
    BatchCalibration,
    ModelSettings,
    NearestDemonstrations,
    PromptEnsemble,
    PromptTemplate,
    RandomDemonstrations,
    StratifiedDemonstrations,
    Verbalizer,
)

TRAIN = ["where is my parcel?", "it has not arrived", "I was charged twice", "wrong amount on my bill"] * 2
Y = ["delivery", "delivery", "billing", "billing"] * 2
QUERIES = ["my package is late", "please correct the invoice", ""]


@cache
def handle(family="llama"):
    """One model for all tests, in a handle that clones share."""
    return LiveModel(pair_of(family))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pair("llama", tmp_path_factory.mktemp("models") / "llama")


# Label words alone, as they are.
PLAIN = {"calibration": None, "readout": "label_words"}


def make(family="llama", **parameters):
    return ICLClassifier(handle(family), **{"demonstrations": 4, **PLAIN, **parameters})


def by_brute_force(classifier, family, prompts, words):
    """Probabilities from the definition: prompts and words as text, one pass for each pair."""
    network, tokenizer = pair_of(family)
    first = tokenizer("a").input_ids[:1] if tokenizer("a").input_ids[0] == tokenizer.bos_token_id else []
    scores = np.zeros((len(prompts), len(words)))
    for i, prompt in enumerate(prompts):
        start = len(first) + len(tokenizer(prompt, add_special_tokens=False).input_ids)
        for j, word in enumerate(words):
            ids = torch.tensor([[*first, *tokenizer(prompt + word, add_special_tokens=False).input_ids]])
            with torch.inference_mode():
                log_probs = network(ids).logits[0].log_softmax(-1)
            scores[i, j] = sum(log_probs[at - 1, ids[0, at]].item() for at in range(start, ids.shape[1]))
            scores[i, j] /= ids.shape[1] - start
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:MambaForCausalLM reads every prompt from its beginning")
def test_probabilities_are_those_of_the_definition(family):
    words = {"delivery": "parcel", "billing": "the bill"}
    classifier = make(family, verbalizer=Verbalizer(words, normalize="mean"), template="Text: {text}\nTopic: {label}")
    classifier.fit(TRAIN, Y)
    shown = [f"Text: {TRAIN[i]}\nTopic: {words[Y[i]]}\n\n" for i in classifier.demonstrations_]
    prompts = ["".join(shown) + f"Text: {query}\nTopic:" for query in QUERIES[:2]]
    expected = by_brute_force(classifier, family, prompts, [" the bill", " parcel"])
    np.testing.assert_allclose(classifier.predict_proba(QUERIES[:2]), expected, atol=1e-4)


# -- scikit-learn ---------------------------------------------------------------------------------

RANDOM_WEIGHTS = "the weights are random: nothing is learned, whatever the labels say"
STRICT = {"xfail_strict": True} if SKLEARN >= (1, 8) else {}


@cache
def checked():
    """One row at a time: in float32, rounding differs with the shape of a batch by more than the checks allow."""
    folder = TemporaryDirectory(prefix="skicl-")
    template = PromptTemplate(separator="\n")
    classifier = ICLClassifier(
        save_pair("gpt2", folder.name),
        demonstrations=2,
        model_settings=ModelSettings(batch_size=1),
        template=template,
        device="cpu",
    )
    return folder, classifier


def expected_failures(estimator):
    return {"check_classifiers_train": RANDOM_WEIGHTS} if estimator.readout == "label_words" else {}


@parametrize_with_checks(
    [checked()[1], clone(checked()[1]).set_params(**PLAIN)], expected_failed_checks=expected_failures, **STRICT
)
def test_sklearn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*demonstrations were left out|.*too long for all")
        check(estimator)


def _training_checks():
    """What random weights cannot pass, on the small model of the package, read off by its nearest neighbours."""
    classifier = ICLClassifier("skicl-tiny", readout="knn", calibration="affine", demonstrations=0, device="cpu")
    failing = expected_failures(clone(classifier).set_params(readout="label_words"))
    pairs = [pair for pair in estimator_checks_generator(classifier) if pair[1].func.__name__ in failing]
    # The others are the same one with the data in another form.
    return [pytest.param(*pair, marks=[pytest.mark.slow] if i else []) for i, pair in enumerate(pairs)]


@pytest.mark.parametrize(("estimator", "check"), _training_checks())
def test_sklearn_checks_of_what_is_learned(estimator, check):
    check(estimator)


# Words of labels are part of the prompt, and frames of several columns are as good as texts.
NOT_FOR_PROMPTS = {"labels_of_any_type", "bad_texts_are_refused"}
BATTERY = [check for check in CLASSIFIER_CHECKS if name_of(check) not in NOT_FOR_PROMPTS]


@pytest.mark.parametrize("check", BATTERY, ids=name_of)
def test_battery_of_texts(check, folder):
    check(
        ICLClassifier(
            folder, verbalizer=sorted(SUBJECTS), demonstrations=3, model_settings=ModelSettings(), device="cpu"
        )
    )


def test_bad_texts_are_refused():
    trained = make().fit(TRAIN, Y)
    for call in (lambda X: make().fit(X, Y[: len(X)]), trained.predict):
        with pytest.raises(ValueError, match="bare string"):
            call("a bare string")
        for missing in (None, np.nan):
            for form in (list, lambda texts: np.array(texts, dtype=object), pd.Series):
                with pytest.raises(ValueError, match=r"missing value .* position 2"):
                    call(form([*TRAIN[:2], missing, *TRAIN[3:]]))
        with pytest.raises(TypeError, match=r"type int .* position 1"):
            call([TRAIN[0], 3, *TRAIN[2:]])
        with pytest.raises(ValueError, match="empty"):
            call([])
    with pytest.raises(ValueError, match="no column 'text'"):
        trained.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(NotFittedError):
        make().predict(TRAIN)


def test_stratified_folds():
    assert type(check_cv(3, Y, classifier=is_classifier(make()))).__name__ == "StratifiedKFold"


def test_a_fold_that_lacks_a_class_keeps_its_place():
    texts, labels = TRAIN[:4], ["a", "b", "b", "c"]
    for classes in (["c", "a", "b"], np.array(["a", "b", "c"])):
        classifier = make(classes=classes).fit(texts[:3], labels[:3])
        assert classifier.classes_.tolist() == ["a", "b", "c"]
        assert classifier.predict_proba(texts).shape == (4, 3)
    y = np.array([0, 1] * 3 + [2] * 2)
    numbered = make(classes=[0, 1, 2], verbalizer=["a", "b", "c"])
    folds = KFold(2, shuffle=False)
    assert {tuple(np.unique(y[train])) for train, _ in folds.split(TRAIN)} == {(0, 1), (0, 1, 2)}
    probabilities = cross_val_predict(numbered, TRAIN, y, cv=folds, method="predict_proba")
    assert np.isfinite(log_loss(y, probabilities))
    with pytest.raises(ValueError, match=r"`classes` are \['a', 'b', 'c'\], and `y` holds the numbers"):
        cross_val_predict(
            make(classes=["a", "b", "c"]), TRAIN, np.array(["a", "b", "c"])[y], cv=2, method="predict_proba"
        )
    with pytest.raises(ValueError, match=r"`classes` does not list.*'d'"):
        make(classes=["a", "b"]).fit(TRAIN[:2], ["a", "d"])


def test_no_rows():
    by_y = make().fit(None, Y)
    by_classes = make(classes=["delivery", "billing"]).fit(None)
    without = make(demonstrations=0).fit(TRAIN, Y)
    expected = by_y.predict_proba(QUERIES)
    for other in (by_classes, without):
        np.testing.assert_allclose(other.predict_proba(QUERIES), expected, atol=1e-6)
    assert by_y.demonstrations_.tolist() == []
    with pytest.raises(ValueError, match="requires y to be passed"):
        make().fit(TRAIN)
    with pytest.raises(ValueError, match="requires y to be passed"):
        make().fit(None)
    with pytest.raises(ValueError, match="number of classes has to be greater than one"):
        make().fit(TRAIN, ["one"] * len(TRAIN))


# -- input ----------------------------------------------------------------------------------------


def test_frames_go_by_the_names_of_their_columns():
    frame = pd.DataFrame({"title": TRAIN, "pages": range(8), "n": 0.5}, index=range(10, 18))
    template = "{title} ({pages} pages)\nTopic: {label}"
    classifier = make(template=template).fit(frame, Y)
    assert classifier.feature_names_in_.tolist() == ["title", "pages", "n"]
    as_texts = [f"{title} ({pages} pages)" for title, pages in zip(TRAIN, range(8))]
    other = make(template="{text}\nTopic: {label}").fit(as_texts, Y)
    np.testing.assert_allclose(classifier.predict_proba(frame), other.predict_proba(as_texts), atol=1e-5)
    with pytest.raises(ValueError, match=r"field \{author\}, and `X` has the columns 'title', 'pages', 'n'"):
        make(template="{author} {label}").fit(frame, Y)
    with pytest.raises(ValueError, match=r"feature names should match|no column 'pages'"):
        classifier.predict(frame[["title"]].assign(other=1))
    everything = make().fit(frame, Y)
    by_hand = make(template="title: {title}\npages: {pages}\nn: {n}\nLabel: {label}").fit(frame, Y)
    np.testing.assert_array_equal(everything.predict_proba(frame), by_hand.predict_proba(frame))


def test_one_column_goes_by_its_name_or_as_text():
    frame = pd.DataFrame({"message": TRAIN})
    expected = make().fit(TRAIN, Y).predict_proba(QUERIES)
    named = make(template="Text: {message}\nLabel: {label}").fit(frame, Y)
    np.testing.assert_allclose(named.predict_proba(pd.DataFrame({"message": QUERIES})), expected, atol=1e-6)
    np.testing.assert_allclose(make().fit(frame, Y).predict_proba(QUERIES), expected, atol=1e-6)


def test_numbers():
    X = np.array([[0.123456, 2], [3, 4], [5, 6], [7, 8]])
    classifier = make().fit(X, [0, 1, 0, 1])
    rows = pd.DataFrame({"x0": ["0.1235", "3", "5", "7"], "x1": ["2", "4", "6", "8"]})
    np.testing.assert_allclose(
        classifier.predict_proba(X), make().fit(rows, [0, 1, 0, 1]).predict_proba(rows), atol=1e-6
    )
    with pytest.raises(ValueError, match="NaN"):
        make().fit(np.array([[np.nan, 1.0], [1.0, 2.0]]), [0, 1])
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        make().fit(scipy.sparse.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"1D array|no column"):
        make().fit(TRAIN, Y).predict(np.zeros(3))
    texts = make().fit(TRAIN, Y)
    with pytest.raises(ValueError, match="X has 2 features, but ICLClassifier was fitted on texts"):
        texts.predict(X)
    assert not hasattr(texts, "n_features_in_")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"template": "no field"}, ValueError, r"`template` must hold \{label\}"),
        ({"template": "{body} {label}"}, ValueError, r"field \{body\}"),
        ({"template": 3}, TypeError, "`template`"),
        ({"verbalizer": {"delivery": "x"}}, ValueError, "no word for the class 'billing'"),
        ({"verbalizer": "x"}, TypeError, "`words`"),
        ({"verbalizer": ["x"]}, ValueError, "1 entries, and there are 2 classes"),
        ({"demonstrations": "nearest"}, TypeError, "`demonstrations`"),
        ({"demonstrations": -1}, ValueError, "`demonstrations`"),
        ({"calibration": "platt"}, ValueError, "`calibration`"),
        ({"readout": "attention"}, ValueError, "`readout`"),
        ({"ensemble": 0}, ValueError, "`ensemble`"),
        ({"ensemble": "mean"}, TypeError, "`ensemble`"),
        ({"classes": "ab"}, ValueError, "`classes` is a bare string"),
        ({"model_settings": ModelSettings(window=0)}, ValueError, "`window`"),
        ({"model_settings": ModelSettings(window=5)}, ValueError, "5 fit"),
        ({"model_settings": ModelSettings(batch_size=0)}, ValueError, "`batch_size`"),
        ({"device": "nowhere"}, ValueError, "`device`"),
        ({"model_settings": ModelSettings(dtype="int8")}, ValueError, "`dtype`"),
        ({"model_settings": ModelSettings(revision=3)}, TypeError, "`revision`"),
        ({"model": 3}, TypeError, "`model`"),
        ({"verbose": "yes"}, ValueError, "`verbose`"),
    ],
)
def test_bad_parameters_are_refused_before_the_model_reads(parameters, error, message):
    pair = pair_of("llama")
    pair[0].lm_head.register_forward_pre_hook(lambda *_: pytest.fail("the model was used"))
    classifier = ICLClassifier(**{"model": pair, **parameters})
    with pytest.raises(error, match=message):
        classifier.fit(TRAIN, Y)


@pytest.mark.parametrize("form", [list, lambda y: np.array(y, dtype=object), pd.Series])
def test_missing_labels_are_named(form):
    for y in (["a", None, "b"], ["a", np.nan, "b"], [1, None, 2]):
        with pytest.raises(ValueError, match=r"`y` has a missing label at position 1\."):
            make().fit(TRAIN[:3], form(y))


@pytest.mark.parametrize("X", [(text for text in TRAIN), set(TRAIN), {"a": TRAIN}], ids=["generator", "set", "dict"])
def test_what_is_no_collection_in_order(X):
    with pytest.raises(TypeError, match=r"`X` is of type \w+: expected a collection"):
        make().fit(X, Y)


def test_demonstrations_that_do_not_fit_are_counted():
    whole = make(demonstrations=8).fit(TRAIN, Y)
    with pytest.warns(UserWarning, match=r"[1-7] of 8 demonstrations were left out") as caught:
        less = make(demonstrations=8, model_settings=ModelSettings(window=200)).fit(TRAIN, Y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    kept = less.demonstrations_.tolist()
    assert kept == whole.demonstrations_.tolist()[: len(kept)]
    explicit = make(demonstrations=_Fixed(kept)).fit(TRAIN, Y)
    np.testing.assert_allclose(less.predict_proba(QUERIES), explicit.predict_proba(QUERIES), atol=1e-5)


class _Fixed(BaseEstimator):
    def __init__(self, rows=()):
        self.rows = rows

    def fit(self, X, y):
        return self

    def select(self, X):
        return list(self.rows)


# -- label mass -----------------------------------------------------------------------------------


def test_low_mass():
    mass = make().fit(TRAIN, Y).label_mass(QUERIES)
    assert mass.shape == (3,)
    assert ((mass > 0) & (mass < 1)).all()
    least = float(np.sort(mass)[:2].mean())
    low = mass < least
    assert low.sum() == 1

    def with_rule(rule):
        return make(verbalizer=Verbalizer(low_mass=rule, min_mass=least)).fit(TRAIN, Y)

    plain = with_rule("ignore").predict_proba(QUERIES)
    abstained = with_rule("nan")
    np.testing.assert_array_equal(np.isnan(abstained.predict_proba(QUERIES)).all(axis=1), low)
    np.testing.assert_allclose(abstained.predict_proba(QUERIES)[~low], plain[~low])
    np.testing.assert_array_equal(abstained.predict(QUERIES), with_rule("ignore").predict(QUERIES))
    message = rf"After 1 of 3 rows, first at position {int(np.flatnonzero(low)[0])}"
    with pytest.warns(UserWarning, match=message):
        np.testing.assert_allclose(with_rule("warn").predict_proba(QUERIES), plain)
    with pytest.raises(ValueError, match=message):
        with_rule("raise").predict(QUERIES)


# -- chat -----------------------------------------------------------------------------------------

CHAT = (
    "<s>{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}[end]\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def test_chats_are_written_as_the_model_expects():
    pair = pair_of("llama", chat=CHAT)
    parameters = {"template": PromptTemplate("{text}\nTopic: {label}", instruction="{labels}?"), "demonstrations": 2}
    classifier = ICLClassifier(pair, verbalizer=Verbalizer(normalize="mean"), **PLAIN, **parameters).fit(TRAIN, Y)
    turns = "".join(f"[user]{TRAIN[i]}[end]\n[assistant]Topic: {Y[i]}[end]\n" for i in classifier.demonstrations_)
    prompt = f"<s>[system]billing, delivery?[end]\n{turns}[user]late[end]\n[assistant]Topic:"
    network, tokenizer = pair
    start, scores = tokenizer(prompt, add_special_tokens=False).input_ids, []
    assert start.count(tokenizer.bos_token_id) == 1
    for word in (" billing", " delivery"):
        ids = torch.tensor([tokenizer(prompt + word, add_special_tokens=False).input_ids])
        assert ids[0, : len(start)].tolist() == start
        with torch.inference_mode():
            log_probs = network(ids).logits[0].log_softmax(-1)
        scores.append(np.mean([log_probs[at - 1, ids[0, at]].item() for at in range(len(start), ids.shape[1])]))
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(classifier.predict_proba(["late"])[0], expected, atol=1e-4)


# -- several labels -------------------------------------------------------------------------------


def test_every_label_is_a_question_of_its_own():
    indicators = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]] * 2)
    classifier = make(classes=["late", "dear", "odd"]).fit(TRAIN, indicators)
    probabilities = classifier.predict_proba(QUERIES)
    assert probabilities.shape == classifier.decision_function(QUERIES).shape == (3, 3)
    np.testing.assert_array_equal(classifier.predict(QUERIES), (probabilities > 0.5).astype(int))
    np.testing.assert_array_equal(classifier.predict(QUERIES), (classifier.decision_function(QUERIES) > 0).astype(int))
    for j, name in enumerate(["late", "dear", "odd"]):
        template = f"Text: {{text}}\nIs it about {name}? {{label}}"
        one = make(template=template, verbalizer={0: "no", 1: "yes"}).fit(TRAIN, indicators[:, j])
        np.testing.assert_allclose(one.predict_proba(QUERIES)[:, 1], probabilities[:, j], atol=1e-5)
    assert classifier.label_mass(QUERIES).shape == (3, 3)
    with pytest.raises(ValueError, match="Give one name for each column"):
        make(classes=["a", "b"]).fit(TRAIN, indicators)
    with pytest.raises(ValueError, match=r"put \{candidate\} into it"):
        make(template="{text} {label}").fit(TRAIN, indicators)


# -- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("calibration", ["contextual", "domain", "batch", "affine"])
def test_calibration_leaves_predictions_to_the_row(calibration):
    classifier = make(calibration=calibration).fit(TRAIN, Y)
    plain = make().fit(TRAIN, Y)
    together = classifier.predict_proba(QUERIES)
    assert np.abs(together - plain.predict_proba(QUERIES)).max() > 1e-3
    alone = np.concatenate([classifier.predict_proba([query]) for query in QUERIES])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_an_injected_bias_is_taken_off():
    """Of two models that differ by a bias towards one label word, calibrated classifiers predict the same."""

    def biased(amount):
        network, tokenizer = pair_of("gpt_neox")
        token = tokenizer(" x").input_ids[-1]
        head = network.get_output_embeddings()
        head.bias = torch.nn.Parameter(torch.zeros(head.out_features))
        with torch.no_grad():
            head.bias[token] += amount
        return network, tokenizer

    words = {"delivery": "x", "billing": "y"}
    queries = [f"{word} {i}" for i in range(6) for word in ("parcel", "bill", "late", "wrong")]

    def predictions(amount, calibration):
        classifier = ICLClassifier(
            biased(amount),
            verbalizer=words,
            calibration=calibration,
            readout="label_words",
            demonstrations=2,
            template="{text} = {label}",
        )
        return classifier.fit(TRAIN, Y).predict(queries)

    assert (predictions(9.0, None) == "delivery").all()
    expected = predictions(0.0, "contextual")
    assert 0 < (expected == "delivery").sum() < len(queries)
    for amount in (3.0, 9.0, -9.0):
        np.testing.assert_array_equal(predictions(amount, "contextual"), expected)


def test_ensembles():
    ensemble = make(ensemble=PromptEnsemble(3, vary=["demonstrations", "order"])).fit(TRAIN, Y)
    opinions = [
        np.exp(tasks.scores(ensemble._load().model, [(q,) for q in QUERIES]).log_proba)
        for tasks in ensemble._learnt.questions[0]
    ]
    assert np.abs(opinions[0] - opinions[1]).max() > 1e-3
    np.testing.assert_allclose(ensemble.predict_proba(QUERIES), np.mean(opinions, axis=0), atol=1e-6)
    seeds = [
        make(demonstrations=StratifiedDemonstrations(4, random_state=seed)).fit(TRAIN, Y).predict_proba(QUERIES)
        for seed in range(3)
    ]
    np.testing.assert_allclose(make(ensemble=3).fit(TRAIN, Y).predict_proba(QUERIES), np.mean(seeds, axis=0), atol=1e-5)


@pytest.mark.parametrize("readout", ["hidden_centroid", "knn"])
def test_readouts(readout):
    classifier = make(readout=readout, calibration="batch").fit(TRAIN, Y)
    probabilities = classifier.predict_proba(QUERIES)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    alone = np.concatenate([classifier.predict_proba([query]) for query in QUERIES])
    np.testing.assert_allclose(alone, probabilities, atol=1e-4)


class GreedySearch(BaseEstimator):
    """A selector of the user: demonstrations are added one by one, each the best for rows held out."""

    def __init__(self, k=2, n_tried=3):
        self.k = k
        self.n_tried = n_tried

    def fit(self, X, y, scorer):
        held_out, self.chosen_ = np.arange(len(X))[::2], []
        for _ in range(self.k):
            left = [i for i in range(1, len(X), 2) if i not in self.chosen_][: self.n_tried]
            gains = []
            for i in left:
                log_proba = scorer([*self.chosen_, i], held_out)
                gains.append(log_proba[np.arange(len(held_out)), y[held_out]].mean())
            self.chosen_.append(left[int(np.argmax(gains))])
        return self

    def select(self, X):
        return self.chosen_


def test_a_selector_that_learns_gets_scores_normalised_by_the_domain_prompt():
    verbalizer = Verbalizer(normalize="pmi", domain_prompt="Topic:")
    classifier = make(demonstrations=GreedySearch(), verbalizer=verbalizer).fit(TRAIN, Y)
    chosen = classifier._learnt.questions[0][0].selector.chosen_
    codes, held_out = np.array([1, 1, 0, 0] * 2), np.arange(0, 8, 2)
    gains = []
    for i in (1, 3, 5):
        one = make(demonstrations=_Fixed([i]), verbalizer=verbalizer).fit(TRAIN, Y)
        gains.append(one.predict_log_proba([TRAIN[j] for j in held_out])[range(4), codes[held_out]].mean())
    assert chosen[0] == (1, 3, 5)[int(np.argmax(gains))]


def test_a_selector_of_the_user_scores_the_estimator_and_is_searched():
    classifier = make(demonstrations=GreedySearch()).fit(TRAIN, Y)
    assert len(classifier.demonstrations_) == 2
    first = classifier._learnt.questions[0][0].selector.chosen_[0]
    codes, held_out = np.array([1, 1, 0, 0] * 2), np.arange(0, 8, 2)
    gains = []
    for i in (1, 3, 5):
        one = make(demonstrations=_Fixed([i])).fit(TRAIN, Y)
        gains.append(one.predict_log_proba([TRAIN[j] for j in held_out])[range(4), codes[held_out]].mean())
    assert first == (1, 3, 5)[int(np.argmax(gains))]
    search = GridSearchCV(make(demonstrations=GreedySearch()), {"demonstrations__k": [1, 2]}, cv=2)
    search.fit(TRAIN, Y)
    assert search.best_params_["demonstrations__k"] in (1, 2)


def test_predict_reads_the_queries_only():
    pair = pair_of("llama")
    classifier = ICLClassifier(pair, demonstrations=4, verbalizer=["y", "n"]).fit(TRAIN, Y)
    read = []
    pair[0].register_forward_pre_hook(lambda network, args, kwargs: read.append(kwargs["input_ids"]), with_kwargs=True)
    classifier.predict(["late"])
    tokens = len(pair[1]("Text: late\nLabel:", add_special_tokens=False).input_ids)
    labels = pair[1]([" y", " n"], add_special_tokens=False).input_ids
    shared = {tuple(label[:-1]) for label in labels if len(label) > 1}
    assert sum(ids.numel() for ids in read) <= tokens + sum(map(len, shared))
    read.clear()
    classifier.predict(["late"] * 64)
    assert len(read) == 64 * (tokens + len(shared)) // 256, "256 tokens at a time"
    assert sum(ids.numel() for ids in read) == 64 * (tokens + len(shared)), "no padding"


def test_calibration_reads_each_row_once_and_the_prompt_never_again():
    network, tokenizer = pair_of("llama")
    rows, options = [f"{text} {i}" for i, text in enumerate(TRAIN)], {"demonstrations": 2, "readout": "label_words"}
    plain = ICLClassifier((network, tokenizer), verbalizer=["y", "n"], calibration=None, **options)
    plain.fit(rows, Y)  # with trials
    calibrated = clone(plain).set_params(calibration=BatchCalibration(n_rows=6))
    counter = CountsTokens(network)

    def cost(action):
        counter.tokens = 0
        action()
        return counter.tokens

    left = [row for row in rows if row not in {rows[i] for i in plain.demonstrations_}]
    once = cost(lambda: plain.predict(left))
    assert once <= sum(len(tokenizer(f"Text: {row}\nLabel:").input_ids) for row in left)
    fits = [cost(lambda classifier=classifier: clone(classifier).fit(rows, Y)) for classifier in (plain, calibrated)]
    assert len(left) == 6
    assert fits[1] - fits[0] == once
    calibrated.fit(rows, Y)
    assert cost(lambda: calibrated.predict(left)) == once


MANY = [f"parcel number {i} is late" for i in range(40)]


def tokens_of_many(network, tokenizer):
    """How many tokens a network reads to answer 40 short queries after 16 demonstrations, and the answers."""
    classifier = ICLClassifier(
        (network, tokenizer), demonstrations=16, model_settings=ModelSettings(batch_size=8), verbalizer=["y", "n"]
    )
    classifier.fit(TRAIN * 2, Y * 2)
    counter = CountsTokens(network)
    return classifier.predict_proba(MANY), counter.tokens


def test_forty_queries_cost_their_own_tokens_under_every_name():
    """What they share is read once, whatever the installed transformers calls keys and values."""
    network, tokenizer = pair_of("llama")
    longest = max(map(len, tokenizer([f"Text: {text}\nLabel: y" for text in MANY]).input_ids))
    with pytest.warns(UserWarning, match="LlamaForCausalLM reads every prompt from its beginning") as caught:
        expected, whole = tokens_of_many(rename_past(network, None), tokenizer)
    assert len(caught) == 1, "fit, and five batches of queries"
    assert whole > 12_000
    for name in NAMES:
        for unknown in MANNERS:
            network, tokenizer = pair_of("llama")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found, tokens = tokens_of_many(rename_past(network, name, unknown=unknown), tokenizer)
            assert 40 * 5 < tokens <= 40 * longest
            np.testing.assert_allclose(found, expected, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, tokens = tokens_of_many(*pair_of("llama"))
    assert tokens <= 40 * longest, "as installed"


@pytest.mark.parametrize("change", [forget_past, lambda network: rename_past(network, None, unknown="refused")])
def test_reading_everything_again_is_said_once_with_the_reason(change):
    network, tokenizer = pair_of("gpt2")
    classifier = ICLClassifier((change(network), tokenizer), demonstrations=4)
    with pytest.warns(UserWarning, match=r"GPT2LMHeadModel reads every .*: (it does not take|what it reads)") as caught:
        classifier.fit(TRAIN, Y)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(QUERIES[:2])
        clone(classifier).fit(TRAIN, Y)


# -- models: shared, searched, pickled ------------------------------------------------------------


def test_a_grid_search_copies_no_weights(monkeypatch):
    copies = []
    original = torch.nn.Module.__deepcopy__ if hasattr(torch.nn.Module, "__deepcopy__") else None
    monkeypatch.setattr(
        torch.nn.Module, "__deepcopy__", lambda self, memo: copies.append(self) or self, raising=original is not None
    )
    grid = {
        "demonstrations__k": [2, 4],
        "template": ["{text} => {label}", None],
        "calibration": [None, BatchCalibration(4)],
        "model": [handle("llama"), handle("qwen")],
    }
    search = GridSearchCV(make(demonstrations=StratifiedDemonstrations()), grid, cv=2, error_score="raise")
    search.fit(TRAIN, Y)
    assert len(search.cv_results_["params"]) == 16
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert not copies
    assert clone(search.best_estimator_).model is search.best_estimator_.model
    copy.deepcopy(torch.nn.Linear(1, 1))
    assert copies, "the counter counts"


def test_a_model_is_loaded_once_and_forgotten_on_request(folder, monkeypatch):
    import skicl._models._language_model as networks

    loads, original = [], networks.open_language_model
    monkeypatch.setattr(networks, "open_language_model", lambda *a, **k: loads.append(a) or original(*a, **k))
    clear_model_cache()
    classifier = ICLClassifier(folder, demonstrations=2, device="cpu")
    cross_val_score(classifier, TRAIN, Y, cv=2, error_score="raise")
    fitted = clone(classifier).fit(TRAIN, Y)
    encoder = LanguageModelEncoder(folder, device="cpu").fit(TRAIN)
    assert len(loads) == 1
    assert encoder._load(torch.device("cpu")).model is fitted._load().model
    expected = fitted.predict_proba(QUERIES)
    clear_model_cache()
    assert fitted._learnt.questions[0][0]._prompts.model is None, "the memory of the model is free"
    np.testing.assert_allclose(fitted.predict_proba(QUERIES), expected, atol=1e-6)
    assert len(loads) == 2


def test_pickles(folder):
    classifier = ICLClassifier(folder, demonstrations=4, calibration="batch", device="cpu").fit(TRAIN, Y)
    data = pickle.dumps(classifier)
    assert len(data) < 9000
    np.testing.assert_allclose(pickle.loads(data).predict_proba(QUERIES), classifier.predict_proba(QUERIES), atol=1e-6)
    with pytest.raises(pickle.PicklingError, match="live"):
        pickle.dumps(make().fit(TRAIN, Y))


def test_one_model_in_a_stack_of_a_prompt_and_a_reasoner(folder):
    """The states of the model that answers the prompt feed TartClassifier; its weights are in memory once."""
    prompt = ICLClassifier(folder, demonstrations=2, device="cpu", verbalizer=["billing", "delivery"])
    # Voting renames labels to numbers, so names are left out of the comparison.
    states = TartClassifier(LanguageModelEncoder(folder, device="cpu"), class_texts=None, device="cpu")
    members = [("prompt", prompt), ("states", states)]
    stack = StackingClassifier(members, final_estimator=LogisticRegression(), cv=2).fit(TRAIN, Y)
    assert set(stack.predict(QUERIES)) <= set(Y)
    vote = VotingClassifier(members, voting="soft").fit(TRAIN, Y)
    expected = np.mean([clone(member).fit(TRAIN, Y).predict_proba(QUERIES) for _, member in members], axis=0)
    np.testing.assert_allclose(vote.predict_proba(QUERIES), expected, atol=1e-5)


def test_retrieval_with_the_states_of_the_same_model(folder):
    selector = NearestDemonstrations(2, encoder=LanguageModelEncoder(folder, device="cpu"))
    classifier = ICLClassifier(folder, demonstrations=selector, device="cpu").fit(TRAIN, Y)
    assert classifier.demonstrations_ is None
    order = [2, 0, 1]
    np.testing.assert_allclose(
        classifier.predict_proba([QUERIES[i] for i in order]), classifier.predict_proba(QUERIES)[order], atol=1e-5
    )


def test_self_training():
    """SelfTrainingClassifier of scikit-learn refuses strings but takes numbers of rows; one round is three lines."""
    unlabelled = ["parcel lost", "bill too high", "it is late", "charged again", "hello"]
    codes = np.array(["billing", "delivery"]).searchsorted(Y)
    texts = np.array([*TRAIN, *unlabelled], dtype=object)
    classifier = make(demonstrations=10, verbalizer=["billing", "delivery"])
    first = clone(classifier).fit(TRAIN, codes)
    confidence = first.predict_proba(unlabelled).max(axis=1)
    threshold = float(np.sort(confidence)[1:3].mean())
    more = np.array(unlabelled, dtype=object)[confidence > threshold]
    assert len(more) == 3
    by_hand = clone(classifier).fit([*TRAIN, *more], [*codes, *first.predict(more)])
    assert len(by_hand.demonstrations_) == 10

    reader = make_pipeline(FunctionTransformer(lambda rows: texts[rows[:, 0].astype(int)]), classifier)
    trained = SelfTrainingClassifier(reader, threshold=threshold, max_iter=1)
    trained.fit(np.arange(len(texts))[:, None], np.r_[codes, [-1] * len(unlabelled)])
    inner = trained.estimator_[-1]
    np.testing.assert_allclose(inner.predict_proba(QUERIES), by_hand.predict_proba(QUERIES), atol=1e-6)


def test_seeds_and_pipelines():
    one, same, other = (
        make(demonstrations=RandomDemonstrations(4, random_state=seed)).fit(TRAIN, Y) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.demonstrations_, same.demonstrations_)
    assert one.demonstrations_.tolist() != other.demonstrations_.tolist()
    piped = make_pipeline("passthrough", make()).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(piped.predict(TEXTS), make().fit(TEXTS, LABELS).predict(TEXTS))


# -- real behaviour: the small model of the package -----------------------------------------------


def draw_task(seed, *, scrambled=False, n_rows=48, n_queries=24):
    """Texts of a rule that says for some things what their label is; the words mean nothing beforehand."""
    prior = EpisodePrior(
        families=("lookup",), meaningful=0.0, max_classes=2, balanced=1.0, default_layout=1.0, scrambled=scrambled
    )
    episode = prior.sample(random.Random(seed), n_examples=n_rows + n_queries)
    texts = [row.split("\n")[0].removeprefix("Text: ") for row in episode.text.strip().split("\n\n")]
    labels = np.array([episode.words[code] for code in episode.codes])
    return texts[:n_rows], labels[:n_rows], texts[n_rows:], labels[n_rows:]


def accuracies(demonstrations, *, scrambled=False, **parameters):
    """Of six tasks."""
    found = []
    for seed in range(6):
        X, y, queries, truth = draw_task(seed, scrambled=scrambled, n_queries=100 if scrambled else 24)
        classifier = ICLClassifier(
            "skicl-tiny",
            demonstrations=demonstrations,
            classes=np.unique(y),
            device="cpu",
            **{**PLAIN, **parameters},
        )
        found.append(classifier.fit(X, y).score(queries, truth))
    return np.array(found)


def test_more_demonstrations_are_better_and_scrambled_labels_teach_nothing():
    none, few, many = (accuracies(k).mean() for k in (0, 2, 24))
    assert abs(none - 0.5) < 0.15
    assert none < few < many
    assert many > 0.8
    assert abs(accuracies(24, scrambled=True).mean() - 0.5) < 0.1


def test_calibration_undoes_a_lopsided_prompt():
    lopsided = _Lopsided()
    plain, calibrated = accuracies(lopsided), accuracies(lopsided, calibration="batch")
    assert calibrated.mean() > plain.mean() + 0.02
    assert calibrated.mean() > 0.8


class _Lopsided(BaseEstimator):
    def fit(self, X, y):
        self.indices_ = np.r_[np.flatnonzero(y == 0)[:2], np.flatnonzero(y == 1)[:14]]
        return self

    def select(self, X):
        return self.indices_


def test_a_searching_selector_of_the_user_finds_better_demonstrations():
    """Rows that a search has chosen for what they do to held-out rows, against as many at random."""
    searched, chance = [], []

    def loss(classifier, X, y, queries, truth):
        return log_loss(truth, classifier.fit(X, y).predict_proba(queries), labels=np.unique(y))

    for seed in range(4):
        task = draw_task(seed, n_rows=32)
        selector = GreedySearch(k=3, n_tried=6)
        searched.append(loss(ICLClassifier("skicl-tiny", demonstrations=selector, device="cpu", **PLAIN), *task))
        for other in range(6):
            selector = RandomDemonstrations(3, random_state=other)
            chance.append(loss(ICLClassifier("skicl-tiny", demonstrations=selector, device="cpu", **PLAIN), *task))
    assert np.mean(searched) < 0.8 * np.mean(chance)

    classifier = ICLClassifier("skicl-tiny", demonstrations=GreedySearch(n_tried=4), device="cpu", **PLAIN)
    X, y, *_ = draw_task(0)
    search = GridSearchCV(classifier, {"demonstrations__k": [1, 4]}, cv=2, scoring="neg_log_loss", error_score="raise")
    assert search.fit(X, y).best_params_ == {"demonstrations__k": 4}
    assert len(search.best_estimator_.demonstrations_) == 4


@pytest.mark.parametrize(
    ("parameter", "word", "meant"),
    [
        ("calibration", "contextal", "contextual"),
        ("readout", "label-words", "label_words"),
        ("device", "gpu", "cuda"),
        ("model_settings__dtype", "flaot32", "float32"),
        ("model", "skicl-tinny", "skicl-tiny"),
    ],
)
def test_words_that_are_almost_right_are_answered_with_the_right_one(parameter, word, meant):
    with pytest.raises(ValueError, match=rf"{word}.* Did you mean '{meant}'"):
        ICLClassifier("skicl-tiny", model_settings=ModelSettings()).set_params(**{parameter: word}).fit(
            ["a", "b"], [0, 1]
        )


# -- weights that change --------------------------------------------------------------------------

ESTIMATED = {
    "calibration": {"calibration": "contextual"},
    "normalize": {"verbalizer": Verbalizer(normalize="pmi", domain_prompt="It is about")},
}


@pytest.mark.parametrize("readout", ["label_words", "hidden_centroid"])
def test_a_live_model_that_was_changed_is_read_anew(readout):
    """What it had made of the prompt is not mixed with what it makes of the queries now."""
    network, tokenizer = pair_of("llama")
    classifier = ICLClassifier((network, tokenizer), demonstrations=4, readout=readout, calibration=None).fit(TRAIN, Y)
    before = classifier.predict_proba(QUERIES)
    for weight in network.parameters():
        if weight.dim() > 1:
            weight.data = weight.data.flip(0)
    after = classifier.predict_proba(QUERIES)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, clone(classifier).fit(TRAIN, Y).predict_proba(QUERIES), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("parameters", ESTIMATED.values(), ids=ESTIMATED)
def test_what_was_estimated_with_other_weights_is_refused(parameters):
    network, tokenizer = pair_of("llama")
    classifier = ICLClassifier((network, tokenizer), demonstrations=4, **{**PLAIN, **parameters}).fit(TRAIN, Y)
    before = classifier.predict_proba(QUERIES)
    weight = network.get_input_embeddings().weight
    kept, weight.data = weight.data, weight.data.flip(0)
    with pytest.raises(ValueError, match="`model` has other weights than when this classifier was fitted"):
        classifier.predict_proba(QUERIES)
    weight.data = kept
    np.testing.assert_allclose(classifier.predict_proba(QUERIES), before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pickled", [False, True])
def test_a_folder_that_was_overwritten_in_place_is_read_anew_or_refused(pickled, tmp_path):
    save_pair("llama", tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    fitted = {
        name: ICLClassifier(str(tmp_path / "model"), demonstrations=4, device="cpu", **{**PLAIN, **parameters}).fit(
            TRAIN, Y
        )
        for name, parameters in {"plain": {}, **ESTIMATED}.items()
    }
    before = fitted["plain"].predict_proba(QUERIES)
    stat, tensors = weights.stat(), load_file(weights)
    exchanged = {name: tensor.flip(0).contiguous() for name, tensor in tensors.items()}
    save_file(exchanged, tmp_path / "new", {"format": "pt"})
    with weights.open("r+b") as file:
        file.write((tmp_path / "new").read_bytes())
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**9))
    assert weights.stat().st_size == stat.st_size
    if pickled:
        fitted = pickle.loads(pickle.dumps(fitted))
    plain = fitted.pop("plain")
    after = plain.predict_proba(QUERIES)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, clone(plain).fit(TRAIN, Y).predict_proba(QUERIES), rtol=1e-4, atol=1e-6)
    for classifier in fitted.values():
        with pytest.raises(ValueError, match="other weights than when this classifier was fitted"):
            classifier.predict(QUERIES)


def test_weights_that_are_nan_are_named_and_abstentions_stay():
    network, tokenizer = pair_of("llama")
    verbalizer = Verbalizer(min_mass=0.999, low_mass="nan")
    classifier = ICLClassifier((network, tokenizer), demonstrations=4, verbalizer=verbalizer, **PLAIN).fit(TRAIN, Y)
    assert np.isnan(classifier.predict_proba(QUERIES)).all()
    network.get_output_embeddings().weight.data[:] = torch.nan
    for method in ("predict", "predict_proba", "decision_function", "label_mass"):
        with pytest.raises(ValueError, match=r"are NaN or infinite\. The weights of the model may be damaged"):
            getattr(classifier, method)(QUERIES)


# -- as it comes ----------------------------------------------------------------------------------


def many_rows(n_rows=24):
    return [f"{text} {i}" for i in range(n_rows // 4) for text in TRAIN[:4]], [Y[i % 4] for i in range(n_rows)]


def test_as_it_comes_states_and_words_are_read():
    classifier = ICLClassifier(handle("llama")).fit(*many_rows())
    assert (classifier.readout_, classifier.chat_, len(classifier.demonstrations_)) == ("reasoner", False, 4)
    assert classifier.calibration_ in {None, "contextual", "domain", "batch"}
    assert classifier.losses_["calibration"][classifier.calibration_ or "none"] <= max(
        classifier.losses_["calibration"].values()
    )
    assert 0 <= classifier.evidence_["prior"] <= 1
    np.testing.assert_allclose(classifier.predict_proba(QUERIES).sum(axis=1), 1)


def test_without_rows_to_learn_from_words_are_read():
    few = ICLClassifier(handle("llama")).fit(TRAIN[:4], Y[:4])
    assert (few.readout_, few.calibration_, few.losses_["calibration"]) == ("label_words", "contextual", {})
    assert not hasattr(few, "evidence_")
    expected = make(calibration="contextual").fit(TRAIN[:4], Y[:4])
    np.testing.assert_array_equal(few.predict_proba(QUERIES), expected.predict_proba(QUERIES))
    none = ICLClassifier(handle("llama"), classes=sorted(set(Y))).fit(None)
    assert (none.readout_, none.calibration_) == ("label_words", "contextual")


@pytest.mark.parametrize("readout", ["label_words", "reasoner"])
def test_a_row_alone_is_as_a_row_among_others(readout):
    classifier = ICLClassifier(handle("llama"), readout=readout).fit(*many_rows())
    together = classifier.predict_proba(QUERIES)
    alone = np.vstack([classifier.predict_proba([query]) for query in QUERIES])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(QUERIES[::-1]), together[::-1], atol=1e-5)


def test_a_pickle_predicts_the_same_without_reading_the_labelled_rows(folder):
    classifier = ICLClassifier(folder, device="cpu").fit(*many_rows())
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_allclose(again.predict_proba(QUERIES), classifier.predict_proba(QUERIES), atol=1e-6)
    counted = CountsTokens(again._load().model.whole)
    again.predict_proba(QUERIES[:1])
    assert counted.tokens <= again.prompts(QUERIES[:1])[0].n_tokens + 30  # a prompt and label words


def test_classes_without_a_row_can_be_predicted():
    classifier = ICLClassifier(handle("llama"), classes=["billing", "delivery", "other"]).fit(*many_rows())
    assert classifier.predict_proba(QUERIES).shape == (len(QUERIES), 3)
    assert (classifier.predict_proba(QUERIES) > 0).all()


def test_several_labels_and_several_prompts_as_they_come():
    rows, _ = many_rows(12)
    matrix = np.array([[i % 2, (i // 2) % 2] for i in range(12)])
    several = ICLClassifier(handle("llama")).fit(rows, matrix)
    assert several.predict(QUERIES).shape == (len(QUERIES), 2)
    ensemble = ICLClassifier(handle("llama"), ensemble=2).fit(*many_rows())
    np.testing.assert_allclose(ensemble.predict_proba(QUERIES).sum(axis=1), 1)
    assert [task.readout_ for task in ensemble._learnt.questions[0]] == ["reasoner"] * 2


def test_a_grid_search_over_the_four_words():
    grid = {
        "template": ["Text: {text}\nLabel: {label}", "{text} = {label}"],
        "demonstrations": [None, 2],
        "calibration": ["auto", None, "affine"],
        "readout": ["auto", "label_words", "hidden_centroid"],
    }
    search = GridSearchCV(ICLClassifier(handle("llama")), grid, cv=2, error_score="raise").fit(*many_rows(16))
    assert len(search.cv_results_["params"]) == 2 * 2 * 3 * 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert set(search.predict(QUERIES)) <= set(Y)


def biased_towards(word, amount=30.0):
    network, tokenizer = pair_of("gpt_neox")
    head = network.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(head.out_features))
    with torch.no_grad():
        head.bias[tokenizer(f" {word}").input_ids[-1]] += amount
    return network, tokenizer


def test_a_model_that_prefers_one_label_is_warned_of():
    parameters = {"verbalizer": {"delivery": "x", "billing": "y"}, "demonstrations": 2, "template": "{text} = {label}"}
    rows, queries = many_rows(), [f"query {i}" for i in range(30)]
    plain = ICLClassifier(biased_towards("x"), **parameters, **PLAIN).fit(*rows)
    with pytest.warns(UserWarning, match=r"30 of 30 rows are predicted as 'delivery'.*calibration='auto'"):
        plain.predict(queries)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain.predict(queries[:5])  # so few may well be of one class
        plain.predict([queries[0]] * 40)  # so may copies
        ICLClassifier(biased_towards("x"), **parameters).fit(*rows).predict(queries)
        mostly = [*rows[0], *queries[:20]], [*rows[1], *["delivery"] * 70][: len(rows[0]) + 20]
        one_class = (mostly[0], ["billing", *["delivery"] * (len(mostly[0]) - 1)])
        ICLClassifier(biased_towards("x"), **parameters, **PLAIN).fit(*one_class).predict(queries)


def test_a_labelled_row_that_is_too_long_is_not_learnt_from():
    rows, labels = many_rows()
    rows[7] = "late " * 200
    settings = ModelSettings(window=300)
    with pytest.warns(UserWarning, match=r"some labelled rows \(1, first at position 7\) do not fit"):
        classifier = ICLClassifier(handle("llama"), model_settings=settings, demonstrations=2).fit(rows, labels)
    assert classifier.readout_ == "reasoner"
    others = [i for i in range(len(rows)) if i != 7]
    fewer = ICLClassifier(handle("llama"), model_settings=settings, demonstrations=2)
    fewer.fit([rows[i] for i in others], [labels[i] for i in others])
    assert len(fewer.predict(QUERIES)) == len(classifier.predict(QUERIES))
    with pytest.raises(ValueError, match="`X` has a row at position 1"):
        classifier.predict([rows[0], rows[7]])


def test_progress_of_fit_counts_the_rows_that_are_read(capsys):
    classifier = ICLClassifier(handle("llama"), demonstrations=4, verbose=True).fit(*many_rows())
    said = capsys.readouterr().err
    assert "ICLClassifier.fit: labelled rows" in said
    assert f"{24 + 23}/{24 + 23}" in said  # labelled rows, and inputs of calibrations
    classifier.predict(QUERIES)
    assert f"{len(QUERIES)}/{len(QUERIES)}" in capsys.readouterr().err
