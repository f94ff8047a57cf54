"""Text sets on disk for the benchmarks: find them, read them, embed each part once.

A set is two gzip files, ``NAME.train.tsv.gz`` and ``NAME.test.tsv.gz``: UTF-8, a header with the columns
``text`` and ``label``, separated by a tab, one row a line, no quoting.
"""

import gzip
import os
from hashlib import blake2b
from pathlib import Path

import numpy as np


def find_sets(folder):
    """Names of the text sets in a folder that have both parts, sorted."""
    folder = Path(folder)
    if not folder.is_dir():
        raise SystemExit(f"--data: {str(folder)!r} is not a folder.")
    names = {path.name.removesuffix(".train.tsv.gz") for path in folder.glob("*.train.tsv.gz")}
    found = sorted(name for name in names if _part_path(folder, name, "test").exists())
    if not found:
        raise SystemExit(
            f"--data: no NAME.train.tsv.gz with its NAME.test.tsv.gz in {str(folder)!r}; the format is "
            "described at the top of text_sets.py."
        )
    return found


def read_part(folder, name, part):
    """Texts (list of str) and labels (array of str) of one part ("train" or "test") of a set."""
    path = _part_path(Path(folder), name, part)
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
    return [row[text] for row in rows], np.array([row[label] for row in rows])


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
        partial = path.with_name(f".{path.stem}.partial.npz")
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


def _part_path(folder, name, part):
    return folder / f"{name}.{part}.tsv.gz"
