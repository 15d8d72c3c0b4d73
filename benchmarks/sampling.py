"""Painting's rate by the machine's: ``python -m benchmarks.sampling``.

Four sections, all of them unless ``--only`` names some: a picture on several devices;
whole commands beside the devices' own time for the same tiles; commands that show one
landscape, with detail; the tile function over tile sizes and batches. The machine's
matrix-product rate is measured around each figure, in the same run, as other programs
may take their share of it at any time.
"""

import argparse
import collections
import dataclasses
import functools
import hashlib
import importlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import machine
from infinitygan_jax import config as config_lib
from infinitygan_jax import coords, devices, writers
from infinitygan_jax.models.generator import init_generator
from infinitygan_jax.sampling import costs, estimates, frame
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling import world as world_lib
from infinitygan_jax.sampling.painter import Painter
from infinitygan_jax.sampling.setup import Setup
from infinitygan_jax.training import stored
from infinitygan_jax.writers import layout, parts

MODELS = ("landscape", "landscape_lite")
NARROW = "landscape_lite"  # is fast enough for many cases and whole pictures
TILES = (256, 512, 1024)  # of the narrow model, each with
BATCHES = (1, 2, 4)
# The sides are multiples of the tiles'. One is large, as starting up weighs on others.
PICTURES = (
    "4096x4096.png",
    "4096x4096.tif",
    "4096x4096.dzi",
    "4096x4096.zarr",
    "8192x8192.tif",
)
# In this order: once this process uses an accelerator, others may find no room on it,
# and only the last section paints in this process.
SECTIONS = ("devices", "command", "landscape", "tiles")
LANDSCAPES = ("4096x4096", "1024x512")
ONE_SHOT = 1024  # pixels a side of the picture whose operations are compared
_FORCED = "--xla_force_host_platform_device_count"

# A process starts with its parent's peak memory as its own, so a small one must watch.
_WATCH = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(status != 0)
"""


def random_params(model: config_lib.ModelConfig) -> dict:
    """Normal parameters of the generator's shapes; their values cost no time."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: init_generator(model, key), jax.random.key(0))
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes
    )


def cases(
    name: str, tile_sizes: Sequence[int] | None, batch_sizes: Sequence[int] | None
) -> list[tuple[int | None, int]]:
    """Tile sizes (None: the model's) and batches of a model, from what is asked for."""
    if not (tile_sizes or batch_sizes or name != NARROW):
        tile_sizes, batch_sizes = TILES, BATCHES
    return list(itertools.product(tile_sizes or [None], batch_sizes or [1]))


def _painter_of(
    model: config_lib.ModelConfig,
    params: dict,
    tile_size: int,
    some: Sequence[jax.Device],
) -> Painter:
    as_trained = coords.trained_frame(model.vertical_starts)
    return Painter(Setup(model, tile_size, tuple(some), as_trained), params)


def measure(name: str, tile_size: int | None, batch_size: int, rounds: int) -> None:
    """Prints the rates of one model on the first device."""
    module = importlib.import_module(f"configs.{name}")
    model = config_lib.from_mapping(module.get_config()).model
    tile_size = tile_size or costs.default_tile_size(model)
    planning.check_tile_size(tile_size, model)
    params = random_params(model)
    painter = _painter_of(model, params, tile_size, jax.devices()[:1])
    batch = [planning.Tile(0, index) for index in range(batch_size)]
    paint = functools.partial(painter.paint, batch)
    operations = batch_size * costs.operations(model, tile_size, tile_size)
    rates, products = _rounds(paint, operations, rounds)
    best, product = rates.max(axis=0)[0], products.max(axis=0)[0]
    pixels = best / operations * batch_size * tile_size**2 * 1e3
    print(f"{name}: tile {tile_size}, batch {batch_size}, {model.dtype}")
    print(f"  painting        {best:8.1f} GFLOP/s, {pixels:.3f} megapixels/s")
    print(f"  matrix product  {product:8.1f} GFLOP/s")
    print(f"  share           {_share(rates[:, 0], products[:, 0])}")
    if jax.default_backend() == "cpu":
        # Where other programs run too, this says more.
        print(f"  by CPU time     {_share(rates[:, 1], products[:, 1])}")
    plan = planning.Plan(planning.Window(0, 0, ONE_SHOT, ONE_SHOT), tile_size)
    least = costs.window_operations(plan, model)
    more = 100 * costs.tile_operations(plan, model) / least - 100
    print(
        f"  operations      {more:8.0f} % above one shot at {ONE_SHOT} px", flush=True
    )


