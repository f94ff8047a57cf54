"""Data sets for the benchmarks: find them, read them, turn their rows into vectors once.

A text set is two gzip files, ``NAME.train.tsv.gz`` and ``NAME.test.tsv.gz``: UTF-8, a header with the columns
``text`` and ``label``, separated by a tab, one row a line, no quoting. Its texts go through the encoder.

An image or audio set is one file ``NAME.npz`` with ``X_train``, ``y_train``, ``X_test`` and ``y_test``. Images
become their pixels, flattened and scaled to 0..1. A file with a ``sample_rate`` holds recordings, zero-padded to
one length (``len_train`` and ``len_test`` say how long they are), and becomes log-mel features (``log_mel.py``).

Beside the folder there is one built-in set, ``digits`` of scikit-learn, as images.
"""

import gzip
import os
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from log_mel import log_mel_features

TEXT, PIXELS, SOUND = "text", "image", "audio"
BUILT_IN = "digits"

# What may be looked at while methods and weights are chosen. The sets that are not here only report.
DEVELOPMENT = frozenset({"agnews", "cr", "mr", "snips", "tweet_emotion", "sms_spam", "mnist"})
HALVES = ("development", "report")


class Part(NamedTuple):
    """Rows (texts, or vectors of shape (n, d) in float32) and their labels (n,)."""

    X: list | np.ndarray
    y: np.ndarray


def half_of(name):
    """ "development" or "report"; a set that the project does not know counts as "report"."""
    return HALVES[name not in DEVELOPMENT]


def find_sets(folder):
    """Kind of every set, by name: first the texts, then images and audio, the built-in set last."""
    folder = Path(folder)
    if not folder.is_dir():
        raise SystemExit(f"--data: {str(folder)!r} is not a folder.")
    names = {path.name.removesuffix(".train.tsv.gz") for path in folder.glob("*.train.tsv.gz")}
    kinds = {name: TEXT for name in sorted(names) if _text_path(folder, name, "test").exists()}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            if {"X_train", "y_train", "X_test", "y_test"} <= set(arrays.files):
                kinds[path.stem] = SOUND if "sample_rate" in arrays.files else PIXELS
    if not kinds:
        raise SystemExit(
            f"--data: no NAME.train.tsv.gz with its NAME.test.tsv.gz and no NAME.npz in {str(folder)!r}; the "
            "formats are described at the top of data_sets.py."
        )
    return {**kinds, BUILT_IN: kinds.get(BUILT_IN, PIXELS)}


def read_set(folder, name):
    """Both parts of a set: texts as they are, everything else as vectors."""
    folder = Path(folder)
    if _text_path(folder, name, "train").exists():
        return tuple(read_text_part(folder, name, part) for part in ("train", "test"))
    path = folder / f"{name}.npz"
    if not path.exists() and name == BUILT_IN:
        return _digits()
    with np.load(path, allow_pickle=False) as arrays:
        return _recordings(arrays) if "sample_rate" in arrays.files else _images(arrays)


def read_items(folder, name):
    """Both parts of an image or audio set as encoders take them: 8-bit images, recordings with their rate."""
    path = Path(folder) / f"{name}.npz"
    if not path.exists() and name == BUILT_IN:
        return tuple(Part(np.rint(part.X * 255).astype(np.uint8).reshape(-1, 8, 8), part.y) for part in _digits())
    with np.load(path, allow_pickle=False) as arrays:
        return tuple(_items(arrays, part) for part in ("train", "test"))


def _items(arrays, part):
    X, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
    if "sample_rate" not in arrays.files:
        return Part(X, y)
    lengths = arrays[f"len_{part}"] if f"len_{part}" in arrays.files else np.full(len(X), X.shape[1])
    rate = int(arrays["sample_rate"])
    return Part([{"array": wave[:length], "sampling_rate": rate} for wave, length in zip(X, lengths)], y)


def read_text_part(folder, name, part):
    """One part ("train" or "test") of a text set."""
    path = _text_path(Path(folder), name, part)
    # Not text mode's universal newlines nor splitlines(): only "\n" ends a row.
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")
    header = lines[0].split("\t")
    if sorted(header) != ["label", "text"]:
        raise SystemExit(f"{path.name}: the header is {header}, expected the columns text and label.")
    rows = [line.split("\t") for line in lines[1:]]
    broken = next((number for number, row in enumerate(rows, start=2) if len(row) != 2), None)
    if broken is not None:
        raise SystemExit(f"{path.name}, line {broken}: expected two fields separated by one tab.")
    text, label = header.index("text"), header.index("label")
    return Part([row[text] for row in rows], np.array([row[label] for row in rows]))


def _images(arrays):
    low, high = arrays["X_train"].min(), arrays["X_train"].max()
    span = max(float(high) - float(low), 1e-12)

    def pixels(part):
        X = arrays[f"X_{part}"]
        X = (X.reshape(len(X), -1).astype(np.float64) - float(low)) / span
        return Part(X.astype(np.float32), arrays[f"y_{part}"])

    return pixels("train"), pixels("test")


def _recordings(arrays):
    def features(part):
        waves = arrays[f"X_{part}"]
        known = f"len_{part}" in arrays.files
        lengths = arrays[f"len_{part}"] if known else np.full(len(waves), waves.shape[1])
        return Part(log_mel_features(waves, lengths, int(arrays["sample_rate"])), arrays[f"y_{part}"])

    return features("train"), features("test")


def _digits():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X, y = (X / 16).astype(np.float32), y.astype(np.int64)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=0)
    return Part(X_train, y_train), Part(X_test, y_test)


def embed(texts, make_encoder, encoder_name, cache, stem):
    """Vectors of the texts, float32 (n, d), from the cache folder if these texts were embedded before.

    `make_encoder(encoder_name)` is called only if they were not.
    """
    path = None if cache is None else embedding_path(texts, encoder_name, cache, stem)
    if path is not None and path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return stored["X"]
    X = np.asarray(make_encoder(encoder_name).fit_transform(texts), dtype=np.float32)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.npz")
        np.savez(partial, X=X)
        os.replace(partial, path)
    return X


def embedding_path(texts, encoder_name, cache, stem):
    """Where the vectors are kept: the name holds a digest of the encoder's name and of every text."""
    digest = blake2b(encoder_name.encode(), digest_size=8)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return Path(cache) / f"{stem}.{digest.hexdigest()}.npz"


def _text_path(folder, name, part):
    return folder / f"{name}.{part}.tsv.gz"
