"""Vision transformers: which part of a network sees images, which of its tokens are patches, what sums them up.

Shapes: B images, T tokens, D features, H and W pixels.
"""

import json
from typing import NamedTuple

from skicl._models._states import pool, resolve_layers, states_of

POOLINGS = ("auto", "cls", "mean", "pooler")


class Family(NamedTuple):
    """What has to be known about a kind of vision transformer.

    The number of tokens before the patches, registers not counted, of which the first, if any, is the class token; the
    pooling that its authors use; the image processor of checkpoints that do not name one.
    """

    first_tokens: int
    summary: str
    processor: str


# By the model type in the configuration of the part that sees images.
FAMILIES = {
    "vit": Family(1, "cls", "ViTImageProcessor"),
    "deit": Family(2, "cls", "DeiTImageProcessor"),
    "dinov2": Family(1, "cls", "BitImageProcessor"),
    "dinov2_with_registers": Family(1, "cls", "BitImageProcessor"),
    "dinov3_vit": Family(1, "cls", "ViTImageProcessor"),
    "clip_vision_model": Family(1, "pooler", "CLIPImageProcessor"),
    "siglip_vision_model": Family(0, "pooler", "SiglipImageProcessor"),
}
# Networks for images and texts: the model type of the part for images.
_PARTS = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
# The class of transformers that loads this part alone.
_CLASSES = {"clip_vision_model": "CLIPVisionModel", "siglip_vision_model": "SiglipVisionModel"}
# Written for torchvision only, and equal to another but for the rounding of pixels to 8 bits after the resize.
_SAME_WITHOUT_TORCHVISION = {"DINOv3ViTImageProcessor": "ViTImageProcessor"}


class ImageModel:
    """A frozen network that gives a vector for every patch of an image, and the processor that goes with it.

    Of a network with a head, or with a part for texts, only what sees images is used. `random_pooler` says that the
    weights of the pooler were missing, so that it cannot be used.
    """

    def __init__(self, network, processor, random_pooler=False):
        base = network.base_model if "For" in type(network).__name__ else network
        self.network = getattr(base, "vision_model", base)
        self.processor = getattr(processor, "image_processor", processor)
        self.random_pooler = random_pooler

    @staticmethod
    def open(folder, dtype):
        """Load both parts from the folder of a complete model, on the CPU."""
        import transformers

        model_type = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True).model_type
        kind = _PARTS.get(model_type, model_type)
        family = family_of(kind)
        processor = open_image_processor(folder, family.processor)
        network, report = getattr(transformers, _CLASSES.get(kind, "AutoModel")).from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, output_loading_info=True
        )
        return ImageModel(network, processor, any("pooler." in name for name in report["missing_keys"]))

    def check(self):
        """Refuse a network of an unknown kind, or something else in place of a processor."""
        from transformers.image_processing_utils import BaseImageProcessor

        if not hasattr(getattr(self.network, "config", None), "model_type"):
            raise TypeError(
                f"`model` holds a network of type {type(self.network).__name__}. Expected one of transformers."
            )
        family_of(self.network.config.model_type)
        if not isinstance(self.processor, BaseImageProcessor):
            raise TypeError(
                f"`model` holds a processor of type {type(self.processor).__name__}. Expected an image processor of "
                "transformers, such as ViTImageProcessorPil."
            )

    @property
    def family(self):
        """What is known about its kind."""
        return family_of(self.network.config.model_type)

    @property
    def n_first(self):
        """Number of tokens before the patches."""
        return self.family.first_tokens + (getattr(self.network.config, "num_register_tokens", 0) or 0)

    def resolve(self, layers, pooling):
        """Layers, as a tuple of int from 0, and pooling, never "auto", that parameters mean for this network.

        "auto" means the pooling of the family if the last layer is asked for, else the class token or, where there is
        none, the mean. A ValueError if the network has no such layer, no class token or no pooler that works.
        """
        n_layers = self.network.config.num_hidden_layers
        layers = resolve_layers(layers, n_layers)
        last, kind = layers == (n_layers,), self.network.config.model_type
        if pooling == "auto":
            inner = "cls" if self.family.first_tokens else "mean"
            return layers, self.family.summary if last else inner
        if pooling == "cls" and not self.family.first_tokens:
            raise ValueError(f"`pooling`='cls': a network of type {kind} has no class token. Use 'auto' or 'mean'.")
        if pooling == "pooler" and not last:
            raise ValueError("`pooling`='pooler' reads the last layer. Set layers=-1, or use 'cls' or 'mean'.")
        if pooling == "pooler" and (self.random_pooler or getattr(self.network, "pooler", self) is None):
            raise ValueError(
                f"`pooling`='pooler': this model of type {kind} was saved without the weights of its pooler. Use "
                "'auto', 'cls' or 'mean'."
            )
        return layers, pooling

    def vectors(self, pixels, layers, pooling):
        """Vectors (B, D), float32, of pixels (B, 3, H, W), from what :meth:`resolve` returned."""
        import torch

        weight = next(self.network.parameters())
        pixels = pixels.to(weight.device, weight.dtype, non_blocking=True)
        if pooling == "pooler":
            with torch.inference_mode():
                return self.network(pixel_values=pixels, return_dict=True).pooler_output.float()
        states = states_of(self.network, layers, self.network.config.num_hidden_layers, pixel_values=pixels)
        counted = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if pooling == "mean":
            counted[:, : self.n_first] = False
        return pool(states, counted, "mean" if pooling == "mean" else "first")


def family_of(kind):
    """What is known about a kind of vision transformer, by its model type; a ValueError if that is unknown."""
    if kind not in FAMILIES:
        known = ", ".join(sorted({*FAMILIES, *_PARTS}))
        raise ValueError(
            f"`model` is of type {kind!r}. Expected one of {known}; for another write an encoder of your own, or use "
            "any other scikit-learn transformer."
        )
    return FAMILIES[kind]


def open_image_processor(folder, default):
    """The image processor of a folder that computes with Pillow and numpy, whether torchvision is there or not.

    So vectors do not depend on what is installed: the two ways to resize differ by one step of 8 bits in some pixels.
    `default` is the class where the file does not name it. An ImportError if it exists for torchvision only, which is
    not installed.
    """
    import transformers

    settings = _processor_settings(folder)
    name = settings.get("image_processor_type") or settings.get("feature_extractor_type") or default
    name = name.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast").removesuffix("Pil")
    name = _SAME_WITHOUT_TORCHVISION.get(name, name)
    # Transformers before 5.4 has no classes ...Pil: there the plain name is the one for Pillow.
    kind = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name, None)
    if kind is None:
        raise ValueError(f"its image processor {name!r} is unknown to transformers {transformers.__version__}")
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except ImportError as error:
        raise ImportError(
            f"The image processor {name} of `model` needs torchvision, which is not installed. Install it with: "
            "pip install torchvision"
        ) from error


def _processor_settings(folder):
    """The settings of the image processor in a folder."""
    for file in ("processor_config.json", "preprocessor_config.json"):
        if (folder / file).is_file():
            settings = json.loads((folder / file).read_text(encoding="utf-8"))
            settings = settings.get("image_processor", settings if file.startswith("pre") else None)
            if settings is not None:
                return settings
    raise FileNotFoundError("there is no preprocessor_config.json, which says how to prepare images")
