"""What each method trains: the head alone, the network with its head, adapters with a head, or vectors by pairs."""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from skicl._models._in_memory import LiveModel, weights_digest
from skicl._models._precision import resolve_dtype
from skicl._progress import progress_bar
from skicl._validation._environment import resolve_device
from skicl._validation._finite import NotFiniteError
from skicl.finetuning._adapters import LoRASettings, adapter_weights, put_adapters
from skicl.finetuning._head import Head, TorchHead, empty_head, logistic_head
from skicl.finetuning._pairs import PairSampler, cosine_pair_loss
from skicl.finetuning._private_copy import changed_tensors, freeze, put_changes, seeded_dropout
from skicl.finetuning._training import DIVERGED, Course, History, shuffled_batches, train
from skicl.finetuning._vectors import (
    in_training_format,
    module_of,
    private_encoder,
    transformer_of,
    vectors_of,
    vectors_with_gradient,
)


class Defaults(NamedTuple):
    """What a parameter that is None means: the learning rate, and the least numbers of steps and of epochs."""

    learning_rate: float
    n_steps: int
    n_epochs: int


# Usual values, checked at 16 and 64 rows of three sets; the user guide has the numbers.
DEFAULTS = {
    "full": Defaults(2e-5, 60, 3),
    "lora": Defaults(5e-4, 60, 3),
    "last_layer": Defaults(3e-2, 300, 20),
    "contrastive": Defaults(2e-5, 60, 1),
}
METHODS = tuple(DEFAULTS)
# The head has far fewer weights than the network and starts from a fit to the same rows.
HEAD_RATE = 10.0
# Pairs of held-out rows on which contrastive training is watched.
HELD_OUT_PAIRS = 256


class Rows(NamedTuple):
    """Texts, their classes from 0, and how much each counts, 1 on average."""

    texts: list
    codes: np.ndarray
    weights: np.ndarray


class Task(NamedTuple):
    """What is to be learnt, from what, and how."""

    method: str
    encoder: object
    learning_rate: float
    batch_size: int
    course: Course
    lora: LoRASettings | None
    verbose: bool
    rows: Rows
    held_out: Rows | None
    n_classes: int
    seed: int


class Tuned(NamedTuple):
    """What was learnt: an encoder, a head, what makes the encoder differ from the shared one, and how it went."""

    encoder: object
    head: Head
    changes: dict
    base_digest: tuple
    history: History


def fit_task(task):
    """What a task teaches; nothing that is shared is changed."""
    return {"last_layer": _last_layer, "contrastive": _contrastive}.get(task.method, _with_head)(task)


def restored_encoder(method, encoder, lora, changes, base_digest):
    """The tuned encoder, made again from the shared model and what was learnt.

    `base_digest` holds number format and checksum of the shared model in the fit; a ValueError if it has other weights.
    """
    if method == "last_layer":
        _check_base(encoder._load(resolve_device(encoder.device)), base_digest)
        return encoder
    own, base, loaded = private_encoder(
        in_training_format(encoder, trains_weights=method != "lora"), trainable=method != "lora"
    )
    _check_base(base, base_digest)
    module = module_of(loaded)
    if method == "lora":
        import torch

        put_adapters(transformer_of(loaded), lora, torch.Generator())
        put_changes(transformer_of(loaded), changes)
    else:
        put_changes(module, changes)
    freeze(module)
    return own


def check_unchanged(method, encoder, base_digest):
    """Refuse to predict where the weights that a tuned encoder reads from the shared model are no longer those of fit.

    "full" and "contrastive" read none.
    """
    if method == "last_layer" or (method == "lora" and isinstance(encoder.model, LiveModel)):
        _check_base(encoder._load(resolve_device(encoder.device)), base_digest)


