"""One sentence on which estimator to take, from how many labels, that claims nothing beyond noise.

Shapes: E estimators, K sizes of the context.
"""

from typing import NamedTuple

import numpy as np

from skicl.evaluation._paired import holm, paired, t_test, unit_of
from skicl.evaluation._scores import in_words, is_loss

_FEWEST_UNITS = 5  # fewer differences say next to nothing of their own spread
_MOST_NAMES = 4  # of a list in the sentence


def advise(cells, score, alpha):
    """The sentence; `alpha` is the largest chance that it holds a single false claim."""
    if len(cells.estimators) == 1:
        return f"There is nothing to choose from: {cells.estimators[0]} is the only estimator."
    cells = _without_empty_sizes(cells)
    units = unit_of(cells)
    n_units = max(len(pair.differences) for pair in paired(cells, score, list(range(len(cells.sizes)))))
    if not n_units:
        return f"Nothing can be compared: no two estimators have their {in_words(score)} on the same contexts."
    means = _means(cells, score)
    head = f"By {in_words(score)} on {n_units} {units if n_units != 1 else units[:-1]}"
    best = _best_of_means(cells.estimators, means)
    if n_units < _FEWEST_UNITS:
        return (
            f"{head}, {best}, but these are too few to tell estimators from noise: at least {_FEWEST_UNITS} are needed."
        )
    better, overall = beyond_noise(cells, score, alpha)
    if not better.any() and not overall.any():
        return f"{head}, no difference is beyond noise: {best}, and more {units} may tell more."
    findings = _Findings(cells.estimators, cells.sizes, means, better, overall)
    segments = _segments(means, better)
    if len(segments) == 1:
        return f"{head}, {_one_for_all(findings, segments[0][0])}."
    return f"{head}, take {', and '.join(_one_of_several(findings, *segment) for segment in segments)}."


def beyond_noise(cells, score, alpha):
    """Which is better than which beyond noise: at each size (E, E, K), and in the mean over the sizes (E, E).

    Paired t tests over the units: half of `alpha` goes to those of the mean over the sizes at which both ran, half to
    those at every size, each half corrected by Holm for the number of its tests. The rank test of `compare` would need
    more units: five give it no p value below 0.06.
    """
    all_sizes = list(range(len(cells.sizes)))
    at_size = _rejected(cells, score, [[size] for size in all_sizes], alpha / 2)
    return at_size, _rejected(cells, score, [all_sizes], alpha / 2)[..., 0]


def _rejected(cells, score, groups, alpha):
    """Which is better than which in the mean over each group of sizes, by one family of tests: (E, E, n_groups)."""
    claims, p_values = [], []
    for number, sizes in enumerate(groups):
        for pair in paired(cells, score, sizes):
            if len(pair.differences) >= _FEWEST_UNITS:
                winner, loser = (pair.first, pair.second) if pair.differences.mean() > 0 else (pair.second, pair.first)
                claims.append((winner, loser, number))
                p_values.append(t_test(pair.differences))
    better = np.zeros((len(cells.estimators), len(cells.estimators), len(groups)), dtype=bool)
    for claim, p in zip(claims, holm(p_values)):
        better[claim] = p < alpha
    return better


def _without_empty_sizes(cells):
    """Leave out sizes at which no estimator has all that the others have: there is none to take there."""
    full = np.flatnonzero(~np.isnan(cells.values).all(axis=(0, 1, 3)))
    return cells._replace(sizes=[cells.sizes[size] for size in full], values=cells.values[:, :, full])


def _means(cells, score):
    """Mean of each estimator at each size (E, K), larger is better; nan where it has none."""
    values = -cells.values if is_loss(score) else cells.values
    present = ~np.isnan(values)
    counts = present.sum(axis=(1, 3))
    return np.where(counts, np.where(present, values, 0).sum(axis=(1, 3)) / np.maximum(counts, 1), np.nan)


def _best_of_means(estimators, means):
    """Which has the best mean over the sizes, among those that have the most sizes, as part of a sentence."""
    present = ~np.isnan(means)
    candidates = np.flatnonzero(present.sum(axis=1) == present.sum(axis=1).max())
    common = present[candidates].all(axis=0)
    over_sizes = np.nanmean(means[candidates][:, common] if common.any() else means[candidates], axis=1)
    best = [estimators[e] for e in candidates[np.isclose(over_sizes, over_sizes.max(), rtol=1e-12, atol=0)]]
    return f"{best[0]} has the best mean" if len(best) == 1 else f"{_list_of(best)} share the best mean"


