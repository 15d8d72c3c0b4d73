"""What painting takes: operations, memory, and the tile sizes that follow from them.

Integers, no JAX.
"""

from collections.abc import Callable, Sequence

from infinitygan_jax import geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.messages import UserError, readable_bytes
from infinitygan_jax.sampling.plan import LEAST_TILE, Plan, Window, least_tile_size

MAX_BATCH = 16  # tiles; more only wait longer for the first
_BEST_TILE = 512  # fastest on a CPU; larger ones leave its caches, smaller repeat more
_WORTHWHILE = 0.85  # of the operations, for which tiles of another size are compiled
_TILE_BYTES = 600_000_000  # what a tile may take where nobody asked for its size
# Copies of a tile's largest layer that are alive at once, and of the kernels (measured
# on a CPU: 2.1 to 2.5, and 2).
_LIVE_LAYERS = 3
_LIVE_KERNELS = 2
# More of them where styles are blended, however many: numbers at cells, and what is
# interpolated between them (measured: 0.9 to 2).
_BLENDED_LAYERS = 2
_PROGRAM_BYTES = 400_000_000  # Python, JAX and compiling (measured)


def default_tile_size(model: ModelConfig) -> int:
    """Pixels a side of a tile where none is asked for.

    It depends on the model alone, so that a picture is the same on all machines.
    """
    # Under four cells a side, most of the work would be margins.
    least = 4 * model.cell_size
    size = max(_BEST_TILE, least)
    while size // 2 >= least and _tile_bytes(model, size) > _TILE_BYTES:
        size //= 2
    return size


def cheapest_tile_size(
    model: ModelConfig, windows: Sequence[Window], level: int = 0
) -> int:
    """Pixels a side of the tiles that paint some windows, each alone, with least work.

    For windows that share no tiles, as those of different seeds. One of a few sizes up
    to the default one, by operations.

    Args:
      model: sizes.
      windows: what is painted.
      level: tiles are averaged to 1 / 2**level of their size.
    """
    return cheapest_size(
        model,
        lambda size: sum(
            tile_operations(Plan(window, size, level=level), model)
            for window in windows
        ),
    )


def cheapest_size(model: ModelConfig, work: Callable[[int], int]) -> int:
    """The size of tiles, of a few up to the default one, with least work.

    Args:
      model: sizes.
      work: operations by size.
    """
    least = least_tile_size(model)
    return min(range(least, default_tile_size(model) + 1, least), key=work)


def fitting_tile_size(model: ModelConfig, window: Window, level: int = 0) -> int:
    """Pixels a side of the tiles that suit a picture, a thin or small one too.

    The default size, or it halved so often that it saves most, as long as each step
    saves a good part of the operations: every size is compiled for itself.

    Args:
      model: sizes.
      window: the picture.
      level: tiles are averaged to 1 / 2**level of their size.
    """

    def work(size: int) -> int:
        return tile_operations(Plan(window, size, level=level), model)

    return halved_while_it_pays(default_tile_size(model), model.cell_size, work)


def halved_while_it_pays(size: int, unit: int, work: Callable[[int], int]) -> int:
    """A size of tiles, or it halved so often that it saves a good part of the work.

    Args:
      size: pixels a side.
      unit: what all sizes have to be multiples of.
      work: operations by size.
    """
    best = size
    while size % 2 == 0 and size // 2 >= max(LEAST_TILE, unit):
        size //= 2
        if size % unit == 0 and work(size) < _WORTHWHILE * work(best):
            best = size
    return best


