import pickle
import shutil
import threading
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import torch
from encoders.item_laws import CLOSE, LAWS, name_of
from encoders.tiny_vision_audio import IMAGE_FAMILIES, build_image_model, image_processor, some_images
from PIL import Image
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from skicl.encoders import ImageEncoder, LiveModel, SentenceEncoder, clear_model_cache

IMAGES = some_images()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of a tiny model of every family."""
    root = tmp_path_factory.mktemp("image models")
    return {family: build_image_model(family, root / family) for family in IMAGE_FAMILIES}


def encoder(folder, **options):
    return ImageEncoder(folder, device="cpu", **options)


def transformers_tower(folder, family):
    """The part of a network for images, as transformers itself loads it."""
    import transformers

    name = {"clip": "CLIPVisionModel", "siglip": "SiglipVisionModel"}.get(family, "AutoModel")
    return getattr(transformers, name).from_pretrained(folder)


@pytest.mark.parametrize("law", LAWS, ids=name_of)
@pytest.mark.parametrize("family", ["vit", "clip"])
def test_laws(law, family, folders, monkeypatch):
    law(encoder(folders[family]), IMAGES, monkeypatch)


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_checks_of_scikit_learn(folders):
    check_estimator(encoder(folders["vit"]))


@pytest.mark.parametrize("family", IMAGE_FAMILIES)
def test_vectors_are_those_of_transformers(family, folders):
    """The model's own processor and network, image by image, with the pooling of its authors."""
    network, processor = transformers_tower(folders[family], family), image_processor(family)
    vectors = encoder(folders[family]).fit_transform(IMAGES)
    for image, vector in zip(IMAGES, vectors):
        with torch.no_grad():
            output = network(**processor(images=Image.fromarray(image), return_tensors="pt"))
        own = output.pooler_output if family in ("clip", "siglip") else output.last_hidden_state[:, 0]
        np.testing.assert_allclose(vector, own[0], **CLOSE)


@pytest.mark.parametrize("family", IMAGE_FAMILIES)
@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_one_by_one_equals_batch(family, pooling, folders):
    one = encoder(folders[family], pooling=pooling).fit(IMAGES)
    together = one.transform(IMAGES)
    assert np.abs(together - together[0]).max() > 0.01
    np.testing.assert_allclose(np.concatenate([one.transform([image]) for image in IMAGES]), together, **CLOSE)


def test_paths_bytes_images_and_arrays_give_equal_vectors(folders, tmp_path):
    expected = encoder(folders["vit"]).fit_transform(IMAGES)
    paths, data = [], []
    for i, image in enumerate(IMAGES):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
        data.append(paths[-1].read_bytes())
    mixed = [str(paths[0]), paths[1], data[2], Image.fromarray(IMAGES[3]), *IMAGES[4:]]
    for X in (paths, [str(path) for path in paths], data, [Image.fromarray(image) for image in IMAGES], mixed):
        np.testing.assert_array_equal(encoder(folders["vit"]).fit_transform(X), expected)
    frame = pd.DataFrame({"picture": [str(path) for path in paths]})
    np.testing.assert_array_equal(encoder(folders["vit"]).fit_transform(frame), expected)


def test_stack_of_images(folders):
    stack = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3)).astype(np.uint8)
    one = encoder(folders["vit"]).fit(stack)
    np.testing.assert_array_equal(one.transform(stack), one.transform(list(stack)))
    grey = stack[..., 0]
    np.testing.assert_array_equal(one.transform(grey), one.transform(np.stack([grey] * 3, axis=3)))


def test_colour_counts(folders):
    """The original code of TART turned every image grey."""
    one = encoder(folders["vit"]).fit(IMAGES)
    vectors = one.transform([IMAGES[0], IMAGES[0][:, :, ::-1]])
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_inner_layers(folders):
    network = transformers_tower(folders["vit"], "vit")
    pixels = image_processor("vit")(images=Image.fromarray(IMAGES[0]), return_tensors="pt")
    with torch.no_grad():
        output = network(**pixels, output_hidden_states=True)
    for layers, expected in [
        (1, output.hidden_states[1]),
        (-2, output.hidden_states[1]),
        (0.5, output.hidden_states[1]),
        (-1, output.last_hidden_state),
        ([1, -1], (output.hidden_states[1] + output.last_hidden_state) / 2),
    ]:
        found = encoder(folders["vit"], layers=layers, pooling="cls").fit_transform(IMAGES[:1])
        np.testing.assert_allclose(found[0], expected[0, 0], **CLOSE)


