"""Rows of any kind are told apart by their content and encoded once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skicl.evaluation._rows import EncodedRows, describe_encoder, fingerprint

IMAGES = [np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((4, 4), dtype=np.uint8)]
COLLECTIONS = {
    "texts": (["ab", "c"], ["a", "bc"]),
    "numbers": (np.eye(2), np.eye(2) + 1e-12),
    "types": (np.eye(2), np.eye(2, dtype=np.float32)),
    "sparse": (csr_matrix(np.eye(3)), csr_matrix(np.eye(3)[::-1])),
    "images": (IMAGES, [IMAGES[0] + 1, IMAGES[1]]),
    "shapes": ([IMAGES[0]], [IMAGES[0].reshape(3, 2)]),
    "dicts": ([{"array": 1}, {"array": 2}], [{"array": 1}, {"array": 3}]),
    "mixed frame": (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pd.DataFrame({"a": [1, 2], "b": ["x", "z"]})),
}


@pytest.mark.parametrize(("one", "other"), COLLECTIONS.values(), ids=COLLECTIONS)
def test_fingerprints_are_equal_for_equal_content_alone(one, other):
    again = one.copy()
    assert fingerprint(one) == fingerprint(again)
    assert fingerprint(one) != fingerprint(other)


def test_a_fingerprint_is_the_same_on_every_machine():
    assert fingerprint(np.eye(2), ["a", "b"]) == "5208859d6d81623b"


def test_recordings_in_dicts_are_told_apart_by_every_sample():
    rows = [{"array": np.zeros(5000), "sampling_rate": 8000} for _ in range(2)]
    changed = [dict(rows[0]), {"array": np.zeros(5000), "sampling_rate": 8000}]
    changed[1]["array"][2500] = 1
    assert fingerprint(rows) != fingerprint(changed)


def test_vectors_of_both_parts_come_from_one_encoder():
    encoded = EncodedRows(StandardScaler(), np.array([[0.0], [2.0]]), np.array([[4.0]]))
    train, test = encoded.parts()
    np.testing.assert_array_equal(train, [[-1], [1]])
    np.testing.assert_array_equal(test, [[3]])
    assert encoded.parts()[0] is train
    X = ["red blue", "blue green"]
    train, test = EncodedRows(TfidfVectorizer(), X, X).parts()
    assert test is train


def test_an_encoder_is_described_by_what_changes_its_vectors():
    one, other = (make_pipeline(TfidfVectorizer(ngram_range=(1, n))) for n in (1, 2))
    assert describe_encoder(one) != describe_encoder(other)
    assert describe_encoder(one) == describe_encoder(make_pipeline(TfidfVectorizer()))
    assert "0x" not in describe_encoder(make_pipeline(TfidfVectorizer(tokenizer=str.split)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.log, np.sqrt),
        (str.lower, str.upper),
        (np.eye(2), np.eye(3)),
        (Path("a"), Path("b")),
        ({"a": 1}, {"a": 2}),
        (np.float32, np.float64),
        (torch.float32, torch.bfloat16),
        (np.dtype("f4"), np.dtype("f8")),
    ],
)
def test_parameters_that_are_objects_are_told_apart(one, other):
    """Else vectors of one encoder would be compared with those of another in the same file."""
    first, second = (describe_encoder(FunctionTransformer(kw_args=value)) for value in (one, other))
    assert first != second
    assert first == describe_encoder(FunctionTransformer(kw_args=one))
    assert describe_encoder(FunctionTransformer(one)) != describe_encoder(FunctionTransformer(other))
    assert "0x" not in first


def test_a_model_in_a_folder_or_in_memory_is_described_by_its_content(tiny_folder, tiny_model, tmp_path):
    """A run that is resumed after the model was exchanged must not go on with the old records."""
    import shutil

    import torch

    from skicl import SentenceEncoder

    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    before = describe_encoder(SentenceEncoder(folder))
    assert describe_encoder(SentenceEncoder(folder)) == before
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + content[-8:-4])
    assert describe_encoder(SentenceEncoder(folder)) != before
    live = SentenceEncoder(tiny_model)
    before = describe_encoder(live)
    assert describe_encoder(SentenceEncoder(tiny_model)) == before
    with torch.no_grad():
        weight = max(tiny_model.parameters(), key=torch.numel)
        weight.copy_(weight.flip(0))
    assert describe_encoder(live) != before
