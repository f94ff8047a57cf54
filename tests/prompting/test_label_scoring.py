from functools import cache

import numpy as np
import pytest
import torch
from encoders.argument_names import CountsTokens
from encoders.tiny_language_models import WINDOW
from prompting.tiny_causal_models import FAMILIES, OTHERS, model_of

from skicl._models._prefix import Prefix, read_prefix
from skicl.prompting._joint_tokens import AnchoredText, TokenizedPrompt, encoder_of, tokenize_jointly
from skicl.prompting._label_scoring import PADDED_ROWS, label_tree, score_labels

PREFIX = "".join(
    f"Text: {text}\nLabel: {label}\n\n"
    for text, label in [("my card is lost", "card"), ("refund please", "refund"), ("cannot log in", "log in")]
)
QUERIES = ["my card?", "late", "no refund came yet", "", "lost"]
LABELS = ["1", "12", "refund please", "refund", "é"]


# Reading Mamba without its own kernels takes long: a step for every token.
# One network of these tests has a state of its own.
pytestmark = pytest.mark.filterwarnings("ignore:MambaForCausalLM reads every prompt from its beginning")
BATCHES = [(family, size) for family in FAMILIES for size in ((3,) if family == "mamba" else (1, 3, 64))]
BATCHES += [(family, 3) for family in OTHERS]

model_of = cache(model_of)


@cache
def prompts_of(family, prefix=PREFIX):
    """The tokens of the prefix, and the prompts with their labels."""
    model = model_of(family)
    encode = encoder_of(model.backend)
    texts = ["Text: " + query + "\nLabel:" for query in QUERIES]
    anchor = AnchoredText(encode, prefix)
    prompts = tokenize_jointly(encode, anchor, model.first_tokens, texts, "\nLabel:", [" " + word for word in LABELS])
    return [*model.first_tokens, *anchor.ids], prompts


@cache
def by_brute_force(family, prefix=PREFIX):
    """The definition: one pass for each prompt and label, from the first token to the last."""
    _, prompts = prompts_of(family, prefix)
    scores = np.zeros((len(prompts), len(LABELS)))
    for i, prompt in enumerate(prompts):
        for j, label in enumerate(prompt.continuations):
            whole = torch.tensor([[*prompt.ids, *label]])
            with torch.inference_mode():
                log_probs = model_of(family).whole(input_ids=whole).logits[0].log_softmax(-1)
            ends = range(len(prompt.ids), whole.shape[1])
            scores[i, j] = sum(log_probs[end - 1, whole[0, end]].item() for end in ends)
    return scores


def close(scores, expected):
    np.testing.assert_allclose(scores.log_probs, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("family", "batch_size"), BATCHES)
def test_scores_are_those_of_brute_force(family, batch_size):
    model = model_of(family)
    ids, prompts = prompts_of(family)
    prefix = read_prefix(model, ids)
    assert (prefix.past is None) == (family == "mamba")
    if family == "gemma":
        assert len(ids) > 3 * WINDOW, "layers with a window do not see all of the prefix"
    scores = score_labels(model, prefix, prompts, batch_size=batch_size)
    expected = by_brute_force(family)
    close(scores, expected)
    assert expected.std() > 1, "the labels differ"
    assert scores.lengths.tolist() == [[len(label) for label in prompt.continuations] for prompt in prompts]
    assert len(set(scores.lengths[0])) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_no_prefix(family):
    scores = score_labels(model_of(family), read_prefix(model_of(family), ()), prompts_of(family, "")[1], batch_size=4)
    close(scores, by_brute_force(family, ""))


@pytest.mark.parametrize("family", ["gpt2", "gemma"])
def test_a_network_that_cannot_share_is_read_from_the_beginning(family):
    ids, prompts = prompts_of(family)
    scores = score_labels(model_of(family), Prefix(tuple(ids), None, False), prompts, batch_size=4)
    close(scores, by_brute_force(family))


