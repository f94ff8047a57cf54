"""PromptTemplate: how an example is written out in a prompt, with its label and without."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone

from skicl._models._template import CANDIDATE, MARK, TEXT, TemplateParts, parse, take_apart

LABELS = "labels"


class Frame(NamedTuple):
    """What stands around every query of one prompt; the prompt is ``head + body + tail``."""

    head: str  # the same for all queries: instruction and demonstrations
    tail: str  # after the body of every query, up to where the label begins
    gap: str  # between the tail and a label word
    end: str  # what follows a label word
    special: bool  # whether the head brings the tokens that begin a text; a chat template does


class PromptTemplate(BaseEstimator):
    """How examples are written out in a prompt.

    A template is a string with named fields, one of which, the last, is ``{label}``. A demonstration fills all of
    them; a query ends where its label would begin, so that the next tokens are those of the label. White space before
    ``{label}`` belongs to the label, as tokenizers of language models see it.

    Parameters
    ----------
    template : str or None, default=None
        A text with fields in braces, such as ``"Review: {text}\\nSentiment: {label}"``. ``{text}`` is the text of a
        collection of texts; the columns of a frame go by their names, those of an array by x0, x1, ... Doubled
        braces stand for themselves. ``{candidate}`` stands for the name of the label that is asked about, where every
        label is a question of its own (multi-label). None means ``"Text: {text}\\nLabel: {label}"`` for texts and one
        line for each column otherwise.
    instruction : str or None, default=None
        Put before everything. It may hold ``{labels}``, which becomes the list of the label words, and
        ``{candidate}``. In a chat it is the message of the system. None means no instruction.
    separator : str, default="\\n\\n"
        Between demonstrations.
    chat : "auto" or bool, default="auto"
        Whether to write demonstrations as turns of a chat, in the format of the model, and to begin its answer with
        the cue. "auto" tries both, if the tokenizer has a chat template, on labelled rows that are not shown, and keeps
        the form after which these are more probable; without such rows a chat.

    See Also
    --------
    skicl.ICLClassifier : Uses templates.
    skicl.prompting.Verbalizer : Which words stand for a class.

    Examples
    --------
    >>> from skicl.prompting import PromptTemplate
    >>> template = PromptTemplate("Review: {text}\\nSentiment: {label}", separator="\\n")
    >>> print(template.render([({"text": "a joy"}, "good"), ({"text": "dull"}, "bad")], {"text": "so so"}))
    Review: a joy
    Sentiment: good
    Review: dull
    Sentiment: bad
    Review: so so
    Sentiment:
    """

    def __init__(
        self,
        template: str | None = None,
        *,
        instruction: str | None = None,
        separator: str = "\n\n",
        chat: str | bool = "auto",
    ) -> None:
        self.template = template
        self.instruction = instruction
        self.separator = separator
        self.chat = chat

    def render(
        self,
        demonstrations: Sequence[tuple[Mapping[str, str], str]],
        query: Mapping[str, str],
        *,
        labels: Sequence[str] = (),
        candidate: str | None = None,
    ) -> str:
        """The prompt of a query, as a base model reads it.

        Parameters
        ----------
        demonstrations : list of (dict, str)
            Values of the fields, and the label word, in the order of the prompt.
        query : dict
            Values of the fields.
        labels : sequence of str, default=()
            Label words, for ``{labels}`` in the instruction.
        candidate : str or None, default=None
            The name of the label that is asked about.

        Returns
        -------
        prompt : str
            It ends where the label begins, without white space.

        Raises
        ------
        ValueError
            If the template is unusable or a field is missing.
        """
        columns = list(query)
        rows = [([values[name] for name in columns], word) for values, word in demonstrations]
        frame = self.frame(rows, columns, labels=labels, candidate=candidate)
        return frame.head + self.body([query[name] for name in columns], columns, candidate=candidate) + frame.tail

    def frame(
        self,
        demonstrations: Sequence[tuple[Sequence[str], str]],
        columns: Sequence[str],
        *,
        labels: Sequence[str] = (),
        candidate: str | None = None,
        tokenizer: Any = None,
    ) -> Frame:
        """What stands around every query.

        Parameters
        ----------
        demonstrations : list of (sequence of str, str)
            Values of the columns, and the label word, in the order of the prompt.
        columns : sequence of str
            Names of the columns.
        labels : sequence of str, default=()
            Label words, for ``{labels}`` in the instruction.
        candidate : str or None, default=None
            The name of the label that is asked about.
        tokenizer : transformers tokenizer or None, default=None
            Whose chat template is used, if any.

        Returns
        -------
        frame : Frame
            Around the bodies of queries that :meth:`body` returns.
        """
        parts = self.parts(columns).about(candidate)
        instruction = fill(self.instruction or "", {LABELS: ", ".join(labels), CANDIDATE: candidate})
        bodies = [(parts.body(dict(zip(columns, values))), word) for values, word in demonstrations]
        if self.is_chat(tokenizer):
            return _chat_frame(tokenizer, instruction, bodies, parts)
        blocks = [instruction] if instruction else []
        blocks += [body + parts.cue + parts.label(word) for body, word in bodies]
        head = "".join(block + self.separator for block in blocks)
        return Frame(head, parts.cue, parts.gap, parts.after + self.separator, False)

    def body(self, values: Sequence[str], columns: Sequence[str], *, candidate: str | None = None) -> str:
        """The part of a query that differs from query to query.

        Parameters
        ----------
        values : sequence of str
            Values of the columns.
        columns : sequence of str
            Names of the columns.
        candidate : str or None, default=None
            The name of the label that is asked about.

        Returns
        -------
        body : str
            Up to the end of the last field.
        """
        return self.parts(columns).about(candidate).body(dict(zip(columns, values)))

    def parts(self, columns: Sequence[str]) -> TemplateParts:
        """The template taken apart.

        Parameters
        ----------
        columns : sequence of str
            Names of the columns that may stand in it.

        Returns
        -------
        parts : TemplateParts
            ``{candidate}`` is still in its literals, as a mark.

        Raises
        ------
        ValueError
            If `template` lacks ``{label}`` or any other field, names an unknown field or has a field after the label.
        """
        self.check()
        if self.template is None:
            heads = ["Text: "] if list(columns) == [TEXT] else [f"{name}: " for name in columns]
            # Names of columns may hold braces, so they do not go through a template.
            before = tuple(zip([heads[0], *("\n" + head for head in heads[1:])], columns))
            return TemplateParts(before, "\nLabel:", " ", "")
        parts = _parts_of(self.template)
        unknown = sorted({field for _, field in parts.before} - set(columns))
        if unknown:
            raise ValueError(
                f"`template` names the field {{{unknown[0]}}}, and `X` has {_listed(columns)}. Write a field for a "
                "column of `X`; doubled braces, {{ and }}, stand for themselves."
            )
        return parts

    def check(self) -> None:
        """Refuse parameters that cannot be used with any input.

        Raises
        ------
        TypeError
            If a parameter is of a wrong type.
        ValueError
            If `template` or `instruction` is malformed.
        """
        for name, optional in (("template", True), ("instruction", True), ("separator", False)):
            value = getattr(self, name)
            if not (isinstance(value, str) or (value is None and optional)):
                raise TypeError(f"`{name}` must be a string{' or None' if optional else ''}, got {value!r}.")
        if not (self.chat == "auto" or isinstance(self.chat, bool | np.bool_)):
            raise ValueError(f"`chat` must be 'auto', True or False, got {self.chat!r}.")
        if self.template is not None:
            if not _parts_of(self.template).before:
                raise ValueError(
                    f"`template` must have a field for the input before {{label}}, such as {{text}}, got "
                    f"{self.template!r}."
                )
        unknown = set(_fields_of(self.instruction or "", "instruction")) - {LABELS, CANDIDATE}
        if unknown:
            raise ValueError(
                f"`instruction` has the field {{{sorted(unknown)[0]}}}; only {{labels}} and {{candidate}} are filled. "
                "Doubled braces stand for themselves."
            )

    def mentions_candidate(self) -> bool:
        """Whether the name of the label that is asked about stands anywhere.

        Returns
        -------
        bool
        """
        return any(CANDIDATE in _fields_of(text or "", "template") for text in (self.template, self.instruction))

    def forms(self, tokenizer: Any) -> list:
        """The templates among which ``chat="auto"`` leaves the choice.

        Parameters
        ----------
        tokenizer : transformers tokenizer
            Of the model that reads them.

        Returns
        -------
        forms : list of PromptTemplate
            As a chat and as plain text, where the tokenizer has a chat template; else this one.
        """
        if self.chat != "auto" or getattr(tokenizer, "chat_template", None) is None:
            return [self]
        return [clone(self).set_params(chat=chat) for chat in (True, False)]

    def in_form_of(self, other: "PromptTemplate") -> "PromptTemplate":
        """This template, as a chat or not as another one is, if ``chat="auto"`` leaves the choice.

        Parameters
        ----------
        other : PromptTemplate
            Whose form was chosen.

        Returns
        -------
        template : PromptTemplate
        """
        return self if self.chat != "auto" else clone(self).set_params(chat=other.chat)

    def is_chat(self, tokenizer: Any) -> bool:
        """Whether prompts are the turns of a chat for a model.

        Parameters
        ----------
        tokenizer : transformers tokenizer or None
            Of the model.

        Returns
        -------
        bool

        Raises
        ------
        ValueError
            If ``chat=True`` and the tokenizer has no chat template.
        """
        if tokenizer is None or self.chat is False:
            return False
        if getattr(tokenizer, "chat_template", None) is not None:
            return True
        if self.chat is True:
            raise ValueError("`chat` is True, and the tokenizer of the model has no chat template. Set chat=False.")
        return False


def default_template(columns):
    """The template of inputs for which the user gave none."""
    if list(columns) == [TEXT]:
        return "Text: {text}\nLabel: {label}"
    lines = [f"{name.replace('{', '{{').replace('}', '}}')}: {{{name}}}\n" for name in columns]
    return "".join(lines) + "Label: {label}"


def choose_columns(template, records):
    """Names of the columns that a template is filled with; without labelled rows, those that it names."""
    named = None if template.template is None else [name for _, name in _parts_of(template.template).before]
    if records is None:
        return (TEXT,) if named is None else tuple(dict.fromkeys(named))
    if records.alias is not None and named and records.alias in named and TEXT not in named:
        return (records.alias,)
    if len(records.columns) == 1 and named and TEXT in named:
        return (TEXT,)
    return records.columns


def multilabel_template(template, columns):
    """The template for questions about one label at a time: the same if it asks about ``{candidate}``.

    A text of the user's own that does not is refused.
    """
    if template.mentions_candidate():
        return template
    if template.template is not None:
        raise ValueError(
            "`template` does not say which label is asked about. For several labels a row put {candidate} into it, "
            f"such as 'Text: {{text}}\nIs it about {{candidate}}? {{label}}', got {template.template!r}."
        )
    fields = default_template(columns or (TEXT,)).removesuffix("Label: {label}")
    parameters = template.get_params()
    return PromptTemplate(**{**parameters, "template": fields + "Is it about {candidate}? {label}"})


def fill(text, values):
    """The text of an instruction with its fields replaced; None becomes nothing."""
    pieces = []
    for literal, field in parse(text, "instruction"):
        pieces.append(literal)
        if field is not None:
            pieces.append(values[field] or "")
    return "".join(pieces)


def _chat_frame(tokenizer, instruction, bodies, parts):
    """The turns of a chat: what stands before and after the body of the last message, and after an answer."""
    question, stub = _question_and_stub(parts.cue)
    messages = [{"role": "system", "content": instruction}] if instruction else []
    for body, word in bodies:
        messages.append({"role": "user", "content": body + question})
        messages.append({"role": "assistant", "content": stub + parts.gap * bool(stub) + word})
    asked = _apply(tokenizer, [*messages, {"role": "user", "content": MARK}], True)
    head, _, tail = asked.rpartition(MARK)
    answered = _apply(tokenizer, [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}], False)
    end = answered.rpartition(MARK)[2]
    return Frame(head, question + tail + stub, parts.gap if stub else "", end, True)


def _question_and_stub(cue):
    """The end of the user's message, and how the answer begins."""
    lines = cue.rsplit("\n", 1)
    return (lines[0], lines[1]) if len(lines) == 2 else ("", cue.strip())


def _apply(tokenizer, messages, ask):
    # Models that can think before they answer are told not to; other templates ignore the switch.
    options = {"tokenize": False, "add_generation_prompt": ask, "enable_thinking": False}
    try:
        return tokenizer.apply_chat_template(messages, **options)
    except Exception:  # templates without a system role raise an error of their own
        if messages[0]["role"] != "system":
            raise
        first, second, *others = messages
        joined = {"role": "user", "content": first["content"] + "\n\n" + second["content"]}
        return tokenizer.apply_chat_template([joined, *others], **options)


def _parts_of(template):
    """A template taken apart; refused unless ``{label}`` is its last field."""
    parts = take_apart(parse(template, "template"))
    if parts is None:
        raise ValueError(
            "`template` must hold {label} exactly once, after all other fields, such as "
            f"'Text: {{text}}\\nLabel: {{label}}', got {template!r}."
        )
    return parts


def _fields_of(text, parameter):
    return [field for _, field in parse(text, parameter) if field is not None]


def _listed(columns):
    columns = list(columns)
    return "no other columns" if not columns else "the columns " + ", ".join(map(repr, columns[:10]))
