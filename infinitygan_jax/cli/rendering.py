"""Painting of a world into a file: what commands that make pictures share."""

import argparse
import contextlib
import importlib.metadata
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from infinitygan_jax import writers
from infinitygan_jax.cli import errors, options, progress
from infinitygan_jax.config import PAINTING
from infinitygan_jax.messages import UserError, one_line, readable_bytes
from infinitygan_jax.sampling.plan import Plan, Window
from infinitygan_jax.writers import job, layout, parts, pyramid

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.sampling.world import World


def check_memory(
    world: "World",
    window: Window,
    out: pathlib.Path,
    blends: bool,
) -> None:
    """Checks that painting a window into a file fits into this machine's memory.

    Args:
      world: what is painted.
      window: of it.
      out: the file.
      blends: see `World.blends`.

    Raises:
      ValueError: it does not, and the message says what would.
    """
    from infinitygan_jax.sampling import estimates

    plan, writer_type = world.plan(window), writers.writer_of(out)
    estimates.check_memory(
        world,
        parts.plan_of_part(plan, writer_type),
        blends,
        writer_type.host_bytes(window.width, parts.part_width(plan, writer_type)),
        parts.narrower(plan, writer_type),
    )


def paint_into(
    world: "World",
    window: Window,
    target: writers.Target,
    shard: tuple[int, int] | None = None,
    finish: bool = False,
    quality: int | None = None,
) -> int:
    """Paints a window into a file, with a progress bar.

    Args:
      world: what is painted.
      window: of it.
      target: the file.
      shard: which part, of how many; None for all.
      finish: paint nothing, and put all parts together.
      quality: of a JPEG, where it is not the usual.

    Returns:
      The number of pixels that were painted; fewer where a former run left some.

    Raises:
      ValueError: it cannot be written; the message says what to do.
    """
    plan, writer_type = world.plan(window), writers.writer_of(target.path)
    more: dict[str, Any] = {} if quality is None else {"quality": quality}
    if writer_type.resumable:
        width = parts.part_width(plan, writer_type)
        more |= {"shard": shard, "finish": finish, "part_width": width}
    with errors.stoppable() as stop_if_asked, about(target.path):
        writer = writer_type(target, **more)
        return _paint(world, writer, window, stop_if_asked)


@contextlib.contextmanager
def about(out: pathlib.Path) -> Iterator[None]:
    """Says of a system's error what it kept from being written, and what to do."""
    try:
        yield
    except OSError as error:
        reason = one_line(error)
        words = reason.lower()
        remedy = "choose another with --out, or see to it"
        if errors.tells_of_a_full_disk(reason):
            remedy = "free some space"
        elif "denied" in words or "not permitted" in words:
            remedy = "choose another with --out, or ask whom it belongs to"
        kept = False
        with contextlib.suppress(OSError):  # of a job that may not even be looked at
            kept = job.is_open(out)
        then = "the same command goes on" if kept else "try again"
        raise UserError(
            f"{out} cannot be written ({reason}); {remedy}, and {then}"
        ) from error


def describe(
    plan: Plan,
    world: "World",
    bundle: "bundle_lib.Bundle",
    out: pathlib.Path,
    blends: bool,
) -> list[str]:
    """Lines of ``--dry_run``: what would be painted, on what, and what it costs."""
    from infinitygan_jax.sampling import estimates

    window, size = plan.window, plan.tile_pixels
    device = world.setup.devices[0]
    tiled, at_once = estimates.operations(world, window)
    more = tiled / at_once - 1
    writer = writers.writer_of(out)
    extra = writer.host_bytes(window.width, parts.part_width(plan, writer))
    part = parts.plan_of_part(plan, writer)
    total = estimates.total_bytes(world, part, blends, extra)
    memory = f"about {readable_bytes(total)}"
    if not estimates.paints_on_host(world):
        device_bytes = estimates.device_bytes(world, plan, blends)
        memory += f", and {readable_bytes(device_bytes)} a device"
    detail = []
    if world.adds_detail:
        levels = "level -1" if world.level == -1 else f"levels {world.level} to -1"
        detail = [f"detail      paints {levels}"]
    at = f" at --zoom {1 << -world.level}" if world.level < 0 else ""
    return [
        f"picture     {window.width}x{window.height} px, rows {window.top} to "
        f"{window.bottom - 1}, columns {window.left} to {window.right - 1}{at}",
        f"model       {bundle.config.name}, seed {world.seed}, truncation "
        f"{world.truncation:g}, noise scale {world.noise_scale:g}, digest "
        f"{bundle.digest[:12]}",
        *detail,
        f"tiles       {len(plan.tile_rows)} rows x {len(plan.tile_cols)} columns of "
        f"{size}x{size} px: {plan.num_tiles} tiles",
        f"devices     {plan.num_devices} x {device.device_kind}, {plan.batch_size} "
        f"{'tile' if plan.batch_size == 1 else 'tiles'} each at once: "
        f"{plan.num_steps} steps",
        f"memory      {memory}",
        f"operations  {tiled / 1e12:.3g} TFLOP in convolutions, {100 * more:.0f}% more "
        "than in one shot",
        f"output      {out}, at most "
        f"{readable_bytes(writer.max_bytes(window.height, window.width))}",
    ]