def _last_layer(task):
    """The head alone, on vectors that are computed once."""
    import torch

    encoder, rows = task.encoder, task.rows
    vectors = vectors_of(encoder, rows.texts, fit=True)
    head = TorchHead(empty_head(vectors, task.n_classes), torch.device("cpu"))
    inputs, codes, weights = torch.tensor(vectors), torch.tensor(rows.codes), _as_tensor(rows.weights)
    generator = np.random.default_rng(task.seed)

    def losses(epoch):
        for batch in shuffled_batches(len(rows.codes), task.batch_size, generator):
            yield _cross_entropy(head.logits(inputs[batch]), codes[batch], weights[batch])

    held_out = None if task.held_out is None else vectors_of(encoder, task.held_out.texts)
    groups = [{"params": head.parameters, "lr": task.learning_rate}]
    history = _trained(task, groups, losses, lambda: _log_loss(head.head(), held_out, task.held_out))
    _check_finite(head.head().coef)
    return Tuned(encoder, head.head(), {}, _digest(encoder._load(resolve_device(encoder.device))), history)


def _with_head(task):
    """The network, or adapters in it, and a head that starts as logistic regression on the untouched vectors.

    With a random head the first steps would distort the vectors (Kumar et al., 2022, "Fine-Tuning can Distort
    Pretrained Features and Underperform Out-of-Distribution", section 3.4).
    """
    full, rows = task.method == "full", task.rows
    start = in_training_format(task.encoder, trains_weights=full)
    own, base, loaded = private_encoder(start, trainable=full)
    digest = _digest(base)
    module, device, compute = module_of(loaded), _device_of(loaded), _compute_format(task, loaded)
    generator, drawn = np.random.default_rng(task.seed), _generator(task.seed, "cpu")
    if not full:  # before any text is encoded: this refuses names that no layer has
        put_adapters(transformer_of(loaded), task.lora, drawn)
    vectors = vectors_of(start, rows.texts, fit=True)
    head = TorchHead(logistic_head(vectors, rows.codes, rows.weights, task.n_classes), device)
    codes, weights = _as_tensor(rows.codes, device), _as_tensor(rows.weights, device)
    with seeded_dropout(module, _generator(task.seed, device)) as dropout:

        def losses(epoch):
            for batch in shuffled_batches(len(rows.texts), task.batch_size, generator):
                dropout.train()
                with compute():
                    vectors = vectors_with_gradient(own, loaded, [rows.texts[i] for i in batch])
                yield _cross_entropy(head.logits(vectors), codes[batch], weights[batch])

        def validate():
            return _log_loss(head.head(), _vectors(own, loaded, task.held_out.texts), task.held_out)

        groups = [
            {"params": [weight for weight in module.parameters() if weight.requires_grad], "lr": task.learning_rate},
            {"params": head.parameters, "lr": HEAD_RATE * task.learning_rate},
        ]
        history = _trained(task, groups, losses, validate)
    if full:
        changes = changed_tensors(module_of(base), module)
    else:
        adapters = adapter_weights(transformer_of(loaded))
        changes = {name: (None, weight.detach().cpu().numpy().copy()) for name, weight in adapters.items()}
    freeze(module)
    _check_finite(head.head().log_proba(_vectors(own, loaded, rows.texts[: task.batch_size])))
    return Tuned(own, head.head(), changes, digest, history)


def _contrastive(task):
    """The network by pairs of texts, then logistic regression on its vectors (SetFit)."""
    start, rows = in_training_format(task.encoder, trains_weights=True), task.rows
    own, base, loaded = private_encoder(start, trainable=True)
    start._inspect(base, rows.texts)
    digest, module, device = _digest(base), module_of(loaded), _device_of(loaded)
    compute, generator = _compute_format(task, loaded), np.random.default_rng(task.seed)
    sampler = PairSampler(rows.codes)
    with seeded_dropout(module, _generator(task.seed, device)) as dropout:

        def losses(epoch):
            for _ in range(task.course.steps_per_epoch):
                left, right, same = sampler.draw(task.batch_size, generator)
                distinct, places = np.unique(np.concatenate([left, right]), return_inverse=True)
                dropout.train()
                with compute():
                    vectors = vectors_with_gradient(own, loaded, [rows.texts[i] for i in distinct])
                # Each distinct text is encoded once; `places` leads from the pairs to its row.
                left_vectors, right_vectors = vectors[places[: len(left)]], vectors[places[len(left) :]]
                weights = _as_tensor(rows.weights[left] * rows.weights[right], device)
                yield cosine_pair_loss(left_vectors, right_vectors, _as_tensor(same, device).float(), weights)

        validate = None if task.held_out is None else _pair_validation(task, own, loaded)
        groups = [{"params": list(module.parameters()), "lr": task.learning_rate}]
        history = _trained(task, groups, losses, validate)
    changes = changed_tensors(module_of(base), module)
    freeze(module)
    all_rows = rows if task.held_out is None else _joined(rows, task.held_out)
    vectors = _vectors(own, loaded, all_rows.texts)
    _check_finite(vectors)
    head = logistic_head(vectors, all_rows.codes, all_rows.weights, task.n_classes)
    return Tuned(own, head, changes, digest, history)


