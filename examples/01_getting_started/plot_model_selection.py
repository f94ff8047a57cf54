"""
Pipelines, searches and learning curves
=======================================

:class:`~skicl.SentenceEncoder` is a scikit-learn transformer and :class:`~skicl.TartClassifier` a scikit-learn
classifier, so everything in :mod:`sklearn.model_selection` works with them. The classifier has nothing that
needs tuning; what is worth choosing is the encoder.
"""

# %%
# Cross-validation of a pipeline on raw texts
# -------------------------------------------
#
# Six messages of each intent are labelled. Logistic regression stands for comparison, with a penalty that suits
# vectors of length one; scikit-learn's default, C=1, is far too strong for them.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

from skicl import SentenceEncoder, TartClassifier
from skicl.datasets import load_support_messages

messages, intents = load_support_messages(return_X_y=True)
labelled, rest, y_labelled, y_rest = train_test_split(
    messages, intents, train_size=48, stratify=intents, random_state=0
)

folds = StratifiedKFold(n_splits=3, shuffle=True, random_state=0)
classifiers = (TartClassifier(), LogisticRegression(C=100, max_iter=1000))
for classifier in classifiers:
    pipeline = make_pipeline(SentenceEncoder(), classifier)
    losses = -cross_val_score(pipeline, labelled, y_labelled, cv=folds, scoring="neg_log_loss")
    print(
        f"{type(classifier).__name__:<20} log-loss {losses.mean():.3f}, from {losses.min():.3f} to {losses.max():.3f}"
    )

# %%
# A search over the options of the encoder
# ----------------------------------------
#
# ``truncate_dim`` keeps the first components of the vectors, ``prompt`` is put before every text. The log-loss
# judges probabilities and is far less noisy than accuracy when labels are few.

from sklearn.model_selection import GridSearchCV

pipeline = make_pipeline(SentenceEncoder(), TartClassifier())
options = {
    "sentenceencoder__truncate_dim": [128, None],
    "sentenceencoder__prompt": [None, "What does the customer want? "],
}
search = GridSearchCV(pipeline, options, scoring="neg_log_loss", cv=folds)
search.fit(labelled, y_labelled)
for parameters, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"]):
    print(f"log-loss {-score:.3f} with " + ", ".join(f"{name[17:]}={value!r}" for name, value in parameters.items()))
print(f"log-loss {-search.score(rest, y_rest):.3f} of the best on the {len(rest)} other messages")

# %%
# How many labels are enough
# --------------------------
#
# A learning curve answers it. The encoder never changes, so vectors are computed once. With few rows a random
# subset may miss a class, which the log-loss cannot score: :func:`~skicl.evaluation.nested_contexts` orders the rows
# such that every subset holds all classes and contains the smaller ones. The bands are one standard error over the
# orders.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import learning_curve

from skicl.evaluation import nested_contexts

vectors = SentenceEncoder().fit_transform(messages)
sizes = [16, 32, 64, 128]
orders = [contexts[sizes[-1]] for contexts in nested_contexts(intents, k=sizes[-1], n_repeats=6)]
splits = [(order, np.setdiff1d(np.arange(len(messages)), order)) for order in orders]

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.8), layout="constrained")
for number, classifier in enumerate(classifiers):
    for ax, scoring in zip(axes, ("accuracy", "neg_log_loss")):
        _, _, scores = learning_curve(classifier, vectors, intents, train_sizes=sizes, cv=splits, scoring=scoring)
        mean, error = np.abs(scores.mean(axis=1)), scores.std(axis=1) / np.sqrt(len(splits))
        ax.plot(sizes, mean, "o-", color=f"C{number}", label=type(classifier).__name__)
        ax.fill_between(sizes, mean - error, mean + error, color=f"C{number}", alpha=0.2, linewidth=0)
for ax, label in zip(axes, ("accuracy", "log-loss (nats)")):
    ax.set(xlabel="labelled messages", ylabel=label, xscale="log")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
axes[0].legend()
plt.show()
