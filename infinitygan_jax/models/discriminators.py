"""Which discriminator a model has."""

from collections.abc import Callable, Mapping

from infinitygan_jax.config import DiscriminatorConfig
from infinitygan_jax.models.discriminator import Discriminator
from infinitygan_jax.models.projected_discriminator import Projected
from infinitygan_jax.models.residual_discriminator import Residual

KINDS: Mapping[str, Callable[[DiscriminatorConfig], Discriminator]] = {
    "stylegan2": Residual,
    "projected": Projected,
}


def discriminator_of(config: DiscriminatorConfig) -> Discriminator:
    """The discriminator that ``config.discriminator`` names, of its sizes."""
    return KINDS[config.discriminator](config)
