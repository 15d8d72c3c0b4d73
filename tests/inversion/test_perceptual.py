"""Distances: LPIPS against a slow reference, and the discriminator's features."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import devices
from infinitygan_jax.inversion import perceptual
from infinitygan_jax.models.residual_discriminator import (
    ResidualDiscriminator,
    ResidualFeatures,
)
from tests.inversion import small
from tests.sampling import tiny

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
NUMBERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
TAPS = (2, 7, 14, 21, 28)  # relu1_2, 2_2, 3_3, 4_3, 5_3
POOLED_BEFORE = (5, 10, 17, 24)


@functools.lru_cache
def weights():
    """Tensors as torchvision and LPIPS have them."""
    rng = np.random.default_rng(0)
    tensors, inputs = {}, 3
    for number, width in zip(NUMBERS, WIDTHS, strict=True):
        kernel = rng.standard_normal((width, inputs, 3, 3), np.float32)
        tensors[f"features.{number}.weight"] = kernel * (2 / (9 * inputs)) ** 0.5
        bias = 0.1 * rng.standard_normal(width, np.float32)
        tensors[f"features.{number}.bias"] = bias
        inputs = width
    for index, width in enumerate((64, 128, 256, 512, 512)):
        tensors[f"lin{index}.weight"] = rng.random((1, width, 1, 1), np.float32)
    return tensors


def slow_lpips(first, second):
    """LPIPS in plain NumPy, float64, one image [h, w, 3] each."""

    def features(image):
        image = np.asarray(image, np.float64)
        x = (image - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        for number in NUMBERS:
            if number in POOLED_BEFORE:
                h, w, c = x.shape
                x = x.reshape(h // 2, 2, w // 2, 2, c).max(axis=(1, 3))
            kernel = weights()[f"features.{number}.weight"].astype(np.float64)
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            h, w, _ = x.shape
            x = weights()[f"features.{number}.bias"] + sum(
                padded[i : i + h, j : j + w] @ kernel[:, :, i, j].T
                for i in range(3)
                for j in range(3)
            )
            x = np.maximum(x, 0)
            if number in TAPS:
                yield x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)

    pairs = zip(features(first), features(second), strict=True)
    return sum(
        ((a - b) ** 2 @ weights()[f"lin{i}.weight"].reshape(-1)).mean()
        for i, (a, b) in enumerate(pairs)
    )


def pictures(count, size=32, seed=1):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-1, 1, (count, size, size, 3)), jnp.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    safetensors.numpy.save_file(weights(), path)
    return path


def test_lpips_is_as_defined(file):
    distance = perceptual.load_lpips(file)
    first, second = pictures(2), pictures(2, seed=2)
    found = devices.jit_in_a_hurry(lambda a, b: distance(a, b))(first, second)
    expected = [slow_lpips(*pair) for pair in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_lpips_own_names_and_two_files_are_understood(tmp_path, file):
    slices = dict(zip(NUMBERS, (1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5), strict=True))
    convs, heads = {}, {}
    for name, array in weights().items():
        if number := re.match(r"features\.(\d+)", name):
            place = slices[int(number[1])]
            convs[name.replace("features", f"net.slice{place}")] = array
        else:
            heads[name.replace(".weight", ".model.1.weight")] = array
    convs["classifier.0.weight"] = np.zeros(3, np.float32)  # not looked at
    paths = [tmp_path / "vgg.safetensors", tmp_path / "heads.safetensors"]
    for path, tensors in zip(paths, (convs, heads), strict=True):
        safetensors.numpy.save_file(tensors, path)
    jax.tree.map(
        np.testing.assert_array_equal,
        perceptual.load_lpips(*paths).params,
        perceptual.load_lpips(file).params,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features.5.bias": None}, ["features.5.bias", "missing"]),
        ({"lin3.weight": None}, ["lin3.weight", "missing"]),
        ({"features.2.weight": np.zeros((64, 3, 3, 3), np.float32)}, ["features.2"]),
        ({"lin0.weight": np.full((1, 64, 1, 1), np.nan, np.float32)}, ["finite"]),
        ({"features.0.bias": np.zeros(64, np.int32)}, ["floats"]),
    ],
)
def test_wrong_weights_are_one_line(tmp_path, change, words):
    tensors = {**weights(), **change}
    tensors = {name: array for name, array in tensors.items() if array is not None}
    path = tmp_path / "bad.safetensors"
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(ValueError, match="LPIPS") as error:
        perceptual.load_lpips(path)
    assert "\n" not in str(error.value)
    for word in (*words, "bad.safetensors"):
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["none.safetensors", "a.npy", "torn.safetensors"])
def test_unusable_files_are_one_line(tmp_path, name):
    if not name.startswith("none"):
        (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"^weights of LPIPS .*" + re.escape(name)):
        perceptual.load_lpips(tmp_path / name)


def test_features_are_what_the_discriminator_computes():
    """A patch's last features, put through the rest by hand, give its judgement."""
    params = {"params": small.discriminator()}
    patch = pictures(1, tiny.MODEL.patch_size)
    seen = devices.jit_in_a_hurry(ResidualFeatures(tiny.MODEL).apply)
    features = seen(params, patch)
    judge = functools.partial(
        ResidualDiscriminator(tiny.MODEL).apply,
        capture_intermediates=True,
        mutable=["intermediates"],
    )
    _, state = devices.jit_in_a_hurry(judge)(params, patch)
    blocks = [f"block_{n}" for n in range(5, 2, -1)]  # 29 px: about 2**5
    assert len(features) == len(blocks)
    for name, found in zip(blocks, features, strict=True):
        expected = state["intermediates"][name]["__call__"][0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(2, 7), (24, 40)])
def test_any_size_has_a_distance(size):
    distance = perceptual.DiscriminatorDistance(small.discriminator(), tiny.MODEL)
    first, second = (pictures(2, 40, seed)[:, : size[0], : size[1]] for seed in (1, 2))
    measure = devices.jit_in_a_hurry(lambda a, b: distance(a, b))
    # Both are the same numbers, but the compiler may sum them in two ways.
    np.testing.assert_allclose(measure(first, first), 0, atol=1e-12)
    assert np.all((measure(first, second) > 0) & (measure(first, second) <= 4))


def test_without_discriminator_the_frozen_network_sees():
    bundle = bundle_lib.Bundle(tiny.CONFIG, tiny.params())
    distance = perceptual.distance_of(bundle)
    assert (distance.name, distance.least) == ("features", 32)
    first, second = pictures(1, 40, 1), pictures(1, 40, 2)
    measure = devices.jit_in_a_hurry(lambda f, a, b: f(a, b))
    np.testing.assert_allclose(measure(distance, first, first), 0, atol=1e-12)
    near, far = (
        measure(distance, first, (1 - share) * first + share * second)
        for share in (0.1, 1.0)
    )
    assert 0 < near < far <= 4
    with pytest.raises(ValueError, match="at least 32 pixels"):
        perceptual.check_size(distance, 31, 40)


def test_small_pictures_are_refused(file):
    distance = perceptual.load_lpips(file)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        perceptual.check_size(distance, 15, 40)
