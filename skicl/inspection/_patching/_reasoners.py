"""Pairs of labelled contexts in a reasoner: how they are measured, and where its heads and MLPs can be exchanged."""

from functools import partial

import torch

from skicl.inspection._patching._contexts import check_contexts
from skicl.inspection._patching._modules import Site
from skicl.inspection._patching._prompts import Subject
from skicl.reasoning import CausalReasoner, EquivariantReasoner, Evidence

_ELSEWHERE = (
    "part of what differs reaches the answer past all of them. For pairs with different queries this is what "
    "the query says by itself; for pairs with different labels, the frequencies of the classes. Take pairs "
    "with equal queries and equally many labels of each class if this share is too large."
)


def context_subject(reasoner, pairs):
    """A reasoner and pairs of labelled contexts, as a Subject."""
    if isinstance(reasoner, CausalReasoner):
        sites, n_heads = _sites_of_causal(reasoner), reasoner.config.n_heads
    elif isinstance(reasoner, EquivariantReasoner):
        sites, n_heads = _sites_of_equivariant(reasoner), None
    else:
        raise TypeError(
            "`model` must be a CausalReasoner or an EquivariantReasoner for pairs of contexts, got "
            f"{type(reasoner).__name__}; load one by skicl.reasoning.load_reasoner."
        )
    pairs = check_contexts(pairs)
    n_classes = int(max(pairs.clean_y.max(), pairs.corrupt_y.max())) + 1

    def measures(numbers):
        batch = [torch.as_tensor(column[numbers]) for column in pairs]
        X, clean_y, corrupt_y, clean_queries, corrupt_queries, *answers = batch
        return tuple(
            partial(_log_odds, reasoner, Evidence(X, y, n_classes), queries, torch.stack(answers, 1))
            for y, queries in ((clean_y, clean_queries), (corrupt_y, corrupt_queries))
        )

    return Subject(reasoner, sites, n_heads, [pairs.X.shape[1]] * len(pairs.X), measures, _ELSEWHERE)


def _log_odds(reasoner, evidence, queries, answers):
    """Log-odds of the clean answer against the corrupt one, for the query of each context."""
    logits = reasoner.score(reasoner.encode(evidence), queries[:, None])[:, 0]  # B x C
    chosen = logits.gather(1, answers.to(logits.device)).float()
    return chosen[:, 0] - chosen[:, 1]


def _sites_of_causal(reasoner):
    sites = []
    for layer, block in enumerate(reasoner.network.blocks):
        sites.append(Site(f"network.blocks.{layer}.attention_out", "heads", layer, block.attention_out))
        sites.append(Site(f"network.blocks.{layer}.update_out", "mlps", layer, block.update_out))
    return sites


def _sites_of_equivariant(reasoner):
    """In each layer the messages to the rows in its three views, how well they fit the labels, and the update."""
    sites = []
    for number, layer in enumerate(reasoner.layers):
        ends = torch.tensor(layer.sizes).cumsum(0).tolist()
        views = tuple(slice(end - size, end) for size, end in zip(layer.sizes, ends))
        name = f"layers.{number}"
        sites.append(Site(f"{name}.hear", "heads", number, layer, "hear", views))
        sites.append(Site(f"{name}.measure_fit", "heads", number, layer, "measure_fit", (slice(None),)))
        sites.append(Site(f"{name}.out", "mlps", number, layer.out))
    return sites
