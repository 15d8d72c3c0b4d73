"""Entries of world files: checked, and made into what a world is painted from."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.applications import fusion
from infinitygan_jax.applications.inverted import Inversion
from infinitygan_jax.applications.placements import placement_of
from infinitygan_jax.data import decoding
from infinitygan_jax.messages import one_line
from infinitygan_jax.sampling.edits import Pin, Region, Resample, Statistics
from infinitygan_jax.sampling.painter import Scene
from infinitygan_jax.sampling.placing import Placement
from infinitygan_jax.sampling.styles import (
    Chain,
    Constant,
    Seed,
    Site,
    Sites,
    Source,
    StyleField,
)
from infinitygan_jax.sampling.world import World

MAX_EDITS = 100_000
_INSIDE = 128  # of 255: a mask's pixels from here on belong to the region


class Reader:
    """Makes a world of the entries of a document; every message names the entry."""

    def __init__(
        self,
        values: Mapping[str, Any],
        folder: pathlib.Path | None,
        bundle: bundle_lib.Bundle,
    ):
        self._values = values
        self._folder = folder
        self._bundle = bundle
        self._seed = 0
        self._inversions: dict[str, Inversion] = {}

    def world(self, options: Mapping[str, Any]) -> World:
        """All of it."""
        self._keys(
            self._values,
            "",
            *("seed", "horizon", "vertical_span", "period", "octaves", "styles"),
            "edits",
        )
        self._seed = self._whole(self._values, "seed", "", 0)
        period = self._values.get("period") or [None, None]
        if not (
            isinstance(period, list)
            and len(period) == 2
            and all(each is None or _is_whole(each) for each in period)
        ):
            raise ValueError(
                f"period ({period}) must be rows and columns, each a whole number or "
                "null; leave it out for a world that does not repeat"
            )
        span = self._values.get("vertical_span")
        common = {
            "seed": self._seed,
            "horizon": self._whole(self._values, "horizon", "", 0),
            "vertical_span": None if span is None else span,
            "period": tuple(period),
            **options,
        }
        octaves = self._whole(self._values, "octaves", "", 1)
        scene = Scene(self._styles(tuple(period)), octaves)
        edits = self._values.get("edits", [])
        if not isinstance(edits, list) or len(edits) > MAX_EDITS:
            raise ValueError(f"edits must be a list of at most {MAX_EDITS}")
        done: list[Resample | Pin | Placement] = []
        for index, entry in enumerate(edits):
            so_far = dataclasses.replace(scene, edits=tuple(done))
            done.append(self._edit(entry, f"edits[{index}]", so_far, common))
        scene = dataclasses.replace(scene, edits=tuple(done))
        model = self._bundle.config.model
        return World(model, self._bundle.generator, scene=scene, **common)

    def _styles(self, period: tuple[int | None, int | None]) -> StyleField | None:
        entry, where = self._values.get("styles"), "styles"
        if entry is None:
            return None
        kind = self._kind(entry, where, "kind", fusion.KINDS)
        if kind == "one":
            self._keys(entry, where, "kind", "style")
            return Constant(self._source(entry.get("style"), f"{where}.style"))
        if kind == "sites":
            return self._sites(entry, where)
        if kind == "chain":
            names = ("styles", "every", "start", "blend", "cyclic")
            self._keys(entry, where, "kind", *names)
            every = self._positive(entry, "every", where)
            sources = self._sources(entry, where)
            cyclic = entry.get("cyclic", False)
            if not isinstance(cyclic, bool):
                raise ValueError(f"{where}.cyclic ({cyclic!r}) must be true or false")
            fusion.check_chain(len(sources), every, cyclic, period[1])
            start = self._whole(entry, "start", where, 0)
            blend = self._positive(entry, "blend", where, every)
            return Chain(sources, every, float(blend), start, cyclic)
        if kind == "biomes":
            self._keys(entry, where, "kind", "every", "blend")
            every = self._positive(entry, "every", where)
            blend = self._positive(entry, "blend", where, max(every // 2, 1))
            return fusion.biomes(self._seed, every, blend, period)
        self._keys(entry, where, "kind", "file", "styles", "rectangle", "blend")
        sources = self._sources(entry, where)
        levels = self._opened(entry.get("file"), f"{where}.file", fusion.read_map)
        rectangle = self._rectangle(entry, where)
        blend = self._positive(entry, "blend", where, fusion.MAP_BLEND)
        return fusion.painted(levels, sources, rectangle, blend, period)

    def _sites(self, entry: Mapping[str, Any], where: str) -> Sites:
        self._keys(entry, where, "kind", "sites", "blend")
        sites, sources = [], []
        given = entry.get("sites")
        if not isinstance(given, list) or not given:
            raise ValueError(f"{where}.sites must be a list of at least one site")
        for index, site in enumerate(given):
            name = f"{where}.sites[{index}]"
            if not isinstance(site, dict):
                raise ValueError(f"{name} must be an object with a style and a place")
            self._keys(site, name, "style", "at", "rectangle")
            if "rectangle" in site:
                top, left, height, width = self._rectangle(site, name)
                sites.append(Site(top, top + height, left, left + width))
            else:
                y, x = self._pair(site, "at", name)
                sites.append(Site(y, y, x, x))
            sources.append(self._source(site.get("style"), f"{name}.style"))
        blend = self._positive(entry, "blend", where, fusion.default_blend(sites))
        return Sites(tuple(sites), tuple(sources), float(blend))

    def _edit(
        self,
        entry: Any,
        where: str,
        scene: Scene,
        common: Mapping[str, Any],
    ) -> Resample | Pin | Placement:
        kind = self._kind(entry, where, "edit", ("resample", "style", "place"))
        if kind == "place":
            names = ("inversion", "at", "feather", "exact")
            self._keys(entry, where, "edit", *names)
            inversion = self._inversion(entry.get("inversion"), f"{where}.inversion")
            exact = entry.get("exact", True)
            if not isinstance(exact, bool):
                raise ValueError(f"{where}.exact ({exact!r}) must be true or false")
            top, left = inversion.top, inversion.left
            if "at" in entry:
                top, left = self._pair(entry, "at", where)
            feather = self._whole(entry, "feather", where, fusion.FEATHER)
            return placement_of(
                inversion, self._bundle.config.model, top, left, feather, exact
            )
        names = ("rectangle", "mask")
        if kind == "style":
            self._keys(entry, where, "edit", "style", "feather", *names)
            source = self._source(entry.get("style"), f"{where}.style")
            feather = self._whole(entry, "feather", where, fusion.FEATHER)
            return Pin(self._region(entry, where), source, feather)
        self._keys(entry, where, "edit", "seed", "what", "statistics_of", *names)
        what = entry.get("what", ["structure", "texture"])
        if not isinstance(what, list) or not set(map(str, what)) <= {
            "structure",
            "texture",
        }:
            raise ValueError(
                f'{where}.what ({what!r}) must be a list of "structure" and "texture"'
            )
        statistics = None
        if "statistics_of" in entry:
            rectangle = self._rectangle(entry, where, "statistics_of")
            model, generator = self._bundle.config.model, self._bundle.generator
            plain = {k: v for k, v in common.items() if k not in ("level", "quick")}
            world = World(model, generator, scene=scene, **plain)
            statistics = Statistics(*world.latent_statistics(*rectangle))
        return Resample(
            self._region(entry, where),
            self._whole(entry, "seed", where, None),
            structure="structure" in what,
            texture="texture" in what,
            statistics=statistics,
        )

    def _region(self, entry: Mapping[str, Any], where: str) -> Region:
        top, left, height, width = self._rectangle(entry, where)
        mask = None
        if "mask" in entry:
            image = self._opened(entry["mask"], f"{where}.mask", _decoded)
            mask = _mask(image, height, width)
        try:
            return Region(top, left, height, width, mask)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def _source(self, value: Any, where: str) -> Source:
        """A style: a seed, or the inversion whose it is."""
        if _is_whole(value):
            try:
                return Seed(value)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        if isinstance(value, dict) and set(value) == {"inversion"}:
            return self._inversion(value["inversion"], where).source
        raise ValueError(
            f'{where} ({value!r}) must be a seed or {{"inversion": FILE}}; write e.g. 7'
        )

    def _sources(self, entry: Mapping[str, Any], where: str) -> tuple[Source, ...]:
        given = entry.get("styles")
        if not isinstance(given, list) or not given:
            raise ValueError(f"{where}.styles must be a list of at least one style")
        return tuple(
            self._source(each, f"{where}.styles[{index}]")
            for index, each in enumerate(given)
        )

    def _inversion(self, name: Any, where: str) -> Inversion:
        if not isinstance(name, str):
            raise ValueError(f"{where} ({name!r}) must be the name of a .npz file")
        if name not in self._inversions:
            path = inside(self._folder, name)
            self._inversions[name] = Inversion.load(path, self._bundle)
        return self._inversions[name]

    def _opened(
        self, name: Any, where: str, read: Callable[[pathlib.Path], np.ndarray]
    ) -> np.ndarray:
        """An image that the document names."""
        if not isinstance(name, str):
            raise ValueError(f"{where} ({name!r}) must be the name of an image")
        path = inside(self._folder, name)
        try:
            return read(path)
        except OSError as error:
            raise ValueError(
                f"{where} ({name}) cannot be read ({one_line(error)}); give another"
            ) from error

    def _rectangle(
        self, entry: Mapping[str, Any], where: str, key: str = "rectangle"
    ) -> tuple[int, int, int, int]:
        value = entry.get(key)
        if isinstance(value, list) and len(value) == 4 and all(map(_is_whole, value)):
            return tuple(value)
        raise ValueError(
            f"{where}.{key} ({value!r}) must be four whole numbers: first row, first "
            "column, height, width"
        )

    def _pair(self, entry: Mapping[str, Any], key: str, where: str) -> tuple[int, int]:
        value = entry.get(key)
        if isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)):
            return tuple(value)
        raise ValueError(
            f"{where}.{key} ({value!r}) must be two whole numbers: row, column"
        )

    def _whole(
        self, entry: Mapping[str, Any], key: str, where: str, default: int | None
    ) -> int:
        value = entry.get(key, default)
        if not _is_whole(value):
            name = f"{where}.{key}" if where else key
            raise ValueError(f"{name} ({value!r}) must be a whole number; write one")
        return value

    def _positive(
        self,
        entry: Mapping[str, Any],
        key: str,
        where: str,
        default: int | None = None,
    ) -> int:
        value = self._whole(entry, key, where, default)
        if not 1 <= value < 2**31:
            raise ValueError(
                f"{where}.{key} ({value}) must be from 1 to 2**31 - 1 pixels; use 1"
            )
        return value

    def _kind(self, entry: Any, where: str, key: str, kinds: Sequence[str]) -> str:
        kind = entry.get(key) if isinstance(entry, dict) else None
        if kind not in kinds:
            raise ValueError(
                f"{where}.{key} ({kind!r}) must be one of {', '.join(kinds)}"
            )
        return kind

    def _keys(self, entry: Mapping[str, Any], where: str, *known: str) -> None:
        """Refuses entries that nobody would read."""
        unknown = sorted(set(entry) - set(known))
        if unknown:
            name = f"{where}.{unknown[0]}" if where else unknown[0]
            raise ValueError(
                f"{name} is not known; what can stand there is {', '.join(known)}"
            )


def _decoded(path: pathlib.Path) -> UInt8[np.ndarray, "h w 3"]:
    try:
        return decoding.decode(path)
    except decoding.ImageError as error:
        raise ValueError(f"image ({path.name}) {error}; give another") from error


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _mask(
    image: UInt8[np.ndarray, "h w 3"], height: int, width: int
) -> Bool[np.ndarray, "H W"]:
    """White pixels of an image, laid over a rectangle."""
    grey = Image.fromarray(image).convert("L")
    if grey.size != (width, height):
        grey = grey.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(grey) >= _INSIDE


def inside(folder: pathlib.Path | None, name: str) -> pathlib.Path:
    """The path of a file that a document names."""
    if folder is None:
        return pathlib.Path(name)
    path = pathlib.PurePath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(
            f"file ({name}) must lie in the world file's folder; copy it there, and "
            "name it without a path to elsewhere"
        )
    whole = folder / path
    if folder.resolve() not in whole.resolve().parents:  # through a link
        raise ValueError(
            f"file ({name}) must lie in the world file's folder, not behind a link; "
            "copy it there"
        )
    return whole