def test_unit_length(folders):
    vectors = encoder(folders["vit"], normalize=True).fit_transform(IMAGES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_bfloat16_is_close_to_float32(folders):
    exact = encoder(folders["dinov2"]).fit_transform(IMAGES)
    rough = encoder(folders["dinov2"], dtype="bfloat16").fit_transform(IMAGES)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max()
    cosine = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.99


def test_processor_without_a_fixed_size_gives_equal_vectors(tmp_path, folders):
    """Images of several shapes in one batch; DINOv2 takes any size."""
    shutil.copytree(folders["dinov2"], tmp_path / "free")
    processor = image_processor("dinov2")
    processor.do_center_crop = False
    processor.save_pretrained(tmp_path / "free")
    one = encoder(tmp_path / "free").fit(IMAGES)
    together = one.transform(IMAGES)
    np.testing.assert_allclose(np.concatenate([one.transform([image]) for image in IMAGES]), together, **CLOSE)


# -- the cache -----------------------------------------------------------------------------------


def test_cache_keeps_layers_poolings_and_models_apart(folders, tmp_path):
    options = [{}, {"layers": 1}, {"pooling": "mean"}, {"dtype": "bfloat16"}, {"normalize": True}]
    for family in ("vit", "deit"):
        for option in options:
            cached = encoder(folders[family], cache=tmp_path / "cache", **option)
            for _ in range(2):
                np.testing.assert_allclose(
                    cached.fit_transform(IMAGES), encoder(folders[family], **option).fit_transform(IMAGES), **CLOSE
                )


def test_file_that_changes_is_encoded_again(folders, tmp_path):
    one = encoder(folders["vit"], cache=tmp_path / "cache")
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    before = one.fit_transform([tmp_path / "a.png"])
    Image.fromarray(IMAGES[1]).save(tmp_path / "a.png")
    after = one.transform([tmp_path / "a.png"])
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, encoder(folders["vit"]).fit_transform([IMAGES[1]]), **CLOSE)


# -- models in memory ----------------------------------------------------------------------------


def test_live_pair_gives_equal_vectors_and_is_not_copied(folders):
    network = transformers_tower(folders["vit"], "vit")
    live = encoder((network, image_processor("vit")))
    np.testing.assert_allclose(live.fit_transform(IMAGES), encoder(folders["vit"]).fit_transform(IMAGES), **CLOSE)
    assert clone(live).model is live.model
    assert live.model.model.network is network
    assert repr(live) == "ImageEncoder(device='cpu', model=LiveModel(ImageModel))"
    with pytest.raises(pickle.PicklingError, match=r"live ImageModel is not pickled.*model='path/to/folder'"):
        pickle.dumps(live)
    handle = LiveModel((network, image_processor("vit")))
    np.testing.assert_array_equal(encoder(handle).fit_transform(IMAGES), live.transform(IMAGES))


def test_only_the_vision_tower_runs(folders, monkeypatch):
    """Of CLIP and SigLIP in memory; of a folder only the tower is loaded."""
    from transformers import AutoModel

    for family in ("clip", "siglip"):
        network = AutoModel.from_pretrained(folders[family])
        for part in network.text_model.modules():
            monkeypatch.setattr(part, "forward", lambda *_, **__: pytest.fail("the part for texts ran"))
        live = encoder((network, image_processor(family)))
        np.testing.assert_allclose(live.fit_transform(IMAGES), encoder(folders[family]).fit_transform(IMAGES), **CLOSE)
        loaded = encoder(folders[family])._load(torch.device("cpu")).model.network
        assert not [name for name, _ in loaded.named_parameters() if "text" in name]


def test_classifier_in_memory_is_read_below_its_head(folders):
    from transformers import ViTForImageClassification

    network = ViTForImageClassification.from_pretrained(folders["vit"])
    live = encoder((network, image_processor("vit")))
    np.testing.assert_allclose(live.fit_transform(IMAGES), encoder(folders["vit"]).fit_transform(IMAGES), **CLOSE)


def test_clones_share_one_model(folders, monkeypatch):
    from skicl.encoders import _image_networks

    clear_model_cache()
    opened, original = [], _image_networks.ImageModel.open
    monkeypatch.setattr(
        _image_networks.ImageModel, "open", staticmethod(lambda *args: opened.append(args) or original(*args))
    )
    one = encoder(folders["vit"]).fit(IMAGES)
    clone(one).set_params(pooling="mean", layers=1).fit(IMAGES)
    pickle.loads(pickle.dumps(one)).transform(IMAGES)
    assert len(opened) == 1


