"""The four steps' rates by the machine's: ``python -m benchmarks.training``.

Operations are those of the convolutions, those of a frozen network included, as
`sampling.plan.operations` counts them for the generator: a backward pass costs one
forward pass for the inputs' gradients and one for the kernels', and differentiating a
gradient doubles both. Nothing that could be saved in principle is subtracted, and
nothing that is computed twice is added.
"""

import argparse
import dataclasses
import importlib
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine
from infinitygan_jax import config as config_lib
from infinitygan_jax import devices, geometry
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.sampling import costs
from infinitygan_jax.training.state import TrainState, init_state
from infinitygan_jax.training.step import Steps, make_steps
from infinitygan_jax.training.task import Labelled

MODELS = ("landscape", "landscape_lite")


def generator_operations(model: config_lib.ModelConfig) -> int:
    """Operations of one patch's forward pass through the generator."""
    pixels = (geometry.PATCH_CELLS - geometry.TILE_CELLS_EXTRA) * model.cell_size
    return costs.operations(model, pixels, pixels)


def phase_operations(config: config_lib.Config) -> dict[str, float]:
    """Operations a sample of the batch costs in each phase."""
    g = generator_operations(config.model)
    discriminator = discriminator_of(config.model)
    d, f = discriminator.operations(), discriminator.network_operations()
    # A picture painted and seen, unless G's is taken; two judged, forward and backward.
    made = 0 if config.train.shared_samples else g + f
    return {
        "d": made + f + 2 * 3 * d,
        "d_r1": 6 * d + f,  # forward, to what D sees, and back through both
        "g": 3 * g + 2 * (d + f),  # kernels of D and of its network need no gradient
        "g_path": 6 * g / config.train.path_batch_shrink,
    }


def shares(config: config_lib.Config) -> dict[str, float]:
    """How often each phase runs in a training step."""
    train = config.train
    return {
        "d": 1,
        "d_r1": 1 / train.r1_every if train.r1_weight else 0,
        "g": 1,
        "g_path": 1 / train.path_every if train.path_weight else 0,
    }


def phase_seconds(
    steps: Steps,
    state: TrainState,
    batch: dict,
    name: str,
    repeats: int,
    clock: Callable[[], float],
) -> float:
    """Best seconds of one phase's gradients, which take all but its update's time."""
    function = steps.gradients[name]
    return machine.best_seconds(function, state, batch, repeats=repeats, clock=clock)


def step_seconds(
    steps: Steps,
    state: TrainState,
    batch: dict,
    repeats: int,
    clock: Callable[[], float],
) -> float:
    """Best seconds of a whole training step, updates and all, where all are alike."""
    state = jax.tree.map(jnp.copy, state)  # the steps take over what they are given

    def take() -> TrainState:
        nonlocal state
        state, _ = steps.iterate(state, batch, 0)
        return state

    return machine.best_seconds(take, repeats=repeats, clock=clock)


def feature_seconds(
    config: config_lib.Config, image: np.ndarray, repeats: int, clock: Callable
) -> float:
    """Seconds of a frozen network's part of a training step, or 0.

    It sees a batch of real patches and one of generated ones, this one backward to the
    pixels too; and another of generated ones, if D does not judge G's.
    """
    discriminator = discriminator_of(config.model)
    network = jax.device_put(discriminator.network())
    if network is None:
        return 0.0

    def total(image, network):
        return sum(jnp.sum(tap * tap) for tap in discriminator.taps(network, image))

    seconds = [
        machine.best_seconds(jax.jit(function), *args, repeats=repeats, clock=clock)
        for function, args in (
            (discriminator.taps, (network, image)),
            (jax.grad(total), (image, network)),
        )
    ]
    return (1 if config.train.shared_samples else 2) * seconds[0] + seconds[1]


def config_of(name: str, batch_size: int, dtype: str) -> config_lib.Config:
    """A file of ``configs`` with another batch and type."""
    module = importlib.import_module(f"configs.{name}")
    config = config_lib.from_mapping(module.get_config())
    model = dataclasses.replace(
        config.model, dtype=dtype, stddev_group=min(4, batch_size)
    )
    train = dataclasses.replace(config.train, batch_size=batch_size)
    return dataclasses.replace(config, model=model, train=train)


