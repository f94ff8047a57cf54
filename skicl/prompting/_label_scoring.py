"""Log-probabilities of all tokens of every label after every prompt, at the cost of reading what they share once.

The tokens that all prompts begin with are read once (see _models/_prefix.py), each prompt once, and after it the
labels as a tree: what two labels begin with is read once, and a label of one token costs nothing. Most networks read
many prompts and their trees in one pass (see _models/_packed.py); others read prompts padded, and paths of the tree
after them.

Shapes: Q prompts, W labels.
"""

from itertools import groupby
from typing import NamedTuple

import numpy as np

from skicl._models._packed import Tree, packed_at_once, read_packed, tokens_at_once
from skicl._models._prefix import Prefix, log_probs_after, past_of, shared_beginning
from skicl.prompting._batching import in_batches

# Most rows read together by networks that copy the keys and values of what they share for each, if none is asked for.
PADDED_ROWS = 16


class LabelScores(NamedTuple):
    """Scores of labels."""

    log_probs: np.ndarray  # (Q, W): Log-probability of all tokens of each label after each prompt, in nats
    lengths: np.ndarray  # (Q, W): Number of tokens of each
    states: np.ndarray | None = None  # (Q, D): Hidden states at the ends of the prompts
    vocabulary: np.ndarray | None = None  # (Q, V): Log-probabilities of all tokens there
    batch_size: int | None = None  # most rows that could be read together; smaller than asked for if memory ran out


class LabelTree(NamedTuple):
    """Labels as a tree of tokens."""

    labels: tuple  # the labels
    paths: list  # what must be read after a prompt so that every token of every label but its last has been read
    # For each path (position in it, token, label): what comes next there in the label. Each token of a label, the
    # first apart, is wanted once.
    wanted: list
    nodes: Tree  # all of the paths, each token once
    # For each token of a label but the first: the node that it follows, itself, and the label.
    wanted_after: list


def label_tree(labels):
    """Labels, tuples of at least one token, as a tree."""
    beginnings = sorted({label[:end] for label in labels for end in range(1, len(label))})
    node = {beginning: number for number, beginning in enumerate(beginnings)}
    nodes = Tree(tuple(part[-1] for part in beginnings), tuple(node.get(part[:-1], -1) for part in beginnings))
    wanted_after = [
        (node[label[:end]], label[end], number) for number, label in enumerate(labels) for end in range(1, len(label))
    ]
    inner = sorted({label[:-1] for label in labels if len(label) > 1})
    # In sorted order a path is followed at once by those that go on from it.
    paths = [path for path, after in zip(inner, [*inner[1:], ()]) if after[: len(path)] != path]
    wanted = [[] for _ in paths]
    for number, label in enumerate(labels):
        if len(label) > 1:
            home = next(i for i, path in enumerate(paths) if path[: len(label) - 1] == label[:-1])
            wanted[home] += [(place, token, number) for place, token in enumerate(label[1:])]
    return LabelTree(labels, paths, wanted, nodes, wanted_after)


def score_labels(model, prefix, prompts, *, batch_size, states=(), vocabulary=False, progress=None):
    """LabelScores of prompts, all with the same number of labels, in their order.

    Tokens at the end of the prefix that a prompt does not have are not used. `batch_size` is the most rows read
    together, None as many as are read fastest; it halves where memory runs out. `states` are the depths of those that
    are wanted, 1.0 for the last. `progress` is called with the number of prompts after each batch.
    """
    n_kept = shared_beginning([prompt.ids for prompt in prompts], prefix.ids)
    n_kept = min(n_kept, min(len(prompt.ids) for prompt in prompts) - 1)  # a row must have a token of its own
    shape = (len(prompts), len(prompts[0].continuations))
    scores = LabelScores(
        np.zeros(shape),
        np.array([[len(label) for label in prompt.continuations] for prompt in prompts], dtype=np.int64),
        {} if states else None,
        {} if vocabulary else None,
    )
    by_labels = {}
    for i, prompt in enumerate(prompts):
        by_labels.setdefault(prompt.continuations, []).append(i)
    for labels, numbers in by_labels.items():
        # What all labels begin with is read with the prompt, unless its end is looked at for itself.
        begun = () if states or vocabulary else _common_beginning(labels)
        rows = [(*prompts[i].ids[n_kept:], *begun) for i in numbers]
        tree = label_tree(tuple(label[len(begun) :] for label in labels))

        sizes = [len(row) for row in rows]
        packed = packed_at_once(model, prefix, n_kept, sizes, tree.nodes)
        score = _score_packed if packed else _score_batch

        def run(batch, size, rows=rows, begun=begun, tree=tree, numbers=numbers, score=score):
            places = [numbers[i] for i in batch]
            score(model, prefix, n_kept, [rows[i] for i in batch], begun, tree, size, places, scores, states)
            if progress is not None:
                progress(len(batch))

        sizes = [size + len(tree.nodes.tokens) for size in sizes] if packed else sizes
        tokens = packed or (tokens_at_once(model) if batch_size is None else None)
        most = batch_size or (None if packed else PADDED_ROWS)
        in_the_end = in_batches(sizes, most, run, tokens=tokens)
        batch_size = batch_size if in_the_end == most else in_the_end
    in_order = [
        None if part is None else np.stack([part[i] for i in range(len(prompts))])
        for part in (scores.states, scores.vocabulary)
    ]
    return LabelScores(scores.log_probs, scores.lengths, *in_order, batch_size)


