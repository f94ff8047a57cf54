"""Fixtures shared by all tests: a tiny sentence-transformers model, built on the spot with random weights."""

import json
import string
import sys
from pathlib import Path

import pytest

# Test files share code by plain import: `import text_battery`.
sys.path.insert(0, str(Path(__file__).parent))

TINY_FEATURES = 16
TINY_TOKENS = 32


def build_tiny_model(folder, seed=0, max_length=TINY_TOKENS):
    """Write a SentenceTransformer of one layer that reads texts letter by letter; about 20 kB."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    vocabulary = {word: i for i, word in enumerate(words)}
    BertTokenizerFast(vocab=vocabulary, model_max_length=max_length).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=TINY_FEATURES,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    network = BertModel(config, add_pooling_layer=False).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "LayerNorm" not in name:
                weight.normal_(0.0, 0.3, generator=generator)
    network.save_pretrained(folder)
    pooling = {"word_embedding_dimension": TINY_FEATURES, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_length}), encoding="utf-8")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Folder of a tiny model: 16 features, texts of up to 32 letters."""
    return str(build_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="session")
def other_tiny_folder(tmp_path_factory):
    """The same with other weights."""
    return str(build_tiny_model(tmp_path_factory.mktemp("models") / "other", seed=1))


@pytest.fixture
def tiny_model(tiny_folder):
    """A live SentenceTransformer, fresh for every test."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(tiny_folder, device="cpu", local_files_only=True)
