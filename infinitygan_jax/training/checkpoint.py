"""Checkpoints of a training run: written beside it, the last ones kept, each verified.

A workdir holds ``config.json`` (the settings) and ``checkpoints/STEP`` (everything that
training needs to go on, the step being the position in the data too). Orbax writes
aside and renames, so a checkpoint that was cut off is not counted; but it restores
overwritten bytes silently, hence digests of our own: of the arrays, written with them,
and of the files, written after them, which finds damage before Orbax stumbles over it.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import config as config_lib
from infinitygan_jax import files
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.training import run_config

NUM_KEPT = 2  # the newest, beside those of ``train.keep_every``
FILE_DIGESTS = "files.sha256"  # in a checkpoint's folder, as sha256sum writes it


def checkpoints_path(workdir: str | os.PathLike[str]) -> pathlib.Path:
    """Where a workdir keeps its checkpoints."""
    return pathlib.Path(workdir) / files.RUN_CHECKPOINTS


def has_checkpoint(workdir: str | os.PathLike[str]) -> bool:
    """Whether a run in this workdir has saved a step."""
    return bool(_steps_in(checkpoints_path(workdir)))


def _steps_in(path: pathlib.Path) -> list[int]:
    """Steps of the checkpoints in a folder, in order; none where there is no folder."""
    return sorted(int(each.name) for each in path.glob("*") if each.name.isdecimal())


def state_bytes(make_state: Callable[[], Any]) -> int:
    """Bytes of the arrays that a function would make; it is only traced."""
    leaves = jax.tree.leaves(jax.eval_shape(make_state))
    return sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in leaves)


class Checkpoints:
    """The checkpoints of one workdir, saved in the background; a context manager.

    With several processes, all of them make every call; the first one writes.

    Args:
      workdir: folder of the run.
      config: its settings, kept with each checkpoint.
      data: what it learns from, as ``sources.fingerprint`` says; kept likewise, and
        compared when a run goes on. Empty: anything.
      amend: whether it may go on with other data.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        config: config_lib.Config,
        data: str = "",
        amend: bool = False,
    ):
        self._workdir, self._amend = workdir, amend
        self._settings = settings_lib.to_dict(config)
        self._data = data
        self._begin, self._seconds_before = time.monotonic(), 0.0
        self._writer = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._pending: concurrent.futures.Future[None] | None = None
        path = checkpoints_path(workdir).absolute()
        _check_files(path)
        policies = ocp.training.preservation_policies
        kept = [
            policies.LatestN(NUM_KEPT),
            policies.CustomSteps(_kept_before(workdir)),
        ]
        if config.train.keep_every:
            kept.append(policies.EveryNSteps(config.train.keep_every))
        self._checkpointer = ocp.training.Checkpointer(
            path,
            save_decision_policy=(
                ocp.training.save_decision_policies.FixedIntervalPolicy(1)
            ),
            preservation_policy=policies.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *unused: object) -> None:
        try:
            self.wait()
        finally:
            self._writer.shutdown()
            self._checkpointer.close()

    @property
    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint; None where there is none."""
        latest = self._checkpointer.latest
        return None if latest is None else latest.step

    def save(self, step: int, state: Any) -> None:
        """Copies a state to the host and starts writing it.

        Waits for the write before this one, if it is not done yet. A step that is
        saved already is left as it is.

        Args:
          step: steps done; the name of the checkpoint.
          state: pytree of arrays, the same on all processes.

        Raises:
          FloatingPointError: a value is not finite; nothing is written.
          OSError: this or the former checkpoint could not be written.
        """
        self.wait()
        if step == self.latest_step:
            return
        arrays = _named_arrays(state)
        for name, array in arrays.items():
            if not np.all(np.isfinite(array)):
                raise FloatingPointError(f"{name} is not finite after step {step}")
        metadata = {
            "digest": bundle_lib.digest_of(arrays),
            "settings": json.dumps(self._settings),
            "data": self._data,
            "seconds": self._seconds_before + time.monotonic() - self._begin,
            "machine": _machine(),
        }
        response = self._checkpointer.save_checkpointables_async(
            step,
            {"state": bundle_lib.nested(arrays)},
            force=True,
            custom_metadata=metadata,
        )
        self._pending = self._writer.submit(self._finish, step, response)

    def _finish(self, step: int, response: Any) -> None:
        response.result()
        if jax.process_index() == 0:
            _write_file_digests(pathlib.Path(self._checkpointer.directory / str(step)))

    def wait(self) -> None:
        """Waits until everything is written.

        Raises:
          OSError: it could not be.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except Exception as error:  # Orbax passes on whatever its threads raise.
            raise OSError(
                f"checkpoint in {self._checkpointer.directory} could not be written "
                f"({one_line(error)}); free disk space or check the folder, and run "
                "the same command again"
            ) from error

    def check_data(self) -> None:
        """Checks, before any work, that the newest checkpoint learned from this data.

        Raises:
          ValueError: it learned from other data that were not amended, or it was
            altered.
        """
        stored = self.stored_data
        if self._amend or not (self._data and stored) or self._data == stored:
            return
        # As after a kill between an amendment and the first checkpoint after it.
        last = run_config.amendments(self._workdir)[-1:]
        if [(a.step, a.data) for a in last] == [(self.latest_step, self._data)]:
            return
        raise UserError(
            f"the images of data.source ({self._data}) must be those that "
            f"{self._checkpointer.directory} was trained on ({stored}), and some "
            "were added, removed or changed; restore them, add `amend` to go on with "
            "these, or use another `workdir`"
        )

    @property
    def stored_data(self) -> str:
        """What the newest checkpoint learned from; empty where that is not known.

        Raises:
          ValueError: it was altered.
        """
        step = self.latest_step
        if step is None:
            return ""
        try:
            return self._checkpointer.metadata(step).custom_metadata.get("data", "")
        except Exception as error:  # Orbax raises many kinds on damaged files.
            path = pathlib.Path(self._checkpointer.directory / str(step))
            raise UserError(_altered(path, error)) from error

    def restore(self, make_state: Callable[[], Any]) -> Any:
        """The newest checkpoint, in the structure of a fresh state.

        Args:
          make_state: makes a state of the same settings; it is only traced.

        Returns:
          The state, on the first device.

        Raises:
          ValueError: there is none; it was truncated or altered; it does not fit; or
            it learned from other data.
        """
        self.check_data()
        arrays, stored = _load(self._checkpointer, self.latest_step)
        self._seconds_before = stored.seconds
        return _fill(make_state, arrays, self._checkpointer.directory)


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What a checkpoint says of itself."""

    step: int
    settings: Mapping[str, Any]
    seconds: float
    machine: str


def load_for_sampling(workdir: str | os.PathLike[str]) -> bundle_lib.Bundle:
    """The newest checkpoint of a workdir as a bundle (``load_networks``)."""
    return load_networks(workdir).bundle


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks of a trained model.

    Attributes:
      bundle: the model as bundles have it, its generator being the moving average.
      d_params: its discriminator, which bundles may lack; None where there is none.
      d_state: what the discriminator carries besides (``models.discriminator``).
    """

    bundle: bundle_lib.Bundle
    d_params: Mapping[str, Any] | None
    d_state: Mapping[str, Any]


