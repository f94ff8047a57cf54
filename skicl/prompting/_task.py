"""One question with its prompts: demonstrations chosen, their prefix read, calibrated; then scores of classes."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone

from skicl._models._precision import NOT_FINITE
from skicl._validation._finite import check_finite
from skicl.prompting._calibration import AUTO, BRING_INPUTS, CALIBRATIONS
from skicl.prompting._choosing_calibration import N_ROWS, choose_calibration, without_own_label
from skicl.prompting._plans import fit_selector, plans_of
from skicl.prompting._prompts import Demonstrations, Prompts, label_mass
from skicl.prompting._readouts import Heard, make_readout
from skicl.prompting._training_rows import plans_without, rows_as_they_come, rows_by_class
from skicl.prompting._verbalizer import class_scores, normalized

# Rows that are heard together; the log-probabilities of all tokens take much memory.
_AT_ONCE = 256


class Recipe(NamedTuple):
    """What a task is made from; all parts are checked and resolved."""

    template: Any  # how rows are written out
    verbalizer: Any  # how scores of words are compared
    words: list  # words of each class
    selector: Any = None  # not fitted. None means no demonstrations.
    calibrator: Any = None  # not fitted, "auto" or None
    readout: str = "label_words"  # what classes are read off
    candidate: str | None = None  # the name of the label that is asked about
    window: int | None = None  # most tokens of a prompt
    batch_size: int | None = None  # most rows read together; None means as many as are read fastest
    shuffle: int | None = None  # seed of another order of the demonstrations; None keeps that of the selector
    device: Any = None  # where a reasoner runs


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

    def fit(self, model, rows, codes, shared=None, bar=None):
        """Choose demonstrations, read what their prompts share, calibrate, and learn the readout.

        `rows` are labelled rows, maybe none, `codes` (n_rows,) the numbers of their classes; `shared` is what the model
        made of the beginnings of prompts, shared by the tasks of a classifier. A progress `bar` grows by the rows.
        """
        return self.open(model, rows, codes, shared, bar).learn()

    def open(self, model, rows, codes, shared=None, bar=None):
        """The first half of ``fit``: choose demonstrations, and read what their prompts share."""
        recipe = self.recipe
        if recipe.readout == "reasoner" and not rows:
            raise ValueError(
                "`readout`='reasoner' needs labelled rows, and there are none. Use readout='auto' or 'label_words'."
            )
        self._rows, self._codes, self._bar = rows, codes, bar
        self._check_calibrator()
        if recipe.readout != "auto" and make_readout(recipe.readout, None).needs_all_classes:
            self._check_anchors()
        self._numbers = range(len(rows))  # what the owner calls the rows
        # What the model said after labelled rows, by their numbers, and after inputs of calibrations, by their names.
        self._heard, self._probed = {}, {}
        self._prompts = self._new_prompts(model, shared)
        self.is_chat_ = recipe.template.is_chat(model.tokenizer)
        self._prompts.check_room(rows)
        self.unread = frozenset(self._prompts.too_long(rows))  # nothing is learnt from rows that do not fit
        # Before the selector is fitted: one that learns asks for scores, which are normalised by these.
        self._domain_scores = self._score_domain_prompt() if recipe.verbalizer.normalize == "pmi" else None
        self.selector, self.plan_, self._chosen = None, (), ()
        if recipe.selector is not None and rows:
            self.selector = fit_selector(clone(recipe.selector), self._texts(rows), codes, self._scorer)
            plans, fixed = plans_of(self.selector, self._texts(rows[:1]), len(rows))
            self._chosen = self._shuffled(plans[0]) if fixed else None
            self.plan_ = self._prompts.fitting(self._chosen, rows, from_end=True) if fixed else None
        self._keep()
        self.readout_ = recipe.readout
        if recipe.readout == "auto":
            self.readout_ = "reasoner" if self.n_spare else "label_words"
        self._readout = make_readout(self.readout_, recipe.device)
        return self

    def learn(self):
        """The second half of ``fit``: calibrate, and learn the readout."""
        self._calibrator, self.choice_ = None, None
        if self._readout.reads_calibrated_words:
            self._calibrator = self._make_calibrator()
            self._learn_readout()
        else:
            self._learn_readout()
            self._calibrator = self._make_calibrator()
        self._heard, self._probed, self._bar = {}, {}, None
        return self

    def choose_calibration(self, numbers, *names):
        """The Choice by some labelled rows, among calibrations that bring inputs, of these names, and those without."""
        for name in set(names) - set(self._probed):
            self._probed[name] = self._hear_probes(CALIBRATIONS[name]()).words
        probes = {name: self._probed[name] for name in names}
        n_classes = len(self.recipe.words)
        scores = self._listen(numbers).words if numbers else np.zeros((0, n_classes))
        return choose_calibration(scores, self._codes[numbers], probes, scales=not self._readout.learns_scale)

    def scores(self, model, rows, progress=None):
        """TaskScores of queries; `progress` is called with the number of rows after each batch."""
        self._wake(model)
        plans = self._plans(rows)
        if not self._readout.reads_vocabulary:
            heard = self._hear(rows, plans, progress)
            return TaskScores(self._read_off(heard), heard.mass)
        self._prompts.check_long_rows(rows)
        parts = []
        for start in range(0, len(rows), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            heard = self._hear(rows[part], plans[part], progress)
            parts.append((self._readout.log_proba(heard), heard.mass))
        log_proba, mass = (np.concatenate(arrays) for arrays in zip(*parts))
        return TaskScores(self._shifted(log_proba), mass)

    def prompts(self, model, rows):
        """A Prompt for each row."""
        self._wake(model)
        plans = self._plans(rows)
        views = self._prompts.views(rows, plans)
        whole = [self._chosen] * len(rows) if self.plan_ is not None else plans
        shown = [[self._numbers[i] for i in view.demonstrations] for view in views]
        return [
            view._replace(demonstrations=some, dropped=[i for i in chosen if i not in some])
            for view, some, chosen in zip(views, shown, whole)
        ]

    @property
    def codes(self):
        """Numbers of the classes of the labelled rows."""
        return self._codes

    @property
    def n_spare(self):
        """Number of labelled rows that are not shown in all prompts."""
        return len(self._rows) - len(self._shown | self.unread)

    @property
    def n_dropped_(self):
        """How many demonstrations do not fit; 0 where they are chosen for every query."""
        return 0 if self.plan_ is None else len(self._chosen) - len(self.plan_)

    @property
    def calibration_(self):
        """The name of the calibration that is used: the word that denotes it, or the class of one of the user's."""
        if self._calibrator is None:
            return None
        names = {kind: name for name, kind in CALIBRATIONS.items()}
        return names.get(type(self._calibrator), type(self._calibrator).__name__)

    @property
    def losses_(self):
        """Mean log-loss of labelled rows for each calibration among which they chose."""
        return {} if self.choice_ is None else self.choice_.losses

    @property
    def is_estimated(self):
        """Whether something beside the choice of demonstrations was estimated with the weights that the model had."""
        estimated = self._calibrator is not None or self._domain_scores is not None
        return estimated or (self._readout is not None and self._readout.is_kept and self._readout.n_anchors > 0)

    @property
    def evidence_(self):
        """How far a reasoner believes what it reads; None where none reads."""
        return getattr(self._readout, "evidence", None)

    def forget_prompts(self):
        """Read all prompts anew when they are next needed: the weights of the model have changed."""
        self._prompts = None

    def __getstate__(self):
        state = {**vars(self), "_prompts": None, "_numbers": list(self._numbers)}
        if self._readout is None or not self._readout.is_kept:
            return state | {"_readout": None}
        if self.plan_ is not None:
            # Rows that no prompt will show are of no further use.
            plan = list(self.plan_)
            state |= {"_rows": [self._rows[i] for i in plan], "_codes": self._codes[plan], "selector": None}
            state |= {"_numbers": [self._numbers[i] for i in plan], "plan_": tuple(range(len(plan)))}
        return state

    # -- prompts ------------------------------------------------------------------------------------

    def _wake(self, model):
        """Make again what does not go into a pickle, or was made with a model that was loaded anew since."""
        if self._prompts is not None and self._prompts.model is model:
            return
        self._prompts = self._new_prompts(model)
        try:
            self._keep()
            if self._readout is None or not self._readout.is_kept:
                self._readout = make_readout(self.readout_, self.recipe.device)
                self._learn_readout()
                self._heard = {}
        except BaseException:  # an interrupt too: nothing half made is used
            self._prompts = None
            raise

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
        plans, _ = plans_of(self.selector, self._texts(rows), len(self._rows))
        return [self._shuffled(plan) for plan in plans]

    def _shuffled(self, plan):
        if self.recipe.shuffle is None:
            return plan
        return tuple(plan[i] for i in np.random.RandomState(self.recipe.shuffle).permutation(len(plan)))

    def _scorer(self, demonstrations, rows):
        """What learned selectors are fitted with: log-probabilities of labelled rows after ordered demonstrations."""
        plan = tuple(int(i) for i in demonstrations)
        return self._words_of(self._prompts.score([self._rows[i] for i in rows], [plan] * len(rows)))

    def _score_domain_prompt(self):
        text = self.recipe.verbalizer.domain_prompt
        if text is None:
            text = self.recipe.template.parts(self.columns).cue.lstrip()
        if not text:
            raise ValueError(
                "`domain_prompt` is None and the template has no words before {label}. Give one for normalize='pmi'."
            )
        return self._prompts.score_text(text)

    # -- what the model says ------------------------------------------------------------------------

    def _hear(self, rows, plans, progress=None):
        """What the model says after rows, as far as the readout looks at it."""
        looks_at = {"states": self._readout.depths, "vocabulary": self._readout.reads_vocabulary}
        scores = self._prompts.score(rows, plans, **looks_at, progress=progress)
        for what, numbers in (("probabilities", np.exp(scores.log_probs)), ("hidden states", scores.states)):
            if numbers is not None:
                check_finite(numbers, what, NOT_FINITE)
        return Heard(self._words_of(scores), label_mass(scores.log_probs), scores.states, scores.vocabulary)

    def _words_of(self, scores):
        """Log-probabilities of the classes by their label words, before calibration."""
        recipe = self.recipe
        compared = normalized(scores.log_probs, scores.lengths, recipe.verbalizer.normalize, self._domain_scores)
        owners = np.repeat(np.arange(len(recipe.words)), [len(words) for words in recipe.words])
        return log_softmax(class_scores(compared, owners, len(recipe.words)), axis=1)

    def _listen(self, numbers):
        """What the model says after labelled rows, each without itself among its demonstrations; once for each fit."""
        missing = [i for i in numbers if i not in self._heard]
        if missing:
            heard = self._hear_and_count([self._rows[i] for i in missing], self._training_plans(missing))
            self._heard |= zip(missing, heard.by_row())
        return Heard.of_rows([self._heard[i] for i in numbers])

    def _training_plans(self, numbers):
        """Plans of labelled rows, by which nothing tells their labels."""
        plans = self._plans([self._rows[i] for i in numbers])
        return plans_without(numbers, plans, self._rows, self._codes, len(self.recipe.words))

    def _hear_and_count(self, rows, plans):
        if self._bar is None:
            return self._hear(rows, plans)
        self._bar.total = (self._bar.total or 0) + len(rows)
        return self._hear(rows, plans, self._bar.update)

    def _read_off(self, heard):
        """Log-probabilities of the classes, by the readout, calibrated."""
        if self._readout.reads_calibrated_words:
            return self._readout.log_proba(heard._replace(words=self._shifted(heard.words)))
        return self._shifted(self._readout.log_proba(heard))

    def _shifted(self, log_proba):
        return log_proba if self._calibrator is None else self._calibrator.transform(log_proba)

    # -- what is learnt from labelled rows ----------------------------------------------------------

    @property
    def _shown(self):
        return set(self.plan_ or ())

    def _numbers_of(self, rows_of, most):
        """Numbers of rows to learn from, at most so many, in the order of a function; without those that do not fit."""
        in_order = rows_of(self._codes, self._shown, len(self._codes))
        return [i for i in in_order if i not in self.unread][:most]

    def _make_calibrator(self):
        """What `calibration` denotes, fitted on its probes; None for none."""
        given = self.recipe.calibrator
        is_auto = isinstance(given, str) and given == AUTO
        if given is None or (is_auto and not self._readout.reads_calibrated_words):
            return None
        if is_auto:
            numbers = self._numbers_of(rows_as_they_come, min(N_ROWS, self.n_spare))
            self.choice_ = self.choose_calibration(numbers, *(BRING_INPUTS if numbers else BRING_INPUTS[:1]))
            return self.choice_.calibrator
        calibrator = clone(given)
        probed = self._hear_probes(calibrator)
        if probed is not None:
            return calibrator.fit(self._scores_to_calibrate(probed))
        most = len(self._rows) if calibrator.n_rows is None else calibrator.n_rows
        numbers = self._numbers_of(rows_by_class, most)
        return calibrator.fit(self._scores_to_calibrate(self._listen(numbers)), self._codes[numbers])

    def _check_calibrator(self):
        """Refuse a calibrator that lacks rows, or has bad parameters, which it looks at when it is asked for probes."""
        given = self.recipe.calibrator
        if given is None or isinstance(given, str):
            return
        if not self._rows and given.needs_rows:
            raise ValueError(
                f"`calibration`: {type(given).__name__} needs training rows, and there are none. Use 'contextual' or "
                "None, fit with rows, or set `needs_rows = False` on a calibrator of your own."
            )
        self._probes(clone(given))

    def _probes(self, calibrator):
        return calibrator.probes(self._rows or [("",) * len(self.columns)])

    def _hear_probes(self, calibrator):
        """What the model says after the inputs that a calibrator brings; None where these are labelled rows."""
        probes = self._probes(calibrator)
        return None if probes is None else self._hear_and_count(probes, self._plans(probes))

    def _scores_to_calibrate(self, heard):
        return heard.words if self._readout.reads_calibrated_words else self._readout.log_proba(heard)

    def _learn_readout(self):
        n_anchors = self._readout.n_anchors
        if not n_anchors:
            return
        rows_of = rows_by_class if self._readout.needs_all_classes else rows_as_they_come
        numbers = self._numbers_of(rows_of, n_anchors)
        heard = self._listen(numbers)
        if self._readout.reads_calibrated_words:
            heard = heard._replace(words=self._words_without_own_label(heard.words, self._codes[numbers]))
        self._readout.fit(heard, self._codes[numbers], len(self.recipe.words))

    def _words_without_own_label(self, words, codes):
        """Calibrated scores of rows that a readout learns from; the calibration has not learnt from their labels."""
        given = self.recipe.calibrator
        learns = self._calibrator is not None and not isinstance(given, str) and given.probes(self._rows) is None
        if not learns or getattr(given, "transductive", False) or len(codes) < 2:
            return self._shifted(words)
        return without_own_label(given, words, codes)

    def _check_anchors(self):
        missing = set(range(len(self.recipe.words))) - set(self._codes.tolist())
        if missing:
            word = self.recipe.words[min(missing)][0]
            raise ValueError(
                f"`readout`={self.recipe.readout!r} needs a labelled row of every class, and there is none of the "
                f"class with the label word {word!r}. Use readout='label_words'."
            )
