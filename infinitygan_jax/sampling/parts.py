"""In which parts a picture is best painted for a writer, and what they take."""

import dataclasses

from infinitygan_jax.sampling import writers
from infinitygan_jax.sampling.plan import Plan
from infinitygan_jax.sampling.writers import layout


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
        return f"use a --tile that divides {layout.TILE << plan.level}"
    return f"give an --origin in multiples of {plan.tile_pixels}"
