"""Contexts are nested tuples of tensors that can be mapped over."""

import torch

from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Evidence, map_tensors


def test_map_tensors_keeps_the_nesting_and_what_is_no_tensor():
    evidence = Evidence(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.long), 2)
    doubled = map_tensors(lambda t: t * 2, (evidence, None, (torch.ones(1),)))
    assert isinstance(doubled[0], Evidence)
    assert doubled[0].X.sum() == 12
    assert doubled[0].n_classes == 2
    assert doubled[1] is None
    assert doubled[2][0] == 2


def test_a_moved_context_scores_like_the_original():
    reasoner = EquivariantReasoner(EquivariantConfig(n_layers=2)).double()
    X = torch.randn(1, 12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    context = reasoner.encode(Evidence(X, torch.arange(12)[None] % 3, 3))
    copied = map_tensors(lambda t: t.clone(), context)
    assert torch.equal(reasoner.score(context, X), reasoner.score(copied, X))
