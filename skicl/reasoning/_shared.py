"""Reasoners in memory: one copy for each process, file, device and precision."""

from functools import lru_cache
from hashlib import sha256

from skicl.reasoning._checkpoint import load_reasoner


def shared_reasoner(path, device, dtype):
    """The reasoner of a file, loaded once; a file that changed is loaded again.

    Parameters
    ----------
    path : Path
        File of the reasoner.
    device : torch.device
        Where to put it.
    dtype : torch.dtype
        Precision of the network; mps knows float32 alone.

    Returns
    -------
    reasoner : Reasoner
        Not to be changed.
    digest : str
        Fingerprint of the weights.
    """
    state = path.stat()
    return _load(path.resolve(), (state.st_mtime_ns, state.st_size), device, dtype)


def clear_reasoners():
    """Forget all reasoners that were loaded; their memory is free once nobody uses them."""
    _load.cache_clear()


@lru_cache(maxsize=8)
def _load(path, state, device, dtype):
    reasoner = load_reasoner(path)
    digest = sha256(b"".join(t.numpy().tobytes() for t in reasoner.state_dict().values())).hexdigest()
    return (reasoner if device.type == "mps" else reasoner.to(dtype)).to(device), digest
