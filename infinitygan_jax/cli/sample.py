"""``run_sample.py``: paints any rectangle of an infinite picture into a file."""

import argparse
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from infinitygan_jax import files, writers
from infinitygan_jax.cli import errors, options, rendering, world_options
from infinitygan_jax.config import DEFAULT_MODEL
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Plan, Window
from infinitygan_jax.writers import job, layout, parts, pyramid

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.sampling.world import World
    from infinitygan_jax.worldfile import documents


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python run_sample.py",
        description="Paints any rectangle of an infinite picture into a file.",
    )
    parser.add_argument(
        "--size",
        required=True,
        metavar="WIDTHxHEIGHT",
        help="pixels of the picture, e.g. 4096x4096",
    )
    parser.add_argument(
        "--origin",
        metavar="Y,X",
        help="world row and column of the top left pixel; row 0 is the horizon, unless "
        "--horizon moves it (default: the horizon in the middle, column 0 at the left)",
    )
    world_options.add_to(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to write; endings {', '.join(writers.WRITERS)} (default: a name "
        "that says what it is, in the current folder)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a finished picture, and an unfinished one of other arguments; "
        "what shards painted stays",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="paint only part I (0 to N - 1) of the tiles of a .zarr or .dzi, beside "
        "other processes or machines; --finish puts the parts together",
    )
    parser.add_argument(
        "--finish",
        action="store_true",
        help="paint nothing, and make one picture of what was painted with --shard",
    )
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="print the plan (tiles, devices, memory, operations) and stop",
    )
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    start = time.perf_counter()
    parser = _parser()
    args = parser.parse_args(argv)
    document = world_options.opened(args)
    horizon = args.horizon if document is None else document.horizon
    window = window_of(args.size, args.origin, horizon or 0, args.level)
    shard = shard_of(args.shard)
    if shard and args.finish:
        raise UserError(
            "--shard paints a part and --finish puts all parts together; give one of "
            "them at a time"
        )
    out = pathlib.Path(_default_out(args, window) if args.out is None else args.out)
    if args.style_map is not None:
        files.check_kept([args.style_map], [out])
    num_shards = shard[1] if shard else 1
    if shard or args.finish:
        writers.check_shards(out, window.height, window.width, num_shards)
    checked = (window.height, window.width, args.overwrite)
    with rendering.about(out):
        # Parts and their end may be asked for again, with --overwrite or without: a
        # scheduler does.
        maybe_done = bool(args.finish or shard) and writers.is_finished(out)
        if not (args.dry_run or maybe_done):
            writers.check_output(out, *checked)

    from infinitygan_jax import devices

    devices.prepare()
    bundle = world_options.bundle_of(args, document)
    if document is None:
        document = world_options.document_of(args, window, bundle, args.seed or 0)
    world = world_options.world_of(args, document, bundle)
    world_options.check_saved(args, document)
    plan = world.plan(window)
    texts = {
        **rendering.texts_of(world, window, bundle),
        **_scene_texts(world, document),
        "Command": _command(parser, args, window),
    }
    writer_type = writers.writer_of(out)
    blends = world.blends(window)
    if args.dry_run:  # says what it would take even where that is too much
        print("\n".join(rendering.describe(plan, world, bundle, out, blends)))
        if writer_type.resumable:
            print("\n".join(_describe_rest(args, plan, world, out, texts)))
    if maybe_done and _is_same_picture(writer_type.texts_of(out), texts):
        job.tidy(out)
        print(f"{out} is finished already")
        return
    if args.dry_run or maybe_done:
        with rendering.about(out):
            writers.check_output(out, *checked)
    if writer_type.resumable and job.is_open(out):
        with rendering.about(out):  # as the writer does, but before a world is saved
            writer_type.check_disk(
                *(out, window.height, window.width, texts, args.overwrite),
                *(shard, args.finish),
            )
    rendering.check_memory(world, window, out, blends)
    if args.dry_run:
        return
    if args.save_world is not None:  # before hours of painting
        document.save(args.save_world)
    pixels = rendering.paint_into(
        world, window, out, texts, args.overwrite, shard, args.finish
    )
    seconds = time.perf_counter() - start
    name = f"{out}, shard {args.shard}" if shard else out
    if shard and not pixels:
        print(f"{name} is painted already")
        return
    rate = f", {pixels / 1e6 / seconds:.2f} megapixels a second" if pixels else ""
    print(f"{name}: {seconds:.1f} s{rate}")


