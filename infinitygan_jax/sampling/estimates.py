"""What painting a world takes, all levels that it is painted from included."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from infinitygan_jax import devices, machine
from infinitygan_jax.models import detail as detail_lib
from infinitygan_jax.sampling import costs, enlarging
from infinitygan_jax.sampling.plan import Plan, Window

if TYPE_CHECKING:
    from infinitygan_jax.sampling.world import World


class Operations(NamedTuple):
    """Floating-point operations of convolutions.

    Attributes:
      tiled: of all tiles.
      at_once: of the same picture in one shot, as a boundless memory could.
    """

    tiled: int
    at_once: int


def operations(world: "World", window: Window) -> Operations:
    """Operations of a window, were there no period."""
    tiled = at_once = 0
    painted = window  # whose pixels are needed, in one shot
    while world.adds_detail:
        assert world.detail is not None
        config = world.detail.config
        plan = world.plan(window)
        each = detail_lib.operations(config, plan.tile_pixels, plan.tile_pixels)
        tiled += plan.num_steps * plan.tiles_per_step * each
        at_once += detail_lib.operations(config, painted.height, painted.width)
        window = enlarging.seen_by_tiles(plan, config.margin)
        painted = enlarging.seen_by(painted, config.margin)
        world = world.coarser
    plan, model = world.plan(window), world.setup.model
    tiled += costs.tile_operations(plan, model)
    at_once += costs.window_operations(world.plan(painted), model)
    return Operations(tiled, at_once)


def device_bytes(world: "World", plan: Plan, blends: bool = False) -> int:
    """Estimated peak memory of one device while it paints.

    Args:
      world: what is painted.
      plan: how.
      blends: whether a tile blends styles.
    """
    largest, at_once = 0, devices.steps_at_once(world.setup.devices)
    while world.adds_detail:
        assert world.detail is not None
        tile = detail_lib.working_bytes(world.detail.config, plan.tile_size)
        largest = max(largest, plan.batch_size * tile)
        world = world.coarser
        plan = world.plan(Window(0, 0, plan.tile_size, plan.tile_size))
    each = max(largest, costs.device_bytes(plan, world.setup.model, blends))
    return at_once * each


def kept_bytes(world: "World", window: Window) -> int:
    """Of pixels of levels above that are kept on the host, at most."""
    total = 0
    while world.adds_detail:
        assert world.detail is not None
        window = enlarging.seen_by(window, world.detail.config.margin)
        world = world.coarser
        total += enlarging.kept_bytes(window, world.plan(window).tile_pixels)
    return total


def paints_on_host(world: "World") -> bool:
    """Whether the devices paint in the host's memory."""
    return world.setup.devices[0].platform == "cpu"


def total_bytes(
    world: "World", plan: Plan, blends: bool = False, writer_bytes: int = 0
) -> int:
    """Estimated peak of this machine's memory.

    Args:
      world: what is painted.
      plan: how.
      blends: whether a tile blends styles.
      writer_bytes: what the writer takes beside a strip.
    """
    each = device_bytes(world, plan, blends)
    more = writer_bytes + kept_bytes(world, plan.window)
    return costs.total_bytes(plan, each, paints_on_host(world), more)


def check_memory(
    world: "World",
    plan: Plan,
    blends: bool = False,
    writer_bytes: int = 0,
    remedy: str | None = None,
) -> None:
    """Checks that a plan fits into this machine's memory.

    Args:
      world: what is painted.
      plan: how.
      blends: whether a tile blends styles.
      writer_bytes: what the writer takes beside a strip.
      remedy: what would help, in place of painting narrower parts.

    Raises:
      ValueError: it does not; the message names a width that does, if there is one.
    """
    costs.check_memory(
        plan,
        device_bytes(world, plan, blends),
        paints_on_host(world),
        machine.memory_bytes(),
        writer_bytes + kept_bytes(world, plan.window),
        remedy,
    )


def fitting_tile_size(world: "World", window: Window) -> int:
    """Pixels a side of the tiles that suit a picture, a thin or small one too.

    Args:
      world: with tiles of any size.
      window: the picture.
    """
    setup = world.setup
    if not world.adds_detail:
        return costs.fitting_tile_size(setup.model, window, setup.averaged)
    return costs.halved_while_it_pays(
        costs.default_tile_size(setup.model),
        setup.model.cell_size,
        lambda size: _operations_with(world, [window], size),
    )


def cheapest_tile_size(world: "World", windows: Sequence[Window]) -> int:
    """Pixels a side of the tiles that paint some windows, each alone, with least work.

    For windows that share no tiles, as those of different seeds.

    Args:
      world: with tiles of any size.
      windows: what is painted.
    """
    setup = world.setup
    if not world.adds_detail:
        return costs.cheapest_tile_size(setup.model, windows, setup.averaged)
    return costs.cheapest_size(
        setup.model, lambda size: _operations_with(world, windows, size)
    )


def _operations_with(world: "World", windows: Sequence[Window], size: int) -> int:
    """Operations of windows, each alone, with tiles of another size."""
    other = dataclasses.replace(world, tile_size=size)
    return sum(operations(other, window).tiled for window in windows)