def _joined(rows, others):
    """Rows, and others after them."""
    codes, weights = (np.concatenate(pair) for pair in zip(rows[1:], others[1:]))
    return Rows(rows.texts + others.texts, codes, weights)


def _pair_validation(task, own, loaded):
    """The loss of the same pairs of held-out rows after every epoch."""
    import torch

    held_out = task.held_out
    left, right, same = PairSampler(held_out.codes).draw(HELD_OUT_PAIRS, np.random.default_rng(task.seed))
    weights, same = _as_tensor(held_out.weights[left] * held_out.weights[right]), torch.tensor(same).float()

    def validate():
        vectors = torch.tensor(_vectors(own, loaded, held_out.texts))
        return cosine_pair_loss(vectors[left], vectors[right], same, weights).item()

    return validate


def _trained(task, groups, losses, validate):
    """Train with a bar; `validate` plays no part where no row is held out."""
    total = task.course.n_epochs * task.course.steps_per_epoch
    with progress_bar(total, f"FineTuneClassifier, {task.method}", task.verbose) as bar:
        return train(groups, losses, task.course, validate=validate if task.held_out else None, bar=bar)


def _vectors(own, loaded, texts):
    """Vectors of the model that is being trained."""
    try:
        return own._vectors(loaded, texts)
    except NotFiniteError as error:
        raise ValueError(DIVERGED.format("what the trained model computes")) from error


def _check_finite(values):
    """Refuse what the last step has blown up: no loss is computed after it."""
    if not np.isfinite(values).all():
        raise ValueError(DIVERGED.format("what the trained model computes"))


def _cross_entropy(logits, codes, weights):
    """Weighted mean of the losses of logits (B, C)."""
    import torch

    return (weights * torch.nn.functional.cross_entropy(logits, codes, reduction="none")).mean()


def _log_loss(head, vectors, rows):
    """Weighted mean of the losses of vectors (B, D)."""
    return float(np.average(-head.log_proba(vectors)[np.arange(len(rows.codes)), rows.codes], weights=rows.weights))


def _compute_format(task, loaded):
    """A context in which the network computes in bfloat16 where that is wanted and its weights are float32."""
    import torch

    device, weight = _device_of(loaded), next(module_of(loaded).parameters())
    live = isinstance(task.encoder.model, LiveModel)
    wanted = weight.dtype if live else resolve_dtype(task.encoder.dtype, device)
    if wanted == torch.bfloat16 and weight.dtype == torch.float32:
        return lambda: torch.autocast(device.type, dtype=wanted)
    return nullcontext


def _digest(base):
    """Number format and checksum of a shared model."""
    module = module_of(base)
    return str(next(module.parameters()).dtype), weights_digest(base, module)


def _check_base(base, expected):
    """Refuse a shared model that is not that of the fit; in another number format this cannot be told."""
    number_format, checksum = _digest(base)
    if number_format == expected[0] and checksum != expected[1]:
        raise ValueError(
            "`encoder` has other weights than when this classifier was fitted, so what was learnt does not match "
            "them. Restore the model, or fit again."
        )


def _device_of(loaded):
    return next(module_of(loaded).parameters()).device


def _generator(seed, device):
    import torch

    return torch.Generator(device=device).manual_seed(seed)


def _as_tensor(values, device="cpu"):
    """Numbers as a tensor, floats in float32."""
    import torch

    values = np.asarray(values)
    return torch.as_tensor(values.astype(np.float32) if values.dtype.kind == "f" else values, device=device)
