"""Prompts of many rows: which demonstrations stand in each, their tokens, what of them is read once, what fits."""

import weakref
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from skicl._models._prefix import Prefix, read_prefix
from skicl._validation._environment import warn_user
from skicl.prompting._joint_tokens import AnchoredText, encoder_of, tokenize_jointly
from skicl.prompting._label_scoring import LabelScores, score_labels
from skicl.prompting._prompt import Prompt

# Joining a label to a prompt may add so many tokens to those of the two.
_SLACK = 2
# Prompts of so many rows are in memory as tokens at one time.
ROWS_AT_ONCE = 1024


class Demonstrations(NamedTuple):
    """Labelled rows that may stand in prompts."""

    rows: list  # values of the columns
    words: list  # the label word of each
    columns: tuple  # names of the columns


class _Opened(NamedTuple):
    """The part that the prompts of one plan share."""

    frame: object
    anchor: AnchoredText
    prefix: Prefix


class Prompts:
    """Prompts of one model, one template and one set of label words.

    Parameters
    ----------
    model : LanguageModel
        With its head; it is not kept alive from here.
    template : PromptTemplate
    demonstrations : Demonstrations
        Rows that plans choose from.
    words : list of str
        Label words to score, each once.
    labels : sequence of str
        What the instruction lists.
    candidate : str or None
        The name of the label that is asked about.
    window : int or None
        Most tokens of a prompt with a label; None means the limit of the model.
    batch_size : int or None
        Most rows read together; None means as many as are read fastest.
    shared : dict or None, default=None
        What the model made of the beginnings of prompts, by their tokens; others put theirs there too.
    """

    def __init__(self, model, template, demonstrations, words, *, labels, candidate, window, batch_size, shared=None):
        self._weak_model, self._template, self._demonstrations = weakref.ref(model), template, demonstrations
        # What was read goes with the model.
        self._read = weakref.WeakKeyDictionary({model: ({}, {} if shared is None else shared)})
        self._labels, self._candidate, self._batch_size = labels, candidate, batch_size
        limits = [limit for limit in (window, model.limit) if limit is not None]
        self._window = min(limits) if limits else None
        self._encode = encoder_of(model.backend)
        frame = self._frame(())
        # A word that begins another could not be told from its beginning without what ends a label.
        end = frame.end if _some_begin_others(words) else ""
        self._words = words
        self._continuations = [frame.gap + word + end for word in words]
        rows = self._encode([frame.gap + end, *self._continuations])
        self._longest = max(map(len, rows)) + _SLACK
        self._check_words(words, [row == rows[0] for row in rows[1:]])

    @property
    def model(self):
        """The model, or None once it is no longer in memory: it is not kept alive from here."""
        return self._weak_model()

    @property
    def _kept(self):
        """The opened parts of plans that are kept."""
        return self._read[self.model][0]

    def keep(self, plan):
        """Read what the prompts of a plan share, now rather than with every call, and keep it."""
        opened = self._open(plan, read=False)
        ids = (*self._first(opened.frame), *opened.anchor.ids)
        kept, shared = self._read[self.model]
        if ids not in shared:
            shared[ids] = read_prefix(self.model, ids, known=shared.values())
            if shared[ids].shares:
                self.model.packs_rows(self.model.whole)  # a trial, now rather than before the first query
        kept[plan] = opened._replace(prefix=shared[ids])

    def score(self, rows, plans, *, states=(), vocabulary=False, progress=None):
        """LabelScores of the label words after rows, each after the demonstrations of its plan.

        `states` are the depths of hidden states that are wanted, 1.0 for the last. A row that does not fit into the
        window even without demonstrations is refused before anything is read.
        `progress` is called with the number of rows after each batch.
        """
        self.check_long_rows(rows)
        parts, shortened, size = [], 0, self._batch_size
        for start in range(0, len(rows), ROWS_AT_ONCE):
            numbers = range(start, min(start + ROWS_AT_ONCE, len(rows)))
            groups, cut = self._tokenized(rows, plans, numbers)
            shortened += cut
            for prefix, positions, prompts in self._jobs(groups):
                scores = score_labels(
                    self.model,
                    prefix,
                    prompts,
                    batch_size=size,
                    states=states,
                    vocabulary=vocabulary,
                    progress=progress,
                )
                size = scores.batch_size
                parts.append((positions, scores))
        if shortened:
            warn_user(
                f"{shortened} of {len(rows)} rows are too long for all demonstrations: some were left out of their "
                f"prompts, so that these have at most {self._window} tokens. Take fewer demonstrations."
            )
        # Rows were scored plan by plan; this puts them back in their order.
        back = np.argsort(np.concatenate([positions for positions, _ in parts]), kind="stable")
        fields = zip(*(scores[:-1] for _, scores in parts))
        return LabelScores(*(None if field[0] is None else np.concatenate(field)[back] for field in fields), size)

    def views(self, rows, plans):
        """A Prompt for each row after its plan: what :meth:`score` reads, with what did not fit left out."""
        groups, _ = self._tokenized(rows, plans, range(len(rows)))
        found = {}
        for plan, (numbers, prompts) in groups.items():
            frame = self._frame(plan)
            for i, prompt in zip(numbers, prompts):
                body = self._template.body(rows[i], self._demonstrations.columns, candidate=self._candidate)
                found[i] = Prompt(
                    frame.head + body + frame.tail,
                    self._named(prompt.ids),
                    list(prompt.ids),
                    {word: self._named(tokens) for word, tokens in zip(self._words, prompt.continuations)},
                    list(plan),
                    [row for row in plans[i] if row not in plan],
                )
        return [found[i] for i in range(len(rows))]

    def _named(self, ids):
        return self.model.tokenizer.convert_ids_to_tokens(list(ids))

    def score_text(self, text):
        """Log-probabilities (n_words,) of the label words after a text that stands alone."""
        anchor = AnchoredText(self._encode, "")
        prompts = self._joint(anchor, self.model.first_tokens, [text], "")
        prefix = self._no_prefix()
        return score_labels(self.model, prefix, prompts, batch_size=1).log_probs[0]

    def fitting(self, plan, rows, *, from_end):
        """The longest part of a plan that leaves room for nine of ten rows; longer rows get fewer demonstrations.

        They are dropped from the end of the prompt, or from its beginning. Maybe none is left.
        """
        if self._window is None:
            return plan
        by_length = self._bodies_by_length(rows)
        long_one = by_length[-(-9 * len(by_length) // 10) - 1]

        def fits(n_kept):
            return self._n_tokens(_part(plan, n_kept, from_end), long_one) <= self._window

        if fits(len(plan)):
            return plan
        low, high = 0, len(plan) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return _part(plan, low, from_end)

    def check_room(self, rows):
        """Refuse a window into which not even the shortest row fits without demonstrations."""
        if self._window is None or not rows:
            return
        n_tokens = self._n_tokens((), self._bodies_by_length(rows)[0])
        if n_tokens > self._window:
            raise ValueError(
                f"even the shortest row of `X` makes a prompt of {n_tokens} tokens without any demonstration, and "
                f"{self._window} fit. Raise `window` if the model allows it, or shorten the texts or the instruction."
            )

    def _bodies_by_length(self, rows):
        bodies = [self._template.body(row, self._demonstrations.columns, candidate=self._candidate) for row in rows]
        return [body for _, body in sorted(zip(map(len, self._encode(bodies)), bodies))]

    def _n_tokens(self, plan, body):
        """Most tokens of a prompt with a label."""
        frame = self._frame(plan)
        prompt = self._encode([frame.head + body + frame.tail])[0]
        return len(self._first(frame)) + len(prompt) + self._longest

    def too_long(self, rows):
        """Positions of rows that do not fit even alone."""
        found = []
        for i in self._maybe_long(rows):
            try:
                self._tokenized(rows, {i: ()}, [i])
            except ValueError:
                found.append(i)
        return found

    def check_long_rows(self, rows):
        """Refuse rows that do not fit even alone."""
        for i in self._maybe_long(rows):
            self._tokenized(rows, {i: ()}, [i])

    def _maybe_long(self, rows):
        """Positions of the rows that are long enough that they might not fit."""
        if self._window is None:
            return
        columns, candidate = self._demonstrations.columns, self._candidate
        around = self._n_tokens((), "")
        for i, row in enumerate(rows):
            body = self._template.body(row, columns, candidate=candidate)
            # No token stands for less than a byte, but for a space that some tokenizers put before a text.
            if around + len(body.encode()) + 1 > self._window:
                yield i

    def _jobs(self, groups):
        """Triples of a prefix, numbers of rows and their prompts, which are read together."""
        # Prompts of plans with one row have nothing to share.
        alone = ([], [])
        for plan, (numbers, prompts) in groups.items():
            if len(numbers) > 1 or plan in self._kept:
                yield self._open(plan, read=True).prefix, numbers, prompts
            else:
                alone[0].extend(numbers)
                alone[1].extend(prompts)
        if alone[0]:
            yield self._no_prefix(), *alone

    def _tokenized(self, rows, plans, numbers):
        """Numbers of rows and their prompts for every plan, all of which fit; and for how many rows some were cut."""
        groups, waiting, shortened = {}, {}, 0
        for i in numbers:
            waiting.setdefault(plans[i], []).append(i)
        while waiting:
            plan, numbers = waiting.popitem()
            opened = self._open(plan, read=False)
            frame = opened.frame
            columns, candidate = self._demonstrations.columns, self._candidate
            bodies = [self._template.body(rows[i], columns, candidate=candidate) + frame.tail for i in numbers]
            prompts = self._joint(opened.anchor, self._first(frame), bodies, frame.tail)
            for i, prompt in zip(numbers, prompts):
                n_tokens = len(prompt.ids) + max(map(len, prompt.continuations))
                if self._window is None or n_tokens <= self._window:
                    known = groups.setdefault(plan, ([], []))
                    known[0].append(i)
                    known[1].append(prompt)
                    continue
                if not plan:
                    raise ValueError(
                        f"`X` has a row at position {i} whose prompt has {n_tokens} tokens without any demonstration, "
                        f"and {self._window} fit. Shorten the text or the instruction."
                    )
                shortened += len(plan) == len(plans[i])
                shorter = self.fitting(plan, [rows[i]], from_end=plan in self._kept)
                shorter = shorter if len(shorter) < len(plan) else plan[1:]
                waiting.setdefault(shorter, []).append(i)
        return groups, shortened

    def _joint(self, anchor, first, bodies, cue):
        prompts = tokenize_jointly(self._encode, anchor, first, bodies, cue, self._continuations)
        # The probability of a first token needs a token before it.
        return [prompt if prompt.ids else prompt._replace(ids=(self.model.neutral_token,)) for prompt in prompts]

    def _no_prefix(self):
        model = self.model
        return Prefix((), None, model.shares_prefix(model.whole))

    def _open(self, plan, *, read):
        if plan in self._kept:
            return self._kept[plan]
        frame = self._frame(plan)
        anchor = AnchoredText(self._encode, frame.head)
        ids = (*self._first(frame), *anchor.ids)
        known = self._read[self.model][1].values() if read else ()
        return _Opened(frame, anchor, read_prefix(self.model, ids, known=known) if read else None)

    def _frame(self, plan):
        rows, words, columns = self._demonstrations
        shown = [(rows[i], words[i]) for i in plan]
        return self._template.frame(
            shown, columns, labels=self._labels, candidate=self._candidate, tokenizer=self.model.tokenizer
        )

    def _first(self, frame):
        """Tokens before the text; a chat template mostly writes them itself."""
        begins = self.model.tokenizer.bos_token
        if frame.special and begins and frame.head.startswith(begins):
            return []
        return self.model.first_tokens

    def _check_words(self, words, silent):
        if any(silent):
            word = words[silent.index(True)]
            raise ValueError(f"`words`: the tokenizer of the model has no token for {word!r}. Use another word.")
        prompt = self._joint(AnchoredText(self._encode, ""), self.model.first_tokens, [self._frame(()).tail], "")[0]
        seen = {}
        for word, tokens in zip(words, prompt.continuations):
            if tokens in seen:
                raise ValueError(
                    f"`words`: the tokenizer of the model does not tell {word!r} from {seen[tokens]!r}. Use other "
                    "words."
                )
            seen[tokens] = word


def label_mass(log_probs):
    """How much probability a model puts on all label words together (n_rows,), at most 1."""
    return np.minimum(np.exp(logsumexp(log_probs, axis=1)), 1.0)


def _part(plan, n_kept, from_end):
    return plan[:n_kept] if from_end else plan[len(plan) - n_kept :]


def _some_begin_others(words):
    ordered = sorted(words)
    return any(after.startswith(word) for word, after in pairwise(ordered))
