"""Calls of skicl that a library declares deprecated fail the test that makes them, doctests included.

Filters of pytest go by the module that a warning is attributed to, and that is mostly one of the library: transformers
warns in the name of torch, whose modules call its own. So here it counts who stands in the stack. Messages of loggers
count as well, since transformers announces some renamings there only. Where a library warns of its own calls, let the
test ignore that one warning by ``@pytest.mark.filterwarnings``, with the reason.
"""

import logging
import os
import re
import traceback
import warnings
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

PACKAGE = os.path.dirname(find_spec("skicl").origin) + os.sep
CATEGORIES = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
LOGGERS = ("accelerate", "huggingface_hub", "peft", "sentence_transformers", "tokenizers", "torch", "transformers")
ANNOUNCES = re.compile(r"deprecat|will be removed|no longer be supported", re.IGNORECASE)


@contextmanager
def recorded_deprecations():
    """The list that deprecations called for by skicl go to, as text, in this block; all are shown as before, too."""
    found = []
    show, make = warnings._showwarnmsg, logging.getLogRecordFactory()

    def shown(message):
        if issubclass(message.category, CATEGORIES) or "Deprecat" in message.category.__name__:
            note(f"{message.category.__name__}: {message.message}")
        return show(message)

    def made(name, level, *args, **kwargs):
        record = make(name, level, *args, **kwargs)
        if name.split(".")[0] in LOGGERS and level >= logging.WARNING and ANNOUNCES.search(record.getMessage()):
            note(f"logged by {name}: {record.getMessage()}")
        return record

    def note(text):
        caller = next((frame for frame, _ in traceback.walk_stack(None) if in_package(frame)), None)
        if caller is not None:
            found.append(f"{text}\n    called at {caller.f_code.co_filename}:{caller.f_lineno}")

    # Every warning that no filter ignores passes here, also where it is recorded, and where C code gives it.
    warnings._showwarnmsg = shown
    logging.setLogRecordFactory(made)
    try:
        yield found
    finally:
        warnings._showwarnmsg = show
        logging.setLogRecordFactory(make)


def in_package(frame):
    return frame.f_code.co_filename.startswith(PACKAGE)


def refuse_deprecations():
    with recorded_deprecations() as found:
        result = yield
    if found:
        pytest.fail("skicl calls what is deprecated:\n" + "\n".join(dict.fromkeys(found)), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup():
    return (yield from refuse_deprecations())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call():
    return (yield from refuse_deprecations())
