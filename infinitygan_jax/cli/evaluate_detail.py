"""``evaluate --enlarge``: photographs, reduced and enlarged, beside themselves."""

import argparse
import json
import os
import pathlib
import time

from infinitygan_jax import files
from infinitygan_jax.cli import errors, evaluate_sides, progress, rendering
from infinitygan_jax.config import PAINTING
from infinitygan_jax.messages import UserError

_MOST_FACTOR = 8


def check(args: argparse.Namespace) -> None:
    """Checks the options, before anything is loaded.

    Raises:
      ValueError: one does not fit.
    """
    enlarge = args.enlarge
    if not 2 <= enlarge <= _MOST_FACTOR or enlarge & (enlarge - 1):
        raise UserError(
            f"--enlarge ({enlarge}) must be 2, 4 or 8, as detail doubles the size each "
            "time; use 4"
        )
    names = ("view", "size", "painted", *PAINTING)
    given = {"zoom": args.level, **{name: getattr(args, name) for name in names}}
    for name, value in given.items():
        if value is not None and value is not False:
            raise UserError(
                f"--{name} does not go with --enlarge, which sees its own crops of "
                "photographs; leave it out"
            )


def run(args: argparse.Namespace, out: pathlib.Path | None) -> None:
    """Compares photographs that were reduced and enlarged with themselves.

    Args:
      args: of the command.
      out: a file for figures and settings.

    Raises:
      ValueError: the model has no detail synthesizer, or photographs are too few.
    """
    from infinitygan_jax import devices
    from infinitygan_jax.data import sources
    from infinitygan_jax.evaluation import distances, enlarging, judge, photographs
    from infinitygan_jax.models import features
    from infinitygan_jax.training import stored

    part = stored.load_detail(args.samples)
    devices.prepare()
    network = features.load(judge.NETWORK)
    view = photographs.View(enlarging.CROP, enlarging.FULL_SIZE)
    source = evaluate_sides.checked(args.data, view).source
    distances.check_count(f"folder ({args.data})", len(source))
    config = part.config.detail
    makers: dict[str, enlarging.Enlarge | None] = {
        "photographs": None,
        enlarging.DETAIL: enlarging.by_detail(config, part.params, args.seed),
        **enlarging.FILTERS,
    }
    runs = photographs.num_of_each(source, view, args.num)
    start = time.perf_counter()
    total = args.num * len(makers)
    with errors.stoppable() as stop_if_asked, progress.bar(total, "picture") as bar:

        def on_pictures(num: int) -> None:
            stop_if_asked()
            bar.update(num)

        measured = {}
        for name, maker in makers.items():
            crops = enlarging.crops(source, args.num, args.seed, args.enlarge, maker)
            measured[name] = judge.measure(
                network, judge.batched(crops), enlarging.CROP, on_pictures, runs
            )
    real = measured.pop("photographs")
    seconds = time.perf_counter() - start
    compared = {name: judge.compare(each, real) for name, each in measured.items()}
    name = os.path.basename(os.path.realpath(args.data))
    print(
        f"{name}: {args.num:,} crops of {enlarging.CROP} px of {enlarging.FULL_SIZE}, "
        f"of {len(source):,} photographs reduced by {args.enlarge} and enlarged"
    )
    print(f"seen by {network.name}, seed {args.seed}\n")
    rows = [
        ("", "kernel distance x 1000", "standard error", "Frechet distance"),
        *(
            (
                each,
                f"{1000 * comparison.kernel.value:.2f}",
                f"{1000 * comparison.kernel.error:.2f}",
                f"{comparison.frechet:.2f}",
            )
            for each, comparison in compared.items()
        ),
    ]
    for row in rows:
        print("{:20}{:>24}{:>16}{:>18}".format(*row).rstrip())
    if out is not None:
        report = {
            "enlarge": args.enlarge,
            "photographs": len(source),
            "fingerprint": sources.fingerprint(source),
            "crops": args.num,
            "network": network.name,
            "seed": args.seed,
            **{
                each: {
                    "kernel_distance_x1000": 1000 * comparison.kernel.value,
                    "kernel_distance_x1000_error": 1000 * comparison.kernel.error,
                    "frechet_distance": comparison.frechet,
                }
                for each, comparison in compared.items()
            },
            "seconds": round(seconds, 1),
            "software": rendering.software(),
        }
        files.write_whole(out, f"{json.dumps(report, indent=2)}\n".encode())
