"""StyleGAN2's residual discriminator, with a head for the vertical coordinate."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from infinitygan_jax.config import DiscriminatorConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.models import convolution
from infinitygan_jax.models.discriminator import Output, Taps
from infinitygan_jax.models.features import FeatureNetwork
from infinitygan_jax.models.initial import init_variables
from infinitygan_jax.models.layers import EqualConv, EqualDense, activate, applied

NUM_COORDS = 3  # outputs of the coordinate head; the first is the vertical label


class Block(nn.Module):
    """Residual block that halves the resolution (docs/model.md, section 6.1).

    Attributes:
      features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b H W o"]:
        skip = convolution.blur(x, (1, 3, 3, 1), padding=1)
        skip = EqualConv(self.features, 1, stride=2, bias=False, name="skip")(skip)
        x = EqualConv(x.shape[-1], 3, same=True, name="conv")(x)
        x = convolution.blur(x, (1, 3, 3, 1), padding=2)
        x = EqualConv(self.features, 3, stride=2, name="down")(x)
        return (x + skip) * (1 / math.sqrt(2.0))


class ResidualDiscriminator(nn.Module):
    """Patches to logits and coordinates (docs/model.md, section 6.1).

    Attributes:
      config: sizes.
      axis_name: mapped device axis over which groups of the minibatch standard
        deviation may reach; None where the whole batch is at hand.
    """

    config: DiscriminatorConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "b p p 3"]
    ) -> tuple[Float[Array, " b"], Float[Array, "b 3"]]:
        """Judges patches.

        Args:
          image: float32 patches in [-1, 1].

        Returns:
          Logits (real is positive), and the coordinate head's outputs, of which the
          first predicts the vertical label; float32.
        """
        widths = self.config.discriminator_widths
        x = _trunk(self.config, image)[-1].astype(jnp.float32)
        spread = self._group_spread(x)
        spread = jnp.broadcast_to(spread[:, None, None, None], (*x.shape[:3], 1))
        x = jnp.concatenate([x, spread], axis=-1)
        x = EqualConv(widths[0], 3, same=True, name="final_conv")(x)
        # Channel-major, as the published checkpoints have it.
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        logits = EqualDense(1, name="logit")(_dense(x, widths[0], "dense"))
        hidden = _dense(x, widths[0], "coords_dense")
        return logits[:, 0], EqualDense(NUM_COORDS, name="coords")(hidden)

    def _group_spread(self, x: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        """Mean standard deviation over each sample's group of consecutive samples."""
        batch, group = x.shape[0], self.config.stddev_group
        if self.axis_name is None:
            return _spread(x, group)
        if group and batch % group == 0:
            return _spread(x, group)
        # A group reaches over devices. The features are small here (4 x 4 or so).
        everything = jax.lax.all_gather(x, self.axis_name, tiled=True)
        first = jax.lax.axis_index(self.axis_name) * batch
        return jax.lax.dynamic_slice_in_dim(_spread(everything, group), first, batch)


@dataclasses.dataclass(frozen=True)
class Residual:
    """A `ResidualDiscriminator` as a `discriminator.Discriminator`: it has no state.

    Attributes:
      config: sizes.
    """

    config: DiscriminatorConfig
    is_bundled = True

    @property
    def samples_together(self) -> int:
        return self.config.stddev_group

    def network(self) -> None:
        return None

    def head_weights(
        self, pixel_weight: float, layout_weight: float
    ) -> tuple[float, ...]:
        return (1.0,)

    def operations(self) -> int:
        return _operations(self.config)

    def network_operations(self) -> int:
        return 0

    def init(self, key: PRNGKeyArray) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        side = self.config.patch_size
        image = jnp.zeros((1, side, side, 3))
        variables = init_variables(ResidualDiscriminator(self.config), key, image)
        return variables["params"], {}

    def taps(
        self, network: FeatureNetwork | None, image: Float[Array, "b p p 3"]
    ) -> Taps:
        return ()

    def judge(
        self,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        network: FeatureNetwork | None,
        image: Float[Array, "b p p 3"],
        axis_name: str | None = None,
        taps: Taps | None = None,
    ) -> Output:
        module = ResidualDiscriminator(self.config, axis_name)
        logits, coords = applied(module, {"params": params}, image)
        return Output((logits[:, None],), coords, ())

    def refreshed(
        self, params: Mapping[str, Any], state: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return state


class ResidualFeatures(nn.Module):
    """What the discriminator's blocks see in images of any size.

    It takes the discriminator's parameters, and of those what comes before the
    minibatch standard deviation.

    Attributes:
      config: sizes.
    """

    config: DiscriminatorConfig

    @nn.compact
    def __call__(self, image: Float[Array, "b h w 3"]) -> list[Float[Array, "b _ _ _"]]:
        """Features after each block, of 1/2, 1/4, ... of the image's size.

        Args:
          image: float32 images in [-1, 1], at least 2 pixels a side. Blocks that
            would be left with nothing of a small image are left out.
        """
        return _trunk(self.config, image)[1:]


def _trunk(
    config: DiscriminatorConfig, image: Float[Array, "b h w 3"]
) -> list[Float[Array, "b _ _ _"]]:
    """Features from RGB and after each block; called inside a compact module."""
    widths, log2_size = config.discriminator_widths, config.discriminator_log2_size
    x = image.astype(jnp.dtype(config.dtype))
    features = [EqualConv(widths[log2_size - 2], 1, name="from_rgb")(x)]
    for n in range(log2_size, 2, -1):
        if min(features[-1].shape[1:3]) < 2:  # a block: n -> n // 2
            break
        features.append(Block(widths[n - 3], name=f"block_{n}")(features[-1]))
    return features


def _dense(x: Float[Array, "b i"], features: int, name: str) -> Float[Array, "b o"]:
    return activate(EqualDense(features, name=name)(x))


def _spread(x: Float[Array, "b h w c"], group: int) -> Float[Array, " b"]:
    """Each sample's group's spread; 0, or more than there are, groups all samples."""
    batch = x.shape[0]
    group = min(group or batch, batch)
    if batch % group:
        raise UserError(
            f"the batch ({batch}) must be a multiple of model.stddev_group ({group}); "
            "use 0 for one group"
        )
    x = x.reshape(batch // group, group, *x.shape[1:])
    deviation = jnp.sqrt(jnp.var(x, axis=1) + 1e-8)
    return jnp.repeat(jnp.mean(deviation, axis=(1, 2, 3)), group)


def _operations(config: DiscriminatorConfig) -> int:
    """Operations of the discriminator's products, its blurs aside, for one patch."""
    widths, size = config.discriminator_widths, config.patch_size
    wide = widths[config.discriminator_log2_size - 2]
    products = 3 * wide * size * size
    for n in range(config.discriminator_log2_size, 2, -1):
        products += 9 * wide * wide * size * size
        size //= 2
        products += (9 + 1) * wide * widths[n - 3] * size * size  # main path and skip
        wide = widths[n - 3]
    products += 9 * (wide + 1) * widths[0] * size * size
    products += 2 * widths[0] * widths[0] * size * size  # of both heads
    return 2 * (products + widths[0] * (1 + NUM_COORDS))
