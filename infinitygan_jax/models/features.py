"""Frozen networks that know pictures: EfficientNet-Lite's features, in Flax.

They learned to tell the objects of ImageNet apart. Lite0 is what the projected
discriminator looks through; Lite2 is for judging alone, since a judge that is also the
teacher praises its pupil. Batch norm is folded into the kernels. Weights, their licence
and where they come from are in ``pretrained/``.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.bundle import nested
from infinitygan_jax.config import LEAST_FEATURE_SIZE
from infinitygan_jax.messages import UserError
from infinitygan_jax.models import convolution
from infinitygan_jax.models.depthwise import depthwise, same_padding
from infinitygan_jax.models.layers import applied, like, product

PRETRAINED = pathlib.Path(__file__).parent / "pretrained"
LEAST = LEAST_FEATURE_SIZE  # pixels a side: one position at the deepest tap
STRIDES = (4, 8, 16, 32)  # of the taps

# Kernel size, stride and expansion of the seven stages; all sizes have these.
_STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
_TAPPED = (1, 2, 4, 6)  # stages whose last blocks are tapped
_STEM = 32


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What tells the networks of the family apart.

    Attributes:
      repeats: blocks by stage.
      widths: output channels by stage.
      head: channels of the last 1x1 convolution, which are pooled; 0 for none.
      digest: sha256 of the file with its weights.
    """

    repeats: tuple[int, ...]
    widths: tuple[int, ...]
    head: int
    digest: str

    @property
    def taps(self) -> tuple[int, ...]:
        """Channels of the taps."""
        return tuple(self.widths[stage] for stage in _TAPPED)