def _clocks() -> np.ndarray:
    """Seconds, and this program's seconds of CPU time."""
    return np.array([time.perf_counter(), time.process_time()])


def _rounds(
    paint: Callable[[], Any], operations: int, rounds: int
) -> tuple[np.ndarray, np.ndarray]:
    """GFLOP/s of painting and of the matrix product, in turns.

    Returns:
      Two arrays (rounds, 2) and (rounds + 1, 2): by wall and by CPU time.
    """
    rates, products = [], []
    for _ in range(rounds):
        products.append(machine.matmul_rate(clock=_clocks))
        seconds = machine.best_seconds(paint, repeats=2, clock=_clocks)
        rates.append(operations / 1e9 / seconds)
    products.append(machine.matmul_rate(clock=_clocks))
    return np.stack(rates), np.stack(products)


def _share(rates: np.ndarray, products: np.ndarray) -> str:
    shares = 200 * rates / (products[:-1] + products[1:])
    best = 100 * rates.max() / products.max()
    return f"{best:8.0f} % (by round {', '.join(f'{each:.0f}' for each in shares)})"


def command_cost(
    size: str, checkpoint: str, ending: str = "png", *options: str
) -> tuple[float, float]:
    """Seconds from command to file, and peak memory in MB, of ``run_sample.py``."""
    script = pathlib.Path(__file__).parents[1] / "run_sample.py"
    with tempfile.TemporaryDirectory() as folder:
        out = str(pathlib.Path(folder) / f"picture.{ending}")
        command = [sys.executable, str(script), "--size", size, "--out", out, *options]
        command = [sys.executable, "-c", _WATCH, *command, "--checkpoint", checkpoint]
        start = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if result.returncode:
            raise SystemExit(f"run_sample.py --size {size} failed: {result.stderr}")
    return seconds, int(result.stdout.split()[-1]) / 1024  # Linux counts it in KiB


def measure_commands(checkpoint: str, pictures: Sequence[str]) -> None:
    """Prints what whole commands cost, beside the devices' time for the same tiles.

    The devices' before and after each command: the machine's rate wanders.
    """
    former, after = None, {}
    for picture in pictures:
        size, _, ending = picture.partition(".")
        height, width = _sides(size)
        order = size, _part_width(width, ending)
        before = after
        if order != former:
            before = _paint_in_process(checkpoint, height, width, 1, ending)
        seconds, memory = command_cost(size, checkpoint, ending, "--zoom", "1")
        after = _paint_in_process(checkpoint, height, width, 1, ending)
        former = order
        alone, product = (
            (before[name] + after[name]) / 2 for name in ("wall", "product")
        )
        rates = [before["operations"] / 1e9 / each for each in (seconds, alone)]
        print(f"run_sample.py --size {size} --out picture.{ending}")
        print(
            f"  command to file {seconds:8.1f} s, {memory:.0f} MB at most: "
            f"{_speeds(height * width, seconds, rates[0], product)}"
        )
        print(
            f"  device only     {alone:8.1f} s: "
            f"{_speeds(height * width, alone, rates[1], product)}"
        )
        print(f"  one by the other{seconds / alone:8.2f}", flush=True)


def measure_landscapes(checkpoint: str, sizes: Sequence[str]) -> None:
    """Prints what commands without a zoom cost, which show one landscape."""
    for size in sizes:
        height, width = _sides(size)
        before = _in_process(f"count{(checkpoint, height, width)!r}")
        seconds, memory = command_cost(size, checkpoint)
        after = _in_process(f"count{(checkpoint, height, width)!r}")
        product = (before["product"] + after["product"]) / 2
        rate = before["tiled"] / 1e9 / seconds
        print(f"run_sample.py --size {size}, at --zoom {before['zoom']}")
        print(
            f"  command to file {seconds:8.1f} s, {memory:.0f} MB at most: "
            f"{_speeds(height * width, seconds, rate, product)}"
        )
        more = 100 * before["tiled"] / before["at_once"] - 100
        each = before["tiled"] / height / width / 1e3
        print(
            f"  operations      {each:8.0f} kFLOP a pixel, {more:.0f} % above one shot",
            flush=True,
        )


