import ctypes
import os
import platform
import subprocess
import sys

import pytest

from infinitygan_jax import machine

ARENAS = """
import ctypes, os, re, sys, threading
from infinitygan_jax import machine
if machine.limit_arenas() != (sys.argv[2] == "limited"):
    sys.exit("limited, or not, against expectation")
threads = 4 * max(2, os.cpu_count())
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
barrier = threading.Barrier(threads)

def take():
    barrier.wait()
    for _ in range(1000):  # ctypes lets go of the interpreter's lock
        libc.malloc(1000)
    barrier.wait()

started = [threading.Thread(target=take) for _ in range(threads)]
for thread in started:
    thread.start()
for thread in started:
    thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[1]).read().count("<heap "))
"""


def test_memory_is_at_most_the_container_s(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CONTAINER_LIMITS", (str(limit),))
    limit.write_text("max\n")
    whole = machine.memory_bytes()
    limit.write_text("123456\n")
    assert machine.memory_bytes() == 123456 < whole


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
@pytest.mark.parametrize("setting", ["limited", "free"])
def test_arenas_are_at_most_the_processors_unless_a_user_says(tmp_path, setting):
    command = [sys.executable, "-c", ARENAS, str(tmp_path / "info"), setting]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC")}
    most = max(2, os.cpu_count())
    if setting == "free":
        environment["MALLOC_ARENA_MAX"] = str(3 * most)
    result = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    )
    arenas = int(result.stdout)
    assert arenas <= most if setting == "limited" else arenas > most


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    for other in (object(), None):
        monkeypatch.setattr(ctypes, "CDLL", lambda _, other=other: other)
        assert machine.limit_arenas() is False
