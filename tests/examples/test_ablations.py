"""The ablations: every variant changes what it says and nothing else, and a run can be continued."""

import csv
from dataclasses import replace

import pytest
import torch
from benchmark_modules import load

from skicl.pretraining import EmbeddingPrior, Schedule, Sizes, _priors
from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Evidence

CONFIG = EquivariantConfig(n_channels=8, n_values=4, n_logits=2, n_hidden=8, n_layers=2, n_landmarks=8)
PRIOR = EmbeddingPrior(max_labelled=16, max_unlabelled=20, n_queries=8, n_features=(4, 8), max_classes=4, budget=512)
SCHEDULE = Schedule(steps=3, warmup=1)


variants, ablation_tables, ablations, scaling_curve = map(
    load, ("ablation_variants", "ablation_tables", "ablations", "scaling_curve")
)
BY_KEY = {variant.key: variant for variant in variants.VARIANTS}
each_variant = pytest.mark.parametrize("key", BY_KEY)
NEEDS_MUON = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")


@pytest.fixture
def tiny(monkeypatch):
    for module in (ablations, scaling_curve):
        monkeypatch.setattr(module, "PRIOR", PRIOR)
        monkeypatch.setattr(module, "SCHEDULE", SCHEDULE)
    monkeypatch.setattr(ablations, "CONFIG", CONFIG)
    monkeypatch.setattr(scaling_curve, "SIZES", {"tiny": replace(CONFIG, n_layers=1), "small": CONFIG})


def tasks_of(seed=0, **options):
    return EmbeddingPrior(max_labelled=32, **options).sample(torch.Generator().manual_seed(seed))


def predict(reasoner, tasks):
    evidence = Evidence(tasks.X, tasks.y, tasks.n_classes, side=tasks.side)
    with torch.no_grad():
        return reasoner(evidence, tasks.X_query, tasks.side_query)


def state_of(key, schedule=SCHEDULE):
    return ablations.make_state(BY_KEY[key], CONFIG, schedule)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@each_variant
def test_every_variant_trains_and_predicts(key):
    if key == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    state = state_of(key)
    before = {name: t.detach().clone() for name, t in state.reasoner.named_parameters()}
    seconds = ablations.train(BY_KEY[key], state, PRIOR, SCHEDULE)
    assert state.step == SCHEDULE.steps
    assert seconds > 0
    moved = [not torch.equal(before[name], t) for name, t in state.reasoner.named_parameters() if t.numel()]
    assert sum(moved) > 0.8 * len(moved)
    assert torch.isfinite(predict(ablations.averaged(state), PRIOR.sample(torch.Generator().manual_seed(7)))).all()


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("key", [v.key for v in variants.VARIANTS if v.group == variants.NETWORK][1:])
def test_altered_networks_are_other_functions_with_the_symmetries(key):
    tasks = tasks_of(n_features=(8,), side_share=0.0, n_queries=8)
    reasoner, default = state_of(key).reasoner, state_of("default").reasoner
    # Every branch must speak, or leaving it out would change nothing before training.
    for network in (reasoner, default):
        with torch.no_grad():
            for parameter in network.parameters():
                generator = torch.Generator().manual_seed(3)
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    logits = predict(reasoner, tasks)
    assert not torch.allclose(logits, predict(default, tasks), atol=1e-3)
    order = torch.randperm(tasks.X.shape[1], generator=torch.Generator().manual_seed(0))
    permuted = predict(reasoner, tasks._replace(X=tasks.X[:, order], y=tasks.y[:, order]))
    torch.testing.assert_close(permuted.softmax(-1), logits.softmax(-1), atol=2e-3, rtol=0)


def test_what_was_left_out_has_no_influence():
    """The parts that a variant silences may hold any weights."""
    tasks = tasks_of(n_features=(8,), side_share=0.0)
    for key, pick in (
        ("no-residual", lambda r: r.layers[0].values.weight[:, 8:10]),
        ("no-kernel", lambda r: r.layers[0].filters[1].power),
    ):
        reasoner = state_of(key).reasoner
        before = predict(reasoner, tasks)
        with torch.no_grad():
            pick(reasoner).add_(1.0)
        torch.testing.assert_close(predict(reasoner, tasks), before)
    for key in ("no-sharpness", "no-filter"):
        assert sum(p.numel() for p in state_of(key).reasoner.parameters()) < sum(
            p.numel() for p in EquivariantReasoner(CONFIG).parameters()
        )
    shared = state_of("shared-layers").reasoner
    assert len(shared.layers) == CONFIG.n_layers
    assert len({id(layer) for layer in shared.layers}) == 1