def test_threads_give_equal_vectors(folders):
    one = encoder(folders["vit"], batch_size=2).fit(IMAGES)
    expected, found = one.transform(IMAGES), []
    threads = [threading.Thread(target=lambda: found.append(one.transform(IMAGES))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for vectors in found:
        np.testing.assert_array_equal(vectors, expected)


def test_loading_prints_nothing(folders, capfd):
    clear_model_cache()
    encoder(folders["clip"]).fit_transform(IMAGES)
    assert capfd.readouterr() == ("", "")


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, got 0"),
        ({"layers": 7}, ValueError, "`layers`=7: the model has no layer 7. Expected -3 to 2"),
        ({"layers": "last"}, ValueError, "`layers` must be"),
        ({"pooling": "max"}, ValueError, "`pooling` must be one of 'auto', 'cls', 'mean', 'pooler', got 'max'"),
        ({"pooling": "pooler", "layers": 1}, ValueError, "`pooling`='pooler' reads the last layer"),
        ({"normalize": "l2"}, ValueError, "`normalize` must be True or False, got 'l2'"),
        ({"dtype": "int8"}, ValueError, "`dtype` must be None or one of"),
        ({"revision": "main"}, ValueError, "`revision` applies to models of the hub only"),
        ({"revision": 3}, TypeError, "`revision` must be a string or None"),
        ({"device": "gpu"}, ValueError, "`device`='gpu' is not a device"),
        ({"cache": 3.5}, TypeError, "`cache` must be"),
        ({"model": None}, TypeError, "`model` must be the name or the path of a model .* pair"),
        ({"model": "./absent"}, ValueError, "`model`='./absent' does not exist"),
    ],
)
def test_bad_parameters_are_refused(folders, options, error, message):
    with pytest.raises(error, match=message):
        ImageEncoder(**{"model": folders["vit"], "device": "cpu", **options}).fit(IMAGES)


def test_class_token_of_a_network_without_one_is_refused(folders):
    with pytest.raises(ValueError, match=r"`pooling`='cls': a network of type siglip_vision_model has no class token"):
        encoder(folders["siglip"], pooling="cls").fit(IMAGES)


def test_pooler_without_weights_is_refused(folders, tmp_path):
    from transformers import ViTForImageClassification

    ViTForImageClassification.from_pretrained(folders["vit"]).save_pretrained(tmp_path)
    image_processor("vit").save_pretrained(tmp_path)
    np.testing.assert_allclose(
        encoder(tmp_path).fit_transform(IMAGES), encoder(folders["vit"]).fit_transform(IMAGES), **CLOSE
    )
    with pytest.raises(ValueError, match=r"`pooling`='pooler': this model .* saved without the weights of its pooler"):
        encoder(tmp_path, pooling="pooler").fit(IMAGES)


def test_dtype_of_a_live_model_is_refused(folders):
    pair = (transformers_tower(folders["vit"], "vit"), image_processor("vit"))
    with pytest.raises(ValueError, match=r"`dtype`='bfloat16' does not apply to a model in memory"):
        encoder(pair, dtype="bfloat16").fit(IMAGES)


def test_other_models_are_refused(tiny_folder, tiny_model):
    with pytest.raises(ValueError, match=r"could not be loaded .*`model` is of type 'bert'. Expected one of clip, "):
        encoder(tiny_folder).fit(IMAGES)
    with pytest.raises(TypeError, match="`model` must be the name or the path"):
        encoder(tiny_model).fit(IMAGES)
    with pytest.raises(TypeError, match="`model` holds an object of type SentenceTransformer"):
        encoder(SentenceEncoder(tiny_model).model).fit(IMAGES)


def test_damaged_file_is_named_and_nothing_is_fitted(folders, tmp_path):
    file = BytesIO()
    Image.fromarray(IMAGES[0]).save(file, format="PNG")
    with pytest.raises(ValueError, match="cannot be read at position 3: "):
        encoder(folders["vit"], batch_size=2).fit_transform([*IMAGES[:3], file.getvalue()[:-40], *IMAGES[3:]])


def test_unreachable_hub_is_found_out(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        huggingface_hub.HfApi, "model_info", lambda *_, **__: (_ for _ in ()).throw(OSError("no route"))
    )
    with pytest.raises(ConnectionError, match="some/model' is not on this machine"):
        ImageEncoder("some/model", device="cpu").fit(IMAGES)
