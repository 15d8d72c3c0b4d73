"""What edits cost: ``python -m benchmarks.edits``.

A window is painted without edits, and with many of them spread over it or over a larger
part of the world. Seconds and CPU time; compiling is left out. Cases take turns, so
that what else the machine does meets all of them.
"""

import argparse
import time
from collections.abc import Sequence

import jax
import numpy as np

from infinitygan_jax import devices
from infinitygan_jax.sampling import world as world_lib
from infinitygan_jax.sampling.edits import Pin, Region, Resample
from infinitygan_jax.sampling.painter import Scene
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.styles import Seed

SIDE = 32  # pixels of an edit


def spread(
    count: int, window: Window, pins: bool, styles: int, times: int
) -> tuple[Resample | Pin, ...]:
    """Edits at random places of a part of the world around a window.

    Args:
      count: how many.
      window: that is painted.
      pins: every second one pins a style.
      styles: how many different ones.
      times: the part has this many times the window's area, a square number.
    """
    rng = np.random.default_rng(0)
    scale = round(times**0.5)
    found: list[Resample | Pin] = []
    for index in range(count):
        place = rng.random(2) * scale - (scale - 1) / 2
        top = window.top + round(place[0] * (window.height - SIDE))
        left = window.left + round(place[1] * (window.width - SIDE))
        region = Region(top, left, SIDE, SIDE)
        if pins and index % 2:
            found.append(Pin(region, Seed(100 + index % styles), SIDE))
        else:
            found.append(Resample(region, 1000 + index))
    return tuple(found)


def measure(
    worlds: Sequence[world_lib.World], window: Window, repeats: int
) -> tuple[np.ndarray, np.ndarray]:
    """Least seconds and least CPU seconds of each world."""
    for world in worlds:
        list(world.strips(window))  # compiles
    wall = np.full(len(worlds), np.inf)
    cpu = wall.copy()
    for _ in range(repeats):
        for index, world in enumerate(worlds):
            start = time.perf_counter(), time.process_time()
            list(world.strips(window))
            wall[index] = min(wall[index], time.perf_counter() - start[0])
            cpu[index] = min(cpu[index], time.process_time() - start[1])
    return wall, cpu


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="landscape_lite")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--count", type=int, default=1000, help="edits")
    parser.add_argument("--styles", type=int, default=16, help="that are pinned")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    devices.keep_compiled()
    bundle = world_lib.load_bundle(args.checkpoint)
    window = Window(-(args.height // 2), 0, args.height, args.width)
    each, half = f"{args.count} resampled", args.count // 2
    both = f"{half} resampled, {half} pinned to {args.styles} styles"
    cases = {"none": ()}
    for times, where in ((1, "in the window"), (16, "in 16 times its area")):
        for pins, what in ((False, each), (True, both)):
            edits = spread(args.count, window, pins, args.styles, times)
            cases[f"{what}, {where}"] = edits
    worlds = [
        world_lib.World(bundle.config.model, bundle.generator, scene=Scene(edits=edits))
        for edits in cases.values()
    ]
    wall, cpu = measure(worlds, window, args.repeats)
    device = jax.local_devices()[0].device_kind
    print(
        f"{bundle.config.name}, {args.width}x{args.height} px, edits of {SIDE}x{SIDE}, "
        f"{device}, the best of {args.repeats}\n"
    )
    print("| edits | seconds | CPU seconds | ratio | of CPU |")
    print("|---|---|---|---|---|")
    for name, one, two in zip(cases, wall, cpu, strict=True):
        print(
            f"| {name} | {one:.2f} | {two:.2f} | {one / wall[0]:.2f} | "
            f"{two / cpu[0]:.2f} |"
        )


if __name__ == "__main__":
    main()
