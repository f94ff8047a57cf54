"""One sentence on which estimator to take, from how many labels, that claims nothing beyond noise."""

import numpy as np

from skicl.evaluation._paired import holm, paired, t_test, unit_of
from skicl.evaluation._scores import in_words, is_loss

_FEWEST_UNITS = 5  # fewer differences say next to nothing of their own spread


def advise(cells, score, alpha):
    """The sentence.

    Parameters
    ----------
    cells : Cells
        The scores.
    score : str
        Their name.
    alpha : float
        Largest chance of a single false claim in the sentence.

    Returns
    -------
    str
    """
    if len(cells.estimators) == 1:
        return f"There is nothing to choose from: {cells.estimators[0]} is the only estimator."
    cells = _without_empty_sizes(cells)
    units = unit_of(cells)
    n_units = max(len(pair.differences) for pair in paired(cells, score, list(range(len(cells.sizes)))))
    if not n_units:
        return f"Nothing can be compared: no two estimators have their {in_words(score)} on the same contexts."
    means = _means(cells, score)
    head = f"By {in_words(score)} on {n_units} {units if n_units != 1 else units[:-1]}"
    best = _best_of_means(cells, means)
    if n_units < _FEWEST_UNITS:
        return (
            f"{head}, {best}, but these are too few to tell estimators from noise: at least {_FEWEST_UNITS} are needed."
        )
    better, overall = beyond_noise(cells, score, alpha)
    if not better.any() and not overall.any():
        return f"{head}, no difference is beyond noise: {best}, and more {units} may tell more."
    segments = _segments(means, better)
    if len(segments) == 1:
        return f"{head}, {_one_for_all(cells, means, better, overall, segments[0][0])}."
    clauses = [_one_of_several(cells, means, better, *segment) for segment in segments]
    return f"{head}, take {', and '.join(clauses)}."


def beyond_noise(cells, score, alpha):
    """Which estimator is better than which, so that chance makes none of it up.

    Paired t tests over the units, at half of the level for the mean over the sizes, at the other half for every size,
    each half corrected by Holm for the number of its tests. The rank test of :func:`compare` would need more units:
    five give it no p value below 0.06.

    Parameters
    ----------
    cells : Cells
        The scores.
    score : str
        Their name.
    alpha : float
        Largest chance of a single false claim.

    Returns
    -------
    at_size : ndarray of bool of shape (n_estimators, n_estimators, n_sizes)
        Whether the first is better than the second.
    overall : ndarray of bool of shape (n_estimators, n_estimators)
        The same for the mean over the sizes at which both ran.
    """
    every = list(range(len(cells.sizes)))
    at_size = _rejected(cells, score, [[size] for size in every], alpha / 2)
    return at_size, _rejected(cells, score, [every], alpha / 2)[..., 0]


def _rejected(cells, score, groups, alpha):
    """Which is better than which in the mean over each group of sizes, by one family of tests: (E, E, n_groups)."""
    claims, p_values = [], []
    for place, sizes in enumerate(groups):
        for pair in paired(cells, score, sizes):
            if len(pair.differences) >= _FEWEST_UNITS:
                winner, loser = (pair.first, pair.second) if pair.differences.mean() > 0 else (pair.second, pair.first)
                claims.append((winner, loser, place))
                p_values.append(t_test(pair.differences))
    better = np.zeros((len(cells.estimators), len(cells.estimators), len(groups)), dtype=bool)
    for claim, p in zip(claims, holm(p_values)):
        better[claim] = p < alpha
    return better


def _without_empty_sizes(cells):
    """Sizes at which no estimator has all that the others have say nothing, and would leave nobody to take there."""
    full = np.flatnonzero(~np.isnan(cells.values).all(axis=(0, 1, 3)))
    return cells._replace(sizes=[cells.sizes[size] for size in full], values=cells.values[:, :, full])


def _means(cells, score):
    """Mean of each estimator at each size (E, K), larger is better; nan where it has none."""
    values = -cells.values if is_loss(score) else cells.values
    there = ~np.isnan(values)
    counts = there.sum(axis=(1, 3))
    return np.where(counts, np.where(there, values, 0).sum(axis=(1, 3)) / np.maximum(counts, 1), np.nan)


