"""The script that scores the paper's reasoner on its own tasks."""

import re

import pytest
import torch
from benchmark_modules import load

from skicl.reasoning import CausalConfig, CausalReasoner, load_reasoner, read_card, save_reasoner

script = load("paper_reasoner")


@pytest.fixture
def untrained(tmp_path):
    reasoner = CausalReasoner(CausalConfig(n_points=40, n_channels=8, n_heads=2, n_layers=1))
    reasoner.reset_parameters(torch.Generator().manual_seed(0))
    save_reasoner(tmp_path / "run.safetensors", reasoner, {"steps": 7, "tasks": 8, "seconds": 9, "hardware": "none"})
    return tmp_path / "run.safetensors"


def test_the_table_and_the_card_hold_the_same_scores(untrained, tmp_path, capsys):
    released = tmp_path / "released.safetensors"
    script.main(
        [
            "--reasoner",
            str(untrained),
            "--n",
            "16",
            "24",
            "--tasks",
            "6",
            "--queries",
            "10",
            "--draws",
            "10",
            "--n-points",
            "20",
            "--markdown",
            str(tmp_path / "table.md"),
            "--release",
            str(released),
        ]
    )
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out
    assert "7 steps on 8 sequences" in text
    scores = read_card(released)["evaluation"]["accuracy and log-loss by rows"]
    assert set(scores["16"]) == set(script.LABELS)
    assert "network" not in scores["24"]  # longer than the network reads
    for n in ("16", "24"):
        assert scores[n]["bayes"]["log_loss"] < scores[n]["reasoner"]["log_loss"]
        row = next(line for line in text.splitlines() if re.match(rf"\| *{n} ", line))
        assert f"{100 * scores[n]['tuned-lr']['accuracy']:.1f}" in row
    assert load_reasoner(released).config.n_points == 20
    assert read_card(released)["steps"] == 7
