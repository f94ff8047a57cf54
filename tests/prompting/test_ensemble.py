import numpy as np
import pytest

from skicl.prompting import NearestDemonstrations, PromptEnsemble, PromptTemplate, StratifiedDemonstrations, Verbalizer
from skicl.prompting._task import Recipe

RECIPE = Recipe(PromptTemplate(), Verbalizer(), [["a"], ["b"]], StratifiedDemonstrations(k=4))
OPINIONS = np.log([[[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.3, 0.7]], [[0.45, 0.55], [0.6, 0.4]]])


def test_combinations():
    p = np.exp(OPINIONS)
    np.testing.assert_allclose(np.exp(PromptEnsemble(3).combined(OPINIONS)), p.mean(axis=0))
    best = p.max(axis=0)
    largest = np.exp(PromptEnsemble(3, combine="max").combined(OPINIONS))
    np.testing.assert_allclose(largest, best / best.sum(axis=1, keepdims=True))
    votes = np.exp(PromptEnsemble(3, combine="vote").combined(OPINIONS))
    np.testing.assert_allclose(votes, [[1.5 / 4, 2.5 / 4], [1.5 / 4, 2.5 / 4]])
    for combine in ("mean", "max", "vote"):
        one = PromptEnsemble(1, combine=combine).combined(OPINIONS[:1])
        np.testing.assert_array_equal(one.argmax(axis=1), OPINIONS[0].argmax(axis=1))
        np.testing.assert_allclose(np.exp(one).sum(axis=1), 1)


def test_members_differ_in_what_varies():
    members = PromptEnsemble(3, random_state=5).members(RECIPE, ["a", "b"])
    assert [member.selector.random_state for member in members] == [5, 6, 7]
    assert RECIPE.selector.random_state == 0
    assert [member.shuffle for member in members] == [None] * 3
    assert [member.shuffle for member in PromptEnsemble(2, vary=["order"]).members(RECIPE, "ab")] == [0, 1]
    templates = ["{text} 1 {label}", PromptTemplate("{text} 2 {label}")]
    members = PromptEnsemble(3, vary=["template"], templates=templates).members(RECIPE, "ab")
    assert [member.template.template for member in members] == [templates[0], templates[1].template, templates[0]]
    words = [{"a": "x", "b": "y"}, {"a": "u", "b": "v"}]
    members = PromptEnsemble(2, vary=["words"], words=words).members(RECIPE, ["a", "b"])
    assert [member.words for member in members] == [[["x"], ["y"]], [["u"], ["v"]]]


def test_a_selector_without_a_seed():
    recipe = RECIPE._replace(selector=NearestDemonstrations())
    with pytest.raises(ValueError, match="NearestDemonstrations has no random_state"):
        PromptEnsemble().members(recipe, "ab")
    assert len(PromptEnsemble(2, vary=["order"]).members(recipe, "ab")) == 2


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"n_members": 0}, "n_members"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": None}, "random_state"),
        ({"vary": "order"}, "vary"),
        ({"vary": ()}, "vary"),
        ({"vary": ["seed"]}, "vary"),
        ({"combine": "median"}, "combine"),
        ({"vary": ["template"]}, "templates"),
        ({"templates": ["{text} {label}"]}, "templates"),
        ({"vary": ["words"]}, "words"),
        ({"words": [{0: "a"}]}, "words"),
    ],
)
def test_bad_parameters(parameters, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        PromptEnsemble(**parameters).check()
    PromptEnsemble().check()


def test_templates_must_be_templates():
    with pytest.raises(TypeError, match="`templates` must be a list of strings"):
        PromptEnsemble(vary=["template"], templates=[5]).check()
