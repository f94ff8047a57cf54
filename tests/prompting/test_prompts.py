import warnings

import numpy as np
import pytest
from encoders.argument_names import CountsTokens
from prompting.tiny_causal_models import pair_of

from skicl._models._language_model import LanguageModel
from skicl.prompting import PromptTemplate, _prompts
from skicl.prompting._prompts import Demonstrations, Prompts, label_mass

ROWS = [("my card is lost",), ("refund please",), ("cannot log in",), ("lost",)]
SHOWN = ["card", "refund", "card", "refund"]
QUERIES = [("where is my card?",), ("no refund came yet",), ("late",)]
MODEL = LanguageModel(*pair_of("gpt2"))


def make(words=("card", "refund"), *, model=MODEL, template=None, window=None, **options):
    shown = Demonstrations(ROWS, SHOWN, ("text",))
    settings = {"labels": words, "candidate": None, "batch_size": 4, **options}
    return Prompts(model, template or PromptTemplate(), shown, list(words), window=window, **settings)


def rendered(plan, query):
    return PromptTemplate().render([({"text": ROWS[i][0]}, SHOWN[i]) for i in plan], {"text": query})


def n_tokens(text):
    return len(MODEL.backend.encode(text, add_special_tokens=False).ids)


def test_plans_of_every_kind_at_once():
    """A prompt has the same scores with others of its plan, alone, and after a prefix that was kept."""
    prompts = make()
    prompts.keep((0, 1))
    plans = [(0, 1), (2, 3), (2, 3)]
    together = prompts.score(QUERIES, plans).log_probs
    alone = [make().score([query], [plan]).log_probs[0] for query, plan in zip(QUERIES, plans)]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(prompts.score(QUERIES[::-1], plans[::-1]).log_probs, together[::-1], atol=1e-4)
    by_text = [make().score_text(rendered(plan, query)) for (query,), plan in zip(QUERIES, plans)]
    np.testing.assert_allclose(together, by_text, atol=1e-4)


def test_order_and_labels_of_demonstrations_matter():
    scores = [make().score(QUERIES[:1], [plan]).log_probs[0] for plan in [(0, 1), (1, 0), (0, 3), ()]]
    for i, one in enumerate(scores):
        for other in scores[:i]:
            assert np.abs(one - other).max() > 1e-3


