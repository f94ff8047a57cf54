"""
What calibration repairs
========================

Language models prefer some labels whatever the input: those that are frequent in the prompt, that stand last, or
whose words are common. A calibrator of :mod:`skicl.prompting` estimates such a bias in ``fit`` and takes it off in
log space; as it comes, ``ICLClassifier`` chooses one by labelled rows that the prompt does not show. This page makes a
prompt with a bias and looks at the answers of the label words alone, before and after.

It runs on ``"skicl-tiny"``, the small model that comes with the package; measurements with a real model on public
data are in :doc:`/benchmarks/icl_calibration`. With a larger one only the name changes:

.. code-block:: python

    # Not run here: these need the weights of the model.
    ICLClassifier("HuggingFaceTB/SmolLM2-360M")
    ICLClassifier("Qwen/Qwen3-0.6B")
    ICLClassifier("meta-llama/Llama-3.2-1B")
"""

# %%
# A lopsided prompt
# -----------------
#
# Any estimator with ``fit(X, y)`` and ``select(X)`` can choose the demonstrations. This one shows mostly rows of one
# class, and these last, although both classes are equally frequent among the rows and the queries.

import random

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss

from skicl import ICLClassifier
from skicl.evaluation import expected_calibration_error
from skicl.pretraining import EpisodePrior


class Lopsided(BaseEstimator):
    """One row of the first class, then many of the second."""

    def __init__(self, few=1, many=23):
        self.few = few
        self.many = many

    def fit(self, X, y):
        self.indices_ = np.r_[np.flatnonzero(y == 0)[: self.few], np.flatnonzero(y == 1)[: self.many]]
        return self

    def select(self, X):
        return self.indices_


def draw_task(seed):
    """Texts and labels of one rule, with the words yes and no for the classes: 64 rows to show, 32 queries."""
    prior = EpisodePrior(families=("lookup",), meaningful=0.0, max_classes=2, balanced=1.0, default_layout=1.0)
    episode = prior.sample(random.Random(seed), n_examples=96)
    rows = [row.split("\n")[0].removeprefix("Text: ") for row in episode.text.strip().split("\n\n")]
    labels = np.array(["no", "yes"])[episode.codes]
    return rows[:64], labels[:64], rows[64:], labels[64:]


# %%
# Before and after
# ----------------
#
# Every calibrator is fitted on the training rows, or on inputs without content; no query and no label of a query
# plays a part. ``"affine"`` also looks at the labels of the training rows.

calibrations = [None, "contextual", "domain", "batch", "affine"]
said = {calibration: [] for calibration in calibrations}
truth = []
for task in range(12):
    X, y, queries, wanted = draw_task(task)
    truth.append(wanted)
    for calibration in calibrations:
        classifier = ICLClassifier(
            "skicl-tiny", demonstrations=Lopsided(), calibration=calibration, readout="label_words", device="cpu"
        )
        said[calibration].append(classifier.fit(X, y).predict_proba(queries))
truth = np.concatenate(truth)
said = {calibration: np.concatenate(some) for calibration, some in said.items()}

print("calibration    says yes  accuracy  log-loss   ECE")
for calibration, probabilities in said.items():
    answers = np.array(["no", "yes"])[probabilities.argmax(axis=1)]
    loss, ece = log_loss(truth, probabilities), expected_calibration_error(truth, probabilities)
    share, right = np.mean(answers == "yes"), accuracy_score(truth, answers)
    print(f"{calibration!s:14} {share:8.2f} {right:9.2f} {loss:9.3f} {ece:5.2f}")

# %%
# Of the queries, half are *yes*. On the left the log-odds that the model gives to queries of either class: a bias
# shifts both to one side of zero, where the decision falls, and calibration shifts them back. On the right how often
# *yes* is right when it is said with some probability; on the diagonal, as often as said.

shown = [None, "batch", "affine"]
colors = dict(zip(shown, ("C0", "C1", "C2")))
fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
ticks = []
for row, calibration in enumerate(shown):
    odds = np.diff(np.log(np.maximum(said[calibration], 1e-9)), axis=1)[:, 0]
    for offset, label, marker in ((-0.14, "no", "v"), (0.14, "yes", "^")):
        values = odds[truth == label]
        jitter = np.random.default_rng(0).uniform(-0.09, 0.09, len(values))
        style = {"s": 7, "alpha": 0.35, "color": colors[calibration], "marker": marker, "linewidth": 0}
        left.scatter(values, row + offset + jitter, **style)
        left.plot(np.median(values), row + offset, marker=marker, color="k", markersize=7)
        ticks.append((row + offset, f"{calibration or 'none'}: {label}"))
    share, mean = calibration_curve(truth == "yes", said[calibration][:, 1], n_bins=6, strategy="quantile")
    right.plot(mean, share, marker="o", color=colors[calibration], label=f"{calibration or 'none'}")
left.axvline(0, color="0.3", linestyle=":", linewidth=1)
left.set(
    xlabel="log-odds of yes (black: medians)",
    yticks=[at for at, _ in ticks],
    yticklabels=[name for _, name in ticks],
    xlim=(-10, 10),
)
left.invert_yaxis()
right.plot([0, 1], [0, 1], color="0.3", linestyle=":", linewidth=1)
right.set(xlabel="said probability of yes", ylabel="share of yes", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
right.legend(frameon=False, title="calibration", fontsize="small", title_fontsize="small")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# A shift cannot repair everything. It knows nothing of how sure the answers should be, so it may leave the
# calibration error of the answers as it is or make it larger; ``"affine"`` can also stretch and shrink. And where the
# model tells the classes apart badly, its answers stay bad, only without the preference. A better selection of
# demonstrations is the better cure: the default shows equally many rows of every class, by turns.

hits = []
for task in range(12):
    X, y, queries, wanted = draw_task(task)
    classifier = ICLClassifier("skicl-tiny", demonstrations=16, calibration=None, readout="label_words", device="cpu")
    hits.append(classifier.fit(X, y).score(queries, wanted))
print(f"accuracy with 16 balanced demonstrations and no calibration: {np.mean(hits):.2f}")
