"""Command line for people who do not write Python: ``python -m skicl classify``."""

import argparse
import os
import signal
import sys

import skicl
from skicl._command_line._classify import classify
from skicl._command_line._tables import TableError

_PROGRAM = "python -m skicl"
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " ", "\\t": "\t"}

_EXAMPLES = """\
examples:
  classify the messages of new.csv, learning from those of labelled.csv
    python -m skicl classify --train labelled.csv --text-column message --label-column intent \\
        --predict new.csv --out predictions.csv
  how good will it be? (needs the labelled table only)
    python -m skicl classify --train labelled.csv --text-column message --label-column intent --evaluate

Tables are CSV files whose first row names the columns; spreadsheets save them as "CSV (UTF-8)".
"""


def main(argv=None, *, interrupts=()):
    """Run the command line and return the exit code: 0, 2 after an error that was reported, 130 after an interrupt.

    Without `argv` the arguments are those of the process. The caller notes interrupts in `interrupts`: while it is not
    empty, any error is taken for the consequence of one. argparse raises SystemExit, with 0 for ``--help`` and
    ``--version`` and 2 for arguments that it cannot parse.

    >>> from skicl._command_line._parser import main
    >>> main(["classify", "--train", "labelled.csv", "--text-column", "message",
    ...       "--label-column", "message", "--evaluate"])
    2
    """
    arguments = _parser().parse_args(argv)
    try:
        classify(arguments)
        sys.stdout.flush()
    except TableError as error:
        print(f"{_PROGRAM} {arguments.command}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the summary, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:
        if not (interrupts or _is_interrupt(error)):
            raise
        print(f"\n{_PROGRAM} {arguments.command}: interrupted, nothing is half-written", file=sys.stderr)
        return 130
    return 0


def noted_interrupts():
    """A list to which the signal of every interrupt is added from now on.

    An interrupt that hits an import may come out as an ImportError that does not tell.
    """
    interrupts = []

    def note(number, frame):
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background it may be ignored
        signal.signal(signal.SIGINT, note)
    return interrupts


def _is_interrupt(error):
    """Whether an error is Ctrl-C, or what became of it: an import that it hits ends in an ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _parser():
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="In-context learning for text.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"skicl {skicl.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "classify",
        help="classify the texts of one table from the labelled texts of another",
        description="Classify the texts of one table from the labelled texts of another (TartClassifier).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_table_options(command)
    _add_task_options(command)
    return parser


def _add_table_options(parser):
    """Add the options that name and describe tables."""
    tables = parser.add_argument_group("tables")
    tables.add_argument("--train", metavar="FILE", required=True, help="table of labelled texts")
    tables.add_argument("--text-column", metavar="NAME", required=True, help="column of the texts, in all tables")
    tables.add_argument("--label-column", metavar="NAME", required=True, help="column of the labels")
    tables.add_argument("--predict", metavar="FILE", help="table of texts to classify; needs --out")
    tables.add_argument(
        "--out",
        metavar="FILE",
        help="table to write: the columns of --predict, then the predictions (replaced if it exists); - for the "
        "standard output",
    )
    tables.add_argument(
        "--delimiter",
        metavar="CHARACTER",
        type=_delimiter,
        help="character between cells of all tables, or one of comma, semicolon, tab, pipe, space "
        "(default: by the name, comma for .csv and tab for .tsv)",
    )
    tables.add_argument(
        "--no-quotes",
        action="store_true",
        help="double quotes are characters as any other and do not enclose cells, in all tables",
    )
    tables.add_argument(
        "--encoding",
        metavar="NAME",
        help="text encoding of all tables (default: utf-8, with or without a mark)",
    )
    tables.add_argument(
        "--skip-empty", action="store_true", help="leave out rows of --train whose text or label is empty"
    )


def _add_task_options(parser):
    """Add the options that say what is done with the tables."""
    task = parser.add_argument_group("task")
    task.add_argument(
        "--evaluate",
        action="store_true",
        help="cross-validated scores on --train, against logistic regression",
    )
    task.add_argument(
        "--class-names",
        choices=("auto", "none"),
        default="auto",
        help="whether the names of the classes say what their texts are about: auto, if they are names and not codes, "
        "or none (default: auto)",
    )
    task.add_argument(
        "--use-unlabelled",
        action="store_true",
        help="learn from the texts to classify too, without labels; the prediction for a text then depends on which "
        "others are in its table",
    )
    task.add_argument("--folds", metavar="N", type=_integer(2), default=5, help="folds of --evaluate (default: 5)")
    task.add_argument(
        "--seed",
        metavar="N",
        type=_integer(0),
        default=0,
        help="seed that cuts the folds of --evaluate (default: 0)",
    )
    task.add_argument(
        "--encoder",
        metavar="MODEL",
        default="sentence-transformers/all-MiniLM-L6-v2",
        help="sentence-transformers model, a name or a folder (default: %(default)s)",
    )
    task.add_argument(
        "--batch-size",
        metavar="N",
        type=_integer(1),
        default=64,
        help="texts encoded at a time (default: 64)",
    )
    task.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    task.add_argument("--no-progress", action="store_true", help="no progress bars (none without a terminal either)")
    task.add_argument("--quiet", action="store_true", help="print errors and the scores of --evaluate only")


def _delimiter(value):
    """A delimiter, given by itself or by its name."""
    character = _DELIMITERS.get(value, value)
    if len(character) != 1 or character in '"\r\n':
        raise argparse.ArgumentTypeError(
            f"expected one character or one of comma, semicolon, tab, pipe, space, got {value!r}"
        )
    return character


def _integer(least):
    """A type of argparse: whole numbers of at least `least`."""

    def parse(value):
        if not (value.isascii() and value.isdigit() and least <= int(value) < 2**32):
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to 2**32 - 1, got {value!r}")
        return int(value)

    return parse
