import copy
import pickle
import shutil
from types import SimpleNamespace

import pytest
import torch
from encoders.tiny_language_models import (
    CAUSAL,
    FAMILIES,
    FEATURES,
    POSITIONS,
    make_network,
    make_tokenizer,
    save_tiny_model,
)
from sklearn.base import clone

from skicl._models._language_model import (
    LanguageModel,
    find_language_model,
    has_weights,
    live_handle,
    load_language_model,
    open_language_model,
)
from skicl.encoders import LanguageModelEncoder, LiveModel, clear_model_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub, which cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "hub"


def put_into_cache(hub, name, source):
    place = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return place / "snapshots" / COMMIT


@pytest.mark.parametrize("n_tokens", [1, 3, 5, 16])
def test_trials_take_different_plain_tokens_from_all_of_the_vocabulary(n_tokens):
    """The first tokens of many vocabularies are hardly trained, and rounding may count for much there."""
    tokenizer = make_tokenizer("llama")
    tokens = LanguageModel(make_network("llama"), tokenizer).some_tokens(n_tokens)
    assert len(set(tokens)) == len(tokens) == n_tokens
    assert not set(tokens) & set(tokenizer.all_special_ids)
    assert max(tokens) < len(tokenizer)
    steps = [after - before for before, after in zip([0, *tokens], [*tokens, len(tokenizer)])]
    assert max(steps) <= 2 * len(tokenizer) / n_tokens
    assert min(steps) >= 0.2 * len(tokenizer) / n_tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trial_tells_causal_from_masked_models(family):
    assert LanguageModel(make_network(family), make_tokenizer(family)).causal == (family in CAUSAL)


def test_causality_is_not_read_from_the_configuration():
    network = make_network("llama")
    network.config.is_decoder = False
    assert LanguageModel(network, make_tokenizer("llama")).causal
    network = make_network("bert")
    network.config.is_decoder = True
    assert not LanguageModel(network, make_tokenizer("bert")).causal


@pytest.mark.parametrize("family", FAMILIES)
def test_limits(family):
    model = LanguageModel(make_network(family), make_tokenizer(family))
    expected = None if family == "bloom" else POSITIONS
    assert model.limit == model.positions == expected
    assert model.n_layers == 2


def test_the_lower_of_two_limits_counts():
    tokenizer = make_tokenizer("llama")
    network = make_network("llama", positions=64)
    assert LanguageModel(network, tokenizer).limit == 64
    assert LanguageModel(make_network("llama", positions=4096), tokenizer).limit == POSITIONS


def test_the_head_is_not_used():
    with_head = make_network("gpt_neox", head=True)
    model = LanguageModel(with_head, make_tokenizer("gpt_neox"))
    assert model.network is with_head.base_model is not with_head


def test_dropout_is_switched_off():
    network = make_network("gpt2").train()
    handle = live_handle((network, make_tokenizer("gpt2")))
    assert not handle.model.network.training
    network.train()
    assert not load_language_model(handle, None, CPU, None).model.network.training


def test_padding_and_truncation_of_the_tokenizer_play_no_part():
    tokenizer = copy.deepcopy(make_tokenizer("llama"))
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    model = LanguageModel(make_network("llama"), tokenizer)
    plain = LanguageModel(make_network("llama"), make_tokenizer("llama"))
    text = "my card is lost and found"
    assert model.backend.encode(text).ids == plain.backend.encode(text).ids
    assert 3 < len(model.backend.encode(text).ids) < 50


def test_added_tokens():
    tokens = {"llama": ([2], 1), "bert": ([2], 2), "gpt_neox": ([], 0)}
    for family, (first, n_added) in tokens.items():
        model = LanguageModel(make_network(family), make_tokenizer(family))
        assert (model.first_tokens, model.n_added) == (first, n_added)


# -- loading -------------------------------------------------------------------------------------


def test_loaded_once_per_device_and_format(folder):
    clear_model_cache()
    one = load_language_model(folder, None, CPU, None)
    assert load_language_model(folder, None, CPU, "float32") is one
    half = load_language_model(folder, None, CPU, "bfloat16")
    assert half is not one
    assert (one.model.network.dtype, half.model.network.dtype) == (torch.float32, torch.bfloat16)


def test_cached_model_of_transformers_needs_no_network(hub, folder):
    """transformers leaves no mark that the files of sentence-transformers do not exist."""
    snapshot = put_into_cache(hub, "someone/tiny", folder)
    assert find_language_model("someone/tiny") == find_language_model("someone/tiny", "main") == snapshot
    encoder = LanguageModelEncoder("someone/tiny", device="cpu")
    assert encoder.fit_transform(["a"]).shape == (1, FEATURES)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ConnectionError, match="cannot be reached"):
        find_language_model("someone/tiny")


