"""A discriminator that sees a frozen network's features, and pixels.

docs/model.md, section 6.2. After Projected GAN (Sauer et al., NeurIPS 2021): features
of four strides are mixed over channels and scales by random convolutions that never
learn, and a small head judges each scale. Features of stride 4 do not see fine texture,
so one more head judges pixels. Another one may judge what is left of a patch when it is
reduced, its layout.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from infinitygan_jax.config import DiscriminatorConfig
from infinitygan_jax.models import convolution
from infinitygan_jax.models import features as feature_networks
from infinitygan_jax.models.discriminator import Output, Taps
from infinitygan_jax.models.features import FeatureNetwork
from infinitygan_jax.models.initial import init_variables
from infinitygan_jax.models.layers import EqualDense, applied, averaged, like, product

NETWORK = "lite0"
NUM_COORDS = 1  # outputs of the coordinate head: the vertical label

# Collections beside "params": kernels that never learn; spectral norm's vectors.
MIXING, SPECTRAL = "mixing", "spectral"

MIXED = (48, 80, 112, 160)  # channels of the mixed features, by stride
REDUCTION = 4  # pixels a side that become one for the head on layout
_LAST = 4  # positions a side at which a head ends
_EPSILON = 1e-5  # of batch norm
# Power iterations before the first step, so that spectral norm is near from the start.
_FIRST_ITERATIONS = 15
_BLUR_REACH = 2.5  # standard deviations to either side


class ProjectedDiscriminator(nn.Module):
    """Patches and their features to logits and coordinates.

    Attributes:
      config: sizes.
      axis_name: mapped device axis that the batch is split over, if it is; batch norm's
        statistics are over all of it.
    """

    config: DiscriminatorConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "b p p 3"], taps: Sequence[Float[Array, "b _ _ _"]]
    ) -> tuple[list[Float[Array, "b _"]], Float[Array, "b 1"]]:
        """Judges patches.

        Args:
          image: float32 patches in [-1, 1].
          taps: `features_of` them.

        Returns:
          Logits of each head (real is positive), at one or several positions; and the
          coordinate head's output, which predicts the vertical label; float32.
        """
        logits, hidden = [], []
        for number, x in enumerate(self._mixed(taps)):
            head = _Head(self.config.head_width, self.axis_name, name=f"head_{number}")
            last, of_head = head(x)
            logits.append(of_head)
            hidden.append(jnp.mean(last.astype(jnp.float32), axis=(1, 2)))
        if self.config.pixel_widths:
            pixel_head = _PlainHead(
                self.config.pixel_widths, self.axis_name, name="pixel_head"
            )
            # Nothing is lost, and the widest map is a quarter of the size: a third of
            # the time.
            pixels = _space_to_depth(image.astype(jnp.dtype(self.config.dtype)))
            logits.append(pixel_head(pixels))
        if self.config.layout_widths:
            layout_head = _PlainHead(
                self.config.layout_widths, self.axis_name, name="layout_head"
            )
            reduced = averaged(image, REDUCTION)
            logits.append(layout_head(reduced.astype(jnp.dtype(self.config.dtype))))
        # Where a patch lies in its photograph is told by what is in it.
        coords = EqualDense(NUM_COORDS, name="coords")(
            jnp.concatenate(hidden[-2:], axis=-1)
        )
        return logits, coords

    def _mixed(
        self, taps: Sequence[Float[Array, "b _ _ _"]]
    ) -> list[Float[Array, "b _ _ _"]]:
        """Random mixtures of features over channels, and over scales from the top."""
        mixed: list[Array] = []
        for number in reversed(range(len(taps))):
            x = _frozen(self, f"channels_{number}", taps[number], MIXED[number])
            if mixed:
                above = _frozen(self, f"scales_{number}", mixed[0], MIXED[number])
                x = x + jax.image.resize(above, x.shape, "bilinear")
            mixed.insert(0, x)
        return mixed


@dataclasses.dataclass(frozen=True)
class Projected:
    """A `ProjectedDiscriminator` as a `discriminator.Discriminator`.

    It is of use only to train on: pictures can be compared by the features themselves.

    Attributes:
      config: sizes.
    """

    config: DiscriminatorConfig
    is_bundled = False
    samples_together = 1

    def network(self) -> FeatureNetwork:
        return feature_networks.load(NETWORK)

    def head_weights(
        self, pixel_weight: float, layout_weight: float
    ) -> tuple[float, ...]:
        weights = (1.0,) * len(feature_networks.STRIDES)
        if self.config.pixel_widths:
            weights += (pixel_weight,)
        if self.config.layout_widths:
            weights += (layout_weight,)
        return weights

    def operations(self) -> int:
        return _operations(self.config)

    def network_operations(self) -> int:
        return feature_networks.operations(NETWORK, self.config.seen_size)

    def init(self, key: PRNGKeyArray) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        side = self.config.patch_size
        image = jnp.zeros((1, side, side, 3))
        taps = [
            jnp.zeros((1, size, size, width))
            for size, width in zip(
                feature_networks.tap_sizes(self.config.seen_size),
                feature_networks.SIZES[NETWORK].taps,
                strict=True,
            )
        ]
        module = ProjectedDiscriminator(self.config)
        state = dict(init_variables(module, key, image, taps))
        params = state.pop("params")
        state = jax.lax.fori_loop(
            0, _FIRST_ITERATIONS, lambda _, each: self.refreshed(params, each), state
        )
        return params, state

    def taps(
        self, network: FeatureNetwork | None, image: Float[Array, "b p p 3"]
    ) -> Taps:
        assert network is not None
        return tuple(features_of(self.config, network, image))

    def judge(
        self,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        network: FeatureNetwork | None,
        image: Float[Array, "b p p 3"],
        axis_name: str | None = None,
        taps: Taps | None = None,
    ) -> Output:
        taps = self.taps(network, image) if taps is None else taps
        module = ProjectedDiscriminator(self.config, axis_name)
        logits, coords = applied(module, {"params": params, **state}, image, taps)
        return Output(tuple(logits), coords, taps)

    def refreshed(
        self, params: Mapping[str, Any], state: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        spectral = jax.lax.stop_gradient(state[SPECTRAL])
        return {**state, SPECTRAL: power_iterated(params, spectral)}


class _Head(nn.Module):
    """Halves a map until it is small, then one logit a position.

    It returns what the logits are made of, too.
    """

    width: int
    axis_name: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n n c"]
    ) -> tuple[Float[Array, "b h w d"], Float[Array, "b _"]]:
        number = 0
        if min(x.shape[1:3]) < 2 * _LAST:  # as small already: not linear all the same
            x = _NormedConv(self.width, 3, 1, self.axis_name, name="conv")(x)
        while min(x.shape[1:3]) >= 2 * _LAST:
            x = _NormedConv(self.width, 4, 2, self.axis_name, name=f"down_{number}")(x)
            number += 1
        return x, _logits(x)


class _PlainHead(nn.Module):
    """A plain small discriminator, without a network in front of it."""

    widths: tuple[int, ...]
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Float[Array, "b n n c"]) -> Float[Array, "b _"]:
        first, *others = self.widths
        x = _NormedConv(first, 3, 1, self.axis_name, name="conv")(x)
        for number, width in enumerate(others):
            x = _NormedConv(width, 4, 2, self.axis_name, name=f"down_{number}")(x)
        return _logits(x)


def _space_to_depth(x: Float[Array, "b n n c"]) -> Float[Array, "b m m d"]:
    """Each two by two positions as one of four times the channels: n -> ceil(n / 2)."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    x = x.reshape(batch, -(-height // 2), 2, -(-width // 2), 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(*x.shape[:2], x.shape[3], -1)


