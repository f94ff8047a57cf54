"""Tokens of prompts and of the labels after them, as the tokenizer splits both together.

A label must get the tokens that it has in the text that follows the prompt: no begin-of-text token inside of it, the
space before it where the tokenizer has it, and the same tokens of the prompt before it. So prompt and label are
tokenised together and split at the last token boundary that the prompt has with every label and alone. To do so for
every pair from the beginning of a long prompt would cost more than a small network; here only the end is tokenised
again, after checks that its beginning did not change.
"""

from typing import NamedTuple

from skicl._models._prefix import shared_beginning

# The end of a known text that is tokenised again is at least so many characters long,
TAIL = 160
# and so many of its first tokens must come out as they were.
MARGIN = 8


class TokenizedPrompt(NamedTuple):
    """Tokens of a prompt and of all continuations."""

    ids: tuple  # tokens of the prompt that it has whatever follows; those that begin a text come first
    # What follows for each continuation. If the boundary between the two is no token boundary, they begin with what
    # is left of the prompt.
    continuations: tuple


class AnchoredText:
    """A text whose tokens, `ids`, are known, and which other texts will follow.

    `encode` goes from a list of strings to a list of lists of int, without special tokens.
    """

    def __init__(self, encode, text):
        self._encode, self._text = encode, text
        self.ids = encode([text])[0] if text else []
        self._tail, self._head, self._kept = text, [], None
        cut = text.rfind("\n", 0, max(len(text) - TAIL, 0)) + 1
        if cut > 0:
            tail = encode([text[cut:]])[0]
            common = _common_end(self.ids, tail)
            skipped = len(tail) - common  # a tokenizer may put a space of its own before a text
            if common >= 2 * MARGIN and skipped < MARGIN:
                self._tail, self._head = text[cut:], self.ids[: len(self.ids) - common]
                self._kept = (skipped, tail[: skipped + MARGIN])

    def followed_by(self, texts):
        """Tokens of this text and another after it, one list for each."""
        rows = self._encode([self._tail + text for text in texts])
        if self._kept is None:
            return rows
        skipped, known = self._kept
        changed = [i for i, row in enumerate(rows) if row[: len(known)] != known]
        rows = [self._head + row[skipped:] for row in rows]
        for i, whole in zip(changed, self._encode([self._text + texts[i] for i in changed])):
            rows[i] = whole
        return rows


def tokenize_jointly(encode, anchor, first, queries, cue, continuations):
    """A TokenizedPrompt for each query after the anchor, with the tokens of all continuations after it.

    `encode` is as in :class:`AnchoredText`, `first` are tokens before every text, `cue` is what all queries end with,
    and continuations bring the white space between.
    """
    first = tuple(first)
    known = _after_cue(encode, cue, continuations)
    rows = anchor.followed_by(queries)
    prompts = []
    for number, (query, row) in enumerate(zip(queries, rows)):
        quick = None if known is None else _known_split(row, *known)
        if quick is None or number == 0:
            exact = _split(row, anchor.followed_by([query + text for text in continuations]))
            if quick is not None and quick != exact:
                known = None  # the cue alone does not tell the tokens of what follows
            quick = exact
        prompts.append(TokenizedPrompt(first + quick.ids, quick.continuations))
    return prompts


def encoder_of(backend):
    """The function from strings to lists of tokens of a tokenizer of `tokenizers` that neither pads nor truncates."""

    def encode(texts):
        return [encoding.ids for encoding in backend.encode_batch(texts, add_special_tokens=False)]

    return encode


def _after_cue(encode, cue, continuations):
    """Tokens of the cue and of what follows it; None where no token of the cue is sure."""
    if not cue:
        return None
    alone, *joint = encode([cue, *(cue + text for text in continuations)])
    sure = shared_beginning(joint, alone)
    return (alone, sure, tuple(tuple(row[sure:]) for row in joint)) if sure else None


def _known_split(row, alone, sure, continuations):
    """The split read off the cue, if the prompt ends as the cue does, from a sure token on."""
    n_unsure = len(alone) - sure
    same = _common_end(row, alone)
    return TokenizedPrompt(tuple(row[: len(row) - n_unsure]), continuations) if same > n_unsure else None


def _split(row, joint):
    """The split at the last boundary that a prompt alone has with every continuation."""
    sure = shared_beginning(joint, row)
    return TokenizedPrompt(tuple(row[:sure]), tuple(tuple(whole[sure:]) for whole in joint))


def _common_end(tokens, others):
    """With how many equal tokens two lists end."""
    count = 0
    while count < min(len(tokens), len(others)) and tokens[-1 - count] == others[-1 - count]:
        count += 1
    return count
