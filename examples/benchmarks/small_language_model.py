"""A causal language model that is trained on the spot, for benchmarks without a pretrained one.

GPT-NeoX of a few million weights, trained for some minutes on texts as they are, without labels. It knows words and
short phrases; it is far too small to learn a task from demonstrations in its prompt.
"""

import json
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

SHAPE = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6, "intermediate_size": 768}
VOCABULARY, POSITIONS = 6000, 1024
LENGTH, BATCH, RATE = 128, 16, 1e-3
END = "<|endoftext|>"


def small_language_model(texts, folder, *, seconds=300, seed=0):
    """Train a tokenizer and a network on texts and save both to a folder, unless they are there.

    Parameters
    ----------
    texts : list of str
        What to train on.
    folder : path
        Where the model is kept.
    seconds : float, default=300
        Time for the steps.
    seed : int, default=0
        Of the weights and the order.

    Returns
    -------
    folder : str
        For ``ContextualEncoder(folder)``.
    """
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    folder = Path(folder)
    if (folder / "training.json").exists():
        return str(folder)
    tokenizer = train_tokenizer(texts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPTNeoXConfig(
            vocab_size=len(tokenizer), max_position_embeddings=POSITIONS, **SHAPE, bos_token_id=0, eos_token_id=0
        )
        network = GPTNeoXForCausalLM(config)
    tokens = token_stream(texts, tokenizer, seed)
    losses = train(network, tokens, seconds, seed)
    network.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    done = {"steps": len(losses), "tokens": len(tokens), "loss": float(np.mean(losses[-50:]))}
    (folder / "training.json").write_text(json.dumps(done), encoding="utf-8")
    return str(folder)


def train_tokenizer(texts):
    """Byte-level pieces of these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    special = {"eos_token": END, "bos_token": END, "pad_token": END}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=POSITIONS, **special)


def token_stream(texts, tokenizer, seed):
    """All texts in random order, each followed by the end token, as one tensor of tokens."""
    order = np.random.default_rng(seed).permutation(len(texts))
    ids = tokenizer([texts[i] for i in order])["input_ids"]
    return torch.tensor([token for row in ids for token in (*row, tokenizer.eos_token_id)])


def train(network, tokens, seconds, seed):
    """Predict the next token of random pieces until the time is over; the losses."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.1, betas=(0.9, 0.95))
    length = min(LENGTH, len(tokens) - 1)
    network.train()
    losses, started = [], perf_counter()
    while (spent := (perf_counter() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (len(losses) + 1) / 100) * (1 - spent)
        starts = torch.randint(len(tokens) - length, (BATCH,), generator=generator)
        ids = torch.stack([tokens[start : start + length] for start in starts])
        loss = network(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses
