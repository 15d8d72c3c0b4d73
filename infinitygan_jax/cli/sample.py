"""``run_sample.py``: paints any rectangle of an infinite picture into a file."""

import argparse
import contextlib
import importlib.metadata
import pathlib
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import tqdm

from infinitygan_jax import machine
from infinitygan_jax.cli import errors
from infinitygan_jax.config import DEFAULT_MODEL, ModelConfig
from infinitygan_jax.messages import one_line
from infinitygan_jax.sampling import parts, writers
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Plan, Window, readable_bytes
from infinitygan_jax.sampling.writers import job, layout, pyramid

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.sampling.world import World

_NUMBERS = (
    *("--size", "--origin", "--seed", "--tile"),
    *("--horizon", "--vertical_span", "--level", "--shard"),
)


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="run_sample.py",
        description="Paints any rectangle of an infinite picture into a file.",
    )
    parser.add_argument(
        "--size",
        required=True,
        metavar="WIDTHxHEIGHT",
        help="pixels of the picture, e.g. 4096x4096",
    )
    parser.add_argument(
        "--checkpoint",
        default=DEFAULT_MODEL,
        metavar="DIR|FILE|NAME",
        help="a workdir of run_train.py, a .safetensors file or a bundled model's name "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="which picture, 0 to 2**64 - 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--origin",
        metavar="Y,X",
        help="world row and column of the top left pixel; row 0 is the horizon, unless "
        "--horizon moves it (default: the horizon in the middle, column 0 at the left)",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        default=0,
        metavar="Y",
        help="world row of a landscape's horizon (default: %(default)s)",
    )
    parser.add_argument(
        "--vertical_span",
        type=int,
        metavar="PIXELS",
        help="spread a landscape's range, from the highest sky to the nearest ground, "
        "over so many pixels (default: four times that of training)",
    )
    parser.add_argument(
        "--wrap",
        choices=("x", "y", "xy"),
        help="let left and right edges (x), top and bottom (y) or both continue into "
        "each other: the world repeats after --size",
    )
    parser.add_argument(
        "--level",
        type=int,
        default=0,
        metavar="J",
        help="zoom out: the world at 1/2^J of its size, averaged; --size and --origin "
        "are of the smaller picture, all else of level 0 (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="with --level: zoom out by stopping the generator early, at less cost and "
        "to another picture of the same place",
    )
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
        "--tile",
        type=int,
        metavar="PIXELS",
        help="pixels a side that are painted at once (default: what is fast)",
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
    args = _parser().parse_args(errors.joined(argv, _NUMBERS))
    window = window_of(args.size, args.origin, args.horizon, args.level)
    shard = shard_of(args.shard)
    if shard and args.finish:
        raise ValueError(
            "--shard paints a part and --finish puts all parts together; give one of "
            "them at a time"
        )
    out = pathlib.Path(_default_out(args, window) if args.out is None else args.out)
    num_shards = shard[1] if shard else 1
    if shard or args.finish:
        writers.check_shards(out, window.height, window.width, num_shards)
    checked = (window.height, window.width, args.overwrite, num_shards)
    with _about(out):
        # Parts and their end may be asked for again, with --overwrite or without: a
        # scheduler does.
        maybe_done = bool(args.finish or shard) and writers.is_finished(out)
        if not (args.dry_run or maybe_done):
            writers.check_output(out, *checked)

    machine.limit_arenas()  # before JAX starts threads
    from infinitygan_jax import devices
    from infinitygan_jax.sampling import world as world_lib

    devices.keep_compiled()
    bundle = world_lib.load_bundle(args.checkpoint)
    world = world_lib.World(
        bundle.config.model,
        bundle.generator,
        seed=args.seed,
        tile_size=args.tile,
        horizon=args.horizon,
        vertical_span=args.vertical_span,
        period=_period(args, window, bundle.config.model),
        level=args.level,
        quick=args.quick,
    )
    plan = world.plan(window)
    texts = _texts(args, plan, world, bundle)
    writer_type = writers.writer_of(out)
    if args.dry_run:  # says what it would take even where that is too much
        print("\n".join(describe(plan, world, bundle, out)))
        if writer_type.resumable:
            print("\n".join(_describe_rest(args, plan, world, out, texts)))
    if maybe_done and _is_same_picture(writer_type.texts_of(out), texts):
        job.tidy(out)
        print(f"{out} is finished already")
        return
    if args.dry_run or maybe_done:
        with _about(out):
            writers.check_output(out, *checked)
    planning.check_memory(
        parts.plan_of_part(plan, writer_type),
        world.painted_config,
        _shared(world),
        machine.memory_bytes(),
        writer_type.host_bytes(window.width, parts.part_width(plan, writer_type)),
        parts.narrower(plan, writer_type),
    )
    if args.dry_run:
        return
    options = {}
    if writer_type.resumable:
        options = {
            "shard": shard,
            "finish": args.finish,
            "part_width": parts.part_width(plan, writer_type),
        }
    with errors.stoppable() as stop_if_asked, _about(out):
        writer = writer_type(
            *(out, window.height, window.width, texts, args.overwrite), **options
        )
        pixels = _paint(world, writer, window, stop_if_asked)
    seconds = time.perf_counter() - start
    name = f"{out}, shard {args.shard}" if shard else out
    if shard and not pixels:
        print(f"{name} is painted already")
        return
    rate = f", {pixels / 1e6 / seconds:.2f} megapixels a second" if pixels else ""
    print(f"{name}: {seconds:.1f} s{rate}")


