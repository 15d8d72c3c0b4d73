"""Values of world files, of any kind that JSON has, checked one at a time.

Every message names the entry, shows the value, shortened, and says what must be there.
"""

import json
import pathlib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning

Entry = Mapping[str, Any]


class _Json(reprlib.Repr):
    """Shows a value of any size and depth in the words of its file."""

    def repr_str(self, value: str, level: int) -> str:
        half = self.maxstring // 2
        if len(value) > self.maxstring:
            value = f"{value[:half]}...{value[-half:]}"
        return json.dumps(value, ensure_ascii=False)

    def repr_bool(self, value: bool, level: int) -> str:
        return "true" if value else "false"

    def repr_NoneType(self, value: None, level: int) -> str:
        return "null"


_SHORT = _Json()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60
_SHORT.maxlevel = 3
_LONGEST = 100  # characters of a shown value
_LONGEST_NAME = 1000  # of a file


def shown(value: Any) -> str:
    """A value as messages show it: in JSON's words, and shortened."""
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def name_of(where: str, key: str) -> str:
    """What messages call the value of a key."""
    return f"{where}.{key}" if where else key


def known_keys(entry: Entry, where: str, *known: str) -> None:
    """Refuses keys that nobody would read.

    Raises:
      ValueError: there is one.
    """
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise UserError(
            f"{name_of(where, unknown[0])[:80]} is not known; what can stand there is "
            f"{', '.join(known)}"
        )


def kind(entry: Any, where: str, key: str, kinds: Sequence[str]) -> str:
    """Which of some kinds an entry is.

    Raises:
      ValueError: none of them, or no object at all.
    """
    if not isinstance(entry, dict):
        raise UserError(
            f"{where} ({shown(entry)}) must be an object; write "
            f'{{"{key}": "{kinds[0]}", ...}}'
        )
    found = entry.get(key)
    if not isinstance(found, str) or found not in kinds:
        raise UserError(
            f"{where}.{key} ({shown(found)}) must be one of {', '.join(kinds)}; write "
            "one of them"
        )
    return found


def is_whole(value: Any) -> bool:
    """Whether it is a whole number: true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def whole(entry: Entry, key: str, where: str, default: int | None = None) -> int:
    """A whole number; without a default it must be there.

    Raises:
      ValueError: it is none, or larger than anything that a world knows.
    """
    value = entry.get(key, default)
    if not is_whole(value) or abs(value) > 2**64:
        raise UserError(
            f"{name_of(where, key)} ({shown(value)}) must be a whole number within "
            f"-2**64 to 2**64; write e.g. {default or 0}"
        )
    return value


def positive(entry: Entry, key: str, where: str, default: int | None = None) -> int:
    """A number of pixels from 1 on.

    Raises:
      ValueError: it is none.
    """
    value = whole(entry, key, where, default)
    if not 1 <= value <= planning.SIDE_LIMIT:
        raise UserError(
            f"{name_of(where, key)} ({value}) must be from 1 to {planning.SIDE_LIMIT} "
            f"pixels; write e.g. {default or 512}"
        )
    return value


def truth(entry: Entry, key: str, where: str, default: bool) -> bool:
    """True or false.

    Raises:
      ValueError: neither.
    """
    value = entry.get(key, default)
    if not isinstance(value, bool):
        raise UserError(
            f"{where}.{key} ({shown(value)}) must be true or false; write one of them"
        )
    return value


def rectangle(
    entry: Entry, where: str, key: str = "rectangle"
) -> tuple[int, int, int, int]:
    """First row, first column, height and width.

    Raises:
      ValueError: not of this form, empty or beyond the world's end.
    """
    value = entry.get(key)
    if not (isinstance(value, list) and len(value) == 4 and all(map(is_whole, value))):
        raise UserError(
            f"{where}.{key} ({shown(value)}) must be four whole numbers: first row, "
            "first column, height, width; write e.g. [-64, 0, 128, 256]"
        )
    if max(map(abs, value)) > 2**64:
        raise UserError(
            f"{where}.{key} ({shown(value)}) must lie within -2**62 to 2**62; choose "
            "a place nearer to 0"
        )
    try:
        planning.Window(*value)
    except ValueError as error:
        raise UserError(f"{where}.{key}: {error}") from error
    return tuple(value)


def place(entry: Entry, key: str, where: str) -> tuple[int, int]:
    """A row and a column.

    Raises:
      ValueError: not of this form, or beyond the world's end.
    """
    value = two_whole(entry, key, where, "row, column", [-64, 1024])
    if max(map(abs, value)) > planning.POSITION_LIMIT:
        raise UserError(
            f"{where}.{key} ({shown(value)}) must lie within -2**62 to 2**62; choose "
            "a place nearer to 0"
        )
    return value


def two_whole(
    entry: Entry, key: str, where: str, what: str, example: Sequence[int]
) -> tuple[int, int]:
    """Two whole numbers; messages say what they are, and show an example.

    Raises:
      ValueError: not of this form, or larger than anything that a world knows.
    """
    value = entry.get(key)
    if not (
        isinstance(value, list)
        and len(value) == 2
        and all(is_whole(each) and abs(each) <= 2**64 for each in value)
    ):
        raise UserError(
            f"{where}.{key} ({shown(value)}) must be two whole numbers within -2**64 "
            f"to 2**64: {what}; write e.g. {list(example)}"
        )
    return tuple(value)


def share(entry: Entry, key: str, where: str) -> float:
    """A number from 0 to 1.

    Raises:
      ValueError: it is none.
    """
    value = entry.get(key)
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not 0 <= value <= 1
    ):
        raise UserError(
            f"{name_of(where, key)} ({shown(value)}) must be a number from 0 to 1; "
            "write e.g. 0.5"
        )
    return float(value)


def filled_list(entry: Entry, key: str, where: str, most: int) -> list[Any]:
    """A list of at least one.

    Raises:
      ValueError: it is none, or too long.
    """
    value = entry.get(key)
    if not isinstance(value, list) or not value:
        raise UserError(
            f"{where}.{key} ({shown(value)}) must be a list of at least one; write one"
        )
    if len(value) > most:
        raise UserError(
            f"{where}.{key} must be at most {most}, and they are {len(value)}; remove "
            "some"
        )
    return value


def inside(folder: pathlib.Path | None, name: str) -> pathlib.Path:
    """The path of a file that a document names.

    Args:
      folder: that it must lie in, or None for anywhere.
      name: of the file.

    Raises:
      ValueError: it lies elsewhere.
    """
    if "\0" in name or not name.strip() or len(name) > _LONGEST_NAME:
        raise UserError(
            f"file ({shown(name)}) must have a name that a file can have; give one"
        )
    if folder is None:
        return pathlib.Path(name)
    path = pathlib.PurePath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(
            f"file ({shown(name)}) must lie in the world file's folder; copy it there, "
            "and name it without a path to elsewhere"
        )
    whole_path = folder / path
    if folder.resolve() not in whole_path.resolve().parents:  # through a link
        raise UserError(
            f"file ({shown(name)}) must lie in the world file's folder, not behind a "
            "link; copy it there"
        )
    return whole_path
