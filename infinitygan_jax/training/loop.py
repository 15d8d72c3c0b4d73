"""The training loop: orders side effects around the pure steps."""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from infinitygan_jax import machine
from infinitygan_jax.config import Config
from infinitygan_jax.data import pipeline
from infinitygan_jax.data.crops import Cut
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.messages import UserError
from infinitygan_jax.training import (
    checkpoint,
    detail_sheets,
    run_config,
    sheets,
    warm_start,
)
from infinitygan_jax.training.log import (
    Losses,
    Speed,
    Summaries,
    parameter_table,
    progress_line,
)
from infinitygan_jax.training.preparing import errors_of, initializer, prepare
from infinitygan_jax.training.processes import StopRequests, check_same, together
from infinitygan_jax.training.state import TrainState
from infinitygan_jax.training.step import Steps, make_steps
from infinitygan_jax.training.tasks import task_of

logger = logging.getLogger(__name__)


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
    inputs = together(lambda: prepare(config, workdir, amend))
    data = inputs.data
    check_same(config, data, inputs.initial)
    with contextlib.ExitStack() as stack:
        together(lambda: _claim(workdir, stack))
        checkpoints = stack.enter_context(
            checkpoint.Checkpoints(workdir, config, data, amend)
        )
        together(checkpoints.check_data)
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
            together(lambda: _write_settings(workdir, config, checkpoints, data))
            return Outcome(checkpoints.restore(initializer(config)), done)
        steps = stack.enter_context(contextlib.closing(make_steps(config)))
        steps.compile(jax.eval_shape(initializer(config)))
        state, start = _first_state(config, checkpoints, inputs.initial)
        # After all that may be refused, as that changes nothing; before the first
        # checkpoint, as a kill in between must leave a usable workdir.
        together(lambda: _write_settings(workdir, config, checkpoints, data))
        summaries = stack.enter_context(Summaries(workdir / "tensorboard", start))
        batches = _batches(config, inputs.source, start)
        stack.callback(getattr(batches, "close", lambda: None))
        stop = StopRequests()
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


def _claim(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
    """Makes the workdir, if need be, and locks it until the stack ends."""
    with errors_of(workdir):
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


def _first_state(
    config: Config,
    checkpoints: checkpoint.Checkpoints,
    initial: checkpoint.Networks | None,
) -> tuple[TrainState, int]:
    """The newest checkpoint's state, or a first one, and its number of steps."""
    step = checkpoints.latest_step
    if step is None:
        state = initializer(config)()
        if jax.process_index() == 0:  # once a run: it is long, and does not change
            logger.info(parameter_table(config.train.network, state.g_params))
            logger.info(parameter_table("discriminator", state.d_params))
        if initial is None:
            logger.info("starting from step 0")
            return state, 0
        logger.info("starting from step 0 with the weights of %s", config.train.initial)
        return warm_start.begin(state, initial), 0
    logger.info("going on from step %d%s", step, _of_initial(config))
    return checkpoints.restore(initializer(config)), step


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