def measure_compiling(name: str, batch_size: int, dtype: str) -> None:
    """Prints how long the steps take to compile, one by one and side by side."""
    config = config_of(name, batch_size, dtype)
    state = jax.eval_shape(lambda: init_state(config))
    seconds = {}
    for num_compilers in (1, devices.num_compilers()):
        steps = make_steps(config, devices.make_mesh(jax.devices()[:1]))
        start = time.perf_counter()
        steps.compile(state, num_compilers)
        steps.wait()
        seconds[num_compilers] = time.perf_counter() - start
    parts = [f"{took:.1f} s by {number}" for number, took in seconds.items()]
    share = seconds[devices.num_compilers()] / seconds[1]
    print(f"{name}: compiling {', '.join(parts)}: {share:.2f}", flush=True)


def measure(name: str, batch_size: int, repeats: int, dtype: str) -> None:
    """Prints the rates of one configuration on the first device."""
    config = config_of(name, batch_size, dtype)
    steps = make_steps(config, devices.make_mesh(jax.devices()[:1]))
    state = steps.replicate(init_state(config))
    rng = np.random.default_rng(0)
    size = config.model.patch_size
    image = rng.uniform(-1, 1, (batch_size, size, size, 3)).astype(np.float32)
    label = rng.uniform(-1, 1, batch_size).astype(np.float32)
    batch = drawn = {"image": image, "label": label}
    if config.train.shared_samples:  # any patches take as long to judge
        discriminator = discriminator_of(config.model)
        taps = jax.jit(discriminator.taps)(discriminator.network(), image)
        batch = drawn | {"fake": Labelled(image, label, image), "fake_taps": taps}
    drawn, batch = steps.shard_batch(drawn), steps.shard_batch(batch)
    # By CPU time too, which says more where other programs run.
    clocks = {"wall": time.perf_counter}
    if jax.default_backend() == "cpu":
        clocks["CPU"] = time.process_time
    print(f"{name}: batch {batch_size}, {dtype}; share of the matrix product's rate")
    operations, often = phase_operations(config), shares(config)
    for clock_name, clock in clocks.items():
        total_seconds = total_operations = 0.0
        rates = [machine.matmul_rate(clock=clock)]
        for phase in filter(often.get, operations):
            seconds = phase_seconds(steps, state, batch, phase, repeats, clock)
            rates.append(machine.matmul_rate(clock=clock))
            rate = operations[phase] * batch_size / 1e9 / seconds
            total_seconds += often[phase] * seconds
            total_operations += often[phase] * operations[phase] * batch_size
            share = 100 * rate / max(rates)
            print(
                f"  {clock_name:4} {phase:7} {seconds:8.3f} s {rate:8.1f} GFLOP/s "
                f"{share:4.0f} %",
                flush=True,
            )
        rate = total_operations / 1e9 / total_seconds
        print(
            f"  {clock_name:4} a step  {total_seconds:8.3f} s {rate:8.1f} GFLOP/s "
            f"{100 * rate / max(rates):4.0f} % of {max(rates):.0f}; "
            f"{batch_size / total_seconds:.2f} images/s without the updates",
            flush=True,
        )
        if len({steps.phases(number) for number in range(16)}) == 1:
            seconds = step_seconds(steps, state, drawn, repeats, clock)
            print(
                f"  {clock_name:4} in one  {seconds:8.3f} s, "
                f"{batch_size / seconds:.2f} images/s with the updates",
                flush=True,
            )
        seen = feature_seconds(config, image, repeats, clock)
        if seen:
            print(
                f"  {clock_name:4} of it the frozen network "
                f"{1000 * seen / batch_size:.1f} ms an image, "
                f"{100 * seen / total_seconds:.0f} %",
                flush=True,
            )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--batch", type=int, default=4, help="samples a step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--compiling", action="store_true", help="time only how long the steps compile"
    )
    args = parser.parse_args()
    if not args.compiling:  # compiled code that is kept would be timed
        devices.prepare(trains=True)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
    for name in args.model or MODELS:
        if args.compiling:
            measure_compiling(name, args.batch, args.dtype)
            continue
        measure(name, args.batch, args.repeats, args.dtype)


if __name__ == "__main__":
    main()
