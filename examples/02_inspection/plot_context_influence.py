"""
Which examples moved a prediction
=================================

A classifier that learns from a handful of examples can be asked which of them made it predict what it does.
:meth:`~skicl.TartClassifier.context_influence` leaves every labelled row out in turn and returns how much the
log-probability of each class falls; :class:`~skicl.inspection.ContextInfluenceDisplay` draws it for one prediction.
The second half of this page uses the same numbers to find wrong labels.
"""

# %%
# A small context
# ---------------
#
# Six labelled messages of each intent; the vectors are computed once.

import numpy as np

from skicl import SentenceEncoder, TartClassifier
from skicl.datasets import load_support_messages

messages, intents = load_support_messages(return_X_y=True)
messages, intents = np.asarray(messages, dtype=object), np.asarray(intents)
vectors = SentenceEncoder().fit_transform(messages)

rng = np.random.default_rng(0)
names = np.unique(intents)
labelled = np.concatenate([rng.choice(np.flatnonzero(intents == name), 6, replace=False) for name in names])
rest = np.setdiff1d(np.arange(len(messages)), labelled)
X, y, texts = vectors[labelled], intents[labelled], messages[labelled]

classifier = TartClassifier().fit(X, y)

# %%
# One prediction
# --------------
#
# Take the message about which the classifier is least sure.

probabilities = classifier.predict_proba(vectors[rest])
second, first = np.sort(probabilities, axis=1)[:, -2:].T
unsure = rest[(first - second).argmin()]
query = vectors[unsure : unsure + 1]
print(f"{messages[unsure]!r} is {intents[unsure]}")

# %%
# Blue bars are the messages without which the predicted intent would be less probable, red ones those that speak
# against it. Mostly an example counts for its own intent, and more where it is near in meaning. It can also speak
# against its own intent, where it shows that the intent is about something else.

import matplotlib.pyplot as plt

from skicl.inspection import ContextInfluenceDisplay

display = ContextInfluenceDisplay.from_estimator(classifier, query, row_names=texts, row_labels=y, n_rows=8)
plt.show()

# %%
# The same message, explained for the runner-up.

runner_up = classifier.classes_[classifier.predict_proba(query)[0].argsort()[-2]]
ContextInfluenceDisplay.from_estimator(classifier, query, target=runner_up, row_names=texts, row_labels=y, n_rows=8)
plt.show()

# %%
# What the numbers mean
# ---------------------
#
# A bar is exact: it is what happens when the classifier is fitted again without that message.

strongest = display.shown_[0]
others = np.delete(np.arange(len(y)), strongest)
again = TartClassifier().fit(X[others], y[others])
column = np.flatnonzero(classifier.classes_ == display.target)[0]
difference = classifier.predict_log_proba(query)[0, column] - again.predict_log_proba(query)[0, column]
print(f"influence {display.influence[strongest]:.6f}, fitted again {difference:.6f}")

# %%
# Wrong labels stand out
# ----------------------
#
# Now one label in ten is wrong. The influence of a row on its *own* label says how much the classifier believes that
# label only because it was told so; Feldman and Zhang (2020, "What neural networks memorize and why") call it
# memorisation, and estimate it by training thousands of networks. No message beyond the labelled ones is needed.

labelled = np.concatenate([rng.choice(np.flatnonzero(intents == name), 12, replace=False) for name in names])
X, y, texts = vectors[labelled], intents[labelled], messages[labelled]
wrong = rng.choice(len(y), len(y) // 10, replace=False)
noisy = y.copy()
noisy[wrong] = [rng.choice(names[names != y[row]]) for row in wrong]

classifier = TartClassifier().fit(X, noisy)
rows = np.arange(len(y))
own = classifier.context_influence(X)[rows, rows, np.searchsorted(classifier.classes_, noisy)]

order = np.argsort(-own)
for row in order[:4]:
    verdict = f"wrong, it is {y[row]}" if row in wrong else "right"
    print(f"{own[row]:.2f}  {noisy[row]}: {texts[row]}  ({verdict})")

# %%
# Sorted by this influence, most of the wrong labels (red) come first: a person who checks labels from this end finds
# them soon. Right labels among them belong to messages that are hard by themselves.

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.bar(rows, own[order], color=np.where(np.isin(order, wrong), "C3", "0.7"), width=0.9)
ax.axhline(0, color="0.3", linewidth=0.8)
ax.set(xlabel="labelled messages, sorted", ylabel="influence on\ntheir own label (nats)")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

n_found = np.isin(order[: 2 * len(wrong)], wrong).sum()
print(f"{n_found} of {len(wrong)} wrong labels are among the first {2 * len(wrong)} messages")