def test_a_row_that_hears_itself_changes_the_context():
    """With one labelled row for each class nothing is left to hear without one's own."""
    X = torch.eye(2)[None] * 3
    evidence = Evidence(X, torch.tensor([[0, 1]]), 2)
    messages = [state_of(key).reasoner.encode(evidence).layers[1].messages[0] for key in ("default", "no-loo")]
    assert not torch.allclose(*messages)


@NEEDS_MUON
def test_muon_and_adamw_share_the_parameters_between_them():
    state = state_of("muon")
    held = [id(p) for group in state.optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in state.reasoner.parameters())
    first, second = state.optimizer.optimizers
    assert type(first).__name__ == "Muon"
    assert all(p.ndim == 2 for group in first.param_groups for p in group["params"])
    assert any(p.ndim == 1 for group in second.param_groups for p in group["params"])


@pytest.mark.parametrize("key", [v.key for v in variants.VARIANTS if v.group == variants.PRIOR])
def test_changed_priors_draw_other_tasks_and_are_put_back(key):
    options = {"n_features": (64,), "side_share": 1.0, "unlabelled_share": 0.0}
    before = {name: getattr(_priors, name) for name in BY_KEY[key].prior}
    plain = [tasks_of(seed, **options) for seed in range(30)]
    with BY_KEY[key].sampling():
        changed = [tasks_of(seed, **options) for seed in range(30)]
    again = [tasks_of(seed, **options) for seed in range(30)]
    assert {name: getattr(_priors, name) for name in BY_KEY[key].prior} == before
    assert all(torch.equal(a.X, b.X) and torch.equal(a.side, b.side) for a, b in zip(plain, again))
    differs = [
        a.X.shape != b.X.shape
        or not torch.equal(a.X, b.X)
        or not torch.equal(a.y, b.y)
        or not torch.equal(a.side, b.side)
        for a, b in zip(plain, changed)
    ]
    assert any(differs)
    assert all(torch.isfinite(tasks.X).all() and torch.isfinite(tasks.side).all() for tasks in changed)


