"""The regret benchmark: honest losses, the same tasks for all, results that are continued and not mixed up."""

import csv
import re

import pytest
import torch
from benchmark_modules import load

from skicl.reasoning import EquivariantConfig, EquivariantReasoner, save_reasoner

SMALL = ["--alphas", "1,5", "--n", "8", "--tasks", "2", "--queries", "20", "--draws", "10"]


regret = load("synthetic_regret")


def test_the_true_probabilities_have_the_least_expected_loss():
    tasks = regret.draw_tasks(2.0, 10, n_tasks=3, n_queries=50)
    least = regret.expected_loss(tasks.p_query, tasks)
    for wrong in (tasks.p_query.sqrt(), 0.9 * tasks.p_query + 0.05, torch.full_like(tasks.p_query, 0.5)):
        assert (regret.expected_loss(wrong, tasks) > least).all()
    chance = torch.rand(4000, *tasks.p_query.shape, generator=torch.Generator().manual_seed(0))
    drawn = (chance < tasks.p_query).double()
    log_loss = torch.nn.functional.binary_cross_entropy(tasks.p_query.expand_as(drawn), drawn)
    assert least.mean().item() == pytest.approx(log_loss.item(), abs=0.005)


def test_certain_and_wrong_is_a_finite_loss():
    tasks = regret.draw_tasks(10.0, 10, n_tasks=1, n_queries=10)
    assert torch.isfinite(regret.expected_loss(1 - tasks.p_query.round(), tasks)).all()


def test_tasks_have_the_noise_level_and_both_labels():
    noisy, sharp = (regret.draw_tasks(alpha, 2, n_tasks=300, n_queries=40) for alpha in (0.5, 10.0))
    for tasks in (noisy, sharp):
        assert (tasks.y.sum(1) == 1).all()
    margin = torch.logit(noisy.p_query)
    assert margin.std().item() == pytest.approx(0.5 * 4, rel=0.1)
    assert (sharp.p_query - 0.5).abs().mean() > 0.45
    again = regret.draw_tasks(10.0, 2, n_tasks=300, n_queries=40)
    assert torch.equal(again.X, sharp.X)
    assert not torch.equal(noisy.X, sharp.X)


def test_a_run_is_continued_and_the_reasoner_scored_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(regret, "ALPHAS", (1.0, 5.0))
    out, markdown = tmp_path / "regret.csv", tmp_path / "regret.md"
    regret.main([*SMALL, "--out", str(out), "--markdown", str(markdown)])
    with open(out, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 2  # cells, Bayes twice and LR, tasks: nothing of the reasoner
    first = markdown.read_text(encoding="utf-8")
    assert first.count("\n| 1 ") == first.count("\n| 5 ") == 1

    def refuse(*args, **kwargs):
        raise AssertionError("computed although the file has it")

    monkeypatch.setattr(regret, "bayes_predictions", refuse)
    monkeypatch.setattr(regret, "logistic_probabilities", refuse)
    regret.main([*SMALL, "--out", str(out), "--markdown", str(markdown)])
    assert markdown.read_text(encoding="utf-8") == first
    other = tmp_path / "other.safetensors"
    save_reasoner(other, EquivariantReasoner(EquivariantConfig(n_layers=1)))
    regret.main([*SMALL, "--out", str(out), "--markdown", str(markdown), "--reasoner", str(other)])
    assert markdown.read_text(encoding="utf-8") != first
    with pytest.raises(AssertionError, match="computed although"):
        regret.main([*SMALL[:-4], "--queries", "21", "--draws", "10", "--out", str(out)])


def test_the_table_shows_the_means_of_its_columns(tmp_path):
    tasks = 4
    records = [
        {"alpha": alpha, "n": 8, "method": method, "task": task, "loss": loss + 0.01 * task, "monte_carlo": 0.001}
        for alpha in (1.0, 5.0)
        for method, loss in (("bayes-knowing", 0.3), ("bayes", 0.4), ("tart", 0.45), ("tuned-lr", 0.6))
        for task in range(tasks)
    ]
    options = regret.parse(["--alphas", "1,5", "--n", "8", "--tasks", str(tasks)])
    text = regret.report(records, options)
    last = [cell.strip() for cell in text.splitlines()[-1].strip("|").split("|")]
    assert last == [
        "all", "all", "0.315", "0.415", "0.465", "0.615", "0.0500 ± 0.0000", "0.1500 ± 0.0000", "0.2000 ± 0.0000",
    ]  # fmt: skip
    assert re.search(r"at most 1.0e-03 nats", text)


@pytest.mark.parametrize("wrong", [["--tasks", "1"], ["--n", "1"], ["--alphas", "0"], ["--reasoner", "missing.file"]])
def test_unusable_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        regret.parse(wrong)
    assert wrong[0] in capsys.readouterr().err
