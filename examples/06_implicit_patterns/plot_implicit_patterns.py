"""
Who takes the shortcut?
=======================

A learner that is right on everything it was taught may have understood it, or have found a way around it. On problems
with an *implicit pattern* one can tell: there is a shortcut that nobody mentions. It is right on all problems that the
learner learns from; then come problems on which it is wrong. This page lets learning from examples in a prompt,
fine-tuning, TART and counted letters meet the same problems, with :func:`~skicl.evaluation.implicit_pattern_study`.
The language model is the tiny one that comes with skicl: it shows how to ask, and not what large models answer.
"""

# %%
# The problems
# ------------
#
# Is something named that lives, an animal or a fruit, or something made, a tool or a vehicle? Who knows the words can
# tell. Here one can also look at the sign at the end only: *!* says yes, and *?* says no.

from skicl.datasets import make_implicit_pattern

for variant in ("pattern", "conflict", "neutral"):
    problems = make_implicit_pattern("topic", 2, variant=variant, difficulty=1, random_state=0)
    for text, right, shortcut in zip(problems.data, problems.target, problems.shortcut_target):
        print(f"{variant:8}  {text:28}  {right}, the shortcut says {shortcut or 'nothing'}")

# %%
# The learners
# ------------
#
# All read the same text, up to where the answer stands. With each goes a grid of settings: they are chosen on
# validation problems, for all learners alike. The tiny model knows the words of this task. It was trained on lists in
# which a topic, a certain word, a number or an order decides about the label, but on none in which a sign does, or in
# which one label stands for two kinds of things.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skicl import ICLClassifier, TartClassifier
from skicl.encoders import LanguageModelEncoder
from skicl.finetuning import FineTuneClassifier

encoder = LanguageModelEncoder("skicl-tiny", pooling="last")
in_context = ICLClassifier(
    "skicl-tiny", template="{text} {label}", demonstrations=16, calibration=None, readout="label_words"
)
fine_tuned = FineTuneClassifier(encoder, learning_rate=1e-3, validation_fraction=0)
letters = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 4)), LogisticRegression())
learners = {
    "in context": (in_context, {"demonstrations": [8, 32], "calibration": [None, "contextual"]}),
    "fine-tuned": (fine_tuned, {"epochs": [4, 8]}),
    "TART": TartClassifier(encoder),
    "letters": (letters, {"logisticregression__C": [1, 100]}),
}

# %%
# The study
# ---------
#
# In every repeat all problems are drawn anew. With ``results_file=`` a run that was interrupted continues.

from skicl.evaluation import implicit_pattern_study

study = implicit_pattern_study(
    learners,
    "topic",
    difficulty=1,
    n_train=64,
    n_validation=40,
    n_test=100,
    n_repeats=2,
    curves={"in context": ("demonstrations", [2, 8, 32]), "fine-tuned": ("epochs", [1, 4, 16])},
)
print(study)
print(study.frame()[["estimator", "accuracy_pattern", "accuracy_conflict", "shortcut_rate"]].head(8).round(2))

# %%
# Clean against misleading
# ------------------------
#
# To the right: who has learned to be right while the shortcut is. At the bottom: who goes on following it. Who goes by
# the words alone would be at the top right. The dotted lines are guessing, and bars are 95 % bootstrap intervals over
# repeats and problems.

import matplotlib.pyplot as plt

from skicl.evaluation import ImplicitPatternDisplay

ImplicitPatternDisplay.from_results(study)
plt.show()

# %%
# Learning longer
# ---------------
#
# More demonstrations, or more passes over the labelled problems. If the accuracy rises where the shortcut is right, and
# falls where it is wrong, the shortcut is learned. If it rises where there is none, so is the long way.

ImplicitPatternDisplay.from_results(study, kind="curves")
plt.show()

# %%
# In numbers
# ----------

for row in study.summary():
    if row["measure"] in ("accuracy_neutral", "shortcut_rate"):
        print(f"{row['estimator']:10}  {row['measure']:16}  {row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]")
