"""Trained models by their names: bundled ones, files and workdirs."""

import os
import pathlib

from infinitygan_jax import bundle as bundle_lib


def load_bundle(path_or_name: str | os.PathLike) -> bundle_lib.Bundle:
    """Reads a bundled model (by name), a ``.safetensors`` file or a workdir.

    A bare name is a bundled model's; write ``./NAME`` for a folder.

    Raises:
      ValueError: there is no such model, or it was truncated or altered.
    """
    if str(path_or_name) in bundle_lib.bundled_names():
        return bundle_lib.load(bundle_lib.bundled(str(path_or_name)))
    if is_workdir(path_or_name):
        # Orbax takes a second to import, and only workdirs need it.
        from infinitygan_jax.training import checkpoint

        return checkpoint.load_for_sampling(path_or_name)
    return bundle_lib.load(path_or_name)


def is_workdir(path_or_name: str | os.PathLike) -> bool:
    """Whether a trained model's name is that of a folder, not of a bundle."""
    if str(path_or_name) in bundle_lib.bundled_names():
        return False
    return pathlib.Path(path_or_name).is_dir()
