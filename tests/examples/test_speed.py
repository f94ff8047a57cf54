"""The speed benchmark: operations and bytes counted right, rows of tables from small sizes."""

import numpy as np
import pytest
import torch
from benchmark_modules import load

counts, speed = load("operation_counts"), load("speed")


def test_a_product_of_matrices_costs_what_it_should():
    a, b = torch.ones(30, 40), torch.ones(40, 50)
    cost = counts.count(lambda: a @ b)
    assert cost.flops == 2 * 30 * 40 * 50
    assert cost.bytes == 4 * (30 * 40 + 40 * 50 + 30 * 50)


def test_decompositions_are_counted():
    matrices = torch.eye(6).expand(5, 6, 6)
    assert counts.count(lambda: torch.linalg.eigh(matrices)).flops == counts.EIGH_FLOPS * 5 * 6**3


def test_views_move_nothing_and_in_place_operations_do():
    a = torch.ones(10, 10)
    assert counts.count(lambda: a.mT[2:].unsqueeze(0).expand(3, 8, 10)).bytes == 0
    assert counts.count(lambda: a.add_(1.0)).bytes == 2 * 400
    assert counts.count(lambda: torch.ones(1).expand(1000) + a[0, 0]).bytes < 1000 * 4 + 20


def test_the_floor_is_set_by_the_scarcer_of_the_two():
    best = counts.Cost(flops=100.0, bytes=10.0)
    assert counts.Cost(flops=200.0, bytes=10.0).floor_seconds(best) == 2.0
    assert counts.Cost(flops=200.0, bytes=50.0).floor_seconds(best) == 5.0


def test_best_rates_are_those_of_a_machine():
    best = counts.best_rates("cpu", size=256)
    assert 1e8 < best.flops < 1e14
    assert 1e7 < best.bytes < 1e13


def test_backward_costs_twice_the_forward_products():
    a, weight = torch.ones(8, 16, requires_grad=True), torch.ones(16, 4, requires_grad=True)
    forward = counts.count(lambda: a @ weight).flops
    assert counts.count(lambda: (a @ weight).sum().backward()).flops == 3 * forward


@pytest.mark.parametrize("n_classes", [2, 77])
def test_synthetic_rows_hold_every_class_and_can_be_learned(n_classes):
    X, y, X_query = speed.rows_of(f"synthetic {n_classes}", None)
    assert X.shape == (512, 384)
    assert X_query.shape == (600, 384)
    assert X.dtype == np.float32
    assert len(np.unique(y)) == n_classes
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1.0, rtol=1e-5)


def test_a_line_of_classifiers(monkeypatch):
    options = speed.parse(["--repeats", "1", "--classes", "2"])
    X, y, X_query = speed.rows_of("synthetic 2", options)
    row = speed.classifier_row("synthetic 2", X[:40, :10], y[:40], X_query[:20, :10], options)
    assert len(row) == len(speed.CLASSIFIER_HEADER)
    fit, predict, lr, tuned, over_lr, over_tuned, one = map(float, row[2:])
    assert tuned > lr > 0
    assert over_lr == pytest.approx((fit + predict) / lr, rel=0.2)
    assert over_tuned == pytest.approx((fit + predict) / tuned, abs=0.02, rel=0.1)
    assert 0 < one < fit + predict


def test_a_line_of_pretraining(monkeypatch):
    monkeypatch.setattr(speed, "WORKLOADS", {"tiny": (2, 8, 4, 4, 2)})
    monkeypatch.setattr(speed, "TIMED", 2)
    row = speed.workload_row("tiny", "cpu", counts.Cost(1e11, 1e10))
    assert len(row) == len(speed.PRETRAINING_HEADER)
    rate, floor = float(row[3]), float(row[6])
    assert 0 < rate < floor
    assert row[2] == "2, 8, 4, 4, 2"


def test_the_tasks_of_a_step_have_the_sizes_asked_for():
    tasks = speed.FixedSizes((3, 8, 5, 4, 2)).sample(torch.Generator().manual_seed(0))
    assert tasks.X.shape == (3, 8, 4)
    assert tasks.X_query.shape == (3, 5, 4)
    assert (tasks.y >= 0).all()


def test_a_run_writes_its_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "N_CONTEXT", 30)
    monkeypatch.setattr(speed, "N_QUERIES", 10)
    monkeypatch.setattr(speed, "N_COLUMNS", 6)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    speed.main(["--classes", "3", "--repeats", "1", "--skip-pretraining", "--markdown", str(tmp_path / "speed.md")])
    assert "| synthetic 3 | 3 " in (tmp_path / "speed.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", [["--repeats", "0"], ["--reasoner", "missing.file"]])
def test_unusable_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        speed.parse(wrong)
    assert wrong[0] in capsys.readouterr().err
