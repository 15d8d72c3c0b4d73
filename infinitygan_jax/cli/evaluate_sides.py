"""What ``evaluate`` compares: samples of a model, or pictures of a folder."""

import argparse
import contextlib
import dataclasses
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from infinitygan_jax import files
from infinitygan_jax.cli import options
from infinitygan_jax.config import PAINTING
from infinitygan_jax.messages import UserError

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.bundle import Bundle
    from infinitygan_jax.data.sources import SourceReport
    from infinitygan_jax.evaluation.photographs import View

MOST_SIZE = 2048  # pixels a side of what is compared
_STREAMS = {"data": 0, "samples": 1}  # of what is drawn for each side


@dataclasses.dataclass(frozen=True)
class Side:
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


def sides_of(
    args: argparse.Namespace, view: "View | None", painting: Mapping[str, float]
) -> dict[str, Side]:
    """Both sides of the comparison, nothing painted or seen yet.

    Args:
      args: of the command.
      view: how photographs are cut, where that is said (`view_of`).
      painting: what is said of truncation and noise scale.

    Raises:
      ValueError: an option does not fit, or what a side names cannot be used.
    """
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
    if full_size * zoom > MOST_SIZE:
        most = 1 << max(MOST_SIZE // full_size, 1).bit_length() - 1
        raise UserError(
            f"--zoom ({zoom}) must leave whole pictures at most {MOST_SIZE} px a "
            f"side; use {most}"
        )
    return zoom


def view_of(args: argparse.Namespace) -> "View | None":
    """What ``--view`` says.

    Raises:
      ValueError: it is not PATCH/FULL.
    """
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


def _photographs(args: argparse.Namespace, option: str, view: "View") -> Side:
    """The side of a folder of pictures."""
    from infinitygan_jax.data import sources
    from infinitygan_jax.evaluation import distances, judge, photographs

    given = getattr(args, option)
    report = checked(given, view)
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
    return Side(num, batches, runs, line, facts)


def checked(given: str, view: "View") -> "SourceReport":
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
) -> Side:
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
    return Side(args.num, batches, None, line, facts)