def _is_same_picture(former: Mapping[str, str], texts: Mapping[str, str]) -> bool:
    """Whether two pictures are equal by what they say of themselves."""
    # What the command says, the rest says too.
    return not job.differences({**former, "Command": ""}, {**texts, "Command": ""})


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Index and number of shards.

    Args:
      text: ``I/N``, or None.

    Raises:
      ValueError: not of this form, or there is no such shard.
    """
    if text is None:
        return None
    index, number = options.whole_numbers(text, "N/N") or (-1, 0)
    if not 0 <= index < number:
        raise UserError(
            f"--shard ({text}) must be I/N with I from 0 to N - 1; the first of four "
            "is --shard 0/4"
        )
    return index, number


def window_of(
    size: str, origin: str | None, horizon: int = 0, level: int = 0
) -> Window:
    """The window that the options ask for.

    Args:
      size: ``WIDTHxHEIGHT``.
      origin: ``Y,X`` of the top left pixel, or None: the horizon in the middle, and
        column 0 at the left.
      horizon: its row at level 0.
      level: the picture is 1 / 2**level of the world.

    Raises:
      ValueError: either is not of this form, or the window is impossible.
    """
    numbers = options.whole_numbers(size, "NxN")
    if not numbers:
        raise UserError(
            f"--size ({size}) must be WIDTHxHEIGHT in whole pixels; write e.g. "
            "--size 4096x4096"
        )
    width, height = numbers
    if origin is None:
        planning.check_horizon(horizon)
        middle = horizon >> level if level >= 0 else 0  # which is refused later
        return Window(middle - height // 2, 0, height, width)
    return Window(*options.position_of("--origin", origin), height, width)


def _describe_rest(
    args: argparse.Namespace,
    plan: Plan,
    world: "World",
    out: pathlib.Path,
    texts: Mapping[str, str],
) -> list[str]:
    """Lines on what is left of a picture that others share, or that was begun.

    Raises:
      ValueError: it was begun with other arguments, and must stay.
    """
    shard, writer = shard_of(args.shard), writers.writer_of(out)
    size = plan.window.height, plan.window.width
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
        wanted = writer.arguments(*size, texts, shards)
        throws_away = None if args.finish or shard else args.overwrite
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
    share = tiles * costs.operations(world.setup.model, *[plan.tile_size] * 2)
    return [*lines, f"to paint    {tiles} tiles, {share / 1e12:.3g} TFLOP"]


def _scene_texts(world: "World", document: "documents.Document") -> dict[str, str]:
    """What a picture says of styles and edits, where it has any."""
    if world.scene == type(world.scene)():
        return {}
    return {
        "Octaves": str(world.scene.octaves),
        "Edits": str(len(world.scene.edits)),
        "World digest": document.content_digest(),
    }


def _command(
    parser: argparse.ArgumentParser, args: argparse.Namespace, window: Window
) -> str:
    """What paints this picture again, in numbers as they were read."""
    place = None if args.origin is None else f"{window.top},{window.left}"
    size = f"{window.width}x{window.height}"
    return options.command_of(parser, args, size=size, origin=place)


def _default_out(args: argparse.Namespace, window: Window) -> str:
    path = pathlib.Path(args.checkpoint or DEFAULT_MODEL)
    name = (
        path.stem
        if path.suffix == ".safetensors"
        else options.checkpoint_name(str(path))
    )
    place = "" if args.origin is None else f"-at{window.top},{window.left}"
    place += world_options.name_part(args)
    size = f"{window.width}x{window.height}"
    if args.world is not None:  # which says checkpoint and seed
        return f"{pathlib.Path(args.world).stem}-{size}{place}.png"
    return f"{name}-seed{args.seed or 0}-{size}{place}.png"


if __name__ == "__main__":
    errors.run(main)
