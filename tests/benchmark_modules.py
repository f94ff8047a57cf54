"""Modules of the benchmarks, which lie outside the package, for their tests."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "benchmarks"


def load(name):
    """A module of ``examples/benchmarks`` by its name; its imports find their neighbours."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
