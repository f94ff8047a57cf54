"""Models of sentence-transformers around the tiny language models: any family, pooling and modules after it."""

import torch
from encoders.tiny_language_models import FEATURES, make_network, make_tokenizer

POOLINGS = ("mean", "cls", "max", "lasttoken", "weightedmean")
DENSE_FEATURES = 12


def modules():
    """The module of sentence-transformers with the parts of its models."""
    try:
        from sentence_transformers.sentence_transformer import modules
    except ImportError:  # sentence-transformers 5
        from sentence_transformers import models as modules
    return modules


def save_sentence_model(
    family, folder, pooling="mean", *, after=(), include_prompt=True, padding="right", network=None
):
    """Write a SentenceTransformer into a folder; returns its path as a string.

    `after` may name "dense" and "normalize"; `network` takes the place of that of the family.
    """
    from sentence_transformers import SentenceTransformer

    parts, inner = modules(), folder / "inner"
    (make_network(family) if network is None else network).save_pretrained(inner)
    make_tokenizer(family).save_pretrained(inner)
    chain = [parts.Transformer(str(inner))]
    chain[0].tokenizer.padding_side = padding
    chain.append(parts.Pooling(FEATURES, pooling, include_prompt=include_prompt))
    if "dense" in after:
        dense = parts.Dense(FEATURES, DENSE_FEATURES)
        with torch.no_grad():
            for weight in dense.parameters():
                weight.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
        chain.append(dense)
    if "normalize" in after:
        chain.append(parts.Normalize())
    SentenceTransformer(modules=chain, device="cpu").save(str(folder / "model"))
    return str(folder / "model")