def _best_of_means(cells, means):
    """Who has the best mean over the sizes, among the estimators that have the most of them, as part of a sentence."""
    there = ~np.isnan(means)
    most = np.flatnonzero(there.sum(axis=1) == there.sum(axis=1).max())
    common = there[most].all(axis=0)
    over_sizes = np.nanmean(means[most][:, common] if common.any() else means[most], axis=1)
    best = [cells.estimators[e] for e in most[np.isclose(over_sizes, over_sizes.max(), rtol=1e-12, atol=0)]]
    return f"{best[0]} has the best mean" if len(best) == 1 else f"{_list_of(best)} share the best mean"


def _segments(means, better):
    """Ranges of sizes (first, last) and the estimator to take there: as few ranges as that needs.

    An estimator will do at a size if it ran there and none is better beyond noise. Each range goes as far as a single
    estimator will do; among those that go as far, the one of the best mean over the range.
    """
    will_do = ~np.isnan(means) & ~better.any(axis=0)
    n_sizes, first, segments = means.shape[1], 0, []
    while first < n_sizes:
        reach = [_reach(row, first) for row in will_do]
        last = max(reach) - 1
        over_range = [means[e, first : last + 1].mean() if end == last + 1 else -np.inf for e, end in enumerate(reach)]
        segments.append((int(np.argmax(over_range)), first, last))
        first = last + 1
    return segments


def _reach(row, first):
    """Position after the last of the sizes that follow `first` without a gap."""
    gaps = np.flatnonzero(~row[first:])
    return first + (gaps[0] if len(gaps) else len(row) - first)


def _one_for_all(cells, means, better, overall, estimator):
    """What to say where one estimator will do at every size."""
    rivals = _others(cells, means, estimator, range(len(cells.sizes)))
    behind = [cells.estimators[e] for e in rivals if overall[estimator, e]]
    ahead = [cells.estimators[e] for e in rivals if overall[e, estimator]]
    even = [cells.estimators[e] for e in rivals if not overall[estimator, e] and not overall[e, estimator]]
    clauses = []
    if behind:
        clauses.append(f"is ahead of {_list_of(behind) if even or ahead else 'every other'}")
    if even:
        clauses.append(f"cannot be told from {_list_of(even)}")
    if ahead:  # it lacks a size, or another is ahead of it at one
        clauses.append(f"is behind {_list_of(ahead)}, though at no single size")
    leads = _leads(cells, means, better, estimator, range(len(cells.sizes)))
    if leads and (even or ahead):
        clauses.append(f"is ahead of every other {_range_of(leads, cells.sizes)}")
    over = "over all sizes" if len(cells.sizes) > 1 else f"with {cells.sizes[0]} labels"
    if np.isnan(means[rivals]).any():
        over = "over the sizes in common"
    return f"take {cells.estimators[estimator]}: {over} it {_joined(clauses)}"


def _one_of_several(cells, means, better, estimator, first, last):
    """What to say of one estimator where another is needed at other sizes."""
    sizes = range(first, last + 1)
    clause = f"{cells.estimators[estimator]} {_range_of([cells.sizes[size] for size in sizes], cells.sizes)}"
    rivals = _others(cells, means, estimator, sizes)
    if not rivals:
        return f"{clause} (no other ran there)"
    leads = _leads(cells, means, better, estimator, sizes)
    if len(leads) == len(sizes):
        return f"{clause} (ahead of every other)"
    even = [cells.estimators[e] for e in rivals if not better[estimator, e, sizes].any()]
    return f"{clause} (not to be told from {_list_of(even)})" if even else clause


def _others(cells, means, estimator, sizes):
    """The other estimators that ran at some of the sizes, the best mean first."""
    there = [e for e in range(len(cells.estimators)) if e != estimator and not np.isnan(means[e, sizes]).all()]
    return sorted(there, key=lambda e: -np.nanmean(means[e, sizes]))


def _leads(cells, means, better, estimator, sizes):
    """The sizes at which others ran, and an estimator is ahead of all of them."""
    there = ~np.isnan(means)
    there[estimator] = False
    shared = [size for size in sizes if there[:, size].any()]
    return [cells.sizes[size] for size in shared if better[estimator, there[:, size], size].all()]


def _range_of(some, sizes):
    """Sizes in words: runs of neighbours as from and to."""
    runs = []
    for place in (sizes.index(size) for size in some):
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    words = [f"from {sizes[run[0]]} to {sizes[run[-1]]}" if len(run) > 1 else f"at {sizes[run[0]]}" for run in runs]
    return f"{' and '.join(words)} labels"


def _list_of(names, longest=4):
    shown = names if len(names) <= longest else [*names[: longest - 1], f"{len(names) - longest + 1} others"]
    return _joined(shown)


def _joined(words):
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
