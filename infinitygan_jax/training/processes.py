"""What the processes of a run do together: begin, agree and stop."""

import contextlib
import hashlib
import logging
import signal
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.config import Config
from infinitygan_jax.messages import UserError
from infinitygan_jax.training import checkpoint

logger = logging.getLogger(__name__)
_T = TypeVar("_T")


class StopRequests:
    """Turns a signal to stop into a question asked after each step.

    With ``jax.distributed``, its service catches SIGTERM and finds a step at which all
    processes stop; without, a handler of our own does, for SIGINT too. A second signal
    acts as usual.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "StopRequests":
        if not jax.distributed.is_initialized():
            with contextlib.suppress(ValueError):  # Not in the main thread.
                for number in (signal.SIGTERM, signal.SIGINT):
                    self._former[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *unused: object) -> None:
        self._restore()

    def requested(self, step: int) -> int | None:
        """The signal that asks to stop after this step, the same in all processes."""
        if jax.distributed.is_initialized():
            reached = multihost_utils.reached_preemption_sync_point(step)
            return int(signal.SIGTERM) if reached else None
        return self._signal

    def _catch(self, number: int, unused_frame: Any) -> None:
        self._signal = number
        logger.info("got signal %d; stopping after this step", number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()


def together(action: Callable[[], _T]) -> _T:
    """Does something on every process; where it fails on one, all of them stop.

    Without this the others would wait for the failed one in their first collective.

    Raises:
      ValueError: it failed on another process, which says why.
      Exception: what this process' action raised.
    """
    error: Exception | None = None
    try:
        result = action()
    except Exception as raised:  # Raised again below.
        error = raised
    failed = multihost_utils.process_allgather(np.array(error is not None))
    if error is not None:
        raise error
    if np.any(failed):
        raise UserError(
            f"process {int(np.argmax(failed))} cannot start; its message says why"
        )
    return result


def check_same(config: Config, data: str, initial: checkpoint.Networks | None) -> None:
    """Checks that all processes have the same settings, images and first weights.

    Raises:
      ValueError: they differ.
    """
    settings = settings_lib.to_dict(config)
    settings["data"].pop("source")  # may lie elsewhere on each machine
    for name in ("initial", "base"):  # likewise
        settings["train"].pop(name)
    if initial is not None:
        data += f", and begins with a model of digest {initial.bundle.digest[:16]}"
        if initial.d_params is not None:  # which a bundle's digest may be without
            digest = bundle_lib.digest_of((initial.d_params, initial.d_state))
            data += f" and a discriminator of digest {digest[:16]}"
    own = hashlib.sha256(f"{settings} {data}".encode()).digest()
    digests = multihost_utils.process_allgather(np.frombuffer(own, np.uint32))
    if np.any(digests != digests.reshape(-1, digests.shape[-1])[0]):
        raise UserError(
            "all processes must have the same settings, see the same images and begin "
            f"with the same weights, and they differ (process {jax.process_index()} "
            f"sees {data}); start all with one command, one data folder and one "
            "train.initial"
        )
