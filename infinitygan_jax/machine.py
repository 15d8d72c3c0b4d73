"""What this machine has."""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import platform
import sys
from typing import IO

_CONTAINER_LIMITS = (  # of Linux control groups, version 2 and 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)

_M_ARENA_MAX = -8  # of glibc's malloc.h


def num_cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def try_lock(file: IO | int, shared: bool = False) -> bool | None:
    """Locks an open file; the system lets go of it with the process.

    Args:
      file: open; or its descriptor, which may be a folder's.
      shared: others may lock it so too, but nobody alone.

    Returns:
      Whether it is this process' now; None where there are no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def limit_arenas() -> bool:
    """Lets glibc manage memory in as many arenas as there are processors.

    By default it makes eight times as many, one for every thread that finds the others
    busy, and each keeps what was freed in it. A user's own setting stays. To be called
    before threads start.

    Returns:
      Whether it was done; elsewhere than in glibc there is nothing to do.
    """
    if "MALLOC_ARENA_MAX" in os.environ or "arena_max" in os.environ.get(
        "GLIBC_TUNABLES", ""
    ):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  others may number options otherwise
        return libc.mallopt(_M_ARENA_MAX, max(2, os.cpu_count() or 1)) == 1
    except (AttributeError, OSError, TypeError):  # not glibc; Windows
        return False


def memory_bytes() -> int:
    """Memory of this machine or container; ``sys.maxsize`` where none is told."""
    limits = [sys.maxsize]
    with contextlib.suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in _CONTAINER_LIMITS:
        with contextlib.suppress(ValueError, OSError):  # "max", or no such file
            limits.append(int(pathlib.Path(name).read_text()))
    return min(limits)


def processor() -> str:
    """A short name that processors of one instruction set share."""
    text = f"{platform.system()} {platform.machine()} {platform.processor()}"
    with contextlib.suppress(OSError):  # Linux; elsewhere the name has to do
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        text += "".join(
            sorted({line for line in lines if line.startswith(("flags", "Features"))})
        )
    return hashlib.sha256(text.encode()).hexdigest()[:16]
