"""
Which classifier, with the labels I have?
=========================================

There are some labelled messages and several classifiers that could be put on their vectors. A learning curve answers
two questions at once: which of them is best with as many labels as there are now, and what more labels would bring.
:func:`~skicl.evaluation.few_shot_curve` gives all of them the same labelled rows, again and again, and
:func:`~skicl.evaluation.compare` says which differences are more than noise.
"""

# %%
# The candidates
# --------------
#
# Nearest neighbours, the usual logistic regression with a tuned penalty, shrunk linear discriminant analysis, and
# :class:`~skicl.TartClassifier`, which has nothing to tune. Classifiers that read texts themselves can take part too:
# their names go into ``raw=``, and they get the messages instead of the vectors.

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skicl import SentenceEncoder, TartClassifier
from skicl.datasets import load_support_messages

messages, intents = load_support_messages(return_X_y=True)

folds = StratifiedKFold(n_splits=2, shuffle=True, random_state=0)
penalties = {"C": [0.1, 1, 10, 100, 1000]}
estimators = {
    "TART": TartClassifier(),
    "tuned LR": GridSearchCV(LogisticRegression(max_iter=2000), penalties, scoring="neg_log_loss", cv=folds),
    "LDA": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "kNN": KNeighborsClassifier(n_neighbors=3, weights="distance"),
    "words alone": make_pipeline(TfidfVectorizer(), MultinomialNB(alpha=0.1)),
}

# %%
# The curve
# ---------
#
# In every repeat other messages are labelled, and half of all messages are kept for scoring. Messages are encoded once.
# With ``results_file=`` every result is on disk as soon as it is there, and a run that was interrupted continues.

from skicl.evaluation import few_shot_curve

curve = few_shot_curve(
    estimators,
    messages,
    intents,
    k=[16, 32, 64, 128],
    n_repeats=10,
    scoring=("accuracy", "neg_log_loss", "ece"),
    encoder=SentenceEncoder(),
    raw=["words alone"],
)
print(curve)

# %%
# It is a list of records, and a tidy frame for everything that pandas can do.

print(curve.frame().groupby(["k", "estimator"])[["accuracy", "neg_log_loss", "ece"]].mean().round(3))

# %%
# The picture
# -----------
#
# Lines are means over the repeats, bands 95 % bootstrap intervals of the mean.

import matplotlib.pyplot as plt

from skicl.evaluation import FewShotCurveDisplay

FewShotCurveDisplay.from_results(curve)
plt.show()

# %%
# Bands that overlap do not mean that two classifiers are alike: some draws of labelled messages are luckier than others
# for *all* of them. On the same messages the distance to one classifier is known much better.

FewShotCurveDisplay.from_results(curve, reference="tuned LR", bands=["TART", "LDA"])
plt.show()

# %%
# The answer in one sentence
# --------------------------
#
# It calls somebody ahead only where paired tests say so, corrected for the number of all comparisons.

from skicl.evaluation import ComparisonDisplay, compare

for score in ("accuracy", "neg_log_loss"):
    print(compare(curve, score=score).advice)

# %%
# Behind it: who wins how often. A star marks what Wilcoxon's test, corrected by Holm, does not take for chance.

ComparisonDisplay.from_results(curve, score="neg_log_loss")
plt.show()

# %%
# Can its probabilities be believed?
# ----------------------------------
#
# In a reliability diagram a classifier that is right as often as it says stays on the diagonal. With few rows nobody
# does; the number in brackets is the error that perfect probabilities would show by chance.

import numpy as np

from skicl.evaluation import ReliabilityDisplay, nested_contexts

vectors = SentenceEncoder().fit_transform(messages)
intents = np.asarray(intents)
labelled = nested_contexts(intents, k=64, n_repeats=1)[0][64]
rest = np.setdiff1d(np.arange(len(intents)), labelled)

fig, ax = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
for name in ("TART", "tuned LR", "LDA"):
    classifier = estimators[name].fit(vectors[labelled], intents[labelled])
    ReliabilityDisplay.from_estimator(classifier, vectors[rest], intents[rest], n_bins=8, name=name, ax=ax)
plt.show()
