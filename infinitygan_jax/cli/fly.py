"""``python -m infinitygan_jax.cli.fly``: a film of a way through worlds."""

import argparse
import pathlib
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

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
from infinitygan_jax.films import gif, writing
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Window

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.bundle import Bundle
    from infinitygan_jax.films.flights import Flight
    from infinitygan_jax.films.zooms import Zoom
    from infinitygan_jax.sampling.world import World
    from infinitygan_jax.worldfile.documents import Document


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.fly",
        description="Paints the frames of a flight: from place to place, from style to "
        "style, from seed to seed, or all at once. Keys of each kind are spread evenly "
        "over the flight.",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="Y,X",
        help="row and column of the first frame's top left pixel, in pixels of the "
        "film (default: the horizon in the middle, column 0)",
    )
    parser.add_argument("--to", metavar="Y,X", help="of the last frame")
    parser.add_argument(
        "--via",
        action="append",
        default=[],
        metavar="Y,X",
        help="a place between; may be given several times",
    )
    for name, what in (("zoom_from", "first"), ("zoom_to", "last")):
        parser.add_argument(
            f"--{name}",
            type=world_options.zoom_as_typed,
            metavar="K",
            help=f"how many times as large the {what} frame of a flight into depth "
            "shows the world, a power of two (default: one landscape); --from and --to "
            "are then pixels of the first and of the last frame's own level, by "
            "default so that the middle stays",
        )
    parser.add_argument(
        "--styles",
        nargs="+",
        metavar="SEED",
        help=f"seeds of styles (default: the style of the first of --seeds){seeds.HOW}",
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        metavar="SEED",
        help=f"seeds of local latents and noise (default: 0){seeds.HOW}",
    )
    parser.add_argument(
        "--keep_noise",
        action="store_true",
        help="noise stays that of the first of --seeds; only local latents change",
    )
    parser.add_argument(
        "--loop",
        action="store_true",
        help="go back to where the flight began, so that the film can be repeated",
    )
    parser.add_argument(
        "--ease",
        action="store_true",
        help="slow down before each key, and speed up behind it",
    )
    parser.add_argument(
        "--frames", type=int, required=True, metavar="N", help="how many, at least 2"
    )
    parser.add_argument(
        "--fps",
        type=float,
        default=30,
        metavar="F",
        help="frames a second of a video (default: %(default)s)",
    )
    parser.add_argument(
        "--size", required=True, metavar="WIDTHxHEIGHT", help="pixels of a frame"
    )
    world_options.add_to(
        parser,
        without=world_options.OF_PICTURES,
        helps={
            "world": "fly over the world that this file describes, from place to "
            "place (see docs/world_file.md): it says all that the world shows",
            "biomes": "a new style about every so many pixels, for ever, in both "
            "directions: those of the first of --seeds",
        },
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.mp4|FILE.gif|FOLDER/",
        help="a video, a short GIF, or a folder that gets a PNG file for each frame",
    )
    options.add_overwrite(parser)
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    start = time.perf_counter()
    parser = _parser()
    args = parser.parse_args(argv)
    is_zoom = args.zoom_from is not None or args.zoom_to is not None
    if is_zoom:
        _check_zoom(args)
    document = _document(args, is_zoom)
    width, height = size = sample.size_of(args.size)
    keys = tuple(seeds.listed("--seeds", args.seeds or ["0"]))
    styles = tuple(seeds.listed("--styles", args.styles or []))
    writing.check_film(
        args.out,
        height,
        width,
        args.fps,
        args.overwrite,
        num_frames=args.frames,
    )

    from infinitygan_jax import devices
    from infinitygan_jax.films import flights, zooms

    devices.prepare()
    bundle = worlds.bundle_of(args, document)
    if is_zoom:
        worlds.settle_level(args, bundle, height)
        for name in ("zoom_from", "zoom_to"):
            if getattr(args, name) is None:
                setattr(args, name, str(1 << -args.level))
        args.level = world_options.level_of_zoom(args.zoom_from)
    window = sample.window_shown(args, document, bundle, size, None)
    places = _places(args, window)
    if is_zoom:
        way = _zoom(args, window, places)
        world = _world(args, document, bundle, window, keys[0])
        _check_zoom_memory(world, way, args.out)
        frames = zooms.zoom(world, way)
    else:
        flight = flights.Flight(
            height=window.height,
            width=window.width,
            num_frames=args.frames,
            places=places,
            seeds=() if document else keys,
            styles=styles,
            loop=args.loop,
            ease=args.ease,
            keep_noise=args.keep_noise,
        )
        world = _world(
            args,
            document,
            bundle,
            window,
            keys[0],
            lambda world: flights.tile_size_for(world, flight),
        )
        _check_memory(world, flights.some_windows(flight), flight, args.out)
        frames = flights.fly(world, flight)
    with (
        errors.stoppable() as stop_if_asked,
        rendering.about(pathlib.Path(args.out)),
        writing.open_film(
            args.out,
            window.height,
            window.width,
            args.fps,
            comment=_command(parser, args, world.tile_size),
        ) as film,
        progress.bar(args.frames, "frame") as bar,
    ):
        for frame in frames:
            stop_if_asked()
            film.write(frame)
            bar.update()
    seconds = time.perf_counter() - start
    is_file = bool(writing.file_ending(args.out))
    shown = f", {args.frames / args.fps:.1f} s of film" * is_file
    print(f"{args.out}: {args.frames} frames{shown}, {seconds:.1f} s")


