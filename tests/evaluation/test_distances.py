"""Distances against formulas and slow sums."""

import itertools

import numpy as np
import pytest

from infinitygan_jax.evaluation import distances
from infinitygan_jax.evaluation.distances import frechet_distance, kernel_distance
from infinitygan_jax.evaluation.statistics import Moments


def moments(mean, covariance):
    """Of 101 features: the co-moment is 100 covariances."""
    return Moments(101, np.asarray(mean, float), 100 * np.asarray(covariance, float))


def normal(seed, count, mean=0.0, channels=5):
    rng = np.random.default_rng(seed)
    return rng.normal(mean, 1, (count, channels)).astype(np.float32)


def test_frechet_distance_along_axes():
    """|m|^2 = 9 + 16; (3 - 1)^2 + (2 - 5)^2 of the standard deviations: 38 in all."""
    first = moments([0, 0], np.diag([9, 4]))
    second = moments([3, 4], np.diag([1, 25]))
    assert frechet_distance(first, second) == pytest.approx(38, abs=1e-9)
    assert frechet_distance(second, first) == pytest.approx(38, abs=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute():
    """Of 2 x 2 matrices, tr(P^(1/2)) = (tr P + 2 det(P)^(1/2))^(1/2)."""
    first, second = np.array([[4, 1], [1, 2]]), np.array([[1, -0.5], [-0.5, 3]])
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(first) + np.trace(second) - 2 * root
    found = frechet_distance(moments([1, 1], first), moments([1, 1], second))
    assert found == pytest.approx(expected, abs=1e-9)


def test_frechet_distance_where_there_are_fewer_features_than_channels():
    """Rank 3 of 40: a real number, 0 to itself, and to a multiple by arithmetic.

    Standard deviations twice as large: the distance is the trace of the first.
    """
    features = normal(0, 4, channels=40)
    first = Moments.of(features)
    mean = features.mean(axis=0, keepdims=True)
    second = Moments.of(mean + 2 * (features - mean))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    trace = np.trace(first.covariance)
    assert frechet_distance(first, second) == pytest.approx(trace, rel=1e-5)


def test_kernel_distance_is_a_sum_over_all_pairs():
    first, second = normal(0, 23), normal(1, 31, mean=0.5)

    def kernel(x, y):
        return (np.dot(x.astype(float), y.astype(float)) / 5 + 1) ** 3

    def within(features):
        pairs = list(itertools.permutations(features, 2))
        return sum(kernel(x, y) for x, y in pairs) / len(pairs)

    between = np.mean([kernel(x, y) for x in first for y in second])
    expected = within(first) + within(second) - 2 * between
    found = kernel_distance(first, second)
    assert found.value == pytest.approx(expected, rel=1e-9)
    turned = kernel_distance(second[::-1], first[::-1])
    assert turned.value == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_unbiased_and_its_error_is_how_far_it_strays():
    """Of sets of one kind it is 0 in the mean.

    With pairs of one with itself it would be above 0 by 2 (E k(x, x) - E k(x, y)) / n,
    many times the mean's error. There the jackknife's error is too large, up to the
    root of 2: leaving out features of both sides, it counts their pairs twice.
    """
    for mean, most in ((0.0, 2.1), (0.7, 1.5)):
        found = [
            kernel_distance(normal(2 * i, 40), normal(2 * i + 1, 40, mean=mean))
            for i in range(40)
        ]
        values, errors = np.array(found).T
        if not mean:
            assert abs(values.mean()) < 3 * values.std() / np.sqrt(40)
            assert (values < 0).any()
        assert 0.7 < np.sqrt((errors**2).mean()) / values.std() < most


def photographs(seed, count, each, channels=5):
    """Features of patches: those of a photograph vary around its own."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(0, 1, (count, 1, channels))
    patches = middles + rng.normal(0, 0.5, (count, each, channels))
    return patches.reshape(-1, channels).astype(np.float32)


def test_patches_of_one_photograph_neither_shift_nor_narrow_it():
    """Of sets of one kind the mean stays 0, and the error is that of so few."""
    runs = np.full(25, 8)
    with_runs, without = [], []
    for seed in range(40):
        pair = photographs(2 * seed, 25, 8), photographs(2 * seed + 1, 25, 8)
        with_runs.append(kernel_distance(*pair, runs, runs))
        without.append(kernel_distance(*pair))
    values, errors = np.array(with_runs).T
    spread = values.std() / np.sqrt(40)
    assert abs(values.mean()) < 3 * spread
    assert 0.7 < np.sqrt((errors**2).mean()) / values.std() < 2.1
    assert np.mean([value for value, _ in without]) > 5 * spread


def test_pairs_of_one_photograph_are_left_out():
    first, second = normal(0, 45), normal(1, 31, mean=0.5)
    runs = np.array([1, 3, 2] * 7 + [2, 1])
    owner = np.repeat(np.arange(23), runs)

    def kernel(x, y):
        return (x.astype(float) @ y.T.astype(float) / 5 + 1) ** 3

    within = kernel(first, first)[owner[:, None] != owner[None]].mean()
    others = kernel(second, second)[~np.eye(31, dtype=bool)].mean()
    expected = within + others - 2 * kernel(first, second).mean()
    found = kernel_distance(first, second, runs)
    assert found.value == pytest.approx(expected, rel=1e-9)
    turned = kernel_distance(second, first, None, runs)
    assert turned.value == pytest.approx(expected, rel=1e-9)


def test_too_few_features_are_refused():
    enough, few = normal(0, distances.GROUPS), normal(1, distances.GROUPS - 1)
    assert np.isfinite(kernel_distance(enough, enough).error)
    with pytest.raises(ValueError, match=r"at least 20 pictures.*not 19"):
        kernel_distance(enough, few)
    with pytest.raises(ValueError, match=r"at least 20 pictures.*not 10"):
        kernel_distance(enough, enough, np.full(10, 2))
