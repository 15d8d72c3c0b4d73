"""How different two pictures look: distances between the features of a network.

LPIPS (Zhang et al. 2018) with VGG16 where its weights are given, else the same idea
with what the checkpoint's own discriminator sees, or, where it has none, with the
features of the frozen network in the package.
"""

import functools
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Array, Float

from infinitygan_jax.bundle import Bundle
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.conversion import torch_files
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.models import convolution, features
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.models.features import FeatureNetwork
from infinitygan_jax.models.layers import applied
from infinitygan_jax.models.projected_discriminator import NETWORK
from infinitygan_jax.models.residual_discriminator import ResidualFeatures

# VGG16's convolutions by stage: number in torchvision's `features`, and channels. Each
# stage but the last ends in 2x2 max pooling; LPIPS looks at each stage's last output.
VGG_STAGES = (
    ((0, 64), (2, 64)),
    ((5, 128), (7, 128)),
    ((10, 256), (12, 256), (14, 256)),
    ((17, 512), (19, 512), (21, 512)),
    ((24, 512), (26, 512), (28, 512)),
)
_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)  # of LPIPS's input, -1 to 1
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_VGG_LEAST = 2 ** (len(VGG_STAGES) - 1)
_TORCH_SUFFIXES = (".pth", ".pt", ".bin")
# Names that LPIPS and torchvision give the same tensors.
_ALIASES = (
    (r"(?:module\.)?(?:net|vgg)\.slice\d\.(\d+)\.(weight|bias)", r"features.\1.\2"),
    (r"(?:module\.)?lins?\.?(\d)\.(?:model\.\d\.)?weight", r"lin\1.weight"),
)


@flax.struct.dataclass
class DiscriminatorDistance:
    """Distance of discriminator features.

    After each block, features are scaled to unit length at each position; squared
    differences are summed over channels and averaged over positions and blocks: 0 to 4.

    Attributes:
      params: the discriminator's parameters.
      model: sizes.
    """

    params: Any
    model: ModelConfig = flax.struct.field(pytree_node=False)

    name = "discriminator"
    least = 2  # pixels a side

    def __call__(
        self, first: Float[Array, "b h w 3"], second: Float[Array, "b h w 3"]
    ) -> Float[Array, " b"]:
        network, variables = ResidualFeatures(self.model), {"params": self.params}
        see = functools.partial(applied, network, variables)
        return _mean_squares(see(first), see(second))


@flax.struct.dataclass
class FeatureDistance:
    """Distance of a frozen network's features, as `DiscriminatorDistance`.

    Attributes:
      network: the network.
    """

    network: FeatureNetwork

    name = "features"
    least = features.LEAST

    def __call__(
        self, first: Float[Array, "b h w 3"], second: Float[Array, "b h w 3"]
    ) -> Float[Array, " b"]:
        return _mean_squares(self.network.taps(first), self.network.taps(second))


@flax.struct.dataclass
class LpipsDistance:
    """LPIPS with VGG16 and its linear heads.

    Attributes:
      params: "convs", lists by stage of (kernel, bias), and "heads", one weight per
        channel for each stage.
    """

    params: Any

    name = "lpips"
    least = _VGG_LEAST

    def __call__(
        self, first: Float[Array, "b h w 3"], second: Float[Array, "b h w 3"]
    ) -> Float[Array, " b"]:
        pairs = zip(self._features(first), self._features(second), strict=True)
        total = jnp.zeros(first.shape[0])
        for pair, head in zip(pairs, self.params["heads"], strict=True):
            weighted = jnp.sum(_squares(*pair) * head[None, None, None], axis=-1)
            total = total + jnp.mean(weighted, axis=(1, 2))
        return total

    def _features(self, image: Float[Array, "b h w 3"]) -> list[Array]:
        x = (image - _SHIFT[None, None, None]) / _SCALE[None, None, None]
        outputs: list[Array] = []
        for stage in self.params["convs"]:
            if outputs:
                x = _max_pool(x)
            for kernel, bias in stage:
                x = jax.nn.relu(
                    convolution.conv_same(x, kernel) + bias[None, None, None]
                )
            outputs.append(x)
        return outputs


Distance = DiscriminatorDistance | FeatureDistance | LpipsDistance


def distance_of(
    bundle: Bundle, lpips: Sequence[str | os.PathLike[str]] = ()
) -> Distance:
    """LPIPS where its weights are given, else what is at hand.

    That is the model's discriminator, where bundles have it, and else the frozen
    network in the package.

    Args:
      bundle: the model.
      lpips: files of LPIPS's weights; see `load_lpips`.

    Raises:
      ValueError: weights cannot be read.
    """
    if lpips:
        return load_lpips(*lpips)
    kind = discriminator_of(bundle.config.model)
    if bundle.discriminator is None or not kind.is_bundled:
        return FeatureDistance(jax.tree.map(jnp.asarray, features.load(NETWORK)))
    params = jax.tree.map(jnp.asarray, bundle.discriminator)
    return DiscriminatorDistance(params, bundle.config.model)