def _common_beginning(labels):
    """Tokens that all labels begin with, but for the last one of the shortest."""
    return labels[0][: min(shared_beginning(labels, labels[0]), min(map(len, labels)) - 1)]


def _score_packed(model, prefix, n_kept, rows, begun, tree, size, numbers, scores, depths):
    """Score the labels of a tree after rows that end with `begun`, in one pass; the results go to `numbers`."""
    after = [(node, token) for node, token, _ in tree.wanted_after]
    extra = {"states": depths, "vocabulary": scores.vocabulary is not None}
    wanted = [[*_asked_of_row(row, begun, tree), *((len(row) + node, token) for node, token in after)] for row in rows]
    read = read_packed(model, prefix, n_kept, rows, tree.nodes, wanted, **extra)
    log_probs, after_first = np.split(np.stack(read.log_probs), [len(begun) + len(tree.labels)], axis=1)
    log_probs = _with_beginning(log_probs, begun)
    owners = [label for *_, label in tree.wanted_after]
    np.add.at(log_probs, (slice(None), owners), after_first)
    _store(scores, numbers, log_probs, read)


def _score_batch(model, prefix, n_kept, rows, begun, tree, size, numbers, scores, depths):
    """The same for networks that cannot read rows as one: rows are padded, and paths are read after them."""
    extra = {"states": depths, "vocabulary": scores.vocabulary is not None}
    wanted = [_asked_of_row(row, begun, tree) for row in rows]
    reads_on = bool(tree.paths) and prefix.shares and _read_in_one_way(model, n_kept, rows, begun, tree)
    read = log_probs_after(model, prefix, n_kept, rows, wanted, keep=reads_on, **extra)
    log_probs = _with_beginning(np.stack(read.log_probs), begun)
    if reads_on:
        _read_on(model, read.cache, n_kept, rows, tree, size, log_probs)
    elif tree.paths:
        _read_again(model, prefix, n_kept, rows, tree, size, log_probs)
    _store(scores, numbers, log_probs, read)


def _asked_of_row(row, begun, tree):
    """What is asked about in a row: the tokens of `begun`, and the first one of each label."""
    before = [(len(row) - len(begun) - 1 + place, token) for place, token in enumerate(begun)]
    return before + [(len(row) - 1, label[0]) for label in tree.labels]


def _with_beginning(log_probs, begun):
    """Log-probabilities of labels, to whose first tokens those of what all begin with are added."""
    before, first = np.split(log_probs, [len(begun)], axis=1)
    return first + before.sum(axis=1, keepdims=True)


def _store(scores, numbers, log_probs, read):
    """Put the results of a batch to the places `numbers`."""
    scores.log_probs[numbers] = log_probs
    for place, part in ((scores.states, read.states), (scores.vocabulary, read.vocabulary)):
        if place is not None:
            place.update(zip(numbers, part.cpu().numpy()))


def _read_in_one_way(model, n_kept, rows, begun, tree):
    """Whether a network reads rows in one way from the first token of a label to the last."""
    lengths = [len(row) for row in rows]
    ends = min(lengths) - len(begun), max(lengths) + max(map(len, tree.paths))
    return len(model.by_way([n_kept + end for end in ends])) == 1


def _read_on(model, cache, n_kept, rows, tree, size, log_probs):
    """Add the tokens after the first, reading paths after the keys and values of the rows.

    Rows of one length at a time: padding between a row and a path would move the path away from what a layer with a
    window still sees.
    """
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for length, group in groupby(order, key=lambda i: len(rows[i])):
        pairs = [(row, path) for row in group for path in range(len(tree.paths))]
        for start in range(0, len(pairs), size):
            batch = pairs[start : start + size]
            keys = past_of(cache, [row for row, _ in batch], n_kept + length)
            past = Prefix((), keys, True, way=model.way(n_kept + length))
            paths = [tree.paths[path] for _, path in batch]
            wanted = [[(place, token) for place, token, _ in tree.wanted[path]] for _, path in batch]
            read = log_probs_after(model, past, n_kept + length, paths, wanted)
            _add(log_probs, tree, batch, read.log_probs)


def _read_again(model, prefix, n_kept, rows, tree, size, log_probs):
    """Add the tokens after the first where a network cannot read on: rows and paths are read from the beginning."""
    pairs = [(row, path) for row in range(len(rows)) for path in range(len(tree.paths))]
    for start in range(0, len(pairs), size):
        batch = pairs[start : start + size]
        whole = [(*rows[row], *tree.paths[path]) for row, path in batch]
        wanted = [[(len(rows[row]) + place, token) for place, token, _ in tree.wanted[path]] for row, path in batch]
        _add(log_probs, tree, batch, log_probs_after(model, prefix, n_kept, whole, wanted).log_probs)


def _add(log_probs, tree, pairs, found):
    for (row, path), values in zip(pairs, found):
        for (_, _, label), value in zip(tree.wanted[path], values):
            log_probs[row, label] += value
