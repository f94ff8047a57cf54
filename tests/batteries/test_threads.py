"""Laws of threads, for every estimator."""

from batteries.estimators import each_subject


@each_subject("threads")
def test_it_can_be_fitted(subject):
    fitted = subject.make()
    assert fitted.fit(subject.rows.X, subject.rows.y) is fitted