def describe_rest(
    args: argparse.Namespace,
    plan: Plan,
    world: "World",
    target: writers.Target,
) -> list[str]:
    """Lines on what is left of a picture that others share, or that was begun.

    Args:
      args: of the command: ``shard`` and ``finish``.
      plan: of the picture.
      world: that it shows.
      target: the file.

    Raises:
      ValueError: it was begun with other arguments, and must stay.
    """
    from infinitygan_jax.sampling import estimates

    out, size = target.path, target.size
    shard, writer = options.shard_of(args.shard), writers.writer_of(out)
    grid = layout.grid(size)
    number = grid[0] * grid[1]
    runs = [layout.shard_range(grid, shard or (0, 1))]
    first, stop = runs[0]
    lines = []
    if shard:
        lines += [
            f"shard       {shard[0]} of {shard[1]}: {stop - first} of the {number} "
            f"files of {layout.TILE} px"
        ]
    shards = shard[1] if shard else None
    if args.finish and not writers.is_finished(out):
        shards = pyramid.begun_shards(out)
    if job.is_open(out):
        assert issubclass(writer, pyramid.PyramidWriter)  # no other has a job
        wanted = writer.arguments(target, shards)
        throws_away = None if args.finish or shard else target.overwrite
        if not job.is_other(out, wanted, throws_away):
            done = job.is_publishing(out)
            runs = [] if done else writer.missing(out, size, shard)
            left = sum(end - start for start, end in runs)
            lines += [f"kept        {stop - first - left} of {stop - first} files"]
    if args.finish:
        return [*lines, "finish      nothing is painted"]
    if not lines:
        return []
    windows = layout.windows_of(runs, size, None)
    tiles = parts.num_tiles(world, parts.moved(plan.window, windows))
    # As much for each as for all on average, levels above included.
    whole = estimates.operations(world, plan.window).tiled
    share = tiles * whole / (plan.num_steps * plan.tiles_per_step)
    return [*lines, f"to paint    {tiles} tiles, {share / 1e12:.3g} TFLOP"]


def _paint(
    world: "World",
    writer: writers.Writer,
    window: Window,
    stop_if_asked: Callable[[], None],
) -> int:
    """Paints what a writer does not have yet, and says how many pixels that was."""
    try:
        with writer:
            return _paint_parts(world, writer, window, stop_if_asked)
    except (KeyboardInterrupt, SystemExit):
        if writer.resumable:
            kept = job.is_open(writer.path)
            text = "what is finished is kept, and the same command goes on"
            print(text if kept else "nothing was finished yet", file=sys.stderr)
        raise


def _paint_parts(
    world: "World",
    writer: writers.Writer,
    window: Window,
    stop_if_asked: Callable[[], None],
) -> int:
    missing = parts.moved(window, writer.parts)
    pixels = layout.num_pixels(missing)
    copies = 0  # smaller ones, which are only looked for where all else is done
    total = parts.num_tiles(world, missing)
    if not missing and isinstance(writer, pyramid.PyramidWriter):
        copies = 0 if writer.is_shard else writer.num_copies
    elif pixels < writer.num_pixels:
        print(f"going on: {total} tiles are left to paint", file=sys.stderr)
    with progress.bar(copies or total, "tile") as bar:

        def on_tiles(number: int) -> None:
            stop_if_asked()
            bar.update(number)

        def on_copies(number: int) -> None:
            stop_if_asked()
            bar.update(number if copies else 0)

        if isinstance(writer, pyramid.PyramidWriter):
            writer.on_copies = on_copies
        for strip in world.strips(missing, on_tiles):
            writer.write(strip)
        writer.close()  # while the bar is there
    return pixels


def texts_of(
    world: "World", window: Window, bundle: "bundle_lib.Bundle"
) -> dict[str, str]:
    """What a picture says of itself, but for what a world file says beside."""
    axes = [axis for axis, each in zip("yx", world.period, strict=True) if each]
    return {
        "Software": software(),
        "Checkpoint": bundle.config.name,
        "Checkpoint digest": bundle.digest,
        "Seed": str(world.seed),
        "Origin": f"{window.top},{window.left}",
        "Size": f"{window.width}x{window.height}",
        "Tile": str(world.tile_size),
        "Horizon": str(world.horizon),
        "Vertical span": str(world.vertical_span or "none"),
        "Wrap": "".join(sorted(axes)) or "none",
        "Level": f"{world.level}, quick" if world.quick else str(world.level),
        **painting_texts(world),
    }


def painting_texts(world: "World") -> dict[str, str]:
    """What a file says of the settings of painting."""
    return {
        name.replace("_", " ").capitalize(): f"{getattr(world, name):g}"
        for name in PAINTING
    }


def software() -> str:
    """Name and version of this package, for what files say of themselves."""
    try:
        return f"infinitygan_jax {importlib.metadata.version('infinitygan_jax')}"
    except importlib.metadata.PackageNotFoundError:  # run from a folder, not installed
        return "infinitygan_jax"