def count(checkpoint: str, height: int, width: int) -> None:
    """Prints the operations of a picture of one landscape, and the machine's rate."""
    bundle = stored.load_bundle(checkpoint)
    level = frame.landscape_level(bundle.config.model, height)
    detail = world_lib.detail_of(bundle)
    window = planning.Window(-(height // 2), 0, height, width)
    world = world_lib.World(
        bundle.config.model, bundle.generator, level=level, detail=detail
    )
    size = estimates.fitting_tile_size(world, window)  # as run_sample.py does
    world = dataclasses.replace(world, tile_size=size)
    tiled, at_once = estimates.operations(world, window)
    found = {"tiled": tiled, "at_once": at_once, "zoom": 1 << -level}
    print(json.dumps({**found, "product": float(machine.matmul_rate())}))


def _speeds(pixels: int, seconds: float, rate: float, product: float) -> str:
    return (
        f"{pixels / 1e6 / seconds:.2f} megapixels/s, {rate:.1f} GFLOP/s, "
        f"{100 * rate / product:.0f} % of the matrix product's {product:.1f}"
    )


def measure_devices(checkpoint: str, numbers: Sequence[int], side: int) -> None:
    """Prints what a picture costs on so many devices, and whether it is the same."""
    first = None
    for number in numbers:
        cost = _paint_in_process(checkpoint, side, side, number, digest=True)
        first = first or cost
        same = "the same bytes" if cost["digest"] == first["digest"] else "OTHER BYTES"
        rate = cost["operations"] / 1e9 / cost["wall"]
        print(f"{side}x{side}, device only, on {number} devices")
        print(f"  {_speeds(side**2, cost['wall'], rate, cost['product'])}")
        print(
            f"  {cost['cpu']:.1f} s of CPU time ({cost['cpu'] / first['cpu']:.2f} of "
            f"the first), {same}",
            flush=True,
        )


def _in_process(call: str, number: int = 1) -> dict[str, Any]:
    """What one of this module's functions prints as JSON, in a process of its own.

    Args:
      call: of the function.
      number: devices that a CPU pretends to have.
    """
    environment = dict(os.environ)
    others = environment.get("XLA_FLAGS", "").split()
    others = [flag for flag in others if _FORCED not in flag]
    environment["XLA_FLAGS"] = " ".join([*others, f"{_FORCED}={number}"])
    result = subprocess.run(
        [sys.executable, "-c", f"from benchmarks import sampling; sampling.{call}"],
        env=environment,
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise SystemExit(f"{call} on {number} devices failed: {result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def describe() -> None:
    """Prints which devices there are."""
    found = jax.local_devices()
    kind = found[0].device_kind
    number = len(found)
    print(json.dumps({"kind": kind, "number": number, "platform": found[0].platform}))


def _paint_in_process(
    checkpoint: str,
    height: int,
    width: int,
    number: int,
    ending: str = "png",
    digest: bool = False,
) -> dict[str, Any]:
    arguments = checkpoint, height, width, number, ending, digest
    return _in_process(f"paint{arguments!r}", number)


def paint(
    checkpoint: str, height: int, width: int, number: int, ending: str, digest: bool
) -> None:
    """Paints a picture's tiles as ``run_sample.py`` does, and drops them.

    Prints wall and CPU seconds, compiling left out; operations; GFLOP/s of the matrix
    product on these devices, the mean of before and after; and, if asked for, a digest
    of the pixels, which are painted for it once more.

    Args:
      checkpoint: the model.
      height: rows of the picture, the horizon in the middle.
      width: columns.
      number: devices.
      ending: of the file that it would be written to, which says the tiles' order.
      digest: whether there shall be one.
    """
    devices.prepare()
    some = jax.local_devices()[:number]
    if len(some) < number:
        raise SystemExit(f"there are {len(some)} devices; ask for no more")
    bundle = stored.load_bundle(checkpoint)
    model = bundle.config.model
    world = world_lib.World(model, bundle.generator, devices=some)
    window = planning.Window(-(height // 2), 0, height, width)
    tiles = [
        tile
        for part in _parts_of(world, window, ending)
        for tile in world.plan(part).tiles()
    ]
    painter = _painter_of(model, bundle.generator, world.tile_size, some)
    size = number * world.batch_size
    _paint_tiles(painter, tiles[:1], size)  # compiles
    product = machine.matmul_rate()
    start = _clocks()
    _paint_tiles(painter, tiles, size)
    wall, cpu = (_clocks() - start).tolist()
    product = (product + machine.matmul_rate()) / 2
    if some[0].platform != "cpu":  # where devices share the processor, one has it all
        product *= number
    each = costs.operations(model, world.tile_size, world.tile_size)
    steps = -(-len(tiles) // size)
    found = {
        "wall": wall,
        "cpu": cpu,
        "operations": each * steps * size,
        "product": float(product),
    }
    if digest:
        pixels = hashlib.sha256()
        for strip in world.strips(window):
            pixels.update(strip)
        found["digest"] = pixels.hexdigest()
    print(json.dumps(found))


def _parts_of(
    world: world_lib.World, window: planning.Window, ending: str
) -> list[planning.Window]:
    """The parts in which a picture is painted for a file of such an ending."""
    writer = writers.writer_of(pathlib.Path(f"picture.{ending}"))
    width = parts.part_width(world.plan(window), writer)
    if width is None:
        return [window]
    size = window.height, window.width
    everything = layout.shard_range(layout.grid(size), (0, 1))
    return parts.moved(window, layout.windows_of([everything], size, width))


def _part_width(width: int, ending: str) -> int:
    """Columns of these parts, where tiles are whole: says the tiles' order."""
    writer = writers.writer_of(pathlib.Path(f"picture.{ending}"))
    return min(width, layout.BLOCK * layout.TILE) if writer.resumable else width


def _paint_tiles(painter: Painter, tiles: Sequence[planning.Tile], size: int) -> None:
    """Paints tiles in steps, as many under way as `World.strips` has."""
    ahead: collections.deque = collections.deque()
    on = painter.setup.devices
    for start in range(0, len(tiles), size):
        step = list(tiles[start : start + size])
        wanted = step + step[-1:] * (size - len(step))
        ahead.append(devices.begin(painter.step(wanted, both=False), on))
        if len(ahead) > devices.steps_at_once(on):
            jax.block_until_ready(ahead.popleft().result())
    jax.block_until_ready([begun.result() for begun in ahead])


def _sides(size: str) -> tuple[int, int]:
    """Rows and columns of WIDTHxHEIGHT."""
    width, height = map(int, size.split("x"))
    return height, width


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        choices=SECTIONS,
        nargs="+",
        default=SECTIONS,
        help="sections (default: all)",
    )
    parser.add_argument(
        "--model", choices=MODELS, action="append", help="of the tiles (default: each)"
    )
    parser.add_argument(
        "--tile",
        type=int,
        nargs="+",
        help=f"pixels a side (default: the model's; {NARROW}: several)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        help=f"tiles at once (default: 1; {NARROW}: several)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of tiles")
    parser.add_argument(
        "--devices",
        type=int,
        nargs="+",
        help="numbers of them (default: 1 and 8 that a CPU pretends to have, 1 and all "
        "elsewhere)",
    )
    parser.add_argument(
        "--side",
        type=int,
        default=2048,
        help="pixels of the picture that they paint (default: %(default)s)",
    )
    parser.add_argument(
        "--pictures",
        nargs="+",
        default=PICTURES,
        metavar="WIDTHxHEIGHT.ENDING",
        help=f"that commands write (default: {' '.join(PICTURES)})",
    )
    parser.add_argument(
        "--landscapes",
        nargs="+",
        default=LANDSCAPES,
        metavar="WIDTHxHEIGHT",
        help=f"sizes of pictures of one landscape (default: {' '.join(LANDSCAPES)})",
    )
    return parser


def main() -> None:
    """Runs the command."""
    args = _parser().parse_args()
    there = _in_process("describe()")
    print(f"{there['kind']}, jax {jax.__version__}", flush=True)
    if "devices" in args.only:
        most = 8 if there["platform"] == "cpu" else there["number"]
        measure_devices(NARROW, args.devices or sorted({1, most}), args.side)
    if "command" in args.only:
        measure_commands(NARROW, args.pictures)
    if "landscape" in args.only:
        measure_landscapes(NARROW, args.landscapes)
    if "tiles" in args.only:
        devices.prepare()  # as run_sample.py does
        for name in args.model or MODELS:
            for tile_size, batch_size in cases(name, args.tile, args.batch):
                measure(name, tile_size, batch_size, args.rounds)


if __name__ == "__main__":
    main()
