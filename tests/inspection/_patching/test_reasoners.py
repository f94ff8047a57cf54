"""Laws of patching in reasoners: nothing exchanged is 0, all exchanged is 1, and no trace is left in the network."""

import warnings

import numpy as np
import pytest
import torch
from inspection.patched_networks import class_rows, hooks_of, lively_reasoner

from skicl.inspection import (
    ActivationPatchingDisplay,
    ContextPairs,
    activation_patching,
    circuit_shift,
    make_context_pairs,
)
from skicl.reasoning import Reasoner, load_reasoner

SHAPES = {"causal": (3, 2), "equivariant": (3, 4)}
each_kind = pytest.mark.parametrize("kind", SHAPES)


def contexts(n_classes=2, n_pairs=4, change="labels", n_rows=12):
    return make_context_pairs(*class_rows(n_classes), n_rows=n_rows, change=change, n_pairs=n_pairs, random_state=0)


def patch(reasoner, pairs, **options):
    """Without a word on pairs that random weights cannot solve."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The difference of logits")
        return activation_patching(reasoner, pairs, **{"min_difference": 0, **options})


@each_kind
@pytest.mark.parametrize("n_classes", [2, 3])
def test_all_exchanged_is_one_in_a_batch_as_one_by_one(kind, n_classes):
    reasoner, pairs = lively_reasoner(kind), contexts(n_classes)
    before = [weight.clone() for weight in reasoner.parameters()]
    together = patch(reasoner, pairs)
    assert together.heads.shape == SHAPES[kind]
    assert together.mlps.shape == (3,)
    assert together.completeness == pytest.approx(1, abs=1e-4)
    assert np.abs(together.head_terms).max() > 1e-3
    assert np.abs(together.mlp_terms).max() > 1e-3
    alone = [patch(reasoner, ContextPairs(*(column[[i]] for column in pairs))) for i in range(len(pairs.X))]
    np.testing.assert_allclose(together.head_terms, np.concatenate([one.head_terms for one in alone]), atol=1e-4)
    np.testing.assert_allclose(together.mlp_terms, np.concatenate([one.mlp_terms for one in alone]), atol=1e-4)
    np.testing.assert_allclose(patch(reasoner, pairs, batch_size=3).heads, together.heads, atol=1e-4)
    assert hooks_of(reasoner) == 0
    assert all(torch.equal(weight, old) for weight, old in zip(reasoner.parameters(), before))


@each_kind
def test_the_measure_is_the_log_odds_of_the_probabilities(kind):
    from skicl.reasoning import Evidence

    reasoner, pairs = lively_reasoner(kind), contexts(3)
    measured = []
    for y, queries in ((pairs.clean_y, pairs.clean_queries), (pairs.corrupt_y, pairs.corrupt_queries)):
        with torch.no_grad():
            logits = reasoner(Evidence(torch.tensor(pairs.X), torch.tensor(y), 3), torch.tensor(queries[:, None]))
        log_proba = logits.log_softmax(-1)[:, 0].double().numpy()
        rows = np.arange(len(y))
        measured.append(log_proba[rows, pairs.clean_answers] - log_proba[rows, pairs.corrupt_answers])
    np.testing.assert_allclose(patch(reasoner, pairs).differences, measured[0] - measured[1], atol=1e-4)


@each_kind
@pytest.mark.parametrize("method", ["exact", "attribution"])
def test_a_context_exchanged_with_itself_gives_zero(kind, method):
    pairs = contexts()
    corrupt_y = pairs.corrupt_y.copy()
    corrupt_y[0] = pairs.clean_y[0]
    patching = patch(lively_reasoner(kind), pairs._replace(corrupt_y=corrupt_y), method=method)
    assert patching.differences[0] == 0
    assert (patching.head_terms[0] == 0).all()
    assert (patching.mlp_terms[0] == 0).all()
    assert np.abs(patching.head_terms[1:]).max() > 0


@each_kind
def test_attribution_is_the_derivative_of_exact_patching(kind):
    """The nearer the queries are to one another, the better the linear approximation."""
    reasoner, pairs = lively_reasoner(kind), contexts(change="query")
    apart = []
    for step in (1.0, 0.03):
        near = pairs.clean_queries + step * (pairs.corrupt_queries - pairs.clean_queries)
        terms = []
        for method in ("exact", "attribution"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = activation_patching(
                    reasoner, pairs._replace(corrupt_queries=near), method=method, min_difference=0
                )
            terms.append(np.concatenate([found.head_terms.reshape(4, -1), found.mlp_terms], 1).ravel())
        apart.append(1 - np.corrcoef(terms)[0, 1])
    assert apart[1] < 1e-2
    assert apart[1] < apart[0]


def test_attribution_adds_up_what_a_reasoner_reads_in_parts(monkeypatch):
    """Several blocks of rows, several classes, and queries in so many calls that they do not end with a pair."""
    from skicl.reasoning import _causal

    reasoner, pairs = lively_reasoner("causal"), contexts(3, n_rows=45)
    assert reasoner.config.n_points < 45, "the context is read in several blocks"
    whole = {method: patch(reasoner, pairs, method=method) for method in ("exact", "attribution")}
    monkeypatch.setattr(_causal, "WEIGHTS_AT_A_TIME", 7 * 2 * 39)
    for method, expected in whole.items():
        found = patch(reasoner, pairs, method=method)
        assert found.completeness == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(found.head_terms, expected.head_terms, atol=1e-5)
        np.testing.assert_allclose(found.mlp_terms, expected.mlp_terms, atol=1e-5)


def test_a_head_that_is_not_read_has_no_effect():
    causal, equivariant = lively_reasoner("causal"), lively_reasoner("equivariant")
    with torch.no_grad():
        causal.network.blocks[1].attention_out.weight[:, 8:] = 0
        equivariant.layers[1].values.weight[: equivariant.config.n_values] = 0
    for reasoner, silent in ((causal, 1), (equivariant, 0)):
        for method in ("exact", "attribution"):
            terms = patch(reasoner, contexts(), method=method).head_terms[:, 1]
            assert (terms[:, silent] == 0).all()
            assert (terms[:, 1 - silent] != 0).all()


@each_kind
def test_the_names_of_the_classes_do_not_matter(kind):
    reasoner, pairs, renamed = lively_reasoner(kind), contexts(3), np.array([2, 0, 1])
    other = pairs._replace(
        **{name: renamed[getattr(pairs, name)] for name in ("clean_y", "corrupt_y", "clean_answers", "corrupt_answers")}
    )
    one, two = patch(reasoner, pairs), patch(reasoner, other)
    np.testing.assert_allclose(one.head_terms, two.head_terms, atol=1e-4)
    np.testing.assert_allclose(one.mlp_terms, two.mlp_terms, atol=1e-4)


def test_what_a_query_says_by_itself_passes_by_the_heads():
    with pytest.warns(UserWarning, match="For pairs with different queries this is what the query says by itself"):
        patch(lively_reasoner("causal"), contexts(change="query"))


@each_kind
@pytest.mark.parametrize("method", ["exact", "attribution"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_no_trace_is_left_on_errors(kind, method, error):
    reasoner = lively_reasoner(kind).train()
    module = reasoner.network.blocks[1].update_out if kind == "causal" else reasoner.layers[1].out
    module.eval()
    modes = [part.training for part in reasoner.modules()]
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 8:
            raise error("stop")

    handle = module.register_forward_hook(stop)
    with pytest.raises(error):
        patch(reasoner, contexts(), method=method)
    handle.remove()
    assert hooks_of(reasoner) == 0
    assert [part.training for part in reasoner.modules()] == modes


def test_the_default_reasoner_solves_its_pairs_and_its_circuits_can_be_compared():
    reasoner, (X, y) = load_reasoner(), class_rows()
    pairs = make_context_pairs(X, y, n_rows=16, n_pairs=8, random_state=0)
    base = activation_patching(reasoner, pairs)
    assert base.coverage > 0.9
    assert base.completeness == pytest.approx(1, abs=1e-3)
    # The last column is how well messages fit the labels: exchanging the classes leaves it as it was.
    assert np.abs(base.heads[:, 3]).max() < 0.05 < np.abs(base.heads[:, :2]).max()
    few = activation_patching(reasoner, make_context_pairs(X, y, n_rows=2, n_pairs=8, random_state=0))
    shift = circuit_shift(base, few, n_bootstrap=50, random_state=0)
    assert shift.profile.shape == (2, 6)
    assert not circuit_shift(base, base, n_bootstrap=50, random_state=0).above.any()
    heads, mlps = base.circuit(share=0.5)
    assert heads.shape == (6, 4)
    assert 0 < mlps.sum() < 6
    assert len(ActivationPatchingDisplay.from_patching(base).images_) == 2


class OtherReasoner(Reasoner):
    """Neither of the two whose parts are known."""

    def encode(self, evidence, *, chunk_rows=None):
        return ()

    def score(self, context, X, side=None):
        return X


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": OtherReasoner()}, TypeError, "`model` must be a CausalReasoner or an EquivariantReasoner"),
        ({"model": "skicl-tiny"}, TypeError, "`model` must be a reasoner for ContextPairs, got str"),
        ({"pairs": [1]}, TypeError, "`pairs` must be ContextPairs for a reasoner, got list"),
        ({"prefix": "a"}, ValueError, "`prefix` applies to language models only, got 'a'"),
        ({"modules": {}}, ValueError, "`modules` applies to language models only, got {}"),
    ],
)
def test_errors(arguments, error, message):
    given = {"model": lively_reasoner("causal"), "pairs": contexts(), **arguments}
    with pytest.raises(error, match=message):
        activation_patching(given.pop("model"), given.pop("pairs"), **given)
