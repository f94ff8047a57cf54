"""circuit_shift: how far the components that carry an answer move between two states, against what chance moves."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.utils import check_random_state

from skicl._resampling import check_bootstrap, resampling_weights
from skicl.inspection._patching._result import ActivationPatching, check_circuit, largest_effects

KINDS = ("heads", "mlps")
MEASURES = ("jaccard", "spearman", "l1")
SPLIT_HALF = "split half"
# So many resampled effects are held at a time, to bound the memory of large networks.
_EFFECTS_AT_A_TIME = 2_000_000


class CircuitShift(NamedTuple):
    """How far circuits moved from one state to another, made by :func:`circuit_shift`.

    Rows of the arrays stand for heads and MLPs, columns for the measures: 1 minus the Jaccard index of the circuits,
    1 minus Spearman's correlation of the effects, and the normalised L1 distance of the effects.

    Attributes
    ----------
    values : ndarray of shape (2, 3)
        The shifts.
    errors : ndarray of shape (2, 3)
        Their standard errors, by the bootstrap over pairs.
    intervals : ndarray of shape (2, 3, 2)
        Confidence intervals of the shifts, each on its own.
    profile : ndarray of shape (2, n_layers)
        What each layer adds to the normalised L1 distance.
    null_names : tuple of str
        Names of the nulls, which say what chance alone, or a longer prompt alone, would shift: "split half" first, then
        those given.
    nulls : ndarray of shape (n_nulls, 2, 3)
        Shifts of the nulls. That of "split half" is the upper end of the shifts between two random halves of the pairs.
    excess_intervals : ndarray of shape (n_nulls, 2, 3, 2)
        Confidence intervals of shift minus null. For "split half" the null counts as fixed.
    above : ndarray of shape (2, 3), dtype bool
        Where the shift is above every null: all lower ends in `excess_intervals` are above zero. Where this is False,
        nothing can be claimed.
    kinds : tuple of str
        Names of the rows.
    measures : tuple of str
        Names of the columns.

    See Also
    --------
    CircuitShiftDisplay : Picture of the shifts with their nulls.

    Examples
    --------
    >>> from skicl.inspection import CircuitShift
    >>> CircuitShift._fields[:3]
    ('values', 'errors', 'intervals')
    """

    values: Any
    errors: Any
    intervals: Any
    profile: Any
    null_names: tuple
    nulls: Any
    excess_intervals: Any
    above: Any
    kinds: tuple = KINDS
    measures: tuple = MEASURES


def circuit_shift(
    base: ActivationPatching,
    other: ActivationPatching,
    *,
    nulls: Mapping[str, Any] | None = None,
    share: float = 0.8,
    size: int | None = None,
    n_bootstrap: int = 500,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> CircuitShift:
    """Compare the effects of heads and MLPs in two states of a network, against null controls.

    A state is a network with a prefix: the same network without and with demonstrations, or before and after
    fine-tuning. Effects of both states are measured by :func:`activation_patching` on the same pairs. A study of
    in-context learning and fine-tuning [1]_ reports a shift of circuits. Its formula is not known to us, so the
    definitions here are our own.

    Parameters
    ----------
    base : ActivationPatching
        Effects in the state to start from.
    other : ActivationPatching
        Effects in the other state, on the same pairs in the same order.
    nulls : mapping of {str: ActivationPatching or list of ActivationPatching} or None, default=None
        States that differ from `base` as `other` does, except for what is claimed to matter: demonstrations with
        shuffled labels or without the pattern, or fine-tuning on shuffled labels. Several results in a list are several
        draws, and each is a null of its own.
    share : float, default=0.8
        Circuits are the smallest sets of heads, and of MLPs, that reach this share of the sum of absolute effects.
    size : int or None, default=None
        Circuits are this number of the largest effects instead.
    n_bootstrap : int, default=500
        Number of bootstrap samples of the pairs, and of random splits into halves.
    confidence_level : float, default=0.95
        Confidence level of the intervals.
    random_state : int, RandomState instance or None, default=None
        Draws resamplings and splits.

    Returns
    -------
    shift : CircuitShift
        Shifts with their intervals, nulls, and where the shift is above all nulls.

    Raises
    ------
    TypeError
        If a state is not a result of activation patching.
    ValueError
        If states differ in shape or in the method of measurement, there are fewer than four pairs, or a parameter is
        out of range.

    See Also
    --------
    activation_patching : Makes the states.
    CircuitShiftDisplay : Picture of the result.

    Notes
    -----
    The Jaccard index is that of the sets, :math:`|A \\cap B| / |A \\cup B|`; the normalised distance is
    :math:`\\sum_c |e_c - e'_c| / \\sum_c (|e_c| + |e'_c|)`. All three are zero for equal effects. None of them is ever
    negative on average, so noise alone gives a positive shift: this is what the nulls are for.

    All states share the bootstrap samples, so the interval of a difference is narrower than those of its parts suggest.
    Intervals are values plus and minus a multiple of the standard error. Percentiles would not do: noise raises every
    shift, and would raise the resampled shifts a second time. Halves are noisier than the whole, which makes the
    split-half floor a strict one.

    References
    ----------
    .. [1] Yin et al. (2024), "Deeper insights without updates: the power of in-context learning over fine-tuning",
       Findings of EMNLP, arXiv 2410.04691.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import ActivationPatching, circuit_shift
    >>> def state(effects, seed):
    ...     terms = effects + 0.1 * np.random.default_rng(seed).normal(size=(20, 2, 2))
    ...     none, mlp_terms = np.zeros(2), np.zeros((20, 2))
    ...     return ActivationPatching(terms.mean(0), none, None, none, terms, mlp_terms, np.ones(20), 1, 1, "exact")
    >>> base, same = state(np.eye(2), 0), state(np.eye(2), 1)
    >>> moved = state(np.eye(2)[::-1], 2)
    >>> shift = circuit_shift(base, moved, nulls={"again": same}, random_state=0)
    >>> float(shift.values[0, 0])
    1.0
    >>> shift.above[0].tolist(), shift.null_names
    ([True, True, True], ('split half', 'again'))
    """
    named = _check_states(base, other, nulls)
    check_circuit(share, size)
    check_bootstrap(n_bootstrap, confidence_level, least=2)
    random_state = check_random_state(random_state)
    states = [base, other, *(state for _, state in named)]
    n_pairs = len(base.differences)
    exact = _shifts(states, np.full((1, n_pairs), 1 / n_pairs), share, size)[0]  # states - 1 x kinds x measures
    resampled = _shifts(states, resampling_weights(n_pairs, n_bootstrap, random_state), share, size)
    floor = np.quantile(_split_half(base, n_bootstrap, share, size, random_state), confidence_level, axis=0)
    excess = np.concatenate([exact[:1] - floor, exact[:1] - exact[1:]])
    spread = np.concatenate([resampled[:, :1], resampled[:, :1] - resampled[:, 1:]], axis=1).std(axis=0, ddof=1)
    z = norm.ppf((1 + confidence_level) / 2)
    excess_intervals = np.stack([excess - z * spread, excess + z * spread], axis=-1)
    lowest, highest = np.array([0, 0, 0]), np.array([1, 2, 1])
    ends = exact[0, ..., None] + z * spread[0, ..., None] * np.array([-1, 1])
    return CircuitShift(
        values=exact[0],
        errors=spread[0],
        intervals=np.clip(ends, lowest[:, None], highest[:, None]),
        profile=np.stack([_profile(getattr(base, kind), getattr(other, kind)) for kind in KINDS]),
        null_names=(SPLIT_HALF, *(name for name, _ in named)),
        nulls=np.concatenate([floor[None], exact[1:]]),
        excess_intervals=excess_intervals,
        above=(excess_intervals[..., 0] > 0).all(axis=0),
    )


def _shifts(states, weights, share, size):
    """Shifts from the first state to each other, B x (S - 1) x kinds x measures, for weights (B, n_pairs)."""
    step = max(_EFFECTS_AT_A_TIME // max(states[0].head_terms[0].size, 1), 1)
    blocks = []
    for start in range(0, len(weights), step):
        effects = [_resampled_effects(state, weights[start : start + step]) for state in states]
        blocks.append(np.stack([_measure(effects[0], other, share, size) for other in effects[1:]], axis=1))
    return np.concatenate(blocks)


def _resampled_effects(state, weights):
    """Effects of the heads and of the MLPs with weighted pairs (B, n_pairs): each of shape (B, n_components)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / (weights @ state.differences)[:, None]
        return tuple((weights @ terms.reshape(len(terms), -1)) * scale for terms in (state.head_terms, state.mlp_terms))