def test_names_that_do_not_lie_say_more():
    """One task in eight has lying names by default: without them the nearest name is right more often."""
    y = torch.randint(0, 4, (3000, 60), generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    centres = 3 * torch.randn(3000, 4, 16, generator=generator)
    X = centres.gather(1, y[..., None].expand(-1, -1, 16)) + torch.randn(3000, 60, 16, generator=generator)
    names, right = _priors.class_directions(X, y, 4), {}
    for key in ("default", "no-lies"):
        with BY_KEY[key].sampling():
            draw = _priors.Draw(torch.Generator().manual_seed(2))
            right[key] = (_priors.side_scores(draw, X, names).argmax(-1) == y).float().mean(1)
        assert right[key].max() > 0.95  # honest
        assert right[key].min() < 0.1  # useless
    assert right["no-lies"].mean() > right["default"].mean() + 0.02


def test_one_kind_of_task_only():
    def is_logistic(tasks):
        """Independent features of mean zero and variance one: other tasks are rougher."""
        rows = tasks.X.flatten(0, 1)
        return bool((rows.var(0) - 1).abs().max() < 0.2 and rows.mean(0).abs().max() < 0.2)

    sizes, found = Sizes(4, 400, 0, 8, 16, 2), {}
    for key in ("default", "no-logistic", "only-softmax", "only-gaussian"):
        with BY_KEY[key].sampling():
            found[key] = sum(is_logistic(PRIOR.sample(torch.Generator().manual_seed(s), sizes)) for s in range(80))
    assert found == {"default": found["default"], "no-logistic": 0, "only-softmax": 0, "only-gaussian": 0}
    assert found["default"] > 0


def test_a_run_is_continued_and_reported(tiny, tmp_path, capsys):
    out, table = tmp_path / "results.csv", tmp_path / "table.md"
    options = ["--out", str(out), "--steps", "2", "--batches", "2", "--default-seeds", "2"]
    ablations.main([*options, "--variants", "default"])
    first = out.read_text()
    ablations.main([*options, "--variants", "default,channels-16", "--markdown", str(table)])
    assert out.read_text().startswith(first)
    with open(out, newline="") as file:
        records = list(csv.DictReader(file))
    assert [(r["variant"], r["seed"]) for r in records] == [
        ("default", "0"),
        ("no-averaging", "0"),
        ("default", "1"),
        ("no-averaging", "1"),
        ("channels-16", "0"),
    ]
    assert float(records[-1]["gflop_per_step"]) > float(records[0]["gflop_per_step"])
    lines = table.read_text().splitlines()
    assert capsys.readouterr().out.endswith(table.read_text() + "\n")
    default, wider = (next(line for line in lines if line.startswith(start)) for start in ("| **def", "| 16 channels"))
    shown, change = (float(line.split("|")[5]) for line in (default, wider))
    assert shown == pytest.approx(sum(float(records[i]["plain"]) for i in (0, 2)) / 2, abs=6e-4)
    assert change == pytest.approx(float(records[4]["plain"]) - float(records[0]["plain"]), abs=6e-4)
    assert "± " in next(line for line in lines if line.startswith("| noise"))
    assert "Not run: no fit channels" in lines[-1]
    with pytest.raises(SystemExit, match="use another file"):
        ablations.main(["--out", str(out), "--steps", "3", "--batches", "2"])


def test_a_torch_without_muon_is_told_in_the_table(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    ablations.main(["--steps", "1", "--batches", "1", "--default-seeds", "1", "--variants", "default,muon"])
    assert f"Not run: Muon for the hidden matrices (torch {torch.__version__} has no Muon)." in capsys.readouterr().out


def test_real_sets_are_scored_on_nested_contexts():
    """A linearly separable set: a reasoner that ships is right, one that never learned is not."""
    from skicl.reasoning import load_reasoner

    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (300,), generator=generator)
    X = torch.eye(3, 12)[y] * 4 + torch.randn(300, 12, generator=generator)
    sets = {"three": ablations.RealSet(X[:200], y[:200], X[200:], y[200:], 3)}
    good = ablations.real_scores(load_reasoner(), sets, [16, 64])
    assert set(good) == {"accuracy_16", "log_loss_16", "accuracy_64", "log_loss_64"}
    assert good["accuracy_64"] > 90
    assert good["log_loss_64"] < 0.4 < ablations.real_scores(EquivariantReasoner(CONFIG), sets, [64])["log_loss_64"]


def test_bad_options_are_refused(capsys):
    for options in (["--variants", "none"], ["--steps", "0"], ["--k", "many"], ["--out", "no/folder.csv"]):
        with pytest.raises(SystemExit, match="2"):
            ablations.main(options)
    assert "'none' is not one of default" in capsys.readouterr().err


def test_the_scaling_curve_counts_and_draws(tiny, tmp_path):
    out, figure, table = (tmp_path / name for name in ("scaling.csv", "scaling.svg", "scaling.md"))
    options = ["--out", str(out), "--seconds", "0.5", "--points", "2", "--batches", "2", "--figure", str(figure)]
    scaling_curve.main([*options, "--sizes", "tiny"])
    first = out.read_text()
    scaling_curve.main([*options, "--sizes", "tiny,small", "--markdown", str(table)])
    assert out.read_text().startswith(first)
    with open(out, newline="") as file:
        records = list(csv.DictReader(file))
    assert [r["size"] for r in records] == ["tiny", "tiny", "small", "small"]
    assert 0.25 <= float(records[0]["cpu_seconds"]) < float(records[1]["cpu_seconds"])
    for a, b in (records[:2], records[2:]):
        assert float(a["gflop"]) / int(a["steps"]) == pytest.approx(float(b["gflop"]) / int(b["steps"]), rel=0.05)
    per_step = [float(record["gflop"]) / int(record["steps"]) for record in records]
    assert per_step[2] > 1.4 * per_step[0]  # two layers instead of one
    assert "M parameters" in figure.read_text() or figure.stat().st_size > 5000
    assert table.read_text().count("\n") == 2 + len(records)
    with pytest.raises(SystemExit, match="use another file"):
        scaling_curve.main([*options, "--points", "3"])
