"""The objective against arithmetic; the reference's values are in test_fixtures.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import losses
from infinitygan_jax.config import OBJECTIVES


def test_adversarial():
    real, fake = [jnp.array([[0.0], [2.0]])], [jnp.array([[-1.0], [3.0]])]
    form = "non_saturating"
    # softplus(x) = log(1 + e^x)
    expected = np.log1p(np.exp([-0.0, -2.0])).mean() + np.log1p(np.exp([-1, 3])).mean()
    found = losses.adversarial_d(form, real, fake)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    expected = np.log1p(np.exp([1, -3])).mean()
    np.testing.assert_allclose(losses.adversarial_g(form, fake), expected, rtol=1e-6)
    assert np.isfinite(losses.adversarial_g(form, [jnp.array([[-1e4]])]))


def test_hinge():
    real, fake = [jnp.array([[0.5], [2.0]])], [jnp.array([[-3.0], [0.0]])]
    # relu(1 - 0.5) = 0.5 and 0; 0 and relu(1 + 0) = 1.
    assert losses.adversarial_d("hinge", real, fake) == 0.25 + 0.5
    assert losses.adversarial_g("hinge", fake) == 1.5


@pytest.mark.parametrize("form", OBJECTIVES)
def test_heads_count_alike_whatever_they_judge(form):
    """Losses are means over samples and positions, and sums over heads."""
    few, many = jnp.array([[1.0], [-2.0]]), jnp.array([[1.0] * 9, [-2.0] * 9])
    one = losses.adversarial_d(form, [few], [-few])
    both = losses.adversarial_d(form, [few, many], [-few, -many])
    np.testing.assert_allclose(both, 2 * one, rtol=1e-6)
    one, both = (losses.adversarial_g(form, x) for x in ([few], [few, many]))
    np.testing.assert_allclose(both, 2 * one, rtol=1e-6)
    np.testing.assert_allclose(losses.score([few, many]), [2.0, -4.0], rtol=1e-6)


@pytest.mark.parametrize("form", OBJECTIVES)
def test_heads_weigh_as_told_in_the_loss_of_g(form):
    fake = [jnp.array([[0.5], [-2.0]]), jnp.array([[1.0, 3.0], [0.0, -1.0]])]
    alone = [losses.adversarial_g(form, [each]) for each in fake]
    found = losses.adversarial_g(form, fake, (1.0, 20.0))
    np.testing.assert_allclose(found, alone[0] + 20 * alone[1], rtol=1e-6)
    assert losses.adversarial_g(form, fake) == losses.adversarial_g(form, fake, (1, 1))


def test_vertical_coordinate_reads_the_first_output():
    prediction = jnp.array([[0.5, 9.0, 9.0], [-1.0, 9.0, 9.0]])
    loss = losses.vertical_coordinate(prediction, jnp.array([0.0, -0.5]))
    assert loss == 0.5  # (0.5 + 0.5) / 2


def test_r1_is_the_mean_squared_gradient():
    weight = jnp.arange(12.0).reshape(2, 2, 3)
    image = jnp.ones((4, 2, 2, 3))
    # D = sum w x^2: gradient 2 w x, squared norm 4 sum w^2 = 4 * 506.
    found = losses.r1(lambda x: jnp.sum(weight[None] * x * x, axis=(1, 2, 3)), image)
    np.testing.assert_allclose(found, 4 * 506)


def test_path_lengths_of_a_linear_painter():
    styles = jnp.zeros((3, 5, 2))
    projection = jnp.ones((3, 4, 6, 3))

    def paint(s):  # every pixel is the sum of the styles' first channel
        total = jnp.sum(s[..., 0], axis=1)
        return jnp.broadcast_to(total[:, None, None, None], projection.shape)

    # Gradient: 4 * 6 * 3 / sqrt(24) for channel 0, 0 for channel 1; rms over both.
    expected = 72 / np.sqrt(24) / np.sqrt(2)
    lengths = losses.path_lengths(paint, styles, projection)
    np.testing.assert_allclose(lengths, [expected] * 3, rtol=1e-6)
    assert losses.path_penalty(jnp.array([1.0, 3.0]), jnp.float32(2)) == 1


def test_diversity_falls_as_structures_part():
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.standard_normal((4, 5, 5, 2)), jnp.float32)
    s = jnp.asarray(rng.standard_normal((4, 3, 3, 6)), jnp.float32)
    near = s.at[1::2].set(s[::2] + 0.1 * (s[1::2] - s[::2]))
    for form in ("l1", "angular_distance"):
        assert losses.diversity(form, s, z) < losses.diversity(form, near, z)
    # The released form rewards the opposite (spec section 6).
    form = "released_angular_similarity"
    assert losses.diversity(form, s, z) > losses.diversity(form, near, z)


def test_diversity_l1_is_a_ratio_of_means():
    z = jnp.array([0.0, 2.0, 1.0, 2.0]).reshape(4, 1, 1, 1)
    s = jnp.array([0.0, 5.0, 3.0, 4.0]).reshape(4, 1, 1, 1)
    # Pairs (0, 1) and (2, 3): mean(2, 1) / mean(5, 1), not mean(2/5, 1).
    np.testing.assert_allclose(losses.diversity("l1", s, z), 0.5, rtol=1e-5)


@pytest.mark.parametrize("form", ["l1", "angular_distance"])
def test_diversity_has_finite_slopes_where_a_pair_agrees(form):
    z = jnp.arange(8.0).reshape(4, 1, 1, 2)
    s = jnp.ones((4, 2, 2, 3))
    slope = jax.grad(lambda s: losses.diversity(form, s, z))(s)
    assert np.isfinite(slope).all()
