"""What this machine can do: the rate that other rates are measured by."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 2048  # of the square matrices


def best_seconds(
    function: Callable[..., Any],
    *args: Any,
    repeats: int = 5,
    clock: Callable[[], float | np.ndarray] = time.perf_counter,
) -> float | np.ndarray:
    """Shortest time of a call that is waited for; compiled before it is timed.

    Args:
      function: what to call; returns arrays.
      *args: its arguments.
      repeats: calls.
      clock: ``time.process_time`` counts this program's CPU time in place of seconds;
        one that gives an array has several, each with its own shortest time.
    """
    jax.block_until_ready(function(*args))
    times = []
    for _ in range(repeats):
        start = clock()
        jax.block_until_ready(function(*args))
        times.append(clock() - start)
    return np.min(times, axis=0)


def matmul_rate(
    repeats: int = 5,
    size: int = SIZE,
    clock: Callable[[], float | np.ndarray] = time.perf_counter,
) -> float | np.ndarray:
    """GFLOP/s of a float32 matrix product on the first device.

    The best of several, as other programs can only slow it down.
    """
    matrix = jnp.ones((size, size), jnp.float32)
    seconds = best_seconds(_product, matrix, matrix, repeats=repeats, clock=clock)
    return 2 * size**3 / 1e9 / seconds


# "highest", as accelerators otherwise multiply float32 in a shorter type.
_product = jax.jit(lambda a, b: jnp.matmul(a, b, precision="highest"))