def _segments(means, better):
    """Ranges of sizes and the estimator to take there, (estimator, first, last): as few ranges as that needs.

    An estimator will do at a size if it ran there and none is better beyond noise. Each range goes as far as a single
    estimator will do; among those that go as far, the one of the best mean over the range is taken.
    """
    will_do = ~np.isnan(means) & ~better.any(axis=0)
    n_sizes, first, segments = means.shape[1], 0, []
    while first < n_sizes:
        ends = np.array([_end_of_run(row, first) for row in will_do])
        end = ends.max()
        over_range = np.where(ends == end, means[:, first:end].mean(axis=1), -np.inf)
        segments.append((int(np.argmax(over_range)), first, int(end) - 1))
        first = end
    return segments


def _end_of_run(row, first):
    """Position after the run of true entries of row (K,) that begins at `first`."""
    gaps = np.flatnonzero(~row[first:])
    return first + (gaps[0] if len(gaps) else len(row) - first)


class _Findings(NamedTuple):
    """All that the sentence is made of: means, and which is better than which beyond noise."""

    names: list
    sizes: list
    means: np.ndarray  # (E, K)
    better: np.ndarray  # (E, E, K), at a size
    overall: np.ndarray  # (E, E), in the mean over the sizes

    def rivals(self, estimator, positions):
        """The other estimators that ran at some of these positions of sizes, the best mean first."""
        ran = [e for e in range(len(self.names)) if e != estimator and not np.isnan(self.means[e, positions]).all()]
        return sorted(ran, key=lambda e: -np.nanmean(self.means[e, positions]))

    def leads(self, estimator, positions):
        """The positions of sizes at which others ran, and the estimator is ahead of all of them."""
        others_ran = ~np.isnan(self.means)
        others_ran[estimator] = False
        shared = [size for size in positions if others_ran[:, size].any()]
        return [size for size in shared if self.better[estimator, others_ran[:, size], size].all()]

    def labels(self, positions):
        """Positions of sizes in words: runs of neighbours as from and to."""
        words = []
        for run in np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1):
            first, last = self.sizes[run[0]], self.sizes[run[-1]]
            words.append(f"from {first} to {last}" if len(run) > 1 else f"at {first}")
        return f"{' and '.join(words)} labels"


def _one_for_all(findings, estimator):
    """What to say where one estimator will do at every size."""
    positions = range(len(findings.sizes))
    rivals = findings.rivals(estimator, positions)
    behind = [findings.names[e] for e in rivals if findings.overall[estimator, e]]
    ahead = [findings.names[e] for e in rivals if findings.overall[e, estimator]]
    even = [findings.names[e] for e in rivals if not findings.overall[[estimator, e], [e, estimator]].any()]
    clauses = []
    if behind:
        clauses.append(f"is ahead of {_list_of(behind) if even or ahead else 'every other'}")
    if even:
        clauses.append(f"cannot be told from {_list_of(even)}")
    if ahead:  # it lacks a size, or another is ahead of it at one
        clauses.append(f"is behind {_list_of(ahead)}, though at no single size")
    leads = findings.leads(estimator, positions)
    if leads and (even or ahead):
        clauses.append(f"is ahead of every other {findings.labels(leads)}")
    over = "over all sizes" if len(findings.sizes) > 1 else f"with {findings.sizes[0]} labels"
    if np.isnan(findings.means[rivals]).any():
        over = "over the sizes in common"
    return f"take {findings.names[estimator]}: {over} it {_joined(clauses)}"


def _one_of_several(findings, estimator, first, last):
    """What to say of one estimator where another is needed at other sizes."""
    positions = range(first, last + 1)
    clause = f"{findings.names[estimator]} {findings.labels(positions)}"
    rivals = findings.rivals(estimator, positions)
    if not rivals:
        return f"{clause} (no other ran there)"
    if len(findings.leads(estimator, positions)) == len(positions):
        return f"{clause} (ahead of every other)"
    even = [findings.names[e] for e in rivals if not findings.better[estimator, e, positions].any()]
    return f"{clause} (not to be told from {_list_of(even)})" if even else clause


def _list_of(names):
    """Names in words, the last of a long list as a number."""
    if len(names) > _MOST_NAMES:
        names = [*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} others"]
    return _joined(names)


def _joined(words):
    """Words as a list in a sentence: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
