"""The bar appears where it is asked for, and on a terminal where work is long."""

import io
import sys
import time

from skicl import _progress
from skicl._progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, verbose, seconds):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(_progress, "SECONDS_BEFORE_A_BAR", 0.2)
    with progress_bar(4, "SentenceEncoder", verbose) as bar:
        for _ in range(4):
            time.sleep(seconds / 4)
            bar.update(1)
    return stream.getvalue()


def test_bar_is_shown_if_asked_for(monkeypatch):
    for stream in (io.StringIO(), Terminal()):
        text = shown(monkeypatch, stream, True, 0.0)
        assert "SentenceEncoder: 100%" in text
        assert "4/4" in text


def test_bar_is_shown_on_a_terminal_for_long_work_only(monkeypatch):
    assert "SentenceEncoder" in shown(monkeypatch, Terminal(), False, 1.0)
    assert shown(monkeypatch, Terminal(), False, 0.0).strip() == ""
    assert shown(monkeypatch, io.StringIO(), False, 1.0) == ""


def test_work_that_shows_no_bar_unasked(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(_progress, "SECONDS_BEFORE_A_BAR", 0.0)
    with progress_bar(1, "few_shot_curve", False, unasked=False) as bar:
        bar.update(1)
    assert terminal.getvalue() == ""
    with progress_bar(1, "few_shot_curve", True, unit="fit", unasked=False) as bar:
        bar.update(1)
    assert "fit" in terminal.getvalue()
