"""
Images as vectors
=================

:class:`~skicl.encoders.ImageEncoder` puts a frozen vision transformer in front of
:class:`~skicl.TartClassifier`: ViT, DeiT, DINOv2, DINOv3, or the vision tower of CLIP or SigLIP.

With a network connection two lines do it::

    encoder = ImageEncoder("facebook/dinov2-small", cache="embeddings")
    classifier = TartClassifier(encoder).fit(paths, labels)

This page must run without one. Its network is tiny and has **random weights**: it has learned nothing about
images. So it shows the mechanics, what goes in and what is kept, and its accuracy says nothing about that of a
network that was trained.
"""

# %%
# Two questions about the same images
# -----------------------------------
#
# Handwritten zeros and ones, in three inks that are equally bright. Which digit, and which ink?

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits(n_class=2)
generator = np.random.default_rng(0)
rows = generator.permutation(len(digits.images))[:240]
ink = generator.integers(3, size=len(rows))

inks = np.array([[225, 60, 60], [25, 161, 60], [105, 85, 250]])
strength = np.kron(digits.images[rows] / 16, np.ones((3, 3)))[..., None]
images = (255 - strength * (255 - inks[ink][:, None, None])).astype(np.uint8)
digit = digits.target[rows]
print(images.shape, images.dtype)

# %%
# The encoder
# -----------
#
# A pair of a network and its image processor, in memory; the name of a model or a folder would do as well. The
# ``cache`` keeps the vectors, so that no image is encoded twice on this page.

import torch
from transformers import ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from skicl.encoders import EmbeddingCache, ImageEncoder

torch.manual_seed(0)
config = ViTConfig(
    image_size=24,
    patch_size=6,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    initializer_range=0.15,
)
pair = ViTModel(config), ViTImageProcessorPil(size={"height": 24, "width": 24})
cache = EmbeddingCache()
encoder = ImageEncoder(pair, pooling="mean", device="cpu", cache=cache)

# %%
# Whatever form the images have, their vectors are the same: one array, a list of arrays of any size, PIL images,
# paths, or the bytes of files.

import tempfile
from pathlib import Path

from PIL import Image

vectors = encoder.fit_transform(images)
folder = Path(tempfile.mkdtemp())
paths = [folder / f"{i}.png" for i in range(3)]
for path, image in zip(paths, images):
    Image.fromarray(image).save(path)
mixed = [images[0], Image.fromarray(images[1]), str(paths[2]), paths[0].read_bytes()]
print(np.array_equal(encoder.transform(mixed), vectors[[0, 1, 2, 0]]))

# %%
# Colour stays colour
# -------------------
#
# The original code of TART turned every image grey. Here the two questions are asked twice, of the images as they
# are and of the same images in grey, ten examples for each class.

from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score

from skicl import TartClassifier

grey = (images @ [0.299, 0.587, 0.114]).round().astype(np.uint8)
accuracy = {}
for question, answer in (("which digit?", digit), ("which ink?", ink)):
    for form, X in (("in colour", images), ("in grey", grey)):
        splits = StratifiedShuffleSplit(5, train_size=10 * len(set(answer)), random_state=0)
        scores = cross_val_score(TartClassifier(encoder), X, answer, cv=splits)
        accuracy[question, form] = scores.mean()
        print(f"{question:<13} {form:<10} accuracy {scores.mean():.2f} +- {scores.std():.2f}")
print(cache.stats)

# %%
# In grey the inks cannot be told apart, while the digits are easier, because the ink no longer distracts from
# them. The statistics count 482 misses, that is images encoded in twenty fits and as many predictions: 240 in colour,
# 240 in grey, and two files, which are told apart by their bytes.

import matplotlib.pyplot as plt

fig, axes = plt.subplot_mosaic("abcd;efgh;llrr;llrr", figsize=(6, 6), layout="constrained")
shown = [np.flatnonzero((ink == i % 3) & (digit == i % 2))[0] for i in range(4)]
for in_colour, in_grey, row in zip("abcd", "efgh", shown):
    axes[in_colour].imshow(images[row])
    axes[in_grey].imshow(grey[row], cmap="gray", vmin=0, vmax=255)
    axes[in_colour].set_axis_off()
    axes[in_grey].set_axis_off()
for name, question, chance in (("l", "which digit?", 1 / 2), ("r", "which ink?", 1 / 3)):
    ax = axes[name]
    forms = ["in colour", "in grey"]
    ax.bar(forms, [accuracy[question, form] for form in forms], color=["C0", "0.7"])
    ax.axhline(chance, color="black", linewidth=1, linestyle="--", label="guessing")
    ax.set_title(question)
    ax.set_ylim(0, 1)
    ax.spines[["top", "right"]].set_visible(False)
axes["l"].set_ylabel("accuracy")
axes["r"].legend(loc="upper right")
plt.show()
