"""What this machine has."""

import contextlib
import os
import pathlib
import sys

_CONTAINER_LIMITS = (  # of Linux control groups, version 2 and 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_bytes() -> int:
    """Memory of this machine or container; ``sys.maxsize`` where none is told."""
    limits = [sys.maxsize]
    with contextlib.suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in _CONTAINER_LIMITS:
        with contextlib.suppress(ValueError, OSError):  # "max", or no such file
            limits.append(int(pathlib.Path(name).read_text()))
    return min(limits)