def _logits(x: Float[Array, "b h w c"]) -> Float[Array, "b _"]:
    size = min(_LAST, *x.shape[1:3])
    y = SpectralConv(1, size, name="logit")(x)  # n -> n - 3
    return y.astype(jnp.float32).reshape(y.shape[0], -1)


class _NormedConv(nn.Module):
    """Convolution with spectral norm, batch norm, leaky ReLU of slope 0.2.

    Batch norm takes the statistics of the batch at hand, of all devices, in every
    phase: real and generated patches pass apart, and it has no running means.
    """

    features: int
    size: int
    stride: int
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b H W o"]:
        margin = (self.size - 1) // 2
        x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        x = SpectralConv(self.features, self.size, self.stride, name="conv")(x)
        gain = self.param("gain", nn.initializers.ones, (self.features,))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        # In float32: where means are large beside deviations, bfloat16 loses them.
        y = x.astype(jnp.float32)
        mean, variance = _moments(y, self.axis_name)
        scale = gain * jax.lax.rsqrt(variance + _EPSILON)
        y = (y - like(mean, y)) * like(scale, y) + like(bias, y)
        return jnp.where(y >= 0, y, y * 0.2).astype(x.dtype)


def _moments(
    x: Float[Array, "b h w c"], axis_name: str | None
) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Mean and variance by channel, over the batch of all devices."""

    def mean(values: Array) -> Array:
        local = jnp.mean(values, axis=(0, 1, 2))
        return local if axis_name is None else jax.lax.pmean(local, axis_name)

    center = mean(x)
    return center, mean(jnp.square(x - center[None, None, None]))


class SpectralConv(nn.Module):
    """Valid convolution whose kernel is divided by its largest singular value.

    The value is estimated from the right singular vector in the collection `SPECTRAL`,
    which `power_iterated` brings nearer.

    Attributes:
      features: output channels.
      size: taps a side.
      stride: 1 or 2.
    """

    features: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b H W o"]:
        shape = (self.size, self.size, x.shape[-1], self.features)
        init = nn.initializers.normal(1 / math.sqrt(math.prod(shape[:3])))
        kernel = self.param("kernel", init, shape)
        right = self.variable(SPECTRAL, "right", _first_right, self.features).value
        left, _ = _power_iteration(jax.lax.stop_gradient(kernel), right)
        matrix = kernel.reshape(-1, self.features)
        value = jnp.sum(left * product(matrix, right[:, None])[:, 0])
        # Not kernel / value, of which XLA makes a product where no derivative is taken:
        # then it does not merge G's and D's passes over the same patches.
        kernel = (kernel * (1 / value)).astype(x.dtype)
        return convolution.conv_valid(x, kernel, stride=self.stride)


def _first_right(features: int) -> Float[Array, " o"]:
    return jnp.full((features,), 1 / math.sqrt(features))


def _power_iteration(
    kernel: Float[Array, "k k i o"], right: Float[Array, " o"]
) -> tuple[Float[Array, " n"], Float[Array, " o"]]:
    """The left singular vector that goes with a right one, and the right one of it."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    left = _unit(product(matrix, right[:, None])[:, 0])
    return left, _unit(product(left[None], matrix)[0])


