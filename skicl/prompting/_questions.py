"""All prompts of a classifier, fitted: one for each label that is asked about and each member of an ensemble.

Where the user leaves it open, labelled rows choose what prompts look like: turns of a chat or plain text, few
demonstrations or more.
"""

from typing import NamedTuple

from skicl.prompting._task import PromptedTask, Recipe
from skicl.prompting._training_rows import rows_as_they_come

# Labelled rows by which prompts are compared, at most.
N_TRIED = 32


class PromptChoice(NamedTuple):
    """The recipe whose prompts suit the labelled rows."""

    recipe: Recipe
    task: PromptedTask  # opened, with what the model said after the rows that chose
    shared: dict  # what the model made of the beginnings of its prompts
    losses: dict  # mean log-loss of the rows that chose, for each kind of prompt; empty where there was no choice


def choose_prompt(recipe, selectors, columns, model, rows, codes, bar):
    """The PromptChoice among the forms of the template and some selectors, which differ in how many rows they show.

    The form is chosen first, with the first selector, then the selector. Rows that are shown cannot tell: without
    others the first of each is taken, which is a chat for a model that has one.
    """
    forms = recipe.template.forms(model.tokenizer)

    def trial(form, selector):
        return _Trial.of(recipe, form, selector, columns, model, rows, codes, bar)

    trials = [trial(forms[0], selectors[0])]
    if trials[0].task.n_spare and len(forms) + len(selectors) > 2:
        trials += [trial(form, selectors[0]) for form in forms[1:]]
        form = _best(trials, _losses(trials)).task.recipe.template
        trials += [trial(form, selector) for selector in selectors[1:]]
    found = _losses(trials)
    best, losses = _best(trials, found), {trial.name: loss for trial, loss in zip(trials, found)}
    return PromptChoice(best.task.recipe, best.task, best.shared, losses)


def fit_questions(recipes, candidates, columns, model, rows, codes, bar, choice):
    """For each label that is asked about, the fitted tasks of the members of an ensemble: a list of lists.

    `codes` are numbers of classes (n,), or for several candidates (n, n_candidates). The task of a PromptChoice is gone
    on with where its recipe is asked for. `bar` counts rows that are read.
    """
    questions: list = []
    for j, candidate in enumerate(candidates):
        wanted = codes if candidate is None else codes[:, j]
        questions.append([])
        for recipe in recipes:
            if recipe is choice.recipe and j == 0:
                task = choice.task.learn()
            else:
                task = PromptedTask(recipe._replace(candidate=candidate), columns)
                task.fit(model, rows, wanted, choice.shared, bar)
            questions[-1].append(task)
    return questions


class _Trial(NamedTuple):
    """A task that is opened to be compared with others."""

    task: PromptedTask
    shared: dict

    @classmethod
    def of(cls, recipe, template, selector, columns, model, rows, codes, bar):
        shared: dict = {}
        task = PromptedTask(recipe._replace(template=template, selector=selector), columns)
        return cls(task.open(model, rows, codes, shared, bar), shared)

    @property
    def name(self):
        plan, dropped = self.task.plan_, self.task.n_dropped_
        number = "demonstrations for each query" if plan is None else f"{len(plan) + dropped} demonstrations"
        return f"{'chat' if self.task.is_chat_ else 'plain'}, {number}"


def _best(trials, losses):
    """The one after which labelled rows are most probable; where none could tell, the one with most demonstrations."""
    if not losses:
        return min(trials, key=lambda trial: trial.task.n_dropped_)
    return trials[losses.index(min(losses))]


def _losses(trials):
    """Mean log-losses of the same labelled rows, which no prompt shows, calibrated as suits each; none for one."""
    if len(trials) == 1:
        return []
    shown = set().union(*((*(trial.task.plan_ or ()), *trial.task.unread) for trial in trials))
    codes = trials[0].task.codes
    numbers = rows_as_they_come(codes, shown, min(N_TRIED, len(codes) - len(shown)))
    if not numbers:  # windows may cut the prompts in different ways, so that they show all rows between them
        return []
    choices = [trial.task.choose_calibration(numbers, "contextual") for trial in trials]
    return [choice.losses[choice.name] for choice in choices]
