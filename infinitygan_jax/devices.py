"""Arrays and functions on devices: one mesh axis, copies, parts, quick compiling."""

import concurrent.futures
import functools
import gc
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jaxlib.version
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from infinitygan_jax import machine

AXIS = "data"

_MOST_AT_ONCE = 4  # steps on one CPU: each takes memory

_Result = TypeVar("_Result")

# Start values at landscape_lite's widths: 3 s of compiling in place of 11 s, the same
# values. Sheets: a third of the time. Without the emitters, which generate code of
# their own for each fusion, a step of a tiny model compiles in 2 s in place of 5 s.
_HURRY = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis over devices; by default all of them, by process."""
    if devices is None:
        devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    # Not jax.make_mesh, which may reorder devices: a process's samples are consecutive.
    # Without the axis type the mesh would be explicit, which the networks are not for.
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array on every device; each process gives the same."""
    return _put(tree, NamedSharding(mesh, P()))


def split(tree: Any, mesh: Mesh) -> Any:
    """Splits every array's leading axis over the devices; each process gives its part.

    The parts of the processes follow each other in the whole.
    """
    return _put(tree, NamedSharding(mesh, P(AXIS)))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
    )


def steps_at_once(devices: Sequence[jax.Device]) -> int:
    """Steps of painting that some devices run side by side.

    One CPU runs a good part of a step on one core: several steps keep the others busy.
    Elsewhere, and on CPUs that were told to be several, a step is for all of it.
    """
    if len(devices) > 1 or devices[0].platform != "cpu":
        return 1
    return min(machine.num_cores(), _MOST_AT_ONCE)


def begin(
    step: Callable[[], _Result], devices: Sequence[jax.Device]
) -> "concurrent.futures.Future[_Result]":
    """Begins a step of painting.

    Args:
      step: dispatches to the devices, and begins no step itself. It runs in another
        thread where several run side by side.
      devices: that it is for.
    """
    number = steps_at_once(devices)
    if number == 1:
        begun: concurrent.futures.Future[_Result] = concurrent.futures.Future()
        begun.set_result(step())
        return begun
    return _workers(number).submit(lambda: jax.block_until_ready(step()))


@functools.cache
def _workers(number: int) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(number, "painting")


def num_compilers() -> int:
    """Functions to compile side by side: each takes a core, and memory."""
    return min(4, machine.num_cores())


def jit_in_a_hurry(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """``jax.jit`` of what runs seldom: on a CPU it is compiled without optimizing.

    The products of convolutions, which come from a library, are as fast as ever.

    Args:
      function: a pure function.
      **settings: of ``jax.jit``.
    """
    options = _HURRY if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=options, **settings)


def prepare(trains: bool = False) -> None:
    """What commands that paint, search or train do first: nothing is made twice.

    Freed memory stays with the process (`machine.keep_memory`), which threads that JAX
    starts with the first device do not see later, and compiled functions stay on disk.
    Cycles of garbage are looked for seldom: tracing makes a great many objects, and few
    of them are garbage.

    Args:
      trains: freed memory is given back (`machine.use_one_arena`), as training's would
        fall into pieces.
    """
    if trains:
        machine.use_one_arena()
    else:
        machine.keep_memory()
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()  # what is imported stays
    gc.set_threshold(100_000, 20, 20)
    keep_compiled()


def keep_compiled(environment: Mapping[str, str] = os.environ) -> None:
    """Keeps compiled functions on disk, so that the next run need not compile them.

    They lie in ``infinitygan_jax`` in the user's cache folder (``XDG_CACHE_HOME``, or
    ``~/.cache``), apart for each version of jaxlib and kind of processor, since code
    for another may stop the program. Where JAX was told of a folder
    (``JAX_COMPILATION_CACHE_DIR``), that is taken; ``JAX_ENABLE_COMPILATION_CACHE=0``
    keeps nothing.
    """
    options = jax.config.values
    if (
        options["jax_compilation_cache_dir"]
        or not options["jax_enable_compilation_cache"]
    ):
        return
    base = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if base.startswith("~"):  # nobody's home
        return
    kind = f"jaxlib-{jaxlib.version.__version__}-{machine.processor()}"
    folder = pathlib.Path(base) / "infinitygan_jax" / kind
    try:
        # What is in it is run: nobody else may write there.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        if os.name == "posix" and (
            state.st_uid != os.getuid() or state.st_mode & 0o022
        ):
            return
    except OSError:  # no home, or a full disk: compiling is only slower
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    warnings.showwarning = functools.partial(_forget_torn, folder, warnings.showwarning)


def _forget_torn(
    folder: pathlib.Path, show: Callable[..., None], message: Any, *arguments: Any
) -> None:
    """Shows a warning; but of compiled code that cannot be read, removes the file.

    A kill in the middle of writing leaves such a file, and JAX never replaces one that
    is there.
    """
    torn = re.match(
        r"Error reading persistent compilation cache entry for '([\w.-]+)'",
        str(message),
    )
    if not torn:
        show(message, *arguments)
        return
    for path in folder.glob(f"{torn[1]}-*"):
        path.unlink(missing_ok=True)
