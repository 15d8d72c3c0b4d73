"""``python -m infinitygan_jax.cli.evaluate CHECKPOINT --data FOLDER``: a judge."""

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from infinitygan_jax import files
from infinitygan_jax.cli import (
    errors,
    evaluate_detail,
    options,
    progress,
    rendering,
    world_options,
)
from infinitygan_jax.config import PAINTING
from infinitygan_jax.messages import UserError

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.bundle import Bundle
    from infinitygan_jax.data.sources import SourceReport
    from infinitygan_jax.evaluation.judge import Comparison
    from infinitygan_jax.evaluation.photographs import View

_STREAMS = {"data": 0, "samples": 1}  # of what is drawn for each side
_SUFFIX = ".json"
_MOST_SIZE = 2048


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.evaluate",
        description="Measures how far a model's samples are from photographs, by the "
        "features of a network that knows pictures and took no part in training.",
    )
    parser.add_argument(
        "samples",
        metavar="CHECKPOINT|FOLDER",
        help="a bundled model's name, a .safetensors file or a workdir of "
        "run_train.py (or WORKDIR@STEP); or a folder of pictures, as --data takes it",
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="photographs to compare with: a folder, a slice FOLDER[A:B] of its "
        "pictures by name, tfds:NAME or generated:N",
    )
    parser.add_argument(
        "--num",
        type=int,
        default=5000,
        metavar="N",
        help="pictures of each side; patches of a photograph are repeated at other "
        "places until there are so many, wholes are not (default: %(default)s)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--patch",
        action="store_true",
        help="compare patches at random places, as training does (the default)",
    )
    what.add_argument(
        "--full",
        action="store_true",
        help="compare whole training images, of the model's data.full_size, with whole "
        "photographs",
    )
    what.add_argument(
        "--enlarge",
        type=int,
        metavar="K",
        help="reduce the photographs of --data by K, a power of two, and compare what "
        "the model's detail synthesizer makes of them with the photographs, and the "
        "same for two filters",
    )
    parser.add_argument(
        "--view",
        metavar="PATCH/FULL",
        help="cut patches of so many pixels from photographs of so many a side "
        "(default: as the model learned from them; 101/197 for two folders)",
    )
    parser.add_argument(
        "--zoom",
        dest="level",
        type=world_options.level_of_zoom,
        metavar="K",
        help="show the model's samples K times as large, with detail, and compare them "
        "with photographs of K times its sizes, of which smaller ones are left out; "
        "what is finer than --size is not seen (default: 1)",
    )
    parser.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help="resize the pictures of both sides to this for the network (default: 101, "
        "with --full 197)",
    )
    parser.add_argument(
        "--painted",
        action="store_true",
        help="truncate local latents and scale noise as the model's settings say",
    )
    options.add_painting(parser, "as in training, 1; with --painted, as the model says")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of all that is drawn (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar=f"FILE{_SUFFIX}",
        help="write figures and settings there too",
    )
    options.add_overwrite(parser)
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    painting = options.painting_of(args)
    out = _out(args)
    if args.enlarge is not None:
        evaluate_detail.check(args)
        _check_numbers(args, None)
        evaluate_detail.run(args, out, lambda view: _checked(args.data, view).source)
        return

    from infinitygan_jax import devices
    from infinitygan_jax.evaluation import judge
    from infinitygan_jax.evaluation.photographs import View
    from infinitygan_jax.models import features

    size = View(whole=args.full).side if args.size is None else args.size
    _check_numbers(args, size)
    view = _view(args)
    devices.prepare()
    network = features.load(judge.NETWORK)  # before photographs are decoded for long
    sides = _sides(args, view, painting)

    start = time.perf_counter()
    total = sum(side.num for side in sides.values())
    with errors.stoppable() as stop_if_asked, progress.bar(total, "picture") as bar:

        def on_pictures(num: int) -> None:
            stop_if_asked()
            bar.update(num)

        measured = {
            name: judge.measure(network, side.batches(), size, on_pictures, side.runs)
            for name, side in sides.items()
        }
    comparison = judge.compare(measured["samples"], measured["data"])
    seconds = time.perf_counter() - start
    for side in sides.values():
        print(side.line)
    print(f"seen at {size} px by {network.name}, seed {args.seed}\n")
    print(_table(comparison, measured["data"].features.shape[1]))
    print(f"\n{seconds:.0f} s, {total / seconds:.1f} pictures a second")
    if out is not None:
        report = {
            **{name: side.facts for name, side in sides.items()},
            "size": size,
            "network": network.name,
            "seed": args.seed,
            "kernel_distance_x1000": 1000 * comparison.kernel.value,
            "kernel_distance_x1000_error": 1000 * comparison.kernel.error,
            "frechet_distance": comparison.frechet,
            "frechet_full_rank": comparison.full_rank,
            "seconds": round(seconds, 1),
            "software": rendering.software(),
        }
        files.write_whole(out, f"{json.dumps(report, indent=2)}\n".encode())


