"""Networks for sound: which part encodes, how samples are handed to it, which of its frames are padding.

Shapes: B recordings, S samples, M mel bands, T frames, D features.
"""

from functools import cached_property

import numpy as np

from skicl._models._states import pool, resolve_layers, states_of

POOLINGS = ("mean", "max")

# By the model type of the configuration. Whisper reads log-mel spectra of a fixed length, the others samples.
SPECTRAL = {"whisper"}
SAMPLED = {"wav2vec2", "hubert", "wavlm", "data2vec-audio"}
# Those that take zeros behind the end of a recording as such, if their first layer does not normalise over time.
# In data2vec positions go through several convolutions, of which only the first finds zeros there, and transformers
# hands the padding of WavLM to torch in a way that torch has given up.
_MASKED = {"wav2vec2", "hubert"}


class AudioModel:
    """A frozen network that gives a vector for every frame of a recording, and its feature extractor.

    Of a network with a head, or with a decoder, only the encoder is used.
    """

    def __init__(self, network, processor):
        base = network.base_model if "For" in type(network).__name__ else network
        spectral = getattr(getattr(base, "config", None), "model_type", None) in SPECTRAL
        self.network = getattr(base, "encoder", base) if spectral else base
        self.processor = getattr(processor, "feature_extractor", processor)

    @staticmethod
    def open(folder, dtype):
        """Load both parts from the folder of a complete model, on the CPU."""
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        _check_kind(config.model_type)
        if config.model_type in SAMPLED:  # masks are for training, and many checkpoints lack what stands for them
            config.mask_time_prob = config.mask_feature_prob = 0.0
        processor = AutoFeatureExtractor.from_pretrained(str(folder), local_files_only=True)
        network = AutoModel.from_pretrained(str(folder), config=config, dtype=dtype, local_files_only=True)
        return AudioModel(network, processor)

    def check(self):
        """Refuse a network of an unknown kind, or something else in place of a feature extractor."""
        if not hasattr(getattr(self.network, "config", None), "model_type"):
            raise TypeError(
                f"`model` holds a network of type {type(self.network).__name__}. Expected one of transformers."
            )
        _check_kind(self.network.config.model_type)
        if getattr(self.network.config, "add_adapter", False):
            raise ValueError(
                "`model` has an adapter, which shortens the sequence of frames. Save it without: "
                "config.add_adapter=False."
            )
        expected = "WhisperFeatureExtractor" if self.spectral else "Wav2Vec2FeatureExtractor"
        if type(self.processor).__name__ != expected:
            raise TypeError(
                f"`model` holds a processor of type {type(self.processor).__name__}. Expected a {expected} of "
                "transformers."
            )

    @cached_property
    def spectral(self):
        """Whether it reads spectra of a fixed length instead of samples."""
        return self.network.config.model_type in SPECTRAL

    @property
    def rate(self):
        """Samples per second that it expects."""
        return self.processor.sampling_rate

    @property
    def most_seconds(self):
        """The longest recording that it takes, in seconds; None if any."""
        return self.processor.n_samples / self.rate if self.spectral else None

    @property
    def n_layers(self):
        """Number of blocks."""
        return self.network.config.encoder_layers if self.spectral else self.network.config.num_hidden_layers

    @cached_property
    def receptive_field(self):
        """Number of samples that one frame sees, and the fewest that the network takes."""
        samples = 1
        for kernel, stride in zip(self.network.config.conv_kernel[::-1], self.network.config.conv_stride[::-1]):
            samples = (samples - 1) * stride + kernel
        return samples

    @property
    def pads_exactly(self):
        """Whether the vector of a recording stays the same when zeros are appended and masked."""
        config = self.network.config
        return self.spectral or (config.model_type in _MASKED and config.feat_extract_norm == "layer")

    def resolve(self, layers):
        """Layers, as a tuple of int from 0, the input of the first block; a ValueError if there is no such layer."""
        return resolve_layers(layers, self.n_layers)

    def features(self, samples):
        """What the network reads of samples (S,) at its rate, and the number of frames that the recording fills.

        A spectrum (M, T), filled up with silence, or samples (S,) scaled as in training; float32.
        """
        if self.spectral:
            read = self.processor(samples, sampling_rate=self.rate, return_tensors="np")
            samples_in_frame = 2 * self.processor.hop_length  # the second convolution has stride 2
            return read["input_features"][0], max(1, -(-len(samples) // samples_in_frame))
        read = self.processor(samples, sampling_rate=self.rate, return_tensors="np")["input_values"][0]
        read = np.pad(read, (0, max(0, self.receptive_field - len(read)))).astype(np.float32)
        return read, int(self.network._get_feat_extract_output_lengths(len(read)))

    def vectors(self, features, n_frames, layers, pooling):
        """Vectors (B, D), float32, of what :meth:`features` gave for each recording, from the frames that it fills."""
        import torch

        weight = next(self.network.parameters())
        longest = max(len(samples) for samples in features)
        if self.spectral:
            inputs = {"input_features": torch.from_numpy(np.stack(features))}
        else:
            padded = np.zeros((len(features), longest), dtype=np.float32)
            for row, samples in zip(padded, features):
                row[: len(samples)] = samples
            inputs = {"input_values": torch.from_numpy(padded)}
        inputs = {name: values.to(weight.device, weight.dtype) for name, values in inputs.items()}
        if not self.spectral and any(len(samples) < longest for samples in features):
            lengths = torch.tensor([len(samples) for samples in features])
            inputs["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long().to(weight.device)
        states = states_of(self.network, layers, self.n_layers, **inputs)  # B, T, D
        frames = torch.arange(states.shape[1], device=states.device)
        counted = frames < torch.tensor(n_frames, device=states.device)[:, None]  # B, T
        if pooling == "max":
            return states.masked_fill(~counted[..., None], -torch.inf).amax(dim=1)
        return pool(states, counted, pooling)


def _check_kind(kind):
    """Refuse the model type of a network that is unknown here."""
    if kind not in SPECTRAL | SAMPLED:
        raise ValueError(
            f"`model` is of type {kind!r}. Expected one of {', '.join(sorted(SPECTRAL | SAMPLED))}; for another write "
            "an encoder of your own, or use any other scikit-learn transformer."
        )
