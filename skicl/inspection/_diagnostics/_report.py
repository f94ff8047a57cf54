"""The report of the diagnostics: measures with their intervals and noise floors, and what could not be measured."""

from typing import TYPE_CHECKING, Any, NamedTuple

from skicl._validation._environment import import_optional

if TYPE_CHECKING:
    import pandas as pd

# What counts as above the noise floor: more than rounding.
ROUNDING = 1e-9


class Measure(NamedTuple):
    """One number about an estimator, with its interval and its noise floor."""

    name: str
    value: float
    low: float
    high: float
    # What the number would not exceed, with the same confidence, if there were nothing to measure.
    noise_floor: float

    @property
    def clear(self) -> bool:
        """Whether the whole interval lies above the noise floor."""
        return self.low > self.noise_floor + ROUNDING


class ICLDiagnostics:
    """What :func:`icl_diagnostics` found out about an estimator.

    Printing it shows a table.

    Parameters
    ----------
    estimator_name : str
        Name of the class of the estimator.
    measures : list of Measure
        The numbers: named tuples of `name`, `value`, `low`, `high` and `noise_floor`. Their property `clear` says
        whether the whole interval lies above the noise floor.
    notes : list of str
        Findings in words, and what was not measured and why.
    n_context : int
        Number of labelled rows in a context.
    n_queries : int
        Number of queries.
    n_classes : int
        Number of classes.
    confidence_level : float
        Confidence of the intervals and of the noise floors.

    See Also
    --------
    icl_diagnostics : Makes reports.
    ICLDiagnosticsDisplay : Draws them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skicl import TartClassifier
    >>> from skicl.inspection import icl_diagnostics
    >>> X, y = load_iris(return_X_y=True)
    >>> report = icl_diagnostics(TartClassifier(), X, y, n_context=30, n_repeats=3, random_state=0)
    >>> report["order: divergence"].value
    0.0
    """

    def __init__(
        self,
        estimator_name: str,
        measures: list[Measure],
        notes: list[str],
        *,
        n_context: int,
        n_queries: int,
        n_classes: int,
        confidence_level: float,
    ) -> None:
        self.estimator_name = estimator_name
        self.measures = measures
        self.notes = notes
        self.n_context = n_context
        self.n_queries = n_queries
        self.n_classes = n_classes
        self.confidence_level = confidence_level

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Reports that were pickled before call it `confidence`.
        vars(self).update({"confidence_level" if name == "confidence" else name: state[name] for name in state})

    def __getitem__(self, name: str) -> Measure:
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(f"{name!r} was not measured; there are {[measure.name for measure in self.measures]}.")

    def to_frame(self) -> "pd.DataFrame":
        """The measures as a table.

        Returns
        -------
        frame : DataFrame of shape (n_measures, 5)
            The columns "name", "value", "low", "high" and "noise_floor". Needs pandas.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", needed="for `to_frame`", instead="Or read `measures`.")
        return pandas.DataFrame(self.measures, columns=Measure._fields)

    def __str__(self) -> str:
        width = max(len(measure.name) for measure in self.measures)
        lines = [
            f"{self.estimator_name}: {self.n_context} labelled rows, {self.n_queries} queries, "
            f"{self.n_classes} classes",
            f"{'':{width}}   value   {self.confidence_level:.0%} interval   noise floor",
        ]
        for name, value, low, high, floor in self.measures:
            lines.append(f"{name:{width}}  {value:6.3f}  {low:6.3f} to {high:6.3f}  {floor:12.3f}")
        return "\n".join(lines + [f"- {note}" for note in self.notes])

    def __repr__(self) -> str:
        return str(self)
