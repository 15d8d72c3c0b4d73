"""How well pictures are inverted: ``python -m benchmarks.inversion --photographs DIR``.

Photographs, cut and reduced as in training, and windows of the model's own worlds
around the horizon; one at a time and all at once. Compiling is left out of the times.
"""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import devices
from infinitygan_jax.cli import invert as command
from infinitygan_jax.data import crops, sources
from infinitygan_jax.inversion import invert, perceptual
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.inversion.settings import PUBLISHED, Settings
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import world as world_lib
from infinitygan_jax.training import stored

Pictures = list[UInt8[np.ndarray, "h w 3"]]


def photographs(folder: str, count: int, size: int) -> Pictures:
    """The last of a folder, centre cut out, reduced to ``size``."""
    source = sources.open_source(folder)
    if len(source) < count:
        raise UserError(f"--photographs ({folder}) has {len(source)}; use as --count")
    indices = range(len(source) - count, len(source))
    return [crops.prepare(source.read(index), size) for index in indices]


def own_samples(bundle: bundle_lib.Bundle, count: int, size: int) -> Pictures:
    """Windows of seeds 0, 1, ... with the horizon in the middle."""
    top = invert.default_top(size, None, bundle.config.model.num_stages)
    model, params = bundle.config.model, bundle.generator
    worlds = (world_lib.World(model, params, seed=seed) for seed in range(count))
    return [world[top : top + size, 0:size] for world in worlds]


def measure(
    bundle: bundle_lib.Bundle,
    pictures: Pictures,
    settings: Settings,
    distance: perceptual.Distance | None,
    at_once: int,
) -> tuple[list[Inversion], float]:
    """Inversions and seconds a picture."""
    groups = [pictures[i : i + at_once] for i in range(0, len(pictures), at_once)]
    one_step = dataclasses.replace(settings, steps=1)
    for size in {len(group) for group in groups}:  # compiles
        invert.invert(bundle, pictures[:size], settings=one_step, distance=distance)
    start = time.perf_counter()
    found = []
    for group in groups:
        found += invert.invert(bundle, group, settings=settings, distance=distance)
    return found, (time.perf_counter() - start) / len(pictures)


def row(name: str, found: Sequence[Inversion], seconds: float) -> str:
    """A row of the table."""
    psnr, look, style = (
        np.array([each.figures[key] for each in found])
        for key in ("psnr", "perceptual", "mahalanobis")
    )
    return (
        f"| {name} | {psnr.mean():.1f} dB | {psnr.min():.1f} dB | {look.mean():.4f} | "
        f"{style.mean():.1f} | {seconds:.1f} s |"
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", metavar="DIR", help="without it, none")
    parser.add_argument("--checkpoint", default="landscape_lite")
    parser.add_argument("--count", type=int, default=16, help="of each kind")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--steps", type=int, help="default: the command's")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--published", action="store_true", help="published settings")
    parser.add_argument("--lpips", action="append", default=[], metavar="FILE")
    parser.add_argument("--at_once", choices=("one", "all", "both"), default="both")
    args = parser.parse_args()
    devices.prepare()
    bundle = stored.load_bundle(args.checkpoint)
    distance = perceptual.distance_of(bundle, args.lpips, args.checkpoint)
    base = PUBLISHED if args.published else Settings()
    settings = command.settings_of(args.steps, args.set, base)
    kinds = {"own samples": own_samples(bundle, args.count, args.size)}
    if args.photographs:
        name = f"photographs ({pathlib.Path(args.photographs).name})"
        kinds[name] = photographs(args.photographs, args.count, args.size)
    device = jax.local_devices()[0].device_kind
    print(
        f"{bundle.config.name} ({bundle.digest[:12]}), {args.count} of {args.size} px, "
        f"{settings.steps} steps, {device}, perceptual by {distance.name}\n"
    )
    print("| pictures | PSNR | least | perceptual | Mahalanobis | a picture |")
    print("|---|---|---|---|---|---|")
    for name, pictures in kinds.items():
        for at_once in {"one": (1,), "all": (args.count,)}.get(
            args.at_once, (1, args.count)
        ):
            found, seconds = measure(bundle, pictures, settings, distance, at_once)
            print(row(f"{name}, {at_once} at once", found, seconds), flush=True)


if __name__ == "__main__":
    main()
