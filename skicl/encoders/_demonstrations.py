"""Labelled texts as blocks of a prompt: tokens, where the text stands in them, their order, how many fit."""

from hashlib import blake2b
from typing import NamedTuple

from skicl._models._template import LABEL, TEXT, parse_known, take_apart


class Block(NamedTuple):
    """Tokens of a demonstration or a query."""

    ids: tuple  # the tokens
    start: int  # the tokens of the text and the cue; those of the label come after them
    end: int  # the tokens of the text and the cue; those of the label come after them

    @property
    def query(self):
        """The tokens without the label."""
        return self.ids[: self.end]


def split_template(template):
    """The parts of a template with ``{text}`` and ``{label}``; all else in it stands for itself."""
    parts = take_apart(parse_known(template, (TEXT, LABEL))) if isinstance(template, str) else None
    if parts is not None and parts.cue and len(parts.before) == 1:
        return parts
    raise ValueError(
        "`template` must be a string with {text} once and then, after a word or a sign, {label} once, such as "
        f"'Sentence: {{text}}\\nLabel: {{label}}\\n', got {template!r}."
    )


def demonstration_block(model, template, text, word):
    """Tokens of a labelled text: where the text ends is read off the offsets of the tokens.

    The text may hold anything, label words and fields of the template included. A token that holds a character of the
    label is not part of the span.
    """
    query = template.body({TEXT: text}) + template.cue
    encoding = model.backend.encode(query + template.label(word), add_special_tokens=False)
    ends = [end for _, end in encoding.offsets]
    end = next((i for i, place in enumerate(ends) if place > len(query)), len(ends))
    return Block(tuple(encoding.ids), _start_of_text(ends, template, end), end)


def query_block(model, template, text):
    """Tokens of a text without a label; they end with the cue."""
    encoding = model.backend.encode(template.body({TEXT: text}) + template.cue, add_special_tokens=False)
    ends = [end for _, end in encoding.offsets]
    return Block(tuple(encoding.ids), _start_of_text(ends, template, len(ends)), len(ends))


def cut_text(model, text, n_tokens):
    """The beginning of a text, so many tokens of it at most; None means no limit."""
    if n_tokens is None or len(text.encode("utf-8", errors="surrogatepass")) <= n_tokens:
        return text
    offsets = model.backend.encode(text, add_special_tokens=False).offsets
    if len(offsets) <= n_tokens:
        return text
    return text[: offsets[n_tokens - 1][1]] if n_tokens > 0 else ""


def fit_query(model, template, text, room):
    """A text cut so that its block has at most `room` tokens, but no shorter than empty; None means no limit."""
    while text and room is not None:
        excess = len(query_block(model, template, text).ids) - room
        if excess <= 0:
            break
        n_tokens = len(model.backend.encode(text, add_special_tokens=False).ids)
        shorter = cut_text(model, text, max(n_tokens - excess, 0))
        text = shorter if len(shorter) < len(text) else text[:-1]
    return text


def prompt_order(texts, salt):
    """Positions of texts in an order that looks random, and in which any two keep theirs whatever the others are.

    So leaving one out does not move the others, and the order of the rows does not matter. It does not depend on labels
    either: an order that does would tell them. Another salt gives another order; equal texts stay in the order given.
    """
    key = int(salt).to_bytes(8, "big")
    digests = [blake2b(text.encode("utf-8", errors="surrogatepass"), key=key).digest() for text in texts]
    return sorted(range(len(texts)), key=digests.__getitem__)


def count_that_fit(blocks, queries, room):
    """How many blocks, from the first, fit into `room` tokens; None means no limit.

    Every block counts as if it had the longest of the labels, so that the number does not tell labels. `queries` are
    the blocks without theirs.
    """
    if room is None:
        return len(blocks)
    label = max(len(block.ids) - len(query.ids) for block, query in zip(blocks, queries))
    used = 0
    for count, query in enumerate(queries):
        used += len(query.ids) + label
        if used > room:
            return count
    return len(blocks)


def _start_of_text(ends, template, end):
    """The first token with a character after the beginning of the template; at least the cue is left."""
    n_before = len(template.body({TEXT: ""}))
    return min(next((i for i, place in enumerate(ends) if place > n_before), end), end - 1)
