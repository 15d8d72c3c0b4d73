"""The settings of a run: its ``config.json``, and what was amended on the way."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from infinitygan_jax import config as config_lib
from infinitygan_jax import files
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.messages import UserError, one_line

_AMENDMENTS = "amendments"  # in config.json, beside the settings

# Settings that steer side effects or the length only: the same states come out.
FREE_SETTINGS = frozenset(
    {
        "data.source",  # may be moved; what is in it is compared
        "train.initial",  # may be moved; every checkpoint has all that came of it
        "train.base",  # likewise; which model it is, is told beside the images
        "train.num_steps",
        "train.log_every",
        "train.sheet_every",
        "train.save_every",
        "train.keep_every",
        "data.num_threads",
        *(f"model.{name}" for name in config_lib.PAINTING),
    }
)


@dataclasses.dataclass(frozen=True)
class Amendment:
    """A change of a run's settings or photographs.

    Attributes:
      step: the steps that were done before.
      former: settings that were changed, by name, and what they were.
      data: what the run learns from, from here on, as ``sources.fingerprint`` says.
    """

    step: int
    former: Mapping[str, Any]
    data: str = ""


def config_path(workdir: str | os.PathLike[str]) -> pathlib.Path:
    """Where a workdir keeps its settings."""
    return pathlib.Path(workdir) / files.RUN_SETTINGS


def read(workdir: str | os.PathLike[str]) -> config_lib.Config | None:
    """The settings a workdir goes on with; None where there are none yet.

    Raises:
      ValueError: the file is there but does not hold settings.
    """
    return _read(workdir)[0]


def amendments(workdir: str | os.PathLike[str]) -> tuple[Amendment, ...]:
    """What was amended in a run, in order.

    Raises:
      ValueError: the file is there but does not hold settings.
    """
    return _read(workdir)[1]


def _read(
    workdir: str | os.PathLike[str],
) -> tuple[config_lib.Config | None, tuple[Amendment, ...]]:
    path = config_path(workdir)
    if not path.exists():
        return None, ()
    try:
        settings = json.loads(path.read_text())
        listed = settings.pop(_AMENDMENTS, [])
        amended = tuple(Amendment(**each) for each in listed)
        return config_lib.from_mapping(settings), amended
    except (ValueError, OSError, AttributeError, TypeError) as error:
        raise UserError(
            f"settings file ({path}) must hold settings as JSON, and it does not "
            f"({one_line(error)}); restore it, or use another `workdir`"
        ) from error


def check(
    workdir: str | os.PathLike[str],
    config: config_lib.Config,
    has_checkpoint: bool,
    amend: bool = False,
) -> None:
    """Checks that a run can go on with these settings, or is new.

    Settings in ``FREE_SETTINGS`` may differ: they change no state.

    Args:
      workdir: of the run.
      config: what it is to go on with.
      has_checkpoint: whether it has saved a step.
      amend: whether settings of training and data may differ, too.

    Raises:
      ValueError: others differ; the message says which.
    """
    former = read(workdir)
    if former is None:
        if has_checkpoint:
            raise UserError(
                f"workdir ({workdir}) has checkpoints but no {files.RUN_SETTINGS}; "
                "restore that file, or use another `workdir`"
            )
        return
    changed = _changes(former, config)
    of_model = {name: line for name, line in changed.items() if _is_of_model(name)}
    lines = of_model if amend else changed
    if lines:
        remedy = "use the former ones, or another `workdir`"
        if not of_model:
            remedy = (
                "use the former ones, add `amend` to go on with these, or use another "
                "`workdir`"
            )
        raise UserError(
            f"workdir ({workdir}) was made with other settings "
            f"({'; '.join(lines.values())}); {remedy}"
        )


def write(
    workdir: str | os.PathLike[str],
    config: config_lib.Config,
    step: int = 0,
    data: str = "",
    former_data: str = "",
) -> list[str]:
    """Writes the settings into a workdir; what they amend is kept with the step.

    Args:
      workdir: of the run.
      config: what it goes on with, checked.
      step: the steps that are done.
      data: what it learns from, as ``sources.fingerprint`` says.
      former_data: what it learned from; empty where nobody knows.

    Returns:
      Lines ``NAME: FORMER -> NOW`` of what was amended.
    """
    former, amended = _read(workdir)
    changed = {} if former is None else _changes(former, config)
    lines = list(changed.values())
    # A run that is killed before its next checkpoint amends once, or takes it back.
    if former_data and amended and amended[-1].step == step and amended[-1].data:
        former_data = amended[-1].data
    if former_data and data != former_data:
        lines.append(f"photographs: {former_data} -> {data}")
    if lines:
        assert former is not None  # `check` refuses checkpoints without settings
        values = settings_lib.by_name(former)
        was = {name: values[name] for name in changed}
        amended += (Amendment(step, was, data),)
    settings = settings_lib.to_dict(config)
    if amended:
        settings[_AMENDMENTS] = [dataclasses.asdict(each) for each in amended]
    text = json.dumps(settings, indent=2) + "\n"
    files.write_whole(config_path(workdir), text.encode())
    return lines


def num_images(
    batch_size: int, step: int, amended: tuple[Amendment, ...] | list[Amendment]
) -> int:
    """Images that a run has seen.

    Args:
      batch_size: of the settings that this step was done with.
      step: steps done.
      amended: what was amended in the run, before and after.
    """
    images, upper = 0, step
    for each in reversed(amended):
        if each.step <= step:
            images += (upper - each.step) * batch_size
            upper = each.step
            batch_size = each.former.get("train.batch_size", batch_size)
    return images + upper * batch_size


def _changes(former: config_lib.Config, config: config_lib.Config) -> dict[str, str]:
    """Settings that matter and differ: name -> line."""
    lines = settings_lib.differences(former, config)
    named = {line.split(":")[0]: line for line in lines}
    return {name: line for name, line in named.items() if name not in FREE_SETTINGS}


def _is_of_model(name: str) -> bool:
    """Whether a setting is of what is trained, and not of how."""
    return not name.startswith(("train.", "data."))
