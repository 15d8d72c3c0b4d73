"""What edits cost: ``python -m benchmarks.edits``.

A window is painted without edits, and with many of them spread over it or over a larger
part of the world. Seconds and CPU time; compiling is left out, and each time is a new
world's, which has neither styles nor overlays yet. Cases take turns, so that what else
the machine does meets all of them.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import devices
from infinitygan_jax.inversion.place import Place, default_span
from infinitygan_jax.inversion.placement import placement_of
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.sampling import world as world_lib
from infinitygan_jax.sampling.edits.edit import Edit
from infinitygan_jax.sampling.edits.pin import Pin
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.looks import Looks
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Seed
from infinitygan_jax.training import stored


def inverted(bundle: bundle_lib.Bundle, side: int) -> Inversion:
    """A picture of an edit's size, of random latents and colours."""
    rng = np.random.default_rng(1)
    model = bundle.config.model
    place = Place(0, 0, side, side, model.num_stages)
    look = Looks(model, bundle.generator)[Seed(100)]

    shapes = place.shapes(model.z_local_size)
    return Inversion(
        *look,
        z_local=rng.standard_normal(shapes.z_local, np.float32),
        noise=tuple(rng.standard_normal(each, np.float32) for each in shapes.noise),
        image=rng.integers(256, size=(side, side, 3), dtype=np.uint8),
        mask=np.ones((side, side), bool),
        top=0,
        left=0,
        vertical_span=default_span(model),
        digest=bundle.digest,
        model_name=bundle.config.name,
    )


def spread(
    count: int,
    side: int,
    window: Window,
    times: int,
    make: Callable[[int, int, int], Edit],
) -> tuple[Edit, ...]:
    """Edits at random places of a part of the world around a window.

    Args:
      count: how many.
      side: pixels of each.
      window: that is painted.
      times: the part has this many times the window's area, a square number.
      make: gives an edit, from its number, row and column.
    """
    rng = np.random.default_rng(0)
    scale = round(times**0.5)
    found = []
    for index in range(count):
        place = rng.random(2) * scale - (scale - 1) / 2
        top = window.top + round(place[0] * (window.height - side))
        left = window.left + round(place[1] * (window.width - side))
        found.append(make(index, top, left))
    return tuple(found)


def kinds(
    bundle: bundle_lib.Bundle, count: int, side: int, styles: int
) -> dict[str, Callable[[int, int, int], Edit]]:
    """What makes the edits of each kind of case, by its name."""
    model, picture = bundle.config.model, inverted(bundle, side)

    def resampled(index: int, top: int, left: int) -> Edit:
        return Resample(Region(top, left, side, side), 1000 + index)

    def pinned(index: int, top: int, left: int) -> Edit:
        if not index % 2:
            return resampled(index, top, left)
        return Pin(Region(top, left, side, side), Seed(100 + index % styles), side)

    def placed(exact: bool, index: int, top: int, left: int) -> Edit:
        cell = model.cell_size
        top, left = top // cell * cell, left // cell * cell
        return placement_of(picture, model, top, left, side, exact)

    half = count // 2
    return {
        f"{count} resampled": resampled,
        f"{half} resampled, {half} pinned to {styles} styles": pinned,
        f"{count} placed, not exact": functools.partial(placed, False),
        f"{count} placed": functools.partial(placed, True),
    }


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
            # Without styles and overlays yet.
            world = dataclasses.replace(world)
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
    parser.add_argument("--side", type=int, default=32, help="pixels of each")
    parser.add_argument("--styles", type=int, default=16, help="that are pinned")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    devices.prepare()
    bundle = stored.load_bundle(args.checkpoint)
    window = Window(-(args.height // 2), 0, args.height, args.width)
    made = kinds(bundle, args.count, args.side, args.styles)
    cases = {"none": ()}
    for times, where in ((1, "in the window"), (16, "in 16 times its area")):
        for what, make in made.items():
            cases[f"{what}, {where}"] = spread(
                args.count, args.side, window, times, make
            )
    worlds = [
        world_lib.World(bundle.config.model, bundle.generator, scene=Scene(edits=edits))
        for edits in cases.values()
    ]
    wall, cpu = measure(worlds, window, args.repeats)
    device = jax.local_devices()[0].device_kind
    print(
        f"{bundle.config.name}, {args.width}x{args.height} px, edits of "
        f"{args.side}x{args.side}, {device}, the best of {args.repeats}\n"
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
