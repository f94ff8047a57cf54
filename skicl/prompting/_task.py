"""One question with its prompts: demonstrations chosen, their prefix read, calibrated; then scores of classes."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone

from skicl._withholding import withheld_together
from skicl.prompting._plans import fit_selector, plans_of
from skicl.prompting._prompts import Demonstrations, Prompts, label_mass
from skicl.prompting._readouts import ANCHORS, centroid_scores, neighbor_scores
from skicl.prompting._verbalizer import class_scores, normalized


class Recipe(NamedTuple):
    """What a task is made from; all parts are checked and resolved."""

    template: Any  # how rows are written out
    verbalizer: Any  # how scores of words are compared
    words: list  # words of each class
    selector: Any = None  # not fitted. None means no demonstrations.
    calibrator: Any = None  # not fitted
    readout: str = "label_words"  # what classes are read off
    candidate: str | None = None  # the name of the label that is asked about
    window: int | None = None  # most tokens of a prompt
    batch_size: int | None = None  # most rows read together; None means as many as are read fastest
    shuffle: int | None = None  # seed of another order of the demonstrations; None keeps that of the selector


class TaskScores(NamedTuple):
    """Scores of queries."""

    log_proba: np.ndarray  # (n_queries, n_classes): Log-probabilities of the classes, normalised
    mass: np.ndarray  # (n_queries,): Probability of all label words together


class PromptedTask:
    """A question about rows, asked of a language model after demonstrations.

    It keeps no weights, and pickles without what the model made of the prompt. `recipe` is what it is made from,
    `columns` are the names of the fields of the rows.
    """

    def __init__(self, recipe, columns):
        self.recipe, self.columns = recipe, columns
        self.read_with = None  # the weights that prompts were read with, for the owner of the task to compare

    def fit(self, model, rows, codes, shared=None):
        """Choose demonstrations, read what their prompts share, calibrate.

        `rows` are labelled rows, maybe none, `codes` (n_rows,) the numbers of their classes; `shared` is what the model
        made of the beginnings of prompts, shared by the tasks of a classifier.
        """
        recipe = self.recipe
        self._rows, self._codes, self._anchors = rows, codes, None
        self._prompts = self._new_prompts(model, shared)
        self._prompts.check_room(rows)
        # Before the selector is fitted: one that learns asks for scores, which are normalised by these.
        self._domain_scores = self._score_domain_prompt() if recipe.verbalizer.normalize == "pmi" else None
        self._selector, self.plan_, self.n_dropped_ = None, (), 0
        if recipe.selector is not None and rows:
            self._selector = fit_selector(clone(recipe.selector), self._texts(rows), codes, self._scorer)
            plans, fixed = plans_of(self._selector, self._texts(rows[:1]), len(rows))
            self.plan_ = self._prompts.fitting(self._shuffled(plans[0]), rows, from_end=True) if fixed else None
            self.n_dropped_ = len(plans[0]) - len(self.plan_) if fixed else 0
        self._keep()
        if recipe.readout != "label_words":
            self._check_anchors()
        self._calibrator = None if recipe.calibrator is None else self._calibrated(clone(recipe.calibrator))
        return self

    def scores(self, model, rows, progress=None):
        """TaskScores of queries; `progress` is called with the number of rows after each batch."""
        if self._prompts is None or self._prompts.model is not model:  # a loaded pickle, a model loaded anew
            self._prompts, self._anchors = self._new_prompts(model), None
            self._keep()
        log_proba, mass = self._plain(rows, self._plans(rows), progress)
        if self._calibrator is not None:
            log_proba = self._calibrator.transform(log_proba)
        return TaskScores(log_proba, mass)

    @property
    def is_estimated(self):
        """Whether something beside the choice of demonstrations was estimated with the weights that the model had."""
        return self._calibrator is not None or self._domain_scores is not None

    def forget_prompts(self):
        """Read all prompts anew when they are next needed: the weights of the model have changed."""
        self._prompts = None

    def __getstate__(self):
        state = {**vars(self), "_prompts": None, "_anchors": None}
        if self.plan_ is not None and self.recipe.readout == "label_words":
            # Rows that no prompt will show are of no further use.
            plan = list(self.plan_)
            state |= {"_rows": [self._rows[i] for i in plan], "_codes": self._codes[plan], "_selector": None}
            state["plan_"] = tuple(range(len(plan)))
        return state

    def _new_prompts(self, model, shared=None):
        recipe = self.recipe
        demonstrated = [recipe.words[code][0] for code in self._codes]
        all_words = [word for words in recipe.words for word in words]
        return Prompts(
            model,
            recipe.template,
            Demonstrations(self._rows, demonstrated, self.columns),
            all_words,
            labels=[words[0] for words in recipe.words],
            candidate=recipe.candidate,
            window=recipe.window,
            batch_size=recipe.batch_size,
            shared=shared,
        )

    def _keep(self):
        if self.plan_ is not None:
            self._prompts.keep(self.plan_)

    def _texts(self, rows):
        """Rows as selectors see them: the only field, or all of them as the template writes them."""
        if len(self.columns) == 1:
            return [values[0] for values in rows]
        template, candidate = self.recipe.template, self.recipe.candidate
        return [template.body(values, self.columns, candidate=candidate) for values in rows]

    def _plans(self, rows):
        if self.plan_ is not None:
            return [self.plan_] * len(rows)
        plans, _ = plans_of(self._selector, self._texts(rows), len(self._rows))
        return [self._shuffled(plan) for plan in plans]

    def _shuffled(self, plan):
        if self.recipe.shuffle is None:
            return plan
        return tuple(plan[i] for i in np.random.RandomState(self.recipe.shuffle).permutation(len(plan)))

    def _scorer(self, demonstrations, rows):
        """What learned selectors are fitted with: log-probabilities of labelled rows after ordered demonstrations."""
        plan = tuple(int(i) for i in demonstrations)
        return self._words_of([self._rows[i] for i in rows], [plan] * len(rows))[0]

    def _plain(self, rows, plans, progress=None):
        """Log-probabilities before calibration, by the readout, and the mass of the label words."""
        readout = self.recipe.readout
        if readout == "label_words":
            return self._words_of(rows, plans, progress)
        if self._anchors is None:
            self._anchors = self._read_anchors()
        score = centroid_scores if readout == "hidden_centroid" else neighbor_scores
        parts = []
        for start in range(0, len(rows), ANCHORS):  # the log-probabilities of all tokens take much memory
            part = slice(start, start + ANCHORS)
            read, log_probs = self._read(rows[part], plans[part], progress)
            parts.append((score(*self._anchors, read, len(self.recipe.words)), label_mass(log_probs)))
        return tuple(np.concatenate(arrays) for arrays in zip(*parts))

    def _read(self, rows, plans, progress=None):
        """What the readout looks at, and log-probabilities of the label words."""
        states = self.recipe.readout == "hidden_centroid"
        scores = self._prompts.score(rows, plans, states=states, vocabulary=not states, progress=progress)
        return (scores.states if states else scores.vocabulary), scores.log_probs

    def _words_of(self, rows, plans, progress=None):
        recipe = self.recipe
        scores = self._prompts.score(rows, plans, progress=progress)
        compared = normalized(scores.log_probs, scores.lengths, recipe.verbalizer.normalize, self._domain_scores)
        owners = np.repeat(np.arange(len(recipe.words)), [len(words) for words in recipe.words])
        log_proba = log_softmax(class_scores(compared, owners, len(recipe.words)), axis=1)
        return log_proba, label_mass(scores.log_probs)

    def _score_domain_prompt(self):
        text = self.recipe.verbalizer.domain_prompt
        if text is None:
            text = self.recipe.template.parts(self.columns).cue.lstrip()
        if not text:
            raise ValueError(
                "`domain_prompt` is None and the template has no words before {label}. Give one for normalize='pmi'."
            )
        return self._prompts.score_text(text)

    def _training_plans(self, numbers):
        """Plans in which no training row is among its own demonstrations, nor told by which of them is missing."""
        if self.plan_ is not None:
            plans = [self.plan_] * len(numbers)
        else:
            plans = self._plans([self._rows[i] for i in numbers])
        # How many demonstrations of each class a plan has.
        counts = {tuple(np.bincount(self._codes[list(plan)], minlength=len(self.recipe.words))) for plan in plans}
        withheld = self._withheld if len(counts) == 1 else _itself
        left_out = [set(withheld(i, plan)) for i, plan in zip(numbers, plans)]
        return [tuple(row for row in plan if row not in absent) for absent, plan in zip(left_out, plans)]

    def _withheld(self, i, plan):
        """A demonstration and one of each other class: the rest has the same number of each class for all of them."""
        if i not in plan:
            return ()
        order = np.random.RandomState(1).permutation(len(self._rows))
        place = {int(row): number for number, row in enumerate(order)}
        order = sorted(range(len(plan)), key=lambda number: place[plan[number]])
        together = withheld_together([self._rows[j] for j in plan], self._codes[list(plan)].tolist(), order)
        return [plan[number] for number in together[plan.index(i)]]

    def _training_rows(self, most):
        """Numbers of training rows to learn from: those that are no demonstrations first, by class in turn."""
        shown = set(self.plan_ or ())
        order = np.random.RandomState(0).permutation(len(self._rows))
        seen, keys = {}, []
        for i in order:  # the place of a row among those of its class that are as it is
            key = (int(i) in shown, int(self._codes[i]))
            seen[key] = seen.get(key, -1) + 1
            keys.append((key[0], seen[key], int(i)))
        return [i for *_, i in sorted(keys)[:most]]

    def _read_anchors(self):
        numbers = self._training_rows(ANCHORS)
        rows = [self._rows[i] for i in numbers]
        return self._read(rows, self._training_plans(numbers))[0], self._codes[numbers]

    def _check_anchors(self):
        missing = set(range(len(self.recipe.words))) - set(self._codes.tolist())
        if missing:
            word = self.recipe.words[min(missing)][0]
            raise ValueError(
                f"`readout`={self.recipe.readout!r} needs a labelled row of every class, and there is none of the "
                f"class with the label word {word!r}. Use readout='label_words'."
            )

    def _calibrated(self, calibrator):
        """The calibrator, fitted on its probes."""
        if not self._rows and calibrator.needs_rows:
            raise ValueError(
                f"`calibration`: {type(calibrator).__name__} needs training rows, and there are none. Use "
                "'contextual' or None, fit with rows, or set `needs_rows = False` on a calibrator of your own."
            )
        probes = calibrator.probes(self._rows or [("",) * len(self.columns)])
        if probes is not None:
            return calibrator.fit(self._plain(probes, self._plans(probes))[0])
        numbers = self._training_rows(len(self._rows) if calibrator.n_rows is None else calibrator.n_rows)
        rows = [self._rows[i] for i in numbers]
        log_proba, _ = self._plain(rows, self._training_plans(numbers))
        return calibrator.fit(log_proba, self._codes[numbers])


def _itself(i, plan):
    return (i,)
