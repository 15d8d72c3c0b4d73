"""Losses and rates of training: gathered without stalling the device, and reported."""

import collections
import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import tensorboardX
from clu import parameter_overview
from jaxtyping import UInt8

from infinitygan_jax.messages import readable_bytes

_IN_FLIGHT = 2  # steps handed to the device before the host looks at the oldest


class Losses:
    """Means of the steps' scalars, each checked to be finite.

    A step's scalars are fetched when ``_IN_FLIGHT`` later steps are queued behind it:
    the device never waits for the host, the host never runs far ahead (and piles up
    batches), and a loss that is not finite is found at most that many steps later.
    """

    def __init__(self) -> None:
        self._queue: collections.deque[tuple[int, Mapping[str, Any]]] = (
            collections.deque()
        )
        self._sums: dict[str, float] = collections.defaultdict(float)
        self._counts: dict[str, int] = collections.defaultdict(int)

    def push(self, step: int, scalars: Mapping[str, jax.Array]) -> None:
        """Adds the scalars of one step, which may still be computed.

        Args:
          step: the step's number, counted from 1.
          scalars: device scalars by name; which ones may differ from step to step.

        Raises:
          FloatingPointError: a scalar of an earlier step is not finite.
        """
        self._queue.append((step, scalars))
        while len(self._queue) > _IN_FLIGHT:
            self._take()

    def drain(self) -> None:
        """Waits for all steps so far and checks them.

        Raises:
          FloatingPointError: a scalar is not finite.
        """
        while self._queue:
            self._take()

    def pop_means(self) -> dict[str, float]:
        """Means of what was fetched since the last call, by name."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means

    def _take(self) -> None:
        step, scalars = self._queue.popleft()
        for name, value in sorted(jax.device_get(dict(scalars)).items()):
            if not math.isfinite(value):
                raise FloatingPointError(f"{name} is {value} at step {step}")
            self._sums[name] += float(value)
            self._counts[name] += 1


class Speed:
    """Rates of a run's steps; compiling and what is done between them do not count.

    Args:
      batch_size: samples a step, over all processes.
    """

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self._total = _Interval()
        self._recent = _Interval()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside as waiting for data."""
        start = time.monotonic()
        yield
        for interval in (self._total, self._recent):
            interval.waited += time.monotonic() - start

    def count(self) -> None:
        """Counts one step."""
        for interval in (self._total, self._recent):
            interval.steps += 1

    @contextlib.contextmanager
    def uncounted(self) -> Iterator[None]:
        """Leaves the time inside out: a step that is compiled first, or sheets."""
        start = time.monotonic()
        yield
        for interval in (self._total, self._recent):
            interval.start += time.monotonic() - start

    def seconds_left(self, num_steps: int) -> float:
        """Estimate for so many more steps, from the whole run's rate; may be inf."""
        seconds = time.monotonic() - self._total.start
        return (
            num_steps * seconds / self._total.steps if self._total.steps else math.inf
        )

    def pop_rates(self) -> dict[str, float]:
        """Images a second and share of waiting for data, since the last call."""
        recent, self._recent = self._recent, _Interval()
        seconds = max(time.monotonic() - recent.start, 1e-9)
        return {
            "images_per_second": recent.steps * self._batch_size / seconds,
            "data_wait": min(recent.waited / seconds, 1.0),
        }


class _Interval:
    def __init__(self) -> None:
        self.start, self.steps, self.waited = time.monotonic(), 0, 0.0


class Summaries:
    """Scalars and images for TensorBoard; does nothing in all processes but the first.

    Args:
      folder: where the event files go.
      start_step: events of later steps, of a run that was cut off, are hidden.
    """

    def __init__(self, folder: str | os.PathLike[str], start_step: int):
        self._writer = None
        if jax.process_index() == 0:
            self._writer = tensorboardX.SummaryWriter(
                str(folder), purge_step=start_step + 1
            )

    def __enter__(self) -> "Summaries":
        return self

    def __exit__(self, *unused: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def scalars(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Adds scalars under ``group/name``."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def images(
        self, step: int, images: Mapping[str, UInt8[np.ndarray, "h w 3"]]
    ) -> None:
        """Adds images under ``sheets/name`` and writes everything out."""
        if self._writer is not None:
            for name, image in images.items():
                self._writer.add_image(f"sheets/{name}", image, step, dataformats="HWC")
            self._writer.flush()


def parameter_table(network: str, params: Mapping[str, Any]) -> str:
    """Names, shapes, types and sizes of a network's parameters, and what they add to.

    Args:
      network: what the first line calls it.
      params: nested dictionary of arrays, or of their shapes.
    """
    leaves = jax.tree.leaves(params)
    number = sum(leaf.size for leaf in leaves)
    size = readable_bytes(sum(leaf.size * leaf.dtype.itemsize for leaf in leaves))
    table = parameter_overview.get_parameter_overview(params, include_stats=False)
    table, _, _ = table.rpartition("\n")  # its own sum, 1.0 with one that has no axes
    return f"{network}: {number:,} parameters, {size}\n{table}"


def progress_line(
    step: int,
    num_steps: int,
    seconds_left: float,
    rates: Mapping[str, float],
    means: Mapping[str, float],
) -> str:
    """One line for people: step, rate, time left, losses."""
    rate = rates["images_per_second"]
    losses = "  ".join(f"{name} {value:.3g}" for name, value in sorted(means.items()))
    return (
        f"step {step}/{num_steps}  {f'{rate:.1f}' if rate else '?'} images/s  "
        f"{format_seconds(seconds_left)} left  data {rates['data_wait']:.0%}  {losses}"
    )


def format_seconds(seconds: float) -> str:
    """A time for people: "4 d 7 h", "2 h 5 min", "3 min 20 s", "8 s", "?"."""
    if not math.isfinite(seconds):
        return "?"
    seconds = round(seconds)
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // small} {small_unit}"
    return f"{seconds} s"
