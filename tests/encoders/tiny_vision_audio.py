"""Tiny networks for images and sound, one of every family, built on the spot with random weights."""

from pathlib import Path

import numpy as np

FEATURES = 16
PIXELS = 24
PATCH = 8
N_PATCHES = (PIXELS // PATCH) ** 2
LAYERS = 2
REGISTERS = 3
SIZES = {"hidden_size": FEATURES, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 32}
SQUARE = {"height": PIXELS, "width": PIXELS}

# Samples per second, and the window of Whisper in seconds, much shorter than in the real ones.
RATE = 16000
WINDOW = 1
CONVOLUTIONS = {"conv_dim": [8, 8, 8], "conv_kernel": [10, 8, 4], "conv_stride": [5, 8, 8]}
RECEPTIVE_FIELD = 10 + 5 * (8 - 1) + 5 * 8 * (4 - 1)


def build_image_model(family, folder, seed=0):
    """Save a tiny network and its image processor into a folder; about 50 kB."""
    from transformers import AutoModel

    network = randomised(AutoModel.from_config(image_config(family)), seed)
    network.save_pretrained(folder)
    image_processor(family).save_pretrained(folder)
    return Path(folder)


def image_config(family):
    """The configuration of a tiny network for images."""
    import transformers

    vision = {"image_size": PIXELS, "patch_size": PATCH, **SIZES}
    text = {"vocab_size": 20, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1, **SIZES}
    text["projection_size"] = FEATURES
    return {
        "vit": lambda: transformers.ViTConfig(**vision),
        "deit": lambda: transformers.DeiTConfig(**vision),
        "dinov2": lambda: transformers.Dinov2Config(**vision, mlp_ratio=2),
        "dinov2_with_registers": lambda: transformers.Dinov2WithRegistersConfig(
            **vision, mlp_ratio=2, num_register_tokens=REGISTERS
        ),
        "dinov3_vit": lambda: transformers.DINOv3ViTConfig(**vision, num_register_tokens=REGISTERS),
        "clip": lambda: transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=FEATURES),
        "siglip": lambda: transformers.SiglipConfig(vision_config=vision, text_config=text),
    }[family]()


def image_processor(family):
    """The processor with Pillow that goes with a family, for images of PIXELS x PIXELS."""
    name, options = {
        "vit": ("ViTImageProcessor", {"size": SQUARE}),
        "deit": ("DeiTImageProcessor", {"size": {"height": 28, "width": 28}, "crop_size": SQUARE}),
        "dinov2": ("BitImageProcessor", {"size": {"shortest_edge": 28}, "crop_size": SQUARE}),
        "dinov2_with_registers": ("BitImageProcessor", {"size": {"shortest_edge": 28}, "crop_size": SQUARE}),
        "dinov3_vit": ("ViTImageProcessor", {"size": SQUARE}),
        "clip": ("CLIPImageProcessor", {"size": {"shortest_edge": PIXELS}, "crop_size": SQUARE}),
        "siglip": ("SiglipImageProcessor", {"size": SQUARE}),
    }[family]
    return processor_class(name)(**options)


def processor_class(name):
    """The class of transformers that computes with Pillow; recent versions call it ...Pil."""
    import transformers

    return getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)


def build_audio_model(family, folder, seed=0):
    """Save a tiny network and its feature extractor into a folder."""
    from transformers import AutoModel

    network = randomised(AutoModel.from_config(audio_config(family)), seed)
    network.save_pretrained(folder)
    feature_extractor(family).save_pretrained(folder)
    return Path(folder)


def audio_config(family):
    """The configuration of a tiny network for sound."""
    import transformers

    positions = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    sampled = {**SIZES, **CONVOLUTIONS, **positions, "num_feat_extract_layers": 3}
    stable = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    return {
        "whisper": lambda: transformers.WhisperConfig(
            vocab_size=20,
            num_mel_bins=20,
            d_model=FEATURES,
            encoder_layers=LAYERS,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_source_positions=50 * WINDOW,
            max_target_positions=8,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
            begin_suppress_tokens=None,
        ),
        "wav2vec2 base": lambda: transformers.Wav2Vec2Config(**sampled),
        "wav2vec2 large": lambda: transformers.Wav2Vec2Config(**sampled, **stable),
        "hubert base": lambda: transformers.HubertConfig(**sampled),
        "hubert large": lambda: transformers.HubertConfig(**sampled, **stable),
        "wavlm": lambda: transformers.WavLMConfig(**sampled, **stable),
        "data2vec": lambda: transformers.Data2VecAudioConfig(**sampled, conv_pos_kernel_size=5),
    }[family]()


def feature_extractor(family):
    """The feature extractor that goes with a family."""
    from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    if family == "whisper":
        return WhisperFeatureExtractor(feature_size=20, chunk_length=WINDOW)
    return Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=family.endswith("large"))


def randomised(network, seed=0):
    """The network with weights large enough that its output depends on its input."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 0.3, generator=generator)
            elif "norm" not in name.lower() and "scale" not in name and "lambda" not in name:
                weight.normal_(0.0, 0.1, generator=generator)
    return network.eval()


IMAGE_FAMILIES = ["vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "clip", "siglip"]
AUDIO_FAMILIES = ["whisper", "wav2vec2 base", "wav2vec2 large", "hubert base", "hubert large", "wavlm", "data2vec"]


def some_images(n=6, seed=0):
    """Smooth colour images of different sizes, uint8 (height, width, 3)."""
    generator = np.random.default_rng(seed)
    images = []
    for i in range(n):
        height, width = 20 + 3 * i, 34 - 2 * i
        coarse = generator.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
        images.append(coarse[rows][:, columns])
    return images


def some_recordings(n=6, seed=0, rate=RATE):
    """Mixtures of tones of different lengths, float64 between -1 and 1."""
    generator = np.random.default_rng(seed)
    recordings = []
    for i in range(n):
        time = np.arange(int(rate * (0.05 + 0.11 * i))) / rate
        tones = [np.sin(2 * np.pi * hertz * time) for hertz in generator.uniform(200, 3000, 3)]
        recordings.append(0.3 * sum(tones) + 0.01 * generator.standard_normal(len(time)))
    return recordings