def _unit(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / (jnp.linalg.norm(vector) + 1e-12)


def power_iterated(
    params: Mapping[str, Any], spectral: Mapping[str, Any]
) -> dict[str, Any]:
    """Spectral norm's vectors after one power iteration with these parameters.

    Args:
      params: of a `ProjectedDiscriminator` or a part of it.
      spectral: its collection `SPECTRAL`.
    """
    if "right" in spectral:
        return {"right": _power_iteration(params["kernel"], spectral["right"])[1]}
    return {name: power_iterated(params[name], each) for name, each in spectral.items()}


def _frozen(
    module: nn.Module, name: str, x: Float[Array, "b h w i"], features: int
) -> Float[Array, "b h w o"]:
    """A random 1x1 convolution that never learns; keeps the size of its input."""

    def start() -> Array:
        key = module.make_rng("params")
        return jax.random.normal(key, (x.shape[-1], features)) / math.sqrt(x.shape[-1])

    kernel = jax.lax.stop_gradient(module.variable(MIXING, name, start).value)
    return product(x, kernel.astype(x.dtype))


def features_of(
    config: DiscriminatorConfig, network: FeatureNetwork, image: Float[Array, "b p p 3"]
) -> list[Float[Array, "b _ _ _"]]:
    """What the frozen network sees in patches.

    Args:
      config: sizes; patches are blurred by ``feature_blur``, and resized to
        ``feature_size`` pixels a side, if it is not 0, bilinearly (with antialiasing
        where that is smaller).
      network: the network.
      image: patches in [-1, 1].

    Returns:
      Its four taps, of the computing type.

    Raises:
      ValueError: patches are too small for it.
    """
    size = config.feature_size or image.shape[1]
    image = image.astype(jnp.dtype(config.dtype))
    if config.feature_blur:
        image = _blurred(image, config.feature_blur)
    shape = (image.shape[0], size, size, 3)
    return network.taps(jax.image.resize(image, shape, "bilinear"))


def _blurred(image: Float[Array, "b n n 3"], deviation: float) -> Array:
    reach = math.ceil(_BLUR_REACH * deviation)
    taps = [math.exp(-((x / deviation) ** 2) / 2) for x in range(-reach, reach + 1)]
    # Pixels beyond the edge are like those at it: a darker margin would be learned.
    margins = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    return convolution.blur(jnp.pad(image, margins, mode="edge"), tuple(taps))


def _operations(config: DiscriminatorConfig) -> int:
    """Operations of mixtures and heads for one patch."""
    sizes = feature_networks.tap_sizes(config.seen_size)
    taps = feature_networks.SIZES[NETWORK].taps
    products = sum(
        tap * wide * size * size
        for tap, wide, size in zip(taps, MIXED, sizes, strict=True)
    )
    products += sum(  # over scales
        above * wide * size * size
        for above, wide, size in zip(MIXED[1:], MIXED, sizes[1:], strict=False)
    )
    width = config.head_width
    for wide, size in zip(MIXED, sizes, strict=True):
        if size < 2 * _LAST:
            products += 9 * wide * width * size * size
        while size >= 2 * _LAST:
            size //= 2
            products += 16 * wide * width * size * size
            wide = width
        products += _logit_products(width, size)
    for widths, wide, size in (
        (config.pixel_widths, 2 * 2 * 3, -(-config.patch_size // 2)),
        (config.layout_widths, 3, config.patch_size // REDUCTION),
    ):
        for number, each in enumerate(widths):
            size = size // 2 if number else size
            products += (16 if number else 9) * wide * each * size * size
            wide = each
        products += _logit_products(wide, size) if widths else 0
    return 2 * (products + 2 * width * NUM_COORDS)


def _logit_products(wide: int, size: int) -> int:
    taps = min(_LAST, size)
    return (size - taps + 1) ** 2 * taps**2 * wide
