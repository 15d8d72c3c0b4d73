"""``python -m infinitygan_jax.cli.evaluate CHECKPOINT --data FOLDER``: a judge."""

import argparse
import json
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infinitygan_jax import files
from infinitygan_jax.cli import (
    errors,
    evaluate_detail,
    evaluate_sides,
    options,
    progress,
    rendering,
    world_options,
)
from infinitygan_jax.messages import UserError
from infinitygan_jax.seed_range import check_seed

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax.evaluation.judge import Comparison

_SUFFIX = ".json"


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
        evaluate_detail.run(args, out)
        return

    from infinitygan_jax import devices
    from infinitygan_jax.evaluation import judge
    from infinitygan_jax.evaluation.photographs import View
    from infinitygan_jax.models import features

    size = View(whole=args.full).side if args.size is None else args.size
    _check_numbers(args, size)
    view = evaluate_sides.view_of(args)
    devices.prepare()
    network = features.load(judge.NETWORK)  # before photographs are decoded for long
    sides = evaluate_sides.sides_of(args, view, painting)

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


def _out(args: argparse.Namespace) -> pathlib.Path | None:
    if args.out is None:
        return None
    out = pathlib.Path(args.out)
    files.check_target(out, _SUFFIX)
    files.check_free(out, args.overwrite)
    return out


def _check_numbers(args: argparse.Namespace, size: int | None) -> None:
    from infinitygan_jax.evaluation import distances, judge

    least, most = distances.GROUPS, judge.MOST_PICTURES
    if not least <= args.num <= most:
        raise UserError(
            f"--num ({args.num}) must be from {least}, which the kernel distance "
            f"needs, to {most}; use e.g. 5000"
        )
    check_seed(args.seed, "--seed")
    if size is not None and not judge.LEAST_SIZE <= size <= evaluate_sides.MOST_SIZE:
        raise UserError(
            f"--size ({size}) must be from {judge.LEAST_SIZE}, below which the feature "
            f"network sees little, to {evaluate_sides.MOST_SIZE}; use e.g. 101"
        )


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