def test_invalid_name(hub):
    with pytest.raises(ValueError, match="neither a folder nor a valid name"):
        find_language_model("some one/!")


def test_all_parts_of_large_weights_must_be_there(tmp_path):
    network = make_network("llama")
    network.save_pretrained(tmp_path, max_shard_size="20KB")
    parts = sorted(tmp_path.glob("*.safetensors"))
    assert len(parts) > 1
    assert has_weights(tmp_path)
    parts[0].unlink()
    assert not has_weights(tmp_path)


def test_loading_prints_nothing(folder, capfd):
    open_language_model(folder, CPU, torch.float32)
    assert capfd.readouterr() == ("", "")


def test_missing_weights_are_reported(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "damaged")
    file = tmp_path / "damaged" / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"lack 1 weights.*layers\.1\.mlp\.up_proj\.weight"):
        open_language_model(tmp_path / "damaged", CPU, torch.float32)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_incomplete_folder_is_refused(folder, tmp_path, missing):
    shutil.copytree(folder, tmp_path / "incomplete")
    (tmp_path / "incomplete" / missing).unlink()
    with pytest.raises(ValueError, match=r"(?s)could not be loaded from .*Expected a folder with a language model"):
        open_language_model(tmp_path / "incomplete", CPU, torch.float32)


def test_encoder_decoder_is_refused(tmp_path):
    from transformers import T5Config, T5Model

    config = T5Config(vocab_size=100, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    config.save_pretrained(tmp_path)
    make_tokenizer("llama").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has an encoder and a decoder \(t5\)"):
        open_language_model(tmp_path, CPU, torch.float32)
    with pytest.raises(ValueError, match=r"holds a network with an encoder and a decoder \(t5\)"):
        LanguageModel(T5Model(config), make_tokenizer("llama"))


# -- live models ---------------------------------------------------------------------------------


def test_a_pair_becomes_a_handle_and_all_else_stays():
    network, tokenizer = make_network("llama"), make_tokenizer("llama")
    for pair in ((network, tokenizer), [network, tokenizer]):
        assert isinstance(live_handle(pair), LiveModel)
    handle = live_handle((network, tokenizer))
    for other in ("ab", ["a", "b"], (network,), 3, None, handle):
        assert live_handle(other) is other


def test_a_handle_that_the_user_made():
    network = make_network("llama")
    handle = LiveModel((network, make_tokenizer("llama")))
    assert load_language_model(handle, None, CPU, None).model.network is network
    encoder = LanguageModelEncoder(handle)
    assert clone(encoder).model is handle


def test_adapters_of_peft_are_seen_through():
    network = make_network("llama", head=True)
    adapted = SimpleNamespace(get_base_model=lambda: network, config=network.config)
    assert LanguageModel(adapted, make_tokenizer("llama")).network is network.base_model


def test_live_model_is_not_pickled():
    encoder = LanguageModelEncoder((make_network("llama"), make_tokenizer("llama")))
    with pytest.raises(pickle.PicklingError, match="live LanguageModel is not pickled"):
        pickle.dumps(encoder)


def test_other_live_objects_are_refused():
    with pytest.raises(TypeError, match=r"holds a network of type Linear\. Expected one of transformers"):
        live_handle((torch.nn.Linear(2, 2), make_tokenizer("llama")))
    with pytest.raises(TypeError, match=r"does not say where in a text a token stands\. Expected a fast tokenizer"):
        live_handle((make_network("llama"), str.split))
    with pytest.raises(TypeError, match=r"holds an object of type int\. Expected a pair"):
        load_language_model(LiveModel(3), None, CPU, None)


def test_device_of_a_live_model_is_left_alone_unless_asked_for(monkeypatch):
    network = make_network("llama")
    moved = []
    monkeypatch.setattr(type(network), "to", lambda self, device: moved.append(device))
    handle = live_handle((network, make_tokenizer("llama")))
    load_language_model(handle, None, torch.device("meta"), None, stay=True)
    assert moved == []
    load_language_model(handle, None, torch.device("meta"), None)
    assert moved == [torch.device("meta")]


def test_a_network_that_does_not_count_its_layers_is_refused():
    network = make_network("llama")
    network.config.get_text_config = lambda *args, **options: SimpleNamespace(model_type="llama")
    with pytest.raises(ValueError, match="does not say how many layers it has: `num_hidden_layers`"):
        _ = LanguageModel(network, make_tokenizer("llama")).n_layers
