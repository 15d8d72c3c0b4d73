"""``python -m infinitygan_jax.cli.invert IMAGE --out FILE``: a picture's latents."""

import argparse
import dataclasses
import functools
import io
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tqdm
from jaxtyping import Bool, UInt8
from PIL import Image

from infinitygan_jax import files
from infinitygan_jax.cli import errors, inversion_options, options, pictures, progress
from infinitygan_jax.inversion.settings import CONTINUED, PUBLISHED, Settings
from infinitygan_jax.messages import UserError, nearest
from infinitygan_jax.seed_range import check_seed

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.bundle import Bundle
    from infinitygan_jax.inversion.result import Inversion
    from infinitygan_jax.sampling.edits.compositing import Known

_SUFFIX = ".npz"
_KNOWN = 128  # of 255: a mask's pixels from here on are known
_AT_ONCE = 16 * 128 * 128 * 3  # steps times colour values between two reports


@dataclasses.dataclass(frozen=True)
class _Task:
    """A picture, and where its latents go."""

    name: str
    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]  # what is known of it
    out: pathlib.Path


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Pictures of one size, which are inverted at once.

    Attributes:
      tasks: of these.
      zooms: how often they are halved for the search.
      whole: they in their own pixels, without what is no whole pixel then.
      images, masks: what is searched for.
    """

    tasks: Sequence[_Task]
    zooms: int
    whole: "Sequence[Known]"
    images: Sequence[UInt8[np.ndarray, "h w 3"]]
    masks: Sequence[Bool[np.ndarray, "h w"]]


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.invert",
        description="Finds the latents with which the model paints given pictures.",
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="JPEG, PNG, ...")
    parser.add_argument(
        "--out",
        required=True,
        metavar="NAME.npz|FOLDER",
        help="where to write; a folder (with / at its end where it is not there yet), "
        "which several images need, gets a file of each image's name",
    )
    options.add_checkpoint(parser)
    parser.add_argument(
        "--region",
        metavar="Y,X,WIDTHxHEIGHT",
        help="take only this rectangle of each image, from its row Y and column X on",
    )
    parser.add_argument(
        "--side",
        type=int,
        metavar="PIXELS",
        help="then resize it so that its shorter side is this (default: as it is; with "
        "a model that has a detail synthesizer, a larger one than training covered is "
        "halved for the search, and its own pixels are kept)",
    )
    parser.add_argument(
        "--mask",
        metavar="MASK.png",
        help="an image of the same size: white where pixels are known, black where "
        "they do not matter",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        metavar="ROW",
        help="row of the horizon, in what is left of the image (default: the middle)",
    )
    parser.add_argument(
        "--vertical_span",
        type=int,
        metavar="PIXELS",
        help="as in run_sample.py (default: that of training)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=f"of the search (default: {Settings.steps})",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of the search, e.g. --set pixel_weight=50; may be given "
        "several times",
    )
    parser.add_argument(
        "--continued",
        action="store_true",
        help="settings for pictures that are to be outpainted: less exact, and of "
        "styles that do for what is invented around them",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="the published settings, 3000 steps, in place of quicker ones",
    )
    parser.add_argument(
        "--lpips",
        action="append",
        default=[],
        metavar="FILE",
        help="weights of LPIPS-VGG, to compare pictures by; may be given twice, where "
        "VGG16 and LPIPS's heads are two files (default: the model's discriminator, or "
        "a network in the package where it has none)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the search's random numbers (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=16,
        metavar="N",
        help="how many images of one size are inverted at once (default: %(default)s)",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="also write NAME.png: the picture, and beside it what the latents paint",
    )
    options.add_overwrite(parser)
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    if args.batch < 1:
        raise UserError(f"--batch ({args.batch}) must be at least 1; use 1")
    outs = _outs(args)
    tasks = _tasks(args, outs)

    from infinitygan_jax import devices
    from infinitygan_jax.inversion import invert, own_size, perceptual
    from infinitygan_jax.inversion.place import Perspective
    from infinitygan_jax.models.generator import check_params
    from infinitygan_jax.sampling import frame as frame_lib
    from infinitygan_jax.training import stored

    if args.published and args.continued:
        raise UserError(
            "--published and --continued exclude each other; give one of them"
        )
    base = PUBLISHED if args.published else CONTINUED if args.continued else None
    check_seed(args.seed, "--seed")
    settings = settings_of(args.steps, args.set, base)
    settings = dataclasses.replace(settings, seed=args.seed)
    devices.prepare()
    bundle = stored.load_bundle(args.checkpoint)
    check_params(bundle.config.model, bundle.generator)
    distance = None
    if settings.perceptual_weight:
        distance = perceptual.distance_of(bundle, args.lpips)
    frame_lib.frame_of(bundle.config.model, 0, args.vertical_span, (None, None))
    batches = [
        _batch(group, bundle, as_it_is=args.side is not None)
        for group in pictures.batches(tasks, [t.image.shape for t in tasks], args.batch)
    ]
    for batch in batches:  # all, before any work
        names = [task.name for task in batch.tasks]
        inversion_options.check_group(bundle, names, batch.images, distance)
    search = functools.partial(
        invert.invert, bundle, settings=settings, distance=distance
    )
    with (
        errors.stoppable() as stop_if_asked,
        progress.bar(settings.steps * len(batches), "step") as bar,
    ):

        def on_steps(number: int, report: Mapping[str, np.ndarray]) -> None:
            stop_if_asked()
            loss, psnr = (float(np.mean(report[name])) for name in ("loss", "psnr"))
            bar.set_postfix_str(f"loss {loss:.3f}, {psnr:.1f} dB", refresh=False)
            bar.update(number)

        for batch in batches:
            start = time.perf_counter()
            # Some two seconds a report, so that an interrupt need not wait long.
            at_once = max(1, _AT_ONCE // sum(image.size for image in batch.images))
            horizon = None if args.horizon is None else args.horizon >> batch.zooms
            results = search(
                batch.images,
                batch.masks,
                perspective=Perspective(horizon, args.vertical_span),
                watch=invert.Watch(on_steps, at_once),
            )
            seconds = (time.perf_counter() - start) / len(batch.tasks)
            found = zip(batch.tasks, batch.whole, results, strict=True)
            for task, known, result in found:
                result = own_size.with_own_pixels(result, known, batch.zooms)
                _write(task.out, result, bundle if args.preview else None)
                text = f"{task.out}: {_describe(result, seconds)}"
                tqdm.tqdm.write(text, file=sys.stdout)


def settings_of(
    steps: int | None, pairs: Sequence[str], base: Settings | None = None
) -> Settings:
    """Settings from options.

    Args:
      steps: of ``--steps``, or None.
      pairs: of ``--set``, each ``NAME=VALUE``.
      base: what the others are; by default the default.

    Raises:
      ValueError: an unknown name, or a value that is no number or out of range.
    """
    types = {field.name: field.type for field in dataclasses.fields(Settings)}
    del types["seed"]  # which has an option of its own
    values: dict[str, Any] = {} if steps is None else {"steps": steps}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UserError(
                f"--set ({pair}) must be NAME=VALUE; write e.g. pixel_weight=50"
            )
        if name not in types:
            near = nearest(name, types)
            remedy = f"the nearest is {near}" if near else ", ".join(types)
            raise UserError(f"--set {name}: unknown setting; {remedy}")
        try:
            values[name] = int(text) if types[name] is int else float(text)
        except ValueError:
            kind = "a whole number" if types[name] is int else "a number"
            default = getattr(base or Settings(), name)
            raise UserError(
                f"--set {name} ({text}) must be {kind}; write e.g. {name}={default}"
            ) from None
    return dataclasses.replace(base or Settings(), **values)


def _outs(args: argparse.Namespace) -> list[pathlib.Path]:
    """A file for each image; checks that they can be written."""
    out = pathlib.Path(args.out)
    if out.is_dir() or args.out.endswith("/"):
        outs = pictures.files_in(out, args.images, _SUFFIX)
    elif len(args.images) == 1:
        files.check_target(out, _SUFFIX)
        outs = [out]
    elif out.suffix == _SUFFIX:
        raise UserError(
            f"--out ({out}) must be a folder for several images; use {out.stem}"
        )
    else:
        outs = pictures.files_in(out, args.images, _SUFFIX)
    written = outs + [path.with_suffix(".png") for path in outs if args.preview]
    for path in written:
        if path.is_dir():
            raise UserError(f"file ({path}) is a folder; choose another name")
        files.check_free(path, args.overwrite)
    read = [*args.images, *([] if args.mask is None else [args.mask]), *args.lpips]
    files.check_kept(read, written)
    return outs


def _tasks(args: argparse.Namespace, outs: Sequence[pathlib.Path]) -> list[_Task]:
    """Reads all images, and the mask."""
    mask = None
    if args.mask is not None:
        mask = pictures.read(args.mask).mean(axis=2) >= _KNOWN
    tasks = []
    for name, out in zip(args.images, outs, strict=True):
        image = pictures.read(name)
        height, width = image.shape[:2]
        known = np.ones((height, width), bool) if mask is None else mask
        if known.shape != (height, width):
            raise UserError(
                f"--mask ({known.shape[1]}x{known.shape[0]}) must be of the image's "
                f"size ({width}x{height}); resize it"
            )
        rows, cols = pictures.region_of(args.region, height, width)
        image, known = pictures.resized(image[rows, cols], known[rows, cols], args.side)
        if not known.any():
            raise UserError(f"--mask ({args.mask}) must be white somewhere; invert it")
        if args.horizon is not None and not 0 <= args.horizon < len(image):
            raise UserError(
                f"--horizon ({args.horizon}) must be a row of the picture, 0 to "
                f"{len(image) - 1}; the middle is {len(image) // 2}"
            )
        tasks.append(_Task(name, image, known, out))
    return tasks


def _batch(tasks: Sequence[_Task], bundle: "Bundle", as_it_is: bool) -> _Batch:
    """Pictures of one size as they are searched for."""
    from infinitygan_jax.inversion import own_size
    from infinitygan_jax.sampling.edits.compositing import Known

    zooms = 0 if as_it_is else own_size.zooms_for([tasks[0].mask.shape], bundle)
    whole = [own_size.whole_squares(Known(t.image, t.mask), zooms) for t in tasks]
    small = [own_size.reduced(known, zooms) for known in whole]
    for task, known in zip(tasks, small, strict=True):
        if not known.mask.any():
            raise UserError(
                f"--mask must leave a square of {1 << zooms} pixels of {task.name} "
                "white, which is halved for the search, and it leaves none; make white "
                "parts larger, or give --side"
            )
    return _Batch(tasks, zooms, whole, *zip(*small, strict=True))


def _write(out: pathlib.Path, result: "Inversion", shown_by: "Bundle | None") -> None:
    """Writes what was found and, where a model shows it, the preview."""
    from infinitygan_jax.inversion import outpainting

    out.parent.mkdir(exist_ok=True)
    result.save(out)
    if shown_by is not None:
        buffer = io.BytesIO()
        image = result.image if result.finer is None else result.finer.image
        painted = outpainting.rendered(shown_by, result)
        pair = np.concatenate([image, painted], axis=1)
        Image.fromarray(pair).save(buffer, "PNG")
        files.write_whole(out.with_suffix(".png"), buffer.getvalue())


def _describe(result: "Inversion", seconds: float) -> str:
    figures = dict(result.figures)
    names = ["autocorrelation", "z_local_autocorrelation", "z_global", "z_local"]
    names += ["mahalanobis"]
    terms = ", ".join(f"{name} {figures[name]:.4g}" for name in names)
    return (
        f"{figures['psnr']:.2f} dB, perceptual {figures['perceptual']:.4f} "
        f"({result.distance}), priors: {terms}; {figures['steps']:.0f} steps, "
        f"{seconds:.1f} s"
    )


if __name__ == "__main__":
    errors.run(main)