SIZES = {
    "lite0": Sizes(
        (1, 2, 2, 3, 3, 4, 1),
        (16, 24, 40, 80, 112, 192, 320),
        0,
        "b58bf63d31187e64d626492af72ca0a0a68d3602f7a4ee6ec821c567d3b24d28",
    ),
    "lite2": Sizes(
        (1, 3, 3, 4, 4, 5, 1),
        (16, 24, 48, 88, 120, 208, 352),
        1280,
        "6b1cc92959ffeb9049dd52395cd59b597a0203c58ffaaeffa21ea71f780db33c",
    ),
}


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite in inference mode, without its classifier.

    Attributes:
      sizes: of the network.
    """

    sizes: Sizes

    @nn.compact
    def __call__(
        self, image: Float[Array, "b h w 3"]
    ) -> tuple[list[Float[Array, "b _ _ _"]], Float[Array, "b d"] | None]:
        """Features of pictures.

        Args:
          image: colours in [-1, 1], at least `LEAST` pixels a side.

        Returns:
          The taps, of strides 4, 8, 16 and 32; and the pooled features of the head, or
          None without one.
        """
        kernel, bias = _weights(self, "stem", (3, 3, 3, _STEM))
        pads = (same_padding(n, 3, 2) for n in image.shape[1:3])
        x = jnp.pad(image, ((0, 0), *pads, (0, 0)))
        x = convolution.conv_valid(x, kernel.astype(x.dtype), stride=2)  # n -> n / 2
        x = _relu6(x + like(bias, x))
        taps, number = [], 0
        for stage, (size, stride, expansion) in enumerate(_STAGES):
            for repeat in range(self.sizes.repeats[stage]):
                block = _Block(
                    self.sizes.widths[stage],
                    size,
                    1 if repeat else stride,
                    expansion,
                    name=f"block_{number}",
                )
                x, number = block(x), number + 1
            if stage in _TAPPED:
                taps.append(x)
        if not self.sizes.head:
            return taps, None
        x = _relu6(_dense(self, "head", x, self.sizes.head))
        return taps, jnp.mean(x.astype(jnp.float32), axis=(1, 2))


class _Block(nn.Module):
    """Inverted bottleneck: wider by 1x1, depthwise, narrower by 1x1."""

    features: int
    size: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b H W o"]:
        inputs, width = x, x.shape[-1] * self.expansion
        if self.expansion > 1:
            x = _relu6(_dense(self, "expand", x, width))
        kernel, bias = _weights(self, "depthwise", (self.size, self.size, width))
        x = depthwise(x, kernel.astype(x.dtype), self.stride)
        x = _relu6(x + like(bias, x))
        x = _dense(self, "project", x, self.features)
        return x + inputs if x.shape == inputs.shape else x


def _weights(
    module: nn.Module, name: str, shape: tuple[int, ...]
) -> tuple[Float[Array, "*shape"], Float[Array, " o"]]:
    """Kernel and bias of one convolution, which do not learn."""
    zeros = nn.initializers.zeros
    kernel = module.param(f"{name}_kernel", zeros, shape)
    bias = module.param(f"{name}_bias", zeros, shape[-1:])
    return jax.lax.stop_gradient(kernel), jax.lax.stop_gradient(bias)


def _dense(
    module: nn.Module, name: str, x: Float[Array, "b h w i"], features: int
) -> Float[Array, "b h w o"]:
    kernel, bias = _weights(module, name, (x.shape[-1], features))
    y = product(x, kernel.astype(x.dtype))
    return y + like(bias, y)


def _relu6(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.clip(x, 0, 6)


@flax.struct.dataclass
class FeatureNetwork:
    """A frozen network with its weights: a pytree, to be an argument of compiled code.

    Attributes:
      params: float32 weights of `EfficientNetLite`.
      name: one of `SIZES`.
    """

    params: Mapping[str, Any]
    name: str = flax.struct.field(pytree_node=False)

    @property
    def sizes(self) -> Sizes:
        return SIZES[self.name]

    def taps(self, image: Float[Array, "b h w 3"]) -> list[Float[Array, "b _ _ _"]]:
        """Features of strides 4, 8, 16 and 32 of pictures in [-1, 1]."""
        return self._apply(image)[0]

    def pooled(self, image: Float[Array, "b h w 3"]) -> Float[Array, "b d"]:
        """Features of whole pictures in [-1, 1], averaged over them.

        Raises:
          ValueError: the network's file ends before them.
        """
        if not self.sizes.head:
            raise UserError(f"network {self.name} has no pooled features; use lite2")
        pooled = self._apply(image)[1]
        assert pooled is not None  # as there is a head
        return pooled

    def _apply(self, image: Array) -> tuple[list[Array], Array | None]:
        check_size(*image.shape[1:3])
        network = EfficientNetLite(self.sizes)
        return applied(network, {"params": self.params}, image)


def check_size(height: int, width: int) -> None:
    """Checks that pictures are large enough for the networks.

    Raises:
      ValueError: they are not.
    """
    if min(height, width) < LEAST:
        raise UserError(
            f"pictures ({width}x{height}) must be at least {LEAST} pixels a side for "
            "the feature network; use larger ones"
        )


@functools.cache
def param_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's weights, as its file has them."""
    image = jax.ShapeDtypeStruct((1, LEAST, LEAST, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    tree = jax.eval_shape(EfficientNetLite(SIZES[name]).init, key, image)["params"]
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def _layers(name: str, height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Height, width, channels, and products an output, of each convolution's output."""
    sizes, inputs = SIZES[name], _STEM
    height, width = -(-height // 2), -(-width // 2)
    yield height, width, _STEM, 9 * 3
    for stage, (taps, stride, expansion) in enumerate(_STAGES):
        for repeat in range(sizes.repeats[stage]):
            wide = inputs * expansion
            if expansion > 1:
                yield height, width, wide, inputs
            if not repeat:
                height, width = -(-height // stride), -(-width // stride)
            inputs = sizes.widths[stage]
            yield height, width, wide, taps * taps
            yield height, width, inputs, wide
    if sizes.head:
        yield height, width, sizes.head, inputs


def tap_sizes(size: int) -> list[int]:
    """Positions a side of the taps of one square picture."""
    return [-(-size // stride) for stride in STRIDES]


def num_outputs(name: str, height: int, width: int) -> int:
    """Numbers that all convolutions of a network make of one picture."""
    return sum(h * w * c for h, w, c, _ in _layers(name, height, width))


def operations(name: str, size: int) -> int:
    """Operations of a network's convolutions for one square picture."""
    return sum(2 * h * w * c * each for h, w, c, each in _layers(name, size, size))


def path_of(name: str) -> pathlib.Path:
    """The file with a network's weights."""
    return PRETRAINED / f"efficientnet_{name}.safetensors"


@functools.cache
def load(name: str) -> FeatureNetwork:
    """Reads a network's weights from the package, once.

    Args:
      name: one of `SIZES`.

    Returns:
      The network, its weights float32 on the host.

    Raises:
      ValueError: there is no such network, or its file is missing, cut or altered.
    """
    if name not in SIZES:
        raise UserError(
            f"feature network ({name}) must be one of {', '.join(SIZES)}; use one"
        )
    path = path_of(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"weights of the feature network ({path}) must be in the package, and they "
            f"cannot be read ({error.strerror}); install it again"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != SIZES[name].digest:
        raise UserError(
            f"weights of the feature network ({path}) must be unaltered, and their "
            f"sha256 is {digest[:16]}..., not {SIZES[name].digest[:16]}...; install "
            "the package again"
        )
    # Checked above, so it can be read.
    arrays = safetensors.numpy.load(data)
    float32 = {key: array.astype(np.float32) for key, array in arrays.items()}
    return FeatureNetwork(nested(float32), name)
