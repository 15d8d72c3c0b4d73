"""What latents and noise of the model's own pictures look like, as penalties."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infinitygan_jax.config import ModelConfig
from infinitygan_jax.models.generator import make_generator
from infinitygan_jax.models.layers import averaged

SMALLEST_MAP = 8  # pixels a side at which the pyramid of a noise map ends
# Directions in which styles hardly vary are counted as if they varied by this share of
# the mean variance: 64 samples apart or never seen are the same to us.
_VARIANCE_FLOOR = 1e-4
_CHUNK = 1024  # styles that are mapped at once


class StyleStatistics(NamedTuple):
    """How the styles of a model are spread.

    Attributes:
      mean: mean style.
      spread: root of the mean squared distance of styles from it.
      center: mean of the Gaussianized styles.
      whitening: makes (Gaussianized style - center) @ whitening of unit covariance.
    """

    mean: Float[Array | np.ndarray, " d"]
    spread: Float[Array | np.ndarray, ""]
    center: Float[Array | np.ndarray, " d"]
    whitening: Float[Array | np.ndarray, "d d"]


def style_statistics(
    model: ModelConfig, params: Mapping[str, Any], num_samples: int, seed: int = 0
) -> StyleStatistics:
    """Statistics of the styles of ``num_samples`` random global latents.

    Args:
      model: sizes.
      params: the generator's parameters.
      num_samples: at least 2.
      seed: of the latents.
    """
    mapped = _mapping(model)
    rng = np.random.default_rng(seed)
    count = -(-num_samples // _CHUNK) * _CHUNK
    latents = rng.standard_normal((count, model.z_global_size), np.float32)
    parts = [
        mapped({"params": params}, part) for part in np.split(latents, count // _CHUNK)
    ]
    styles = np.concatenate(parts)[:num_samples]
    gaussian = np.asarray(gaussianized(jnp.asarray(styles))).astype(np.float64)
    center = gaussian.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(gaussian, rowvar=False))
    floor = max(_VARIANCE_FLOOR * variances.mean(), np.finfo(np.float32).tiny)
    mean = styles.mean(axis=0, dtype=np.float64)
    spread = np.sqrt(np.mean(np.sum((styles - mean) ** 2, axis=1)))
    whitening = axes / np.sqrt(np.maximum(variances, floor))
    return StyleStatistics(
        *(np.asarray(each, np.float32) for each in (mean, spread, center, whitening))
    )


@functools.lru_cache(maxsize=8)
def _mapping(model: ModelConfig) -> Callable[..., Float[Array, "n d"]]:
    return jax.jit(functools.partial(make_generator(model).apply, method="mapping"))


def gaussianized(style: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Styles before the mapping's last activation: nearly normal (Karras' W to P).

    The activation is a leaky ReLU of slope 0.2 times sqrt(2); its inverse is a leaky
    ReLU of slope 5 of the style over sqrt(2).
    """
    x = style * np.float32(1 / np.sqrt(2))
    return jnp.where(x >= 0, x, 5 * x)


def mahalanobis(
    statistics: StyleStatistics, styles: Float[Array, "b n d"]
) -> Float[Array, " b"]:
    """Mahalanobis distance from the mean in Gaussianized space; mean over slots."""
    offset = gaussianized(styles) - statistics.center[None, None]
    white = jnp.matmul(offset, statistics.whitening, precision="highest")
    return jnp.mean(_root(jnp.sum(white * white, axis=-1)), axis=-1)


def rms(x: Float[Array, "b *shape"]) -> Float[Array, " b"]:
    """Root mean square of each sample."""
    return _root(jnp.mean(x * x, axis=tuple(range(1, x.ndim))))


def autocorrelation(noise: Float[Array, "b h w"]) -> Float[Array, " b"]:
    """How much neighbours in noise maps resemble each other, at all scales.

    The mean product of neighbours, squared, down and across; summed over a pyramid of
    maps that are halved until ``SMALLEST_MAP``. The mean of 2 x 2 white values has half
    their deviation, so each is doubled. About 1 / (number of values) for white noise.
    """
    total = jnp.zeros(noise.shape[0])
    while True:
        down = jnp.mean(noise[:, 1:] * noise[:, :-1], axis=(1, 2))
        across = jnp.mean(noise[:, :, 1:] * noise[:, :, :-1], axis=(1, 2))
        total = total + down * down + across * across
        if min(noise.shape[1:]) <= SMALLEST_MAP:
            return total
        noise = averaged(noise[..., None], 2)[..., 0] * 2


def renormalized(
    noise: Float[Array, "b h w"], inside: Float[Array, "h w"] | None = None
) -> Float[Array, "b h w"]:
    """Noise maps with a mean of 0 and a variance of 1.

    Args:
      noise: the maps.
      inside: 1 where that is meant and 0 where values stay; None for all.
    """
    share = (jnp.ones(noise.shape[1:]) if inside is None else inside)[None]
    count = jnp.sum(share)
    centered = noise - jnp.sum(noise * share, axis=(1, 2), keepdims=True) / count
    squares = centered * centered * share
    variance = jnp.sum(squares, axis=(1, 2), keepdims=True) / count
    normal = centered * jax.lax.rsqrt(variance + 1e-12)
    return jnp.where(share > 0, normal, noise)


def _root(x: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Square root whose derivative at 0 is 0, not infinite."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)
