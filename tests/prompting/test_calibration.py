import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss

from skicl import ICLClassifier
from skicl.prompting import AffineCalibration, BatchCalibration, ContextualCalibration, DomainCalibration
from skicl.prompting._calibration import CALIBRATIONS, BaseCalibration, mean_bias, resolve_calibration

ROWS = [("my parcel is late", "now"), ("where is it", "then"), ("wrong", "a b")]
BIAS = np.array([3.0, 0.0, -2.0])


def unbiased(n_rows=300, seed=0):
    """Scores whose mean probabilities are equal: every permutation of the classes occurs with them."""
    scores = np.random.RandomState(seed).randn(n_rows, 3) * 2
    return log_softmax(np.concatenate([np.roll(scores, shift, axis=1) for shift in range(3)]), axis=1)


def test_shifts_recover_the_argmax_of_an_unbiased_model():
    truth = unbiased()
    seen = log_softmax(truth + BIAS, axis=1)
    assert (seen.argmax(axis=1) != truth.argmax(axis=1)).mean() > 0.3, "the bias changes many predictions"
    without_content = log_softmax(np.tile(BIAS, (3, 1)), axis=1)
    for calibration in (ContextualCalibration(), DomainCalibration()):
        found = calibration.fit(without_content).transform(seen)
        np.testing.assert_array_equal(found.argmax(axis=1), truth.argmax(axis=1))
        np.testing.assert_allclose(found, truth, atol=1e-12)


def test_affine_recovers_the_argmax_from_labels():
    truth = unbiased()
    labels = np.array([np.random.RandomState(i).choice(3, p=np.exp(row)) for i, row in enumerate(truth)])
    seen = log_softmax(truth + BIAS, axis=1)
    found = AffineCalibration(C=10.0).fit(seen, labels).transform(seen)
    assert (found.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.95
    assert log_loss(labels, np.exp(found)) < log_loss(labels, np.exp(seen)) - 0.5


def test_batch_takes_off_the_mean():
    truth = unbiased()
    seen = log_softmax(truth + BIAS, axis=1)
    calibration = BatchCalibration(mean="arithmetic").fit(seen)
    np.testing.assert_allclose(np.exp(calibration.bias_), np.exp(seen).mean(axis=0))
    better = (calibration.transform(seen).argmax(axis=1) == truth.argmax(axis=1)).mean()
    assert better > (seen.argmax(axis=1) == truth.argmax(axis=1)).mean() + 0.2


@pytest.mark.parametrize("kind", [ContextualCalibration, DomainCalibration, BatchCalibration])
def test_a_bias_on_all_inputs_changes_nothing(kind):
    """Whatever the model is, a bias that is added to its log-probabilities of the labels is taken off exactly."""
    probes, queries = log_softmax(unbiased(7, seed=1) * [1, 2, 3], axis=1), unbiased(20)
    expected = kind().fit(probes).transform(queries)
    for bias in (BIAS, -5 * BIAS):
        seen = kind().fit(log_softmax(probes + bias, axis=1)).transform(log_softmax(queries + bias, axis=1))
        np.testing.assert_allclose(seen, expected, atol=1e-10)
        np.testing.assert_array_equal(seen.argmax(axis=1), expected.argmax(axis=1))


def test_transductive_depends_on_the_batch_and_the_other_does_not():
    seen = log_softmax(unbiased(4) + BIAS, axis=1)
    plain, transductive = (BatchCalibration(transductive=flag).fit(seen[:6]) for flag in (False, True))
    np.testing.assert_allclose(plain.transform(seen)[:2], plain.transform(seen[:2]))
    assert np.abs(transductive.transform(seen)[:2] - transductive.transform(seen[:2])).max() > 0.1
    np.testing.assert_allclose(transductive.transform(seen), BatchCalibration().fit(seen).transform(seen))


def test_affine_can_turn_a_boundary_round():
    scores = np.log([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]] * 5)
    labels = np.array([1, 1, 0, 0] * 5)
    calibration = AffineCalibration(C=10.0).fit(scores, labels)
    np.testing.assert_array_equal(calibration.transform(scores).argmax(axis=1), labels)
    assert (calibration.scale_ < 0).all()


def test_affine_regularises_towards_no_change():
    scores = unbiased(5)
    weak = AffineCalibration(C=1e-9).fit(scores, np.arange(len(scores)) % 3)
    np.testing.assert_allclose(weak.transform(scores), scores, atol=1e-6)


