"""What an implicit-pattern study returns: its records, means with bootstrap intervals, and the points of its curves."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

from skicl._resampling import check_bootstrap, interval, resampled_shares
from skicl.evaluation._comparison import as_frame

if TYPE_CHECKING:
    import pandas

MEASURES = ("accuracy_pattern", "accuracy_conflict", "accuracy_neutral", "shortcut_rate")
LOSSES = ("train_log_loss", "validation_log_loss")


class ImplicitPatternStudy:
    """Records of :func:`implicit_pattern_study`, one for every estimator and repeat, and those of its curves.

    A record is a dict of `dataset` (the task), `task` (a fingerprint of the problems), `estimator`, `k` (`n_train`),
    `repeat`, `setting` (the parameters chosen on validation problems), `curve` and `value` (the parameter of a curve
    and its value; empty and NaN otherwise), `n_classes`, `n_queries` (test problems of each variant),
    `validation_accuracy`, `validation_log_loss`, `train_log_loss` (of curves only), `accuracy_pattern`,
    `accuracy_conflict`, `accuracy_neutral`, `shortcut_rate` (share of the "conflict" problems that were given the
    shortcut's answer), `fit_seconds` and `predict_seconds`. Studies of several tasks are joined by ``+``. Iteration is
    over `records` and leaves out `curves`.

    Parameters
    ----------
    records : sequence of dict
        The records.

    Attributes
    ----------
    records : list of dict
        One for every estimator and repeat.
    curves : list of dict
        The points of the curves.

    See Also
    --------
    implicit_pattern_study : Makes them.

    Examples
    --------
    >>> from skicl.evaluation import ImplicitPatternStudy
    >>> record = {"dataset": "parity", "k": 200, "estimator": "lr", "repeat": 0, "curve": "", "n_queries": 100}
    >>> scores = {"accuracy_pattern": 0.9, "accuracy_conflict": 0.2, "accuracy_neutral": 0.5, "shortcut_rate": 0.8}
    >>> study = ImplicitPatternStudy([record | scores])
    >>> study
    ImplicitPatternStudy: 1 record of lr on parity, 1 repeat
    >>> for row in study.summary():
    ...     print(f"{row['measure']:18} {row['mean']:.1f}  ({row['low']:.2f} to {row['high']:.2f})")
    accuracy_pattern   0.9  (0.84 to 0.95)
    accuracy_conflict  0.2  (0.12 to 0.28)
    accuracy_neutral   0.5  (0.41 to 0.60)
    shortcut_rate      0.8  (0.72 to 0.88)
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        records = list(records)
        self.records = [record for record in records if not record["curve"]]
        self.curves = [record for record in records if record["curve"]]

    def frame(self) -> "pandas.DataFrame":
        """All records, those of the curves last, as a tidy frame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed; ``records`` needs nothing.
        """
        return as_frame([*self.records, *self.curves])

    def summary(
        self,
        *,
        confidence_level: float = 0.95,
        n_bootstrap: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
    ) -> list[dict[str, Any]]:
        """Means over repeats, with bootstrap intervals.

        The bootstrap draws repeats, and test problems within each. All estimators meet the same problems, so distances
        between them are known somewhat better than these intervals say. An estimator that is right, or wrong, on all of
        n problems gets an interval of no width; read it as ending about 3 / n away.

        Parameters
        ----------
        confidence_level : float, default=0.95
            Confidence level of the intervals, between 0 and 1.
        n_bootstrap : int, default=1000
            Number of bootstrap samples.
        random_state : int, RandomState instance or None, default=0
            Seed of the bootstrap.

        Returns
        -------
        list of dict
            For every task, `k`, estimator and measure: `dataset`, `k`, `estimator`, `measure`, `mean`, `low`, `high`
            and `n_repeats`.

        Raises
        ------
        ValueError
            If a parameter is not valid.
        """
        place = ("dataset", "k", "estimator")
        return _summarised(self.records, place, MEASURES, confidence_level, n_bootstrap, random_state)

    def curve_summary(
        self,
        *,
        confidence_level: float = 0.95,
        n_bootstrap: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
    ) -> list[dict[str, Any]]:
        """Points of the curves: means over repeats, with bootstrap intervals.

        Parameters
        ----------
        confidence_level : float, default=0.95
            Confidence level of the intervals, between 0 and 1.
        n_bootstrap : int, default=1000
            Number of bootstrap samples.
        random_state : int, RandomState instance or None, default=0
            Seed of the bootstrap.

        Returns
        -------
        list of dict
            As from :meth:`summary`, with `curve`, `value` and the measures `train_log_loss` and `validation_log_loss`,
            whose intervals are over repeats only and have no width for a single one.

        Raises
        ------
        ValueError
            If a parameter is not valid.
        """
        place = ("dataset", "k", "estimator", "curve", "value")
        return _summarised(self.curves, place, (*MEASURES, *LOSSES), confidence_level, n_bootstrap, random_state)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.records)

    def __add__(self, other: "ImplicitPatternStudy") -> "ImplicitPatternStudy":
        return ImplicitPatternStudy([*self.records, *other.records, *self.curves, *other.curves])

    def __repr__(self) -> str:
        names = {name: list(dict.fromkeys(record[name] for record in self)) for name in ("estimator", "dataset")}
        n_repeats = len({record["repeat"] for record in self})
        points = f", {len(self.curves)} points of curves" if self.curves else ""
        return (
            f"ImplicitPatternStudy: {len(self)} record{'s' * (len(self) != 1)} of "
            f"{', '.join(map(str, names['estimator']))} on {', '.join(names['dataset'])}, {n_repeats} "
            f"repeat{'s' * (n_repeats != 1)}{points}"
        )


def _summarised(records, place, measures, confidence_level, n_bootstrap, random_state):
    """Rows for every measure and every combination of the fields `place`."""
    check_bootstrap(n_bootstrap, confidence_level)
    random = check_random_state(random_state)
    groups = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in place), []).append(record)
    rows = []
    for key, group in groups.items():
        n_items = np.array([record["n_queries"] for record in group])
        for measure in measures:
            values = np.array([record[measure] for record in group], dtype=float)
            samples = resampled_shares(values, n_items if measure in MEASURES else None, n_bootstrap, random)
            low, high = interval(samples, confidence_level)
            numbers = {"mean": float(values.mean()), "low": float(low), "high": float(high), "n_repeats": len(group)}
            rows.append(dict(zip(place, key)) | {"measure": measure} | numbers)
    return rows
