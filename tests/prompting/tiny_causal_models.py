"""Causal language models of every kind of memory, with tokenizers that split text in different ways."""

from copy import deepcopy
from functools import cache

from encoders.tiny_language_models import make_network, make_tokenizer

from skicl._models._language_model import LanguageModel

POSITIONS = 1024
# gemma has layers with a window of 12 tokens, mamba has no keys and values at all.
FAMILIES = ["gpt2", "llama", "qwen", "gpt_neox", "gemma", "mamba"]
# Positions that are added to the attention or counted by the mask, and more layers with a window.
OTHERS = ["bloom", "opt", "gpt_neo", "mistral"]
TOKENIZERS = ["bytes", "byte pieces", "sentence pieces", "whole pieces"]


@cache
def tokenizer_of(kind):
    """A fast tokenizer: single bytes, byte-level pieces, sentence pieces, or pieces that ignore spaces and lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if kind == "byte pieces":
        return make_tokenizer("gpt2")
    if kind == "sentence pieces":
        return make_tokenizer("llama")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "whole pieces":
        # Merges across spaces, line ends and colons: the end of a prompt is seldom the end of a token.
        text = ["Label: yes\nText: no\nLabel: no\n\nText: yes we can\nLabel: yes"] * 4
        trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=letters, show_progress=False)
        tokenizer.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def network_of(family, *, seed=0, vocabulary=None):
    """A causal network of two layers with its head and random weights."""
    if family != "mamba":
        return make_network(family, seed=seed, positions=POSITIONS, head=True)
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    size = len(make_tokenizer("gpt2")) if vocabulary is None else vocabulary
    config = MambaConfig(vocab_size=size, hidden_size=32, num_hidden_layers=2, state_size=4, time_step_rank=4)
    network = MambaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1 and "A_log" not in name:
                weight.normal_(0.0, 1.0 if "embed" in name else 0.3, generator=generator)
            elif name.endswith("bias"):
                weight.normal_(0.0, 0.1, generator=generator)
    return network


def pair_of(family, *, seed=0, chat=None):
    """A network and its tokenizer, as a user gives them."""
    tokenizer = deepcopy(make_tokenizer("gpt2" if family == "mamba" else family))
    tokenizer.model_max_length = POSITIONS
    tokenizer.chat_template = chat
    return network_of(family, seed=seed), tokenizer


def save_pair(family, folder, *, seed=0):
    """Write both into a folder, and return its path as a string."""
    for part in pair_of(family, seed=seed):
        part.save_pretrained(folder)
    return str(folder)


def model_of(family, *, seed=0):
    """The same as the scoring functions take it."""
    return LanguageModel(*pair_of(family, seed=seed))
