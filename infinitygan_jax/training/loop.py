"""The training loop: orders side effects around the pure steps."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import devices, machine
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.config import Config
from infinitygan_jax.data import pipeline, sources
from infinitygan_jax.data.crops import Cut
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.messages import UserError
from infinitygan_jax.models import discriminator
from infinitygan_jax.training import (
    checkpoint,
    detail_sheets,
    run_config,
    sheets,
    warm_start,
)
from infinitygan_jax.training.detail_task import base_digest
from infinitygan_jax.training.log import (
    Losses,
    Speed,
    Summaries,
    parameter_table,
    progress_line,
)
from infinitygan_jax.training.state import TrainState, init_state
from infinitygan_jax.training.step import Steps, check_devices, make_steps
from infinitygan_jax.training.tasks import task_of

logger = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
      state: the last state, saved.
      step: steps done.
      signal: the number of the signal that stopped it early, or None.
    """

    state: TrainState
    step: int
    signal: int | None = None


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a run takes in besides its settings.

    Attributes:
      source: the usable images of ``data.source``.
      initial: the model of ``train.initial``; None where there is none, or where a
        checkpoint takes its place.
    """

    source: ImageSource
    initial: checkpoint.Networks | None = None


def train(
    config: Config, workdir: str | os.PathLike[str], amend: bool = False
) -> Outcome:
    """Trains a model in a workdir, from its newest checkpoint on if it has one.

    Writes ``config.json``, ``checkpoints/``, ``sheets/step_XXXXXXXX/*.png`` and
    ``tensorboard/`` there. On SIGTERM (and SIGINT, with one process) it finishes the
    step, saves and returns; the same call goes on from there, on a CPU bit for
    bit. Where all steps are done already, it says so and ends.

    Args:
      config: all settings.
      workdir: folder, made if need be; with several processes one that all see.
      amend: go on though settings of training, or the images, are others than before;
        what changed is kept with the step in ``config.json``.

    Raises:
      ValueError: data, devices or workdir do not fit the settings; see ``prepare``.
      FloatingPointError: a loss is not finite; names it and the step. The checkpoints
        of before are kept.
      OSError: something cannot be written.
    """
    workdir = pathlib.Path(workdir)
    # No process writes settings that another has not yet checked.
    inputs, data = _together(lambda: _prepared(config, workdir, amend))
    _check_same(config, data, inputs.initial)
    with contextlib.ExitStack() as stack:
        _together(lambda: _claim(workdir, stack))
        checkpoints = stack.enter_context(
            checkpoint.Checkpoints(workdir, config, data, amend)
        )
        _together(checkpoints.check_data)
        done = checkpoints.latest_step
        if done is not None and done >= config.train.num_steps:
            logger.info(
                "finished already: step %d of %d is saved; to go on, give a larger "
                "`train.num_steps`%s",
                done,
                config.train.num_steps,
                _of_initial(config),
            )
            # Those of painting may be new.
            _together(lambda: _write_settings(workdir, config, checkpoints, data))
            return Outcome(checkpoints.restore(_initializer(config)), done)
        steps = stack.enter_context(contextlib.closing(make_steps(config)))
        steps.compile(jax.eval_shape(_initializer(config)))
        state, start = _first_state(config, checkpoints, inputs.initial)
        # After all that may be refused, as that changes nothing; before the first
        # checkpoint, as a kill in between must leave a usable workdir.
        _together(lambda: _write_settings(workdir, config, checkpoints, data))
        summaries = stack.enter_context(Summaries(workdir / "tensorboard", start))
        batches = _batches(config, inputs.source, start)
        stack.callback(getattr(batches, "close", lambda: None))
        stop = _StopRequests()
        run = _Run(config, workdir, checkpoints, summaries, inputs.source)
        state = steps.replicate(state)
        step = start
        for step in range(start + 1, config.train.num_steps + 1):
            with run.speed.waiting():
                batch = next(batches)
            state = run.iterate(steps, step, state, batch)
            if step == start + 1:  # until here there is nothing to save
                stack.enter_context(stop)
            stopped = stop.requested(step)
            run.side_effects(step, state, last=stopped is not None)
            if stopped is not None:
                logger.info("stopped by signal %d; saved step %d", stopped, step)
                return Outcome(state, step, stopped)
        checkpoints.save(step, state)
        return Outcome(state, step)


def prepare(
    config: Config, workdir: str | os.PathLike[str], amend: bool = False
) -> Inputs:
    """Checks everything that can be checked before heavy work; writes nothing.

    Args:
      config: all settings.
      workdir: of the run.
      amend: whether a run may go on with other settings of training.

    Returns:
      What the run begins with and learns from.

    Raises:
      ValueError: the devices do not divide the batch; the workdir was made with other
        settings, cannot be written or is short of space; ``train.initial`` or the data
        is missing or bad; weights of the discriminator's network are.
    """
    check_devices(config, jax.device_count())
    discriminator.network_of(config.judged)  # its weights can be read
    task_of(config).frozen_base()  # likewise
    check_batch_memory(config, machine.memory_bytes())
    has_checkpoint = checkpoint.has_checkpoint(workdir)
    run_config.check(workdir, config, has_checkpoint, amend)
    if not config.data.source:
        raise UserError(
            "data.source must name a folder of images or tfds:NAME; set `data.source`"
        )
    # Before the images: to read many takes minutes.
    check_workdir(workdir, checkpoint.state_bytes(_initializer(config)))
    initial = None
    if not has_checkpoint:
        initial = warm_start.read(config, _initializer(config))
    source = sources.open_source(config.data.source)
    report = sources.check_source(
        source, config.judged.patch_size, num_threads=config.data.num_threads
    )
    return Inputs(report.source, initial)


def _prepared(config: Config, workdir: pathlib.Path, amend: bool) -> tuple[Inputs, str]:
    """What a run that can start takes in, and what tells its images from others."""
    inputs = prepare(config, workdir, amend)
    data = sources.fingerprint(inputs.source)
    if config.train.base:  # from which it learns as well
        data += f", pictures of a model of digest {base_digest(config)[:16]}"
    return inputs, data


def check_batch_memory(config: Config, available: int) -> None:
    """Checks that the batches of this process fit into memory at all.

    Args:
      config: all settings.
      available: bytes.

    Raises:
      ValueError: they do not; the message names a batch that does.
    """
    # float32 images; one being used, at least two prepared (``data.pipeline``).
    sample = 3 * 12 * task_of(config).input_size ** 2
    most = available // sample * jax.process_count()
    if config.train.batch_size > most:
        raise UserError(
            f"train.batch_size ({config.train.batch_size}) would take "
            f"{config.train.batch_size * sample / jax.process_count() / 1e9:.0f} GB a "
            f"process for images alone, above this machine's {available / 1e9:.0f} GB; "
            f"use far fewer than {most}"
        )


def check_workdir(workdir: str | os.PathLike[str], num_bytes: int) -> None:
    """Checks that a workdir can be made or written, and holds the checkpoints.

    It leaves nothing there: a folder that is missing is not made yet.

    Args:
      workdir: folder.
      num_bytes: size of one checkpoint.

    Raises:
      ValueError: it cannot be made or written, or its disk is short of space.
    """
    workdir = pathlib.Path(workdir)
    path = checkpoint.checkpoints_path(workdir)
    held = len(list(path.iterdir())) if path.is_dir() else 0
    # The oldest one goes only after the newest is whole.
    needed = max(checkpoint.NUM_KEPT + 1 - held, 1) * num_bytes
    with _errors_of(workdir):
        there = next(p for p in (workdir, *workdir.absolute().parents) if p.exists())
        with tempfile.TemporaryFile(dir=there):  # has no name: nothing stays behind
            pass
    free = shutil.disk_usage(there).free
    if free < needed:
        raise UserError(
            f"workdir ({workdir}) needs {needed / 1e6:.0f} MB for checkpoints, and its "
            f"disk has {free / 1e6:.0f} MB free; free some, or choose another `workdir`"
        )


@contextlib.contextmanager
def _errors_of(workdir: pathlib.Path) -> Iterator[None]:
    """Makes a system error of a workdir that cannot be written one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"workdir ({workdir}) must be a folder that can be written, and it is not "
            f"({error.strerror}); choose another `workdir`"
        ) from error


class _Run:
    """What the steps of one run report to, and when."""

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        checkpoints: checkpoint.Checkpoints,
        summaries: Summaries,
        source: ImageSource,
    ):
        self._train, self._workdir = config.train, workdir
        self._checkpoints, self._summaries = checkpoints, summaries
        self._painter = _sheet_painter(config, source)
        self._losses = Losses()
        self._compiled: set[tuple[str, ...]] = set()
        self.speed = Speed(config.train.batch_size)

    def iterate(
        self,
        steps: Steps,
        step: int,
        state: TrainState,
        batch: Mapping[str, np.ndarray],
    ) -> TrainState:
        """Hands one step to the devices; looks at the losses of an earlier one."""
        phases = steps.phases(step - 1)
        sharded = steps.shard_batch(batch)
        if phases in self._compiled:
            state, scalars = steps.iterate(state, sharded, step - 1)
            self.speed.count()
        else:
            jax.block_until_ready(state)  # what is still under way counts
            with self.speed.uncounted():
                state, scalars = steps.iterate(state, sharded, step - 1)
                jax.block_until_ready(state)
            self._compiled.add(phases)
        self._losses.push(step, scalars)
        return state

    def side_effects(self, step: int, state: TrainState, last: bool) -> None:
        """Log, checkpoint and sheets, whichever are due after this step."""
        end = last or step == self._train.num_steps
        save = end or step % self._train.save_every == 0
        log = end or step % self._train.log_every == 0
        if save or log:
            self._losses.drain()
        if save:
            self._checkpoints.save(step, state)
        if log:
            self._log(step)
        period = self._train.sheet_every
        if period and not last and (end or step % period == 0):
            jax.block_until_ready(state.ema_params)
            with self.speed.uncounted():
                self._write_sheets(step, state)

    def _log(self, step: int) -> None:
        num_steps = self._train.num_steps
        rates, means = self.speed.pop_rates(), self._losses.pop_means()
        left = self.speed.seconds_left(num_steps - step)
        if jax.process_index() == 0:
            logger.info(progress_line(step, num_steps, left, rates, means))
        self._summaries.scalars(step, "losses", means)
        self._summaries.scalars(step, "speed", rates)

    def _write_sheets(self, step: int, state: TrainState) -> None:
        if jax.process_index() == 0:
            images = self._painter(jax.device_get(state.ema_params))
            sheets.write_sheets(self._workdir / "sheets" / f"step_{step:08d}", images)
            self._summaries.images(step, images)


def _sheet_painter(
    config: Config, source: ImageSource
) -> sheets.SheetPainter | detail_sheets.DetailSheetPainter:
    if config.train.network == "detail":
        number = min(len(source), detail_sheets.NUM_PHOTOGRAPHS)
        photographs = [source[index] for index in range(number)]
        return detail_sheets.DetailSheetPainter(config, photographs)
    return sheets.SheetPainter(config)


class _StopRequests:
    """Turns a signal to stop into a question asked after each step.

    With ``jax.distributed``, its service catches SIGTERM and finds a step at which all
    processes stop; without, a handler of our own does, for SIGINT too. A second signal
    acts as usual.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "_StopRequests":
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


def _together(action: Callable[[], _T]) -> _T:
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


def _check_same(config: Config, data: str, initial: checkpoint.Networks | None) -> None:
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


def _claim(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
    """Makes the workdir, if need be, and locks it until the stack ends."""
    with _errors_of(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        stack.enter_context(_lock(workdir))


def _write_settings(
    workdir: pathlib.Path,
    config: Config,
    checkpoints: checkpoint.Checkpoints,
    data: str,
) -> None:
    """Keeps the settings, once for all processes, and says what they amend."""
    if jax.process_index() == 0:
        step = checkpoints.latest_step or 0
        amended = run_config.write(workdir, config, step, data, checkpoints.stored_data)
        if amended:
            logger.info("amended at step %d: %s", step, "; ".join(amended))


@contextlib.contextmanager
def _lock(workdir: pathlib.Path) -> Iterator[None]:
    """Keeps a second run out of the workdir; the system drops it with the process."""
    with (workdir / ".lock").open("w") as file:
        locked = machine.try_lock(file)
        if locked is False:
            raise UserError(
                f"workdir ({workdir}) must not be in use, and another run trains in "
                "it; wait for it, stop it, or use another `workdir`"
            )
        if locked is None:
            logger.warning("workdir (%s) cannot be locked", workdir)
        yield


@functools.cache
def _initializer(config: Config) -> Callable[[], TrainState]:
    """``init_state``, traced once, and one function, not some seventy compiled each."""
    return devices.jit_in_a_hurry(functools.partial(init_state, config))


def _first_state(
    config: Config,
    checkpoints: checkpoint.Checkpoints,
    initial: checkpoint.Networks | None,
) -> tuple[TrainState, int]:
    """The newest checkpoint's state, or a first one, and its number of steps."""
    step = checkpoints.latest_step
    if step is None:
        state = _initializer(config)()
        if jax.process_index() == 0:  # once a run: it is long, and does not change
            logger.info(parameter_table(config.train.network, state.g_params))
            logger.info(parameter_table("discriminator", state.d_params))
        if initial is None:
            logger.info("starting from step 0")
            return state, 0
        logger.info("starting from step 0 with the weights of %s", config.train.initial)
        return warm_start.begin(state, initial), 0
    logger.info("going on from step %d%s", step, _of_initial(config))
    return checkpoints.restore(_initializer(config)), step


def _of_initial(config: Config) -> str:
    """What a run that has a checkpoint says of the model that it began with."""
    return "; train.initial was for step 0" if config.train.initial else ""


def _batches(
    config: Config, source: ImageSource, start_step: int
) -> Iterator[dict[str, np.ndarray]]:
    data = config.data
    cut = Cut(
        data.full_size,
        task_of(config).input_size,
        data.pre_size,
        data.flip,
        data.least_size,
    )
    return pipeline.make_batches(
        source,
        cut,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        start_step=start_step,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=data.num_threads,
    )
