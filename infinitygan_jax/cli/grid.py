"""``python -m infinitygan_jax.cli.grid``: a sheet of structures and styles."""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infinitygan_jax import writers
from infinitygan_jax.cli import (
    errors,
    options,
    progress,
    rendering,
    sample,
    seeds,
    world_options,
    worlds,
)
from infinitygan_jax.messages import UserError

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.sampling.grids import Sheet
    from infinitygan_jax.sampling.world import World


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.grid",
        description="Paints one place in many looks: the pictures of a row share their "
        "local latents and noise, those of a column their style, or with --biomes all "
        "styles. Rows and columns take the place of seed and styles of a world file; "
        "where it has biomes, a column has those of its seed.",
    )
    for option, what in (
        ("--rows", "local latents and noise, from the top"),
        ("--columns", "styles, from the left"),
    ):
        parser.add_argument(
            option,
            nargs="+",
            required=True,
            metavar="SEED",
            help=f"seeds of {what}{seeds.HOW}",
        )
    parser.add_argument(
        "--size",
        default="256x256",
        metavar="WIDTHxHEIGHT",
        help="pixels of each picture (default: %(default)s)",
    )
    parser.add_argument(
        "--origin",
        metavar="Y,X",
        help="world row and column of each picture's top left pixel (default: the "
        "horizon in the middle, column 0)",
    )
    parser.add_argument(
        "--margin",
        type=int,
        default=4,
        metavar="PIXELS",
        help="white between the pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--labels",
        action="store_true",
        help="write the seeds beside the rows and columns",
    )
    world_options.add_to(parser, without=world_options.OF_PICTURES)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"where to write; endings {', '.join(_endings())}",
    )
    options.add_quality(parser)
    options.add_overwrite(parser)
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    start = time.perf_counter()
    parser = _parser()
    args = parser.parse_args(argv)
    document = worlds.opened(args)
    size = sample.size_of(args.size)
    rows, columns = (
        tuple(seeds.listed(f"--{name}", getattr(args, name)))
        for name in ("rows", "columns")
    )
    out = pathlib.Path(args.out)
    if out.suffix.lower() not in _endings():
        raise UserError(
            f"a sheet cannot have the ending {out.suffix!r} of {out}; valid endings "
            f"are {', '.join(_endings())}"
        )
    quality, quality_texts = options.quality_of(args, out)

    from infinitygan_jax import devices
    from infinitygan_jax.sampling import estimates, grids

    devices.prepare()
    bundle = worlds.bundle_of(args, document)
    window = sample.window_shown(args, document, bundle, size, args.origin)
    sheet = grids.Sheet(rows, columns, window, args.margin, args.labels)
    writers.check_output(writers.Target(out, *sheet.size, overwrite=args.overwrite))
    if document is None:
        document = worlds.document_of(args, window, bundle, sheet.rows[0])
    world = worlds.world_of(
        args,
        document,
        bundle,
        lambda world: estimates.cheapest_tile_size(world, [window]),
    )
    _check_memory(world, sheet, out)
    number = len(rows) * len(columns)
    texts = {
        "Software": rendering.software(),
        "Checkpoint": bundle.config.name,
        "Checkpoint digest": bundle.digest,
        **rendering.painting_texts(world),
        **quality_texts,
        "Command": options.command_of(parser, args, tile=world.tile_size),
    }
    if args.world is not None:
        texts["World digest"] = document.content_digest()
    with (
        errors.stoppable() as stop_if_asked,
        rendering.about(out),
        writers.writer_of(out)(
            writers.Target(out, *sheet.size, texts, args.overwrite), **quality
        ) as writer,
        progress.bar(number, "picture") as bar,
    ):

        def on_picture() -> None:
            stop_if_asked()
            bar.update()

        for strip in grids.strips(world, sheet, on_picture):
            writer.write(strip)
        writer.close()
    seconds = time.perf_counter() - start
    print(f"{out}: {number} pictures, {seconds:.1f} s")


def _endings() -> list[str]:
    """Formats that are one plain file."""
    return [ending for ending, w in writers.WRITERS.items() if not w.resumable]


def _check_memory(world: "World", sheet: "Sheet", out: pathlib.Path) -> None:
    from infinitygan_jax.sampling import estimates, grids

    first = dataclasses.replace(sheet, rows=sheet.rows[:1])  # styles are of columns
    # All of them: each is checked, too.
    blends = [each.blends(sheet.window) for each in grids.worlds(world, first)[0]]
    width = sheet.size[1]
    strip = 3 * 3 * (sheet.window.height + sheet.margin) * width
    estimates.check_memory(
        world,
        world.plan(sheet.window),
        any(blends),
        strip + writers.writer_of(out).host_bytes(width, width),
        "use a smaller --size or fewer --columns",
    )


if __name__ == "__main__":
    errors.run(main)
