"""The discriminator of a model, whichever it has: one interface over all kinds.

A discriminator has parameters, which learn, and a state, which does not learn and goes
with them (`init_discriminator`). One that sees features of a frozen network is given
this network at each call (`network_of`): its weights are neither parameters nor state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from infinitygan_jax.config import DiscriminatorConfig
from infinitygan_jax.models import features
from infinitygan_jax.models import projected_discriminator as projected
from infinitygan_jax.models import residual_discriminator as residual
from infinitygan_jax.models.features import FeatureNetwork
from infinitygan_jax.models.initial import init_variables
from infinitygan_jax.models.layers import applied

# Power iterations before the first step, so that spectral norm is near from the start.
_FIRST_ITERATIONS = 15


class Output(NamedTuple):
    """What a discriminator makes of a batch of patches.

    Attributes:
      logits: of each of its heads, at one position or several; real is positive.
      coords: outputs of the coordinate head; the first predicts the vertical label.
      taps: `taps_of` the patches.
    """

    logits: tuple[Float[Array, "b _"], ...]
    coords: Float[Array, "b _"]
    taps: tuple[Float[Array, "b _ _ _"], ...]


def network_of(config: DiscriminatorConfig) -> FeatureNetwork | None:
    """The frozen network that a model's discriminator looks through, or None.

    Raises:
      ValueError: its weights cannot be read.
    """
    if config.discriminator == "projected":
        return features.load(projected.NETWORK)
    return None


def is_bundled(config: DiscriminatorConfig) -> bool:
    """Whether bundles have this model's discriminator.

    One that sees a frozen network's features is of use only to train on: pictures can
    be compared by those features themselves.
    """
    return config.discriminator == "stylegan2"


def samples_together(config: DiscriminatorConfig) -> int:
    """Consecutive samples that are judged by their spread: a group; 0: all of them."""
    return config.stddev_group if config.discriminator == "stylegan2" else 1


def head_weights(
    config: DiscriminatorConfig, pixel_weight: float, layout_weight: float
) -> tuple[float, ...]:
    """What each head's logits weigh in the loss of G.

    Args:
      config: of the model.
      pixel_weight: of the head on pixels beside heads on features, if there is one.
      layout_weight: likewise of the head on layout.
    """
    if config.discriminator == "stylegan2":
        return (1.0,)
    weights = (1.0,) * len(features.STRIDES)
    if config.pixel_widths:
        weights += (pixel_weight,)
    if config.layout_widths:
        weights += (layout_weight,)
    return weights


def operations(config: DiscriminatorConfig) -> int:
    """Operations of the products of what learns of a discriminator, for one patch."""
    if config.discriminator == "stylegan2":
        return residual.operations(config)
    return projected.operations(config)


def network_operations(config: DiscriminatorConfig) -> int:
    """Operations of the convolutions of `network_of` the model for one patch, or 0."""
    if config.discriminator == "stylegan2":
        return 0
    return projected.network_operations(config)


def init_discriminator(
    config: DiscriminatorConfig, key: PRNGKeyArray
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Fresh float32 parameters and state of the discriminator."""
    image = jnp.zeros((1, config.patch_size, config.patch_size, 3))
    if config.discriminator == "stylegan2":
        variables = init_variables(residual.ResidualDiscriminator(config), key, image)
        return variables["params"], {}
    taps = [
        jnp.zeros((1, size, size, width))
        for size, width in zip(
            features.tap_sizes(config.seen_size),
            features.SIZES[projected.NETWORK].taps,
            strict=True,
        )
    ]
    module = projected.ProjectedDiscriminator(config)
    state = dict(init_variables(module, key, image, taps))
    params = state.pop("params")
    state = jax.lax.fori_loop(
        0, _FIRST_ITERATIONS, lambda _, each: refreshed(params, each), state
    )
    return params, state


def taps_of(
    config: DiscriminatorConfig,
    network: FeatureNetwork | None,
    image: Float[Array, "b p p 3"],
) -> tuple[Float[Array, "b _ _ _"], ...]:
    """What a model's frozen network sees in patches; nothing where there is none.

    Args:
      config: of the model.
      network: `network_of` it.
      image: float32 patches in [-1, 1].

    Returns:
      Its taps, of the computing type.

    Raises:
      ValueError: patches are too small for the network.
    """
    if network is None:
        return ()
    return tuple(projected.features_of(config, network, image))


def apply(
    config: DiscriminatorConfig,
    params: Mapping[str, Any],
    state: Mapping[str, Any],
    network: FeatureNetwork | None,
    image: Float[Array, "b p p 3"],
    axis_name: str | None = None,
    taps: tuple[Float[Array, "b _ _ _"], ...] | None = None,
) -> Output:
    """Discriminates real patches from generated ones.

    Args:
      config: sizes, and which discriminator.
      params: its parameters.
      state: its state.
      network: `network_of` the model.
      image: float32 patches in [-1, 1].
      axis_name: mapped device axis that the batch is split over, if it is: statistics
        of a batch are over all of it.
      taps: `taps_of` these patches, if they are known.

    Returns:
      What it makes of them, float32.

    Raises:
      ValueError: patches are too small for the network.
    """
    if config.discriminator == "stylegan2":
        alone = residual.ResidualDiscriminator(config, axis_name)
        logits, coords = applied(alone, {"params": params}, image)
        return Output((logits[:, None],), coords, ())
    if taps is None:
        taps = taps_of(config, network, image)
    module = projected.ProjectedDiscriminator(config, axis_name)
    logits, coords = applied(module, {"params": params, **state}, image, taps)
    return Output(tuple(logits), coords, taps)


def refreshed(params: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state that goes with parameters that have just been updated."""
    if projected.SPECTRAL not in state:
        return state
    spectral = jax.lax.stop_gradient(state[projected.SPECTRAL])
    return {**state, projected.SPECTRAL: projected.refreshed(params, spectral)}
