"""Texts, images, recordings and numbers in one frame, before one classifier."""

import pickle

import numpy as np
import pandas as pd
import pytest
from encoders.tiny_vision_audio import RATE, build_audio_model, build_image_model
from PIL import Image
from scipy.io import wavfile
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from text_battery import SKLEARN

from skicl import SentenceEncoder, TartClassifier
from skicl.encoders import AudioEncoder, ImageEncoder

N_ROWS = 48


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory):
    return build_image_model("dinov2", tmp_path_factory.mktemp("image model"))


@pytest.fixture(scope="module")
def audio_folder(tmp_path_factory):
    return build_audio_model("whisper", tmp_path_factory.mktemp("audio model"))


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """Four columns; the bright images, the high tones, the long texts and the large numbers are bits of their own."""
    folder = tmp_path_factory.mktemp("files")
    generator = np.random.default_rng(0)
    bits = generator.integers(2, size=(N_ROWS, 4))
    rows = []
    for i, (long, bright, high, large) in enumerate(bits):
        pixels = generator.integers(120 * bright, 120 * bright + 100, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        tone = 0.3 * np.sin(2 * np.pi * (300 + 2000 * high) * np.arange(3000) / RATE)
        wavfile.write(folder / f"{i}.wav", RATE, tone.astype(np.float32))
        text = "aaa bbb " * (1 + 2 * long) + "cd"[i % 2]
        rows.append((text, str(folder / f"{i}.png"), str(folder / f"{i}.wav"), large + generator.normal(0, 0.1)))
    index = [f"row {i}" for i in range(N_ROWS)]
    return pd.DataFrame(rows, columns=["message", "photo", "sound", "number"], index=index), bits


@pytest.fixture
def columns(tiny_folder, image_folder, audio_folder):
    """An encoder for each column, with vectors of equal weight."""

    def scaled(encoder):
        return make_pipeline(encoder, StandardScaler())

    return ColumnTransformer(
        [
            ("message", scaled(SentenceEncoder(tiny_folder, device="cpu", cache=True)), "message"),
            ("photo", scaled(ImageEncoder(image_folder, device="cpu", cache=True)), "photo"),
            ("sound", scaled(AudioEncoder(audio_folder, device="cpu", cache=True)), "sound"),
            ("number", StandardScaler(), ["number"]),
        ]
    )


@pytest.mark.parametrize("bit", range(4), ids=["message", "photo", "sound", "number"])
def test_every_column_is_read(bit, columns, frame):
    """Each answers the question that it alone can answer; with the column shuffled nobody can."""
    X, bits = frame
    y = np.array(["no", "yes"])[bits[:, bit]]
    classifier = TartClassifier(encoder=columns)
    assert cross_val_score(classifier, X, y, cv=3, error_score="raise").mean() > 0.85
    name = X.columns[bit]
    order = np.random.default_rng(1).permutation(N_ROWS)
    shuffled = X.assign(**{name: X[name].to_numpy()[order]})
    assert cross_val_score(classifier, shuffled, y, cv=3, error_score="raise").mean() < 0.75


def test_features_are_those_of_the_encoders(columns, frame, image_folder):
    X, _ = frame
    if SKLEARN < (1, 7):  # of a column it forgets the index
        X = X.reset_index(drop=True)
    vectors = columns.set_output(transform="pandas").fit_transform(X)
    assert vectors.index.equals(X.index)
    names = [name for name in vectors.columns if name.startswith("photo__imageencoder")]
    alone = make_pipeline(ImageEncoder(image_folder, device="cpu"), StandardScaler()).fit_transform(X["photo"])
    np.testing.assert_allclose(vectors[names].to_numpy(), alone, rtol=1e-3, atol=1e-4)
    assert vectors.shape == (N_ROWS, 3 * 16 + 1)


def test_classifier_is_pickled_searched_and_refuses_bad_files(columns, frame):
    X, bits = frame
    classifier = TartClassifier(encoder=columns).fit(X, bits[:, 1])
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_allclose(again.predict_proba(X), classifier.predict_proba(X), rtol=1e-4, atol=1e-5)
    grid = {"encoder__photo__imageencoder__pooling": ["cls", "mean"], "encoder__sound": ["drop"]}
    search = GridSearchCV(classifier, grid, cv=2, error_score="raise")
    assert search.fit(X, bits[:, 1]).best_score_ > 0.8
    with pytest.raises(ValueError, match=r"position 2 \(index label 'row 2'\): there is no file 'absent.png'"):
        classifier.predict(X.assign(photo=[*X["photo"][:2], "absent.png", *X["photo"][3:]]))