@pytest.mark.parametrize("family", ["gpt2", "gemma"])
def test_prompts_that_leave_the_prefix_early(family):
    """A tokenizer may join the end of the prefix with the query: then its last tokens are not those of the prompts."""
    model = model_of(family)
    ids, prompts = prompts_of(family)
    scores = score_labels(model, read_prefix(model, [*ids[:-3], 7, 8, 9]), prompts, batch_size=4)
    close(scores, by_brute_force(family))
    # The whole prompt in the prefix: one token of it is read again.
    scores = score_labels(model, read_prefix(model, prompts[0].ids), prompts[:1], batch_size=4)
    close(scores, by_brute_force(family)[:1])


@pytest.mark.parametrize("family", ["gpt2", "gemma", "mamba"])
@pytest.mark.parametrize("labels", [((5, 6, 7), (5, 6, 8)), ((5, 6), (5, 6, 8), (5, 6, 8, 9))])
def test_what_all_labels_begin_with_is_read_with_the_prompt(family, labels):
    """As if it belonged to the prompt: no pass of its own, and the same scores."""
    model = model_of(family)
    ids, prompts = prompts_of(family)
    prompts = [TokenizedPrompt(prompt.ids, labels) for prompt in prompts]
    prefix, calls = read_prefix(model, ids), []
    expected = score_labels(model, prefix, prompts, batch_size=8, states=(1.0,))  # there it is read after the prompt
    assert (expected.lengths == [len(label) for label in labels]).all()
    hook = model.whole.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        scores = score_labels(model, prefix, prompts, batch_size=8)
    finally:
        hook.remove()
    np.testing.assert_allclose(scores.log_probs, expected.log_probs, atol=1e-4)
    assert scores.log_probs.std() > 0.1
    if len(labels) == 2:
        assert len(calls) == 1


def test_scoring_leaves_the_prefix_as_it_is():
    model = model_of("llama")
    ids, prompts = prompts_of("llama")
    prefix = read_prefix(model, ids)
    before = [part.clone() for layer in prefix.past for part in layer]
    first = score_labels(model, prefix, prompts, batch_size=4)
    again = score_labels(model, prefix, prompts, batch_size=4)
    np.testing.assert_array_equal(first.log_probs, again.log_probs)
    assert all(torch.equal(*pair) for pair in zip(before, [part for layer in prefix.past for part in layer]))


