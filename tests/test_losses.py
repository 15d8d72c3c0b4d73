"""The objective against arithmetic; the reference's values are in test_fixtures.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import geometry, losses
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


def test_least_squares():
    real, fake = [jnp.array([[0.5], [2.0]])], [jnp.array([[-3.0], [0.0]])]
    # (0.5^2 + 1^2) / 4 and (2^2 + 1^2) / 4.
    assert losses.adversarial_d("least_squares", real, fake) == 1.25 / 4 + 5 / 4
    assert losses.adversarial_g("least_squares", fake) == 1.5


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
    # The released form rewards the opposite (docs/model.md, section 7.5).
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


def _averaged(world, span, level):
    """What a stage of a patch shows of a world's picture, as averages."""
    square = 2 ** (level - span.level)
    window = world[:, span.start * square : span.stop * square]
    window = window[:, :, span.start * square : span.stop * square]
    shape = (len(world), span.size, square, span.size, square, 3)
    return jnp.asarray(window.reshape(shape).mean((2, 4)))


def _pyramid():
    spans = geometry.axis_spans(0, geometry.PATCH_CELLS, 3)
    world = np.random.default_rng(0).normal(size=(2, 128, 128, 3))
    return [_averaged(world, span, 3) for span in spans.noise[1::2]]


def test_previews_are_to_be_averages_of_the_whole_picture():
    pictures = _pyramid()
    assert [x.shape[1] for x in pictures] == [17, 29, 53]
    assert losses.previews(pictures) < 1e-12
    for stage in (0, 1):
        other = [x + 0.1 * (i == stage) for i, x in enumerate(pictures)]
        np.testing.assert_allclose(losses.previews(other), 0.1**2 / 2, rtol=1e-4)
        moved = [
            jnp.roll(x, 1, axis=1) if i == stage else x for i, x in enumerate(pictures)
        ]
        assert losses.previews(moved) > 0.01


def test_previews_follow_the_whole_picture_and_not_the_reverse():
    *previews, whole = _pyramid()
    early = [x + 0.1 for x in previews]
    *of_early, of_whole = jax.grad(losses.previews)([*early, whole])
    assert not np.any(of_whole)
    assert all(np.any(each) for each in of_early)


def test_the_witness_parts_sets_by_their_energy_distance():
    rng = np.random.default_rng(0)
    real, fake = (
        jnp.asarray(rng.normal(mean, deviation, (number, 5)).astype(np.float32))
        for mean, deviation, number in ((2, 3, 40), (1, 4, 30))
    )
    mean, deviation = (np.asarray(x) for x in (real.mean(0), real.std(0)))
    seen = [(np.asarray(x) - mean) / (deviation + 1e-3) for x in (real, fake)]

    def distance(x, y):
        groups = (slice(0, 2), slice(2, 5))
        pairs = [x[:, None, g] - y[None, :, g] for g in groups]
        squares = [np.mean(each**2, axis=-1) for each in pairs]
        return np.mean([np.sqrt(np.maximum(each, 1e-6)) for each in squares])

    of_real, of_fake = (losses.witness(x, real, fake, (2, 3)) for x in (real, fake))
    expected = 2 * distance(*seen) - distance(seen[0], seen[0])
    expected -= distance(seen[1], seen[1])
    np.testing.assert_allclose(of_fake - of_real, expected, rtol=1e-4)


def test_features_that_descend_the_witness_become_those_of_photographs():
    rng = np.random.default_rng(0)
    real = jnp.asarray(rng.normal(2, 3, (200, 2)).astype(np.float32))
    fake = jnp.asarray(rng.normal(0, 1, (200, 2)).astype(np.float32))
    step = jax.jit(jax.grad(lambda x, seen: losses.witness(x, real, seen, (2,))))
    for _ in range(300):
        fake -= 300 * step(fake, fake)
    np.testing.assert_allclose(fake.mean(0), real.mean(0), atol=0.1)
    np.testing.assert_allclose(fake.std(0), real.std(0), rtol=0.1)


def test_the_farther_features_are_the_witness_asks_no_more_of_them():
    rng = np.random.default_rng(0)
    real, fake = (jnp.asarray(rng.normal(size=(50, 4)), jnp.float32) for _ in range(2))
    slope = jax.grad(lambda x: losses.witness(x, real, fake, (4,)))
    near, far = (np.abs(slope(x * jnp.ones((1, 4)))).max() for x in (3.0, 3e4))
    assert far <= near
