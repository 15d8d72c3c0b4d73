"""State dicts of the public code -> settings and parameters, exhaustively.

Every key is used or is on the list of dead ones (``_DEAD``); whatever is left over on
either side is an error that names it. Sizes are inferred from the shapes.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from infinitygan_jax import geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.structure import NUM_LAYERS

_GENERATOR, _DISCRIMINATOR = "g/", "d/"

# Buffers of constant filters, stored noise and an unused constant input.
_DEAD = (
    re.compile(r".*\.kernel"),
    re.compile(r"texture_synthesizer\.noises\..*"),
    re.compile(r"texture_synthesizer\.const_z\..*"),
)

_STRUCTURE = "structure_synthesizer.implicit_model.conv_stack"
_TEXTURE = "texture_synthesizer"


@dataclasses.dataclass(frozen=True)
class Converted:
    """A checkpoint of the public code in our terms.

    Attributes:
      config: sizes, inferred from the shapes.
      generator: parameters of ``Generator(config)``; None if the mapping had none.
      discriminator: parameters of ``ResidualDiscriminator(config)``;
        None if it had none.
    """

    config: ModelConfig
    generator: dict[str, Any] | None
    discriminator: dict[str, Any] | None


def from_state_dict(arrays: Mapping[str, np.ndarray]) -> Converted:
    """Converts a mapping of names to arrays, as the fixtures have them.

    Args:
      arrays: ``g/NAME`` and ``d/NAME``, each side optional: the generator's and the
        discriminator's state dicts, PyTorch layout (OIHW, dense (out, in)), float32.
        Pass the contents of ``g_ema`` as ``g/`` to convert the moving average.

    Returns:
      Settings and float32 parameters.

    Raises:
      ValueError: a key is missing, left over or of a wrong shape; the message names it.
    """
    stray = sorted(k for k in arrays if not k.startswith((_GENERATOR, _DISCRIMINATOR)))
    if stray:
        raise UserError(
            f"key {stray[0]} must start with g/ (generator) or d/ (discriminator); "
            "pass only the state dicts"
        )
    generator = _Reader(arrays, _GENERATOR)
    discriminator = _Reader(arrays, _DISCRIMINATOR)
    if not generator and not discriminator:
        raise UserError("no key starts with g/ or d/; pass a state dict under g/ or d/")
    sizes: dict[str, Any] = {}
    if generator:
        sizes |= _generator_sizes(generator)
    if discriminator:
        sizes |= _discriminator_sizes(discriminator, sizes.get("patch_size"))
    config = ModelConfig(**sizes)
    return Converted(
        config=config,
        generator=_generator(generator, config) if generator else None,
        discriminator=_discriminator(discriminator, config) if discriminator else None,
    )


class _Reader:
    """The live keys of one side, each to be taken exactly once."""

    def __init__(self, arrays: Mapping[str, np.ndarray], prefix: str):
        self._prefix = prefix
        self._left = {
            key.removeprefix(prefix): value
            for key, value in arrays.items()
            if key.startswith(prefix)
            and not any(d.fullmatch(key.removeprefix(prefix)) for d in _DEAD)
        }

    def __bool__(self) -> bool:
        return bool(self._left)

    def count(self, pattern: str, first: int = 0) -> int:
        """How many of ``first``, ``first + 1``, ... fill ``{}`` of ``pattern``."""
        number = 0
        while pattern.format(first + number) in self._left:
            number += 1
        return number

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Shape of a key that is still there."""
        if name not in self._left:
            raise UserError(
                f"key {self._prefix}{name} is missing; is this a whole checkpoint of "
                "InfinityGAN?"
            )
        shape = tuple(np.shape(self._left[name]))
        if len(shape) != rank:
            raise UserError(
                f"key {self._prefix}{name} has shape {shape} and must have {rank} "
                "dimensions"
            )
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Removes and returns a key's float32 array, which must have that shape."""
        found = self.shape(name, len(shape))
        if found != shape:
            raise UserError(
                f"key {self._prefix}{name} has shape {found} and must have {shape}"
            )
        array = np.asarray(self._left.pop(name), np.float32)
        if not np.isfinite(array).all():
            raise UserError(f"key {self._prefix}{name} has values that are not finite")
        return array

    def finish(self) -> None:
        """Raises if a key is left over."""
        if self._left:
            raise UserError(
                f"key {self._prefix}{min(self._left)} is unknown ({len(self._left)} "
                "left over); is this a checkpoint of another model?"
            )


