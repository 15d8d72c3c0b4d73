import ctypes
import os
import platform
import subprocess
import sys

import pytest

from infinitygan_jax import machine

REUSE = """
import ctypes, resource, sys, threading
from infinitygan_jax import machine
if machine.keep_memory() != (sys.argv[1] == "kept"):
    sys.exit("kept, or not, against expectation")
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 100_000_000

def faults():
    # ctypes lets go of the interpreter's lock: threads meet in malloc.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(size))
    ctypes.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
in_turn = []
for _ in range(2):  # each thread would have an arena of its own
    thread = threading.Thread(target=lambda: in_turn.append(faults()))
    thread.start()
    thread.join()
print(*in_turn)
"""

GIVEN_BACK = """
import ctypes, pathlib
from infinitygan_jax import machine
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def resident():
    text = pathlib.Path("/proc/self/statm").read_text()
    return int(text.split()[1]) * 4096

machine.give_back()  # before anything is kept
machine.keep_memory()
block, fence = (ctypes.c_void_p(libc.malloc(size)) for size in (10**8, 1000))
ctypes.memset(block, 1, 10**8)
libc.free(block)
kept = resident()
machine.give_back()
print(kept - resident())
"""


ONE_ARENA = """
import ctypes, pathlib, sys, threading
from infinitygan_jax import machine
if sys.argv[1] == "one":
    assert machine.use_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p

def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

all_there = threading.Barrier(4)

def take():
    block = ctypes.c_void_p(libc.malloc(10_000))
    all_there.wait()  # an arena is taken over from a thread that ended
    libc.free(block)

threads = [threading.Thread(target=take) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
before = resident()
block = ctypes.c_void_p(libc.malloc(10**8))
ctypes.memset(block, 1, 10**8)
libc.free(block)
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(pathlib.Path(sys.argv[2]).read_text().count("<heap nr="), resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_training_takes_memory_from_one_place_and_gives_large_blocks_back(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    environment.pop("GLIBC_TUNABLES", None)
    found = {}
    for case in ("one", "many"):
        result = subprocess.run(
            [sys.executable, "-c", ONE_ARENA, case, str(tmp_path / case)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        found[case] = [int(word) for word in result.stdout.split()]
    (arenas, kept), (more, _) = found["one"], found["many"]
    assert arenas == 1 < more
    assert kept < 10**7


def test_memory_is_at_most_the_container_s(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CONTAINER_LIMITS", (str(limit),))
    limit.write_text("max\n")
    whole = machine.memory_bytes()
    limit.write_text("123456\n")
    assert machine.memory_bytes() == 123456 < whole


def _without_settings():
    """The environment, without anything said of malloc."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_what_is_kept_is_given_back_when_told():
    """Also from between blocks that are in use."""
    result = subprocess.run(
        [sys.executable, "-c", GIVEN_BACK],
        env=_without_settings(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(result.stdout) > 9 * 10**7


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
@pytest.mark.parametrize("setting", ["kept", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_large_blocks_are_used_again_unless_a_user_says_otherwise(setting):
    environment = _without_settings()
    if setting != "kept":
        value = "4" if setting == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=4"
        environment[setting] = value
    result = subprocess.run(
        [sys.executable, "-c", REUSE, setting],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    pages = 100_000_000 // os.sysconf("SC_PAGE_SIZE")
    if setting == "kept":
        assert max(map(int, result.stdout.split())) < pages // 100


def test_other_allocators_are_left_alone(monkeypatch):
    for name in list(os.environ):
        if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES":
            monkeypatch.delenv(name)
    for other in (object(), None):
        monkeypatch.setattr(ctypes, "CDLL", lambda _, other=other: other)
        assert machine.keep_memory() is False
        assert machine.use_one_arena() is False
        machine.give_back()  # nothing
