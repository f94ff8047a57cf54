"""Networks whose heads and MLPs are known, and pairs of prompts for them."""

from functools import cache

import numpy as np
from encoders.tiny_language_models import make_network, make_tokenizer

from skicl.inspection import PatchingPairs

FAMILIES = ["gpt2", "gpt_neo", "gpt_neox", "llama", "qwen", "mistral", "gemma", "opt", "bloom", "phi", "falcon"]
N_WORDS = 16


@cache
def word_tokenizer():
    """Every word of one letter is a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate("?abcdefghijklmno")}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words)


def random_network(family, seed=0, **options):
    """A network of two layers with random weights, and its tokenizer."""
    import torch
    import transformers as t

    if family not in ("phi", "falcon"):
        return make_network(family, seed=seed, head=True), make_tokenizer(family)
    tokenizer = make_tokenizer("gpt2")
    shape = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = t.PhiConfig(**shape, intermediate_size=48) if family == "phi" else t.FalconConfig(**shape)
    network = t.AutoModelForCausalLM.from_config(config, **options).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 1.0 if "embed" in name else 0.3, generator=generator)
    return network, tokenizer


def letter_pairs(n_pairs=3):
    """Prompts of different lengths that differ in one letter, which every tokenizer keeps apart."""
    rng = np.random.default_rng(0)
    columns = ([], [], [], [])
    for number in range(n_pairs):
        *rest, first, second, right, wrong = rng.permutation(list("bcdefghij"))[: 6 + number % 2 * 2].tolist()
        for column, letters in zip(columns, ([first, *rest, "x"], [second, *rest, "x"])):
            column.append(" ".join(letters))
        columns[2].append(f" {right}")
        columns[3].append(f" {wrong}")
    return PatchingPairs(*columns)


def induction_network(noise=0.02, seed=0):
    """A GPT-2 of two layers and four heads each, with weights set by hand.

    Head 1 of layer 0 copies the token before; head 2 of layer 1 looks for a place whose copy is the current token, and
    writes the token that stands there. All other weights are small and random. The residual stream has four parts:
    token, position, token before, output.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    width, n, huge = 4 * N_WORDS, N_WORDS, 1e6
    # A layer norm with a huge constant in its root hardly normalises: what is written can be read as it is.
    config = GPT2Config(
        vocab_size=n,
        n_positions=n,
        n_embd=width,
        n_layer=2,
        n_head=4,
        layer_norm_epsilon=huge,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    network = GPT2LMHeadModel(config).eval()
    generator, one = torch.Generator().manual_seed(seed), torch.eye(n)
    token, position, before, output = (slice(i * n, (i + 1) * n) for i in range(4))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.normal_(0.0, noise, generator=generator) if weight.dim() > 1 else weight.zero_()
            if ".ln_" in name and name.endswith("weight"):
                weight.fill_(huge**0.5)
        body = network.transformer
        body.wte.weight[:] = torch.cat([one, torch.zeros(n, 3 * n)], 1)
        body.wpe.weight[:] = torch.cat([torch.zeros(n, n), one, torch.zeros(n, 2 * n)], 1)
        network.lm_head.weight[:, output] = 4 * one
        for block, head, reads, writes in ((0, 1, (position, position), before), (1, 2, (token, before), output)):
            attention, part = body.h[block].attn, slice(head * n, (head + 1) * n)
            query, key, value = (slice(i * width + part.start, i * width + part.stop) for i in range(3))
            for place, into in ((reads[0], query), (reads[1], key), (token, value)):
                attention.c_attn.weight[:, into] = 0
                attention.c_attn.weight[place, into] = one
            # The place before: queries are turned by one position.
            attention.c_attn.weight[reads[0], query] = 60 * (one.roll(1, 0) if block == 0 else one)
            attention.c_proj.weight[part] = 0
            attention.c_proj.weight[part, writes] = one
    return network, word_tokenizer()


def induction_pairs(n_pairs=8, seed=0):
    """Sequences "... a b ... c d ... a": the answer is b, and d where the first a and c are exchanged."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(n_pairs):
        a, b, c, d, *rest = rng.permutation(list("abcdefghijklmno")).tolist()
        middle, end = rest[: 3 + number % 3], rest[6:9]
        clean, corrupt = [a, b, *middle, c, d, *end, a], [c, b, *middle, a, d, *end, a]
        rows.append((" ".join(clean), " ".join(corrupt), f" {b}", f" {d}"))
    return PatchingPairs(*map(list, zip(*rows)))


def hooks_of(network):
    """Number of hooks on all modules, and of methods that were replaced."""
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())
    return hooks + sum(name in vars(module) for module in network.modules() for name in ("hear", "measure_fit"))


def lively_reasoner(kind, seed=0):
    """A reasoner of three layers with random weights, large enough that every component does something."""
    import torch

    from skicl.reasoning import CausalConfig, CausalReasoner, EquivariantConfig, EquivariantReasoner

    generator = torch.Generator().manual_seed(seed)
    if kind == "causal":
        config = CausalConfig(n_features=4, n_points=20, n_channels=16, n_heads=2, n_layers=3)
        reasoner, louder = CausalReasoner(config), 8.0
    else:
        reasoner, louder = EquivariantReasoner(EquivariantConfig(n_layers=3, n_landmarks=16)), 2.0
    reasoner.reset_parameters(generator)
    with torch.no_grad():
        for name, weight in reasoner.named_parameters():
            if name.endswith(("attention_out.weight", "update_out.weight", ".out.weight")) and "filters" not in name:
                weight.mul_(louder)
    return reasoner.eval()


def class_rows(n_classes=2, n_each=40, seed=0):
    """Rows of overlapping classes, and their labels."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n_each)
    return rng.normal(size=(len(y), 5)) + 2 * rng.normal(size=(n_classes, 5))[y], y
