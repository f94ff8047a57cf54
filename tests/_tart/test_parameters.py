"""Parameters are refused before any work; a reasoner is found in the precision of the rows."""

import numpy as np
import pytest
import torch

from skicl import TartClassifier
from skicl._tart._parameters import check_parameters, find_reasoner
from skicl.reasoning import CausalReasoner, load_reasoner


class Unreadable:
    """Rows that nobody may look at."""

    def __getattribute__(self, name):
        raise AssertionError("the rows were looked at")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, got 0"),
        ({"batch_size": True}, ValueError, "`batch_size` must be an integer"),
        ({"standardize": "Auto"}, ValueError, r"`standardize` must be 'auto', True or False, .* mean 'auto'\?"),
        ({"standardize": 1}, ValueError, "`standardize` must be"),
        ({"class_weight": "balance"}, ValueError, r"`class_weight` must be .* Did you mean 'balanced'\?"),
        ({"encoder": 3}, TypeError, "`encoder` must be"),
        ({"reasoner": 3}, TypeError, "`reasoner` must be"),
        ({"reasoner": "tart-papr"}, FileNotFoundError, "Did you mean 'tart-paper'"),
        ({"prior": 3}, TypeError, "`prior` must be"),
        ({"class_texts": "label"}, ValueError, r"`class_texts` must be .* Did you mean 'labels'\?"),
        ({"device": "gpu"}, ValueError, "`device`"),
        (
            {"reasoner": "tart-paper", "class_texts": "labels"},
            ValueError,
            "`class_texts` must be None with the reasoner",
        ),
        ({"reasoner": "tart-paper", "prior": lambda X: X}, ValueError, "`prior` must be None with the reasoner"),
    ],
)
def test_bad_parameters_are_refused_before_the_rows_are_looked_at(parameters, error, message):
    classifier = TartClassifier(**parameters)
    with pytest.raises(error, match=message):
        check_parameters(classifier)
    before = dict(vars(classifier))
    for method in (classifier.fit, classifier.partial_fit):
        with pytest.raises(error, match=message):
            method(Unreadable(), ["a", "b"])
    assert vars(classifier) == before


def test_a_reasoner_has_the_precision_of_the_rows_and_is_shared():
    single, digest = find_reasoner(None, "cpu", np.float32)
    double, again = find_reasoner(None, "cpu", np.float64)
    assert digest == again
    assert {next(network.parameters()).dtype for network in (single, double)} == {torch.float32, torch.float64}
    assert find_reasoner(None, "cpu", np.float64)[0] is double


def test_a_live_reasoner_is_used_as_it_is():
    for network in (load_reasoner(), CausalReasoner()):
        assert find_reasoner(network, None, np.float64) == (network, "live")
