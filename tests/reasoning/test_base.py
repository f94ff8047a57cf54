"""Contexts are nested tuples of tensors that can be mapped over."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from skicl import TartClassifier
from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Evidence, Reasoner, map_tensors, save_reasoner


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


class NearestMean(Reasoner):
    """The least that a reasoner of one's own consists of: logits are negative squared distances to class means."""

    reads_side_scores = False

    def encode(self, evidence, *, chunk_rows=None):
        weight = torch.ones_like(evidence.X[..., 0]) if evidence.weight is None else evidence.weight
        labels = torch.nn.functional.one_hot(evidence.y.clamp_min(0), evidence.n_classes).to(evidence.X)
        labels = labels * (weight * (evidence.y >= 0))[..., None]
        return (labels.mT @ evidence.X / labels.sum(1)[..., None],)

    def score(self, context, X, side=None):
        return -torch.cdist(X.to(context[0]), context[0]).square()


def test_what_lacks_a_method_is_no_reasoner():
    class Halfway(Reasoner):
        def encode(self, evidence, *, chunk_rows=None):
            return ()

    for kind in (Reasoner, Halfway):
        with pytest.raises(TypeError, match="abstract"):
            kind()


def test_a_reasoner_of_ones_own_needs_two_methods():
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier(reasoner=NearestMean(), standardize=False).fit(X[::3], y[::3])
    means = np.array([X[::3][y[::3] == label].mean(axis=0) for label in range(3)])
    nearest = ((X[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(classifier.predict(X), nearest)
    assert classifier.context_influence(X[:2]).shape == (2, 50, 3)


def test_what_a_reasoner_does_not_say_has_a_default():
    reasoner = NearestMean()
    X = torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(0))
    context = reasoner.encode(Evidence(X, torch.tensor([[0, 1, 0, 1, 0, 1]]), 2))
    assert torch.equal(reasoner.score_all_layers(context, X)[0], reasoner.score(context, X))
    assert reasoner.describe() == {}
    assert reasoner.context_fit(context) is None
    reasoner.reset_parameters()


def test_new_weights_are_those_of_their_generator():
    reasoner = EquivariantReasoner(EquivariantConfig(n_layers=1))
    drawn = []
    for seed in (0, 1, 0):
        reasoner.reset_parameters(torch.Generator().manual_seed(seed))
        drawn.append(torch.cat([parameter.detach().flatten() for parameter in reasoner.parameters()]))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_a_reasoner_of_ones_own_is_not_saved_and_nothing_is_written(tmp_path):
    with pytest.raises(TypeError, match=r"the class NearestMean.*a CausalReasoner or EquivariantReasoner"):
        save_reasoner(tmp_path / "mine.safetensors", NearestMean())
    assert list(tmp_path.iterdir()) == []
