"""What is left open about prompts is chosen by labelled rows, each of which is read once."""

import numpy as np
import pytest
from prompting.tiny_causal_models import pair_of
from sklearn.base import BaseEstimator

from skicl import ICLClassifier
from skicl.prompting import (
    AffineCalibration,
    BatchCalibration,
    PromptEnsemble,
    PromptTemplate,
    StratifiedDemonstrations,
)

CHAT = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
X = [f"{word} number {i}" for i in range(20) for word in ("late parcel", "wrong bill")]
Y = ["delivery", "billing"] * 20


def fitted(n_rows=40, *, chat=CHAT, **parameters):
    classifier = ICLClassifier(pair_of("llama", chat=chat), **parameters)
    return classifier.fit(X[:n_rows], Y[:n_rows])


def test_the_prompt_with_the_least_loss_is_taken():
    classifier = fitted()
    losses = classifier.losses_["prompt"]
    assert set(losses) <= {f"{form}, {n} demonstrations" for form in ("chat", "plain") for n in (4, 10)}
    assert len(losses) == 3  # both forms with few demonstrations, the better one with more
    best = min(losses, key=losses.get)
    assert classifier.chat_ == best.startswith("chat")
    assert f"{len(classifier.demonstrations_)} demonstrations" in best
    assert ("[user]" in classifier.prompts(["late"])[0].text) == classifier.chat_


def test_losses_are_those_of_held_out_rows():
    losses = {}
    for chat in (True, False):
        template = PromptTemplate(chat=chat)
        one = fitted(12, template=template, demonstrations=4)
        assert one.losses_["prompt"] == {}
        losses[chat] = min(one.losses_["calibration"].values())
    both = fitted(12, demonstrations=4)
    assert set(both.losses_["prompt"]) == {"chat, 4 demonstrations", "plain, 4 demonstrations"}
    assert both.chat_ == (
        both.losses_["prompt"]["chat, 4 demonstrations"] < both.losses_["prompt"]["plain, 4 demonstrations"]
    )


@pytest.mark.parametrize(("n_rows", "chat", "expected"), [(4, CHAT, True), (4, None, False), (12, None, False)])
def test_without_a_choice_nothing_is_compared(n_rows, chat, expected):
    classifier = fitted(n_rows, chat=chat)
    assert classifier.chat_ is expected
    assert classifier.losses_["prompt"] == {}
    assert len(classifier.demonstrations_) == 4


class Unseeded(BaseEstimator):
    """Shows other rows each time that it is fitted."""

    fits = 0

    def fit(self, X, y):
        Unseeded.fits += 1
        self.rows_ = np.array([0, 1, 2]) if Unseeded.fits % 2 else np.array([1, 2, 3])
        return self

    def select(self, X):
        return self.rows_


def test_prompts_that_show_all_rows_between_them_are_not_compared():
    classifier = fitted(4, demonstrations=Unseeded())
    assert classifier.chat_
    assert len(set(classifier.losses_["prompt"].values())) <= 1


@pytest.mark.parametrize(
    ("parameters", "rows", "message"),
    [
        ({"readout": "reasoner", "classes": ["a", "b"]}, (None,), "`readout`='reasoner' needs labelled rows"),
        ({"calibration": AffineCalibration(C=-1)}, (X, Y), "`C`"),
        ({"calibration": BatchCalibration(mean="x")}, (X, Y), "`mean`"),
        ({"calibration": "batch", "classes": ["a", "b"]}, (None,), "needs training rows"),
        (
            {"readout": "knn", "classes": ["billing", "delivery", "other"]},
            (X, Y),
            "needs a labelled row of every class",
        ),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_the_model_reads(parameters, rows, message):
    network, tokenizer = pair_of("llama", chat=CHAT)
    network.register_forward_pre_hook(lambda *_: pytest.fail("the model was used"))
    with pytest.raises(ValueError, match=message):
        ICLClassifier((network, tokenizer), **parameters).fit(*rows)


def test_what_is_given_is_not_put_in_question():
    classifier = fitted(template=PromptTemplate(chat=False), demonstrations=StratifiedDemonstrations(6))
    assert classifier.losses_["prompt"] == {}
    assert len(classifier.demonstrations_) == 6


def test_all_members_and_labels_get_the_form_that_was_chosen():
    ensemble = PromptEnsemble(3, vary=["template"], templates=["{text} = {label}", "{text}: {label}"])
    classifier = fitted(12, ensemble=ensemble)
    assert [task.is_chat_ for task in classifier._learnt.questions[0]] == [classifier.chat_] * 3
    matrix = np.array([[i % 2, i % 3 == 0, i < 6] for i in range(12)], dtype=int)
    several = ICLClassifier(pair_of("llama", chat=CHAT)).fit(X[:12], matrix)
    assert [tasks[0].is_chat_ for tasks in several._learnt.questions] == [several.chat_] * 3


@pytest.mark.parametrize("parameters", [{}, {"calibration": "batch"}, {"readout": "hidden_centroid"}])
def test_each_labelled_row_is_read_once_after_each_prompt(parameters):
    """The rows that chose the prompt, those of the calibration and those of the readout are the same readings."""
    network, tokenizer = pair_of("llama", chat=CHAT)
    read = []
    network.register_forward_pre_hook(
        lambda _, args, inputs: read.extend(tokenizer.decode(row) for row in inputs["input_ids"]), with_kwargs=True
    )
    classifier = ICLClassifier((network, tokenizer), demonstrations=4, **parameters).fit(X, Y)
    shown = set(classifier.demonstrations_.tolist())
    rows = [i for i in range(len(X)) if i not in shown]
    # In the chosen form once, in the other at most once, for the comparison.
    form = [text for text in read if ("[end]" in text) == classifier.chat_]
    other = [text for text in read if ("[end]" in text) != classifier.chat_]
    for i in rows:
        assert sum(X[i] + ("[" if "[" in text else "\n") in text or text.rstrip().endswith(X[i]) for text in form) == 1
        assert sum(X[i] in text for text in other) <= 1
