"""
An encoder of your own
======================

Any scikit-learn transformer can be the ``encoder`` of :class:`~skicl.TartClassifier`; nothing has to be registered.
Where items are slow to encode, or come in a form that scikit-learn does not know, it pays to build on
:class:`~skicl.encoders.BaseEncoder`. It brings the cache, the batches, the progress bar and the contract with
scikit-learn, and asks for little more than two methods.
"""

# %%
# Time series
# -----------
#
# The encoders of skicl read texts, images and recordings. Here is one for time series, ROCKET (Dempster, Petitjean and
# Webb, 2020): many random convolutions of all scales, of each the largest value and the fraction of positive values.
# Nothing is learned, so it is as frozen as a network, and it takes series of any length. This is all of it:

import numpy as np

from skicl.encoders import BaseEncoder, shared_model


class RocketEncoder(BaseEncoder):
    """Time series, any sequence of numbers each, as features of random convolutions."""

    def __init__(self, n_kernels=500, *, random_state=0, batch_size=32, device="cpu", cache=None, verbose=False):
        self.n_kernels = n_kernels
        self.random_state = random_state
        self.batch_size = batch_size
        self.device = device
        self.cache = cache
        self.verbose = verbose

    def _load(self, device):
        # Made once in a process, for all clones and folds.
        key = ("rocket", self.n_kernels, self.random_state)
        return shared_model(key, lambda: [random_kernel(i, self.random_state) for i in range(self.n_kernels)])

    def _read(self, X):
        items = [np.asarray(series, dtype=float) for series in X]
        for i, series in enumerate(items):
            if series.ndim != 1 or len(series) < 11 or not np.isfinite(series).all():
                raise ValueError(f"`X` has no series of at least 11 finite numbers at position {i}.")
        return items

    def _content(self, item):
        return item.tobytes()

    def _fingerprint(self, model):
        return "rocket", self.n_kernels, self.random_state

    def _encode(self, model, batch):
        return np.array([[part for kernel in model.model for part in respond(series, *kernel)] for series in batch])


def random_kernel(number, seed):
    generator = np.random.default_rng([seed, number])
    weights = generator.standard_normal(generator.choice([7, 9, 11]))
    return weights - weights.mean(), generator.uniform(-1, 1), generator.uniform()


def respond(series, weights, bias, scale):
    step = int(((len(series) - 1) / (len(weights) - 1)) ** scale)
    spread = np.zeros((len(weights) - 1) * step + 1)
    spread[::step] = weights
    response = np.convolve((series - series.mean()) / (series.std() + 1e-9), spread, "valid") + bias
    return response.max(), (response > 0).mean()


# %%
# Its first use
# -------------
#
# Cylinders, bells and funnels (Saito, 1994): something begins at a random time, stays level, rises or falls, and ends
# at a random time, in noise. The series get lengths of their own here.

generator = np.random.default_rng(0)


def make_series(kind):
    length = generator.integers(96, 160)
    start, duration = generator.integers(16, 32), generator.integers(32, length - 48)
    time = np.arange(length)
    inside = (time >= start) & (time < start + duration)
    shape = {"cylinder": 1.0, "bell": (time - start) / duration, "funnel": (start + duration - time) / duration}[kind]
    return (6 + generator.standard_normal()) * inside * shape + generator.standard_normal(length)


y = generator.permutation(["cylinder", "bell", "funnel"] * 70)
series = [make_series(kind) for kind in y]

from skicl.encoders import EmbeddingCache

cache = EmbeddingCache()
encoder = RocketEncoder(cache=cache)
vectors = encoder.fit_transform(series)
print(vectors.shape, vectors.dtype, encoder.get_feature_names_out()[:2])

# %%
# What came with the base class: parameters are checked, errors name the position, vectors come as a frame if wanted, a
# pickle is small, nothing is encoded twice.

import pickle

try:
    encoder.transform([*series[:3], [1.0, np.nan] * 20])
except ValueError as error:
    print(error)
print(RocketEncoder(n_kernels=3, cache=cache).set_output(transform="pandas").fit_transform(series[:2]).round(2))
print(len(pickle.dumps(encoder)), "bytes")
encoder.transform(series)
print(cache.stats)

# %%
# Few labels
# ----------
#
# The encoder in a classifier, beside another transformer that knows nothing of skicl: the series cut into 16 equal
# stretches, and their means.

from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.preprocessing import FunctionTransformer

from skicl import TartClassifier


def stretches(X):
    return np.array([[part.mean() for part in np.array_split(series, 16)] for series in X])


labels, X = [3, 6, 12, 24, 48], np.array(series, dtype=object)
candidates = {"random convolutions": encoder, "means of 16 stretches": FunctionTransformer(stretches)}
accuracy = {name: [] for name in candidates}
for n in labels:
    splits = StratifiedShuffleSplit(5, train_size=n, test_size=100, random_state=0)
    for name, candidate in candidates.items():
        accuracy[name].append(cross_val_score(TartClassifier(encoder=candidate), X, y, cv=splits))
    print(f"{n:>2} labels", *[f"{name} {scores[-1].mean():.2f}" for name, scores in accuracy.items()], sep="   ")

# %%
import matplotlib.pyplot as plt

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for i, kind in enumerate(("cylinder", "bell", "funnel")):
    for one in np.flatnonzero(y == kind)[:2]:
        left.plot(series[one] - 14 * i, color=f"C{i}", alpha=0.7, linewidth=1)
    left.text(-3, -14 * i, kind, color=f"C{i}", ha="right")
left.set_yticks([])
left.spines["left"].set_visible(False)
left.set_xlabel("time")
for name, scores in accuracy.items():
    right.errorbar(labels, np.mean(scores, axis=1), np.std(scores, axis=1), marker="o", capsize=3, label=name)
right.axhline(1 / 3, color="black", linewidth=1, linestyle="--", label="guessing")
right.set_xscale("log", base=2)
right.set_xticks(labels, labels)
right.set_xlabel("labelled series")
right.set_ylabel("accuracy")
right.set_ylim(0, 1.02)
right.legend(loc="lower right")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