def _measure(effects, others, share, size):
    """All measures of both kinds: B x kinds x measures."""
    kinds = []
    for a, b in zip(effects, others):
        kinds.append(np.stack([_jaccard(a, b, share, size), _spearman(a, b), _l1(a, b)], axis=-1))
    return np.stack(kinds, axis=1)


def _jaccard(a, b, share, size):
    """1 minus the Jaccard index of the circuits of effects (B, n_components): (B,)."""
    a, b = largest_effects(a, share, size), largest_effects(b, share, size)
    union = (a | b).sum(axis=-1)
    return np.where(union == 0, 0.0, 1 - (a & b).sum(axis=-1) / np.maximum(union, 1))


def _spearman(a, b):
    """1 minus Spearman's correlation of effects (B, n_components): (B,)."""
    a, b = (rankdata(_rounded(values), axis=-1) for values in (a, b))
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    norms = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    # Where all effects of a state are equal there is no order to compare: equal states are no shift, others are one.
    flat = np.where((a == b).all(axis=-1), 0.0, 1.0)
    return np.where(norms > 0, 1 - (a * b).sum(axis=-1) / np.where(norms > 0, norms, 1), flat)


def _rounded(values):
    """Without the last digits, which would put equal effects into an order."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    return np.round(values / np.where(largest > 0, largest, 1), 10)


def _l1(a, b):
    """Normalised L1 distance of effects (B, n_components): (B,)."""
    total = (np.abs(a) + np.abs(b)).sum(axis=-1)
    return np.abs(a - b).sum(axis=-1) / np.where(total > 0, total, 1)


def _profile(a, b):
    """Share of each layer in the normalised distance; they sum to it."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    total = (np.abs(a) + np.abs(b)).sum()
    return np.abs(a - b).sum(axis=-1) / (total if total > 0 else 1)


