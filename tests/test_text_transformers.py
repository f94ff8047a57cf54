"""The battery of text_battery.py, applied to every text transformer of the project."""

from pathlib import Path

import pytest
from sklearn.utils.estimator_checks import check_estimator
from text_battery import TRANSFORMER_CHECKS, name_of

from skicl import SentenceEncoder
from skicl.encoders import EmbeddingCache

TRANSFORMERS = {
    "sentence": lambda folder: SentenceEncoder(folder, device="cpu"),
    "sentence with options": lambda folder: SentenceEncoder(
        folder, device="cpu", prompt="topic: ", truncate_dim=8, normalize=True, batch_size=5, max_length=64
    ),
    "sentence with layers": lambda folder: SentenceEncoder(folder, device="cpu", layers=[0, -1], truncate_dim=8),
    "sentence with a cache in memory": lambda folder: SentenceEncoder(folder, device="cpu", cache=EmbeddingCache()),
    "sentence with a cache in a folder": lambda folder: SentenceEncoder(
        folder, device="cpu", cache=Path(folder).parent / "cache"
    ),
}


@pytest.mark.parametrize("transformer", TRANSFORMERS)
@pytest.mark.parametrize("check", TRANSFORMER_CHECKS, ids=name_of)
def test_battery(check, transformer, tiny_folder):
    check(TRANSFORMERS[transformer](tiny_folder))


@pytest.mark.parametrize("transformer", TRANSFORMERS)
@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_checks_of_scikit_learn(transformer, tiny_folder):
    check_estimator(TRANSFORMERS[transformer](tiny_folder))
