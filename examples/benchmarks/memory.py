"""The most memory that a process ever held."""

import sys
from pathlib import Path


def peak_bytes():
    """Largest resident memory of this process since it started."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage also counts what the parent held when it started this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
