"""Picture of what a classifier believes of each source of evidence."""

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

# What the sources are called in the picture, in the order in which they are drawn.
SOURCES = {
    "labels": "labels",
    "names": "class names",
    "prior": "other opinion",
    "unlabelled": "unlabelled rows",
    "standardized": "columns on one scale",
    "population": "class frequencies of unlabelled rows",
    "gaussians": "Gaussians beside the reasoner",
    "neighbours": "nearest labelled rows",
}


class EvidenceDisplay:
    """Bars of how far a classifier believes each source of evidence.

    Made by :meth:`from_estimator` and drawn by :meth:`plot`. The numbers are ``evidence_`` of a fitted
    :class:`~skicl.TartClassifier`, by how well the labelled rows predict each other: posterior probabilities of
    hypotheses about the evidence, and the shares that Gaussians and neighbours have beside the reasoner.

    Parameters
    ----------
    evidence : dict from str to float
        Belief in each source, from 0 to 1; other entries are not drawn.

    Attributes
    ----------
    bars_ : matplotlib BarContainer
        The bars.
    ax_ : matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    ContextInfluenceDisplay : Which rows moved one prediction.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skicl import TartClassifier
    >>> from skicl.inspection import EvidenceDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = TartClassifier(class_texts=X[[0, 50, 100]]).fit(X[::10], y[::10])
    >>> display = EvidenceDisplay.from_estimator(classifier)
    >>> list(display.evidence)
    ['labels', 'names', 'gaussians', 'sharpness']
    """

    def __init__(self, evidence: dict[str, float]) -> None:
        self.evidence = evidence

    @classmethod
    def from_estimator(cls, classifier: Any, *, ax: Any = None) -> Self:
        """Draw what a fitted classifier believes.

        Parameters
        ----------
        classifier : TartClassifier
            A classifier that was fitted on at least one row.
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        EvidenceDisplay

        Raises
        ------
        TypeError
            If ``classifier`` has no ``evidence_`` though it is fitted.
        """
        check_is_fitted(classifier)
        if not hasattr(classifier, "evidence_"):
            raise TypeError(
                f"`classifier` {type(classifier).__name__} has no `evidence_`. Pass a TartClassifier that was "
                "fitted on at least one row; of a pipeline, pass its last step."
            )
        return cls(dict(classifier.evidence_)).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw a bar for each source.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        EvidenceDisplay
            This object, with `ax_`, `figure_` and `bars_` set.
        """
        import matplotlib.pyplot as plt

        sources = [source for source in SOURCES if source in self.evidence]
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 0.9 + 0.35 * len(sources)), layout="constrained")
        places = np.arange(len(sources))
        self.bars_ = ax.barh(places, [self.evidence[source] for source in sources], color="C0")
        ax.bar_label(self.bars_, fmt="%.2f", padding=3)
        ax.set_yticks(places, [SOURCES[source] for source in sources])
        ax.invert_yaxis()
        ax.set_xlim(0, 1.12)
        ax.set_xticks([0, 0.5, 1])
        ax.set_xlabel("belief or share")
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self