def test_probes():
    assert ContextualCalibration(["N/A", ""]).probes(ROWS) == [("N/A", "N/A"), ("", "")]
    assert BatchCalibration().probes(ROWS) is None
    assert AffineCalibration().probes(ROWS) is None
    probes = DomainCalibration(n_texts=7, random_state=3).probes(ROWS)
    assert len(probes) == 7
    assert probes == DomainCalibration(n_texts=7, random_state=3).probes(ROWS)
    for first, second in probes:
        assert len(first.split()) == 3, "as many words as a row has on average"
        assert set(first.split()) <= set("my parcel is late where it wrong".split())
        assert set(second.split()) <= {"now", "then", "a", "b"}
    assert DomainCalibration(n_texts=1).probes([("",)]) == [("",)]


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (ContextualCalibration("N/A"), "`inputs`"),
        (ContextualCalibration([]), "`inputs`"),
        (DomainCalibration(0), "`n_texts`"),
        (BatchCalibration(n_rows=-1), "`n_rows`"),
        (BatchCalibration(transductive="yes"), "`transductive`"),
        (ContextualCalibration(mean="median"), "`mean`"),
        (DomainCalibration(mean=None), "`mean`"),
        (BatchCalibration(mean=0), "`mean`"),
        (AffineCalibration(C=0), "`C`"),
        (AffineCalibration(n_rows=1.5), "`n_rows`"),
    ],
)
def test_bad_parameters(calibration, message):
    with pytest.raises(ValueError, match=message):
        calibration.probes(ROWS)


def test_resolution():
    assert resolve_calibration(None) is None
    for name, kind in CALIBRATIONS.items():
        assert type(resolve_calibration(name)) is kind
    own = BatchCalibration(3)
    assert resolve_calibration(own) is own
    with pytest.raises(ValueError, match="one of 'auto', 'contextual'"):
        resolve_calibration("temperature")
    with pytest.raises(TypeError, match="probes, fit and transform"):
        resolve_calibration(3)


@pytest.mark.parametrize("kind", CALIBRATIONS.values())
def test_not_fitted_and_clone(kind):
    with pytest.raises(NotFittedError):
        kind().transform([[0.0, 0.0]])
    assert clone(kind()).get_params() == kind().get_params()


def test_mean_bias():
    log_proba = np.log([[0.2, 0.8], [0.6, 0.4]])
    np.testing.assert_allclose(np.exp(mean_bias(log_proba, "arithmetic")), [0.4, 0.6])
    np.testing.assert_allclose(np.exp(mean_bias(log_proba, "geometric")), np.sqrt([0.12, 0.32]))


class _Declared(BaseEstimator):
    """A calibrator of the user, with what is declared and nothing else."""

    needs_rows, n_rows = True, 3

    def probes(self, rows):
        return None

    def fit(self, log_proba, y=None):
        self.shape_, self.y_ = np.shape(log_proba), y
        return self

    def transform(self, log_proba):
        return log_softmax(np.asarray(log_proba) + [5.0, 0.0], axis=1)


def test_a_calibrator_of_the_user_works_by_what_it_declares():
    calibrator = _Declared()
    classifier = ICLClassifier(
        "skicl-tiny", demonstrations=2, calibration=calibrator, readout="label_words", device="cpu"
    )
    texts, labels = ["late parcel", "wrong bill"] * 3, [0, 1] * 3
    assert resolve_calibration(calibrator) is calibrator
    assert (classifier.fit(texts, labels).predict(texts) == 0).all()
    fitted = classifier._learnt.questions[0][0]._calibrator
    assert fitted.shape_ == (3, 2)
    assert len(fitted.y_) == 3


@pytest.mark.parametrize("name", ["probes", "fit", "transform", "get_params", "needs_rows", "n_rows"])
def test_what_a_calibrator_lacks_is_named(name):
    has = {key: getattr(_Declared, key) for key in ("probes", "fit", "transform", "get_params", "needs_rows", "n_rows")}
    del has[name]
    with pytest.raises(TypeError, match=rf"`calibration` must be .*which has no {name}\."):
        resolve_calibration(type("Lacking", (), has)())
    with pytest.raises(TypeError, match="a class: pass an instance"):
        resolve_calibration(BatchCalibration)


def test_affine_calibration_needs_labels():
    with pytest.raises(ValueError, match="AffineCalibration needs `y`"):
        AffineCalibration().fit(unbiased(2))


def test_a_calibrator_must_say_all_that_it_is_asked():
    with pytest.raises(TypeError, match="abstract"):
        BaseCalibration()
    assert [kind.needs_rows for kind in CALIBRATIONS.values()] == [False, True, True, True]