@pytest.mark.parametrize("family", ["qwen", "mamba"])
def test_states_and_vocabulary_are_those_at_the_end_of_the_prompt(family):
    model = model_of(family)
    ids, prompts = prompts_of(family)
    scores = score_labels(model, read_prefix(model, ids), prompts, batch_size=4, states=(1.0,), vocabulary=True)
    for i, prompt in enumerate(prompts):
        with torch.inference_mode():
            output = model.whole(input_ids=torch.tensor([prompt.ids]), output_hidden_states=True)
        np.testing.assert_allclose(scores.states[i], output.hidden_states[-1][0, -1], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(scores.vocabulary[i], output.logits[0, -1].log_softmax(-1), atol=1e-4, rtol=1e-4)
    firsts = [label[0] for label in prompts[0].continuations]
    single = [j for j, label in enumerate(prompts[0].continuations) if len(label) == 1]
    for j in single:
        np.testing.assert_allclose(scores.log_probs[:, j], scores.vocabulary[:, firsts[j]], atol=1e-5)


def test_what_is_shared_is_read_once():
    model = model_of.__wrapped__("llama")
    prefix = read_prefix(model, tuple(range(5, 105)))
    labels = ((20,), (21, 22), (21, 23))
    prompts = [TokenizedPrompt((*prefix.ids, 30 + i, 40), labels) for i in range(6)]
    score_labels(model, prefix, prompts[:1], batch_size=1)  # trials
    counter = CountsTokens(model.whole)
    score_labels(model, prefix, prompts, batch_size=6)
    # The queries, and after each the one token that two labels share: in one pass.
    assert (counter.calls, counter.tokens) == (1, 6 * 2 + 6 * 1)
    counter.tokens = counter.calls = 0
    score_labels(model, prefix, [prompt._replace(continuations=((20,), (21,))) for prompt in prompts], batch_size=6)
    assert (counter.calls, counter.tokens) == (1, 12)


def test_scores_do_not_depend_on_the_company():
    model = model_of("gemma")
    ids, prompts = prompts_of("gemma")
    prefix = read_prefix(model, ids)
    together = score_labels(model, prefix, prompts, batch_size=8).log_probs
    order = [4, 2, 0, 1, 3]
    permuted = score_labels(model, prefix, [prompts[i] for i in order], batch_size=2).log_probs
    np.testing.assert_allclose(permuted, together[order], atol=1e-4)
    alone = [score_labels(model, prefix, [prompt], batch_size=1).log_probs[0] for prompt in prompts]
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_every_token_but_the_first_is_wanted_once():
    labels = ((1,), (1, 2), (1, 2, 3), (4, 5, 6), (4, 5), (7, 8, 9, 10), (4, 6, 6))
    tree = label_tree(labels)
    for path in tree.paths:
        assert not [other for other in tree.paths if other != path and other[: len(path)] == path]
    found = sorted((label, place) for wanted in tree.wanted for place, _, label in wanted)
    assert found == [(number, place) for number, label in enumerate(labels) for place in range(len(label) - 1)]
    for path, wanted in zip(tree.paths, tree.wanted):
        for place, token, label in wanted:
            assert labels[label][place + 1] == token
            assert path[: place + 1] == labels[label][: place + 1]
    assert label_tree(((1,), (2,))).paths == []


def test_memory_that_runs_out_halves_the_batch():
    model = model_of.__wrapped__("gpt2")
    ids, prompts = prompts_of("gpt2")
    prefix = read_prefix(model, ids)
    expected = score_labels(model, prefix, prompts, batch_size=8).log_probs

    lengths = sorted(len(prompt.ids) - len(ids) for prompt in prompts)
    tree = len(label_tree(prompts[0].continuations).nodes.tokens)

    def refuse(network, args, kwargs):
        if kwargs["input_ids"].numel() > sum(lengths[-2:]) + 2 * tree:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    model.whole.register_forward_pre_hook(refuse, with_kwargs=True)
    with pytest.warns(UserWarning, match=r"`batch_size`=8; 2 rows") as caught:
        scores = score_labels(model, prefix, prompts, batch_size=8)
    assert len(caught) == 1
    np.testing.assert_allclose(scores.log_probs, expected, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "gemma", "bloom", "mamba"])
def test_batches_by_tokens_score_as_batches_of_rows(family):
    model = model_of(family)
    ids, prompts = prompts_of(family)
    scores = score_labels(model, read_prefix(model, ids), prompts, batch_size=None)
    close(scores, by_brute_force(family))
    assert scores.batch_size is None


def test_a_network_that_cannot_read_rows_as_one_reads_few_together(monkeypatch):
    """It copies what they share for each of them."""
    model = model_of.__wrapped__("llama")
    monkeypatch.setattr(model, "packs_rows", lambda network: False)
    prefix, rows = read_prefix(model, tuple(range(5, 105))), []
    prompts = [TokenizedPrompt((*prefix.ids, 30 + i, 40), ((20,), (21, 22), (21, 23), (24, 25))) for i in range(40)]
    model.whole.register_forward_pre_hook(lambda _, args, given: rows.append(len(given["input_ids"])), with_kwargs=True)
    padded = score_labels(model, prefix, prompts, batch_size=None)
    assert max(rows) == PADDED_ROWS
    monkeypatch.undo()
    rows.clear()
    packed = score_labels(model, prefix, prompts, batch_size=None)
    assert set(rows[-1:]) == {1}
    np.testing.assert_allclose(packed.log_probs, padded.log_probs, atol=1e-4)
