"""The tile function's rate by the machine's: ``python -m benchmarks.sampling``.

This machine's matrix-product rate is measured before, between and after, in the same
run, as other programs may take their share of it at any time.
"""

import argparse
import functools
import importlib
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
from infinitygan_jax import devices
from infinitygan_jax.models.generator import init_generator
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling import tiles

MODELS = ("landscape", "landscape_lite")

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
    mesh = devices.make_mesh(jax.devices()[:1])
    params = random_params(model)
    look = tiles.make_look(model, params, 0)
    batch = [planning.Tile(0, index) for index in range(batch_size)]
    inputs = tiles.tile_inputs(model, tile_size, batch)
    arguments = *devices.replicate((params, look), mesh), devices.split(inputs, mesh)
    paint = functools.partial(tiles.tile_function(model, tile_size, mesh), *arguments)
    operations = batch_size * planning.operations(model, tile_size, tile_size)
    walls = _rounds(paint, operations, rounds, time.perf_counter)
    pixels = max(walls[0]) / operations * batch_size * tile_size**2 * 1e3
    print(f"{name}: tile {tile_size}, batch {batch_size}, {model.dtype}")
    print(f"  painting        {max(walls[0]):8.1f} GFLOP/s, {pixels:.3f} megapixels/s")
    print(f"  matrix product  {max(walls[1]):8.1f} GFLOP/s")
    print(f"  share           {_share(*walls)}", flush=True)
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


def command_cost(size: str, checkpoint: str) -> tuple[float, float]:
    """Seconds from command to file, and peak memory in MB, of ``run_sample.py``."""
    script = pathlib.Path(__file__).parents[1] / "run_sample.py"
    with tempfile.TemporaryDirectory() as folder:
        out = str(pathlib.Path(folder) / "picture.png")
        command = [sys.executable, str(script), "--size", size, "--out", out]
        command = [sys.executable, "-c", _WATCH, *command, "--checkpoint", checkpoint]
        start = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if result.returncode:
            raise SystemExit(f"run_sample.py --size {size} failed: {result.stderr}")
    return seconds, int(result.stdout.split()[-1]) / 1024  # Linux counts it in KiB


def measure_command(checkpoint: str) -> None:
    """Prints what whole commands cost."""
    for size in ("4096x4096", "4096x16384"):
        seconds, memory = command_cost(size, checkpoint)
        print(f"run_sample.py --size {size}: {seconds:.1f} s, {memory:.0f} MB at most")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--tile", type=int, help="pixels a side (default: the model's)")
    parser.add_argument("--batch", type=int, default=1, help="tiles at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--command", action="store_true", help="time run_sample.py too")
    args = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}")
    for name in args.model or MODELS:
        measure(name, args.tile, args.batch, args.rounds)
    if args.command:
        measure_command("landscape_lite")


if __name__ == "__main__":
    main()
