"""Recordings as vectors by speech encoders, as a scikit-learn transformer."""

from typing import Any

import numpy as np

from skicl._models._in_memory import weights_digest
from skicl._models._processor_models import load_processor_model, processor_kind
from skicl._models._states import check_layers
from skicl._validation._environment import warn_user
from skicl._validation._scalars import check_choice, check_flag, check_number
from skicl.encoders._audio_items import check_rate, content_of_recording, read_recordings, waveform
from skicl.encoders._audio_networks import POOLINGS, AudioModel
from skicl.encoders._base import BaseEncoder

AUDIO_MODEL = processor_kind(AudioModel)


class AudioEncoder(BaseEncoder):
    """Turn recordings into vectors with a frozen speech encoder.

    Knows the encoder half of Whisper [1]_, and wav2vec 2.0, HuBERT, WavLM and data2vec [2]_ [3]_. The decoder of
    Whisper is neither run nor kept.

    Recordings may be arrays of samples, of shape (n,) or (n, channels) and of any length each; paths of wav files,
    and with ``pip install "skicl[audio]"`` of flac and others; the bytes of such files; dicts with "array" and
    "sampling_rate"; or one array of shape (n_samples, n_times). Channels are mixed by their mean, and samples are
    brought to the rate of the network by a polyphase filter. Files are read batch by batch.

    Only the frames that a recording fills are pooled, never those of the padding: it makes no difference, but for
    rounding, which recordings are encoded together.

    Parameters
    ----------
    model : str, path, pair or LiveModel, default="openai/whisper-base"
        The name of a model on the Hugging Face hub, the path of a folder that ``save_pretrained`` wrote, or a pair
        (network, feature extractor) in memory. A pair is kept in a :class:`~skicl.encoders.LiveModel`, is shared by
        clones instead of copied, and cannot be pickled.
    sampling_rate : int or None, default=None
        Samples per second of arrays. Files and dicts say it themselves; with None arrays are refused, because a wrong
        guess would go unnoticed.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub. None means the one in the cache, else the latest.
    layers : int, float or list of these, default=-1
        The layer to read, from 0, the input of the first block, to -1, the output; a float is a fraction of the
        depth; of several the mean is taken. Layers in the middle often tell more about sounds and speakers, late
        ones about words.
    pooling : {"mean", "max"}, default="mean"
        How the frames become one vector.
    max_seconds : float or None, default=None
        Longest recording; what lies beyond is cut off, with a warning that counts the recordings. None means the
        limit of the model, 30 seconds for Whisper and none for the others.
    normalize : bool, default=False
        Whether to scale every vector to unit length.
    batch_size : int, default=8
        Recordings encoded together. Affects speed and memory only.
    device : str, torch.device or None, default=None
        Where the network runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in; vectors are float32 in any case. None means bfloat16 on CUDA devices whose
        hardware computes in it and float32 elsewhere; a model in memory stays as it is.
    cache : None, bool, int, str, path or EmbeddingCache, default=None
        Where to keep vectors so that no recording is encoded twice, see :class:`~skicl.SentenceEncoder`. Files are
        told apart by their bytes, not by their names.
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
        If there is a file other than wav and soundfile is not installed.

    See Also
    --------
    ImageEncoder : The same for images.
    TartClassifier : Takes this encoder, or a ColumnTransformer with it, as ``encoder``.
    skicl.encoders.EmbeddingCache : Keeps vectors in memory or in a folder.

    Notes
    -----
    Whisper computes over 30 seconds, filled up with silence, however short a recording is; the others take time in
    proportion to its length, and are much faster on short ones.

    The base models of wav2vec 2.0 and HuBERT normalise over time in their first layer, so that zeros appended to a
    recording would change its vector; data2vec and WavLM do not tolerate them either. With these, only recordings of
    equal length are computed together. Whisper and the large models of wav2vec 2.0 and HuBERT have no such limit.

    Integer samples are divided by the largest of their range. Floats beyond 32 are refused: they are integers that
    somebody has converted without scaling. A recording too short for one frame (25 milliseconds) is filled up with
    zeros.

    References
    ----------
    .. [1] Radford et al. (2023), "Robust Speech Recognition via Large-Scale Weak Supervision", ICML.
    .. [2] Baevski, Zhou, Mohamed and Auli (2020), "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
       Representations", NeurIPS.
    .. [3] Hsu et al. (2021), "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden
       Units", IEEE/ACM TASLP.

    Examples
    --------
    A network with random weights shows the mechanics; ``AudioEncoder()`` would fetch one that has heard speech.

    >>> import numpy as np
    >>> from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
    >>> from skicl.encoders import AudioEncoder
    >>> config = Wav2Vec2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    ...                         conv_dim=[8, 8, 8], conv_kernel=[10, 8, 4], conv_stride=[5, 8, 8],
    ...                         num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
    >>> pair = Wav2Vec2Model(config), Wav2Vec2FeatureExtractor()
    >>> recordings = [np.sin(np.arange(8000) / 4), np.sin(np.arange(12000) / 3)]
    >>> AudioEncoder(pair, sampling_rate=8000, device="cpu").fit_transform(recordings).shape
    (2, 16)
    """

    def __init__(
        self,
        model: Any = "openai/whisper-base",
        *,
        sampling_rate: int | None = None,
        revision: str | None = None,
        layers: Any = -1,
        pooling: str = "mean",
        max_seconds: float | None = None,
        normalize: bool = False,
        batch_size: int = 8,
        device: Any = None,
        dtype: Any = None,
        cache: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.sampling_rate = sampling_rate
        self.revision = revision
        self.layers = layers
        self.pooling = pooling
        self.max_seconds = max_seconds
        self.normalize = normalize
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.verbose = verbose

    def __setattr__(self, name, value):
        # scikit-learn would copy a bare network with every clone; its handle is shared instead.
        super().__setattr__(name, AUDIO_MODEL.live_handle(value) if name == "model" else value)

    def _check_parameters(self):
        super()._check_parameters()
        AUDIO_MODEL.check_parameters(self.model, self.revision, self.dtype)
        check_rate(self.sampling_rate)
        check_layers(self.layers)
        check_choice(self.pooling, "pooling", POOLINGS)
        check_flag(self.normalize, "normalize", exact=True)
        check_number(self.max_seconds, "max_seconds", above=0, optional=True)

    def _read(self, X):
        return read_recordings(X, self.sampling_rate)

    def _content(self, item):
        return content_of_recording(item)

    def _size(self, item):
        return item.seconds

    def _load(self, device):
        loaded = load_processor_model(
            AUDIO_MODEL, self.model, self.revision, device, self.dtype, stay=self.device is None
        )
        loaded.model.resolve(self.layers)
        most = loaded.model.most_seconds
        if self.max_seconds is not None and most is not None and self.max_seconds > most:
            raise ValueError(f"`max_seconds`={self.max_seconds} exceeds the {most:g} seconds that this model takes.")
        return loaded

    def _limit(self, model):
        """The longest recording in seconds, or None."""
        return model.model.most_seconds if self.max_seconds is None else self.max_seconds

    def _inspect(self, model, items):
        limit = self._limit(model)
        cut = 0 if limit is None else sum(item.seconds > limit for item in items)
        if cut:
            warn_user(
                f"{cut} of {len(items)} recordings are longer than {limit:g} seconds and were truncated. Split them, "
                "or raise `max_seconds` if the model allows it."
            )

    def _fingerprint(self, model):
        audio_model = model.model
        weights = weights_digest(model, audio_model.network, audio_model.processor)
        layers = str(audio_model.resolve(self.layers))
        limit = self._limit(model)
        return "audio", weights, layers, self.pooling, None if limit is None else float(limit), int(self.normalize)

    def _prepare(self, model, batch):
        audio_model, limit = model.model, self._limit(model)
        return [audio_model.features(waveform(item, audio_model.rate, limit)) for item in batch]

    def _encode(self, model, batch):
        import torch

        audio_model = model.model
        together = {}
        for i, (features, _) in enumerate(batch):
            together.setdefault(0 if audio_model.pads_exactly else len(features), []).append(i)
        rows = [None] * len(batch)
        with model.lock:
            for positions in together.values():
                features, n_frames = zip(*[batch[i] for i in positions])
                vectors = audio_model.vectors(features, n_frames, audio_model.resolve(self.layers), self.pooling)
                if self.normalize:
                    vectors = torch.nn.functional.normalize(vectors, dim=1)
                for i, vector in zip(positions, vectors.cpu().numpy()):
                    rows[i] = vector
        return np.stack(rows)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = False  # strings are paths, which are not read as texts
        return tags
