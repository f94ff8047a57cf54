import json
import shutil

import numpy as np
import pytest
import torch
from encoders.tiny_vision_audio import (
    IMAGE_FAMILIES,
    N_PATCHES,
    PIXELS,
    REGISTERS,
    build_image_model,
    image_config,
    image_processor,
    randomised,
    some_images,
)

from skicl.encoders._image_networks import FAMILIES, ImageModel, family_of, open_image_processor


@pytest.fixture(scope="module")
def models():
    """A tiny model of every family, in memory."""
    from transformers import AutoModel

    return {
        family: ImageModel(randomised(AutoModel.from_config(image_config(family))), image_processor(family))
        for family in IMAGE_FAMILIES
    }


def pixels(n=3):
    return torch.randn(n, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(0))


def test_every_family_is_tested():
    assert {image_config(family).model_type for family in IMAGE_FAMILIES} == {
        kind.replace("_vision_model", "") for kind in FAMILIES
    }


@pytest.mark.parametrize("family", IMAGE_FAMILIES)
def test_tokens_after_the_first_are_the_patches(family, models):
    """If the count were wrong, a class token or register would be averaged with the patches."""
    model = models[family]
    model.check()
    with torch.no_grad():
        states = model.network(pixels()).last_hidden_state
    assert states.shape[1] == model.n_first + N_PATCHES
    registers = {"dinov2_with_registers": REGISTERS, "dinov3_vit": REGISTERS}.get(family, 0)
    assert model.n_first == model.family.first_tokens + registers
    expected = states[:, -N_PATCHES:].mean(dim=1)
    torch.testing.assert_close(model.vectors(pixels(), *model.resolve(-1, "mean")), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", IMAGE_FAMILIES)
def test_auto_is_the_summary_of_the_family(family, models):
    model = models[family]
    with torch.no_grad():
        output = model.network(pixels())
    expected = output.pooler_output if family in ("clip", "siglip") else output.last_hidden_state[:, 0]
    torch.testing.assert_close(model.vectors(pixels(), *model.resolve(-1, "auto")), expected, rtol=1e-4, atol=1e-5)
    assert model.resolve(0, "auto") == ((0,), "mean" if family == "siglip" else "cls")


def test_vectors_carry_no_gradients(models):
    for pooling in ("cls", "mean", "pooler"):
        vectors = models["vit"].vectors(pixels(), *models["vit"].resolve(-1, pooling))
        assert not vectors.requires_grad
        assert vectors.dtype == torch.float32


def test_networks_of_other_kinds_are_refused(models):
    with pytest.raises(ValueError, match=r"`model` is of type 'resnet'. Expected one of clip, clip_vision_model, deit"):
        family_of("resnet")
    processor = image_processor("vit")
    with pytest.raises(TypeError, match=r"holds a network of type Linear. Expected one of transformers"):
        ImageModel(torch.nn.Linear(2, 2), processor).check()
    with pytest.raises(TypeError, match=r"holds a processor of type str. Expected an image processor"):
        ImageModel(models["vit"].network, "vit").check()


def test_processor_of_a_pair_for_texts_and_images(models):
    class Processor:
        image_processor = image_processor("clip")

    ImageModel(models["clip"].network, Processor()).check()


# -- image processors ----------------------------------------------------------------------------


def save_settings(folder, settings, file="preprocessor_config.json"):
    (folder / file).write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"image_processor_type": "ViTImageProcessor"}, "ViTImageProcessor"),
        ({"image_processor_type": "ViTImageProcessorFast"}, "ViTImageProcessor"),
        ({"image_processor_type": "ViTImageProcessorPil"}, "ViTImageProcessor"),
        ({"image_processor_type": "ViTFeatureExtractor"}, "ViTImageProcessor"),
        ({"feature_extractor_type": "CLIPFeatureExtractor"}, "CLIPImageProcessor"),
        ({"image_processor_type": "DINOv3ViTImageProcessorFast"}, "ViTImageProcessor"),
        ({}, "BitImageProcessor"),
    ],
)
def test_names_of_processors_old_and_new(settings, expected, tmp_path):
    size = {"height": 20, "width": 30}
    save_settings(tmp_path, {**settings, "size": size, "image_mean": [0.1, 0.2, 0.3]})
    processor = open_image_processor(tmp_path, "BitImageProcessor")
    assert type(processor).__name__.removesuffix("Pil") == expected
    assert list(processor.image_mean) == [0.1, 0.2, 0.3]
    assert dict(processor.size) == size


def test_processor_in_the_file_of_a_pair(tmp_path):
    settings = {"image_processor": {"image_processor_type": "ViTImageProcessor", "image_mean": [0.1, 0.2, 0.3]}}
    save_settings(tmp_path, {"tokenizer": {}}, "processor_config.json")
    with pytest.raises(FileNotFoundError, match=r"no preprocessor_config\.json"):
        open_image_processor(tmp_path, "ViTImageProcessor")
    save_settings(tmp_path, settings, "processor_config.json")
    assert list(open_image_processor(tmp_path, "CLIPImageProcessor").image_mean) == [0.1, 0.2, 0.3]


def test_processor_that_needs_torchvision_gets_an_install_line(tmp_path, monkeypatch):
    import transformers

    class OnlyTorchvision:
        @staticmethod
        def from_pretrained(*_, **__):
            raise ImportError("requires the Torchvision library")

    monkeypatch.setattr(transformers, "OnlyTorchvision", OnlyTorchvision, raising=False)
    save_settings(tmp_path, {"image_processor_type": "OnlyTorchvision"})
    with pytest.raises(ImportError, match=r"OnlyTorchvision of `model` needs torchvision.*pip install torchvision"):
        open_image_processor(tmp_path, "ViTImageProcessor")


def test_unknown_processor_is_named(tmp_path):
    save_settings(tmp_path, {"image_processor_type": "NobodysImageProcessor"})
    with pytest.raises(ValueError, match="its image processor 'NobodysImageProcessor' is unknown"):
        open_image_processor(tmp_path, "ViTImageProcessor")


def test_dinov3_is_prepared_as_its_authors_do(tmp_path):
    """Scale, resize as floats with anti-aliasing, normalise: the steps of its processor, done here by torch alone."""
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    settings = {"size": {"height": PIXELS, "width": PIXELS}, "image_mean": mean, "image_std": deviation, "resample": 2}
    save_settings(tmp_path, {**settings, "image_processor_type": "DINOv3ViTImageProcessorFast"})
    processor = open_image_processor(tmp_path, "ViTImageProcessor")
    for image in some_images():
        scaled = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        resized = torch.nn.functional.interpolate(
            scaled, (PIXELS, PIXELS), mode="bilinear", antialias=True, align_corners=False
        )
        expected = (resized - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]
        found = processor(images=[image], return_tensors="np", input_data_format="channels_last")["pixel_values"]
        # One step of 8 bits, in the units of the normalised pixels.
        assert np.abs(found - expected.numpy()).max() < 1.01 / 255 / min(deviation)


def test_folder_without_a_processor_is_refused(tmp_path):
    from skicl.encoders import ImageEncoder

    shutil.copytree(build_image_model("vit", tmp_path / "full"), tmp_path / "without")
    (tmp_path / "without" / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"could not be loaded .*no preprocessor_config\.json"):
        ImageEncoder(tmp_path / "without", device="cpu").fit(some_images())
