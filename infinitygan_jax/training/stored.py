"""Trained models by their names: bundled ones, files and workdirs."""

import os
import pathlib

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import files
from infinitygan_jax.messages import UserError


def load_bundle(path_or_name: str | os.PathLike[str]) -> bundle_lib.Bundle:
    """Reads a bundled model (by name), a ``.safetensors`` file or a workdir.

    A bare name is a bundled model's; write ``./NAME`` for a folder. ``WORKDIR@STEP`` is
    a checkpoint that is not the newest.

    Raises:
      ValueError: there is no such model, or it was truncated or altered.
    """
    bundle = _load(path_or_name)
    if bundle.config.train.network == "detail":
        raise UserError(
            f"checkpoint ({path_or_name}) must be of a generator, and it is of a "
            "detail synthesizer; join the two by python -m infinitygan_jax.cli.export, "
            "and name what that writes"
        )
    return bundle


def load_detail(path_or_name: str | os.PathLike[str]) -> bundle_lib.DetailPart:
    """Reads a detail synthesizer: of a workdir, or of a bundle that has one.

    Raises:
      ValueError: there is none, or it was truncated or altered.
    """
    bundle = _load(path_or_name)
    if bundle.config.train.network == "detail":
        return bundle_lib.DetailPart(bundle.config, bundle.generator, bundle.info)
    if bundle.detail is None:
        raise UserError(
            f"checkpoint ({path_or_name}) must have a detail synthesizer, and it has "
            "none; name a run of configs/landscape_detail.py"
        )
    return bundle.detail


def _load(path_or_name: str | os.PathLike[str]) -> bundle_lib.Bundle:
    if is_workdir(path_or_name):
        # Orbax takes a second to import, and only workdirs need it.
        from infinitygan_jax.training import checkpoint

        return checkpoint.load_for_sampling(path_or_name)
    return bundle_lib.load(_path_of(path_or_name))


def is_workdir(path_or_name: str | os.PathLike[str]) -> bool:
    """Whether a trained model's name is that of a folder, not of a bundle."""
    return files.run_at(_path_of(path_or_name))[0].is_dir()


def _path_of(path_or_name: str | os.PathLike[str]) -> pathlib.Path:
    if str(path_or_name) in bundle_lib.bundled_names():
        return bundle_lib.bundled(str(path_or_name))
    return pathlib.Path(path_or_name)
