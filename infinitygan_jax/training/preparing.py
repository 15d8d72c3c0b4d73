"""What a run checks before heavy work, and what it takes in."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import jax

from infinitygan_jax import devices, machine
from infinitygan_jax.config import Config
from infinitygan_jax.data import sources
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.training import checkpoint, run_config, warm_start
from infinitygan_jax.training.detail_task import base_digest
from infinitygan_jax.training.state import TrainState, init_state
from infinitygan_jax.training.step import check_devices
from infinitygan_jax.training.tasks import task_of


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a run takes in besides its settings.

    Attributes:
      source: the usable images of ``data.source``.
      data: what tells these, and what else is learned from, from others.
      initial: the model of ``train.initial``; None where there is none, or where a
        checkpoint takes its place.
    """

    source: ImageSource
    data: str
    initial: checkpoint.Networks | None = None


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
    discriminator_of(config.judged).network()  # its weights can be read
    task_of(config).frozen_base()  # likewise
    check_batch_memory(config, machine.memory_bytes())
    has_checkpoint = checkpoint.has_checkpoint(workdir)
    run_config.check(workdir, config, has_checkpoint, amend)
    if not config.data.source:
        raise UserError(
            "data.source must name a folder of images or tfds:NAME; set `data.source`"
        )
    # Before the images: to read many takes minutes.
    check_workdir(workdir, checkpoint.state_bytes(initializer(config)))
    initial = None
    if not has_checkpoint:
        initial = warm_start.read(config, initializer(config))
    source = sources.open_source(config.data.source)
    report = sources.check_source(
        source, config.judged.patch_size, num_threads=config.data.num_threads
    )
    data = sources.fingerprint(report.source)
    if config.train.base:  # from which it learns as well
        data += f", pictures of a model of digest {base_digest(config)[:16]}"
    return Inputs(report.source, data, initial)


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
    with errors_of(workdir):
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
def errors_of(workdir: pathlib.Path) -> Iterator[None]:
    """Makes a system error of a workdir that cannot be written one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"workdir ({workdir}) must be a folder that can be written, and it is not "
            f"({error.strerror}); choose another `workdir`"
        ) from error


@functools.cache
def initializer(config: Config) -> Callable[[], TrainState]:
    """``init_state``, traced once, and one function, not some seventy compiled each."""
    return devices.jit_in_a_hurry(functools.partial(init_state, config))
