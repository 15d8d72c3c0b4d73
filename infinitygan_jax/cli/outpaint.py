"""``python -m infinitygan_jax.cli.outpaint IMAGE``: what lies around a picture."""

import argparse
import pathlib
import re
import time
from collections.abc import Sequence
from typing import Any

from infinitygan_jax import files, writers
from infinitygan_jax.cli import errors, inversion_options, options, rendering
from infinitygan_jax.cli.sample import size_of, window_of
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.seed_range import check_seed

MAX_COUNT = 1000


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.outpaint",
        description="Paints what lies around a picture, which stays as it is.",
    )
    parser.add_argument(
        "image", metavar="IMAGE", help="an image, or the .npz file of an inversion"
    )
    add_common(parser)
    parser.add_argument(
        "--at",
        default="0.5,0.5",
        metavar="Y,X",
        help="where the image's middle lies, of 0 to 1 of height and width (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--count",
        type=int,
        default=1,
        metavar="N",
        help="how many answers, of seeds from --seed on (default: %(default)s)",
    )
    inversion_options.add_to(parser)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Options of commands that paint around pictures."""
    parser.add_argument(
        "--size",
        required=True,
        metavar="WIDTHxHEIGHT",
        help="pixels of the whole picture, e.g. 2048x512",
    )
    options.add_checkpoint(parser)
    options.add_painting(parser)
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of all that is invented (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to write; endings {', '.join(writers.WRITERS)} (default: a .png "
        "named after the image, in the current folder)",
    )
    parser.add_argument(
        "--tile", type=int, metavar="PIXELS", help="as in run_sample.py"
    )
    options.add_quality(parser)
    options.add_overwrite(parser)


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = _parser()
    args = parser.parse_args(argv)
    size = window_of(size_of(args.size), "0,0")
    at = _place(args.at)
    painting: dict[str, Any] = options.painting_of(args)
    if not 1 <= args.count <= MAX_COUNT:
        raise UserError(f"--count ({args.count}) must be from 1 to {MAX_COUNT}; use 1")
    outs = _outs(args)
    files.check_kept([args.image], outs)
    quality_texts = options.quality_of(args, outs[0])[1]
    for out in outs:
        with rendering.about(out):
            writers.check_output(
                writers.Target(out, size.height, size.width, overwrite=args.overwrite)
            )
    images = inversion_options.check(args, [args.image])

    from infinitygan_jax import devices
    from infinitygan_jax.inversion import outpainting
    from infinitygan_jax.training import stored

    devices.prepare()
    bundle = stored.load_bundle(args.checkpoint)
    seeds = range(args.seed, args.seed + args.count)
    for seed in (seeds[0], seeds[-1]):
        check_seed(seed, "--seed")
    if args.tile is not None:
        planning.check_tile_size(args.tile, bundle.config.model)
    for image in images.values():  # before the search
        outpainting.room_around(image.shape[:2], (size.height, size.width), at)
    (inversion,) = inversion_options.inversions(args, [args.image], images, bundle)
    window = outpainting.window_around(inversion, size.height, size.width, at)
    for seed, out in zip(seeds, outs, strict=True):
        start = time.perf_counter()
        world = outpainting.outpainted(
            bundle,
            inversion,
            seed=seed,
            tile_size=args.tile,
            **painting,
        )
        rendering.check_memory(world, window, out, world.blends(window))
        texts = rendering.texts_of(world, window, bundle) | {
            "Picture": pathlib.Path(args.image).name,
            "Picture's place": ",".join(
                str(planning.at_level(place, world.level))
                for place in (inversion.top, inversion.left)
            ),
            **options.given_texts(args),
            **quality_texts,
            "Command": options.command_of(
                parser, args, seed=seed, tile=world.tile_size, count=None
            ),
        }
        target = writers.Target(out, size.height, size.width, texts, args.overwrite)
        rendering.paint_into(world, window, target, quality=args.quality)
        print(f"{out}: {time.perf_counter() - start:.1f} s")


def _place(text: str) -> tuple[float, float]:
    numbers = re.fullmatch(r"\s*([-+]?[\d.]+)\s*,\s*([-+]?[\d.]+)\s*", text)
    try:
        y, x = map(float, numbers.groups() if numbers else ())
    except ValueError:  # none, or too few
        y = x = -1.0
    if not (0 <= y <= 1 and 0 <= x <= 1):
        raise UserError(
            f"--at ({text}) must be Y,X, both from 0 to 1; the middle is 0.5,0.5"
        )
    return y, x


def _outs(args: argparse.Namespace) -> list[pathlib.Path]:
    """A file for each answer."""
    name = args.out or f"{pathlib.Path(args.image).stem}-outpainted.png"
    out = pathlib.Path(name)
    if args.count == 1:
        return [out]
    return [
        out.with_name(f"{out.stem}-{seed}{out.suffix}")
        for seed in range(args.seed, args.seed + args.count)
    ]


if __name__ == "__main__":
    errors.run(main)