def load_networks(workdir: str | os.PathLike[str]) -> Networks:
    """The networks of a checkpoint of a workdir: the newest, or ``WORKDIR@STEP``.

    Does not disturb a training run that goes on in the same workdir. What is said of
    painting (`config.PAINTING`) is what the workdir's settings say: the same command
    with other ones changes it.

    Raises:
      ValueError: there is no checkpoint, or it was truncated or altered.
    """
    workdir, step = files.run_at(workdir)
    path = checkpoints_path(workdir)
    if not path.is_dir():
        raise UserError(
            f"checkpoint ({workdir}) must be a workdir of run_train.py, and it has no "
            f"{path.name} folder; name one that has"
        )
    _check_files(path.absolute(), step)
    with ocp.training.Checkpointer(path.absolute()) as checkpointer:
        if step is None and checkpointer.latest is not None:
            step = checkpointer.latest.step
        arrays, stored = _load(checkpointer, step)
    tree = bundle_lib.nested(arrays)
    settings = _as_painted(workdir, stored.settings)
    config = config_lib.from_mapping(settings)
    batch_size = config.train.batch_size
    amended = run_config.amendments(workdir)
    images = run_config.num_images(batch_size, stored.step, amended)
    is_bundled = discriminator_of(config.judged).is_bundled
    bundle = bundle_lib.from_settings(
        settings,
        generator=tree["ema_params"],
        discriminator=tree["d_params"] if is_bundled else None,
        info={
            "step": str(stored.step),
            "images seen": f"{images:,} ({batch_size} a step)",
            "time": f"{stored.seconds / 3600:.1f} hours",
            "machine": stored.machine,
        },
    )
    # Trees without arrays, such as the state of some discriminators, have no names.
    return Networks(bundle, tree["d_params"], tree.get("d_state", {}))


