"""One checkpoint in one ``.safetensors`` file, with its settings and a digest.

A bundle holds what sampling and fine-tuning start from: the generator's moving average,
optionally the discriminator, the settings, and a few lines on where it comes from; and
maybe a detail synthesizer with its own. This file knows nothing of the networks;
whoever builds them checks the names and shapes.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from infinitygan_jax import config as config_lib
from infinitygan_jax import files
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.messages import UserError, one_line

FORMAT = "infinitygan_jax bundle 1"
SUFFIX = ".safetensors"
WEIGHTS = pathlib.Path(__file__).parent / "weights"


@dataclasses.dataclass(frozen=True)
class DetailPart:
    """A trained detail synthesizer, of a run of its own.

    Attributes:
      config: all settings of that run.
      params: nested dictionary of parameters (the moving average).
      info: where it comes from, as of bundles.
    """

    config: config_lib.Config
    params: dict[str, Any]
    info: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A trained model.

    Attributes:
      config: all its settings.
      generator: nested dictionary of parameters (the moving average).
      discriminator: likewise, or None.
      info: where it comes from (step, data, machine, ...); free names and texts.
      detail: the detail synthesizer that goes with it, or None.
      digest: sha256 of parameters, settings and info; worked out if not given.
    """

    config: config_lib.Config
    generator: dict[str, Any]
    discriminator: dict[str, Any] | None = None
    info: Mapping[str, str] = dataclasses.field(default_factory=dict)
    detail: DetailPart | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.digest:
            digest = _digest(_arrays(self), *_texts(self).values())
            object.__setattr__(self, "digest", digest)


def from_settings(settings: Mapping[str, Any], **parts: Any) -> Bundle:
    """A bundle of settings as they were stored, maybe by an earlier version.

    Settings that have come since are not in its digest, which so stays what it was.

    Args:
      settings: nested, by name.
      **parts: the other attributes of ``Bundle``, without the digest.
    """
    bundle = Bundle(config_lib.from_mapping(settings), **parts, digest="not known yet")
    texts = {**_texts(bundle), "settings": json.dumps(settings, sort_keys=True)}
    digest = _digest(_arrays(bundle), *texts.values())
    return dataclasses.replace(bundle, digest=digest)


def digest_of(tree: Any) -> str:
    """Hex sha256 of a pytree of arrays: each leaf's path, dtype, shape and bytes.

    Leaves are taken in the order of their paths, so that nested and flat dictionaries
    of the same names agree.
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    named = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
    }
    if len(named) != len(leaves):
        raise UserError("two leaves of the tree have the same path; rename one")
    total = hashlib.sha256()
    for name in sorted(named):
        array = np.asarray(named[name])
        total.update(f"{name}|{array.dtype.name}|{array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def shape_differences(needed: Any, given: Any) -> list[str]:
    """Lines ``NAME is SHAPE for SHAPE`` of arrays that are not of the needed shapes.

    Args:
      needed: pytree of arrays, or of their shapes and types.
      given: likewise; in what is missing or too much it differs as well.
    """
    need, have = _shapes(needed), _shapes(given)
    return [
        f"{name} is {have.get(name, 'missing')} for {need.get(name, 'none')}"
        for name in sorted(need.keys() | have.keys())
        if need.get(name) != have.get(name)
    ]


def _shapes(tree: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        )
        for path, leaf in leaves
    }


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Flat names like ``generator/structure/kernel`` as nested dictionaries."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *folders, leaf = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = array
    return tree


def save(path: str | os.PathLike[str], bundle: Bundle) -> int:
    """Writes a bundle to one file; aside first, then renamed.

    Returns:
      The file's size in bytes.

    Raises:
      ValueError: the ending is not ``.safetensors`` or the folder cannot be written.
      OSError: it cannot be written.
    """
    files.check_target(path, SUFFIX)
    path = pathlib.Path(path)
    arrays = _arrays(bundle)
    texts = _texts(bundle)
    metadata = {
        "format": FORMAT,
        **texts,
        # Not the bundle's own, which is of the texts of the file it came from.
        "digest": _digest(arrays, *texts.values()),
    }
    data = safetensors.numpy.save(arrays, metadata=metadata)
    files.write_whole(path, data)
    return len(data)


def load(path: str | os.PathLike[str]) -> Bundle:
    """Reads a bundle and checks its digest.

    Raises:
      ValueError: the file is missing, cut short, altered, or no bundle of this format.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        names = ", ".join(bundled_names()) or "(no bundled model)"
        raise UserError(
            f"checkpoint ({path}) does not exist; give a {SUFFIX} file, a workdir of "
            f"run_train.py, or a bundled model: {names}"
        )
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(
            f"checkpoint ({path}) must be a whole {SUFFIX} file, and it cannot be read "
            f"({one_line(error)}); copy or export it again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"checkpoint ({path}) must be of format {FORMAT!r}, and it says "
            f"{metadata.get('format')!r}; write one with "
            "python -m infinitygan_jax.cli.export"
        )
    try:
        return _from_parts(metadata, arrays)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"checkpoint ({path}) must be unaltered since it was written, and it is "
            f"not ({one_line(error)}); copy or export it again"
        ) from error


