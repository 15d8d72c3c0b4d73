"""What inverting pictures takes of memory."""

import jax

from infinitygan_jax import geometry, machine
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.inversion import perceptual
from infinitygan_jax.messages import UserError, readable_bytes
from infinitygan_jax.models import features

_PROGRAM_BYTES = 1_300_000_000  # Python, JAX and compiling (measured)
# Numbers that are alive for each output of a layer: itself for the way back, what is
# made of it (modulated, activated), and gradients. Measured on a CPU: 1.6 to 2.1.
_LIVE = 3


def needed_bytes(
    model: ModelConfig,
    distance: perceptual.Distance | None,
    height: int,
    width: int,
    count: int,
) -> int:
    """Estimated peak memory of inverting ``count`` pictures of one size at once."""
    numbers = _generator_numbers(model, height, width)
    if isinstance(distance, perceptual.DiscriminatorDistance):
        numbers += _discriminator_numbers(model, height, width)
    elif isinstance(distance, perceptual.FeatureDistance):
        numbers += 2 * features.num_outputs(distance.network.name, height, width)
    elif distance is not None:
        numbers += _vgg_numbers(height, width)
    leaves = jax.tree.leaves(distance)
    kernels = 4 * 4 * sum(leaf.size for leaf in leaves)
    return _PROGRAM_BYTES + kernels + count * 4 * _LIVE * numbers


def check(
    model: ModelConfig,
    distance: perceptual.Distance | None,
    height: int,
    width: int,
    count: int,
) -> None:
    """Checks that pictures can be inverted in the first device's memory.

    Raises:
      ValueError: they cannot; the message names how many or how large ones can.
    """
    device = jax.local_devices()[0]
    available = machine.memory_bytes()
    if device.platform != "cpu":
        available = (device.memory_stats() or {}).get("bytes_limit", available)
    need = needed_bytes(model, distance, height, width, count)
    if need <= available:
        return
    one = needed_bytes(model, distance, height, width, 1)
    nothing = needed_bytes(model, distance, height, width, 0)
    if one <= available:
        remedy = f"invert {(available - nothing) // (one - nothing)} at once"
    else:
        share = max(available - nothing, 0) / (one - nothing)
        sides = (int(side * share**0.5) for side in (width, height))
        remedy = "make it smaller, about {}x{}".format(*sides)
    raise UserError(
        f"inverting {count} pictures of {width}x{height} at once would take "
        f"{readable_bytes(need)} of memory, above this machine's "
        f"{readable_bytes(available)}; {remedy}"
    )


def _generator_numbers(model: ModelConfig, height: int, width: int) -> int:
    """Outputs of all layers for one picture."""
    rows, cols = (
        -(-side // model.cell_size) + geometry.TILE_CELLS_EXTRA
        for side in (height, width)
    )
    margin = 2 * geometry.STRUCTURE_MARGIN
    total = 4 * (rows + margin) * (cols + margin) * model.structure_width
    for wide in model.texture_widths[: model.num_stages]:
        total += (2 * rows - 1) * (2 * cols - 1) * 3 * wide  # up, blurred, plain
        rows, cols = 2 * rows - 5, 2 * cols - 5
    return total


def _discriminator_numbers(model: ModelConfig, height: int, width: int) -> int:
    widths, total = model.discriminator_widths, 0
    for n in range(model.discriminator_log2_size, 2, -1):
        total += height * width * 4 * widths[n - 2]  # input, plain, two blurs
        height, width = height // 2, width // 2
        total += height * width * 2 * widths[n - 3]
    return total


def _vgg_numbers(height: int, width: int) -> int:
    total = 0
    for stage in perceptual.VGG_STAGES:
        total += height * width * sum(wide for _, wide in stage)
        height, width = height // 2, width // 2
    return 2 * total  # of both pictures