def test_what_others_read_is_used():
    shared = {}
    make(shared=shared).keep((0, 1))
    (prefix,) = shared.values()
    make(shared=shared).keep((0, 1))
    assert list(shared.values()) == [prefix]
    make(shared=shared).keep((1, 0))
    assert len(shared) == 2
    read = []
    hook = MODEL.whole.register_forward_pre_hook(
        lambda network, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    prompts = make(shared=shared)
    prompts.keep((0, 1, 2))
    hook.remove()
    assert sum(read) < 1.2 * n_tokens(rendered((2,), "")), "only the last demonstration is read"
    plain = make().score(QUERIES, [(0, 1, 2)] * 3).log_probs
    np.testing.assert_allclose(prompts.score(QUERIES, [(0, 1, 2)] * 3).log_probs, plain, atol=1e-4)


def test_plans_of_several_rows_are_read_on_from_what_is_kept():
    prompts, plans = make(), [(0, 1, 3), (0, 1, 3), (0, 1, 2)]
    expected = prompts.score(QUERIES, plans).log_probs
    prompts.keep((0, 1, 2))
    counter = CountsTokens(MODEL.whole)
    np.testing.assert_allclose(prompts.score(QUERIES, plans).log_probs, expected, atol=1e-4)
    rows = sum(n_tokens(f"Text: {query}\nLabel:") + 2 for (query,) in QUERIES)
    assert counter.tokens <= rows + n_tokens(rendered((3,), "")), "of what two rows share, the last demonstration"


def test_demonstrations_that_do_not_fit_are_left_out_as_a_whole():
    plan = (0, 1, 2, 3)
    longest = n_tokens(rendered(plan, "where is my card?")) + n_tokens(" refund") + 2
    for window in range(longest + 1, 40, -7):
        prompts = make(window=window)
        kept = prompts.fitting(plan, QUERIES, from_end=True)
        assert kept == plan[: len(kept)]
        assert (kept == plan) == (window >= longest)
        assert n_tokens(rendered(kept, QUERIES[0][0])) <= window
        if kept != plan:
            assert n_tokens(rendered(plan[: len(kept) + 1], QUERIES[0][0])) + n_tokens(" refund") + 2 > window
        assert (
            prompts.fitting(plan, QUERIES, from_end=False)
            == plan[len(plan) - len(prompts.fitting(plan, QUERIES, from_end=False)) :]
        )
    assert make(window=10_000).fitting(plan, QUERIES, from_end=True) == plan


def test_a_long_row_gets_fewer_demonstrations_and_the_others_theirs():
    plan = (0, 1)
    window = n_tokens(rendered(plan, "late")) + n_tokens(" refund") + 4
    queries = [("late",), ("late " * 12,)]
    prompts = make(window=window)
    prompts.keep(plan)
    with pytest.warns(UserWarning, match=f"1 of 2 rows are too long .* at most {window} tokens"):
        scores = prompts.score(queries, [plan, plan]).log_probs
    assert n_tokens(rendered((0,), queries[1][0])) < window
    np.testing.assert_allclose(scores[0], make().score(queries[:1], [plan]).log_probs[0], atol=1e-4)
    np.testing.assert_allclose(scores[1], make().score(queries[1:], [plan[:1]]).log_probs[0], atol=1e-4)


def test_a_row_that_cannot_fit_is_refused_before_anything_is_read():
    prompts = make(window=30)
    model_reads = MODEL.whole.register_forward_pre_hook(lambda *_: pytest.fail("the model was used"))
    try:
        with pytest.raises(ValueError, match=r"row at position 1 whose prompt has \d+ tokens .* and 30 fit"):
            prompts.score([("late",), ("late " * 40,)], [(), ()])
    finally:
        model_reads.remove()


def many_rows():
    """Seven queries: five of two plans, one of a plan of its own, one that is long."""
    queries = [*QUERIES, ("it is late",), ("late " * 30,), ("refund",), ("card",)]
    return queries, [(0, 1), (2, 3), (0, 1), (2, 3), (0, 1), (1, 2), (0, 1)]


def test_rows_are_worked_on_in_parts(monkeypatch):
    """Only the tokens of one part are in memory; scores, warnings and refusals are those of the whole."""
    queries, plans = many_rows()
    window = n_tokens(rendered((0, 1), "where is my card?")) + n_tokens(" refund") + 12

    def run(rows_at_once, sizes):
        monkeypatch.setattr(_prompts, "ROWS_AT_ONCE", rows_at_once)
        joint = Prompts._joint
        counted = lambda self, *arguments: sizes.append(len(arguments[2])) or joint(self, *arguments)  # noqa: E731
        prompts = make(window=window)
        prompts.keep((0, 1))
        steps = []
        with monkeypatch.context() as patched, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            patched.setattr(Prompts, "_joint", counted)
            scores = prompts.score(queries, plans, progress=steps.append, states=(1.0,), vocabulary=True)
        assert sum(steps) == len(queries)
        return scores, [str(warning.message) for warning in caught]

    sizes = []
    whole, said = run(1000, [])
    parts, said_of_parts = run(2, sizes)
    assert max(sizes) <= 2
    for one, other in zip(whole[:-1], parts[:-1]):
        np.testing.assert_allclose(other, one, atol=1e-4)
    assert len(said) == 1
    assert said == said_of_parts
    assert said[0].startswith("1 of 7 rows are too long")


def test_a_row_of_a_later_part_that_cannot_fit_is_refused_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(_prompts, "ROWS_AT_ONCE", 1)
    prompts = make(window=60)
    model_reads = MODEL.whole.register_forward_pre_hook(lambda *_: pytest.fail("the model was used"))
    try:
        with pytest.raises(ValueError, match=r"row at position 2 whose prompt has \d+ tokens .* and 60 fit"):
            prompts.score([("late",), ("is it late",), ("late " * 200,)], [()] * 3)
    finally:
        model_reads.remove()


def test_memory_that_runs_out_is_reported_once(monkeypatch):
    monkeypatch.setattr(_prompts, "ROWS_AT_ONCE", 4)
    model = LanguageModel(*pair_of("gpt2"))
    prompts, queries = make(model=model), [(f"late {i}",) for i in range(12)]
    prompts.keep((0, 1))
    counter = CountsTokens(model.whole)
    prompts.score(queries[:2], [(0, 1)] * 2)

    def fail(network, arguments, named, most=1.5 * counter.tokens):  # more than two rows
        if named["input_ids"].numel() > most:
            raise RuntimeError("not enough memory: you tried to allocate")

    hook = model.whole.register_forward_pre_hook(fail, with_kwargs=True)
    with pytest.warns(UserWarning, match="Memory ran out with `batch_size`=4; 2 rows") as caught:
        scores = prompts.score(queries, [(0, 1)] * 12)
    hook.remove()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_allclose(scores.log_probs, prompts.score(queries, [(0, 1)] * 12).log_probs, atol=1e-4)


def test_a_word_that_begins_another_is_told_from_it():
    """Alone, "1" is at least as probable as "12", whose probability is one of its parts."""
    tokens = make(["1", "12"])
    scores = tokens.score(QUERIES, [(0,)] * 3)
    ended = make(["1\n\n", "12\n\n"]).score(QUERIES, [(0,)] * 3)
    np.testing.assert_allclose(scores.log_probs, ended.log_probs, atol=1e-4)
    assert (make(["1", "32"]).score(QUERIES, [(0,)] * 3).lengths < scores.lengths).all()


def test_words_without_tokens_of_their_own_are_refused():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.WordLevel({"Label:": 0, "yes": 1, "?": 2}, unk_token="?"))
    pieces.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model = LanguageModel(MODEL.whole, PreTrainedTokenizerFast(tokenizer_object=pieces))
    with pytest.raises(ValueError, match="does not tell 'b' from 'a'"):
        make(["a", "b"], model=model)
    silent = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate("Label: yes")}, merges=[]))
    model = LanguageModel(MODEL.whole, PreTrainedTokenizerFast(tokenizer_object=silent))
    with pytest.raises(ValueError, match=r"no token for 'no'"):
        make(["yes", "no"], model=model)
    make(["yes", "say"], model=model)


def test_an_empty_prompt_begins_with_the_neutral_token():
    prompts = make(template=PromptTemplate("{text} {label}"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(prompts.score([("",)], [()]).log_probs).all()


def test_the_model_is_not_kept_alive():
    model = LanguageModel(*pair_of("gpt2"))
    prompts = make(model=model)
    assert prompts.model is model
    del model
    assert prompts.model is None


def test_label_mass():
    np.testing.assert_allclose(label_mass(np.log([[0.1, 0.2], [0.7, 0.7]])), [0.3, 1.0])
