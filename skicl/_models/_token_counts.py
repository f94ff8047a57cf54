"""How many tokens texts have, and how many texts are too long for a model."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

# Limits from here on mean that there is none: tokenizers of models without a limit report this or more.
NO_LIMIT = 10**9
# Most tokens that a tokenizer puts around a text, and texts that are tokenized together to be counted.
_ADDED_TOKENS = 16
_COUNTED_AT_ONCE = 1024


def count_longer(
    texts: Sequence[str],
    limit: float | None,
    count_tokens: Callable[[list[str]], list[int]],
    prompt: str | None = None,
) -> int:
    """Number of texts of more than `limit` tokens after the prompt; None means no limit, each occurrence counts.

    `count_tokens` gives the lengths of some texts, those tokens included that the tokenizer adds.
    """
    if limit is None or limit >= NO_LIMIT:
        return 0
    prompt = prompt or ""
    # A token stands for at least one byte, and a character for at most four: most texts need no tokenizer.
    room = limit - _ADDED_TOKENS - len(prompt.encode())
    suspects = Counter(text for text in texts if 4 * len(text) > room and len(text.encode()) > room)
    lengths = in_portions([prompt + text for text in suspects], count_tokens)
    return sum(times for length, times in zip(lengths, suspects.values()) if length > limit)


def token_counts(texts: Sequence[str], tokenizer: Callable[..., Any], limit: int | None = None) -> list[int]:
    """Number of tokens of each text for a tokenizer of transformers, cut off at `limit`; None cuts nothing."""
    options = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}

    def count(portion: list[str]) -> list[int]:
        ids = tokenizer(portion, truncation=limit is not None, max_length=limit, **options)["input_ids"]
        return [len(tokens) for tokens in ids]

    return in_portions(list(texts), count)


def in_portions(texts: list[str], count_tokens: Callable[[list[str]], list[int]]) -> list[int]:
    """Lengths of texts, of which so many are tokenized together that memory stays small."""
    counts: list[int] = []
    for start in range(0, len(texts), _COUNTED_AT_ONCE):
        counts += count_tokens(texts[start : start + _COUNTED_AT_ONCE])
    return counts


def cut_message(n_cut: int, n_texts: int, limit: int | None) -> str:
    """What to say about texts that were cut off."""
    return (
        f"{n_cut} of {n_texts} texts are longer than {limit} tokens and were truncated. Raise `max_length` if the "
        "model allows it, or split the texts."
    )