def load_lpips(*paths: str | os.PathLike[str]) -> LpipsDistance:
    """Reads LPIPS-VGG's weights.

    Tensors are named as in torchvision's ``vgg16`` and in LPIPS, in PyTorch's layout:
    ``features.N.weight`` (out, in, 3, 3) and ``features.N.bias`` for N in 0, 2, 5, 7,
    10, 12, 14, 17, 19, 21, 24, 26, 28, and ``lin0.weight`` to ``lin4.weight``
    (1, channels, 1, 1). The names inside LPIPS's own module (``net.slice1.0.weight``,
    ``lin0.model.1.weight``) are understood too; other tensors are not looked at.

    Args:
      *paths: ``.safetensors`` files, or PyTorch's (``.pth``, ``.pt``) if PyTorch is
        installed; several, where convolutions and heads are in files of their own.

    Raises:
      ValueError: a file cannot be read, or a tensor is missing or not as it must be.
    """
    tensors: dict[str, np.ndarray] = {}
    for path in map(pathlib.Path, paths):
        for name, array in _read(path).items():
            for pattern, replacement in _ALIASES:
                if re.fullmatch(pattern, name):
                    name = re.sub(pattern, replacement, name)
            tensors[name] = array
    where = ", ".join(map(str, paths))
    take = functools.partial(_take, tensors, where)
    convs: list[list[tuple[np.ndarray, np.ndarray]]] = []
    heads, inputs = [], 3
    for stage_index, stage in enumerate(VGG_STAGES):
        convs.append([])
        for index, width in stage:
            kernel = take(f"features.{index}.weight", (width, inputs, 3, 3))
            bias = take(f"features.{index}.bias", (width,))
            kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))  # OIHW -> HWIO
            convs[-1].append((kernel, bias))
            inputs = width
        head = take(f"lin{stage_index}.weight", (1, inputs, 1, 1))
        heads.append(head.reshape(-1))
    return LpipsDistance(jax.tree.map(jnp.asarray, {"convs": convs, "heads": heads}))


def check_size(distance: Distance | None, height: int, width: int) -> None:
    """Checks that pictures are large enough to be compared.

    Raises:
      ValueError: they are not; the message says the least.
    """
    if distance is not None and min(height, width) < distance.least:
        raise UserError(
            f"pictures ({width}x{height}) must be at least {distance.least} pixels a "
            f"side for the distance by {distance.name}; use larger ones"
        )


def _mean_squares(
    first: Sequence[Array], second: Sequence[Array]
) -> Float[Array, " b"]:
    """Squared differences of unit vectors, averaged over positions and layers."""
    pairs = zip(first, second, strict=True)
    layers = [jnp.sum(_squares(*pair), axis=-1) for pair in pairs]
    means = [jnp.mean(each, axis=(1, 2)) for each in layers]
    return sum(means, jnp.zeros((), means[0].dtype)) / len(layers)


def _squares(
    first: Float[Array, "b h w c"], second: Float[Array, "b h w c"]
) -> Float[Array, "b h w c"]:
    difference = _unit(first) - _unit(second)
    return difference * difference


def _unit(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Vectors of length 1; 0 where there is nothing."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-12)


def _max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = x[:, : 2 * height, : 2 * width]
    return x.reshape(x.shape[0], height, 2, width, 2, -1).max(axis=(2, 4))


def _take(
    tensors: Mapping[str, np.ndarray], where: str, name: str, shape: tuple[int, ...]
) -> np.ndarray:
    if name not in tensors:
        raise UserError(
            f"weights of LPIPS ({where}) must have {name}, and it is missing; give the "
            "files of torchvision's vgg16 and of LPIPS's linear heads"
        )
    array = np.asarray(tensors[name])
    if name.startswith("lin") and array.size == math.prod(shape):
        array = array.reshape(shape)
    if array.shape != shape or array.dtype.kind != "f":
        raise UserError(
            f"weights of LPIPS ({where}): {name} must be floats {list(shape)}, and it "
            f"is {array.dtype.name}{list(array.shape)}; use VGG16's"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(
            f"weights of LPIPS ({where}): {name} must be finite, and it is not; copy "
            "the file again"
        )
    return array


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"weights of LPIPS ({path}) do not exist; name another file")
    if path.suffix in _TORCH_SUFFIXES:
        tree = torch_files.load(path, "weights of LPIPS")
        if not isinstance(tree, Mapping):
            raise UserError(
                f"weights of LPIPS ({path}) must be a state dictionary of PyTorch, and "
                "they are not; save them as .safetensors"
            )
        tensors = {name: x for name, x in tree.items() if hasattr(x, "detach")}
        return torch_files.arrays_of(tensors)
    if path.suffix != ".safetensors":
        raise UserError(
            f"weights of LPIPS ({path}) must end in .safetensors, "
            f"{', '.join(_TORCH_SUFFIXES)}; convert them"
        )
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError) as error:
        raise UserError(
            f"weights of LPIPS ({path}) must be a whole .safetensors file, and it "
            f"cannot be read ({one_line(error)}); copy it again"
        ) from error
