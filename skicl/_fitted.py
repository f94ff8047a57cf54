"""What an estimator has learnt, as one value that is exchanged in one step.

An interrupt, an error and another thread therefore meet the state before a fit or the one after it, never a mixture.
"""

from dataclasses import dataclass, fields

from sklearn.base import BaseEstimator


@dataclass(frozen=True, eq=False)
class FittedState:
    """All that a fitted estimator knows; it never changes, so whoever reads takes it once and uses nothing else.

    What can be made again from it, such as a compiled context, is made where it is first asked for, and pickles leave
    it out.
    """

    def made(self, make):
        """``make(self)``, kept. Threads that ask at the same time may do the same work; all get the same result."""
        known = vars(self).get("_made")
        return known if known is not None else vars(self).setdefault("_made", make(self))

    def __reduce__(self):
        return type(self), tuple(getattr(self, field.name) for field in fields(self))


def update_at_once(estimator, learnt):
    """Set attributes of an estimator, a dict, in one step; its other attributes stay."""
    estimator.__dict__ = vars(estimator) | learnt


def exchange_fitted(estimator, learnt):
    """Replace all that an estimator has learnt (names that end in "_", and those given) by ``learnt``, a dict."""
    kept = {name: value for name, value in vars(estimator).items() if name.startswith("_") or not name.endswith("_")}
    estimator.__dict__ = kept | learnt


def check_loaded(estimator, state):
    """Refuse the state of a fitted estimator that was pickled before it was one value."""
    if "classes_" in state and not isinstance(state.get("_learnt"), FittedState):
        raise earlier_form(type(estimator).__name__)


def earlier_form(name):
    """The error for a pickle of an estimator of this class that stores what it had learnt in another form."""
    return ValueError(
        f"This pickle of a {name} was written by an earlier development version of skicl, which "
        f"stored what it had learnt in another form. Fit the {name} again."
    )


def blank(estimator):
    """An estimator of the same class without parameters, for scikit-learn to write names and numbers of columns to."""
    return BaseEstimator.__new__(type(estimator))