@contextlib.contextmanager
def _about(out: pathlib.Path) -> Iterator[None]:
    """Says of a system's error what it kept from being written, and what to do."""
    try:
        yield
    except OSError as error:
        reason = one_line(error)
        words = reason.lower()
        remedy = "choose another with --out, or see to it"
        if "no space left" in words or "quota" in words:
            remedy = "free some space"
        elif "denied" in words or "not permitted" in words:
            remedy = "choose another with --out, or ask whom it belongs to"
        kept = False
        with contextlib.suppress(OSError):  # of a job that may not even be looked at
            kept = job.is_open(out)
        then = "the same command goes on" if kept else "try again"
        raise ValueError(
            f"{out} cannot be written ({reason}); {remedy}, and {then}"
        ) from error


def _is_same_picture(former: Mapping[str, str], texts: Mapping[str, str]) -> bool:
    """Whether two pictures are equal by what they say of themselves."""
    # What the command says, the rest says too.
    return {**former, "Command": ""} == {**texts, "Command": ""}


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Index and number of shards.

    Args:
      text: ``I/N``, or None.

    Raises:
      ValueError: not of this form, or there is no such shard.
    """
    if text is None:
        return None
    numbers = re.fullmatch(r"\s*([-+]?\d{1,18})\s*/\s*([-+]?\d{1,18})\s*", text)
    index, number = map(int, numbers.groups()) if numbers else (-1, 0)
    if not 0 <= index < number:
        raise ValueError(
            f"--shard ({text}) must be I/N with I from 0 to N - 1; the first of four "
            "is --shard 0/4"
        )
    return index, number


def _period(
    args: argparse.Namespace, window: Window, model: ModelConfig
) -> tuple[int | None, int | None]:
    """Pixels of level 0 after which the world repeats: what the picture shows."""
    planning.check_level(args.level, args.quick, model)
    sides = {"y": ("height", window.height), "x": ("width", window.width)}
    period = []
    for axis, (name, side) in sides.items():
        wraps = axis in (args.wrap or "")
        if wraps:
            cell = model.cell_size >> args.level
            planning.check_period(f"--size's {name}", side, cell)
        period.append(side << args.level if wraps else None)
    return tuple(period)


def _shared(world: "World") -> bool:
    """Whether the devices paint in the host's memory."""
    return world.devices[0].platform == "cpu"


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
    numbers = re.fullmatch(r"\s*([-+]?\d{1,18})\s*[xX]\s*([-+]?\d{1,18})\s*", size)
    if not numbers:
        raise ValueError(
            f"--size ({size}) must be WIDTHxHEIGHT in whole pixels; write e.g. "
            "--size 4096x4096"
        )
    width, height = map(int, numbers.groups())
    if origin is None:
        planning.check_horizon(horizon)
        middle = horizon >> level if level >= 0 else 0  # which is refused later
        return Window(middle - height // 2, 0, height, width)
    numbers = re.fullmatch(r"\s*([-+]?\d{1,20})\s*,\s*([-+]?\d{1,20})\s*", origin)
    if not numbers:
        raise ValueError(
            f"--origin ({origin}) must be Y,X in whole pixels; write e.g. "
            "--origin=-2048,0"
        )
    top, left = map(int, numbers.groups())
    return Window(top, left, height, width)


def describe(
    plan: Plan,
    world: "World",
    bundle: "bundle_lib.Bundle",
    out: pathlib.Path,
) -> list[str]:
    """Lines of ``--dry_run``: what would be painted, on what, and what it costs."""
    window, size, model = plan.window, plan.tile_pixels, world.painted_config
    device = world.devices[0]
    tiled = planning.tile_operations(plan, model)
    more = tiled / planning.window_operations(plan, model) - 1
    shared = _shared(world)
    writer = writers.writer_of(out)
    extra = writer.host_bytes(window.width, parts.part_width(plan, writer))
    part = parts.plan_of_part(plan, writer)
    total = planning.total_bytes(part, model, shared, extra)
    memory = f"about {readable_bytes(total)}"
    if not shared:
        memory += f", and {readable_bytes(planning.device_bytes(plan, model))} a device"
    return [
        f"picture     {window.width}x{window.height} px, rows {window.top} to "
        f"{window.bottom - 1}, columns {window.left} to {window.right - 1}",
        f"model       {bundle.config.name}, seed {world.seed}, digest "
        f"{bundle.digest[:12]}",
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
    share = tiles * planning.operations(world.painted_config, *[plan.tile_size] * 2)
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
    with tqdm.tqdm(
        total=copies or total,
        unit="tile",
        # A log file needs no line every tenth of a second.
        mininterval=0.2 if sys.stderr.isatty() else 10,
    ) as bar:

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


def _texts(
    args: argparse.Namespace,
    plan: Plan,
    world: "World",
    bundle: "bundle_lib.Bundle",
) -> dict[str, str]:
    """What a picture says of itself: enough to paint it again."""
    window = plan.window
    return {
        "Software": software(),
        "Checkpoint": bundle.config.name,
        "Checkpoint digest": bundle.digest,
        "Seed": str(args.seed),
        "Origin": f"{window.top},{window.left}",
        "Size": f"{window.width}x{window.height}",
        "Tile": str(plan.tile_size),
        "Horizon": str(args.horizon),
        "Vertical span": str(world.vertical_span or "none"),
        "Wrap": args.wrap or "none",
        "Level": f"{args.level}, quick" if args.quick else str(args.level),
        "Command": _command(args, window),
    }


def _command(args: argparse.Namespace, window: Window) -> str:
    """What paints this picture again; without folders, which are nobody's business."""
    words = ["python", "run_sample.py", "--size", f"{window.width}x{window.height}"]
    if args.checkpoint != DEFAULT_MODEL:
        words += ["--checkpoint", pathlib.Path(args.checkpoint).resolve().name]
    if args.origin is not None:
        words.append(f"--origin={window.top},{window.left}")
    for name in ("seed", "horizon", "vertical_span", "wrap", "level", "tile"):
        if getattr(args, name):
            words.append(f"--{name}={getattr(args, name)}")
    return shlex.join(words + ["--quick"] * args.quick)


def software() -> str:
    """This project and its version."""
    try:
        return f"infinitygan_jax {importlib.metadata.version('infinitygan_jax')}"
    except importlib.metadata.PackageNotFoundError:  # run from a folder, not installed
        return "infinitygan_jax"


def _default_out(args: argparse.Namespace, window: Window) -> str:
    path = pathlib.Path(args.checkpoint)
    name = path.stem if path.suffix == ".safetensors" else path.resolve().name
    place = "" if args.origin is None else f"-at{window.top},{window.left}"
    for option in ("horizon", "vertical_span", "wrap", "level"):
        if getattr(args, option):
            place += f"-{option.removeprefix('vertical_')}{getattr(args, option)}"
    place += "-quick" if args.quick else ""
    return f"{name}-seed{args.seed}-{window.width}x{window.height}{place}.png"


if __name__ == "__main__":
    main()