def _generator_sizes(reader: _Reader) -> dict[str, Any]:
    num_convs = reader.count(_TEXTURE + ".convs.{}.conv.weight")
    if num_convs % 2 or not 2 <= num_convs <= 2 * geometry.MAX_STAGES:
        raise UserError(
            f"g/{_TEXTURE}.convs has {num_convs} convolutions and must have two for "
            f"each of 1 to {geometry.MAX_STAGES} stages"
        )
    num_stages = num_convs // 2
    width, first_inputs = reader.shape(f"{_STRUCTURE}.0.conv.conv.weight", 5)[1:3]
    # The later layers take [features, coordinates]: their surplus are the coordinates.
    num_coords = reader.shape(f"{_STRUCTURE}.1.conv.conv.weight", 5)[2] - width
    if num_coords not in (3, 4):
        raise UserError(
            f"g/{_STRUCTURE} takes {num_coords} coordinates and must take 3 "
            "(landscape) or 4 (plane)"
        )
    return {
        "patch_size": geometry.patch_size_of(num_stages),
        "texture_widths": tuple(
            reader.shape(f"{_TEXTURE}.convs.{2 * stage}.conv.weight", 5)[1]
            for stage in range(num_stages)
        ),
        "structure_width": width,
        "coords": "plane" if num_coords == 4 else "landscape",
        "z_local_size": first_inputs - num_coords,
        "z_global_size": reader.shape(f"{_TEXTURE}.mapping.1.weight", 2)[1],
        "mapping_layers": reader.count(_TEXTURE + ".mapping.{}.weight", first=1),
    }


def _discriminator_sizes(reader: _Reader, patch_size: int | None) -> dict[str, Any]:
    num_blocks = reader.count("convs.{}.conv1.0.weight", first=1)
    if not 2 <= num_blocks <= geometry.MAX_STAGES + 1:
        raise UserError(
            f"d/convs has {num_blocks} residual blocks and must have 2 to "
            f"{geometry.MAX_STAGES + 1}"
        )
    # n - 2 blocks, and n = round(log2(5 + 6 * 2**k)) = k + 3 for every k.
    inferred = geometry.patch_size_of(num_blocks - 1)
    if patch_size not in (None, inferred):
        raise UserError(
            f"d/convs has {num_blocks} residual blocks, for patches of {inferred}, and "
            f"g/ makes patches of {patch_size}; take both from one checkpoint"
        )
    outputs = [
        reader.shape(f"convs.{block}.conv2.1.weight", 4)[0]
        for block in range(num_blocks, 0, -1)
    ]
    widest = reader.shape("convs.0.0.weight", 4)[0]
    return {
        "patch_size": inferred,
        "discriminator_widths": (*outputs, widest),
        "stddev_group": 0,  # the reference's group is the whole batch of a device
    }


