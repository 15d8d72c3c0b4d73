"""Inversions for commands that take pictures: read from files, or searched for."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.cli import errors, pictures, progress
from infinitygan_jax.inversion.settings import CONTINUED, Settings
from infinitygan_jax.messages import UserError

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.bundle import Bundle
    from infinitygan_jax.inversion import perceptual
    from infinitygan_jax.inversion.result import Inversion

_SUFFIX = ".npz"
_AT_ONCE = 8  # pictures of one size; more only take more memory


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a search."""
    parser.add_argument(
        "--side",
        type=int,
        metavar="PIXELS",
        help="resize each image so that its shorter side is this (default: as it is; "
        "with a model that has a detail synthesizer, larger ones are reduced for the "
        "search, and shown at their own size)",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        metavar="ROW",
        help="row of the horizon in each image (default: the middle)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=f"of the search (default: {Settings.steps})",
    )
    parser.add_argument(
        "--save_inversions",
        metavar="FOLDER",
        help="keep what was found, as NAME.npz; give that in place of the image to "
        "paint again without searching",
    )


def check(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Reads the images among some names, before any work.

    Returns:
      Pixels by name.

    Raises:
      ValueError: a file cannot be used, or an option does not fit.
    """
    images = {}
    for name in names:
        if pathlib.Path(name).suffix == _SUFFIX:
            continue
        image = pictures.read(name)
        known = np.ones(image.shape[:2], bool)
        images[name] = pictures.resized(image, known, args.side)[0]
        if args.horizon is not None and not 0 <= args.horizon < len(images[name]):
            raise UserError(
                f"--horizon ({args.horizon}) must be a row of {name}, 0 to "
                f"{len(images[name]) - 1}; the middle is {len(images[name]) // 2}"
            )
    if not images:
        for option in ("side", "horizon", "steps", "save_inversions"):
            if getattr(args, option) is not None:
                raise UserError(
                    f"--{option} is of the search, and all pictures are inverted "
                    "already; leave it out"
                )
    if args.save_inversions is not None:
        folder = pathlib.Path(args.save_inversions)
        there = [
            path
            for path in pictures.files_in(folder, list(images), _SUFFIX)
            if path.exists()
        ]
        if there and not args.overwrite:
            raise UserError(
                f"file ({there[0]}) exists; give it in place of the image, or add "
                "--overwrite"
            )
    return images


def check_group(
    bundle: "Bundle",
    names: Sequence[str],
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    distance: "perceptual.Distance | None",
) -> None:
    """Checks that pictures can be inverted at once.

    Raises:
      ValueError: they cannot; the message names the first.
    """
    from infinitygan_jax.inversion import invert as inversion_lib

    try:
        inversion_lib.check_pictures(bundle.config.model, images, None, distance)
    except ValueError as error:
        raise UserError(f"{names[0]}: {error}") from error


def zooms_of(
    args: argparse.Namespace, images: Mapping[str, Any], bundle: "Bundle"
) -> int:
    """How often images are halved for the search, and shown larger again."""
    from infinitygan_jax.inversion import own_size

    if args.side is not None or not images:
        return 0
    return own_size.zooms_for([each.shape[:2] for each in images.values()], bundle)


def inversions(
    args: argparse.Namespace,
    names: Sequence[str],
    images: dict[str, Any],
    bundle: "Bundle",
) -> list["Inversion"]:
    """Inversions of pictures: those of one size are searched for at once.

    Args:
      args: of the command.
      names: images, or ``.npz`` files.
      images: pixels of the former (`check`).
      bundle: the model.

    Raises:
      ValueError: a picture or file cannot be used.
    """
    from infinitygan_jax.inversion import invert as inversion_lib
    from infinitygan_jax.inversion import own_size, perceptual
    from infinitygan_jax.inversion.place import Perspective
    from infinitygan_jax.inversion.result import Inversion
    from infinitygan_jax.sampling.edits.compositing import Known

    found = {}
    for name in names:
        if name not in images:
            found[name] = Inversion.load(name, bundle)
    zooms = zooms_of(args, images, bundle)
    whole = {
        name: own_size.whole_squares(Known(each, np.ones(each.shape[:2], bool)), zooms)
        for name, each in images.items()
    }
    images = {k: own_size.reduced(each, zooms).image for k, each in whole.items()}
    settings = CONTINUED
    if args.steps is not None:
        settings = dataclasses.replace(settings, steps=args.steps)
    shapes = [image.shape for image in images.values()]
    groups = pictures.batches(list(images), shapes, _AT_ONCE)
    distance = None
    if groups and settings.perceptual_weight:
        distance = perceptual.distance_of(bundle)
    for group in groups:  # all, before any work
        check_group(bundle, group, [images[name] for name in group], distance)
    with (
        errors.stoppable() as stop_if_asked,
        progress.bar(settings.steps * len(groups), "step", disable=not groups) as bar,
    ):

        def on_steps(number: int, report: Any) -> None:
            stop_if_asked()
            psnr = float(np.mean(report["psnr"]))
            bar.set_postfix_str(f"{psnr:.1f} dB", refresh=False)
            bar.update(number)

        for group in groups:
            results = inversion_lib.invert(
                bundle,
                [images[name] for name in group],
                settings=settings,
                distance=distance,
                perspective=Perspective(
                    horizon=None if args.horizon is None else args.horizon >> zooms
                ),
                watch=inversion_lib.Watch(on_steps),
            )
            for name, result in zip(group, results, strict=True):
                result = own_size.with_own_pixels(result, whole[name], zooms)
                found[name] = result
                if args.save_inversions is not None:  # the next group may fail
                    folder = pathlib.Path(args.save_inversions)
                    (path,) = pictures.files_in(folder, [name], _SUFFIX)
                    folder.mkdir(exist_ok=True)
                    result.save(path)
    for name in images:
        psnr = found[name].figures["psnr"]
        print(f"{name}: the model paints it at {psnr:.2f} dB", file=sys.stderr)
    return [found[name] for name in names]
