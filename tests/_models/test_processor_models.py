import huggingface_hub
import pytest
import torch
from encoders.tiny_vision_audio import build_image_model, image_processor

from skicl._models._processor_models import load_processor_model, processor_kind
from skicl.encoders import LiveModel, clear_model_cache
from skicl.encoders._image_networks import ImageModel

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CPU = torch.device("cpu")
KIND = processor_kind(ImageModel)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny vision transformer."""
    return build_image_model("vit", tmp_path_factory.mktemp("models") / "vit")


@pytest.fixture
def pair(folder):
    """The same in memory."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder), image_processor("vit")


def load(model, **options):
    return load_processor_model(KIND, model, options.pop("revision", None), CPU, options.pop("dtype", None), **options)


def test_pairs_become_handles(pair):
    handle = KIND.live_handle(pair)
    assert isinstance(handle, LiveModel)
    assert handle.model.network is pair[0]
    for other in ("name", handle, None, 3, (1, 2), "ab", [pair[0]]):
        assert KIND.live_handle(other) is other


def test_models_are_checked(pair):
    handle = KIND.live_handle(pair)
    for fine in (("name", "main", "bfloat16"), (handle, None, None)):
        KIND.check_parameters(*fine)
    for wrong, error, message in [
        ((3, None, None), TypeError, r"`model` must be .* a pair \(network, processor\), got 3"),
        (("name", 3, None), TypeError, "`revision` must be a string or None, got 3"),
        ((handle, "main", None), ValueError, "`revision` applies to models of the hub only"),
        ((handle, None, "float16"), ValueError, r"`dtype`='float16' does not apply .* network\.to\(dtype\)"),
    ]:
        with pytest.raises(error, match=message):
            KIND.check_parameters(*wrong)


def test_folder_is_loaded_once_for_each_format(folder):
    clear_model_cache()
    one = load(folder)
    assert load(str(folder)) is one
    half = load(folder, dtype="bfloat16")
    assert half is not one
    assert half.model.network.dtype == torch.bfloat16
    assert one.model.network.dtype == torch.float32
    assert not one.model.network.training
    with pytest.raises(ValueError, match=r"`revision` applies to models of the hub only, and .* is a folder"):
        load(str(folder), revision="main")


def test_folder_that_is_saved_again_is_loaded_again(tmp_path):
    first = load(build_image_model("vit", tmp_path))
    second = load(build_image_model("vit", tmp_path, seed=1))
    assert second is not first
    weights = [loaded.model.network.state_dict()["embeddings.cls_token"] for loaded in (first, second)]
    assert not torch.equal(*weights)


def test_live_model_stays_or_moves(pair):
    handle = KIND.live_handle(pair)
    assert load(handle, stay=True) is handle.loaded
    assert load(handle).model.network is pair[0]
    assert load_processor_model(KIND, handle, None, torch.device("meta"), None).model.network.device.type == "meta"


def test_handle_that_the_user_made(pair):
    handle = LiveModel(pair)
    assert load(handle, stay=True).model.network is pair[0]
    with pytest.raises(TypeError, match=r"`model` holds an object of type dict. Expected a pair"):
        load(LiveModel({}), stay=True)


def test_snapshot_in_the_cache_of_the_hub_needs_no_network(folder, tmp_path, monkeypatch):
    """As transformers leaves it there: without the mark that sentence-transformers looks for."""
    snapshot = tmp_path / "models--some--model" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    (tmp_path / "models--some--model" / "refs").mkdir()
    (tmp_path / "models--some--model" / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    snapshot.symlink_to(folder, target_is_directory=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("the hub was asked"))
    for revision in (None, "main", COMMIT):
        network = load("some/model", revision=revision).model.network
        assert network.config.model_type == "vit"


def test_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here", encoding="utf-8")
    with pytest.raises(ValueError, match=r"could not be loaded from .* written by save_pretrained of transformers"):
        KIND.open(tmp_path, CPU, torch.float32)


def test_missing_weights_are_reported(tmp_path):
    from safetensors.torch import load_file, save_file

    build_image_model("vit", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lacking = next(name for name in weights if name.endswith("layers.0.mlp.fc1.weight") or "0.intermediate" in name)
    del weights[lacking]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="lack 1 weights, which are random numbers now"):
        KIND.open(tmp_path, CPU, torch.float32)
