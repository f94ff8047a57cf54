import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from encoders.argument_names import MANNERS, CountsTokens, rename_past
from encoders.tiny_language_models import (
    CAUSAL,
    FEATURES,
    MASKED,
    WITH_WINDOW,
    make_network,
    make_tokenizer,
    save_tiny_model,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from text_battery import LABELS, TEXTS, TRANSFORMER_CHECKS, name_of

from skicl import TartClassifier
from skicl._models import _prefix
from skicl._models._language_model import LanguageModel
from skicl._models._reading_on import NAMES
from skicl.encoders import ContextualEncoder, EmbeddingCache, LanguageModelEncoder, _contextual

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
LONG = 2048

each_family = pytest.mark.parametrize("family", CAUSAL)
with_context = pytest.mark.parametrize("embedding", ["loo", "vanilla"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("contextual")
    return {family: save_tiny_model(family, root / family, positions=LONG) for family in [*CAUSAL, *MASKED]}


@pytest.fixture(scope="module")
def folder(folders):
    """Of a model without a limit."""
    return folders["bloom"]


@pytest.fixture
def runs(monkeypatch):
    """Numbers of tokens that the network was given."""
    sizes, original = [], _prefix.states_of

    def states_of(network, layers, n_layers, **inputs):
        sizes.append(inputs["input_ids"].numel())
        return original(network, layers, n_layers, **inputs)

    monkeypatch.setattr(_prefix, "states_of", states_of)
    return sizes


def encoder(model, **options):
    return ContextualEncoder(model, **{"device": "cpu", "window": LONG, **options})


def left_out_with(one, texts, labels):
    """For every text the texts that are left out when it is read, its own included."""
    rows = one._choose(one._load(torch.device("cpu")).model, texts, list(map(str, labels)))
    return [{one.demonstrations_[i][0] for i in row.withheld} for row in rows]


def prompts_by_hand(family, texts, labels, query, order):
    """The states of a query's text and cue after labelled texts, by transformers alone, one prompt in one piece."""
    network, tokenizer = make_network(family, positions=LONG), make_tokenizer(family)
    pieces = [f"Sentence: {texts[i]}\nLabel: {labels[i]}\n" for i in order] + [f"Sentence: {query}\nLabel:"]
    ids = tokenizer("")["input_ids"] + [
        token for piece in pieces for token in tokenizer(piece, add_special_tokens=False)["input_ids"]
    ]
    last = tokenizer(pieces[-1], add_special_tokens=False, return_offsets_mapping=True)
    n_span = sum(end > len("Sentence: ") for _, end in last["offset_mapping"])
    with torch.inference_mode():
        return network(input_ids=torch.tensor([ids])).last_hidden_state[0, -n_span:]


# -- what the vectors are ------------------------------------------------------------------------


@each_family
def test_vectors_are_states_after_the_demonstrations(folders, family):
    texts, labels, queries = TEXTS[:5], LABELS[:5], ["is my card here", "", "Label: card"]
    one = encoder(folders[family]).fit(texts, labels)
    order = [texts.index(text) for text, _ in one.demonstrations_]
    assert sorted(order) == list(range(5))
    for query, vector in zip(queries, one.transform(queries)):
        states = prompts_by_hand(family, texts, labels, query, order)
        np.testing.assert_allclose(vector, states.mean(0), **CLOSE)
    left_out = one.fit_transform(texts, labels)
    standing = encoder(folders[family], embedding="vanilla").fit_transform(texts, labels)
    withheld = left_out_with(one, texts, labels)
    for i, text in enumerate(texts):
        others = [j for j in order if texts[j] not in withheld[i]]
        before = order[: order.index(i)]
        np.testing.assert_allclose(left_out[i], prompts_by_hand(family, texts, labels, text, others).mean(0), **CLOSE)
        np.testing.assert_allclose(standing[i], prompts_by_hand(family, texts, labels, text, before).mean(0), **CLOSE)


@each_family
def test_stream_is_the_language_model_encoder(folders, family):
    one = encoder(folders[family], embedding="stream", pooling="last", layers=1)
    expected = LanguageModelEncoder(folders[family], pooling="last", layers=1, device="cpu").fit_transform(TEXTS)
    np.testing.assert_allclose(one.fit_transform(TEXTS, LABELS), expected, **CLOSE)
    np.testing.assert_allclose(one.fit(TEXTS).transform(TEXTS), expected, **CLOSE)
    assert not hasattr(one, "demonstrations_")


@each_family
def test_left_out_rows_are_new_texts_for_an_encoder_of_the_others(folders, family):
    """Row i of fit_transform is what transform gives after a fit without it and without a row of each other class."""
    one = encoder(folders[family])
    vectors, withheld = one.fit_transform(TEXTS[:9], LABELS[:9]), left_out_with(one, TEXTS[:9], LABELS[:9])
    for i in range(9):
        assert TEXTS[i] in withheld[i]
        assert sorted(LABELS[TEXTS.index(text)] for text in withheld[i]) == ["card", "login", "refund"]
        others = [j for j in range(9) if TEXTS[j] not in withheld[i]]
        fitted = encoder(folders[family]).fit([TEXTS[j] for j in others], [LABELS[j] for j in others])
        np.testing.assert_allclose(vectors[i], fitted.transform([TEXTS[i]])[0], **CLOSE)


@each_family
@with_context
def test_shared_keys_and_values_change_nothing(folders, family, embedding, monkeypatch):
    one = encoder(folders[family], embedding=embedding, layers=[1, -1])
    shared = one.fit_transform(TEXTS, LABELS), one.transform(TEXTS[:4])
    monkeypatch.setattr(LanguageModel, "shares_prefix", lambda model, network: False)
    one.model = (make_network(family, positions=LONG), make_tokenizer(family))
    whole = one.fit_transform(TEXTS, LABELS), one.transform(TEXTS[:4])
    for a, b in zip(shared, whole):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_forty_texts_cost_their_own_tokens_under_every_name():
    """The demonstrations are read once, whatever the installed transformers calls keys and values."""

    def tokens_of_many(network):
        fitted = encoder((network, make_tokenizer("llama"))).fit(TEXTS, LABELS)
        counter = CountsTokens(network)
        return fitted.transform([f"card {i}" for i in range(40)]), counter.tokens

    network = rename_past(make_network("llama", positions=LONG), None)
    with pytest.warns(UserWarning, match="LlamaModel reads every prompt from its beginning") as caught:
        expected, whole = tokens_of_many(network)
    assert len(caught) == 1, "fit, and all batches of texts"
    for name in NAMES:
        for unknown in MANNERS:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                network = rename_past(make_network("llama", positions=LONG), name, unknown=unknown)
                vectors, tokens = tokens_of_many(network)
            assert tokens < whole / 4
            np.testing.assert_allclose(vectors, expected, **CLOSE)


@with_context
def test_new_texts_get_the_same_vectors_either_way(folder, embedding):
    """The two differ in how training rows are encoded only."""
    fitted = encoder(folder, embedding=embedding).fit(TEXTS, LABELS)
    expected = encoder(folder).fit(TEXTS, LABELS).transform(["a", "b"])
    np.testing.assert_allclose(fitted.transform(["a", "b"]), expected, **CLOSE)


@with_context
def test_batches_and_rows_in_any_order_change_nothing(folder, embedding):
    expected = encoder(folder, embedding=embedding).fit_transform(TEXTS, LABELS)
    one_by_one = encoder(folder, embedding=embedding, batch_size=1).fit_transform(TEXTS, LABELS)
    np.testing.assert_allclose(one_by_one, expected, **CLOSE)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    permuted = encoder(folder, embedding=embedding).fit_transform([TEXTS[i] for i in order], np.array(LABELS)[order])
    np.testing.assert_allclose(permuted, expected[order], **CLOSE)


def test_random_state_chooses_the_order(folder):
    orders = [encoder(folder, random_state=seed).fit(TEXTS, LABELS).demonstrations_ for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    generator = np.random.RandomState(0)
    one = encoder(folder, random_state=generator)
    assert one.fit(TEXTS, LABELS).demonstrations_ != one.fit(TEXTS, LABELS).demonstrations_


def test_template_words_layers_and_pooling_count(folder):
    words = {"card": "cards", "refund": "money", "login": "access"}
    options = [{}, {"template": "{text} => {label}; "}, {"label_words": words}, {"layers": 1}, {"pooling": "last"}]
    found = [encoder(folder, **one).fit_transform(TEXTS, LABELS) for one in options]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert not np.allclose(one, other, atol=1e-3)
    assert {word for _, word in encoder(folder, label_words=words).fit(TEXTS, LABELS).demonstrations_} == {
        "cards", "money", "access"
    }  # fmt: skip


@pytest.mark.parametrize("labels", [[0, 1] * 9, [True, False] * 9, np.array(["x", "y"] * 9), np.array([-3, 5] * 9)])
def test_labels_of_any_type(folder, labels):
    one = encoder(folder).fit(TEXTS, labels)
    assert one.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert {word for _, word in one.demonstrations_} == {str(label) for label in np.asarray(labels).tolist()}


# -- nothing leaks -------------------------------------------------------------------------------


def relabelled(i):
    """The labels, with another one of row i."""
    labels = LABELS.copy()
    labels[i] = {"card": "refund", "refund": "login", "login": "card"}[labels[i]]
    return labels


@each_family
def test_no_row_sees_its_own_label(folders, family):
    """Changing a label changes neither that row nor those before it; it does change others, and those of transform."""
    one = encoder(folders[family], embedding="vanilla")
    before = one.fit_transform(TEXTS, LABELS)
    leaky = one.transform(TEXTS)
    looks_far_back = family not in WITH_WINDOW
    moved = np.zeros(len(TEXTS), dtype=bool)
    for i in range(0, len(TEXTS), 4):
        after = one.fit_transform(TEXTS, relabelled(i))
        np.testing.assert_allclose(after[i], before[i], rtol=1e-5, atol=1e-5)
        moved |= np.abs(after - before).max(axis=1) > 1e-3
        if looks_far_back:
            assert np.abs(one.transform([TEXTS[i]])[0] - leaky[i]).max() > 1e-3
    assert moved.any()


@pytest.mark.parametrize("labels", [LABELS, ["card"] * 11 + ["refund"] * 7, ["card"] * 9 + ["refund"] * 8 + ["rare"]])
def test_a_row_is_read_after_as_many_demonstrations_of_each_class_whatever_its_own_label_is(folder, labels):
    one = encoder(folder)
    shown = []
    for withheld in left_out_with(one, TEXTS, labels):
        shown.append(sorted(word for text, word in one.demonstrations_ if text not in withheld))
    of_rare = {"rare"} & set(labels)
    assert len({tuple(words) for words, label in zip(shown, labels) if label not in of_rare}) == 1
    assert all(("rare" in words) == (label != "rare") for words, label in zip(shown, labels) if of_rare)
    assert all(set(words) | {label} == set(labels) for words, label in zip(shown, labels))


def test_equal_rows_get_equal_vectors_in_any_order_of_the_rows(folder):
    texts, labels = [*TEXTS[:9], *TEXTS[:4]], [*LABELS[:9], *LABELS[:4]]
    vectors = encoder(folder).fit_transform(texts, labels)
    np.testing.assert_allclose(vectors[9:], vectors[:4], rtol=1e-5, atol=1e-5)
    order = np.random.default_rng(0).permutation(13)
    permuted = encoder(folder).fit_transform([texts[i] for i in order], np.array(labels)[order])
    np.testing.assert_allclose(permuted, vectors[order], **CLOSE)


@with_context
def test_no_row_sees_its_own_label_through_tokens_that_join_it_to_the_cue(embedding):
    """A tokenizer may write the end of the cue and the beginning of some labels as one token."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: i for i, piece in enumerate(["a", "b", "c", ":", "x", ":x", "y"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[(":", "x")]))
    model = (make_network("gpt_neox", positions=LONG), PreTrainedTokenizerFast(tokenizer_object=backend))
    texts, labels = ["ab", "ba", "abc", "cab", "bca", "cc"], list("xyxyxy")
    one = encoder(model, embedding=embedding, template="{text}:{label}", pooling="last")
    vectors, withheld = one.fit_transform(texts, labels), left_out_with(one, texts, labels)
    for i, text in enumerate(texts):
        others = [j for j in range(6) if texts[j] not in withheld[i]]
        if others:  # the first demonstration of "vanilla" stands alone
            fitted = clone(one).fit([texts[j] for j in others], [labels[j] for j in others])
            np.testing.assert_allclose(vectors[i], fitted.transform([text])[0], **CLOSE)


@with_context
def test_no_row_sees_its_own_label_through_what_fits(folder, embedding):
    """The labels differ in length; the number of demonstrations must not tell which one a row has."""
    words = {"card": "c", "refund": "a very long label word indeed", "login": "l"}
    one = encoder(folder, embedding=embedding, window=260, label_words=words)
    with pytest.warns(UserWarning, match="do not fit"):
        before = one.fit_transform(TEXTS, LABELS)
    kept = [text for text, _ in one.demonstrations_]
    for i in range(0, len(TEXTS), 3):
        labels = LABELS.copy()
        labels[i] = "login"
        with pytest.warns(UserWarning, match="do not fit"):
            after = one.fit_transform(TEXTS, labels)
        assert [text for text, _ in one.demonstrations_] == kept
        if embedding == "vanilla":
            np.testing.assert_allclose(after[i], before[i], rtol=1e-5, atol=1e-5)


@with_context
def test_random_labels_stay_at_chance(folder, embedding):
    rng = np.random.default_rng(0)
    texts = [f"{a} {b}" for a in ("card", "refund", "login", "parcel", "bill") for b in "abcdefgh"]
    scores = []
    for _ in range(4):
        labels = rng.permutation(np.repeat(["no", "yes"], len(texts) // 2))
        pipeline = make_pipeline(encoder(folder, embedding=embedding), LogisticRegression(max_iter=1000))
        scores += cross_val_score(pipeline, texts, labels, cv=4, error_score="raise").tolist()
    # 160 predictions: the standard error at chance is 0.04.
    assert abs(np.mean(scores) - 0.5) < 0.13


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
@pytest.mark.parametrize("counts", [(16, 16), (24, 8), (12, 10, 10)], ids=str)
@with_context
def test_vectors_do_not_tell_random_labels(folders, family, counts, embedding):
    """Cross-validated on their own rows. With each row left out alone: 0.9 to 1.0, its label being once less there."""
    scores, n_classes = [], len(counts)
    words = "card refund login parcel bill lost late wrong money access code help please where when broken".split()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000, class_weight="balanced"))
    for seed in range(24):
        rng = np.random.default_rng(seed)
        texts = [f"{' '.join(rng.choice(words, 4))} {i}" for i in range(sum(counts))]
        labels = rng.permutation(np.repeat(["no", "yes", "perhaps"][:n_classes], counts))
        one = encoder(folders[family], embedding=embedding, pooling="last", random_state=seed)
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        vectors = one.fit_transform(texts, labels)
        scores.append(cross_val_score(model, vectors, labels, cv=folds, scoring="balanced_accuracy").mean())
    # The standard error is at most 0.03. Below chance: rows that are read after the same prompt differ in their labels.
    assert 1 / n_classes - 0.15 < np.mean(scores) < 1 / n_classes + 0.08


def test_a_pipeline_encodes_training_rows_by_leave_one_out(folder):
    one = encoder(folder)
    pipeline = make_pipeline(clone(one), LogisticRegression()).fit(TEXTS, LABELS)
    expected = LogisticRegression().fit(one.fit_transform(TEXTS, LABELS), LABELS)
    np.testing.assert_allclose(pipeline[-1].coef_, expected.coef_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        pipeline.predict_proba(["a", "b"]), expected.predict_proba(one.transform(["a", "b"])), rtol=1e-3, atol=1e-4
    )


@with_context
def test_as_the_encoder_of_tart_classifier(folder, embedding):
    one = encoder(folder, embedding=embedding)
    queries = ["my card", "log in", "refund it"]
    inside = TartClassifier(one, class_texts=None).fit(TEXTS, LABELS)
    pipeline = make_pipeline(clone(one), TartClassifier()).fit(TEXTS, LABELS)
    by_hand = TartClassifier().fit(one.fit_transform(TEXTS, LABELS), LABELS)
    expected = by_hand.predict_proba(one.transform(queries))
    np.testing.assert_allclose(inside.predict_proba(queries), expected, **CLOSE)
    np.testing.assert_allclose(pipeline.predict_proba(queries), expected, **CLOSE)
    assert np.isfinite(cross_val_score(inside, TEXTS, LABELS, cv=3, error_score="raise")).all()


def test_tart_classifier_reads_rows_without_a_label_as_new_texts(folder):
    labels = np.array(LABELS, dtype=object)
    labels[[2, 7]] = None
    classifier = TartClassifier(encoder(folder)).fit(TEXTS, labels)
    assert len(classifier.encoder_.demonstrations_) == len(TEXTS) - 2
    assert classifier.n_context_ == len(TEXTS)


# -- the window ----------------------------------------------------------------------------------


@with_context
def test_what_does_not_fit_is_dropped_as_a_whole_and_counted(folder, embedding, runs):
    whole = encoder(folder).fit(TEXTS, LABELS)
    window = 200
    one = encoder(folder, embedding=embedding, window=window)
    with pytest.warns(UserWarning, match="do not fit") as caught:
        vectors = one.fit_transform(TEXTS, LABELS)
    kept = len(one.demonstrations_)
    assert 1 < kept < len(TEXTS)
    message = str(caught[0].message)
    assert message.startswith(f"{len(TEXTS) - kept} of {len(TEXTS)} demonstrations do not fit into the window")
    assert caught[0].filename == __file__
    assert one.demonstrations_ == whole.demonstrations_[:kept]
    assert np.isfinite(vectors).all()
    dropped = [text for text, _ in whole.demonstrations_[kept:]]
    np.testing.assert_allclose(vectors[[TEXTS.index(text) for text in dropped]], one.transform(dropped), **CLOSE)


def test_no_prompt_is_longer_than_the_window(folder, monkeypatch):
    longest = []
    original = _prefix.states_of

    def states_of(network, layers, n_layers, **inputs):
        longest.append(inputs["attention_mask"].shape[1])
        return original(network, layers, n_layers, **inputs)

    monkeypatch.setattr(_prefix, "states_of", states_of)
    for window in (90, 150, 301):
        one = encoder(folder, window=window)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            one.fit_transform(TEXTS, LABELS)
            one.transform([*TEXTS, "refund " * 200])
        assert max(longest) <= window
        longest.clear()


def test_class_without_a_demonstration_is_named(folder):
    labels = [*["card"] * 9, *["refund"] * 8, "rare"]
    dropped = 0
    for seed in range(8):
        one = encoder(folder, window=150, random_state=seed)
        with pytest.warns(UserWarning, match="do not fit") as caught:
            one.fit(TEXTS, labels)
        lost = "rare" not in {word for _, word in one.demonstrations_}
        assert ("None is left of 'rare'." in str(caught[0].message)) == lost
        dropped += lost
    assert dropped


def test_long_texts_are_cut_and_counted(folder):
    texts = [*TEXTS[:6], "refund " * 80]
    one = encoder(folder, max_length=20)
    with pytest.warns(UserWarning, match="1 of 7 texts are longer than 20 tokens and were truncated") as caught:
        vectors = one.fit_transform(texts, LABELS[:7])
    assert caught[0].filename == __file__
    assert one.transform(["card"]).shape == (1, FEATURES)
    with pytest.warns(UserWarning, match="1 of 1 texts are longer than 20 tokens") as caught:
        one.transform(["refund " * 90])
    assert caught[0].filename == __file__
    short = next(text for text, _ in one.demonstrations_ if text.startswith("refund refund"))
    np.testing.assert_allclose(encoder(folder).fit_transform([*TEXTS[:6], short], LABELS[:7]), vectors, **CLOSE)


def test_impossible_windows(folders):
    with pytest.raises(ValueError, match="Not one demonstration fits into 12 tokens beside the longest text"):
        encoder(folders["bloom"], window=12).fit(["a", "b"], ["x", "y"])
    with pytest.raises(ValueError, match=f"`window`={LONG + 1} exceeds the {LONG} positions of the model"):
        encoder(folders["gpt2"], window=LONG + 1).fit(TEXTS, LABELS)


def test_window_of_the_model_is_the_default(folders):
    with pytest.warns(UserWarning, match="do not fit into the window"):
        ContextualEncoder(folders["gpt2"], device="cpu").fit(TEXTS, LABELS)  # its tokenizer says 128
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ContextualEncoder(folders["bloom"], device="cpu").fit(TEXTS * 4, LABELS * 4)


# -- work that is not done twice -----------------------------------------------------------------


def test_the_prompt_is_read_once_for_all_batches_and_calls(folder, runs):
    one = encoder(folder, batch_size=4, random_state=7).fit(TEXTS, LABELS)
    queries = [f"text {i}" for i in range(20)]
    one.transform(queries)
    prompt = sum(size > 200 for size in runs)
    one.transform(queries)
    one.transform(["another"])
    assert prompt == 1
    assert sum(size > 200 for size in runs) == 1


def test_leave_one_out_reads_a_prompt_for_each_row_of_the_smallest_class(folder, runs):
    one = encoder(folder, random_state=8)
    one.fit_transform(TEXTS, LABELS)
    with_sharing = sum(runs)
    whole = len(one._prompt(one._load(torch.device("cpu")).model)[0])
    assert 6 <= sum(size > 200 for size in runs) <= 8  # rows of two of the six prompts may be in two batches
    assert with_sharing < 0.46 * whole * len(TEXTS)


def test_vanilla_reads_one_prompt(folder, runs):
    one = encoder(folder, embedding="vanilla", random_state=9)
    one.fit_transform(TEXTS, LABELS)
    assert sum(size > 100 for size in runs) == 1


@with_context
def test_cached_vectors_equal_those_that_are_not(folder, embedding):
    cache = EmbeddingCache()
    plain, cached = (encoder(folder, embedding=embedding, cache=one) for one in (None, cache))
    for _ in range(2):
        np.testing.assert_allclose(cached.fit_transform(TEXTS, LABELS), plain.fit_transform(TEXTS, LABELS), **CLOSE)
        np.testing.assert_allclose(cached.transform(TEXTS), plain.transform(TEXTS), **CLOSE)
    other = [*LABELS[1:], "card"]
    np.testing.assert_allclose(cached.fit_transform(TEXTS, other), plain.fit_transform(TEXTS, other), **CLOSE)
    for option in ({"template": "{text} => {label}; "}, {"pooling": "last"}, {"layers": 1}):
        np.testing.assert_allclose(
            clone(cached).set_params(**option).fit_transform(TEXTS, LABELS),
            clone(plain).set_params(**option).fit_transform(TEXTS, LABELS),
            **CLOSE,
        )


def test_grid_search_over_a_classifier_encodes_each_fold_once(folder):
    cache = EmbeddingCache()
    pipeline = make_pipeline(encoder(folder, cache=cache), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0, 10.0]}, cv=3, refit=False)
    search.fit(TEXTS, LABELS)
    assert cache.stats.misses == 3 * len(TEXTS)  # 12 training and 6 test rows in each of 3 folds
    assert cache.stats.hits == 6 * len(TEXTS)


def test_stream_shares_its_cache_with_the_language_model_encoder(folder):
    cache = EmbeddingCache()
    LanguageModelEncoder(folder, cache=cache, device="cpu").fit_transform(TEXTS)
    misses = cache.stats.misses
    encoder(folder, embedding="stream", cache=cache).fit_transform(TEXTS)
    assert cache.stats.misses == misses


# -- as a transformer of scikit-learn ------------------------------------------------------------

# These call fit without labels, or expect fit_transform to equal fit and transform.
NEED_NO_LABELS = {"fit_transform", "set_output", "pipeline_of_transformers", "column_transformer", "feature_names"}


@pytest.mark.parametrize("embedding", ["loo", "vanilla", "stream"])
@pytest.mark.parametrize("check", TRANSFORMER_CHECKS, ids=name_of)
def test_battery(check, embedding, folder):
    if embedding != "stream" and name_of(check) in NEED_NO_LABELS:
        pytest.skip("calls fit without labels; the tests below say what holds instead")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check(encoder(folder, embedding=embedding))


@with_context
def test_output_as_frames(folder, embedding):
    import pandas as pd

    expected = encoder(folder, embedding=embedding).fit_transform(TEXTS, LABELS)
    one = encoder(folder, embedding=embedding).set_output(transform="pandas")
    frame = one.fit_transform(pd.DataFrame({"message": TEXTS}, index=range(5, 5 + len(TEXTS))), LABELS)
    assert list(frame.columns) == [f"contextualencoder{i}" for i in range(FEATURES)]
    assert frame.index[0] == 5
    np.testing.assert_allclose(frame.to_numpy(), expected, **CLOSE)


def test_tags_say_whether_labels_are_needed(folder):
    assert get_tags(encoder(folder)).target_tags.required
    assert not get_tags(encoder(folder, embedding="stream")).target_tags.required
    assert get_tags(encoder(folder, random_state=None)).non_deterministic


def test_pickled_encoder_knows_its_demonstrations(folder):
    one = encoder(folder).fit(TEXTS, LABELS)
    data = pickle.dumps(one)
    assert len(data) < 5000
    np.testing.assert_allclose(pickle.loads(data).transform(["a"]), one.transform(["a"]), **CLOSE)


def test_failed_fit_leaves_no_half_fitted_encoder(folder):
    one = encoder(folder).fit(TEXTS, LABELS)
    expected, window = one.transform(["a"]), one.window
    with pytest.raises(ValueError, match="Not one demonstration fits"):
        one.set_params(window=12).fit(["a", "b"], ["x", "y"])
    assert one.classes_.tolist() == sorted(set(LABELS))
    np.testing.assert_array_equal(one.set_params(window=window).transform(["a"]), expected)
    new = encoder(folder, window=12)
    with pytest.raises(ValueError, match="Not one demonstration fits"):
        new.fit(["a", "b"], ["x", "y"])
    with pytest.raises(NotFittedError):
        new.transform(["a"])
    other = encoder(folder).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="`y` is None"):
        other.fit(TEXTS)
    other.transform(["a"])  # refused before any work: what was fitted stays


@pytest.mark.parametrize("family", MASKED)
def test_masked_models_are_refused_except_for_stream(folders, family):
    with pytest.raises(ValueError, match=r"`embedding`='loo' needs a causal language model, and .* reads both ways"):
        encoder(folders[family], window=None).fit(TEXTS, LABELS)
    assert encoder(folders[family], window=None, embedding="stream").fit_transform(TEXTS).shape[1] == FEATURES


@pytest.mark.parametrize(
    ("options", "labels", "error", "message"),
    [
        ({}, None, ValueError, r"`y` is None, and embedding='loo' needs labels\."),
        ({}, LABELS[:-1], ValueError, r"inconsistent numbers of samples"),
        ({}, [None, *LABELS[1:]], ValueError, r"`y` has a missing label \(None\) at position 0\."),
        ({}, [0.0, float("nan"), *range(16)], ValueError, r"`y` has a missing label \(nan\) at position 1\."),
        ({}, pd.array(["a", None, *"ab" * 8]), ValueError, r"`y` has a missing label \(<NA>|nan\) at position 1\."),
        ({}, np.linspace(0, 1, 18), ValueError, r"Unknown label type"),
        ({"embedding": "LOO"}, LABELS, ValueError, r"`embedding` must be one of 'loo', 'vanilla', 'stream', got 'LOO'"),
        ({"template": "{text}"}, LABELS, ValueError, r"`template` must be a string with"),
        ({"label_words": ["a"]}, LABELS, TypeError, r"`label_words` must be a dict from labels to words or None"),
        ({"label_words": {"card": "x"}}, LABELS, ValueError, r"`label_words` has no word for the label 'login'"),
        ({"window": 0}, LABELS, ValueError, r"`window` must be an integer of at least 1 or None, got 0"),
        ({"max_length": 0}, LABELS, ValueError, r"`max_length` must be an integer of at least 1 or None, got 0"),
        ({"layers": 9}, LABELS, ValueError, r"the model has no layer 9"),
        ({"pooling": "max"}, LABELS, ValueError, r"`pooling` must be one of"),
        ({"random_state": "x"}, LABELS, ValueError, r"cannot be used to seed"),
        ({"revision": "main"}, LABELS, ValueError, r"`revision` applies to models of the hub only"),
        ({"model": 3}, LABELS, TypeError, r"`model` must be the name or the path of a model of transformers or a pair"),
    ],
)
def test_bad_parameters_and_labels_are_refused(folder, options, labels, error, message):
    with pytest.raises(error, match=message):
        encoder(**{"model": folder, **options}).fit(TEXTS, labels)


def test_another_embedding_needs_another_fit(folder):
    fitted = encoder(folder, embedding="stream").fit(TEXTS)
    with pytest.raises(NotFittedError):
        fitted.set_params(embedding="loo").transform(TEXTS)


def test_parameters_are_checked_before_the_model_is_loaded(monkeypatch):
    monkeypatch.setattr(_contextual, "load_language_model", lambda *_, **__: pytest.fail("the model was loaded"))
    with pytest.raises(ValueError, match="bare string"):
        encoder("someone/model").fit("text", LABELS)
    with pytest.raises(ValueError, match="`embedding` must be"):
        encoder("someone/model", embedding="x").fit(TEXTS, LABELS)
