"""In which parts a picture is best painted for a writer, and what they take."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from infinitygan_jax import writers
from infinitygan_jax.sampling.plan import Plan, Window
from infinitygan_jax.writers import layout


def part_width(plan: Plan, writer: type[writers.Writer]) -> int | None:
    """Columns of the parts in which a picture is best painted; None for all of them.

    Narrow ones take little memory, where a format takes them, but only where their
    edges are those of the world's tiles; elsewhere tiles would be painted for each part
    that they reach into.
    """
    edges = (plan.window.top, plan.window.left, layout.TILE)
    if not writer.resumable or any(edge % plan.tile_pixels for edge in edges):
        return None
    return layout.BLOCK * layout.TILE


def plan_of_part(plan: Plan, writer: type[writers.Writer]) -> Plan:
    """The plan of what is in memory at once."""
    width = min(part_width(plan, writer) or plan.window.width, plan.window.width)
    return dataclasses.replace(
        plan, window=dataclasses.replace(plan.window, width=width)
    )


def narrower(plan: Plan, writer: type[writers.Writer]) -> str | None:
    """How a picture would be painted in narrow parts, where it is not but could be."""
    if not writer.resumable or part_width(plan, writer) is not None:
        return None
    if layout.TILE % plan.tile_pixels:
        return f"use a `tile_size` that divides {layout.TILE << plan.level}"
    return f"place `window` at multiples of {plan.tile_pixels}"


@runtime_checkable
class Planned(Protocol):
    """What is needed of a world."""

    def plan(self, window: Window) -> Plan:
        """How a window is painted."""

    def pieces(self, window: Window) -> list[list[Window]]:
        """What is painted for a window."""


def moved(window: Window, parts: Iterable[Window]) -> list[Window]:
    """Parts of a picture of a window, as windows of the world."""
    return [
        dataclasses.replace(
            part, top=window.top + part.top, left=window.left + part.left
        )
        for part in parts
    ]


def num_tiles(world: Planned, windows: Sequence[Window]) -> int:
    """Tiles of the world that are painted for some windows."""
    return sum(
        world.plan(piece).num_tiles
        for window in windows
        for row in world.pieces(window)
        for piece in row
    )
