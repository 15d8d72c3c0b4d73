"""Trains a model: ``python run_train.py --config=FILE --workdir=DIR``."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags

from infinitygan_jax import devices
from infinitygan_jax.cli import config_flag, errors, parameters
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.training import loop

SIGNAL_STATUS = 128  # a run stopped by signal n exits with this + n, as in a shell


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command.

    Exits with status 0 when all steps are done, 2 after a mistake or a loss that is not
    finite, and 128 + n when signal n stopped it (143 for SIGTERM): what was done is
    saved then, and the same command goes on.

    Args:
      argv: the command line; ``sys.argv`` if None.
    """
    argv = sys.argv if argv is None else argv
    config, values = config_flag.parse_config(argv, _define_flags())
    if not values.workdir:
        raise UserError("no workdir; name a folder, as --workdir=runs/landscape")
    _start_logging()
    devices.prepare(trains=True)
    _start_distributed(values)
    outcome = loop.train(config, values.workdir, values.amend)
    if outcome.signal is not None:
        if jax.distributed.is_initialized():  # or the others miss this process
            jax.distributed.shutdown()
        raise SystemExit(SIGNAL_STATUS + outcome.signal)


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string(
        "workdir",
        None,
        "folder of the run: settings, checkpoints, sheets, TensorBoard; the same "
        "command goes on where it stopped",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "amend",
        False,
        "go on with other settings of training, or other photographs, than before; the "
        "run's config.json keeps what changed, and at which step",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "distributed",
        False,
        "one of several processes, found by jax.distributed on clusters that it knows",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator_address",
        None,
        "HOST:PORT of process 0, where the cluster is not known to jax.distributed",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_processes",
        None,
        "number of processes, with --coordinator_address",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "process_id",
        None,
        "which of them this is, from 0, with --coordinator_address",
        lower_bound=0,
        flag_values=values,
    )
    return values


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return parameters.as_options(super().format(record))


def _start_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("infinitygan_jax")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _start_distributed(values: flags.FlagValues) -> None:
    """Joins the other processes, where the flags ask for it."""
    manual = {
        "coordinator_address": values.coordinator_address,
        "num_processes": values.num_processes,
        "process_id": values.process_id,
    }
    missing = [f"--{name}" for name, value in manual.items() if value is None]
    if len(missing) == len(manual):
        if values.distributed:
            _initialize()
        return
    if missing:
        given = [f"--{name}" for name in manual if f"--{name}" not in missing]
        raise UserError(
            f"{', '.join(given)} without {' and '.join(missing)}; give all three, or "
            "--distributed alone"
        )
    if values.process_id >= values.num_processes:
        raise UserError(
            f"--process_id ({values.process_id}) must be below --num_processes "
            f"({values.num_processes})"
        )
    _initialize(**manual)


def _initialize(**kwargs: Any) -> None:
    try:
        jax.distributed.initialize(**kwargs)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot join the other processes ({one_line(error)}); check "
            "--coordinator_address, --num_processes and --process_id"
        ) from error


if __name__ == "__main__":
    errors.run(main)
