"""Steps side by side, and compiled code that is kept: whole or not at all."""

import functools
import gc
import os
import pathlib
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import pytest

from infinitygan_jax import devices, machine

ROOT = pathlib.Path(__file__).parents[1]
CODE = """
import jax
from infinitygan_jax import devices
devices.prepare()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
with jax.log_compiles(False):
    print(jax.jit(lambda x: x * 3 + 1)(4.0), jax.config.jax_compilation_cache_dir)
"""


def _run(folder, **environment):
    names = {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT), **environment}
    result = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | names,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout.startswith("13.0"), result.stdout
    return result.stdout.split()[1], result.stderr


def _kept(folder):
    return {p.name: p for p in folder.glob("infinitygan_jax/*/*") if p.is_file()}


def test_compiled_code_is_kept_for_the_next_run(tmp_path):
    _run(tmp_path)
    kept = _kept(tmp_path)
    assert kept
    times = {name: path.stat().st_mtime_ns for name, path in kept.items()}
    _, err = _run(tmp_path)
    again = {name: path.stat().st_mtime_ns for name, path in _kept(tmp_path).items()}
    assert again == times
    assert not err


def test_torn_code_is_replaced_without_a_word(tmp_path):
    _run(tmp_path)
    sizes = {}
    for name, path in _kept(tmp_path).items():
        sizes[name] = path.stat().st_size
        os.truncate(path, sizes[name] // 2)
    _, err = _run(tmp_path)
    assert not err
    assert {n: p.stat().st_size for n, p in _kept(tmp_path).items()} == sizes


def test_what_commands_do_first_keeps_memory_too(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(machine, "keep_memory", lambda: done.append("memory"))
    monkeypatch.setattr(machine, "use_one_arena", lambda: done.append("one arena"))
    monkeypatch.setattr(devices, "keep_compiled", lambda: done.append("compiled"))
    thresholds = gc.get_threshold()
    gc.unfreeze()  # as if no other test had run a command
    gc.set_threshold(700, 10, 10)
    try:
        devices.prepare()
        frozen = gc.get_freeze_count()
        assert frozen > 0
        kept = [[] for _ in range(1000)]
        devices.prepare(trains=True)
        # Frozen once: what is garbage later must not stay.
        assert gc.get_freeze_count() < frozen + len(kept) // 2
        assert gc.get_threshold()[0] > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    # What painting keeps would fall into pieces in training.
    assert done == ["memory", "compiled", "one arena", "compiled"]


def test_folders_of_others_are_not_used(tmp_path):
    _run(tmp_path)
    (folder,) = (tmp_path / "infinitygan_jax").iterdir()
    folder.chmod(0o777)  # anybody may put code there
    assert _run(tmp_path)[0] == "None"
    other = tmp_path / "other"
    assert _run(tmp_path, JAX_COMPILATION_CACHE_DIR=str(other))[0] == str(other)


def test_steps_of_one_cpu_run_side_by_side(monkeypatch):
    """So that what one core does of a step leaves no other without work."""
    one, several = jax.devices()[:1], jax.devices()[:2]
    monkeypatch.setattr(machine, "num_cores", lambda: 3)
    assert devices.steps_at_once(one) == 3
    assert devices.steps_at_once(several) == 1
    meeting = threading.Barrier(3, timeout=60)

    def step(number):
        meeting.wait()
        return jnp.full(2, number), threading.current_thread()

    waiting = [devices.begin(functools.partial(step, n), one) for n in range(3)]
    results = [begun.result() for begun in waiting]
    assert [float(array[0]) for array, _ in results] == [0, 1, 2]
    assert threading.main_thread() not in {thread for _, thread in results}
    # What was wrong is said where it is waited for.
    wrong = devices.begin(lambda: jnp.zeros(2) + jnp.zeros((3,)), one)
    with pytest.raises(TypeError, match="incompatible shapes"):
        wrong.result()
    # Of several devices, a step is for all: it begins here.
    assert devices.begin(threading.current_thread, several).result() is (
        threading.main_thread()
    )
    monkeypatch.setattr(machine, "num_cores", lambda: 1)
    begun = devices.begin(threading.current_thread, one)
    assert begun.result() is threading.main_thread()


def test_a_machine_of_many_cores_does_not_take_memory_for_each(monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 96)
    assert devices.steps_at_once(jax.devices()[:1]) == 4
