"""
Classify texts from a few examples
==================================

A support team labels a handful of messages by intent and wants the rest sorted, with probabilities that say
which messages a person should look at. :class:`~skicl.TartClassifier` takes the raw texts: a frozen
sentence encoder turns them into vectors, and a pretrained reasoner reads the labelled vectors. Nothing is
trained.
"""

# %%
# The data
# --------
#
# Short messages to the support of an online shop, written for this project. Some of them are hard on
# purpose.

import numpy as np

from skicl.datasets import load_support_messages

data = load_support_messages()
messages, intents = np.asarray(data.data, dtype=object), np.asarray(data.target)
print(len(messages), "messages,", len(data.target_names), "intents")
for name in data.target_names:
    print(f"{name:>20}: {messages[intents == name][0]}")

# %%
# Fit and predict
# ---------------
#
# Five labelled messages of each intent. ``fit`` encodes them and compiles them into a context.

from skicl import TartClassifier

rng = np.random.default_rng(0)
labelled = np.concatenate([rng.choice(np.flatnonzero(intents == name), 5, replace=False) for name in data.target_names])
rest = np.setdiff1d(np.arange(len(messages)), labelled)

classifier = TartClassifier().fit(messages[labelled], intents[labelled])
probabilities = classifier.predict_proba(messages[rest])
predicted = classifier.classes_[probabilities.argmax(axis=1)]
print(f"accuracy {np.mean(predicted == intents[rest]):.3f} on the other {len(rest)} messages")

# %%
# Where it errs
# -------------
#
# The confusions are between neighbouring intents.

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

fig, ax = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    intents[rest], predicted, normalize="true", values_format=".2f", xticks_rotation=35, cmap="Blues", ax=ax
)
plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
ax.set_title("Share of the messages of each true intent")
plt.show()

# %%
# Which messages a person should read
# -----------------------------------
#
# Sorting by the largest probability puts the doubtful messages first. If the probabilities are honest, the
# accuracy among those above a threshold rises with it: the curve tells what can be automated, and at what
# quality.

confidence = probabilities.max(axis=1)
order = np.argsort(-confidence)
automated = np.arange(1, len(order) + 1)
accuracy_so_far = np.cumsum(predicted[order] == intents[rest][order]) / automated

fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
share = automated / len(order)
ax.plot(share, accuracy_so_far, label="observed")
ax.plot(share, np.cumsum(confidence[order]) / automated, label="expected from the probabilities")
ax.set(xlabel="share of the messages answered automatically, surest first", ylabel="accuracy among them")
ax.set_xlim(0.05, 1)
ax.legend()
plt.show()

for i in order[::-1][:3]:
    first, second = np.argsort(-probabilities[i])[:2]
    print(f"{messages[rest[i]]}")
    print(f"    {classifier.classes_[first]} {probabilities[i, first]:.2f}, ", end="")
    print(f"{classifier.classes_[second]} {probabilities[i, second]:.2f}, is {intents[rest[i]]}")
