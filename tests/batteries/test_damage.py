"""Laws of damaged and exchanged weights, for every estimator: an error or the right answer, never a wrong one."""

import os
import pickle
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from batteries.estimators import alike, all_alike, answer, answers_of, each_subject, models
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone

from skicl import TartClassifier, clear_cache
from skicl._storage._tensors import CHECKSUM, save_atomically
from skicl.encoders import EmbeddingCache


@pytest.fixture(autouse=True)
def _leave_no_model_behind():
    yield
    clear_cache()


def on_copies(estimator, folder):
    """The estimator with copies of the tiny models that it reads, and their files of weights."""
    found = {}
    for name, value in estimator.get_params(deep=True).items():
        if isinstance(value, str) and value.startswith(models().name):
            copied = folder / Path(value).name
            if not copied.exists():
                (shutil.copytree if Path(value).is_dir() else shutil.copy2)(value, copied)
            found[name] = str(copied)
    return estimator.set_params(**found), sorted({file for file in folder.rglob("*.safetensors")})


def overwrite_in_place(file, change):
    """Write changed tensors into a file as ``cp -p`` from an older one of the same size does."""
    with safe_open(file, "pt") as opened:
        tensors = {name: change(opened.get_tensor(name).clone()) for name in opened.keys()}
        metadata = opened.metadata()
    before, new = file.stat(), file.with_suffix(".new")
    if CHECKSUM in metadata:
        save_atomically(new, tensors, {name: value for name, value in metadata.items() if name != CHECKSUM})
    else:
        save_file(tensors, new, metadata)
    assert new.stat().st_size == before.st_size
    with file.open("r+b") as opened:
        opened.write(new.read_bytes())
    new.unlink()
    past = before.st_mtime_ns - 10**12
    os.utime(file, ns=(past, past))


def exchanged(tensor):
    """The same numbers in other places: sums stay as they are."""
    return tensor.flip(0).contiguous()


@each_subject("damage")
def test_numbers_that_are_nan_never_become_answers(subject, monkeypatch):
    """Whatever has damaged the network: the error names NaN and the weights."""
    fitted = subject.fitted()
    if getattr(fitted, "cache", None) is not None:
        EmbeddingCache(fitted.cache).clear()  # what is known already is not computed
    for module, name in [(torch.nn.functional, "linear"), (torch, "addmm")]:
        sound = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, _of=sound, **options: _of(*args, **options) * torch.nan)
    if subject.cls is TartClassifier and fitted.encoder_ is None:
        reasoner = type(fitted._learnt.made(None).network)
        score = reasoner.score
        monkeypatch.setattr(reasoner, "score", lambda *args: score(*args) * torch.nan)
    for method in subject.answers:
        with pytest.raises(ValueError, match=r"NaN or infinite\. .*weights"):
            answer(fitted, method, subject.rows.new)


@each_subject("damage")
def test_weights_that_are_overwritten_in_place_are_used_as_a_whole_or_not_at_all(subject, tmp_path):
    """Answers are the former ones, or those after a new fit, or there is an error or a warning that says what to do."""
    estimator, files = on_copies(subject.make(), tmp_path)
    if not files:
        return  # the packaged reasoner is overwritten nowhere
    fitted = estimator.fit(subject.rows.X, subject.rows.y)
    before = answers_of(subject, fitted)
    for file in files:
        overwrite_in_place(file, exchanged)
    anew = answers_of(subject, clone(estimator).fit(subject.rows.X, subject.rows.y))
    assert not all_alike(anew, before)
    for method in subject.answers:
        refused = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = answer(fitted, method, subject.rows.new)
            except ValueError as error:
                refused = str(error)
        if refused is not None:
            assert "has other weights than when this classifier was fitted" in refused
            continue
        said = any("have changed since" in str(warning.message) for warning in caught)
        if subject.is_encoder:
            assert said
            assert alike(found, anew[method])
        else:
            assert said or alike(found, before[method]) or alike(found, anew[method])


@each_subject("damage")
def test_a_pickle_that_was_cut_short_is_refused(subject):
    content = pickle.dumps(subject.fitted())
    for kept in (0, 1, len(content) // 2, len(content) - 1):
        with pytest.raises((EOFError, pickle.UnpicklingError)):
            pickle.loads(content[:kept])


@each_subject("damage")
def test_a_damaged_file_of_weights_names_itself(subject, tmp_path):
    """Cut short, empty, of another kind: before anything is answered."""
    estimator, files = on_copies(subject.make(), tmp_path)
    if not files:
        return
    (file,) = files
    sound = file.read_bytes()
    for content in (sound[:-100], sound[:20], b"", b"\x80\x04 something else" * 50):
        file.write_bytes(content)
        with pytest.raises((ValueError, OSError), match=tmp_path.name):
            answers_of(subject, clone(estimator).fit(subject.rows.X, subject.rows.y))
