import pytest
from prompting.tiny_causal_models import TOKENIZERS, tokenizer_of

from skicl.prompting._joint_tokens import (
    TAIL,
    AnchoredText,
    encoder_of,
    tokenize_jointly,
)

DEMONSTRATIONS = "".join(
    f"Text: {text}\nLabel: {label}\n\n"
    for text, label in [("my card is lost", "yes"), ("refund please", "no"), ("café ☕ naïve", "yes")] * 5
)
QUERIES = ["where is my card?", "", "two  spaces ", "a line\nand another", "日本語 é", "Label: yes\n\nText: no"]
WORDS = ["yes", "no", "12", "1", "yes we can", "no no"]


def encode_with(kind):
    return encoder_of(tokenizer_of(kind).backend_tokenizer)


def by_brute_force(encode, prefix, first, queries, continuations):
    """Every prompt with every label from the beginning, split at the last boundary that all of them share."""
    prompts = []
    for query in queries:
        prompt = encode([prefix + query])[0]
        joint = encode([prefix + query + text for text in continuations])
        sure = 0
        while sure < len(prompt) and all(len(row) > sure and row[sure] == prompt[sure] for row in joint):
            sure += 1
        prompts.append(((*first, *prompt[:sure]), tuple(tuple(row[sure:]) for row in joint)))
    return prompts


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("gap", ["", " ", "\n"])
@pytest.mark.parametrize("prefix", ["", "Say yes or no.\n\n", DEMONSTRATIONS], ids=["none", "short", "long"])
def test_pieces_are_those_of_whole_texts(kind, gap, prefix):
    encode, cue, first = encode_with(kind), "\nLabel:", [1]
    queries = ["Text: " + query + cue for query in QUERIES]
    continuations = [gap + word for word in WORDS]
    found = tokenize_jointly(encode, AnchoredText(encode, prefix), first, queries, cue, continuations)
    expected = by_brute_force(encode, prefix, first, queries, continuations)
    assert [tuple(prompt) for prompt in found] == expected


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_template_without_a_cue(kind):
    encode, prefix = encode_with(kind), DEMONSTRATIONS.replace("\nLabel:", "")
    continuations = [" " + word for word in WORDS]
    found = tokenize_jointly(encode, AnchoredText(encode, prefix), [], QUERIES[2:], "", continuations)
    assert [tuple(prompt) for prompt in found] == by_brute_force(encode, prefix, [], QUERIES[2:], continuations)


def test_labels_get_no_token_that_begins_a_text():
    tokenizer = tokenizer_of("sentence pieces")
    assert tokenizer("yes").input_ids[0] == tokenizer.bos_token_id
    encode = encode_with("sentence pieces")
    found = tokenize_jointly(encode, AnchoredText(encode, ""), [tokenizer.bos_token_id], ["Label:"], "Label:", [" yes"])
    assert found[0].ids[0] == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in (*found[0].ids[1:], *found[0].continuations[0])


@pytest.mark.parametrize("kind", ["bytes", "byte pieces", "sentence pieces"])
def test_only_the_end_of_a_long_text_is_tokenised_again(kind):
    lengths = []

    def encode(texts):
        lengths.extend(map(len, texts))
        return encode_with(kind)(texts)

    prefix = DEMONSTRATIONS * 5
    anchor = AnchoredText(encode, prefix)
    lengths.clear()
    tokenize_jointly(encode, anchor, [], ["Text: a\nLabel:"] * 20, "\nLabel:", [" yes", " no"])
    assert max(lengths) < 2 * TAIL
    assert len(prefix) > 10 * TAIL


def test_a_boundary_inside_a_token_is_moved_back():
    """The pieces were trained on "Label: yes", so "Label:" is not where a token ends."""
    encode = encode_with("whole pieces")
    prompt = "Text: no\nLabel:"
    found = tokenize_jointly(encode, AnchoredText(encode, ""), [], [prompt], "\nLabel:", [" yes", " no"])[0]
    assert len(found.ids) < len(encode([prompt])[0])
    tokenizer = tokenizer_of("whole pieces")
    for continuation, word in zip(found.continuations, [" yes", " no"]):
        assert tokenizer.decode([*found.ids, *continuation]) == prompt + word
