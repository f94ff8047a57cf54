"""Effects as ratios of means with their errors, and circuits as the smallest sets."""

from itertools import combinations

import numpy as np
import pytest

from skicl.inspection._patching._result import largest_effects, ratio_of_means, summarise_terms


def random_result(n_pairs=40, seed=0):
    rng = np.random.default_rng(seed)
    clean, corrupt = 2 + rng.normal(size=n_pairs), -2 + rng.normal(size=n_pairs)
    heads, mlps = rng.normal(size=(n_pairs, 3, 4)), rng.normal(size=(n_pairs, 3))
    return summarise_terms(heads, mlps, clean - corrupt, clean, corrupt, "exact"), clean, corrupt


def test_effects_are_ratios_of_means():
    result, clean, corrupt = random_result()
    np.testing.assert_allclose(result.heads, result.head_terms.sum(0) / (clean - corrupt).sum())
    np.testing.assert_allclose(result.mlps, result.mlp_terms.sum(0) / (clean - corrupt).sum())
    assert result.completeness == 1
    assert result.coverage == ((clean > 0) & (corrupt < 0)).mean()


def test_standard_errors_are_those_of_repeated_samples():
    rng, ratios, errors = np.random.default_rng(0), [], []
    for _ in range(2000):
        differences = 3 + rng.normal(size=50)
        ratio, error = ratio_of_means(0.4 * differences[:, None] + rng.normal(size=(50, 1)), differences)
        ratios.append(ratio[0])
        errors.append(error[0])
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.08)
    assert np.mean(ratios) == pytest.approx(0.4, abs=0.01)


def test_one_pair_has_no_error():
    ratio, error = ratio_of_means(np.array([[0.5]]), np.array([2.0]))
    assert ratio == 0.25
    assert np.isnan(error)


def test_circuits_are_the_smallest_sets_that_reach_the_share():
    rng = np.random.default_rng(0)
    for effects in rng.normal(size=(20, 7)):
        for share in (0.3, 0.8, 1.0):
            chosen = largest_effects(effects, share, None)
            size, total = chosen.sum(), np.abs(effects).sum()
            assert np.abs(effects[chosen]).sum() >= share * total - 1e-9
            smaller = [np.abs(effects[list(group)]).sum() for group in combinations(range(7), size - 1)]
            assert max(smaller) < share * total


def test_sizes_ties_and_nothing():
    effects = np.array([[0.5, -0.5, 0.1], [0.0, 0.0, 0.0]])
    assert largest_effects(effects, 0.8, None).tolist() == [[True, True, False], [False] * 3]
    assert largest_effects(effects, 0.8, 1).tolist() == [[True, False, False], [True, False, False]]
    assert largest_effects(effects, 0.8, 9).all()


def test_circuit_of_heads_and_mlps_apart():
    result, _, _ = random_result()
    heads, mlps = result.circuit(size=2)
    assert heads.shape == (3, 4)
    assert heads.sum() == mlps.sum() == 2
    assert np.abs(result.heads[heads]).min() >= np.abs(result.heads[~heads]).max()


@pytest.mark.parametrize("arguments", [{"share": 0}, {"share": 1.1}, {"share": True}, {"size": 0}, {"size": 1.5}])
def test_errors(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be a"):
        random_result()[0].circuit(**arguments)