@dataclasses.dataclass(frozen=True)
class _Side:
    """What one side of a comparison is.

    Attributes:
      num: pictures.
      batches: makes them.
      runs: how many that follow each other are of one photograph; None for one each.
      line: says what they are, to people.
      facts: and in a file.
    """

    num: int
    batches: Callable[[], Iterator[np.ndarray]]
    runs: np.ndarray | None
    line: str
    facts: Mapping[str, Any]


def _sides(
    args: argparse.Namespace, view: "View | None", painting: Mapping[str, float]
) -> dict[str, _Side]:
    """Both sides of the comparison, nothing painted or seen yet."""
    from infinitygan_jax.evaluation.photographs import View

    bundle = _bundle(args.samples)
    if bundle is None:
        if painting or args.painted or args.level is not None:
            raise UserError(
                "--truncation, --noise_scale, --painted and --zoom are of models, and "
                f"{args.samples} is a folder of pictures; leave them out"
            )
        view = view or View()
    else:
        zoom = _zoom(args, bundle)
        own = View.of(bundle.config).closer(zoom)
        view = dataclasses.replace(view, flip=own.flip) if view else own
    view = dataclasses.replace(view, whole=args.full)
    if bundle is None:
        samples = _photographs(args, "samples", view)
    else:
        samples = _samples(args, bundle, painting, zoom)
    return {"samples": samples, "data": _photographs(args, "data", view)}