def _as_painted(
    workdir: str | os.PathLike[str], stored: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A checkpoint's settings, with what the workdir's now say of painting."""
    told = run_config.read(workdir)
    if told is None:
        return stored
    former = config_lib.from_mapping(stored).model
    said = {
        name: getattr(told.model, name)
        for name in config_lib.PAINTING
        if getattr(told.model, name) != getattr(former, name)
    }
    return {**stored, "model": {**stored["model"], **said}} if said else stored


def _machine() -> str:
    device = jax.devices()[0]
    cores = f" of {os.cpu_count()} cores" if device.platform == "cpu" else ""
    return f"{jax.device_count()} x {device.device_kind}{cores}, jax {jax.__version__}"


def _load(
    checkpointer: ocp.training.Checkpointer, step: int | None
) -> tuple[dict[str, np.ndarray], _Stored]:
    """Named host arrays of a step, verified against its digest."""
    if step is None:
        raise UserError(
            f"folder ({checkpointer.directory}) holds no whole checkpoint; train until "
            "the first one is saved (train.save_every)"
        )
    path = pathlib.Path(checkpointer.directory / str(step))
    try:
        metadata = checkpointer.metadata(step).custom_metadata
        arrays = _named_arrays(checkpointer.load_checkpointables(step)["state"])
        settings = json.loads(metadata["settings"])
        if bundle_lib.digest_of(arrays) != metadata["digest"]:
            raise UserError("the digest of its arrays differs")
    except Exception as error:  # Orbax raises many kinds on damaged files.
        raise UserError(_altered(path, error)) from error
    return arrays, _Stored(
        step,
        settings,
        metadata.get("seconds", 0.0),
        metadata.get("machine", ""),
    )


def _altered(path: pathlib.Path, reason: BaseException) -> str:
    return (
        f"checkpoint ({path}) must be unaltered since it was saved, and it is not "
        f"({one_line(reason)[:200]}); delete that folder to go on from the one before"
    )


def _digests_of_files(folder: pathlib.Path) -> dict[str, str]:
    """Names relative to a checkpoint's folder to sha256 of the files' bytes."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(FILE_DIGESTS):
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _write_file_digests(folder: pathlib.Path) -> None:
    lines = [f"{digest}  {name}" for name, digest in _digests_of_files(folder).items()]
    text = "\n".join(lines) + "\n"
    files.write_whole(folder / FILE_DIGESTS, text.encode())


def _kept_before(workdir: str | os.PathLike[str]) -> list[int]:
    """Steps that were kept on purpose: they stay, whatever is kept from here on."""
    steps = _steps_in(checkpoints_path(workdir))
    former = run_config.read(workdir)
    period = former.train.keep_every if former else 0
    newest = [step for step in steps[-NUM_KEPT:] if period and step % period == 0]
    return steps[:-NUM_KEPT] + newest


def _check_files(path: pathlib.Path, step: int | None = None) -> None:
    """Checks the files of a checkpoint, the newest one, before Orbax reads any.

    Raises:
      ValueError: one was altered, or that step is not there.
    """
    numbers = _steps_in(path)
    if step is not None and step not in numbers:
        kept = ", ".join(map(str, numbers)) or "none"
        raise UserError(
            f"checkpoint ({path.parent}@{step}) must be of a step that the run keeps, "
            f"and it keeps {kept}; name one of these (train.keep_every keeps more)"
        )
    if not numbers:
        return
    folder = path / str(numbers[-1] if step is None else step)
    listed = folder / FILE_DIGESTS
    if not listed.exists():  # Killed just after the rename: the arrays' digest decides.
        return
    try:
        lines = listed.read_text().splitlines()
        expected = dict(line.split("  ", 1)[::-1] for line in lines)
        found = _digests_of_files(folder)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise UserError(f"{name} is {'other' if name in found else 'missing'}")
    except (ValueError, OSError) as error:
        raise UserError(_altered(folder, error)) from error


def _named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Names like ``g_params/mapping/kernel`` to host copies, in the tree's order."""
    # Copies: on the CPU a host view shares the buffer that the next step is given.
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): np.array(leaf) for path, leaf in leaves}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _fill(
    make_state: Callable[[], Any], arrays: Mapping[str, np.ndarray], place: Any
) -> Any:
    fresh = jax.eval_shape(make_state)
    with_paths, structure = jax.tree_util.tree_flatten_with_path(fresh)
    shapes = {_name(path): (leaf.shape, leaf.dtype) for path, leaf in with_paths}
    stored = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if shapes != stored:
        both = sorted(shapes.keys() | stored.keys())
        other = [name for name in both if shapes.get(name) != stored.get(name)]
        raise UserError(
            f"checkpoint in {place} does not fit the model of these settings "
            f"({', '.join(other[:3])}{', ...' if len(other) > 3 else ''} differ); use "
            "the version of the project that wrote it, settings that do not change "
            "what a run keeps, or another `workdir`"
        )
    return jax.tree.unflatten(structure, [jnp.array(arrays[name]) for name in shapes])
