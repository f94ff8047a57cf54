"""Reasoners in memory: one copy for each process, file, device and precision."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from skicl._storage._digests import file_checksum
from skicl._storage._tensors import checksum_of
from skicl.reasoning._checkpoint import load_reasoner

# So often a file is loaded anew that others replace meanwhile.
_TRIES = 5


class _ChangedMeanwhile(Exception):
    """What was loaded may be neither the old file nor the new one."""


def shared_reasoner(path: Path, device: torch.device, dtype: torch.dtype) -> tuple[Any, str]:
    """The reasoner of a file, loaded once; a file whose content changed is loaded again."""
    for _ in range(_TRIES):
        with suppress(_ChangedMeanwhile):
            return _load(path.resolve(), file_checksum(path), device, dtype)
    raise OSError(f"The reasoner {str(path)!r} changed while it was loaded, {_TRIES} times. Wait until it is complete.")


def clear_reasoners() -> None:
    """Forget all reasoners that were loaded; their memory is free once nobody uses them."""
    _load.cache_clear()


@lru_cache(maxsize=8)
def _load(path: str | Path, checksum: Any, device: torch.device, dtype: Any) -> tuple:
    reasoner = load_reasoner(path)
    if file_checksum(path) != checksum:
        raise _ChangedMeanwhile  # what raises is not kept
    digest = checksum_of(reasoner.state_dict(), {"config": repr(reasoner.config)})
    return (reasoner if device.type == "mps" else reasoner.to(dtype)).to(device), digest
