"""The laws of the reasoner, with the weights that ship."""

import numpy as np
import pytest
import torch

from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Evidence, load_reasoner

N, D, C, Q = 45, 12, 4, 9


@pytest.fixture(scope="module", params=["shipped", "random"])
def reasoner(request):
    """The laws are the architecture's: they hold for any weights."""
    if request.param == "shipped":
        return load_reasoner().double()
    reasoner = EquivariantReasoner()
    reasoner.reset_parameters(torch.Generator().manual_seed(0))
    with torch.no_grad():
        # A fresh network leaves its sharpness alone; here it must matter.
        reasoner.sharpness[-1].weight.normal_(generator=torch.Generator().manual_seed(1))
    return reasoner.double()


@pytest.fixture(params=["plain", "weights", "side", "unlabelled", "all"])
def task(request):
    rng = np.random.default_rng(3)
    y = np.arange(N) % C
    X = rng.normal(size=(N, D)) + rng.normal(size=(C, D))[y]
    queries = rng.normal(size=(Q, D))
    if request.param in ("unlabelled", "all"):
        y = np.where(rng.random(N) < 0.4, -1, y)
    weight = rng.integers(1, 4, size=N) if request.param in ("weights", "all") else None
    side, side_query = rng.normal(size=(N, C)), rng.normal(size=(Q, C))
    has_side = request.param in ("side", "all")
    evidence = Evidence(
        torch.from_numpy(X)[None],
        torch.from_numpy(y)[None],
        C,
        None if weight is None else torch.from_numpy(weight)[None].double(),
        torch.from_numpy(side)[None] if has_side else None,
    )
    return evidence, torch.from_numpy(queries)[None], torch.from_numpy(side_query)[None] if has_side else None


def probabilities(reasoner, evidence, X, side):
    with torch.no_grad():
        return reasoner(evidence, X, side).softmax(-1)


def pick(tensor, index, dim):
    return None if tensor is None else tensor.index_select(dim, index)


def assert_equal(a, b):
    torch.testing.assert_close(a, b, atol=1e-9, rtol=0)


def test_order_of_the_context_does_not_matter(reasoner, task):
    evidence, X, side = task
    order = torch.from_numpy(np.random.default_rng(0).permutation(N))
    permuted = Evidence(
        evidence.X[:, order], evidence.y[:, order], C, pick(evidence.weight, order, 1), pick(evidence.side, order, 1)
    )
    assert_equal(probabilities(reasoner, permuted, X, side), probabilities(reasoner, evidence, X, side))


def test_rotations_shifts_and_scales_of_the_features_do_not_matter(reasoner, task):
    evidence, X, side = task
    rotation = torch.linalg.qr(torch.from_numpy(np.random.default_rng(0).normal(size=(D, D))))[0]
    moved = evidence._replace(X=3 * evidence.X @ rotation + 5)
    assert_equal(probabilities(reasoner, moved, 3 * X @ rotation + 5, side), probabilities(reasoner, evidence, X, side))


def test_renaming_the_classes_renames_the_probabilities(reasoner, task):
    evidence, X, side = task
    names = torch.tensor([2, 0, 3, 1])  # class c is now called names[c]
    back = names.argsort()
    y = torch.where(evidence.y >= 0, names[evidence.y.clamp_min(0)], -1)
    renamed = evidence._replace(y=y, side=pick(evidence.side, back, 2))
    assert_equal(
        probabilities(reasoner, renamed, X, pick(side, back, 2))[..., names], probabilities(reasoner, evidence, X, side)
    )


def test_queries_are_scored_alone(reasoner, task):
    evidence, X, side = task
    together = probabilities(reasoner, evidence, X, side)
    context = reasoner.encode(evidence)
    for i in range(Q):
        alone = reasoner.score(context, X[:, i : i + 1], None if side is None else side[:, i : i + 1]).softmax(-1)
        assert_equal(alone.detach(), together[:, i : i + 1])


def test_integer_weights_are_repetitions(reasoner, task):
    evidence, X, side = task
    count = torch.from_numpy(np.random.default_rng(5).integers(0, 4, size=N))
    index = torch.arange(N).repeat_interleave(count)
    before = torch.ones(1, N).double() if evidence.weight is None else evidence.weight
    weighted = evidence._replace(weight=before * count)
    repeated = Evidence(evidence.X[:, index], evidence.y[:, index], C, before[:, index], pick(evidence.side, index, 1))
    assert_equal(probabilities(reasoner, weighted, X, side), probabilities(reasoner, repeated, X, side))


