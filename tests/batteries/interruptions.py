"""Run something and interrupt it at a chosen step of the code of skicl.

Steps are the places where CPython looks for signals: after a call, at the start of a function and at the end of a
round of a loop. Ctrl-C can come at each of them and at no other; a lack of memory comes out of calls.
"""

import dis
import sys
from functools import cache
from pathlib import Path

import numpy as np

import skicl

PACKAGE = str(Path(skicl.__file__).parent)


class Ctrl_C(KeyboardInterrupt):
    """What the keyboard raises, told apart from a real one."""


class NoMemory(MemoryError):
    """What an allocation raises, told apart from a real one."""


ERRORS = (Ctrl_C, NoMemory)


@cache
def followed_by_a_look(code):
    """Places of the instructions of a function after which signals are looked for."""
    names = ((place, dis.opname[code.co_code[place]]) for place in range(0, len(code.co_code), 2))
    return {place for place, name in names if name.startswith("CALL") or name == "JUMP_BACKWARD"}


def run(call, *, at=None, error=None, watch=None, within=PACKAGE):
    """Run ``call()`` and raise an error at step number ``at``.

    Returns whether the error came, the number of steps, and the steps before which the attributes of ``watch`` have
    changed: those between which its state is neither the old nor the new one, if there are several.
    """
    steps, changes, before = 0, [], None if watch is None else attributes(watch)

    def in_every_frame(frame, event, arg):
        if not frame.f_code.co_filename.startswith(within):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        looked_for, is_look = followed_by_a_look(frame.f_code), True

        def in_ours(frame, event, arg):
            nonlocal is_look
            if event == "opcode":
                if is_look:
                    take_step(frame)
                is_look = frame.f_lasti in looked_for
            return in_ours

        return in_ours

    def take_step(frame):
        nonlocal steps, before
        steps += 1
        if watch is not None and (now := attributes(watch)) != before:
            before = now
            changes.append(steps)
        if steps == at:
            raise error(f"at step {at}, {frame.f_code.co_name}, line {frame.f_lineno}")

    tracer = sys.gettrace()
    sys.settrace(in_every_frame)
    try:
        call()
    except ERRORS:
        return True, steps, changes
    finally:
        sys.settrace(tracer)
    return False, steps, changes


def attributes(estimator):
    """What each attribute of an estimator is, by identity."""
    return {name: id(value) for name, value in vars(estimator).items()}


def chosen_steps(n_steps, changes, *, n_even, n_last):
    """Steps to interrupt at: around every change of the attributes, the last ones, and others evenly.

    >>> chosen_steps(100, [50], n_even=3, n_last=2)
    [1, 49, 50, 51, 99, 100]
    """
    near = [step + away for step in changes for away in (-1, 0, 1)]
    even = np.linspace(1, n_steps, n_even).round().astype(int).tolist()
    last = range(n_steps - n_last + 1, n_steps + 1)
    return sorted({step for step in (*near, *even, *last) if 1 <= step <= n_steps})
