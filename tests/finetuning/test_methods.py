"""What the parts of a method owe each other: where the head starts, what restores an encoder, documented defaults."""

import re

import numpy as np
import pytest
import torch
from text_battery import LABELS, TEXTS

from skicl import SentenceEncoder
from skicl.finetuning import FineTuneClassifier
from skicl.finetuning._head import logistic_head
from skicl.finetuning._methods import DEFAULTS, METHODS, Rows, Task, fit_task, restored_encoder
from skicl.finetuning._training import Course

CODES = np.unique(LABELS, return_inverse=True)[1]


def make_task(folder, method, *, rate=1e-2, n_epochs=2, held_out=None):
    rows = Rows(TEXTS, CODES, np.ones(len(TEXTS)))
    encoder = SentenceEncoder(folder, device="cpu")
    return Task(method, encoder, rate, 8, Course(n_epochs, 3, 1), None, False, rows, held_out, 3, 0)


def test_full_fine_tuning_starts_from_logistic_regression(tiny_folder):
    vectors = SentenceEncoder(tiny_folder, device="cpu").fit_transform(TEXTS)
    start = logistic_head(vectors, CODES, np.ones(len(TEXTS)), 3)
    tuned = fit_task(make_task(tiny_folder, "full", rate=1e-12))
    np.testing.assert_allclose(
        tuned.head.log_proba(tuned.encoder.fit_transform(TEXTS)), start.log_proba(vectors), atol=1e-4
    )


@pytest.mark.parametrize("method", ["full", "contrastive"])
def test_changes_restore_the_encoder(method, tiny_folder):
    task = make_task(tiny_folder, method)
    tuned = fit_task(task)
    again = restored_encoder(method, task.encoder, None, tuned.changes, tuned.base_digest)
    np.testing.assert_array_equal(again.fit_transform(TEXTS), tuned.encoder.fit_transform(TEXTS))
    with pytest.raises(ValueError, match="other weights"):
        restored_encoder(method, task.encoder, None, tuned.changes, (tuned.base_digest[0], "another checksum"))


def test_the_last_layer_changes_no_weights(tiny_folder):
    task = make_task(tiny_folder, "last_layer")
    tuned = fit_task(task)
    assert tuned.changes == {}
    assert restored_encoder("last_layer", task.encoder, None, {}, tuned.base_digest) is task.encoder


def test_the_loss_before_training_is_that_of_the_start(tiny_folder):
    held_out = Rows(TEXTS[:12], CODES[:12], np.ones(12))
    history = fit_task(make_task(tiny_folder, "last_layer", held_out=held_out)).history
    assert history.losses[0] == pytest.approx(np.log(3))
    assert history.losses[1] < history.losses[0]


def test_tuned_weights_take_no_more_gradient(tiny_folder):
    tuned = fit_task(make_task(tiny_folder, "full"))
    module = tuned.encoder._load(torch.device("cpu")).model
    assert not any(weight.requires_grad or weight.grad is not None for weight in module.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_those_of_the_documentation(method):
    text = " ".join(FineTuneClassifier.__doc__.split())
    rates = text.partition("Highest learning rate.")[2].partition(" The head of")[0]
    before, _, _ = rates.partition(f'"{method}"')
    after = rates[len(before) :]
    stated = re.findall(r"\d+e-\d+", before)[-1]
    assert float(stated) == DEFAULTS[method].learning_rate, (stated, after)