def _zoom(args: argparse.Namespace, bundle: "Bundle") -> int:
    """How many times as large samples are seen.

    Raises:
      ValueError: the model has no detail synthesizer, or they would be too large.
    """
    if args.level is None:
        return 1
    zoom, full_size = 1 << -args.level, bundle.config.data.full_size
    if bundle.detail is None:
        raise UserError(
            f"--zoom ({zoom}) needs a model with a detail synthesizer, and this one "
            "has none; leave it out, or join one by python -m "
            "infinitygan_jax.cli.export --detail"
        )
    if full_size * zoom > _MOST_SIZE:
        most = 1 << max(_MOST_SIZE // full_size, 1).bit_length() - 1
        raise UserError(
            f"--zoom ({zoom}) must leave whole pictures at most {_MOST_SIZE} px a "
            f"side; use {most}"
        )
    return zoom


def _out(args: argparse.Namespace) -> pathlib.Path | None:
    if args.out is None:
        return None
    out = pathlib.Path(args.out)
    files.check_target(out, _SUFFIX)
    files.check_free(out, args.overwrite)
    return out


def _check_numbers(args: argparse.Namespace, size: int | None) -> None:
    from infinitygan_jax import fields
    from infinitygan_jax.evaluation import distances, judge

    least, most = distances.GROUPS, judge.MOST_PICTURES
    if not least <= args.num <= most:
        raise UserError(
            f"--num ({args.num}) must be from {least}, which the kernel distance "
            f"needs, to {most}; use e.g. 5000"
        )
    fields.check_seed(args.seed, "--seed")
    if size is not None and not judge.LEAST_SIZE <= size <= _MOST_SIZE:
        raise UserError(
            f"--size ({size}) must be from {judge.LEAST_SIZE}, below which the feature "
            f"network sees little, to {_MOST_SIZE}; use e.g. 101"
        )


def _view(args: argparse.Namespace) -> "View | None":
    from infinitygan_jax.evaluation.photographs import View

    if args.view is None:
        return None
    numbers = options.whole_numbers(args.view, "N/N", 5)
    if not numbers:
        raise UserError(
            f"--view ({args.view}) must be PATCH/FULL in pixels of up to 5 digits; "
            "write e.g. 101/197"
        )
    patch_size, full_size = numbers
    return View(patch_size, full_size)


def _bundle(name: str) -> "Bundle | None":
    """The model of this name; None where it is a source of pictures."""
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.models.generator import check_params
    from infinitygan_jax.training import stored

    path = files.run_at(name)[0]
    is_workdir = any(
        (path / part).exists() for part in (files.RUN_SETTINGS, files.RUN_CHECKPOINTS)
    )
    is_model = name in bundle_lib.bundled_names() or path.suffix == bundle_lib.SUFFIX
    if not (is_model or is_workdir):
        if not path.exists() and not re.search(r"^\w+:|\[.*\]$", name):
            raise UserError(
                f"CHECKPOINT|FOLDER ({name}) must be a bundled model "
                f"({', '.join(bundle_lib.bundled_names())}), a {bundle_lib.SUFFIX} "
                "file, a workdir or a folder of pictures, and there is none of this "
                "name; give another"
            )
        return None
    bundle = stored.load_bundle(name)
    check_params(bundle.config.model, bundle.generator)
    return bundle


def _photographs(args: argparse.Namespace, option: str, view: "View") -> _Side:
    """The side of a folder of pictures."""
    from infinitygan_jax.data import sources
    from infinitygan_jax.evaluation import distances, judge, photographs

    given = getattr(args, option)
    report = _checked(given, view)
    source, name = report.source, os.path.basename(os.path.realpath(given))
    distances.check_count(f"folder ({given})", len(source))
    num = photographs.num_views(source, view, args.num)
    what = f"whole pictures of {view.side} px"
    if not view.whole:
        what = f"patches of {view.patch_size} px of {view.full_size}"

    def batches() -> Iterator[np.ndarray]:
        views = photographs.views(
            source, view, num, seed=args.seed, stream=_STREAMS[option]
        )
        return judge.batched(views)

    facts = {
        "kind": "photographs",
        "name": name,
        "photographs": len(source),
        "skipped": len(report.skipped),
        "fingerprint": sources.fingerprint(source),
        "pictures": num,
        "view": dataclasses.asdict(view),
    }
    line = f"{name}: {num:,} {what}, of {len(source):,} pictures"
    runs = photographs.num_of_each(source, view, num)
    return _Side(num, batches, runs, line, facts)


def _checked(given: str, view: "View") -> "SourceReport":
    """The usable pictures of a folder; one line on stderr says what is skipped."""
    from infinitygan_jax.data import sources

    with _quiet(sources.logger):  # it names each
        report = sources.check_source(sources.open_source(given), view.patch_size)
    if report.skipped:
        first = report.skipped[0]
        print(
            f"skipping {len(report.skipped)} of {report.num_checked} pictures of "
            f"{given}; the first, {first.name}, {first.reason}",
            file=sys.stderr,
        )
    return report


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _samples(
    args: argparse.Namespace,
    bundle: "Bundle",
    painting: Mapping[str, float],
    zoom: int,
) -> _Side:
    """The side of a model."""
    from infinitygan_jax.evaluation import enlarging, samples

    model, full = bundle.config.model, bundle.config.data.full_size
    said = {name: getattr(model, name) if args.painted else 1.0 for name in PAINTING}
    said |= painting
    what = f"whole pictures of {full} px"
    if not args.full:
        what = f"patches of {model.patch_size} px of {full}"
    if zoom > 1:
        what += f", {zoom} times as large with detail"

    def batches() -> Iterator[np.ndarray]:
        made = samples.samples(
            bundle.config,
            bundle.generator,
            args.num,
            seed=args.seed,
            whole=args.full,
            **said,
        )
        detail = bundle.detail
        if zoom == 1 or detail is None:
            return made
        how = detail.config.detail, detail.params, zoom, args.seed
        return enlarging.closer(made, *how)

    facts = {
        "kind": "model",
        "name": bundle.config.name,
        "file": options.checkpoint_name(args.samples),
        "digest": bundle.digest,
        "step": bundle.info.get("step", ""),
        "pictures": args.num,
        "whole": args.full,
        "zoom": zoom,
        **said,
    }
    step = f" at step {facts['step']}" if facts["step"] else ""
    how = ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in said.items())
    line = f"{facts['name']}{step}: {args.num:,} {what}, {how}"
    return _Side(args.num, batches, None, line, facts)


def _table(comparison: "Comparison", channels: int) -> str:
    kernel = comparison.kernel
    rows = [
        ("measure", "value", "standard error"),
        (
            "kernel distance x 1000",
            f"{1000 * kernel.value:.2f}",
            f"{1000 * kernel.error:.2f}",
        ),
        ("Frechet distance", f"{comparison.frechet:.2f}", ""),
    ]
    lines = [f"{name:24}{value:>10}  {error}".rstrip() for name, value, error in rows]
    if not comparison.full_rank:
        lines.append(
            f"Frechet distance: a side has fewer than {channels + 1:,} pictures, so it "
            "is far too large; compare it only with others of as few"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    errors.run(main)
