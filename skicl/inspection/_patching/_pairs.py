"""Pairs of prompts for activation patching: equally long in tokens, with different answers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from skicl._validation._scalars import check_integer
from skicl._validation._texts import check_texts, is_missing, list_items
from skicl._validation._wording import position_of
from skicl.inspection._patching._model import opened_tokenizer


class PatchingPairs(NamedTuple):
    """Pairs of prompts that differ in few tokens, with the answers to both.

    Made by :func:`make_patching_pairs`, or by hand. An answer is joined to its prompt as it is: answers that are words
    begin with a space.

    Attributes
    ----------
    clean : list of str
        Prompts, without their answers.
    corrupt : list of str
        The same prompts, changed so that the answer is another.
    clean_answers : list of str
        Answers to `clean`.
    corrupt_answers : list of str
        Answers to `corrupt`.

    See Also
    --------
    activation_patching : What they are for.

    Examples
    --------
    >>> from skicl.inspection import PatchingPairs
    >>> pairs = PatchingPairs(["The young of a dog is a"], ["The young of a cow is a"], [" puppy"], [" calf"])
    >>> len(pairs.clean)
    1
    """

    clean: list
    corrupt: list
    clean_answers: list
    corrupt_answers: list


class Tokens(NamedTuple):
    """One pair as numbers of tokens."""

    # Equally long, with equal last tokens. What both answers begin with is part of them.
    clean: list
    corrupt: list
    answers: tuple  # the tokens by which the answers differ: the clean one, the corrupt one


def make_patching_pairs(
    X: Sequence[str],
    y: Sequence[Any],
    tokenizer: Any,
    *,
    template: str = "{text}{label}",
    n_pairs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> PatchingPairs:
    """Pair problems with different answers that are equally long in tokens and differ in as few tokens as possible.

    Parameters
    ----------
    X : sequence of str of length n_samples
        The problems, such as `data` of :func:`skicl.datasets.make_implicit_pattern`.
    y : sequence of length n_samples
        Their answers.
    tokenizer : transformers tokenizer, str or path
        The tokenizer of the network; the name or the folder of a model means its tokenizer.
    template : str, default="{text}{label}"
        How a problem and its answer are written, with the answer last: the `template` of the data set.
    n_pairs : int or None, default=None
        Number of pairs. None means as many as can be found.
    random_state : int, RandomState instance or None, default=None
        Decides which problems are paired first, and which of the two is the clean one.

    Returns
    -------
    pairs : PatchingPairs
        Every problem occurs in at most one pair.

    Raises
    ------
    TypeError
        If `X` holds anything but strings, or `tokenizer` is something else.
    ValueError
        If `template` does not end with the answer, lengths differ, an answer is missing, or there are fewer than
        `n_pairs` pairs (or none).

    See Also
    --------
    activation_patching : What they are for.

    Examples
    --------
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import PreTrainedTokenizerFast
    >>> from skicl.inspection import make_patching_pairs
    >>> words = Tokenizer(models.WordLevel({word: i for i, word in enumerate("? 1 2 3 4 + =".split())}, unk_token="?"))
    >>> words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    >>> pairs = make_patching_pairs(["1 + 1", "2 + 2", "1 + 2", "1 + 1 + 1"], [2, 4, 3, 3], tokenizer,
    ...                             template="{text} = {label}", random_state=0)
    >>> [sorted(pair) for pair in zip(pairs.clean, pairs.corrupt)]
    [['1 + 1 =', '1 + 2 =']]
    """
    texts = check_texts(X)
    answers = _check_answers(y, len(texts))
    if not isinstance(template, str) or not template.endswith("{label}") or "{text}" not in template:
        raise ValueError(f"`template` must hold {{text}} and end with {{label}}, got {template!r}.")
    check_integer(n_pairs, "n_pairs", optional=True)
    random_state = check_random_state(random_state)
    tokenizer = opened_tokenizer(tokenizer)
    before = template.removesuffix("{label}")
    stem = before.rstrip(" ")  # the space belongs to the answer, as in the tokens of most models
    prompts = [stem.replace("{text}", text) for text in texts]
    answers = [before[len(stem) :] + answer for answer in answers]
    paired = _closest_pairs(prompts, answers, tokenizer, n_pairs, random_state)
    if len(paired) < (n_pairs or 1):
        raise ValueError(
            f"`n_pairs`={n_pairs}: only {len(paired)} pairs of equal length in tokens and different "
            f"answers were found among the {len(texts)} texts of `X`. Pass more texts, or texts that are "
            "more alike in length."
        )
    first, second = np.array(paired).T.tolist()
    return PatchingPairs(
        [prompts[i] for i in first],
        [prompts[i] for i in second],
        [answers[i] for i in first],
        [answers[i] for i in second],
    )


def _check_answers(y, n_texts):
    """The answers as strings."""
    answers, labels = list_items(y, parameter="y", one="answer", many="answers")
    if len(answers) != n_texts:
        raise ValueError(f"`y` has {len(answers)} entries, expected {n_texts}: one for each text of `X`.")
    missing = [number for number, answer in enumerate(answers) if is_missing(answer)]
    if missing:
        raise ValueError(
            f"`y` has a missing value at {position_of(missing[0], labels)}. Drop the problem, or give its answer."
        )
    return [str(answer) for answer in answers]


def _closest_pairs(prompts, answers, tokenizer, n_pairs, random_state):
    """Pairs of numbers of prompts: each prompt in turn takes the nearest free one with another answer."""
    tokens = [np.array(_encode(tokenizer, prompt)) for prompt in prompts]
    groups, paired = {}, []
    codes = np.unique(answers, return_inverse=True)[1]
    for number, ids in enumerate(tokens):
        groups.setdefault((len(ids), ids[-1] if len(ids) else -1), []).append(number)
    # By length and last token: numbers of the prompts, and their tokens as rows of one array.
    stacked = {key: (np.array(members), np.stack([tokens[i] for i in members])) for key, members in groups.items()}
    free = np.ones(len(prompts), dtype=bool)
    for number in random_state.permutation(len(prompts)).tolist():
        if len(paired) == n_pairs:
            break
        if not free[number]:
            continue
        ids = tokens[number]
        members, rows = stacked[len(ids), ids[-1] if len(ids) else -1]
        fits = free[members] & (codes[members] != codes[number])
        nearest = np.argsort((rows[fits] != ids).sum(axis=1), kind="stable")[:3]
        for other in members[fits][nearest].tolist():
            try:
                tokenise_pair(tokenizer, (prompts[number], prompts[other], answers[number], answers[other]))
            except ValueError:  # an answer is the beginning of the other one, or merges with its prompt
                continue
            paired.append((number, other))
            free[[number, other]] = False
            break
    return paired


def tokenise_pairs(tokenizer, pairs, prefix=""):
    """The tokens of all pairs, each behind its prefix."""
    rows = enumerate(prefixed_rows(pairs, prefix))
    return [tokenise_pair(tokenizer, row, start, number) for number, (start, *row) in rows]


def prefixed_rows(pairs, prefix=""):
    """A row (prefix, clean prompt, corrupt prompt, clean answer, corrupt answer) for each pair."""
    if isinstance(pairs, str) or not isinstance(pairs, Sequence) or len(pairs) != len(PatchingPairs._fields):
        raise TypeError(
            f"`pairs` must be PatchingPairs (clean, corrupt, clean_answers, corrupt_answers), got "
            f"{type(pairs).__name__}. Make them by make_patching_pairs."
        )
    columns = [check_texts(column, parameter=f"pairs.{name}") for name, column in zip(PatchingPairs._fields, pairs)]
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"`pairs` has columns of lengths {[len(column) for column in columns]}, expected equal ones.")
    if isinstance(prefix, str):
        prefix = [prefix] * len(columns[0])
    prefixes = check_texts(prefix, parameter="prefix")
    if len(prefixes) != len(columns[0]):
        raise ValueError(
            f"`prefix` has {len(prefixes)} entries, expected {len(columns[0])}: one for each pair, or a "
            "string for all of them."
        )
    return list(zip(prefixes, *columns))


def tokenise_pair(tokenizer, row, prefix="", number=0):
    """The tokens of one pair (clean, corrupt and their answers), refused if they are not aligned."""
    clean, corrupt, right, wrong = row
    where = f"`pairs`: pair {number} ({clean[-60:]!r}, {corrupt[-60:]!r})"
    texts = [[_encode(tokenizer, prefix + prompt + answer) for answer in (right, wrong)] for prompt in (clean, corrupt)]
    splits = [_first_difference(*answered) for answered in texts]
    if None in splits:
        raise ValueError(
            f"{where} has answers {right!r} and {wrong!r}, of which one is the beginning of the other, or "
            "equal to it, in tokens. Answers must differ in some token."
        )
    start, end = texts[0][0][: splits[0]], texts[1][0][: splits[1]]
    if len(start) != len(end):
        raise ValueError(
            f"{where} is not aligned: {len(start)} and {len(end)} tokens before the answers differ. "
            "Expected prompts of equal length in tokens; make_patching_pairs finds such."
        )
    answers = {(ids[0][cut], ids[1][cut]) for ids, cut in zip(texts, splits)}
    if len(answers) > 1:
        raise ValueError(
            f"{where} is not aligned: the answers {right!r} and {wrong!r} have other tokens after the "
            "clean prompt than after the corrupt one. End both prompts in the same way."
        )
    if not start or start[-1] != end[-1]:
        raise ValueError(
            f"{where} must end with the same token before the answer: the last token itself reaches the answer "
            "past all heads and MLPs. Let the prompts differ further up only."
        )
    return Tokens(start, end, answers.pop())


def _encode(tokenizer, text):
    return tokenizer(text, verbose=False)["input_ids"]


def _first_difference(first, second):
    """Position of the first token that differs, None if one sequence is the beginning of the other."""
    return next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), None)
