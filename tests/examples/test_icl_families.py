"""The benchmark of families: small networks are built, held against the definition, and put into a table."""

import numpy as np
import pytest
import torch
from benchmark_modules import load

families, small = load("icl_families"), load("small_networks")


@pytest.mark.parametrize(
    ("name", "rotary", "kind"),
    [
        ("llama", None, "exact"),
        ("phi3", "longrope", "exact, read again"),
        ("llama4_text", None, "exact"),
        ("mamba", None, "exact, read again"),
        ("bart", None, "exact"),
    ],
)
def test_families_of_every_kind_are_as_by_the_definition(name, rotary, kind):
    outcome = families.tried(name, rotary)
    assert outcome.kind == kind, outcome
    assert max(outcome.scores, outcome.vectors) <= families.ALLOWED


def test_a_network_that_sees_what_follows_is_refused():
    network = small.small_network("bert")
    network.config.is_decoder = network.base_model.config.is_decoder = False
    for module in network.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
    outcome = families.compared(network)
    assert outcome.kind == "refused"
    assert "masked language model" in outcome.note


def test_a_network_whose_rows_depend_on_their_neighbours_is_found_out(monkeypatch):
    network = small.small_network("llama")
    forward = type(network.model).forward

    def mixed(self, input_ids=None, **inputs):
        output = forward(self, input_ids=input_ids, **inputs)
        output.last_hidden_state = output.last_hidden_state * (1 + 0.01 * (input_ids.shape[1] > 20))
        return output

    monkeypatch.setattr(type(network.model), "forward", mixed)
    assert families.compared(network).kind == "wrong"


def test_agreement_of_a_network_in_which_nothing_matters_does_not_count():
    network = small.small_network("gpt2")
    network.lm_head.weight.data.zero_()
    outcome = families.compared(network)
    assert outcome.kind == "not built small"
    assert "make no difference" in outcome.note


@pytest.mark.parametrize("name", ["rwkv", "openai-gpt"])
def test_prompts_and_labels_matter_where_batches_agree_to_the_last_bit(name):
    network = small.small_network(name)
    scores = np.array([families.label_scores(network, families.prompt_of(text), False) for text in families.texts()])
    assert np.ptp(scores, axis=0).min() > 1
    assert np.ptp(scores, axis=1).min() > 1


def test_an_architecture_that_cannot_be_built_is_said_so():
    outcome = families.tried("no such architecture")
    assert outcome.kind == "not built small"
    assert "no such architecture" in outcome.note


@pytest.mark.parametrize("told", ["... from its beginning ...", "... from their beginning ...", ""])
def test_judgement(told):
    good = families.judged(1e-5, 1e-5, ["another warning", told])
    assert good.kind == ("exact, read again" if told else "exact")
    for how in ("read one by one", "rows of equal length"):
        assert families.judged(1e-5, 1e-5, ["... from its beginning ...", how]).kind == "exact, read apart"
    for pair in ((1e-3, 1e-5), (1e-5, 1e-3), (float("nan"), 0.0)):
        assert families.judged(*pair, [told]).kind == "wrong"


def test_report_counts_and_lists():
    rows = [("llama", None, families.Outcome("exact", 3e-6, 2e-7)), ("x", "longrope", families.Outcome("failed"))]
    text = families.report(rows)
    assert f"2 of {len(small.architectures())} architectures, 2 networks (exact 1, failed 1)" in text
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 4


def test_prompts_stand_on_both_sides_of_the_switch_and_on_it():
    lengths = {len(families.prompt_of(text)) for text in families.texts()}
    assert {small.SWITCH - 2, small.SWITCH - 1, small.SWITCH, small.SWITCH + 1} <= lengths
    assert max(lengths) + 5 <= small.POSITIONS


def test_context_matters_in_small_networks():
    """Otherwise agreement would say nothing."""
    network = small.small_network("gpt2")
    one, other = (families.read_alone(network, ids, fresh=False)[-1] for ids in ([9, 8, 7], [5, 8, 7]))
    assert (one.log_softmax(-1) - other.log_softmax(-1)).abs().max() > 0.1
    assert torch.isfinite(one).all()
