"""The tiny language model before its training: a tokenizer for the words of the episodes, and weights to start from."""

from typing import Any

import torch


def tiny_language_model(
    seed: int = 0,
    *,
    induction: bool = True,
    hidden_size: int = 128,
    num_hidden_layers: int = 3,
    num_attention_heads: int = 4,
    intermediate_size: int = 256,
    max_position_embeddings: int = 1024,
) -> tuple[Any, Any]:
    """A GPT-NeoX of half a million weights, and a tokenizer for the words of the episodes.

    Networks of this size take very long to find out by themselves that an answer can be looked up in the context. The
    first two layers therefore start as the circuit that large models are known to form, induction heads [1]_: the heads
    of the first layer bring to every token what stands one, two, ... places before it, those of the second look for
    tokens behind the same words and repeat what they find. Training is free to change all of it.

    Parameters
    ----------
    seed : int, default=0
        Seed of the weights.
    induction : bool, default=True
        Whether the first two layers start as induction heads. False means random weights everywhere.
    hidden_size : int, default=128
        Channels of a token, as in :class:`transformers.GPTNeoXConfig`, like all that follow.
    num_hidden_layers : int, default=3
        Number of layers.
    num_attention_heads : int, default=4
        Heads of a layer.
    intermediate_size : int, default=256
        Hidden units of a layer.
    max_position_embeddings : int, default=1024
        Most tokens of a prompt.

    Returns
    -------
    network : transformers.GPTNeoXForCausalLM
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerFast
        Of 1024 pieces at most; it can write any text.

    Raises
    ------
    ValueError
        If there are fewer than two layers or heads for induction heads.

    References
    ----------
    .. [1] Olsson et al. (2022), "In-context learning and induction heads".

    Examples
    --------
    >>> from skicl.pretraining import tiny_language_model
    >>> network, tokenizer = tiny_language_model(hidden_size=48, num_hidden_layers=2, num_attention_heads=2)
    >>> tokenizer.tokenize("a dog barks")
    ['a', 'Ġdog', 'Ġb', 'ar', 'k', 's']
    """
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    tokenizer = lexicon_tokenizer()
    if induction and min(num_hidden_layers, num_attention_heads) < 2:
        raise ValueError(
            f"`induction` needs two layers and two heads, got {num_hidden_layers} and "
            f"{num_attention_heads}. Take more of them, or induction=False."
        )
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}
    end = tokenizer.eos_token_id
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=num_attention_heads,
        intermediate_size=intermediate_size,
        max_position_embeddings=max_position_embeddings,
        tie_word_embeddings=True,
        attention_bias=True,
        use_parallel_residual=False,
        hidden_act="gelu",
        rope_parameters=rope,
        bos_token_id=end,
        eos_token_id=end,
    )
    with torch.random.fork_rng(devices=[]):
        network = GPTNeoXForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() == 2:
                adds_to_the_stream = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
                deviation = hidden_size**-0.5 if "embed" in name else weight.shape[1] ** -0.5
                weight.normal_(0.0, deviation * (0.1 if adds_to_the_stream else 1.0), generator=generator)
            elif name.endswith("bias"):
                weight.zero_()
        if induction:
            start_as_induction_heads(network, generator)
    return network, tokenizer


def start_as_induction_heads(
    network: Any,
    generator: torch.Generator,
    *,
    sharpness: float = 10.0,
    gain: float = 0.07,
    match: float = 3.0,
    copy: float = 1.0,
) -> None:
    """Set the attention of the first two layers of a GPT-NeoX to look up what followed the same words before."""
    width, n_heads = network.config.hidden_size, network.config.num_attention_heads
    size = width // n_heads
    frequencies = network.gpt_neox.rotary_emb.inv_freq
    rotated = 2 * len(frequencies)
    token = torch.linalg.qr(torch.randn(width, size, generator=generator))[0].T
    channels = torch.linalg.qr(torch.randn(width, width, generator=generator))[0].view(width, n_heads, size)
    words = torch.linalg.qr(torch.randn(width, width, generator=generator))[0].view(width, n_heads, size)
    for layer in (0, 1):
        attention = network.gpt_neox.layers[layer].attention
        reading = attention.query_key_value.weight.view(n_heads, 3, size, width)
        bias = attention.query_key_value.bias.view(n_heads, 3, size)
        writing = attention.dense.weight.view(width, n_heads, size)
        for head in range(n_heads):
            if layer == 0:  # bring the token `head + 1` places back into the channels of this head
                angle = frequencies * (head + 1)
                bias[head, 0, : rotated // 2] = sharpness
                bias[head, 1, : rotated // 2] = sharpness * angle.cos()
                bias[head, 1, rotated // 2 : rotated] = sharpness * angle.sin()
                reading[head, :2] *= 0.1
                reading[head, 2], writing[:, head] = token, gain * channels[:, head]
            else:  # what stood `head + 1` places before here, against one place more there
                there = min(head + 1, n_heads - 1)
                reading[head, :2] = 0.0
                reading[head, 0, rotated:] = match * channels[:, head, : size - rotated].T
                reading[head, 1, rotated:] = match * channels[:, there, : size - rotated].T
                reading[head, 2], writing[:, head] = words[:, head].T, copy * words[:, head]


def lexicon_tokenizer() -> Any:
    """Byte pieces in which a word of the lexicon, with the space before it, is one token; any text can be written.

    >>> from skicl.pretraining._language_models._tiny_model import lexicon_tokenizer
    >>> tokenizer = lexicon_tokenizer()
    >>> tokenizer.decode(tokenizer("Any text, even ∑.")["input_ids"])
    'Any text, even ∑.'
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from skicl.pretraining._language_models._episodes import training_words

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\n|\s"), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_words(), trainer)
    special = {name: "<|endoftext|>" for name in ("eos_token", "pad_token")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=1024, **special)
