"""What this machine has."""

import contextlib
import os
import pathlib
import sys
from typing import IO

_CONTAINER_LIMITS = (  # of Linux control groups, version 2 and 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def try_lock(file: IO) -> bool | None:
    """Locks an open file; the system lets go of it with the process.

    Returns:
      Whether it is this process' now; None where there are no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def memory_bytes() -> int:
    """Memory of this machine or container; ``sys.maxsize`` where none is told."""
    limits = [sys.maxsize]
    with contextlib.suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in _CONTAINER_LIMITS:
        with contextlib.suppress(ValueError, OSError):  # "max", or no such file
            limits.append(int(pathlib.Path(name).read_text()))
    return min(limits)
