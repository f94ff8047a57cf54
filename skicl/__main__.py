"""``python -m skicl``: the command line, see :mod:`skicl._command_line._parser`."""

import signal
import sys
from io import TextIOWrapper

from skicl._command_line._parser import main, noted_interrupts

if __name__ == "__main__":
    # A polite termination runs the clean-up of the temporary output file, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Class names may hold characters that a narrow console cannot show: escape them instead of failing.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = main(interrupts=noted_interrupts())
    # The result is there, or the error reported: an interrupt of the shutdown shall not change the exit code.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
