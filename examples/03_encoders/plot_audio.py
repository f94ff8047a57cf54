"""
Recordings as vectors
=====================

:class:`~skicl.encoders.AudioEncoder` puts a frozen speech encoder in front of :class:`~skicl.TartClassifier`: the
encoder half of Whisper, wav2vec 2.0, HuBERT, WavLM or data2vec.

With a network connection two lines do it::

    encoder = AudioEncoder("openai/whisper-base", cache="embeddings")
    classifier = TartClassifier(encoder).fit(paths, labels)

This page must run without one. Its network is tiny and has **random weights**: it has heard nothing. So it shows the
mechanics, rates, lengths and files, and its accuracy says nothing about that of a network that was trained.
"""

# %%
# Three instruments
# -----------------
#
# Notes of random pitch, length and loudness, from a quarter of a second to one second, with some noise. A timbre is
# how the overtones are weighed: all of them (a string), every other (a clarinet), almost none (a flute).

import numpy as np

WEIGHTS = {
    "string": [1, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.18],
    "clarinet": [1, 0, 0.7, 0, 0.5, 0, 0.35, 0],
    "flute": [1, 0.15, 0.02, 0, 0, 0, 0, 0],
}


def note(instrument, hertz, seconds, rate, loudness=0.2, noise=0.005, seed=0):
    """A note, sampled so many times a second."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    tones = [weight * np.sin(2 * np.pi * n * hertz * time) for n, weight in enumerate(WEIGHTS[instrument], 1)]
    return loudness * np.sum(tones, axis=0) * np.exp(-2 * time) + noise * generator.standard_normal(len(time))


generator = np.random.default_rng(0)
y = generator.permutation(list(WEIGHTS) * 40)
scores = [(generator.uniform(200, 600), generator.uniform(0.25, 1.0), generator.uniform(0.05, 0.3)) for _ in y]


def played(rate):
    """All notes, recorded at a rate."""
    return [note(label, *score[:2], rate, score[2], seed=i) for i, (label, score) in enumerate(zip(y, scores))]


recordings = played(rate=16000)
print(len(recordings), "recordings of", min(map(len, recordings)), "to", max(map(len, recordings)), "samples")

# %%
# The encoder
# -----------
#
# A pair of a network and its feature extractor, in memory; the name of a model or a folder would do as well. Arrays do
# not say how fast they were sampled, so `sampling_rate` must.

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from skicl.encoders import AudioEncoder

torch.manual_seed(0)
config = Wav2Vec2Config(
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    initializer_range=0.1,
    conv_dim=[64, 64, 64],
    conv_kernel=[32, 8, 4],
    conv_stride=[8, 8, 5],
    num_feat_extract_layers=3,
    feat_extract_norm="layer",
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=4,
)
pair = Wav2Vec2Model(config), Wav2Vec2FeatureExtractor()
encoder = AudioEncoder(pair, sampling_rate=16000, layers=0, device="cpu", cache=True)
vectors = encoder.fit_transform(recordings)
print(vectors.shape)

# %%
# Lengths do not matter: a batch is filled up to its longest recording, and the frames of the padding are left out of
# the mean. One by one the vectors are the same but for rounding.

alone = np.concatenate([AudioEncoder(pair, sampling_rate=16000, layers=0).fit_transform([r]) for r in recordings[:5]])
print("largest difference", np.abs(alone - vectors[:5]).max())

# %%
# Files
# -----
#
# Paths of wav files work at once, flac and others with ``pip install "skicl[audio]"``. Files say their rate themselves,
# so files of several rates, and of one or two channels, may be mixed.

import tempfile
from pathlib import Path

from scipy.io import wavfile

folder = Path(tempfile.mkdtemp())
wavfile.write(folder / "a.wav", 16000, (recordings[0] * 32767).astype(np.int16))
wavfile.write(folder / "b.wav", 16000, np.stack([recordings[0]] * 2, axis=1).astype(np.float32))
wavfile.write(folder / "c.wav", 44100, note(y[0], *scores[0][:2], 44100, scores[0][2]).astype(np.float32))
files = encoder.transform(sorted(folder.glob("*.wav")))
for name, vector in zip(("16 bits", "two channels", "44.1 kHz"), files):
    cosine = vector @ vectors[0] / np.linalg.norm(vector) / np.linalg.norm(vectors[0])
    print(f"{name:<13} cosine with the vector of the array: {cosine:.4f}")

# %%
# Few labels
# ----------
#
# Instruments from a handful of labelled notes. The last line answers notes recorded at another rate than those in the
# context, first as they should be, then with a wrong `sampling_rate`: nothing in an array would tell.

from sklearn.base import clone
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score

from skicl import TartClassifier

n_labels, accuracy = [6, 12, 24, 48], []
for n in n_labels:
    splits = StratifiedShuffleSplit(5, train_size=n, random_state=0)
    accuracy.append(cross_val_score(TartClassifier(encoder), np.array(recordings, dtype=object), y, cv=splits))
    print(f"{n:>2} labelled notes: accuracy {accuracy[-1].mean():.2f} +- {accuracy[-1].std():.2f}")

context = TartClassifier().fit(vectors[:60], y[:60])
elsewhere = played(rate=48000)[60:]
right, wrong = clone(encoder).set_params(sampling_rate=48000), encoder
for name, one in (("right", right), ("wrong", wrong)):
    print(f"at 48 kHz, {name} rate: accuracy {context.score(one.fit_transform(elsewhere), y[60:]):.2f}")

# %%
import matplotlib.pyplot as plt

fig, (waves, curve) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for i, instrument in enumerate(WEIGHTS):
    wave = note(instrument, 440, 0.25, 16000)[:150]
    waves.plot(np.arange(150) / 16, wave / np.abs(wave).max() - 2.2 * i, color=f"C{i}")
    waves.text(-0.2, -2.2 * i, instrument, ha="right", va="center", color=f"C{i}")
waves.set_yticks([])
waves.set_xlabel("milliseconds")
waves.set_title("one note on three instruments")
means, deviations = np.mean(accuracy, axis=1), np.std(accuracy, axis=1)
curve.errorbar(n_labels, means, deviations, marker="o", capsize=3)
curve.axhline(1 / 3, color="black", linewidth=1, linestyle="--", label="guessing")
curve.set_xscale("log", base=2)
curve.set_xticks(n_labels, n_labels)
curve.set_xlabel("labelled notes")
curve.set_ylabel("accuracy")
curve.set_ylim(0, 1.02)
curve.legend(loc="lower right")
for ax in (waves, curve):
    ax.spines[["top", "right"]].set_visible(False)
waves.spines["left"].set_visible(False)
plt.show()
