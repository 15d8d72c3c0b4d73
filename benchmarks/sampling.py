"""The tile function's rate by the machine's: ``python -m benchmarks.sampling``.

This machine's matrix-product rate is measured before, between and after, in the same
run, as other programs may take their share of it at any time. With ``--devices`` and
``--command`` whole pictures are painted, in processes of their own.
"""

import argparse
import functools
import hashlib
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import machine
from infinitygan_jax import config as config_lib
from infinitygan_jax import coords, devices
from infinitygan_jax.machine import keep_memory
from infinitygan_jax.models.generator import init_generator
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.painter import Painter, Scene
from infinitygan_jax.sampling.world import World

MODELS = ("landscape", "landscape_lite")
ONE_SHOT = 1024  # pixels a side of the picture whose operations are compared
_FORCED = "--xla_force_host_platform_device_count"
STREAMED = ("tif", "dzi", "zarr")

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


def measure(name: str, tile_size: int | None, batch_size: int, rounds: int) -> None:
    """Prints the rates of one model on the first device."""
    module = importlib.import_module(f"configs.{name}")
    model = config_lib.from_mapping(module.get_config()).model
    tile_size = tile_size or planning.default_tile_size(model)
    planning.check_tile_size(tile_size, model)
    params = random_params(model)
    painter = Painter(
        model=model,
        cell_pixels=model.cell_size,
        params=params,
        seed=0,
        frame=coords.AS_TRAINED,
        scene=Scene(),
        tile_size=tile_size,
        devices=jax.devices()[:1],
        level=0,
    )
    batch = [planning.Tile(0, index) for index in range(batch_size)]
    paint = functools.partial(painter.paint, batch)
    operations = batch_size * planning.operations(model, tile_size, tile_size)
    walls = _rounds(paint, operations, rounds, time.perf_counter)
    pixels = max(walls[0]) / operations * batch_size * tile_size**2 * 1e3
    print(f"{name}: tile {tile_size}, batch {batch_size}, {model.dtype}")
    print(f"  painting        {max(walls[0]):8.1f} GFLOP/s, {pixels:.3f} megapixels/s")
    print(f"  matrix product  {max(walls[1]):8.1f} GFLOP/s")
    print(f"  share           {_share(*walls)}", flush=True)
    window = planning.Window(-ONE_SHOT // 2, 0, ONE_SHOT, ONE_SHOT)
    plan = planning.Plan(window, tile_size)
    more = planning.tile_operations(plan, model) / planning.window_operations(
        plan, model
    )
    print(
        f"  operations      {100 * more - 100:8.0f} % above one shot at {ONE_SHOT} px"
    )
    if jax.default_backend() == "cpu":
        # Where other programs run too, this says more.
        times = _rounds(paint, operations, rounds, time.process_time)
        print(f"  by CPU time     {_share(*times)}", flush=True)


def _rounds(
    paint: Callable[[], Any], operations: int, rounds: int, clock: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """GFLOP/s of painting and of the matrix product, in turns."""
    rates, products = [], []
    for _ in range(rounds):
        products.append(machine.matmul_rate(clock=clock))
        seconds = machine.best_seconds(paint, repeats=2, clock=clock)
        rates.append(operations / 1e9 / seconds)
    products.append(machine.matmul_rate(clock=clock))
    return rates, products


def _share(rates: list[float], products: list[float]) -> str:
    pairs = zip(rates, products, products[1:], strict=False)
    shares = [200 * rate / (before + after) for rate, before, after in pairs]
    best = 100 * max(rates) / max(products)
    return f"{best:8.0f} % (by round {', '.join(f'{each:.0f}' for each in shares)})"


def command_cost(
    size: str, checkpoint: str, ending: str = "png"
) -> tuple[float, float]:
    """Seconds from command to file, and peak memory in MB, of ``run_sample.py``."""
    script = pathlib.Path(__file__).parents[1] / "run_sample.py"
    with tempfile.TemporaryDirectory() as folder:
        out = str(pathlib.Path(folder) / f"picture.{ending}")
        command = [sys.executable, str(script), "--size", size, "--out", out]
        command = [sys.executable, "-c", _WATCH, *command, "--checkpoint", checkpoint]
        start = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if result.returncode:
            raise SystemExit(f"run_sample.py --size {size} failed: {result.stderr}")
    return seconds, int(result.stdout.split()[-1]) / 1024  # Linux counts it in KiB


def measure_command(checkpoint: str) -> None:
    """Prints what whole commands cost, and what they add to painting alone."""
    for size in ("4096x4096", "4096x16384"):
        seconds, memory = command_cost(size, checkpoint)
        print(f"run_sample.py --size {size}: {seconds:.1f} s, {memory:.0f} MB at most")
    # Painting alone before, between and after: the machine's rate wanders.
    alone = [_paint_in_process(checkpoint, 8192, 1)[0]]
    for ending in STREAMED:
        seconds, memory = command_cost("8192x8192", checkpoint, ending)
        alone.append(_paint_in_process(checkpoint, 8192, 1)[0])
        painting = sum(alone[-2:]) / 2
        print(
            f"run_sample.py --size 8192x8192 --out picture.{ending}: {seconds:.1f} s, "
            f"{memory:.0f} MB at most; {seconds / painting:.2f} times painting alone "
            f"({painting:.1f} s)",
            flush=True,
        )


def measure_devices(checkpoint: str, numbers: list[int]) -> None:
    """Prints what a picture costs on so many devices, and whether it is the same."""
    first = None
    for number in numbers:
        wall, cpu, digest = _paint_in_process(checkpoint, 2048, number)
        first = first or (wall, cpu, digest)
        same = "the same bytes" if digest == first[2] else "OTHER BYTES"
        print(
            f"2048x2048 on {number} devices: {2048**2 / 1e6 / wall:.2f} megapixels/s, "
            f"{cpu:.1f} s of CPU time ({cpu / first[1]:.2f} of the first), {same}",
            flush=True,
        )


def _paint_in_process(
    checkpoint: str, side: int, number: int
) -> tuple[float, float, str]:
    """Wall and CPU seconds, compiling left out, and a digest of the pixels."""
    code = "from benchmarks import sampling; "
    code += f"sampling.paint({checkpoint!r}, {side}, {number})"
    environment = dict(os.environ)
    if jax.default_backend() == "cpu":
        others = environment.get("XLA_FLAGS", "").split()
        others = [flag for flag in others if _FORCED not in flag]
        environment["XLA_FLAGS"] = " ".join([*others, f"{_FORCED}={number}"])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise SystemExit(f"painting on {number} devices failed: {result.stderr}")
    wall, cpu, digest = result.stdout.split()[-3:]
    return float(wall), float(cpu), digest


def paint(checkpoint: str, side: int, number: int) -> None:
    """Paints a square on so many devices; prints what `_paint_in_process` returns."""
    keep_memory()
    devices.keep_compiled()
    some = jax.local_devices()[:number]
    if len(some) < number:
        raise SystemExit(f"there are {len(some)} devices; ask for no more")
    world = World.load(checkpoint, devices=some)
    world[0:1, 0:1]  # compiles
    digest = hashlib.sha256()
    wall, cpu = time.perf_counter(), time.process_time()
    for strip in world.strips(planning.Window(-side // 2, 0, side, side)):
        digest.update(strip)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(wall, cpu, digest.hexdigest())


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument(
        "--tile", type=int, nargs="+", help="pixels a side (default: the model's)"
    )
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[1], help="tiles at once"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--devices",
        type=int,
        nargs="+",
        help="paint a picture on so many devices, which a CPU pretends to have",
    )
    parser.add_argument("--command", action="store_true", help="time run_sample.py too")
    args = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}")
    for name in args.model or MODELS:
        for tile_size in args.tile or [None]:
            for batch_size in args.batch:
                measure(name, tile_size, batch_size, args.rounds)
    if args.devices:
        measure_devices("landscape_lite", args.devices)
    if args.command:
        measure_command("landscape_lite")


if __name__ == "__main__":
    main()
