"""What this machine has."""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import platform
import sys
from typing import IO, Any

_CONTAINER_LIMITS = (  # of Linux control groups, version 2 and 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)

# glibc's numbers of options of malloc, and what they are set to.
_ONE_ARENA = ((-8, 1),)  # M_ARENA_MAX
_KEPT = (
    (-4, 0),  # M_MMAP_MAX: no block is mapped alone
    (-1, 2**31 - 1),  # M_TRIM_THRESHOLD: of what is free at the end of the heap
)

_is_kept = False  # whether ``keep_memory`` did its work


def num_cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def try_lock(file: IO[Any] | int, shared: bool = False) -> bool | None:
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


def keep_memory() -> bool:
    """Lets glibc keep memory that was freed, all in one place, for the next use.

    By default a large block is the system's as soon as it is freed, and XLA's working
    memory, some 90 MB for a tile, is a new one at each call: every page of it is
    cleared by the system again. And many arenas each keep what was freed in them. A
    user's own settings of ``malloc`` stay. To be called before threads start.

    Returns:
      Whether it was done; elsewhere than in glibc there is nothing to do.
    """
    global _is_kept
    _is_kept = _set_malloc(*_ONE_ARENA, *_KEPT)
    return _is_kept


def use_one_arena() -> bool:
    """Lets glibc take all memory from one place, and give back large blocks at once.

    A training step frees blocks of a thousand sizes in an order of its own. Kept as
    `keep_memory` keeps them, the heap falls into pieces, until it is many times what
    is in use and most of it is new to the processor's caches. A user's own settings
    of ``malloc`` stay. To be called before threads start.

    Returns:
      Whether it was done; elsewhere than in glibc there is nothing to do.
    """
    return _set_malloc(*_ONE_ARENA)


def _set_malloc(*options: tuple[int, int]) -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc" in tunables or any(n.startswith("MALLOC_") for n in os.environ):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  others may number options otherwise
        return all(libc.mallopt(*option) == 1 for option in options)
    except (AttributeError, OSError, TypeError):  # not glibc; Windows
        return False


def give_back() -> None:
    """Gives freed memory back to the system, where ``keep_memory`` keeps it.

    To be called now and then, since some of it is never used again: a large block is
    freed, some bytes of it are taken, and the next one of its size lies elsewhere.
    """
    if _is_kept:
        ctypes.CDLL(None).malloc_trim(0)


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
