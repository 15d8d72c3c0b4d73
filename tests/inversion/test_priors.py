"""Priors: known values of noise, ramps, normal styles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.inversion import priors
from infinitygan_jax.models.generator import make_generator
from tests.sampling import tiny


@functools.lru_cache
def statistics():
    return priors.style_statistics(tiny.MODEL, tiny.params(), 10_000)


def white(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def test_white_noise_has_no_autocorrelation_and_a_ramp_has():
    noise = white(2, 128, 128)
    ramp = jnp.broadcast_to(jnp.linspace(-1.7, 1.7, 128), (2, 128, 128))
    # 128, 64, ... 8: a mean of n products has a variance of 1/n, twice for each map,
    # so 2 (1/128^2 + 1/64^2 + ... + 1/8^2) = 0.042 is expected.
    assert np.all(priors.autocorrelation(noise) < 0.15)
    # Neighbours of a ramp are nearly equal: about 1 both ways at the first map alone.
    assert np.all(priors.autocorrelation(ramp) > 1.5)


def test_correlation_is_found_at_the_scale_where_it_is():
    """White blocks of 4 x 4 are smooth at the finest maps, white from 1/4 on."""
    blocks = white(1, 32, 32).repeat(4, axis=1).repeat(4, axis=2)
    # At full size 3 of 4 neighbours are equal, at 1/2 one of two: 0.75^2 * 2 and, with
    # the doubling, (4 * 0.5)^2 * 2.
    found = float(priors.autocorrelation(blocks)[0])
    assert found > 0.75**2 * 2 + 2


def test_each_map_is_judged_alone():
    noise = white(3, 20, 30)
    together = priors.autocorrelation(noise)
    alone = [priors.autocorrelation(each[None])[0] for each in noise]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5)


def test_renormalized_noise_is_of_mean_0_and_variance_1():
    noise = np.asarray(priors.renormalized(5 + 3 * white(2, 9, 11)))
    np.testing.assert_allclose(noise.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(noise.var(axis=(1, 2)), 1, rtol=1e-5)
    flat = np.asarray(priors.renormalized(jnp.ones((1, 8, 8))))
    assert np.isfinite(flat).all()


def test_gaussianized_undoes_the_activation():
    x = white(5, 7)
    active = jnp.where(x >= 0, x, 0.2 * x) * np.float32(np.sqrt(2))
    np.testing.assert_allclose(priors.gaussianized(active), x, rtol=1e-5)


def test_mahalanobis_is_0_at_the_mean_and_about_root_d_for_samples():
    found = statistics()
    center = found.center
    # The style whose Gaussianized form is the mean.
    mean = np.where(center >= 0, center, 0.2 * center) * np.float32(np.sqrt(2))
    styles = jnp.asarray(np.broadcast_to(mean, (1, 5, 6)), jnp.float32)
    assert float(priors.mahalanobis(found, styles)[0]) < 1e-3
    gradient = jax.grad(lambda s: priors.mahalanobis(found, s)[0])(styles)
    assert np.isfinite(gradient).all()
    z = white(4000, 6, seed=5)
    mapping = functools.partial(make_generator(tiny.MODEL).apply, method="mapping")
    style = jax.jit(mapping)({"params": tiny.params()}, z)
    squares = priors.mahalanobis(found, style[:, None]) ** 2
    assert float(jnp.mean(squares)) == pytest.approx(6, rel=0.1)  # of 6 channels


def test_mahalanobis_is_that_of_the_covariance():
    """Against the definition, sqrt(d' inverse(C) d)."""
    found = statistics()
    styles = white(3, 2, 6)
    offset = np.asarray(priors.gaussianized(styles)) - found.center
    inverse = found.whitening @ found.whitening.T
    expected = np.sqrt(np.einsum("bni,ij,bnj->bn", offset, inverse, offset)).mean(1)
    np.testing.assert_allclose(priors.mahalanobis(found, styles), expected, rtol=1e-4)


def test_directions_without_spread_are_safe():
    """A mapping whose kernels are 0 gives one style only."""
    params = tiny.params()
    mapping = jax.tree.map(np.zeros_like, params["mapping_network"])
    found = priors.style_statistics(
        tiny.MODEL, {**params, "mapping_network": mapping}, 100
    )
    assert all(np.isfinite(each).all() for each in found)


def test_rms_and_its_gradient_at_0():
    x = white(2, 3, 4)
    np.testing.assert_allclose(
        priors.rms(x), np.sqrt((x * x).mean(axis=(1, 2))), rtol=1e-6
    )
    gradient = jax.grad(lambda x: jnp.sum(priors.rms(x)))(jnp.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, 0)
