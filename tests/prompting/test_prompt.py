"""What `ICLClassifier.prompts` shows is what the network is sent."""

import numpy as np
import pytest
from prompting.tiny_causal_models import pair_of

from skicl import ICLClassifier
from skicl.prompting import ModelSettings, NearestDemonstrations, PromptEnsemble, PromptTemplate

TRAIN = ["late parcel", "lost parcel", "wrong bill", "unpaid bill", "parcel came open", "bill is too high"]
Y = ["delivery", "delivery", "billing", "billing", "delivery", "billing"]
QUERIES = ["where is it?", "too dear", ""]
CHAT = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def make(*, chat=None, **parameters):
    pair = pair_of("llama", chat=chat)
    return pair, ICLClassifier(pair, **{"demonstrations": 2, **parameters}).fit(TRAIN, Y)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"readout": "label_words"},
        {"demonstrations": 0},
        {"demonstrations": NearestDemonstrations(2)},
        {"verbalizer": {"billing": "a bill", "delivery": "a parcel"}},
    ],
)
@pytest.mark.parametrize("chat", [None, CHAT])
def test_the_network_reads_the_tokens_that_are_shown(parameters, chat):
    (network, tokenizer), classifier = make(chat=chat, **parameters)
    prompts = classifier.prompts(QUERIES)
    for prompt, query in zip(prompts, QUERIES):
        read = []
        # From the beginning: without what was read in `fit`.
        classifier._learnt.questions[0][0].forget_prompts()
        spy = network.register_forward_pre_hook(
            lambda _, args, inputs, read=read: read.append(inputs["input_ids"].tolist()), with_kwargs=True
        )
        classifier.predict_proba([query])
        spy.remove()
        sent = [token for batch in read for token in batch[0]]
        assert sent[: prompt.n_tokens] == prompt.ids
        assert query in prompt.text
        assert tokenizer.convert_ids_to_tokens(prompt.ids) == prompt.tokens


def test_prompts_do_not_make_the_network_read():
    (network, _), classifier = make()
    network.register_forward_pre_hook(lambda *_: pytest.fail("the model was used"))
    assert len(classifier.prompts(QUERIES)) == 3


def test_labels_are_those_that_are_scored():
    (_, tokenizer), classifier = make()
    prompt = classifier.prompts(["late"])[0]
    assert set(prompt.labels) == {"delivery", "billing"}
    for word, tokens in prompt.labels.items():
        whole = [*prompt.ids, *tokenizer.convert_tokens_to_ids(tokens)]
        assert tokenizer.decode(whole).endswith(f"Label: {word}")


def test_what_does_not_fit_is_named():
    _, classifier = make(demonstrations=4)
    whole = classifier.prompts(["late"])[0]
    assert sorted(whole.demonstrations) == sorted(classifier.demonstrations_.tolist())
    assert whole.dropped == []
    small = ModelSettings(window=whole.n_tokens - 5)
    with pytest.warns(UserWarning, match="left out"):
        _, classifier = make(demonstrations=4, model_settings=small)
    cut = classifier.prompts(["late"])[0]
    assert sorted([*cut.demonstrations, *cut.dropped]) == sorted(whole.demonstrations)
    assert cut.dropped
    assert cut.n_tokens < whole.n_tokens


def test_rows_keep_their_numbers_in_a_pickle(tmp_path):
    import pickle

    classifier = ICLClassifier("skicl-tiny", demonstrations=2, device="cpu").fit(TRAIN, Y)
    again = pickle.loads(pickle.dumps(classifier))
    assert again.prompts(QUERIES) == classifier.prompts(QUERIES)


def test_labels_and_members():
    matrix = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [0, 1]])
    pair = pair_of("llama")
    several = ICLClassifier(pair, demonstrations=2, classes=["parcel", "money"]).fit(TRAIN, matrix)
    assert "Is it about money?" in several.prompts(["late"], label="money")[0].text
    assert "Is it about parcel?" in several.prompts(["late"])[0].text
    with pytest.raises(ValueError, match=r"`label` must be .*'parcel', 'money'"):
        several.prompts(["late"], label="card")
    _, ensemble = make(ensemble=PromptEnsemble(2, vary=["template"], templates=["{text}: {label}", "{text} = {label}"]))
    assert ensemble.prompts(["late"], member=1)[0].text.endswith("late =")
    with pytest.raises(ValueError, match="`member` must be less than 2"):
        ensemble.prompts(["late"], member=2)
    with pytest.raises(ValueError, match="`label` must be None, since each row has one label"):
        ensemble.prompts(["late"], label="billing")


def test_the_form_that_is_asked_for():
    _, plain = make(chat=CHAT, template=PromptTemplate(chat=False))
    assert "[user]" not in plain.prompts(["late"])[0].text
    _, chat = make(chat=CHAT, template=PromptTemplate(chat=True))
    assert "[user]" in chat.prompts(["late"])[0].text
