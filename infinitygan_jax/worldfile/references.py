"""What entries of world files name: styles, inversions and images."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.data import decoding
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.sampling.styles import Between, Seed, Source
from infinitygan_jax.seed_range import check_seed
from infinitygan_jax.worldfile import checked

MAX_STYLES = 10_000  # of sites, of a chain or of a map


class References:
    """Finds what entries name; every message names the entry.

    Attributes:
      bundle: the model that inversions have to be of.
    """

    def __init__(self, folder: pathlib.Path | None, bundle: bundle_lib.Bundle):
        """Takes the folder that files are named from; None where there is none."""
        self.bundle = bundle
        self._folder = folder
        self._inversions: dict[str, Inversion] = {}

    def source(self, value: Any, where: str) -> Source:
        """A style: a seed, one between two seeds, or the inversion whose it is."""
        if checked.is_whole(value):
            checked.whole({"": value}, "", where)
            try:
                return Seed(value)
            except ValueError as error:
                raise UserError(f"{where}: {error}") from error
        if isinstance(value, dict) and set(value) == {"inversion"}:
            return self.inversion(value["inversion"], where).source
        if isinstance(value, dict) and "between" in value:
            return Between(*between(value, where))
        raise UserError(
            f'{where} ({checked.shown(value)}) must be a seed, {{"between": SEEDS, '
            '"share": NUMBER} or {"inversion": FILE}; write e.g. 7'
        )

    def sources(self, entry: checked.Entry, where: str) -> tuple[Source, ...]:
        """The styles of an entry that lists them."""
        given = checked.filled_list(entry, "styles", where, MAX_STYLES)
        return tuple(
            self.source(each, f"{where}.styles[{index}]")
            for index, each in enumerate(given)
        )

    def inversion(self, name: Any, where: str) -> Inversion:
        """The inversion of a file, which is read once."""
        if not isinstance(name, str):
            raise UserError(
                f"{where} ({checked.shown(name)}) must be the name of a .npz file; "
                "write one"
            )
        if name not in self._inversions:
            path = checked.inside(self._folder, name)
            self._inversions[name] = Inversion.load(path, self.bundle)
        return self._inversions[name]

    def opened(
        self, name: Any, where: str, read: Callable[[pathlib.Path], np.ndarray]
    ) -> np.ndarray:
        """An image that the document names."""
        if not isinstance(name, str):
            raise UserError(
                f"{where} ({checked.shown(name)}) must be the name of an image; write "
                "one"
            )
        path = checked.inside(self._folder, name)
        try:
            return read(path)
        except OSError as error:
            raise UserError(
                f"{where} ({checked.shown(name)}) cannot be read ({one_line(error)}); "
                "give another"
            ) from error


@contextlib.contextmanager
def naming(where: str) -> Iterator[str]:
    """Puts an entry's name before messages that do not begin with it."""
    try:
        yield where
    except ValueError as error:
        if str(error).startswith(where):
            raise
        raise UserError(f"{where}: {error}") from error


def between(entry: checked.Entry, where: str, *more: str) -> tuple[int, int, float]:
    """Two seeds, and how far from the first to the second.

    Args:
      entry: that says so.
      where: its name.
      *more: other keys that it may have.
    """
    checked.known_keys(entry, where, "between", "share", *more)
    seeds = checked.two_whole(entry, "between", where, "two seeds", [11, 22])
    with naming(f"{where}.between"):
        for seed in seeds:
            check_seed(seed)
    return *seeds, checked.share(entry, "share", where)


def decoded(path: pathlib.Path) -> UInt8[np.ndarray, "h w 3"]:
    """The image of a file."""
    try:
        return decoding.decode(str(path))
    except decoding.ImageError as error:
        raise UserError(f"image ({path.name}) {error}; give another") from error
