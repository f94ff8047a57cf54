"""Images as vectors by vision transformers, as a scikit-learn transformer."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from skicl._models._in_memory import weights_digest
from skicl._models._processor_models import load_processor_model, processor_kind
from skicl._models._states import check_layers
from skicl._validation._scalars import check_choice, check_flag
from skicl.encoders._base import BaseEncoder
from skicl.encoders._image_items import content_of_image, read_images, rgb_pixels
from skicl.encoders._image_networks import POOLINGS, ImageModel

_MOST_READERS = 16
IMAGE_MODEL = processor_kind(ImageModel)


class ImageEncoder(BaseEncoder):
    """Turn images into vectors with a frozen vision transformer.

    Knows ViT and DeiT, DINOv2 and DINOv3, and the vision towers of CLIP and SigLIP [1]_ [2]_ [3]_ [4]_ [5]_, with the
    resizing and the normalisation of their own image processors. Of a network for images and texts only the part for
    images is loaded and run.

    Images may be PIL images, paths, the bytes of files, or uint8 arrays of shape (height, width),
    (height, width, 3) or (height, width, 4), of any size each; or one array of shape (n_samples, height, width) or
    (n_samples, height, width, 3). Colour stays colour. Grey becomes RGB with three equal channels, transparency is
    dropped, the orientation that a camera noted in a file is applied. Files are read batch by batch, so that their
    number is not limited by memory. Needs Pillow: ``pip install "skicl[image]"``.

    Parameters
    ----------
    model : str, path, pair or LiveModel, default="facebook/dinov2-small"
        The name of a model on the Hugging Face hub, the path of a folder that ``save_pretrained`` wrote, or a pair
        (network, image processor) in memory. A pair is kept in a :class:`~skicl.encoders.LiveModel`, is shared by
        clones instead of copied, and cannot be pickled.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub. None means the one in the cache, else the latest.
    layers : int, float or list of these, default=-1
        The layer to read, from 0, the embeddings, to -1, the output after the last normalisation; a float is a
        fraction of the depth; of several the mean is taken.
    pooling : {"auto", "cls", "mean", "pooler"}, default="auto"
        How the tokens become one vector. "cls" takes the class token. "mean" averages the patches, and neither class
        token nor registers. "pooler" takes the network's own summary: in CLIP the normalised class token, in SigLIP an
        attention over the patches, in ViT a layer with tanh. "auto" is "pooler" for CLIP and SigLIP and "cls" for
        the others, as their authors do; of an inner layer the class token if there is one, else the mean.
    normalize : bool, default=False
        Whether to scale every vector to unit length.
    batch_size : int, default=32
        Images encoded together. Affects speed and memory only.
    device : str, torch.device or None, default=None
        Where the network runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in; vectors are float32 in any case. None means bfloat16 on CUDA devices whose
        hardware computes in it and float32 elsewhere; a model in memory stays as it is.
    cache : None, bool, int, str, path or EmbeddingCache, default=None
        Where to keep vectors so that no image is encoded twice, see :class:`~skicl.SentenceEncoder`. Files are told
        apart by their bytes, not by their names.
    verbose : bool, default=False
        Whether to show a progress bar at once. False shows one on a terminal after five seconds of work.

    Attributes
    ----------
    n_features_out_ : int
        Number of features of the vectors.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached; found out within seconds.
    ImportError
        If Pillow is not installed, or the image processor exists for torchvision only, which is not.

    See Also
    --------
    AudioEncoder : The same for recordings.
    TartClassifier : Takes this encoder, or a ColumnTransformer with it, as ``encoder``.
    skicl.encoders.EmbeddingCache : Keeps vectors in memory or in a folder.

    Notes
    -----
    Of the two implementations of an image processor in transformers the one with Pillow is always used, so that the
    vectors do not depend on whether torchvision is installed. The processor of DINOv3 exists for torchvision only;
    that of ViT stands in for it, with the same size, mean and deviation. It rounds the pixels to 8 bits after the
    resize.

    A file whose head is fine and whose rest is damaged is found out when its batch is read; the error names its
    position.

    References
    ----------
    .. [1] Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words", ICLR.
    .. [2] Oquab et al. (2024), "DINOv2: Learning Robust Visual Features without Supervision", TMLR.
    .. [3] Siméoni et al. (2025), "DINOv3", arXiv:2508.10104.
    .. [4] Radford et al. (2021), "Learning Transferable Visual Models From Natural Language Supervision", ICML.
    .. [5] Zhai, Mustafa, Kolesnikov and Beyer (2023), "Sigmoid Loss for Language Image Pre-Training", ICCV.

    Examples
    --------
    A network with random weights shows the mechanics; ``ImageEncoder()`` would fetch one that has seen images.

    >>> import numpy as np
    >>> from transformers import ViTConfig, ViTImageProcessor, ViTModel
    >>> from skicl.encoders import ImageEncoder
    >>> config = ViTConfig(image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    ...                    intermediate_size=32)
    >>> pair = ViTModel(config), ViTImageProcessor(size={"height": 32, "width": 32})
    >>> images = np.zeros((3, 20, 30, 3), dtype=np.uint8)
    >>> ImageEncoder(pair, device="cpu").fit_transform(images).shape
    (3, 16)
    """

    def __init__(
        self,
        model: Any = "facebook/dinov2-small",
        *,
        revision: str | None = None,
        layers: Any = -1,
        pooling: str = "auto",
        normalize: bool = False,
        batch_size: int = 32,
        device: Any = None,
        dtype: Any = None,
        cache: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.revision = revision
        self.layers = layers
        self.pooling = pooling
        self.normalize = normalize
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.verbose = verbose

    def __setattr__(self, name, value):
        # scikit-learn would copy a bare network with every clone; its handle is shared instead.
        super().__setattr__(name, IMAGE_MODEL.live_handle(value) if name == "model" else value)

    def _check_parameters(self):
        super()._check_parameters()
        IMAGE_MODEL.check_parameters(self.model, self.revision, self.dtype)
        check_layers(self.layers)
        check_choice(self.pooling, "pooling", POOLINGS)
        check_flag(self.normalize, "normalize", exact=True)

    def _read(self, X):
        return read_images(X)

    def _content(self, item):
        return content_of_image(item)

    def _size(self, item):
        return 1  # the processor makes all images equally large, so batches keep the order of the input

    def _load(self, device):
        loaded = load_processor_model(
            IMAGE_MODEL, self.model, self.revision, device, self.dtype, stay=self.device is None
        )
        loaded.model.resolve(self.layers, self.pooling)
        return loaded

    def _fingerprint(self, model):
        image_model = model.model
        layers, pooling = image_model.resolve(self.layers, self.pooling)
        weights = weights_digest(model, image_model.network, image_model.processor)
        return "image", weights, str(layers), pooling, int(self.normalize)

    def _prepare(self, model, batch):
        processor = model.model.processor

        def prepared(item):
            pixels = rgb_pixels(item)
            return processor(images=[pixels], input_data_format="channels_last", return_tensors="pt")["pixel_values"][0]

        n_readers = min(len(batch), _MOST_READERS, os.cpu_count() or 1)
        if n_readers == 1:
            return [prepared(item) for item in batch]
        # Pillow and numpy let other threads run while they work.
        with ThreadPoolExecutor(n_readers) as readers:
            return list(readers.map(prepared, batch))

    def _encode(self, model, batch):
        import torch

        layers, pooling = model.model.resolve(self.layers, self.pooling)
        by_shape = {}
        for i, pixels in enumerate(batch):
            by_shape.setdefault(pixels.shape, []).append(i)
        rows = [None] * len(batch)
        with model.lock:
            for positions in by_shape.values():
                pixels = torch.stack([batch[i] for i in positions])
                vectors = model.model.vectors(pixels, layers, pooling)
                if self.normalize:
                    vectors = torch.nn.functional.normalize(vectors, dim=1)
                for i, vector in zip(positions, vectors.cpu().numpy()):
                    rows[i] = vector
        return np.stack(rows)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = False  # strings are paths, which are not read as texts
        return tags
