import pytest

from skicl._models._token_counts import _COUNTED_AT_ONCE, NO_LIMIT, count_longer, cut_message, in_portions, token_counts


def by_words(portion):
    """Lengths where every word is a token and one more is added."""
    return [len(text.split()) + 1 for text in portion]


def test_texts_beyond_the_limit_are_counted_with_their_repetitions():
    texts = ["a " * 100, "b", "a " * 100, "c " * 20, ""]
    assert count_longer(texts, 20, by_words) == 3
    assert count_longer(texts, 21, by_words) == 2
    assert count_longer(texts, 1, by_words) == 4


def test_the_prompt_takes_its_part_of_the_limit():
    texts = ["a " * 19]
    assert count_longer(texts, 20, by_words) == 0
    assert count_longer(texts, 20, by_words, "say ") == 1


@pytest.mark.parametrize("limit", [None, NO_LIMIT, float("inf")])
def test_without_a_limit_no_text_is_counted(limit):
    assert count_longer(["a " * 100], limit, lambda portion: pytest.fail("tokenized")) == 0


def test_texts_that_cannot_be_too_long_are_not_tokenized():
    assert count_longer(["four"] * 10, 30, lambda portion: (portion and pytest.fail("tokenized")) or []) == 0


def test_many_texts_are_counted_in_portions():
    sizes = []

    def count(portion):
        sizes.append(len(portion))
        return [len(text) for text in portion]

    texts = ["a" * (i % 7) for i in range(_COUNTED_AT_ONCE + 3)]
    assert in_portions(texts, count) == [len(text) for text in texts]
    assert sizes == [_COUNTED_AT_ONCE, 3]


def test_tokens_are_counted_up_to_the_limit():
    def tokenizer(texts, truncation, max_length, **options):
        lengths = [min(len(text), max_length) if truncation else len(text) for text in texts]
        return {"input_ids": [[0] * length for length in lengths]}

    assert token_counts(["abc", "", "abcdef"], tokenizer) == [3, 0, 6]
    assert token_counts(["abc", "", "abcdef"], tokenizer, 4) == [3, 0, 4]


def test_the_message_counts():
    assert cut_message(2, 5, 16).startswith("2 of 5 texts are longer than 16 tokens and were truncated.")
