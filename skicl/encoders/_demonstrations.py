"""Labelled texts as blocks of a prompt: tokens, where the text stands in them, their order, how many fit."""

from hashlib import blake2b
from typing import NamedTuple

TEXT, LABEL = "{text}", "{label}"


class Template(NamedTuple):
    """A demonstration written out: ``before``, the text, ``cue``, ``gap``, the label word, ``after``.

    A query ends with the cue.
    """

    before: str
    cue: str
    gap: str
    after: str


class Block(NamedTuple):
    """Tokens of a demonstration or a query.

    Attributes
    ----------
    ids : tuple of int
        The tokens.
    start, end : int
        The tokens of the text and the cue; those of the label come after them.
    """

    ids: tuple
    start: int
    end: int

    @property
    def query(self):
        """The tokens without the label."""
        return self.ids[: self.end]


def split_template(template):
    """Take a template apart.

    Parameters
    ----------
    template : object
        What the user gave.

    Returns
    -------
    parts : Template
        The text between its fields.

    Raises
    ------
    ValueError
        If it is no string with one ``{text}`` and, after something that is not only white space, one ``{label}``.

    Examples
    --------
    >>> from skicl.encoders._demonstrations import split_template
    >>> split_template("Review: {text} => {label}.")
    Template(before='Review: ', cue=' =>', gap=' ', after='.')
    """
    fields = isinstance(template, str) and (template.count(TEXT), template.count(LABEL)) == (1, 1)
    if fields:
        before, _, rest = template.partition(TEXT)
        between, found, after = rest.partition(LABEL)
        cue = between.rstrip()
        if found and cue:
            return Template(before, cue, between[len(cue) :], after)
    raise ValueError(
        "`template` must be a string with {text} once and then, after a word or a sign, {label} once, such as "
        f"'Sentence: {{text}}\\nLabel: {{label}}\\n', got {template!r}."
    )


def demonstration_block(model, template, text, word):
    """Tokens of a labelled text. Where the text ends is read off the offsets of the tokens.

    Parameters
    ----------
    model : LanguageModel
        The model.
    template : Template
        How it is written out.
    text : str
        The text; it may hold anything, label words and fields of the template included.
    word : str
        The label word.

    Returns
    -------
    block : Block
        A token that holds a character of the label is not part of the span.
    """
    query = template.before + text + template.cue
    encoding = model.backend.encode(query + template.gap + word + template.after, add_special_tokens=False)
    ends = [end for _, end in encoding.offsets]
    end = next((i for i, place in enumerate(ends) if place > len(query)), len(ends))
    return Block(tuple(encoding.ids), _start_of_text(ends, len(template.before), end), end)


def query_block(model, template, text):
    """Tokens of a text without a label.

    Parameters
    ----------
    model : LanguageModel
        The model.
    template : Template
        How it is written out.
    text : str
        The text.

    Returns
    -------
    block : Block
        It ends with the cue.
    """
    encoding = model.backend.encode(template.before + text + template.cue, add_special_tokens=False)
    ends = [end for _, end in encoding.offsets]
    return Block(tuple(encoding.ids), _start_of_text(ends, len(template.before), len(ends)), len(ends))


def cut_text(model, text, n_tokens):
    """The beginning of a text, so many tokens of it at most.

    Parameters
    ----------
    model : LanguageModel
        The model.
    text : str
        The text.
    n_tokens : int or None
        Most tokens. None means no limit.

    Returns
    -------
    text : str
        The same where it is short enough.
    """
    if n_tokens is None or len(text.encode("utf-8", errors="surrogatepass")) <= n_tokens:
        return text
    offsets = model.backend.encode(text, add_special_tokens=False).offsets
    if len(offsets) <= n_tokens:
        return text
    return text[: offsets[n_tokens - 1][1]] if n_tokens > 0 else ""


def fit_query(model, template, text, room):
    """Cut a text so that its block has at most so many tokens.

    Parameters
    ----------
    model : LanguageModel
        The model.
    template : Template
        How it is written out.
    text : str
        The text.
    room : int or None
        Most tokens of the block; no less than that of the empty text has. None means no limit.

    Returns
    -------
    text : str
        The same where it is short enough.
    """
    while text and room is not None:
        excess = len(query_block(model, template, text).ids) - room
        if excess <= 0:
            break
        n_tokens = len(model.backend.encode(text, add_special_tokens=False).ids)
        shorter = cut_text(model, text, max(n_tokens - excess, 0))
        text = shorter if len(shorter) < len(text) else text[:-1]
    return text


def prompt_order(texts, salt):
    """An order of texts that looks random and in which any two keep their order whatever the others are.

    So leaving one out does not move the others, and the order of the rows does not matter. It does not depend on
    labels either: an order that does would tell them.

    Parameters
    ----------
    texts : list of str
        The texts.
    salt : int
        Another one gives another order.

    Returns
    -------
    order : list of int
        Positions; equal texts stay in the order given.
    """
    key = int(salt).to_bytes(8, "big")
    digests = [blake2b(text.encode("utf-8", errors="surrogatepass"), key=key).digest() for text in texts]
    return sorted(range(len(texts)), key=digests.__getitem__)


def count_that_fit(blocks, queries, room):
    """How many blocks, from the first, fit into a number of tokens.

    Every block counts as if it had the longest of the labels, so that the number does not tell labels.

    Parameters
    ----------
    blocks, queries : list of Block
        With and without the labels, in the order of the prompt.
    room : int or None
        Most tokens. None means no limit.

    Returns
    -------
    count : int
        From 0 to the number of blocks.
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


def _start_of_text(ends, n_before, end):
    """The first token with a character after the beginning of the template; the cue at least is left."""
    return min(next((i for i, place in enumerate(ends) if place > n_before), end), end - 1)
