"""The command line of pretraining: fields as options, interrupts, several processes."""

import signal
import subprocess
import sys
import time

import pytest

from skicl.pretraining import Schedule
from skicl.pretraining.__main__ import build_parser, main
from skicl.reasoning import CausalConfig, EquivariantConfig, load_reasoner, read_card


def command(out, *more):
    sizes = [
        "--n-channels",
        "8",
        "--n-values",
        "4",
        "--n-logits",
        "2",
        "--n-hidden",
        "8",
        "--n-layers",
        "1",
        "--max-labelled",
        "16",
        "--n-features",
        "4",
        "8",
        "--budget",
        "512",
    ]
    return [
        sys.executable,
        "-m",
        "skicl.pretraining",
        "--out",
        str(out),
        "--device",
        "cpu",
        "--threads",
        "1",
        *sizes,
        *more,
    ]


def test_interrupt_saves_and_exits_cleanly(tmp_path):
    process = subprocess.Popen(command(tmp_path / "run", "--steps", "1000000"), stderr=subprocess.PIPE, text=True)
    first = process.stderr.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert "step 50/" in first
    assert process.returncode == 130
    assert "interrupted, saved at step" in rest
    assert "Traceback" not in rest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.safetensors", "run.state.safetensors"]
    assert load_reasoner(tmp_path / "run.safetensors").config.n_layers == 1


@pytest.mark.slow
def test_two_processes_average_their_gradients(tmp_path):
    """Under torchrun on the CPU both processes work, one saves, and the tasks of both count."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        launch + command(tmp_path / "run", "--steps", "4")[1:], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    alone = subprocess.run(command(tmp_path / "alone", "--steps", "4"), capture_output=True, timeout=120, check=False)
    assert alone.returncode == 0
    assert read_card(tmp_path / "run.safetensors")["tasks"] > read_card(tmp_path / "alone.safetensors")["tasks"]


def test_every_field_is_an_option_with_its_default():
    arguments = build_parser().parse_args(["--out", "x"])
    assert arguments.n_layers == EquivariantConfig().n_layers
    assert arguments.learning_rate == Schedule().learning_rate
    assert build_parser().parse_args(["--out", "x", "--n-features", "3", "5"]).n_features == [3, 5]


def test_stopping_and_going_on(tmp_path, capsys):
    options = command(tmp_path / "run", "--steps", "4")[3:]
    assert main([*options, "--stop-after", "2"]) == 0
    assert read_card(tmp_path / "run.safetensors")["steps"] == 2
    assert main(options) == 0
    assert read_card(tmp_path / "run.safetensors")["steps"] == 4
    assert "saved at step 4" in capsys.readouterr().err


def test_the_paper_s_reasoner_has_options_of_its_own(tmp_path, capsys):
    options = ["--reasoner", "causal", "--out", str(tmp_path / "run"), "--device", "cpu", "--steps", "2"]
    options += ["--n-channels", "8", "--n-heads", "2", "--n-layers", "1", "--n-features", "4", "--n-points", "20"]
    assert main([*options, "--n-sequences", "3", "--optimizer", "muon"]) == 0
    assert load_reasoner(tmp_path / "run.safetensors").config == CausalConfig(4, 20, 8, 2, 1)
    card = read_card(tmp_path / "run.safetensors")
    assert (card["prior"]["n_features"], card["prior"]["n_points"], card["tasks"]) == (4, 20, 6)
    assert "saved at step 2" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*options, "--max-labelled", "16"])  # an option of the other reasoner


def test_errors_are_one_line_and_status_2(tmp_path, capsys):
    assert main(command(tmp_path / "none" / "run")[3:]) == 2
    assert capsys.readouterr().err.startswith("error: The folder of `out` does not exist")
    with pytest.raises(SystemExit, match="2"):
        main(["--n-layers", "many"])
