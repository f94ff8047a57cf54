"""Circuit shift: zero for equal states, known values for known moves, and claims only above the nulls."""

import numpy as np
import pytest
from inspection.patched_networks import induction_network, induction_pairs
from scipy.stats import spearmanr

from skicl.inspection import activation_patching, circuit_shift
from skicl.inspection._patching._result import summarise_terms

N_PAIRS = 60


def state(heads, mlps=(0.5, 0.3, 0.1), noise=0.05, seed=0):
    """A result with given effects on average, each pair with its own size and noise."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(1, 3, N_PAIRS)
    heads, mlps = np.asarray(heads, dtype=float), np.asarray(mlps, dtype=float)
    head_terms = sizes[:, None, None] * (heads + noise * rng.normal(size=(N_PAIRS, *heads.shape)))
    mlp_terms = sizes[:, None] * (mlps + noise * rng.normal(size=(N_PAIRS, *mlps.shape)))
    return summarise_terms(head_terms, mlp_terms, sizes, sizes / 2, -sizes / 2, "exact")


BASE = np.array([[0.9, 0.05], [0.0, -0.4], [0.2, 0.1]])


def test_a_state_does_not_shift_against_itself():
    base = state(BASE)
    shift = circuit_shift(base, base, nulls={"same": base}, random_state=0)
    for values in (shift.values, shift.errors, shift.intervals, shift.profile, shift.nulls[1]):
        np.testing.assert_allclose(values, 0, atol=1e-12)
    assert (shift.nulls[0] > 0).any()
    assert not shift.above.any()


def test_values_are_those_of_the_definitions():
    base, other = state(BASE), state(BASE[::-1], [0.1, 0.2, 0.9], seed=1)
    shift = circuit_shift(base, other, share=0.7, random_state=0)
    for row, kind in enumerate(shift.kinds):
        a, b = (getattr(s, kind).ravel() for s in (base, other))
        first, second = (set(np.flatnonzero(s.circuit(share=0.7)[row].ravel())) for s in (base, other))
        expected = [
            1 - len(first & second) / len(first | second),
            1 - spearmanr(a, b).statistic,
            np.abs(a - b).sum() / (np.abs(a) + np.abs(b)).sum(),
        ]
        np.testing.assert_allclose(shift.values[row], expected, atol=1e-12)
    np.testing.assert_allclose(shift.profile.sum(1), shift.values[:, 2])
    back = circuit_shift(other, base, share=0.7, random_state=0)
    np.testing.assert_allclose(shift.values, back.values, atol=1e-12)


def test_opposite_effects_shift_by_the_most():
    shift = circuit_shift(state(BASE, noise=0), state(-BASE, noise=0), random_state=0)
    np.testing.assert_allclose(shift.values[0], [0, 2, 1], atol=1e-12)  # the same circuit, upside down
    disjoint = circuit_shift(state([[1, 0], [0, 0], [0, 0]]), state([[0, 0], [0, 0], [0, 1]]), size=1, random_state=0)
    assert disjoint.values[0, 0] == 1
    assert disjoint.intervals[0, 0].tolist() == [1, 1]
    assert np.argsort(disjoint.profile[0])[0] == 1, "the layer between does not take part"


def test_what_does_not_move_is_not_claimed():
    """Two draws of the same effects shift by noise alone: rarely above the split-half floor and a third draw."""
    claims = []
    for seed in range(20):
        base, again, third = (state(BASE, seed=3 * seed + i) for i in range(3))
        shift = circuit_shift(base, again, nulls={"third": third}, n_bootstrap=100, random_state=seed)
        claims.append(shift.above)
        assert (shift.values[:, 2] > 0).all(), "noise gives a shift"
    assert np.mean(claims) < 0.05


def test_what_moves_is_claimed_where_it_moves():
    base, moved = state(BASE), state(BASE[::-1, ::-1], seed=1)
    nulls = {"labels shuffled": [state(BASE, seed=2), state(BASE, seed=3)], "no pattern": state(BASE, seed=4)}
    shift = circuit_shift(base, moved, nulls=nulls, random_state=0)
    assert shift.null_names == ("split half", "labels shuffled 1", "labels shuffled 2", "no pattern")
    assert shift.nulls.shape == (4, 2, 3)
    assert shift.above[0].all()
    assert not shift.above[1].any()
    nulls["moved as far"] = state(BASE[::-1, ::-1], seed=5)
    assert not circuit_shift(base, moved, nulls=nulls, random_state=0).above.any()


def test_intervals_hold_what_repeated_samples_give():
    errors, values = [], []
    for seed in range(60):
        shift = circuit_shift(
            state(BASE, noise=0.4, seed=seed),
            state(BASE[::-1], noise=0.4, seed=1000 + seed),
            n_bootstrap=60,
            random_state=0,
        )
        errors.append(shift.errors[0, 2])
        values.append(shift.values[0, 2])
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.35)


def test_more_pairs_lower_the_floor():
    few, many = (
        summarise_terms(
            *(
                np.tile(part, (n, *[1] * (part.ndim - 1)))
                for part in (
                    state(BASE, noise=0.5).head_terms,
                    state(BASE).mlp_terms,
                    np.ones(N_PAIRS),
                    np.ones(N_PAIRS),
                    -np.ones(N_PAIRS),
                )
            ),
            "exact",
        )
        for n in (1, 8)
    )
    floors = [circuit_shift(part, part, random_state=0).nulls[0, 0, 2] for part in (few, many)]
    assert floors[1] < 0.6 * floors[0]


def test_seeds_give_equal_results():
    base, other = state(BASE), state(BASE[::-1], seed=1)
    one, two, three = (circuit_shift(base, other, n_bootstrap=20, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.errors, two.errors)
    assert not np.array_equal(one.errors, three.errors)


def test_all_effects_equal_have_no_order():
    flat, other = state(np.ones((3, 2)), noise=0), state(BASE, noise=0)
    assert circuit_shift(flat, flat, random_state=0).values[0, 1] == 0
    assert circuit_shift(flat, other, random_state=0).values[0, 1] == 1


def test_a_head_that_is_taken_out_of_a_network_shifts_its_circuit():
    import torch

    model, pairs = induction_network(noise=0.05), induction_pairs(12)
    broken, tokenizer = induction_network(noise=0.05)
    attention = broken.transformer.h[1].attn
    with torch.no_grad():  # the head moves from place 2 to place 3
        for start in (0, 64, 128):
            attention.c_attn.weight[:, start + 48 : start + 64] = attention.c_attn.weight[:, start + 32 : start + 48]
        attention.c_proj.weight[48:64] = attention.c_proj.weight[32:48]
        attention.c_proj.weight[32:48] = 0
    base, moved = activation_patching(model, pairs), activation_patching((broken, tokenizer), pairs)
    shift = circuit_shift(base, moved, random_state=0)
    assert shift.above[0, [0, 2]].all()
    assert shift.profile[0, 1] > 5 * shift.profile[0, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"base": 3}, TypeError, "`base` must be a result of activation_patching, got int"),
        ({"nulls": [1]}, TypeError, "`nulls` must be a mapping"),
        ({"nulls": {"a": 1}}, TypeError, r"`nulls`\['a'\] must be a result"),
        ({"nulls": {"a": []}}, ValueError, r"`nulls`\['a'\] is empty"),
        ({"other": state(BASE[:2], [1, 1])}, ValueError, "`other` has 60 pairs, 2 layers and 2 heads"),
        (
            {"nulls": {"a": state(BASE)._replace(method="attribution")}},
            ValueError,
            r"`nulls`\['a'\] was measured by method='attribution', and `base` by 'exact'",
        ),
        ({"share": 2}, ValueError, "`share` must be a number above 0"),
        ({"n_bootstrap": 1}, ValueError, "`n_bootstrap` must be an integer of at least 2, got 1"),
        ({"confidence_level": 1}, ValueError, "`confidence_level` must be a number above 0 and below 1, got 1"),
    ],
)
def test_errors(arguments, error, message):
    given = {"base": state(BASE), "other": state(BASE), **arguments}
    with pytest.raises(error, match=message):
        circuit_shift(given.pop("base"), given.pop("other"), **given)


def test_too_few_pairs_are_refused():
    terms = np.ones((3, 2, 2)), np.ones((3, 2)), np.ones(3), np.ones(3), -np.ones(3)
    few = summarise_terms(*terms, "exact")
    with pytest.raises(ValueError, match="`base` has 3 pairs"):
        circuit_shift(few, few)
