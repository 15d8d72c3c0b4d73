"""Entries of world files: checked, and made into what a world is painted from."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.config import PAINTING
from infinitygan_jax.data import decoding
from infinitygan_jax.inversion.placement import placement_of
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.sampling import fusion
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.edits.edit import Pin, Region, Resample
from infinitygan_jax.sampling.edits.placement import Placement
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.painter import Scene
from infinitygan_jax.sampling.styles import (
    Axis,
    Between,
    Chain,
    Constant,
    Seed,
    Site,
    Sites,
    Source,
    StyleField,
)
from infinitygan_jax.sampling.world import World, check_fits
from infinitygan_jax.worldfile import checked
from infinitygan_jax.worldfile.measured import Measurements

MAX_EDITS = 100_000
MAX_STYLES = 10_000  # of sites, of a chain or of a map
_MAX_MASK = 2**26  # pixels of a masked region, its feather included
_INSIDE = 128  # of 255: a mask's pixels from here on belong to the region

_Edit = Resample | Pin | Placement


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
        names = ("seed", "horizon", "vertical_span", "period", "octaves", *PAINTING)
        checked.known_keys(self._values, "", *names, "latents", "styles", "edits")
        self._seed = checked.whole(self._values, "seed", "", 0)
        Seed(self._seed)  # its limits
        span = None
        if self._values.get("vertical_span") is not None:
            span = checked.positive(self._values, "vertical_span", "")
        period = self._period()
        common = {
            "seed": self._seed,
            "horizon": checked.whole(self._values, "horizon", "", 0),
            "vertical_span": span,
            "period": period,
            **options,
        }
        octaves = checked.whole(self._values, "octaves", "", 1)
        painting = {
            name: checked.share(self._values, name, "")
            for name in PAINTING
            if self._values.get(name) is not None
        }
        scene = Scene(self._styles(period), octaves, mix=self._mix(), **painting)
        edits = self._values.get("edits", [])
        if not isinstance(edits, list):
            raise UserError(
                f"edits ({checked.shown(edits)}) must be a list; write [] for none"
            )
        if len(edits) > MAX_EDITS:
            raise UserError(
                f"edits must be at most {MAX_EDITS}, and they are {len(edits)}; remove "
                "some"
            )
        done: list[_Edit] = []
        for index, entry in enumerate(edits):
            with _naming(f"edits[{index}]") as where:
                edit = self._edit(entry, where)
                check_fits(edit, period)
                done.append(edit)
        model = self._bundle.config.model
        plain = World(model, self._bundle.generator, scene=scene, **common)
        rectangles = {
            index: checked.rectangle(entry, f"edits[{index}]", "statistics_of")
            for index, entry in enumerate(edits)
            if "statistics_of" in entry
        }
        measurements = Measurements(plain, done, rectangles)
        for index in rectangles:
            with _naming(f"edits[{index}]"):
                measurements.check(index)
        scene = dataclasses.replace(scene, edits=measurements.edits)
        return plain.varied(self._seed, scene)

    def _mix(self) -> Mix | None:
        """Local latents and noise between those of two seeds."""
        entry = self._values.get("latents")
        if entry is None:
            return None
        if not isinstance(entry, dict):
            raise UserError(
                f"latents ({checked.shown(entry)}) must be an object; write e.g. "
                '{"between": [11, 22], "share": 0.5}'
            )
        ends = _between(entry, "latents", "noise")
        return Mix(*ends, checked.truth(entry, "noise", "latents", True))

    def _period(self) -> tuple[int | None, int | None]:
        period = self._values.get("period")
        if period is None:
            return None, None
        if not (
            isinstance(period, list)
            and len(period) == 2
            and all(each is None or checked.is_whole(each) for each in period)
        ):
            raise UserError(
                f"period ({checked.shown(period)}) must be rows and columns, each a "
                "whole number or null; leave it out for a world that does not repeat"
            )
        cell = self._bundle.config.model.cell_size
        for name, each in zip(("height", "width"), period, strict=True):
            if each is not None:
                planning.check_period(f"period's {name}", each, cell)
        return tuple(period)

    def _styles(self, period: tuple[int | None, int | None]) -> StyleField | None:
        entry, where = self._values.get("styles"), "styles"
        if entry is None:
            return None
        kind = checked.kind(entry, where, "kind", fusion.KINDS)
        if kind == "one":
            checked.known_keys(entry, where, "kind", "style")
            return Constant(self._source(entry.get("style"), f"{where}.style"))
        if kind == "sites":
            return self._sites(entry, where)
        if kind == "chain":
            names = ("styles", "every", "start", "blend", "cyclic")
            checked.known_keys(entry, where, "kind", *names)
            every = checked.positive(entry, "every", where)
            sources = self._sources(entry, where)
            cyclic = checked.truth(entry, "cyclic", where, False)
            start = checked.whole(entry, "start", where, 0)
            blend = checked.positive(entry, "blend", where, every)
            fusion.check_chain(len(sources), every, cyclic, period[1], blend)
            return Chain(sources, every, float(blend), start, cyclic)
        if kind == "biomes":
            checked.known_keys(entry, where, "kind", "every", "blend")
            every = checked.positive(entry, "every", where)
            blend = checked.positive(entry, "blend", where, max(every // 2, 1))
            return fusion.biomes(self._seed, every, blend, period)
        names = ("file", "styles", "rectangle", "blend")
        checked.known_keys(entry, where, "kind", *names)
        sources = self._sources(entry, where)
        rectangle = checked.rectangle(entry, where)
        blend = checked.positive(entry, "blend", where, fusion.MAP_BLEND)
        levels = self._opened(entry.get("file"), f"{where}.file", fusion.read_map)
        return fusion.painted(levels, sources, rectangle, blend, period)

    def _sites(self, entry: checked.Entry, where: str) -> Sites:
        checked.known_keys(entry, where, "kind", "sites", "blend")
        sites, sources = [], []
        given = checked.filled_list(entry, "sites", where, MAX_STYLES)
        for index, site in enumerate(given):
            name = f"{where}.sites[{index}]"
            if not isinstance(site, dict):
                raise UserError(
                    f"{name} ({checked.shown(site)}) must be an object with a style "
                    'and a place; write {"style": 7, "at": [0, 0]}'
                )
            if "rectangle" in site:
                checked.known_keys(site, name, "style", "rectangle")
                top, left, height, width = checked.rectangle(site, name)
                sites.append(Site(top, top + height, left, left + width))
            else:
                checked.known_keys(site, name, "style", "at", "rectangle")
                y, x = checked.place(site, "at", name)
                sites.append(Site(y, y, x, x))
            sources.append(self._source(site.get("style"), f"{name}.style"))
        default = None if "blend" in entry else fusion.default_blend(sites)
        blend = checked.positive(entry, "blend", where, default)
        return Sites(tuple(sites), tuple(sources), float(blend))

    def _edit(
        self,
        entry: Any,
        where: str,
    ) -> _Edit:
        kind = checked.kind(entry, where, "edit", ("resample", "style", "place"))
        if kind == "place":
            return self._placed(entry, where)
        names = ("rectangle", "mask")
        if kind == "style":
            checked.known_keys(entry, where, "edit", "style", "feather", *names)
            source = self._source(entry.get("style"), f"{where}.style")
            feather = checked.whole(entry, "feather", where, fusion.FEATHER)
            edit = Pin(self._region(entry, where, feather), source, feather)
            self._check_cell(edit, where, "take a larger one")
            return edit
        checked.known_keys(
            entry, where, "edit", "seed", "what", "statistics_of", *names
        )
        what = entry.get("what", ["structure", "texture"])
        if not isinstance(what, list) or not all(
            each in ("structure", "texture") for each in what
        ):
            raise UserError(
                f"{where}.what ({checked.shown(what)}) must be a list of "
                '"structure" and "texture"; write one of them or both'
            )
        edit = Resample(
            self._region(entry, where),
            checked.whole(entry, "seed", where),
            structure="structure" in what,
            texture="texture" in what,
        )
        if edit.structure:
            remedy = 'take a larger one, or write "what": ["texture"]'
            self._check_cell(edit, where, remedy)
        if "statistics_of" in entry:
            if not edit.structure:
                raise UserError(
                    f"{where}.statistics_of is of local latents, and texture alone is "
                    'resampled; add "structure" to what, or leave it out'
                )
            checked.rectangle(entry, where, "statistics_of")
        return edit

    def _placed(self, entry: checked.Entry, where: str) -> Placement:
        names = ("inversion", "at", "feather", "exact")
        checked.known_keys(entry, where, "edit", *names)
        inversion = self._inversion(entry.get("inversion"), f"{where}.inversion")
        exact = checked.truth(entry, "exact", where, True)
        top, left = inversion.top, inversion.left
        if "at" in entry:
            top, left = checked.place(entry, "at", where)
        feather = checked.whole(entry, "feather", where, fusion.FEATHER)
        model = self._bundle.config.model
        return placement_of(inversion, model, top, left, feather, exact)

    def _check_cell(self, edit: Pin | Resample, where: str, remedy: str) -> None:
        """Refuses a region that lies between all cells, or might, and changes none."""
        region, cell = edit.region, self._bundle.config.model.cell_size
        if min(region.height, region.width) < cell:
            raise UserError(
                f"{where}.rectangle ({region.width}x{region.height}, width by height) "
                f"must be at least {cell}x{cell} pixels, a cell of the model: styles "
                f"and structure are no finer; {remedy}"
            )
        # A rectangle of a cell always meets one, and so does a feather of a cell.
        if region.mask is None or edit.reach >= cell:
            return
        rows, cols = (
            Axis(start // cell * cell - cell, size // cell + 4, cell)
            for start, size in (
                (region.top, region.height),
                (region.left, region.width),
            )
        )
        if isinstance(edit, Resample):
            part = region.squares(rows, cols)[1]
        else:
            part = region.share_near(rows, cols, edit.feather)[1]
        if not part.any():
            raise UserError(
                f"{where}.mask must meet a cell of the model, {cell}x{cell} pixels: "
                f"styles and structure are no finer; {remedy}"
            )

    def _region(self, entry: checked.Entry, where: str, feather: int = 0) -> Region:
        top, left, height, width = checked.rectangle(entry, where)
        mask = None
        if "mask" in entry:
            # Before it is laid out.
            pixels = (height + 2 * feather) * (width + 2 * feather)
            if pixels > _MAX_MASK:
                raise UserError(
                    f"{where}: a rectangle with a mask must be of at most {_MAX_MASK} "
                    f"pixels, its feather included, and it has {pixels}; divide it "
                    "into several edits"
                )
            image = self._opened(entry["mask"], f"{where}.mask", _decoded)
            mask = _mask(image, height, width)
            if not mask.any():
                raise UserError(
                    f"{where}.mask ({checked.shown(entry['mask'])}) must select "
                    f"something, and has no pixel of {_INSIDE} or lighter; give "
                    "another, or leave it out for all of the rectangle"
                )
        return Region(top, left, height, width, mask)

    def _source(self, value: Any, where: str) -> Source:
        """A style: a seed, one between two seeds, or the inversion whose it is."""
        if checked.is_whole(value):
            checked.whole({"": value}, "", where)
            try:
                return Seed(value)
            except ValueError as error:
                raise UserError(f"{where}: {error}") from error
        if isinstance(value, dict) and set(value) == {"inversion"}:
            return self._inversion(value["inversion"], where).source
        if isinstance(value, dict) and "between" in value:
            return Between(*_between(value, where))
        raise UserError(
            f'{where} ({checked.shown(value)}) must be a seed, {{"between": SEEDS, '
            '"share": NUMBER} or {"inversion": FILE}; write e.g. 7'
        )

    def _sources(self, entry: checked.Entry, where: str) -> tuple[Source, ...]:
        given = checked.filled_list(entry, "styles", where, MAX_STYLES)
        return tuple(
            self._source(each, f"{where}.styles[{index}]")
            for index, each in enumerate(given)
        )

    def _inversion(self, name: Any, where: str) -> Inversion:
        if not isinstance(name, str):
            raise UserError(
                f"{where} ({checked.shown(name)}) must be the name of a .npz file; "
                "write one"
            )
        if name not in self._inversions:
            path = checked.inside(self._folder, name)
            self._inversions[name] = Inversion.load(path, self._bundle)
        return self._inversions[name]

    def _opened(
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
def _naming(where: str) -> Iterator[str]:
    """Puts an entry's name before messages that do not begin with it."""
    try:
        yield where
    except ValueError as error:
        if str(error).startswith(where):
            raise
        raise UserError(f"{where}: {error}") from error


def _between(entry: checked.Entry, where: str, *more: str) -> tuple[int, int, float]:
    """Two seeds, and how far from the first to the second.

    Args:
      entry: that says so.
      where: its name.
      *more: other keys that it may have.
    """
    checked.known_keys(entry, where, "between", "share", *more)
    seeds = checked.two_whole(entry, "between", where, "two seeds", [11, 22])
    with _naming(f"{where}.between"):
        for seed in seeds:
            Seed(seed)  # refuses what is out of range
    return *seeds, checked.share(entry, "share", where)


def _decoded(path: pathlib.Path) -> UInt8[np.ndarray, "h w 3"]:
    try:
        return decoding.decode(str(path))
    except decoding.ImageError as error:
        raise UserError(f"image ({path.name}) {error}; give another") from error


def _mask(
    image: UInt8[np.ndarray, "h w 3"], height: int, width: int
) -> Bool[np.ndarray, "H W"]:
    """White pixels of an image, laid over a rectangle."""
    grey = Image.fromarray(image).convert("L")
    if grey.size != (width, height):
        grey = grey.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(grey) >= _INSIDE