def _generator(reader: _Reader, config: ModelConfig) -> dict[str, Any]:
    width, style = config.structure_width, config.z_global_size
    structure, mapping, texture = {}, {}, {}
    inputs = config.z_local_size + config.num_coords
    for i in range(NUM_LAYERS):
        name = f"{_STRUCTURE}.{i}.conv"
        structure[f"conv_{i}"] = _styled_conv(reader, name, 7, inputs, width, style)
        inputs = width + config.num_coords
    for i in range(config.mapping_layers):
        name = f"{_TEXTURE}.mapping.{i + 1}"
        mapping[f"dense_{i}"] = _dense(reader, name, style, style)
    inputs = width
    for stage, outputs in enumerate(config.texture_widths):
        for kind, index in (("up", 2 * stage), ("conv", 2 * stage + 1)):
            name = f"{_TEXTURE}.convs.{index}"
            layer = _styled_conv(reader, name, 3, inputs, outputs, style)
            strength = reader.take(f"{name}.noise.weight", (1,))
            texture[f"{kind}_{stage}"] = layer | {"noise_strength": strength[0]}
            inputs = outputs
        name = f"{_TEXTURE}.to_rgbs.{stage}"
        texture[f"rgb_{stage}"] = _modulated(reader, name, 1, inputs, 3, style) | {
            "bias": reader.take(f"{name}.bias", (1, 3, 1, 1)).reshape(3)
        }
    reader.finish()
    return {
        "structure_synthesizer": structure,
        "mapping_network": mapping,
        "texture_synthesizer": texture,
    }


def _discriminator(reader: _Reader, config: ModelConfig) -> dict[str, Any]:
    widths, log2_size = config.discriminator_widths, config.discriminator_log2_size
    inputs = widths[log2_size - 2]
    params = {"from_rgb": _conv(reader, "convs.0.{}", 0, 1, 3, inputs)}
    for n in range(log2_size, 2, -1):
        name, outputs = f"convs.{log2_size - n + 1}.", widths[n - 3]
        params[f"block_{n}"] = {
            "conv": _conv(reader, name + "conv1.{}", 0, 3, inputs, inputs),
            "down": _conv(reader, name + "conv2.{}", 1, 3, inputs, outputs),
            "skip": {
                "kernel": _kernel(reader, name + "skip.1.weight", 1, inputs, outputs)
            },
        }
        inputs = outputs
    width = widths[0]
    params["final_conv"] = _conv(reader, "final_conv.{}", 0, 3, inputs + 1, width)
    flat = reader.shape("final_linear.0.weight", 2)[1]
    params["dense"] = _dense(reader, "final_linear.0", flat, width)
    params["logit"] = _dense(reader, "final_linear.1", width, 1)
    params["coords_dense"] = _dense(reader, "coord_linear.0", flat, width)
    params["coords"] = _dense(reader, "coord_linear.1", width, 3)
    reader.finish()
    return params


def _styled_conv(
    reader: _Reader, name: str, size: int, inputs: int, outputs: int, style: int
) -> dict[str, Any]:
    return _modulated(reader, name, size, inputs, outputs, style) | {
        "bias": reader.take(f"{name}.activate.bias", (outputs,))
    }


def _modulated(
    reader: _Reader, name: str, size: int, inputs: int, outputs: int, style: int
) -> dict[str, Any]:
    kernel = reader.take(f"{name}.conv.weight", (1, outputs, inputs, size, size))
    return {
        "kernel": kernel[0].transpose(2, 3, 1, 0),  # OIHW -> HWIO
        "modulation": _dense(reader, f"{name}.conv.modulation", style, inputs),
    }


def _conv(
    reader: _Reader, name: str, index: int, size: int, inputs: int, outputs: int
) -> dict[str, Any]:
    """An equalized convolution at ``name``'s index, and its bias at the next one."""
    weight, bias = name.format(index) + ".weight", name.format(index + 1) + ".bias"
    return {
        "kernel": _kernel(reader, weight, size, inputs, outputs),
        "bias": reader.take(bias, (outputs,)),
    }


def _kernel(
    reader: _Reader, name: str, size: int, inputs: int, outputs: int
) -> np.ndarray:
    weight = reader.take(name, (outputs, inputs, size, size))
    return weight.transpose(2, 3, 1, 0)  # OIHW -> HWIO


def _dense(reader: _Reader, name: str, inputs: int, outputs: int) -> dict[str, Any]:
    return {
        "kernel": reader.take(f"{name}.weight", (outputs, inputs)).T,
        "bias": reader.take(f"{name}.bias", (outputs,)),
    }
