"""What a few-shot experiment returns: its records, as a list, as a frame, and in one sentence."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skicl.evaluation._compare import compare
from skicl.evaluation._comparison import as_frame

if TYPE_CHECKING:
    import pandas


class FewShotCurve:
    """Records of :func:`few_shot_curve`, one for every estimator, size of the context and repeat.

    A record is a dict of `dataset`, `task` (a fingerprint of data, queries and seed), `estimator`, `k`, `repeat`,
    `n_classes`, `n_queries`, the scores by name, and `fit_seconds` and `predict_seconds` of wall-clock time for the
    whole context and all queries. Curves of several data sets are joined by ``+``; iteration is over the records.

    Parameters
    ----------
    records : sequence of dict
        The records.

    See Also
    --------
    few_shot_curve : Makes them.
    mean_scores : Means over data sets and repeats.

    Examples
    --------
    >>> from skicl.evaluation import FewShotCurve
    >>> record = {"dataset": "a", "estimator": "lr", "k": 8, "repeat": 0, "accuracy": 0.5}
    >>> curve = FewShotCurve([record]) + FewShotCurve([record | {"dataset": "b"}])
    >>> curve
    FewShotCurve: 2 records of lr on 2 data sets, k = 8, 1 repeat
    >>> curve.frame()["dataset"].tolist()
    ['a', 'b']
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self.records = list(records)

    def frame(self) -> "pandas.DataFrame":
        """All records as a tidy frame, one row each.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed; ``records`` needs nothing.
        """
        return as_frame(self.records)

    def advice(self, score: str = "accuracy") -> str:
        """One sentence on which estimator to take, from how many labels.

        Parameters
        ----------
        score : str, default="accuracy"
            Field to compare by.

        Returns
        -------
        str
            The advice of :func:`compare`, which also returns the numbers.
        """
        return compare(self, score=score).advice

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.records)

    def __add__(self, other: Iterable[Mapping[str, Any]]) -> "FewShotCurve":
        return FewShotCurve([*self, *other])

    def __repr__(self) -> str:
        keys = {name: list(dict.fromkeys(record[name] for record in self)) for name in ("estimator", "dataset", "k")}
        n_repeats = len({record["repeat"] for record in self})
        n_sets = f" on {len(keys['dataset'])} data sets" if len(keys["dataset"]) > 1 else ""
        sizes = ", ".join(str(k) for k in sorted(keys["k"]))
        return (
            f"FewShotCurve: {len(self)} record{'s' * (len(self) != 1)} of {', '.join(map(str, keys['estimator']))}"
            f"{n_sets}, k = {sizes}, {n_repeats} repeat{'s' * (n_repeats != 1)}"
        )