def bundled_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}"))


def bundled(name: str) -> pathlib.Path:
    """File of a model that comes with the package.

    Raises:
      ValueError: there is none of this name; the message lists the valid ones.
    """
    if name not in bundled_names():
        raise UserError(
            f"no bundled model is called {name!r}; valid names are "
            f"{', '.join(bundled_names()) or '(none in this installation)'}"
        )
    return WEIGHTS / f"{name}{SUFFIX}"


def _texts(bundle: Bundle) -> dict[str, str]:
    """What a file says of its networks, by name and in the digest's order."""
    texts = _texts_of(bundle)
    if bundle.detail is not None:
        texts |= {f"detail_{k}": text for k, text in _texts_of(bundle.detail).items()}
    return texts


def _texts_of(part: Bundle | DetailPart) -> dict[str, str]:
    info = json.dumps(dict(part.info), sort_keys=True)
    return {"settings": _settings(part.config), "info": info}


def _settings(config: config_lib.Config) -> str:
    return json.dumps(settings_lib.to_dict(config), sort_keys=True)


def _digest(arrays: Mapping[str, np.ndarray], *texts: str) -> str:
    total = hashlib.sha256(digest_of(arrays).encode())
    for text in texts:
        total.update(text.encode())
    return total.hexdigest()


def _arrays(bundle: Bundle) -> dict[str, np.ndarray]:
    """Flat names like ``generator/structure/kernel`` to contiguous arrays."""
    networks = {"generator": bundle.generator}
    if bundle.discriminator is not None:
        networks["discriminator"] = bundle.discriminator
    if bundle.detail is not None:
        networks["detail"] = bundle.detail.params
    leaves = jax.tree_util.tree_flatten_with_path(networks)[0]
    # ascontiguousarray makes scalars one-dimensional; copy keeps their shape.
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.array(
            leaf, order="C", copy=True
        )
        for path, leaf in leaves
    }


def _from_parts(metadata: Mapping[str, str], arrays: dict[str, np.ndarray]) -> Bundle:
    # Of the texts as they are: a later version may know more settings.
    names = ["settings", "info", "detail_settings", "detail_info"]
    digest = _digest(arrays, *(metadata[name] for name in names if name in metadata))
    if digest != metadata["digest"]:
        raise UserError("its digest differs from the one in its metadata")
    networks = nested(arrays)
    detail = None
    if "detail" in networks:
        detail = DetailPart(
            config_lib.from_mapping(json.loads(metadata["detail_settings"])),
            networks["detail"],
            json.loads(metadata["detail_info"]),
        )
    return Bundle(
        config=config_lib.from_mapping(json.loads(metadata["settings"])),
        generator=networks["generator"],
        discriminator=networks.get("discriminator"),
        info=json.loads(metadata["info"]),
        detail=detail,
        digest=digest,
    )
