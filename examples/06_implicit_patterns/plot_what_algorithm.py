"""
What algorithm is it?
=====================

A reasoner labels new rows from examples in one pass, without fitting anything. What does it compute? Here the two
bundled reasoners meet the tasks on which that of TART's paper was trained, logistic regression with random weights. For
these the best possible predictions are known: those of the Bayes predictor, who knows how the tasks are made. How far
are the reasoners from them, at every length of the context, and which known algorithm are their predictions nearest
to?
"""

# %%
# The tasks
# ---------
#
# Rows have 16 features, and labels are steep functions of the rows: 10 times the margin goes into the logistic
# function. The posterior of the weights has no closed form; ``bayes_predict`` draws from it.

from functools import partial

import matplotlib.pyplot as plt
import torch

from skicl.datasets import make_logistic_tasks
from skicl.inspection import (
    AlgorithmMatchDisplay,
    ICLRegretDisplay,
    algorithm_match,
    icl_regret,
    layerwise_algorithm_match,
    reference_predictors,
)
from skicl.reasoning import bundled_reasoners, load_reasoner

tasks = make_logistic_tasks(32, 160, 16, scale=10.0, random_state=0)
tasks.bayes_predict = partial(tasks.bayes_predict, n_draws=40)
n_ctx = [2, 4, 8, 16, 32, 64, 128]

# %%
# How far from Bayes
# ------------------
#
# Regret is what a prediction costs more than that of the Bayes predictor, in nats of log-loss. The default reasoner,
# ``tart-equivariant``, was made for vectors of texts and images. The paper's, ``tart-paper``, was trained on tasks like
# these; before its network sees a row, however, the row is centred and whitened, as real data need it. So the network
# alone stands beside it. Two other learners are told the steepness of the tasks: regularised logistic regression, the
# mode of the same posterior, and eight steps of gradient descent towards it.


paper = load_reasoner("tart-paper").double()


def network_alone(X_context, y_context, X_query, all_layers=False):
    """Probability of label 1 by the paper's network, which gets the points as they are."""
    X, y, X_query = (torch.as_tensor(array) for array in (X_context, y_context, X_query))
    with torch.inference_mode():
        log_odds = paper.query_log_odds(X.double(), y.long(), X_query.double(), all_layers=all_layers)
    return log_odds.sigmoid().numpy()


references = reference_predictors(tasks)
learners = {name: load_reasoner(name) for name in bundled_reasoners()}
learners["network of tart-paper"] = network_alone
learners |= {"logistic regression": references["logistic_regression"], "8 steps of GD": references["gd_8"]}
figure, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
for regret in icl_regret(learners, tasks, n_ctx=n_ctx).values():
    print(regret)
    ICLRegretDisplay(regret).plot(ax=ax)

# %%
# The mode of the posterior is one weight vector, and far too sure of itself as long as the context is short, since the
# Bayes predictor averages over all weights that agree with the context. Gradient descent that stops early hesitates,
# too much so once there are many rows. The paper's network comes nearest to Bayes at most lengths: it has learned to
# average over weights from nothing but examples of tasks. Whitening costs it most of that up to 16 rows, as many as
# there are features. The default reasoner is not told how steep the tasks are, and stays well above Bayes at all
# lengths: at some it loses to eight steps of gradient descent, and at the longest to logistic regression.

# %%
# What their predictions resemble
# -------------------------------
#
# The mean squared difference between the probabilities of a learner and those of each reference: of the default
# reasoner, and of the paper's network alone. The dotted line says how much the nearest reference itself changes when it
# loses one row: below it, two learners could not be told apart.

shown = ["knn_3", "averaging", "ridge", "logistic_regression", "gd_1", "gd_8", "gd_64", "newton_2", "bayes"]
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
for ax, name in zip(axes, ("tart-equivariant", "network of tart-paper")):
    match = algorithm_match(learners[name], tasks, n_ctx=n_ctx)
    print(match)
    AlgorithmMatchDisplay(match).plot(references=shown, ax=ax)
    ax.set_title(name, loc="left")

# %%
# The default reasoner is none of them. Two rows can hardly tell algorithms apart; with more, the nearest reference is
# several times farther away than one row's worth. It resembles gradient descent on the logistic loss most, stopped
# earlier where rows are fewer, and much less the mode of the posterior, where gradient descent ends.
#
# The paper's network cannot be told from the Bayes predictor up to 16 rows: that is nearer than one row's worth, and
# all other references are farther away. From 64 rows on 64 steps of gradient descent are nearer.

# %%
# Layer by layer
# --------------
#
# If every layer were a step of gradient descent or of Newton's method, the nearest number of steps would grow from
# layer to layer. In the default reasoner it does not: the first layer already predicts much like several steps of
# gradient descent, and the others move away from both algorithms as much as along them. In the paper's network it
# does: its four layers are nearest to 0, 1, 8 and 32 steps of gradient descent. None lies within one row's worth,
# and a number that grows by a factor is not what layers of one step each would show.

for name, model in {
    "default reasoner": learners["tart-equivariant"],
    "network of tart-paper": partial(network_alone, all_layers=True),
}.items():
    print(name)
    print(layerwise_algorithm_match(model, tasks, n_ctx=64))
plt.show()