def _command(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    tile_size: int | None,
) -> str:
    """What paints this film again."""
    if args.zoom_from is not None:  # which says the level
        args = argparse.Namespace(**{**vars(args), "level": None})
    return options.command_of(parser, args, tile=tile_size)


def _check_zoom(args: argparse.Namespace) -> None:
    """Checks what a flight into depth is told.

    Raises:
      ValueError: it is told what only flights from place to place can do.
    """
    if args.level is not None:
        raise UserError(
            "--zoom_from and --zoom_to say which levels a flight sees; leave --level "
            "and --zoom out"
        )
    for name in ("via", "styles", "keep_noise", "wrap"):
        if getattr(args, name):
            raise UserError(
                f"--{name} does not go with --zoom_from and --zoom_to, which lead to "
                "one place; leave it out"
            )
    if args.seeds is not None and len(seeds.listed("--seeds", args.seeds)) > 1:
        raise UserError(
            "--seeds must be one with --zoom_from and --zoom_to, which see one world; "
            "give the first"
        )


def _zoom(
    args: argparse.Namespace, window: Window, places: tuple[tuple[int, int], ...]
) -> "Zoom":
    """The flight into depth that the options describe."""
    from infinitygan_jax.films.zooms import View, Zoom

    start, stop = (
        View(-world_options.level_of_zoom(each), 0, 0)
        for each in (args.zoom_from, args.zoom_to)
    )
    sides = window.height, window.width
    corner = places[0]
    if args.to is not None:
        last = places[-1]
    else:  # the pixel in the middle stays there
        more = stop.zooms - start.zooms
        last_row, last_col = (
            planning.at_level(place + side // 2, -more) - side // 2
            for place, side in zip(corner, sides, strict=True)
        )
        last = last_row, last_col
    return Zoom(
        *sides,
        num_frames=args.frames,
        start=View(start.zooms, *corner),
        stop=View(stop.zooms, *last),
        loop=args.loop,
        ease=args.ease,
    )


def _document(args: argparse.Namespace, is_zoom: bool) -> "Document | None":
    """The document of ``--world``, if given.

    Raises:
      ValueError: it cannot be read, or options say again what it says.
    """
    if args.world is not None:
        for name in ("seeds", "styles", "keep_noise"):
            if getattr(args, name):
                raise UserError(
                    f"--{name} does not go with --world ({args.world}), whose file "
                    "says what the world shows; leave one of them out"
                )
        if args.to is None and not (args.via or is_zoom):
            raise UserError(
                "a flight over a world must lead to a second place; give one with --to "
                "Y,X"
            )
    return worlds.opened(args)


def _world(
    args: argparse.Namespace,
    document: "Document | None",
    bundle: "Bundle",
    window: Window,
    seed: int,
    tile_size_for: "Callable[[World], int] | None" = None,
) -> "World":
    """The world to fly over, in tiles that suit the flight."""
    if document is None:
        document = worlds.document_of(args, window, bundle, seed)
    return worlds.world_of(args, document, bundle, tile_size_for)


def _places(args: argparse.Namespace, window: Window) -> tuple[tuple[int, int], ...]:
    """Keys of position."""
    first = (window.top, window.left)
    if args.start is not None:
        first = options.position_of("--from", args.start)
    places = [first, *(options.position_of("--via", text) for text in args.via)]
    if args.to is not None:
        places.append(options.position_of("--to", args.to))
    return tuple(places)


def _check_zoom_memory(world: "World", flight: "Zoom", out: str) -> None:
    """Checks what it takes where the last octave begins, whose windows are largest."""
    depth = max(flight.start.zooms, flight.stop.zooms) - Fraction(999, 1000)
    for level, box in flight.boxes(depth).items():
        _check_memory(world.at_level(level), [box.window], flight, out, levels=2)


def _check_memory(
    world: "World",
    windows: "Sequence[Window]",
    flight: "Flight | Zoom",
    out: str,
    levels: int = 1,
) -> None:
    from infinitygan_jax.films.overlaps import KEPT_BYTES
    from infinitygan_jax.sampling import estimates

    frames = 40 * flight.height * flight.width  # shifted in float32
    if writing.file_ending(out) == gif.ENDING:
        frames += gif.host_bytes(flight.height, flight.width, flight.num_frames)
    for window in windows:
        estimates.check_memory(
            world,
            world.plan(window),
            world.blends(window),
            levels * KEPT_BYTES + frames,
            "use a smaller --size",
        )


if __name__ == "__main__":
    errors.run(main)