def _split_half(base, n_splits, share, size, random_state):
    """Shifts of one random half of the pairs against the other: splits x kinds x measures."""
    n = len(base.differences)
    halves = np.zeros((n_splits, n))
    for row in halves:
        row[random_state.permutation(n)[: n // 2]] = 1
    return _measure(_resampled_effects(base, halves), _resampled_effects(base, 1 - halves), share, size)


def _check_states(base, other, nulls):
    """Pairs (name, state) of the nulls, one for each draw."""
    if nulls is not None and not isinstance(nulls, Mapping):
        raise TypeError(
            f"`nulls` must be a mapping from names to results of activation_patching, got {type(nulls).__name__}."
        )
    named = []
    for name, states in (nulls or {}).items():
        several = isinstance(states, list | tuple) and not isinstance(states, ActivationPatching)
        draws = list(states) if several else [states]
        if not draws:
            raise ValueError(f"`nulls`[{name!r}] is empty. Expected results of activation_patching.")
        named += [(f"{name} {i}" if len(draws) > 1 else str(name), state) for i, state in enumerate(draws, 1)]
    for name, state in [("`base`", base), ("`other`", other), *((f"`nulls`[{n!r}]", s) for n, s in named)]:
        if not isinstance(state, ActivationPatching):
            raise TypeError(f"{name} must be a result of activation_patching, got {type(state).__name__}.")
        if state.head_terms.shape != base.head_terms.shape or state.mlp_terms.shape != base.mlp_terms.shape:
            raise ValueError(
                f"{name} has {_sizes(state)}, and `base` {_sizes(base)}. Patch networks of one shape on the same pairs."
            )
        if state.method != base.method:
            raise ValueError(
                f"{name} was measured by method={state.method!r}, and `base` by {base.method!r}. Measure all states "
                "by one method."
            )
    if len(base.differences) < 4:
        raise ValueError(
            f"`base` has {len(base.differences)} pairs; noise cannot be estimated from fewer than 4, and even 50 "
            "are few. Pass more pairs to activation_patching."
        )
    return named


def _sizes(state):
    n_pairs, n_layers, n_heads = state.head_terms.shape
    return f"{n_pairs} pairs, {n_layers} layers and {n_heads} heads"