def test_chunks_of_rows_do_not_matter(reasoner, task):
    evidence, X, side = task
    with torch.no_grad():
        chunked = reasoner.score(reasoner.encode(evidence, chunk_rows=7), X, side).softmax(-1)
    assert_equal(chunked, probabilities(reasoner, evidence, X, side))


def test_tasks_of_a_batch_are_independent(reasoner, task):
    evidence, X, side = task
    both = Evidence(*[torch.cat([t, t]) if torch.is_tensor(t) else t for t in evidence])
    both.X[1] += torch.from_numpy(np.random.default_rng(9).normal(size=(N, D)))
    sides = None if side is None else torch.cat([side, side])
    batch = probabilities(reasoner, both, torch.cat([X, X]), sides)
    torch.testing.assert_close(batch[:1], probabilities(reasoner, evidence, X, side), atol=1e-8, rtol=0)


def test_a_class_without_rows_gets_a_small_probability(reasoner, task):
    evidence, X, _ = task
    y = torch.where(evidence.y == 2, -1, evidence.y)
    missing = probabilities(reasoner, evidence._replace(y=y, side=None), X, None)
    assert ((missing[..., 2] > 0) & (missing[..., 2] < 0.1)).all()


def test_unlabelled_rows_and_side_scores_enter(reasoner, task):
    evidence, X, side = task
    base = probabilities(reasoner, evidence, X, side)
    more = evidence._replace(side=torch.ones(1, N, C).double().tril())
    assert (probabilities(reasoner, more, X, torch.ones(1, Q, C).double().tril()) - base).abs().max() > 1e-4
    hidden = evidence._replace(y=torch.where(torch.arange(N) < N // 2, -1, evidence.y))
    assert (probabilities(reasoner, hidden, X, side) - base).abs().max() > 1e-4


def test_labels_are_read(reasoner):
    """With scrambled labels the predictions fall to chance; with true ones they are nearly perfect."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=300)
    X = torch.from_numpy(rng.normal(size=(300, 10)) + 3 * rng.normal(size=(3, 10))[y])[None]
    accuracy = {}
    for name, labels in {"true": y[:100], "scrambled": rng.permutation(y[:100])}.items():
        p = probabilities(reasoner, Evidence(X[:, :100], torch.from_numpy(labels)[None], 3), X[:, 100:], None)
        accuracy[name] = (p[0].argmax(-1).numpy() == y[100:]).mean()
    assert accuracy["true"] > 0.95
    assert accuracy["scrambled"] < 0.6


def test_the_fit_tells_signal_from_noise_and_counts_copies():
    reasoner = load_reasoner().double()
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60)[None] % 3
    X = torch.randn(1, 60, 8, generator=generator, dtype=torch.float64)
    clear = X.clone()
    clear[..., :3] += 4 * torch.nn.functional.one_hot(y, 3)
    fits = [reasoner.context_fit(reasoner.encode(Evidence(rows, y, 3))) for rows in (clear, X)]
    assert fits[0].shape == (1,)
    assert fits[0] > 0.8 > 0.2 > fits[1]  # chance is log(3) = 1.1 nats
    weight = torch.randint(1, 4, (1, 60), generator=generator)
    repeated = [t[0].repeat_interleave(weight[0], 0)[None] for t in (clear, y)]
    by_copies = reasoner.context_fit(reasoner.encode(Evidence(*repeated, 3)))
    by_weight = reasoner.context_fit(reasoner.encode(Evidence(clear, y, 3, weight.double())))
    torch.testing.assert_close(by_copies, by_weight)


def test_an_untrained_reasoner_follows_its_generator_and_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    first = EquivariantReasoner(EquivariantConfig(n_layers=1))
    torch.set_rng_state(state)
    first.reset_parameters(torch.Generator().manual_seed(1))
    second = EquivariantReasoner(EquivariantConfig(n_layers=1))
    second.reset_parameters(torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_contexts_stay_finite(dtype):
    reasoner = load_reasoner().to(dtype)
    rng = np.random.default_rng(0)
    contexts = {
        "equal rows": np.ones((10, 384)),
        "one row each": rng.normal(size=(10, 384)),
        "one outlier": np.concatenate([rng.normal(size=(9, 384)), np.full((1, 384), 1e6)]),
        "one feature": rng.normal(size=(10, 1)),
    }
    for name, X in contexts.items():
        X = torch.from_numpy(X).to(dtype)[None]
        for n_classes in (2, 10):
            p = probabilities(reasoner, Evidence(X, torch.arange(10)[None] % n_classes, n_classes), X * 1.5 + 1, None)
            assert torch.isfinite(p).all(), name
            assert (p > 0).all(), name
