import pytest
import torch
from sklearn.base import clone

from skicl import ICLClassifier
from skicl.prompting import ModelSettings
from skicl.prompting._model_settings import resolve_settings


def test_none_means_the_defaults():
    assert resolve_settings(None).get_params() == ModelSettings().get_params()


def test_settings_are_parameters_of_the_classifier():
    classifier = ICLClassifier("skicl-tiny", model_settings=ModelSettings(window=100))
    assert clone(classifier).set_params(model_settings__window=50).model_settings.window == 50
    assert classifier.model_settings.window == 100


@pytest.mark.parametrize("dtype", [None, "bfloat16", torch.float32])
def test_number_formats(dtype):
    assert resolve_settings(ModelSettings(dtype=dtype)).dtype is dtype


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"window": 3}, TypeError, "`model_settings` must be None or a ModelSettings"),
        ("bfloat16", TypeError, "`model_settings` must be None or a ModelSettings"),
        (ModelSettings(window=0), ValueError, "`window`"),
        (ModelSettings(window=2.5), ValueError, "`window`"),
        (ModelSettings(batch_size=0), ValueError, "`batch_size`"),
        (ModelSettings(dtype="float8"), ValueError, "`dtype`"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        resolve_settings(settings)


def test_the_number_format_is_that_of_the_network():
    classifier = ICLClassifier("skicl-tiny", device="cpu", model_settings=ModelSettings(dtype="bfloat16"))
    assert classifier._load().model.whole.dtype == torch.bfloat16
