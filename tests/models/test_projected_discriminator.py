"""The projected discriminator: its parts, and what is over all devices' samples."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from infinitygan_jax import devices
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.models import features
from infinitygan_jax.models import projected_discriminator as projected
from infinitygan_jax.models.discriminators import discriminator_of

MODEL = ModelConfig(
    patch_size=17,
    texture_widths=(4,),
    discriminator="projected",
    feature_size=64,
    head_width=6,
    pixel_widths=(4, 6),
)


@functools.cache
def parts():
    """Parameters that show all of them, and the state."""
    params, state = discriminator_of(MODEL).init(jax.random.key(1))
    params = jax.tree.map(
        lambda x: x + 0.1 * jax.random.normal(jax.random.key(2), x.shape), params
    )
    return params, state


def images(count, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-1, 1, (count, 17, 17, 3)), jnp.float32)


@functools.cache
def judge(axis=None):
    def apply(network, params, state, image):
        return discriminator_of(MODEL).judge(params, state, network, image, axis)

    return apply if axis else devices.jit_in_a_hurry(apply)


def test_each_scale_and_the_pixels_have_a_head():
    output = judge()(discriminator_of(MODEL).network(), *parts(), images(3))
    # 64 px: taps of 16, 8, 4 and 2, of which heads leave 4, 4, 4 and 2 positions a
    # side and judge 1. 17 px: 9 gathered, then 4, which is one position too.
    assert [logits.shape for logits in output.logits] == [(3, 1)] * 5
    assert output.coords.shape == (3, 1)


@pytest.mark.parametrize("patch", (53, 101, 197, 389, 773))
def test_all_patch_sizes_can_be_judged(patch):
    config = ModelConfig(patch_size=patch, discriminator="projected")
    params, state = jax.eval_shape(
        lambda key: discriminator_of(config).init(key), jax.random.key(0)
    )
    network = jax.eval_shape(lambda: features.load("lite0"))
    image = jax.ShapeDtypeStruct((4, patch, patch, 3), jnp.float32)
    output = jax.eval_shape(
        lambda *args: discriminator_of(config).judge(*args),
        params,
        state,
        network,
        image,
    )
    assert [logits.shape for logits in output.logits[:4]] == [(4, 1)] * 4
    assert output.logits[4].shape[0] == 4


def test_without_pixel_widths_there_is_no_pixel_head():
    config = dataclasses.replace(MODEL, pixel_widths=())
    params, _ = jax.eval_shape(
        lambda key: discriminator_of(config).init(key), jax.random.key(0)
    )
    assert "pixel_head" in parts()[0]
    assert "pixel_head" not in params


def test_the_head_on_layout_sees_colours_and_no_texture():
    model = dataclasses.replace(MODEL, layout_widths=(5, 3))
    params, state = discriminator_of(model).init(jax.random.key(1))
    network = discriminator_of(model).network()
    apply = devices.jit_in_a_hurry(
        lambda image: (
            discriminator_of(model).judge(params, state, network, image).logits
        )
    )
    image = images(4)
    # Columns in turn lighter and darker; 17 pixels are four times four and one more.
    texture = jnp.resize(jnp.array([0.5, -0.5]), (17,))[None, None, :, None]
    plain, woven = apply(image), apply(image + texture)
    np.testing.assert_allclose(plain[-1], woven[-1], rtol=1e-3, atol=1e-4)
    assert all(
        np.abs(x - y).max() > 1e-3 for x, y in zip(plain[:5], woven[:5], strict=True)
    )
    upside_down = apply(image[:, ::-1])
    assert np.abs(plain[-1] - upside_down[-1]).max() > 1e-2


def test_every_head_and_every_frozen_mixture_matters():
    network, (params, state) = discriminator_of(MODEL).network(), parts()
    plain = judge()(network, params, state, images(2))
    for number in range(4):
        for kind in ("channels", "scales"):
            name = f"{kind}_{number}"
            if name not in state[projected.MIXING]:
                assert name == "scales_3"  # nothing lies above the coarsest
                continue
            mixing = {**state[projected.MIXING]}
            mixing[name] = mixing[name][::-1]  # batch norm undoes a factor
            other = judge()(
                network, params, {**state, projected.MIXING: mixing}, images(2)
            )
            changed = [
                not np.allclose(a, b, atol=1e-6)
                for a, b in zip(plain.logits, other.logits, strict=True)
            ]
            # From the top down: what is mixed at one scale is seen by finer ones.
            assert changed[: number + 1] == [True] * (number + 1), name
            assert changed[number + 1 :] == [False] * (4 - number), name


def test_what_is_frozen_has_no_gradient():
    network, (params, state) = discriminator_of(MODEL).network(), parts()

    def total(frozen):
        network, mixing = frozen
        output = discriminator_of(MODEL).judge(
            params, {**state, projected.MIXING: mixing}, network, images(2)
        )
        return sum(jnp.sum(each) for each in output.logits)

    gradient = devices.jit_in_a_hurry(jax.grad(total))(
        (network, state[projected.MIXING])
    )
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_array_equal(leaf, 0)


def test_statistics_are_over_all_devices():
    """Two devices with half a batch each judge as one with the whole."""
    network, (params, state) = discriminator_of(MODEL).network(), parts()
    whole = judge()(network, params, state, images(4))
    mesh = devices.make_mesh(jax.devices()[:2])
    halves = devices.jit_in_a_hurry(
        jax.shard_map(
            judge(devices.AXIS),
            mesh=mesh,
            in_specs=(P(), P(), P(), P(devices.AXIS)),
            out_specs=P(devices.AXIS),
            check_vma=False,
        )
    )(network, params, state, images(4))
    # What the network sees is of each sample alone, and large.
    for tap, other in zip(whole.taps, halves.taps, strict=True):
        np.testing.assert_allclose(tap, other, rtol=1e-3, atol=1e-4)
    judged = (jax.tree.leaves(each._replace(taps=())) for each in (whole, halves))
    for one, other in zip(*judged, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    # A half alone has other statistics, so the above can fail.
    alone = judge()(network, params, state, images(4)[:2])
    assert not np.allclose(alone.logits[0], whole.logits[0][:2], atol=1e-3)


def test_spectral_norm_nears_the_largest_singular_value():
    module = projected.SpectralConv(5, 3)
    x = jax.random.normal(jax.random.key(0), (1, 6, 6, 4))
    variables = module.init(jax.random.key(1), x)
    kernel = variables["params"]["kernel"]
    spectral = variables[projected.SPECTRAL]
    for _ in range(100):
        spectral = projected.power_iterated(variables["params"], spectral)
    found = module.apply({**variables, projected.SPECTRAL: spectral}, x)
    largest = np.linalg.svd(np.asarray(kernel).reshape(-1, 5), compute_uv=False)[0]
    plain = jax.lax.conv_general_dilated(
        x, kernel / largest, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-5)


def test_refreshing_changes_spectral_vectors_alone():
    params, state = parts()
    after = discriminator_of(MODEL).refreshed(params, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    jax.tree.map(
        np.testing.assert_array_equal,
        after[projected.MIXING],
        state[projected.MIXING],
    )
    for vector in jax.tree.leaves(after[projected.SPECTRAL]):
        np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)


def test_position_is_read_from_what_is_in_a_patch():
    """The coordinate head sees mean features: it answers for a patch as a whole."""
    network, (params, state) = discriminator_of(MODEL).network(), parts()
    one = judge()(network, params, state, images(4))
    kernel = params["coords"]["kernel"]
    assert kernel.shape == (2 * 6, 1)  # of the two coarsest scales' heads
    other = judge()(
        network,
        {**params, "coords": {**params["coords"], "kernel": kernel * 0}},
        state,
        images(4),
    )
    assert np.ptp(np.asarray(one.coords)) > 0
    np.testing.assert_allclose(other.coords, params["coords"]["bias"][0], rtol=1e-6)


def what_is_seen(config, image):
    """Patches as the frozen network gets them."""
    seen = []

    class Network(features.FeatureNetwork):
        def taps(self, image):
            seen.append(np.asarray(image))
            return []

    projected.features_of(config, Network({}, "lite0"), image)
    return seen[0]


@pytest.mark.parametrize("size", (0, 40, 128))
def test_the_network_sees_patches_at_the_size_that_is_set(size):
    """Straight lines of colour stay straight when they are resized."""
    config = dataclasses.replace(
        MODEL, patch_size=53, texture_widths=(4,) * 3, feature_size=size
    )
    ramp = jnp.broadcast_to(
        jnp.linspace(-1, 1, 53)[None, :, None, None], (1, 53, 53, 3)
    )
    seen = what_is_seen(config, ramp)
    side = size or 53
    assert seen.shape == (1, side, side, 3)
    # Pixel i of n lies at (i + 0.5) / n of the side; edges are flat when enlarged.
    place = (np.arange(side) + 0.5) / side
    expected = np.clip(2 * (place * 53 - 0.5) / 52 - 1, -1, 1)
    np.testing.assert_allclose(seen[0, 3:-3, 0, 0], expected[3:-3], atol=5e-3)


@pytest.mark.parametrize("deviation", (0.8, 1.0, 2.0))
def test_the_network_sees_patches_as_blurred_as_is_set(deviation):
    """A wave shrinks as a Gaussian has it, and what has one colour keeps it."""
    config = dataclasses.replace(
        MODEL, patch_size=53, texture_widths=(4,) * 3, feature_size=0
    )
    blurred = dataclasses.replace(config, feature_blur=deviation)
    frequency = 1 / (5 * deviation)  # cycles a pixel
    wave = jnp.sin(2 * jnp.pi * frequency * jnp.arange(53.0))
    image = jnp.broadcast_to(wave[None, None, :, None], (1, 53, 53, 3))
    expected = np.exp(-2 * (np.pi * frequency * deviation) ** 2)
    inside = np.s_[0, 10:-10, 10:-10]
    np.testing.assert_allclose(
        what_is_seen(blurred, image)[inside], expected * image[inside], atol=0.02
    )
    np.testing.assert_array_equal(what_is_seen(config, image), image)
    plain = jnp.full((1, 53, 53, 3), 0.7)  # up to the edges
    np.testing.assert_allclose(what_is_seen(blurred, plain), plain, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"feature_size": 31}, r"model.feature_size \(31\) must be 32 or more"),
        ({"feature_size": 0}, r"model.feature_size \(0\) must be 32 or more"),
        ({"feature_blur": 2.2}, r"model.feature_blur \(2.2\) must be at most an eigh"),
        ({"feature_blur": -1.0}, r"model.feature_blur \(-1.0\) must be at least 0"),
        ({"pixel_widths": (4,) * 5}, r"model.pixel_widths .* 5 entries.* room for 4"),
        ({"layout_widths": (4,) * 4}, r"model.layout_widths .* 4 .* room for 3"),
    ],
)
def test_impossible_sizes_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(MODEL, **settings)


def test_the_most_halvings_can_be_judged():
    config = dataclasses.replace(MODEL, pixel_widths=(4,) * 4)
    params, _ = jax.eval_shape(
        lambda key: discriminator_of(config).init(key), jax.random.key(0)
    )
    assert params["pixel_head"]["logit"]["kernel"].shape == (1, 1, 4, 1)
