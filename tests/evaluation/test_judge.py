"""Pictures to features, and what a comparison says."""

import flax.struct
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.data import sources
from infinitygan_jax.evaluation import judge, photographs
from infinitygan_jax.evaluation.distances import kernel_distance
from infinitygan_jax.evaluation.statistics import Moments
from infinitygan_jax.models import features, projected_discriminator
from tests.evaluation import standin

NETWORK = standin.network()


def pictures(count, seed=0, side=12, colour=0.0):
    rng = np.random.default_rng(seed)
    values = rng.normal(colour, 0.2, (count, side, side, 3))
    return np.clip(values, -1, 1).astype(np.float32)


def measured(images, size=12):
    return judge.measure(NETWORK, judge.batched(images), size)


def test_features_are_those_of_each_picture_in_order():
    images = pictures(70)  # three batches, the last one not full
    counted = []
    found = judge.measure(NETWORK, judge.batched(images), 12, counted.append)
    expected = np.asarray(NETWORK.pooled(images))
    np.testing.assert_allclose(found.features, expected, atol=1e-5)
    assert counted == [32, 32, 6]
    assert found.moments.count == 70
    moments = Moments.of(found.features)
    np.testing.assert_allclose(found.moments.mean, moments.mean, atol=1e-12)
    np.testing.assert_allclose(found.moments.comoment, moments.comoment, atol=1e-9)


def test_parts_add_up():
    images = pictures(70)
    found = measured(images[:25]) + measured(images[25:])
    whole = measured(images)
    np.testing.assert_allclose(found.features, whole.features, atol=1e-5)
    np.testing.assert_allclose(
        found.moments.covariance, whole.moments.covariance, atol=1e-6
    )


def test_pictures_of_any_size_are_seen_at_one():
    """Enlarged without smoothing, each quarter keeps its mean; reduced, too."""
    images = pictures(3, side=12)
    large = images.repeat(4, axis=1).repeat(4, axis=2)
    small = measured(large, 12).features
    np.testing.assert_allclose(small, measured(images).features, atol=0.05)
    enlarged = measured(images, 24).features
    np.testing.assert_allclose(enlarged, measured(images).features, atol=0.1)


@flax.struct.dataclass
class Extremes(standin.Network):
    def pooled(self, image):
        return jnp.stack([image.min((1, 2, 3)), image.max((1, 2, 3))], axis=1)


def test_resizing_makes_no_colour_that_a_picture_cannot_have():
    """Lanczos' filter rings beside an edge, above white and below black."""
    edge = np.full((1, 12, 12, 3), -1, np.float32)
    edge[:, :, 6:] = 1
    found = judge.measure(Extremes(np.zeros(1), "extremes"), [edge], 36)
    np.testing.assert_allclose(found.features, [[-1, 1]], atol=1e-6)


def test_other_weights_compile_nothing_and_are_used():
    images = pictures(20)
    first = measured(images).features
    compiled = judge._features._cache_size()
    other = judge.measure(standin.network(seed=1), judge.batched(images), 12).features
    assert judge._features._cache_size() == compiled
    assert np.abs(first - other).max() > 0.1


def test_pictures_of_one_kind_are_far_nearer_than_those_of_two():
    first, second = measured(pictures(60, 0)), measured(pictures(60, 1))
    other = measured(pictures(60, 2, colour=0.5))
    near, far = judge.compare(first, second), judge.compare(first, other)
    assert abs(near.kernel.value) < 3 * near.kernel.error
    assert far.kernel.value > 30 * far.kernel.error > 0
    assert far.frechet > 10 * near.frechet > 0


def test_a_comparison_says_whether_pictures_are_more_than_features():
    def wide(count):
        features = np.tile(measured(pictures(count)).features, (1, 4))
        return judge.Measured(features, Moments.of(features), np.ones(count, int))

    many, few = wide(60), wide(20)
    assert judge.compare(many, many).full_rank  # 60 of 24
    assert not judge.compare(many, few).full_rank  # 20 of 24
    assert not judge.compare(few, many).full_rank


def test_patches_of_one_photograph_are_known_as_such():
    images = pictures(60)
    runs = np.full(20, 3)
    with_runs = judge.measure(NETWORK, judge.batched(images), 12, runs=runs)
    other = measured(pictures(40, 1))
    expected = kernel_distance(with_runs.features, other.features, runs)
    assert judge.compare(with_runs, other).kernel == expected
    both = with_runs + other
    np.testing.assert_array_equal(both.runs, [3] * 20 + [1] * 40)


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="there are none"):
        judge.measure(NETWORK, [], 12)


def test_the_judges_network_tells_landscapes_from_other_pictures():
    """Few, and small: its features take a while."""
    network = features.load(judge.NETWORK)
    view = photographs.View(40, 80)

    def landscapes(stream):
        source = sources.open_source("generated:40")
        views = photographs.views(source, view, 40, seed=0, stream=stream)
        return judge.measure(network, judge.batched(views), 64).features

    noise = judge.measure(network, judge.batched(pictures(40, side=40)), 64).features
    near = kernel_distance(landscapes(0), landscapes(1))
    far = kernel_distance(landscapes(0), noise)
    assert near.value < 3 * near.error
    assert far.value > 5 * max(near.value, near.error)


def test_the_judge_is_not_the_teacher():
    assert judge.NETWORK != projected_discriminator.NETWORK
