"""
What does a classifier depend on?
=================================

The order of the examples should not matter, and which examples were labelled should matter little. Labels should.
:func:`~skicl.inspection.icl_diagnostics` measures both kinds of dependence for any classifier, with intervals and noise
floors. Here are three classifiers on the same vectors of short messages.
"""

# %%
# The messages
# ------------
#
# Four intents of customer messages, as vectors of the default sentence encoder.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.neighbors import KNeighborsClassifier

from skicl import SentenceEncoder, TartClassifier
from skicl.datasets import load_support_messages
from skicl.inspection import ICLDiagnosticsDisplay, icl_diagnostics

messages, intents = load_support_messages(return_X_y=True)
chosen = np.isin(intents, ["delivery_status", "billing_refund", "product_question", "technical_problem"])
X, y = SentenceEncoder().fit_transform(messages[chosen]), intents[chosen]

# %%
# A reasoner
# ----------
#
# The pretrained reasoner treats its context as a set. The report shows zero for the order, and says so. When all labels
# are renamed, it follows in every query: it knows nothing but its context.

report = icl_diagnostics(TartClassifier(), X, y, n_context=16, n_repeats=8)
print(report)

# %%
# A point is coloured if its whole interval lies above its noise floor, the grey bar; a grey point may be chance.

ICLDiagnosticsDisplay(report).plot()

# %%
# A learner that depends on the order
# -----------------------------------
#
# Stochastic gradient descent that goes through the rows once, in their order and with large steps, remembers best what
# it saw last. A language model that is swayed by the last examples of its prompt errs in the same way.

once = SGDClassifier(loss="log_loss", shuffle=False, max_iter=1, tol=None, learning_rate="constant", eta0=10.0)
ICLDiagnosticsDisplay.from_estimator(once, X, y, n_context=16, n_repeats=8)

# %%
# Three classifiers side by side
# ------------------------------
#
# Some rows of the reports. Nearest neighbours do not depend on the order either, but more on which rows were labelled.

reports = {"reasoner": report}
for name, classifier in [("one pass of SGD", once), ("3 nearest neighbours", KNeighborsClassifier(3))]:
    reports[name] = icl_diagnostics(classifier, X, y, n_context=16, n_repeats=8)

shown = ["accuracy", "order: changed labels", "demonstrations: changed labels", "label noise: accuracy lost"]
figure, axes = plt.subplots(1, len(shown), figsize=(10, 2.2), sharey=True, layout="constrained")
for ax, name in zip(axes, shown):
    for place, report in enumerate(reports.values()):
        measure = report[name]
        ax.barh(place, measure.noise_floor, height=0.6, color="0.85")
        ax.plot([measure.low, measure.high], [place, place], color="C0" if measure.clear else "0.45")
        ax.plot(measure.value, place, "o", color="C0" if measure.clear else "0.45")
    ax.set_title(name, fontsize=9)
    ax.set_xlim(-0.05, 1.5 if name.startswith("label noise") else 1.05)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_yticks(range(len(reports)), list(reports))
axes[0].invert_yaxis()
plt.show()
