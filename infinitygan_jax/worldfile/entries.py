"""Entries of world files: checked, and made into what a world is painted from."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.config import PAINTING
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.edits.edit import Edit, check_fits
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.world import World, detail_of
from infinitygan_jax.seed_range import check_seed
from infinitygan_jax.worldfile import checked, edits, styles
from infinitygan_jax.worldfile.measured import Measurements
from infinitygan_jax.worldfile.references import References, between, naming

MAX_EDITS = 100_000


class Reader:
    """Makes a world of the entries of a document; every message names the entry."""

    def __init__(
        self,
        values: Mapping[str, Any],
        folder: pathlib.Path | None,
        bundle: bundle_lib.Bundle,
    ):
        self._values = values
        self._bundle = bundle
        self._references = References(folder, bundle)

    def world(self, options: Mapping[str, Any]) -> World:
        """All of it."""
        names = ("seed", "horizon", "vertical_span", "period", "octaves", *PAINTING)
        checked.known_keys(self._values, "", *names, "latents", "styles", "edits")
        seed = checked.whole(self._values, "seed", "", 0)
        check_seed(seed)
        span = None
        if self._values.get("vertical_span") is not None:
            span = checked.positive(self._values, "vertical_span", "")
        period = self._period()
        common = {
            "seed": seed,
            "horizon": checked.whole(self._values, "horizon", "", 0),
            "vertical_span": span,
            "period": period,
            **options,
        }
        octaves = checked.whole(self._values, "octaves", "", 1)
        painting: dict[str, Any] = {
            name: checked.share(self._values, name, "")
            for name in PAINTING
            if self._values.get(name) is not None
        }
        field = None
        if self._values.get("styles") is not None:
            ground = styles.Ground(seed, period)
            given = self._values["styles"]
            field = styles.style_field(given, "styles", self._references, ground)
        scene = Scene(field, octaves, mix=self._mix(), **painting)
        entries = self._values.get("edits", [])
        if not isinstance(entries, list):
            raise UserError(
                f"edits ({checked.shown(entries)}) must be a list; write [] for none"
            )
        if len(entries) > MAX_EDITS:
            raise UserError(
                f"edits must be at most {MAX_EDITS}, and they are {len(entries)}; "
                "remove some"
            )
        done: list[Edit] = []
        for index, entry in enumerate(entries):
            with naming(f"edits[{index}]") as where:
                edit = edits.edit_of(entry, where, self._references)
                check_fits(edit, period)
                done.append(edit)
        model = self._bundle.config.model
        detail = detail_of(self._bundle)
        plain = World(
            model, self._bundle.generator, scene=scene, detail=detail, **common
        )
        rectangles = {
            index: checked.rectangle(entry, f"edits[{index}]", "statistics_of")
            for index, entry in enumerate(entries)
            if "statistics_of" in entry
        }
        measurements = Measurements(plain, done, rectangles)
        for index in rectangles:
            with naming(f"edits[{index}]"):
                measurements.check(index)
        scene = dataclasses.replace(scene, edits=measurements.edits)
        return dataclasses.replace(plain, scene=scene)

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
        ends = between(entry, "latents", "noise")
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