def measuring_tile_size(model: ModelConfig, window: Window) -> int:
    """Pixels a side of the tiles that draw a window's latents with least work.

    One of those from the least to the default one of which each is twice the one
    before, by latents that are drawn: few, so that there is little to compile.
    """
    sizes = [least_tile_size(model)]
    while 2 * sizes[-1] <= default_tile_size(model):
        sizes.append(2 * sizes[-1])
    margin = geometry.TILE_CELLS_EXTRA + 2 * geometry.STRUCTURE_MARGIN
    return min(
        sizes,
        key=lambda size: (
            Plan(window, size).num_tiles * (size // model.cell_size + margin) ** 2
        ),
    )


def operations(model: ModelConfig, height: int, width: int) -> int:
    """Floating-point operations of the convolutions that paint a window in one shot.

    Counted: multiplications and additions of the taps that meet an input, of structure,
    texture and colour convolutions. Not counted: blurs, modulation, noise, activations
    and random numbers, which no matrix product does.

    Args:
      model: sizes.
      height: rows of pixels, rounded up to whole cells.
      width: columns, likewise.
    """
    rows, cols = (
        -(-pixels // model.cell_size) + geometry.TILE_CELLS_EXTRA
        for pixels in (height, width)
    )
    total = 0
    channels = model.z_local_size
    for layer in range(4):
        lost = 6 * (layer + 1) - 2 * geometry.STRUCTURE_MARGIN  # 7x7: n -> n - 6
        taps = 49 * (rows - lost) * (cols - lost)
        total += taps * (channels + model.num_coords) * model.structure_width
        channels = model.structure_width
    for wide in model.texture_widths[: model.num_stages]:
        # Transposed, n -> 2n - 1: n odd positions meet one tap, n - 1 even ones two.
        total += (3 * rows - 2) * (3 * cols - 2) * channels * wide
        rows, cols = 2 * rows - 5, 2 * cols - 5
        total += rows * cols * (9 * wide * wide + 3 * wide)  # 3x3, and to colours
        channels = wide
    return 2 * total


def tile_operations(plan: Plan, model: ModelConfig) -> int:
    """Operations of all tiles of a plan, the last batch's fillers included."""
    tiles = plan.num_steps * plan.tiles_per_step
    return tiles * operations(model, plan.tile_size, plan.tile_size)


def window_operations(plan: Plan, model: ModelConfig) -> int:
    """Operations of the plan's window in one shot: as a boundless memory could."""
    height, width = plan.window.height, plan.window.width
    return operations(model, height << plan.level, width << plan.level)


def fitting_batch(model: ModelConfig, tile_size: int, memory: int | None) -> int:
    """Tiles to paint at once on a device of so many bytes, 1 to ``MAX_BATCH``.

    Half of the memory is used: the next batch is under way while one is fetched, and
    estimates are estimates.

    Args:
      model: sizes.
      tile_size: pixels a side.
      memory: bytes of the device; None where it does not say.
    """
    if memory is None:
        return 4
    room = memory // 2 - _kernel_bytes(model)
    return min(max(room // _tile_bytes(model, tile_size), 1), MAX_BATCH)


def batch_for(num_tiles: int, num_devices: int, batch_size: int) -> int:
    """Tiles that each device paints at once where there are so many in all.

    Powers of two below the whole batch, so that few shapes are compiled.

    Args:
      num_tiles: to paint.
      num_devices: that share them.
      batch_size: the most of one device.
    """
    each = -(-num_tiles // num_devices)
    return min(1 << max(each - 1, 0).bit_length(), batch_size)


def device_bytes(plan: Plan, model: ModelConfig, blends: bool = False) -> int:
    """Estimated peak memory of one device while it paints a batch."""
    tile = _tile_bytes(model, plan.tile_size)
    if blends:
        tile += _BLENDED_LAYERS * _layer_bytes(model, plan.tile_size)
    return plan.batch_size * tile + _kernel_bytes(model)


def _tile_bytes(model: ModelConfig, tile_size: int) -> int:
    """Several times the largest layer."""
    return _LIVE_LAYERS * _layer_bytes(model, tile_size)


def _layer_bytes(model: ModelConfig, tile_size: int) -> int:
    """The largest layer of a tile."""
    largest, channels = 0, model.structure_width
    size = tile_size // model.cell_size + geometry.TILE_CELLS_EXTRA
    for wide in model.texture_widths[: model.num_stages]:
        largest = max(largest, (2 * size - 1) ** 2 * max(wide, channels // 4))
        size, channels = 2 * size - 5, wide
    return largest * (2 if model.dtype == "bfloat16" else 4)


def _kernel_bytes(model: ModelConfig) -> int:
    width, channels = model.structure_width, model.structure_width
    numbers = 49 * width * (model.z_local_size + 3 * width + 4 * model.num_coords)
    for wide in model.texture_widths[: model.num_stages]:
        numbers += 9 * wide * (channels + wide)
        channels = wide
    return 4 * _LIVE_KERNELS * numbers


def host_bytes(plan: Plan) -> int:
    """Memory of the picture's strips and of the tiles on their way into them.

    One strip is filled, one is offered to the writer and one is being written.
    """
    strip = min(plan.tile_pixels, plan.window.height) * plan.window.width * 3
    step = plan.tiles_per_step * plan.tile_pixels**2 * 3
    return 3 * strip + 2 * step


def total_bytes(
    plan: Plan, each_device: int, shared: bool, writer_bytes: int = 0
) -> int:
    """Estimated peak of this machine's memory.

    Args:
      plan: what is painted.
      each_device: bytes of one device while it paints.
      shared: whether the devices paint in this memory too, as CPUs do.
      writer_bytes: what the writer takes beside a strip.
    """
    painting = plan.num_devices * each_device if shared else 0
    return _PROGRAM_BYTES + host_bytes(plan) + painting + writer_bytes


def check_memory(
    plan: Plan,
    each_device: int,
    shared: bool,
    available: int,
    writer_bytes: int = 0,
    remedy: str | None = None,
) -> None:
    """Checks that a plan fits into this machine's memory.

    Args:
      plan: what is painted.
      each_device: bytes of one device while it paints.
      shared: whether the devices paint in this memory too.
      available: bytes.
      writer_bytes: what the writer takes beside a strip.
      remedy: what would help, in place of painting narrower parts.

    Raises:
      ValueError: it does not; the message names a width that does, if there is one.
    """
    need = total_bytes(plan, each_device, shared, writer_bytes)
    strips = host_bytes(plan) + writer_bytes
    if need <= available:
        return
    width = plan.window.width * (available - need + strips) // (2 * strips)
    parts = ""
    if width > 0:
        parts = f"paint parts of up to {width} pixels, each with its `window`, or "
    if remedy is not None:
        parts = f"{remedy}, or "
    raise UserError(
        f"painting {plan.window.width} pixels a row would take {readable_bytes(need)} "
        f"of memory, above this machine's {readable_bytes(available)}; {parts}use a "
        "smaller `tile_size`"
    )
