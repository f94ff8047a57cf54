"""
From zero-shot to calibrated many-shot
======================================

:class:`~skicl.ICLClassifier` writes labelled rows into a prompt and asks a causal language model for the label of a
new one. This page shows what the rows in the prompt are worth: none, a few, many, with and without calibration.

It runs on ``"skicl-tiny"``, the small model that comes with the package. It was trained on synthetic texts with
labels, in which rules have to be found out from the examples before, so it does learn from its prompt, but it knows
few words of English. **The curves show how things behave, not how well a real model does.** With one, only the name
changes:

.. code-block:: python

    # Not run here: these need the weights of the model.
    ICLClassifier("HuggingFaceTB/SmolLM2-360M")
    ICLClassifier("Qwen/Qwen3-0.6B")
    ICLClassifier("meta-llama/Llama-3.2-1B")
"""

# %%
# A task
# ------
#
# Every episode of :class:`~skicl.pretraining.EpisodePrior` has a rule of its own, here one that says for some things
# what their label is, and words of its own for the classes. What the labels mean can only be learned from the rows.

import random

import matplotlib.pyplot as plt
import numpy as np

from skicl import ICLClassifier
from skicl.evaluation import expected_calibration_error
from skicl.pretraining import EpisodePrior


def draw_task(seed, family="lookup", scrambled=False):
    """Texts and labels of one rule: 64 rows to show, 32 queries."""
    prior = EpisodePrior(
        families=(family,), meaningful=0.0, max_classes=2, balanced=1.0, default_layout=1.0, scrambled=scrambled
    )
    episode = prior.sample(random.Random(seed), n_examples=96)
    rows = [row.split("\n")[0].removeprefix("Text: ") for row in episode.text.strip().split("\n\n")]
    labels = np.array([episode.words[code] for code in episode.codes])
    return rows[:64], labels[:64], rows[64:], labels[64:]


X, y, queries, truth = draw_task(0)
for text, label in zip(X[:6], y[:6]):
    print(f"{text!r:24} {label}")

# %%
# One classifier
# --------------
#
# ``fit`` takes no gradient step: it lets the model read the demonstrations, once.

what_it_says = {"calibration": None, "readout": "label_words", "device": "cpu"}  # the label words alone, as they are
classifier = ICLClassifier("skicl-tiny", demonstrations=16, **what_it_says).fit(X, y)
print(dict(zip(classifier.classes_.tolist(), classifier.predict_proba(queries[:1])[0].round(3).tolist())))
print("accuracy:", classifier.score(queries, truth))

# %%
# From none to many
# -----------------
#
# The same over eight tasks and more and more demonstrations. ``demonstrations=0`` is zero-shot. As a control, the
# labels of the rows are drawn anew so that there is nothing to learn.

shots = [0, 1, 2, 4, 8, 16, 32, 64]
arms = {"plain": {}, "batch calibration": {"calibration": "batch"}}
scores = {name: np.zeros((len(shots), 8)) for name in [*arms, "scrambled labels"]}
errors = {name: np.zeros((len(shots), 8)) for name in arms}
for task in range(8):
    X, y, queries, truth = draw_task(task)
    for i, k in enumerate(shots):
        for name, parameters in arms.items():
            classifier = ICLClassifier("skicl-tiny", demonstrations=k, **{**what_it_says, **parameters}).fit(X, y)
            probabilities = classifier.predict_proba(queries)
            scores[name][i, task] = np.mean(classifier.classes_[probabilities.argmax(axis=1)] == truth)
            errors[name][i, task] = expected_calibration_error(
                truth, probabilities, labels=classifier.classes_, n_bins=8
            )
    X, y, queries, truth = draw_task(task, scrambled=True)
    for i, k in enumerate(shots):
        classifier = ICLClassifier("skicl-tiny", demonstrations=k, classes=np.unique(y), **what_it_says).fit(X, y)
        scores["scrambled labels"][i, task] = classifier.score(queries, truth)

# %%
# The more is shown the better. Calibration takes off what the model says whatever it reads. That helps where a single
# row, and so a single label, is shown; without any row it only adds noise, and with many balanced ones there is nothing
# left to take off.

styles = {"plain": ("C0", "o"), "batch calibration": ("C1", "s"), "scrambled labels": ("0.6", "v")}
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for name, values in scores.items():
    color, marker = styles[name]
    mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    left.errorbar(range(len(shots)), mean, error, color=color, marker=marker, capsize=2, label=name)
for name, values in errors.items():
    color, marker = styles[name]
    right.plot(range(len(shots)), values.mean(axis=1), color=color, marker=marker, label=name)
left.axhline(0.5, color="0.3", linestyle=":", linewidth=1)
left.set(ylabel="accuracy (mean of 8 tasks, s.e.)", ylim=(0.3, 1.02))
right.set(ylabel="expected calibration error", ylim=(0, None))
for ax in (left, right):
    ax.set(xlabel="demonstrations", xticks=range(len(shots)), xticklabels=shots)
    ax.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False, fontsize="small")
plt.show()

# %%
for name, values in scores.items():
    print(f"{name:20}" + "".join(f"{value:7.2f}" for value in values.mean(axis=1)))

# %%
# A grid search chooses the number of demonstrations and the calibration by cross-validation; all candidates share one
# copy of the weights.

from sklearn.model_selection import GridSearchCV

from skicl.prompting import StratifiedDemonstrations

X, y, queries, truth = draw_task(0)
search = GridSearchCV(
    ICLClassifier("skicl-tiny", demonstrations=StratifiedDemonstrations(), **what_it_says),
    {"demonstrations__k": [2, 8, 32], "calibration": [None, "batch"]},
    cv=3,
).fit(X, y)
print(search.best_params_, f"accuracy on the queries: {search.score(queries, truth):.2f}")
