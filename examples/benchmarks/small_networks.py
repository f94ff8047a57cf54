"""A small network of every causal architecture of the installed transformers, from its configuration alone.

Sizes are those of the tables below; windows, chunks and the switch of a rotary scaling are so short that prompts of a
hundred tokens stand on both sides of each. A token is a byte, so the length of a text is its number of tokens.
"""

import math
from functools import cache

VOCABULARY = 272
POSITIONS = 512
WINDOW = 12
# Where a rotary scaling that depends on length switches.
SWITCH = 64
# Architectures that are tried with dynamic NTK scaling too.
DYNAMIC = ("llama", "phi3")
# Networks with more weights have kept a size that no table knows.
MOST_WEIGHTS = 15_000_000

# What a configuration calls its sizes, and the small value of each.
SIZES = {
    VOCABULARY: ("vocab_size decoder_vocab_size vocab_size_per_layer_input unpadded_vocab_size"),
    POSITIONS: (
        "max_position_embeddings n_positions n_ctx max_seq_len context_length max_target_positions rel_extent "
        "model_max_length"
    ),
    32: (
        "hidden_size d_model n_embd emb_dim word_embed_proj_dim embedding_size lru_width hidden_size_global "
        "input_embedding_size output_embedding_size mamba_d_ssm swa_hidden_size attention_hidden_size "
        "ple_embed_dim"
    ),
    48: (
        "intermediate_size decoder_ffn_dim encoder_ffn_dim ffn_dim ffn_hidden_size dff dim_ff d_inner "
        "feed_forward_size intermediate_size_mlp shared_intermediate_size dense_intermediate_size"
    ),
    16: (
        "head_dim dim_head v_head_dim qk_nope_head_dim kv_lora_rank q_lora_rank moe_intermediate_size "
        "shared_expert_intermediate_size shared_experts_intermediate_size expert_ffn_hidden_size index_head_dim "
        "linear_key_head_dim linear_value_head_dim mamba_d_state mamba_d_head attention_head_size kv_channels "
        "swa_head_dim linear_head_dim attention_head_dim hidden_size_per_layer_input laurel_rank dim_model_base "
        "moe_shared_expert_intermediate_size query_pre_attn_scalar global_head_dim o_lora_rank hc_lowrank"
    ),
    24: ("qk_head_dim"),
    # Scores of the heads of an index are cut at zero: with few of them many tokens come out equal, and chance decides.
    8: (
        "index_n_heads qk_rope_head_dim rotary_dim state_size time_step_rank mamba_dt_rank d_rel gated_norm_rank "
        "loop_gate_rank ssm_state_size index_topk mamba_chunk_size chunk_size lsh_attn_chunk_length "
        "local_attn_chunk_length"
    ),
    4: (
        "num_hidden_layers n_layer n_layers num_layers decoder_layers num_decoder_layers num_experts "
        "n_routed_experts num_local_experts moe_num_experts num_blocks num_conv_layers"
    ),
    2: (
        "num_attention_heads n_head n_heads num_heads decoder_attention_heads attention_heads num_experts_per_tok "
        "num_experts_per_token moe_k moe_topk linear_num_key_heads linear_num_value_heads mamba_n_heads "
        "swa_num_attention_heads linear_num_heads num_decoder_attention_heads sliding_window_pattern "
        "encoder_layers full_attention_interval global_attn_every_n_layers attn_layer_period "
        "no_rope_layer_interval layer_group_size max_window_layers encoder_attention_heads num_encoder_layers "
        "num_encoder_attention_heads zero_expert_num _sliding_window_pattern o_groups n_input_layers "
        "n_recurrent_layers n_output_layers num_layers_per_stack mamba_num_heads expert_layer_period "
        "n_layers_per_attn_res_block num_kv_shared_layers index_topk_blocks heads_per_ngram"
    ),
    1: (
        "num_key_value_heads n_group topk_group num_expert_group n_groups mamba_n_groups attn_layer_offset "
        "first_k_dense_replace num_mem_blocks num_kv_heads expert_layer_offset swa_num_key_value_heads"
    ),
    WINDOW: (
        "sliding_window window_size attention_chunk_size local_attention attention_window_size "
        "sliding_window_size local_attention_window_len keep_window_size index_block_size"
    ),
}
SMALL = {name: value for value, names in SIZES.items() for name in names.split()}
# What belongs to one architecture alone.
OWN = {
    "bamba": {"mamba_n_heads": 4},
    "blt": {"encoder_hash_byte_group_vocab": 101},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in ("sliding_attention", "full_attention")
        },
    },
    "dbrx": {"attn_config": {"kv_n_heads": 1, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "diffllama": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "dory": {"num_hidden_layers": 6},
    "dots1": {"n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2},
    "gemma4_text": {"num_kv_shared_layers": 0},
    "gemma4_unified_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4},
    "granitemoehybrid": {"mamba_n_heads": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "nemotron": {"num_key_value_heads": 1},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "reformer": {"axial_pos_shape": [16, 32], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"] * 2},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 8, "attention_hidden_size": 64, "attention_head_dim": 32},
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid"] * 2,
        "attention_hidden_size": 64,
        "attention_head_dim": 32,
        "num_mem_blocks": 2,
    },
    "zaya": {"num_experts_per_tok": 1},
}


def architectures():
    """Names of the architectures that transformers lists as causal language models, in their order."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


@cache
def byte_tokenizer():
    """A tokenizer with a token for each byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    # Special tokens first, as everywhere; configurations name them by these numbers.
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*special, *letters])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token"), special))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=POSITIONS, **names)


def rotary_kinds(name):
    """Kinds of rotary scaling to try with an architecture: None, and those that switch with the length of a text."""
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[name]().get_text_config()
    parameters = getattr(config, "rope_parameters", None)
    if not (isinstance(parameters, dict) and "rope_theta" in parameters):
        return (None,)
    # Up to the switch of dynamic NTK, which is the most tokens that these models allow, nothing is scaled.
    return (None, "longrope", "dynamic") if name in DYNAMIC else (None, "longrope")


def small_config(name, rotary=None):
    """The configuration of a small network; `rotary` is one of :func:`rotary_kinds`."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[name]
    config = _shrunk(kind, OWN.get(name, {}))
    text = config.get_text_config()
    if rotary is not None:
        _scale(text, rotary)
    if hasattr(config, "is_decoder"):
        config.is_decoder = True
    for each in {id(config): config, id(text): text}.values():
        each.use_cache = True
        each.pad_token_id, each.bos_token_id, each.eos_token_id = 0, 2, 3
    return config


def small_network(name, rotary=None, seed=0):
    """A network with its head, in evaluation mode, with random weights large enough for context to matter.

    A ValueError where it does not get small.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = small_config(name, rotary)
    with torch.device("meta"):
        n_weights = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    if n_weights > MOST_WEIGHTS:
        raise ValueError(f"it has {n_weights:,} weights")
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if weight.dim() > 1 and not any(part in key for part in ("A_log", "conv", "dt_proj")):
                inputs = "embed" in key or "wte" in key
                size = 0.7 if inputs else 1.5 / math.sqrt(weight.shape[-1])
                weight.normal_(0.0, size, generator=generator)
            elif not weight.any():
                weight.normal_(0.0, 0.1, generator=generator)
    return network


def _shrunk(kind, own):
    """A configuration of a class, with small values for all sizes; those of parts within it are shrunk too."""
    given = {}
    for key, value in kind().to_dict().items():
        part = kind.sub_configs.get(key)
        if part is not None and isinstance(value, dict) and hasattr(part, "model_type"):
            try:
                given[key] = _shrunk(part, {})
            except Exception:  # a part that takes its sizes from others stays as it is
                continue
        elif key in SMALL and (key == "head_dim" or (isinstance(value, int | float) and not isinstance(value, bool))):
            given[key] = SMALL[key]
        elif key == "use_sliding_window":
            given[key] = True
    if "kv_lora_rank" in given and "num_key_value_heads" in given:  # latent attention has as many
        given["num_key_value_heads"] = given["num_attention_heads"]
    if "kv_lora_rank" in given and "head_dim" in given:  # and turns a part of a head only
        given["head_dim"] = given["qk_rope_head_dim"]
    return kind(**{**given, **own})


def _scale(config, rotary):
    """Give a configuration a rotary scaling that switches at SWITCH tokens."""
    parameters = dict(config.rope_parameters)
    if rotary == "longrope":
        share = parameters.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None) or 1.0)
        width = getattr(config, "qk_rope_head_dim", None) or getattr(config, "head_dim", None)
        width = int((width or config.hidden_size // config.num_attention_heads) * share) // 2
        factors = {"short_factor": [1.0] * width, "long_factor": [1.0 + 3.0 * i for i in range(width)]}
        parameters |= {"rope_type": "longrope", "factor": POSITIONS / SWITCH, **factors}
        parameters |= {"original_max_position_embeddings": SWITCH}
        if hasattr(config, "original_max_position_embeddings"):
            config.original_max_position_embeddings = SWITCH
    else:
        parameters |= {"rope_type": "dynamic", "factor": 4.0}
        config.max_position_embeddings = SWITCH
    config.rope_parameters = parameters
