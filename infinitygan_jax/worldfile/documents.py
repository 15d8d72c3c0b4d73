"""World files: a picture as a document of a few lines of JSON.

``docs/world_file.md`` describes the format. A document names the checkpoint, the seed,
the styles and the edits; other files that it names lie in its own folder.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import files
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.sampling.world import World
from infinitygan_jax.worldfile.checked import inside, known_keys, shown
from infinitygan_jax.worldfile.entries import Reader

FORMAT = "infinitygan_jax world 1"
MAX_BYTES = 2**26  # of a world file
_MOST_DIGITS = 1000  # of a number


@dataclasses.dataclass(frozen=True)
class Document:
    """A world: its checkpoint, and all that differs from a plain one.

    Attributes:
      name: of the checkpoint.
      digest: of the checkpoint.
      values: the file's other entries; checked when a world is made of them.
      folder: where files that it names lie; None: anywhere, as a command's own
        options may say.
    """

    name: str
    digest: str
    values: Mapping[str, Any]
    folder: pathlib.Path | None = None

    @property
    def horizon(self) -> int:
        """World row of the horizon, where it is a number."""
        value = self.values.get("horizon", 0)
        return value if isinstance(value, int) else 0

    def content_digest(self) -> str:
        """sha256 of all that it says and of the files that it names."""
        total = hashlib.sha256(json.dumps(self.values, sort_keys=True).encode())
        for name in _file_names(self.values):
            path = inside(self.folder, name)
            total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    def moved_to(self, path: str | os.PathLike[str]) -> "Document":
        """The same document as it is at a path: files are named from its folder.

        Raises:
          ValueError: it names a file that does not lie there.
        """
        folder = pathlib.Path(path).absolute().parent
        values = _renamed(self.values, lambda name: self._name_from(folder, name))
        return dataclasses.replace(self, values=values, folder=folder)

    def _name_from(self, folder: pathlib.Path, name: str) -> str:
        """How a document in a folder names a file that this one names."""
        there = os.path.abspath(inside(self.folder, name))
        relative = os.path.relpath(there, folder)
        inside(folder, relative)
        return pathlib.PurePath(relative).as_posix()

    def to_bytes(self) -> bytes:
        """What its file holds."""
        checkpoint = {"name": self.name, "digest": self.digest}
        whole = {"format": FORMAT, "checkpoint": checkpoint, **self.values}
        return (json.dumps(whole, indent=1) + "\n").encode()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file; aside first, then renamed.

        Raises:
          ValueError: it names a file that does not lie in the file's folder.
          OSError: it cannot be written.
        """
        files.write_whole(pathlib.Path(path), self.moved_to(path).to_bytes())

    def world(self, bundle: bundle_lib.Bundle, **options: Any) -> World:
        """The world that it describes.

        Args:
          bundle: the checkpoint.
          **options: of ``World`` that are not the document's: tile_size, devices,
            batch_size, level, quick.

        Raises:
          ValueError: the checkpoint is another, or an entry is not as it must be; the
            message names it.
        """
        if self.digest != bundle.digest:
            raise UserError(
                f"the world must be painted with checkpoint {self.name} "
                f"({self.digest[:12]}), and this one is {bundle.config.name} "
                f"({bundle.digest[:12]}); give that one with `bundle`"
            )
        return Reader(self.values, self.folder, bundle).world(options)


def load(path: str | os.PathLike[str]) -> Document:
    """Reads a world file.

    Raises:
      ValueError: it is missing, no JSON, of another version, or too large.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(
            f"world file ({path}) must be a file, and there is none; write one with "
            "`Document.save`"
        )
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(
            f"world file ({path}) must be at most {MAX_BYTES} bytes, and has {size}; "
            "remove edits"
        )
    try:
        values = json.loads(
            path.read_bytes(), object_pairs_hook=_said_once, parse_int=_short_number
        )
    except _Unclear as error:
        raise UserError(f"world file ({path}) {error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"world file ({path}) must be JSON ({one_line(error)}); see "
            "docs/world_file.md"
        ) from error
    if not isinstance(values, dict) or "format" not in values:
        raise UserError(
            f"world file ({path}) must be an object that says format {shown(FORMAT)}, "
            "and says none: it is no world file; write one with `Document.save`"
        )
    if values["format"] != FORMAT:
        raise UserError(
            f"world file ({path}) must say format {shown(FORMAT)}, and says "
            f"{shown(values['format'])}; use the version of infinitygan_jax that wrote "
            "it"
        )
    checkpoint = values.pop("checkpoint", None)
    del values["format"]
    if not (
        isinstance(checkpoint, dict)
        and all(isinstance(checkpoint.get(key), str) for key in ("name", "digest"))
    ):
        raise UserError(
            f'world file ({path}) must name its checkpoint: {{"name": ..., "digest": '
            "...}; see docs/world_file.md"
        )
    known_keys(checkpoint, "checkpoint", "name", "digest")
    return Document(
        checkpoint["name"], checkpoint["digest"], values, path.absolute().parent
    )


class _Unclear(ValueError):
    """Of JSON that is well-formed, and yet no one can be sure what it says."""


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a key that is there twice, JSON would drop the first value."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Unclear(
                f"must say each key of an object once, and says {shown(key)} twice; "
                "remove one of them"
            )
        found[key] = value
    return found


def _short_number(digits: str) -> int:
    """A whole number; Python reads none of very many digits."""
    if len(digits) > _MOST_DIGITS:
        raise _Unclear(
            f"must have numbers of at most {_MOST_DIGITS} digits, and one has "
            f"{len(digits.lstrip('-'))}; write a shorter one"
        )
    return int(digits)


_FILES = ("file", "mask", "inversion")  # keys whose values name files


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    """A document's values with other names of files: of maps, masks and inversions."""
    if isinstance(value, Mapping):
        return {
            key: rename(each)
            if key in _FILES and isinstance(each, str)
            else _renamed(each, rename)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_renamed(each, rename) for each in value]
    return value


def _file_names(values: Any) -> list[str]:
    """Names of files in a document."""
    names: list[str] = []

    def note(name: str) -> str:
        names.append(name)
        return name

    _renamed(values, note)
    return names
