"""Moments of parts are those of the whole."""

import functools
import operator

import numpy as np
import pytest

from infinitygan_jax.evaluation.statistics import Moments

# Far from 0, where sums of squares would lose half of their digits.
FEATURES = np.random.default_rng(0).normal(1e4, [1, 2, 5, 0.1], (57, 4))


def assert_of_all(moments):
    assert moments.count == 57
    np.testing.assert_allclose(moments.mean, FEATURES.mean(axis=0), rtol=1e-14)
    expected = np.cov(FEATURES, rowvar=False)
    np.testing.assert_allclose(moments.covariance, expected, atol=1e-9)


@pytest.mark.parametrize("ends", [[], [1], [56], [0, 20, 20, 57], range(1, 57)])
def test_however_they_are_split_moments_are_those_of_all(ends):
    parts = [Moments.of(part) for part in np.split(FEATURES, ends)]
    assert_of_all(functools.reduce(operator.add, parts))  # a stream
    while len(parts) > 1:  # processes, two by two
        parts = [
            functools.reduce(operator.add, parts[i : i + 2])
            for i in range(0, len(parts), 2)
        ]
    assert_of_all(parts[0])


def test_they_are_float64_of_float32_features():
    features = FEATURES.astype(np.float32)
    moments = Moments.of(features[:30]) + Moments.of(features[30:])
    assert moments.mean.dtype == moments.comoment.dtype == np.float64
    exact = np.cov(features.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(moments.covariance, exact, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_have_no_covariance(count):
    with pytest.raises(ValueError, match=f"at least 2 pictures, not {count}"):
        _ = Moments.of(FEATURES[:count]).covariance


def test_nothing_and_nothing_is_nothing():
    none = Moments.of(FEATURES[:0])
    assert (none + none).count == 0
    np.testing.assert_array_equal((none + none).mean, 0)
