"""``python -m infinitygan_jax.cli.grid``: a sheet of structures and styles."""

import argparse
import pathlib
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infinitygan_jax import machine, writers
from infinitygan_jax.cli import errors, options, progress, rendering, sample
from infinitygan_jax.config import DEFAULT_MODEL
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import costs

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.bundle import Bundle
    from infinitygan_jax.sampling.grids import Sheet
    from infinitygan_jax.sampling.world import World


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.grid",
        description="Paints one place in many looks: the pictures of a row share their "
        "local latents and noise, those of a column their style.",
    )
    for option, what in (
        ("--rows", "local latents and noise, from the top"),
        ("--columns", "styles, from the left"),
    ):
        parser.add_argument(
            option,
            type=int,
            nargs="+",
            required=True,
            metavar="SEED",
            help=f"seeds of {what}",
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
        help="world row and column of each picture's top left pixel (default: row 0 in "
        "the middle, column 0)",
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
    options.add_checkpoint(parser)
    options.add_painting(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"where to write; endings {', '.join(_endings())}",
    )
    options.add_overwrite(parser)
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="pixels a side that are painted at once (default: what takes least work)",
    )
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    start = time.perf_counter()
    args = _parser().parse_args(argv)
    window = sample.window_of(args.size, args.origin)
    painting = options.painting_of(args)
    out = pathlib.Path(args.out)
    if out.suffix.lower() not in _endings():
        raise UserError(
            f"a sheet cannot have the ending {out.suffix!r} of {out}; valid endings "
            f"are {', '.join(_endings())}"
        )

    from infinitygan_jax import devices
    from infinitygan_jax.sampling import grids
    from infinitygan_jax.sampling import world as world_lib
    from infinitygan_jax.sampling.scene import Scene
    from infinitygan_jax.training import stored

    sheet = grids.Sheet(
        tuple(args.rows), tuple(args.columns), window, args.margin, args.labels
    )
    writers.check_output(out, *sheet.size, args.overwrite)
    devices.prepare()
    bundle = stored.load_bundle(args.checkpoint)
    model = bundle.config.model
    tile_size = args.tile
    if tile_size is None:
        tile_size = costs.cheapest_tile_size(model, [window])
    world = world_lib.World(
        model, bundle.generator, tile_size=tile_size, scene=Scene(**painting)
    )
    _check_memory(world, sheet, out)
    number = len(args.rows) * len(args.columns)
    texts = _texts(args, world, bundle)
    with (
        errors.stoppable() as stop_if_asked,
        rendering.about(out),
        writers.writer_of(out)(out, *sheet.size, texts, args.overwrite) as writer,
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
    width = sheet.size[1]
    strip = 3 * 3 * (sheet.window.height + sheet.margin) * width
    costs.check_memory(
        world.plan(sheet.window),
        world.config,
        rendering.paints_on_host(world),
        machine.memory_bytes(),
        strip + writers.writer_of(out).host_bytes(width, width),
        "use a smaller --size or fewer --columns",
    )


def _texts(
    args: argparse.Namespace, world: "World", bundle: "Bundle"
) -> dict[str, str]:
    """What a sheet says of itself: enough to paint it again."""
    words = ["python", "-m", "infinitygan_jax.cli.grid"]
    for name in ("rows", "columns"):
        words += [f"--{name}", *map(str, getattr(args, name))]
    words += ["--size", args.size, *["--labels"] * args.labels]
    if args.origin is not None:
        words.append(f"--origin={args.origin}")
    if args.checkpoint != DEFAULT_MODEL:  # without folders: nobody's business
        words += ["--checkpoint", options.checkpoint_name(args.checkpoint)]
    words += options.painting_words(args)
    words += [f"--margin={args.margin}", f"--tile={world.tile_size}"]
    return {
        "Software": rendering.software(),
        "Checkpoint": bundle.config.name,
        "Checkpoint digest": bundle.digest,
        **rendering.painting_texts(world),
        "Command": shlex.join(words),
    }


if __name__ == "__main__":
    errors.run(main)
