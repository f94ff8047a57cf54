"""Language models of every family that the encoders name: two layers, random weights, tokenizers trained here."""

import string
from functools import cache

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits + string.punctuation
CORPUS = [
    "my card is lost",
    "refund please, no refund came yet",
    "cannot log in",
    "Sentence: the parcel is late\nLabel: delivery\n",
    "Sentence: wrong amount on my bill\nLabel: billing\n",
    *LETTERS,
]
POSITIONS = 128
FEATURES = 32
WINDOW = 12

CAUSAL = ["gpt_neox", "bloom", "gpt_neo", "gpt2", "opt", "llama", "qwen", "mistral", "gemma"]
MASKED = ["bert", "roberta", "modernbert"]
FAMILIES = CAUSAL + MASKED
# Families with layers that look back WINDOW tokens only.
WITH_WINDOW = ["gpt_neo", "mistral", "gemma"]
# Families whose tokenizers, here as in reality, begin every text with a token of its own.
WITH_FIRST_TOKEN = ["opt", "llama", "mistral", "gemma"]


@cache
def make_tokenizer(family):
    """A fast tokenizer in the manner of a family: byte-level pieces, sentence pieces or word pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if family in ("bert", "modernbert"):
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer
    elif family in ("llama", "mistral", "gemma"):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    pieces = trainer is trainers.BpeTrainer
    alphabet = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()} if pieces else {}
    trainer = trainer(vocab_size=400, special_tokens=special, show_progress=False, **alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    if family in (*MASKED, *WITH_FIRST_TOKEN):
        around = "<s> $A </s>" if family in MASKED else "<s> $A"
        tokens = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=tokens)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=POSITIONS if family != "bloom" else int(1e30),
        **dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), special)),
    )


def make_network(family, *, seed=0, positions=POSITIONS, head=False):
    """A network of two layers in evaluation mode, with random weights large enough for context to matter."""
    import torch
    import transformers as t

    tokenizer = make_tokenizer(family)
    tokens = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    shape = {"vocab_size": len(tokenizer), "hidden_size": FEATURES, "num_hidden_layers": 2, "num_attention_heads": 2}
    wide = {**shape, "intermediate_size": 48, "max_position_embeddings": positions}
    grouped = {**wide, "num_key_value_heads": 1, "head_dim": 16}
    old = {"vocab_size": len(tokenizer), "n_layer": 2, "n_head": 2}
    config = {
        "gpt_neox": lambda: t.GPTNeoXConfig(**wide, **tokens),
        "bloom": lambda: t.BloomConfig(**old, hidden_size=FEATURES, **tokens),
        "gpt_neo": lambda: t.GPTNeoConfig(
            vocab_size=len(tokenizer),
            hidden_size=FEATURES,
            num_layers=2,
            num_heads=2,
            intermediate_size=48,
            attention_types=[[["global", "local"], 1]],
            window_size=WINDOW,
            max_position_embeddings=positions,
            **tokens,
        ),
        "gpt2": lambda: t.GPT2Config(**old, n_embd=FEATURES, n_positions=positions, **tokens),
        "opt": lambda: t.OPTConfig(
            **shape, ffn_dim=48, max_position_embeddings=positions, word_embed_proj_dim=FEATURES, **tokens
        ),
        "llama": lambda: t.LlamaConfig(**grouped, **tokens),
        "qwen": lambda: t.Qwen3Config(**grouped, **tokens),
        "mistral": lambda: t.MistralConfig(**grouped, sliding_window=WINDOW, **tokens),
        "gemma": lambda: t.Gemma3TextConfig(**grouped, sliding_window=WINDOW, **tokens),
        "bert": lambda: t.BertConfig(**wide, **tokens),
        "roberta": lambda: t.RobertaConfig(**{**wide, "max_position_embeddings": positions + 1}, **tokens),
        "modernbert": lambda: t.ModernBertConfig(**wide, local_attention=WINDOW, **tokens),
    }[family]()
    if head:
        kind = t.AutoModelForMaskedLM if family in MASKED else t.AutoModelForCausalLM
    else:
        kind = t.AutoModel
    network = kind.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1:
                # A head is called embed_out in some versions of transformers.
                wide = ("embed" in name and "embed_out" not in name) or "wte" in name
                weight.normal_(0.0, 1.0 if wide else 0.3, generator=generator)
    return network


def save_tiny_model(family, folder, *, seed=0, positions=POSITIONS, head=True):
    """Write a network, with its head as on the hub, and its tokenizer into a folder; returns its path as a string."""
    make_network(family, seed=seed, positions=positions, head=head).save_pretrained(folder)
    make_tokenizer(family).save_pretrained(folder)
    return str(folder)
