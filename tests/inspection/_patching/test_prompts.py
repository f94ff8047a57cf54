"""Prompts as inputs of a network: the measure is the difference of logits, whatever shares the batch."""

import pytest
import torch
from inspection.patched_networks import FAMILIES, letter_pairs, random_network

from skicl.inspection._patching._prompts import prompt_subject


@pytest.mark.parametrize("family", FAMILIES)
def test_the_measure_is_the_difference_of_logits_after_the_prompt(family):
    (network, tokenizer), pairs = random_network(family), letter_pairs(4)
    subject = prompt_subject(network, tokenizer, pairs, "k ", None)
    assert len(set(subject.lengths)) > 1, "prompts of different lengths share the batch"
    with torch.no_grad():
        found = [measure() for measure in subject.measures([2, 0, 1, 3])]
        for version, measured in zip((pairs.clean, pairs.corrupt), found):
            for number, value in zip([2, 0, 1, 3], measured):
                prompt = "k " + version[number]
                start = tokenizer(prompt)["input_ids"]
                tokens = [tokenizer(prompt + answers[number])["input_ids"] for answers in pairs[2:]]
                split = next(i for i, (a, b) in enumerate(zip(*tokens)) if a != b)
                assert split >= len(start)
                logits = network(torch.tensor([tokens[0][:split]])).logits[0, -1]
                assert value.item() == pytest.approx(
                    (logits[tokens[0][split]] - logits[tokens[1][split]]).item(), abs=2e-4
                )


def test_prompts_beyond_the_positions_are_refused():
    network, tokenizer = random_network("gpt2")
    with pytest.raises(ValueError, match=r"with its `prefix`, has \d+ tokens, and the network has \d+ positions"):
        prompt_subject(network, tokenizer, letter_pairs(), "b c " * 80, None)
