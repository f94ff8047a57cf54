"""Vectors of texts with gradients, from a private copy of the network of an encoder.

Shapes: B texts, T tokens, D features.
"""

import os

import numpy as np
from sklearn.base import clone

from skicl._models._in_memory import LiveModel
from skicl._models._language_model import LanguageModel
from skicl._models._precision import dtype_name
from skicl._models._rows_together import pooled_rows
from skicl._models._states import states_with_gradient
from skicl._validation._environment import resolve_device
from skicl._validation._wording import refuse_misspelt_auto
from skicl.encoders import LanguageModelEncoder, SentenceEncoder
from skicl.finetuning._private_copy import private_copy


def resolve_encoder(encoder):
    """An encoder, not fitted, that shares no parameters with the one given; unusable ones are refused."""
    if isinstance(encoder, str) and encoder == "auto":
        own = SentenceEncoder()
    elif isinstance(encoder, str | os.PathLike):
        refuse_misspelt_auto(os.fspath(encoder))
        own = SentenceEncoder(encoder)
    elif isinstance(encoder, SentenceEncoder | LanguageModelEncoder):
        own = clone(encoder)
    else:
        raise TypeError(
            f"`encoder` must be 'auto', the name or path of a model, a SentenceEncoder or a LanguageModelEncoder, got "
            f"{type(encoder).__name__}. Put a model in memory into one: SentenceEncoder(model) or "
            "LanguageModelEncoder((network, tokenizer))."
        )
    own._check_parameters()
    if isinstance(own, SentenceEncoder) and own.layers is not None:
        raise ValueError(
            f"`encoder` has layers={own.layers!r}, and fine-tuning trains a network for its own vector alone. Set "
            "layers=None."
        )
    if own.dtype is not None and dtype_name(own.dtype) == "float16":
        raise ValueError(
            "`encoder` computes in float16, in which small gradients vanish. Use dtype='bfloat16' or 'float32'."
        )
    return own


def in_training_format(encoder, *, trains_weights):
    """A clone of the encoder with its weights in the format in which they are trained: float32 if `trains_weights`.

    A model in memory stays as it is.
    """
    own = clone(encoder)
    if trains_weights and not isinstance(own.model, LiveModel):
        own.dtype = "float32"
    return own


def module_of(loaded):
    """The torch module of a loaded SentenceTransformer or LanguageModel."""
    return loaded.model.network if isinstance(loaded.model, LanguageModel) else loaded.model


def transformer_of(loaded):
    """The network of transformers inside of a loaded model, or the whole module if there is none."""
    inner = getattr(module_of(loaded), "transformers_model", None)
    return module_of(loaded) if inner is None else inner


def private_encoder(encoder, *, trainable):
    """The encoder around a private copy of its network, not fitted, without a cache; the shared model; the private one.

    With `trainable` the weights of the copy are to be trained. The shared model stays as it is.
    """
    base = encoder._load(resolve_device(encoder.device))
    with base.lock:
        module = private_copy(module_of(base), trainable=trainable)
        if isinstance(base.model, LanguageModel):
            module = LanguageModel(module, base.model.tokenizer)
            _ = module.rows.alike  # tried now, before dropout in training brings chance into it
    own = clone(encoder).set_params(
        model=LiveModel(module), revision=None, device=None, dtype=None, cache=None, verbose=False
    )
    return own, base, own._load(resolve_device("cpu"))  # device=None: it stays where it is


def vectors_of(encoder, texts, *, fit=False):
    """Vectors (B, D), float32, as an array, whatever container ``set_output`` makes the encoder give."""
    return np.asarray(encoder.fit_transform(texts) if fit else encoder.transform(texts))


def vectors_with_gradient(encoder, loaded, texts):
    """Vectors (B, D), float32, of texts as the encoder computes them, with gradients."""
    import torch

    ready = encoder._prepare(loaded, texts)
    if isinstance(loaded.model, LanguageModel):
        vectors = pooled_rows(loaded.model, ready, encoder.layers, encoder.pooling, states_with_gradient)
    else:
        vectors = _embedded(encoder, loaded.model, ready)
    return torch.nn.functional.normalize(vectors, dim=1) if encoder.normalize else vectors


def _embedded(encoder, network, features):
    """Vectors (B, D) by a SentenceTransformer."""
    import torch

    if isinstance(features, list):  # an older sentence-transformers
        prompt = encoder._prompt(network) or ""
        features = network.tokenize([prompt + text for text in features])
    device = next(network.parameters()).device
    moved = {name: value.to(device) if torch.is_tensor(value) else value for name, value in features.items()}
    width = encoder.truncate_dim or network.truncate_dim
    return network(moved)["sentence_embedding"].float()[:, :width]
