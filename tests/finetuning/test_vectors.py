"""Vectors with gradients are those of the encoder; private encoders leave the shared model alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark_modules import load
from encoders.tiny_language_models import make_network, make_tokenizer, save_tiny_model

from skicl import SentenceEncoder
from skicl.encoders import LanguageModelEncoder
from skicl.finetuning._vectors import (
    in_training_format,
    module_of,
    private_encoder,
    resolve_encoder,
    transformer_of,
    vectors_of,
    vectors_with_gradient,
)

TEXTS = ["my card is lost", "", "refund please, no refund came yet", "cannot log in"]
# What tests here may differ by: batches are padded in another way.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def check_vectors(encoder, trainable=True):
    expected = encoder.fit_transform(TEXTS)
    own, base, loaded = private_encoder(encoder, trainable=trainable)
    before = [weight.clone() for weight in module_of(base).parameters()]
    found = vectors_with_gradient(own, loaded, TEXTS)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach().numpy(), expected, **CLOSE)
    np.testing.assert_allclose(own.fit_transform(TEXTS), expected, **CLOSE)
    if trainable:
        found[:, 0].sum().backward()
        assert any(weight.grad is not None and weight.grad.any() for weight in module_of(loaded).parameters())
    assert all(weight.grad is None for weight in module_of(base).parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, module_of(base).parameters()))


@pytest.mark.parametrize("options", [{}, {"normalize": True, "truncate_dim": 5}, {"prompt": "t: "}])
def test_sentence_encoder(tiny_folder, options):
    check_vectors(SentenceEncoder(tiny_folder, device="cpu", **options))


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt2", "llama", "bloom"])
def test_language_model_encoder(family, tmp_path):
    folder = save_tiny_model(family, tmp_path)
    check_vectors(LanguageModelEncoder(folder, device="cpu"))
    check_vectors(LanguageModelEncoder(folder, device="cpu", layers=[0.5, -1], pooling="last", normalize=True))
    check_vectors(LanguageModelEncoder(folder, device="cpu", pooling="weighted_mean", prompt="Topic: "), False)


def test_models_in_memory(tiny_model):
    check_vectors(SentenceEncoder(tiny_model))
    check_vectors(LanguageModelEncoder((make_network("gpt_neox"), make_tokenizer("gpt_neox"))))


def test_a_model_in_half_precision_is_trained_in_full():
    encoder = LanguageModelEncoder((make_network("bert").to(torch.bfloat16), make_tokenizer("bert")))
    _, base, loaded = private_encoder(encoder, trainable=True)
    assert {weight.dtype for weight in module_of(base).parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in module_of(loaded).parameters()} == {torch.float32}


def test_the_private_encoder_is_no_threat_to_the_cache_of_the_shared_one(tiny_folder, tmp_path):
    encoder = SentenceEncoder(tiny_folder, device="cpu", cache=tmp_path / "cache", verbose=True)
    own, _, _ = private_encoder(encoder, trainable=True)
    assert own.cache is None
    assert own.verbose is False
    assert (encoder.cache, encoder.model) == (tmp_path / "cache", tiny_folder)


def test_the_network_of_transformers_is_found(tiny_folder):
    _, base, _ = private_encoder(SentenceEncoder(tiny_folder, device="cpu"), trainable=False)
    assert type(transformer_of(base)).__name__ == "BertModel"
    model = (make_network("gpt2"), make_tokenizer("gpt2"))
    _, base, _ = private_encoder(LanguageModelEncoder(model), trainable=False)
    assert type(transformer_of(base)).__name__ == "GPT2Model"


def test_what_an_encoder_may_be(tiny_folder):
    assert repr(resolve_encoder("auto")) == repr(SentenceEncoder())
    assert resolve_encoder(tiny_folder).model == tiny_folder
    assert resolve_encoder(Path(tiny_folder)).model == Path(tiny_folder)
    given = SentenceEncoder(tiny_folder, batch_size=3)
    assert resolve_encoder(given) is not given
    assert resolve_encoder(given).batch_size == 3
    with pytest.raises(TypeError, match=r"`encoder` must be 'auto'.*got list"):
        resolve_encoder([tiny_folder])
    with pytest.raises(ValueError, match="`batch_size`"):
        resolve_encoder(SentenceEncoder(tiny_folder, batch_size=0))
    with pytest.raises(ValueError, match=r"`encoder` has layers=\[0\], and fine-tuning trains a network for its own"):
        resolve_encoder(SentenceEncoder(tiny_folder, layers=[0]))
    with pytest.raises(ValueError, match="float16"):
        resolve_encoder(SentenceEncoder(tiny_folder, dtype="float16"))
    assert resolve_encoder(SentenceEncoder(tiny_folder, dtype="bfloat16")).dtype == "bfloat16"


def test_format_in_which_weights_are_trained(tiny_folder):
    encoder = SentenceEncoder(tiny_folder, dtype="bfloat16")
    assert in_training_format(encoder, trains_weights=True).dtype == "float32"
    assert in_training_format(encoder, trains_weights=False).dtype == "bfloat16"
    live = LanguageModelEncoder((make_network("gpt2"), make_tokenizer("gpt2")))
    assert in_training_format(live, trains_weights=True).dtype is None


def test_almost_auto_is_not_looked_up():
    with pytest.raises(ValueError, match=r"`encoder`='Auto' would be looked up .* Did you mean 'auto'"):
        resolve_encoder("Auto")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_vectors_are_arrays_whatever_the_encoder_gives(library, tiny_folder):
    encoder = SentenceEncoder(tiny_folder, device="cpu")
    expected = encoder.fit_transform(TEXTS)
    encoder.set_output(transform=library)
    for found in (vectors_of(encoder, TEXTS, fit=True), vectors_of(encoder, TEXTS)):
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, expected)


def test_vectors_across_a_switch_of_the_rotary_scaling_are_those_of_each_text_alone():
    small = load("small_networks")
    pair = small.small_network("phi3", "longrope"), small.byte_tokenizer()
    own, _, loaded = private_encoder(LanguageModelEncoder(pair), trainable=True)
    texts = ["a" * n + "b" for n in (3, small.SWITCH + 20, 30, small.SWITCH + 1, small.SWITCH - 2)]
    together = vectors_with_gradient(own, loaded, texts)
    alone = torch.cat([vectors_with_gradient(own, loaded, [text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    together.sum().backward()
    assert all(weight.grad is not None for weight in loaded.model.network.layers.parameters())


def test_whether_rows_go_together_is_found_out_before_dropout():
    network = make_network("gpt2")
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    own, _, loaded = private_encoder(LanguageModelEncoder((network, make_tokenizer("gpt2"))), trainable=True)
    loaded.model.network.train()
    found = vectors_with_gradient(own, loaded, TEXTS)
    assert found.shape == (len(TEXTS), loaded.model.network.config.n_embd)
    assert loaded.model.by_way([3, 9]) == [[0, 1]]
