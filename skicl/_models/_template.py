"""The language of prompt templates: text with fields in braces, of which the label is the last.

A query ends where its label would begin. White space before the label belongs to the label, as tokenizers of language
models see it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

TEXT, LABEL, CANDIDATE = "text", "label", "candidate"
# What stands for a text that is filled in later; no text holds it.
MARK = "\u241a\u241e\u241a"
# Doubled braces, a field, or a brace that belongs to neither.
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateParts(NamedTuple):
    """A template taken apart; a demonstration is all of it, in this order, with the label word after the gap."""

    before: tuple[tuple[str, str], ...]  # what stands before each field, and the field
    cue: str  # from the last field to the end of the query, such as ``"\nLabel:"``
    gap: str  # white space between the cue and the label
    after: str  # what follows the label

    def about(self, candidate: str | None) -> "TemplateParts":
        """The same with the name of a label where ``{candidate}`` stood."""
        before = tuple((fill_mark(literal, candidate), field) for literal, field in self.before)
        return TemplateParts(before, *(fill_mark(literal, candidate) for literal in self[1:]))

    def body(self, values: Mapping[str, str]) -> str:
        """A query up to the end of its last field."""
        return "".join(literal + values[field] for literal, field in self.before)

    def label(self, word: str) -> str:
        """What follows the cue in a demonstration."""
        return self.gap + word + self.after


def parse(text: str, parameter: str) -> list[tuple[str, str | None]]:
    """Pairs of a literal and the field after it, None at the end; doubled braces stand for themselves.

    Names of fields may hold all but braces. An error names the parameter and the place.
    """
    pairs: list[tuple[str, str | None]] = []
    literal, start = "", 0
    for match in _PIECE.finditer(text):
        literal += text[start : match.start()]
        start = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
        elif match[1]:
            pairs.append((literal, match[1]))
            literal = ""
        else:
            raise ValueError(
                f"`{parameter}` is malformed at {match[0]!r}, position {match.start()}: {text!r}. Fields are names in "
                "braces; doubled braces, {{ and }}, stand for themselves."
            )
    return [*pairs, (literal + text[start:], None)]


def parse_known(text: str, fields: Collection[str]) -> list[tuple[str, str | None]]:
    """The same where no other fields can occur: all but these is literal, other braces included."""
    *pieces, rest = re.split(r"\{(" + "|".join(map(re.escape, fields)) + r")\}", text)
    return [*zip(pieces[::2], pieces[1::2]), (rest, None)]


def take_apart(pairs: Iterable[tuple[str, str | None]]) -> TemplateParts | None:
    """The parts of a parsed template; None unless the label is its last field, and stands in it once.

    ``{candidate}`` may stand anywhere, and becomes a mark in the literals that :meth:`TemplateParts.about` fills.
    """
    literals, fields = [""], []
    for literal, field in pairs:
        literals[-1] += literal
        if field == CANDIDATE:
            literals[-1] += MARK
        elif field is not None:
            fields.append(field)
            literals.append("")
    if fields.count(LABEL) != 1 or fields[-1] != LABEL:
        return None
    *heads, between, after = literals
    cue = between.rstrip()
    return TemplateParts(tuple(zip(heads, fields)), cue, between[len(cue) :], after)


def fill_mark(literal: str, candidate: str | None) -> str:
    """A literal with the name of a label in the place of the mark."""
    return literal.replace(MARK, candidate or "")
