"""``python -m infinitygan_jax.cli.inbetween LEFT RIGHT``: what lies between."""

import argparse
import pathlib
import time
from collections.abc import Sequence

from infinitygan_jax import files, writers
from infinitygan_jax.cli import errors, inversion_options, options, outpaint, rendering
from infinitygan_jax.cli.sample import size_of, window_of
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.seed_range import check_seed


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.inbetween",
        description="Paints a passage from each picture to the next.",
    )
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="two or more from left to right: images, or .npz files of inversions",
    )
    outpaint.add_common(parser)
    inversion_options.add_to(parser)
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = _parser()
    args = parser.parse_args(argv)
    size = window_of(size_of(args.size), "0,0")
    if len(args.images) < 2:
        raise UserError(
            f"pictures ({len(args.images)}) to pass between must be at least 2; give "
            "another, or use infinitygan_jax.cli.outpaint"
        )
    painting = options.painting_of(args)
    stems = "-".join(pathlib.Path(name).stem for name in args.images)[:80]
    out = pathlib.Path(args.out or f"{stems}-inbetween.png")
    files.check_kept(args.images, [out])
    quality_texts = options.quality_of(args, out)[1]
    with rendering.about(out):
        writers.check_output(
            writers.Target(out, size.height, size.width, overwrite=args.overwrite)
        )
    images = inversion_options.check(args, args.images)

    from infinitygan_jax import devices
    from infinitygan_jax.inversion import outpainting, place
    from infinitygan_jax.training import stored

    devices.prepare()
    bundle = stored.load_bundle(args.checkpoint)
    check_seed(args.seed, "--seed")
    model = bundle.config.model
    if args.tile is not None:
        planning.check_tile_size(args.tile, model)
    if len(images) == len(args.images):  # before the search
        zooms = inversion_options.zooms_of(args, images, bundle)
        sizes = [
            (images[name].shape[0] >> zooms, images[name].shape[1] >> zooms)
            for name in args.images
        ]
        horizon = None if args.horizon is None else args.horizon >> zooms
        tops = [place.default_top(high, horizon, model.num_stages) for high, _ in sizes]
        outpainting.passage(
            sizes, tops, size.height, size.width, model.cell_size, zooms
        )
    found = inversion_options.inversions(args, args.images, images, bundle)
    start = time.perf_counter()
    world, window = outpainting.inbetween(
        bundle,
        found,
        size.height,
        size.width,
        seed=args.seed,
        tile_size=args.tile,
        **painting,
    )
    rendering.check_memory(world, window, out, world.blends(window))
    placed = [edit.picture for edit in world.scene.edits]
    texts = rendering.texts_of(world, window, bundle) | {
        "Pictures": ", ".join(pathlib.Path(name).name for name in args.images),
        "Columns": ", ".join(
            str(planning.at_level(each.left, world.level))
            for each in placed
            if each is not None
        ),
        **options.given_texts(args),
        **quality_texts,
        "Command": options.command_of(parser, args, tile=world.tile_size),
    }
    target = writers.Target(out, size.height, size.width, texts, args.overwrite)
    rendering.paint_into(world, window, target, quality=args.quality)
    print(f"{out}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    errors.run(main)
