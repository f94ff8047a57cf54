"""``python -m skicl``: arguments, exit codes, interrupts, and that every option is documented."""

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import skicl
from skicl._command_line._parser import main, noted_interrupts

LABELLED = """message,intent
where is my parcel,delivery
box left in the rain,delivery
return my money,refund
you charged me twice,refund
"""
NEW = """message
"two parcels,
one café"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with labelled.csv and new.csv, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    Path("labelled.csv").write_text(LABELLED, encoding="utf-8")
    Path("new.csv").write_text(NEW, encoding="utf-8")
    return tmp_path


def classify(*options):
    """Arguments that classify new.csv, and options."""
    tables = ["--train", "labelled.csv", "--predict", "new.csv", "--out", "out.csv"]
    return ["classify", *tables, "--text-column", "message", "--label-column", "intent", *options]


def start(*options, **changes):
    """The program as a process."""
    root = str(Path(skicl.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "skicl", *classify("--device", "cpu", *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        **changes,
    )


@pytest.mark.slow
def test_the_process_writes_what_the_function_writes(folder, tiny_folder, capsys):
    assert main(classify("--device", "cpu", "--encoder", tiny_folder)) == 0
    assert "out.csv: 1 rows written" in capsys.readouterr().out
    expected = Path("out.csv").read_bytes()
    os.remove("out.csv")
    process = start("--encoder", tiny_folder)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "out.csv: 1 rows written" in out
    assert Path("out.csv").read_bytes() == expected


def test_interrupts_are_noted_and_still_interrupt():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupts = noted_interrupts()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupts == [signal.SIGINT]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what runs in the background
        assert noted_interrupts() == []
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_that_an_import_hides_is_known_from_its_signal(folder, monkeypatch, capsys):
    """numpy 1 makes an ImportError of its own of it, which does not lead back to the interrupt."""

    def hidden(arguments):
        raise ImportError("could not import module 'datetime'")

    monkeypatch.setattr(skicl._command_line._parser, "classify", hidden)
    with pytest.raises(ImportError):
        main(classify())
    assert main(classify(), interrupts=[signal.SIGINT]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_process_stops_at_once_when_interrupted(folder, tiny_folder):
    # Where the tests run in the background of a shell, interrupts would be ignored.
    process = start("--encoder", tiny_folder, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stdout.readline() == "labelled.csv: 4 labelled texts, 2 classes\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert sorted(os.listdir(folder)) == ["labelled.csv", "new.csv"]


def test_an_interrupt_that_an_import_turned_into_another_error_is_one(folder, monkeypatch, capsys):
    def fail(_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr("skicl._command_line._parser.classify", fail)
    assert main(classify()) == 130
    assert "interrupted" in capsys.readouterr().err


def test_errors_have_exit_code_2_and_one_line(folder, capsys):
    os.remove("new.csv")
    assert main(classify()) == 2
    err = capsys.readouterr().err
    assert err.startswith("python -m skicl classify: error: new.csv does not exist.")
    assert err.count("\n") == 1


def test_a_reader_that_has_seen_enough(folder, monkeypatch):
    """As in ``python -m skicl classify ... | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(classify()) == 1
    assert not os.path.exists("out.csv")


def test_predict_needs_out(folder, capsys):
    assert main([word for word in classify() if word not in ("--out", "out.csv")]) == 2
    assert "--predict needs --out FILE as well." in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--folds", "1"], ["--folds", "five"], ["--seed", "-1"], ["--seed", str(2**32)], ["--batch-size", "0"],
        ["--delimiter", "ab"], ["--delimiter", ""], ["--delimiter", '"'], ["--unknown", "1"], ["--pre", "new.csv"],
    ],
)  # fmt: skip
def test_options_that_cannot_be_parsed(folder, options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(classify(*options))
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_version_and_help(capsys):
    for arguments, expected in ([["--version"], f"skicl {skicl.__version__}\n"], [["classify", "--help"], "--train"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


def test_the_default_encoder_is_that_of_the_package(capsys):
    default = inspect.signature(skicl.SentenceEncoder).parameters["model"].default
    with pytest.raises(SystemExit):
        main(["classify", "--help"])
    assert default in capsys.readouterr().out


def test_every_option_is_documented(capsys):
    page = Path(skicl.__file__).parents[1] / "docs" / "command_line.rst"
    if not page.exists():
        pytest.skip("the documentation is not part of an installed package")
    with pytest.raises(SystemExit):
        main(["classify", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options == set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text(encoding="utf-8"))) - {"--version"}
